//! Commands that end with Hoist, together with all that they have started.

use std::ops::{Deref, DerefMut};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use rustix::net::{SendFlags, send};

/// Waits until its input ends, as it does when Hoist dies, however that comes about; then it kills the process groups that it
/// was told of. `+ ID` is a group, `- ID` is none any more.
const GUARD: &str = r#"trap '' HUP INT TERM
groups=' '
while read -r sign group; do
    case $sign in
    +) groups="$groups$group " ;;
    -) groups="${groups%% $group *} ${groups#* $group }" ;;
    esac
done
for group in $groups; do kill -KILL "-$group"; done"#;

/// A command, which leads a process group of its own: Ctrl-C is Hoist's alone, and what it starts can be ended with it.
pub struct Group(Child);

impl Group {
    /// Starts it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(command: &mut Command) -> std::io::Result<Group> {
        command.process_group(0);
        if let Some(guard) = guard() {
            let socket = guard.as_raw_fd();
            // SAFETY: between fork and exec two system calls are made, `getpid` and `send`, on a socket that is never closed;
            // neither allocates or takes a lock.
            unsafe {
                command.pre_exec(move || {
                    tell(BorrowedFd::borrow_raw(socket), b'+', std::process::id());
                    Ok(())
                });
            }
        }
        command.spawn().map(Group)
    }
}

impl Drop for Group {
    /// What it has left running may go on.
    fn drop(&mut self) {
        if let Some(guard) = guard() {
            tell(guard, b'-', self.0.id());
        }
    }
}

impl Deref for Group {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Group {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

/// The way to the guard of this process, which is started when it is first needed. `None` where it cannot be.
fn guard() -> Option<BorrowedFd<'static>> {
    static GUARD_INPUT: OnceLock<Option<OwnedFd>> = OnceLock::new();
    let started = GUARD_INPUT.get_or_init(|| {
        start_guard().inspect_err(|error| log::debug!("what commands start may outlive Hoist: {error}")).ok()
    });
    started.as_ref().map(std::os::fd::AsFd::as_fd)
}

fn start_guard() -> std::io::Result<OwnedFd> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = Command::new("/bin/sh");
    command.args(["-c", GUARD]).current_dir("/").process_group(0);
    command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    Ok(ours.into())
}

/// Tells the guard a line, without what is not allowed between fork and exec. If it is gone, nothing comes of it.
fn tell(guard: BorrowedFd, sign: u8, id: u32) {
    let mut line = *b"            \n";
    let (mut at, mut left) = (line.len() - 1, id);
    loop {
        at -= 1;
        line[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    line[0] = sign;
    let _ = send(guard, &line, SendFlags::NOSIGNAL);
}
