//! Runs the command of a session on the host that the session's address stands for, as the farm's wrapper does.
//!
//! It takes the place of DIR/wrapper for a farm in DIR, and with its one process that of a shell and five commands. These
//! take some 5 ms of CPU for each command of a session, for which hosts of their own would have no use.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, bail};
use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

fn main() -> Result<()> {
    let program = env::current_exe()?;
    let farm = program.parent().context("a program in no folder")?;
    let connection = env::var("SSH_CONNECTION").context("SSH_CONNECTION")?;
    let address = connection.split(' ').nth(2).context("SSH_CONNECTION without an address")?;
    let command = env::var_os("SSH_ORIGINAL_COMMAND").context("SSH_ORIGINAL_COMMAND")?;
    let host = farm.join("hosts").join(address);
    let (home, srv) = (host.join("home"), host.join("srv"));
    for folder in [home.as_path(), &srv, Path::new("/srv")] {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    env::set_current_dir(&home)?;
    // SAFETY: this process has one thread: there is no other that would lose what they share.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    mount_bind(&srv, "/srv")?;
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).env("HOME", &home).env("HOIST_FARM", farm).env("HOIST_FARM_HOST", &host);
    bail!("sh: {}", shell.exec())
}
