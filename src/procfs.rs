//! Processes of this machine: who holds the advisory lock of a file, as `/proc` shows it, and children that end with
//! whoever started them.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

/// The content of a file of `/proc`, most of which are shorter than a page. Their size is not known before they are read,
/// and from nothing a buffer would grow in many small reads.
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut content = Vec::with_capacity(4096);
    File::open(path)?.take(u64::MAX).read_to_end(&mut content)?;
    Ok(content)
}

/// As [`read`]; empty where there is no such file, or one that is no text.
fn text(path: impl AsRef<Path>) -> String {
    read(path).ok().and_then(|content| String::from_utf8(content).ok()).unwrap_or_default()
}

/// Makes a command die with the thread that starts it, so that a killed process leaves nothing behind that still
/// works. What the command itself starts is not touched.
pub fn die_with_parent(command: &mut Command) {
    // SAFETY: between fork and exec only one system call is made, `prctl`, which is safe after a fork: it allocates
    // nothing and takes no lock.
    unsafe {
        command.pre_exec(|| Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?));
    }
}

/// Keeps the memory of this process from others: no core dump is written of it, and no process of the same user can read it.
pub fn stay_private() {
    let private = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    if let Err(error) = private {
        log::debug!("core dumps are possible: {error}");
    }
}

/// A process, by what an operator needs to find and end it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub id: u32,
    /// The command's name as the kernel has it: 15 bytes at most, and whatever the process wants it to be.
    pub command: String,
    pub user: String,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({}) of user {}", self.id, self.command, self.user)
    }
}

/// How often the list of locks is read before it counts that a lock is not in it.
const LOOKS: usize = 5;

/// Whether a process holds a lock of `flock` on this file by this descriptor of its own, from `/proc/ID/fdinfo`
/// (proc_pid_fdinfo(5)), which is short where the list of all locks may be long. Where this process may not see that, and
/// before Linux 4.1, the answer is no: [`lock_holders`] can tell.
pub fn has_lock(id: u32, descriptor: i32, file: &File) -> bool {
    let Ok(about) = file.metadata() else { return false };
    let info = text(format!("/proc/{id}/fdinfo/{descriptor}"));
    let locks: Vec<&str> = info.lines().filter_map(|line| line.strip_prefix("lock:\t")).collect();
    holders_in(&locks.join("\n"), &device_of(&about), about.ino()).contains(&id)
}

/// As `/proc/locks` shows it.
fn device_of(about: &Metadata) -> String {
    format!("{:02x}:{:02x}", rustix::fs::major(about.dev()), rustix::fs::minor(about.dev()))
}

/// The living processes that hold a lock of `flock` on this file, from `/proc/locks` (proc_locks(5)). Processes of
/// another PID namespace are not listed there, so an empty answer does not mean that nobody has the lock.
pub fn lock_holders(file: &File) -> Vec<Process> {
    let Ok(about) = file.metadata() else { return Vec::new() };
    let device = device_of(&about);
    let look = || {
        let locks = text("/proc/locks");
        holders_in(&locks, &device, about.ino()).into_iter().filter_map(process).collect::<Vec<_>>()
    };
    // It is read in pieces, and a line can be missed while other processes take and release locks.
    (0..LOOKS).map(|_| look()).find(|found| !found.is_empty()).unwrap_or_default()
}

/// The ids of the holders that the text of `/proc/locks` names, each once: a process may hold several locks on the file, and
/// a line may come twice, as one can be missed. On file systems that show another device number to stat(2), btrfs and
/// overlays say, the inode has to do.
fn holders_in(locks: &str, device: &str, inode: u64) -> Vec<u32> {
    let mut found: BTreeSet<(bool, u32)> = BTreeSet::new();
    for line in locks.lines() {
        // 1: FLOCK  ADVISORY  WRITE 4711 fe:00:10010654 0 EOF; one who waits has `->` in the second place.
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, id, file, ..] = words[..] else { continue };
        let (Ok(id), Some((on, number))) = (id.parse(), file.rsplit_once(':')) else { continue };
        if number.parse() == Ok(inode) && id != 0 {
            found.insert((on == device, id));
        }
    }
    let exact = found.iter().any(|(exact, _)| *exact);
    found.into_iter().filter(|(on, _)| *on || !exact).map(|(_, id)| id).collect()
}

/// Whether a process of this id runs a program whose file name begins so, by the first word of its command line. One that
/// waits to be reaped has no command line, and does not run.
pub fn is_running(id: u32, program: &str) -> bool {
    let words = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let first = words.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(first).rsplit('/').next().is_some_and(|name| name.starts_with(program))
}

/// The processes whose environment has all of these variables, `NAME=value` each, as far as this one may look into them.
pub fn with_environment(variables: &[String]) -> Vec<Process> {
    let ids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let has_them = |id: &u32| {
        let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        let has = |variable: &String| environment.split(|byte| *byte == 0).any(|it| it == variable.as_bytes());
        variables.iter().all(has)
    };
    ids.filter(|id| *id != std::process::id() && !variables.is_empty()).filter(has_them).filter_map(process).collect()
}

/// Why a try of a run-once step is not begun: a process of an earlier one lives, which has these variables.
pub fn in_the_way(variables: &[String]) -> Option<String> {
    let process = with_environment(variables).into_iter().next()?;
    Some(format!("not begun, since {process} of an earlier try still runs: wait for it to end, or end it"))
}

/// Whether a process is stopped, by a signal or from a keyboard.
pub fn is_stopped(id: u32) -> bool {
    let status = text(format!("/proc/{id}/status"));
    status.lines().any(|line| line.starts_with("State:\tT"))
}

fn process(id: u32) -> Option<Process> {
    let status = read(format!("/proc/{id}/status")).ok()?;
    let status = String::from_utf8_lossy(&status);
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
    let uid: u32 = field("Uid")?.split_whitespace().next()?.parse().ok()?;
    Some(Process { id, command: field("Name")?.to_owned(), user: user_name(uid) })
}

/// A user's name, or the number where the password file has none.
pub fn user_name(uid: u32) -> String {
    let passwd = fs::read("/etc/passwd").unwrap_or_default();
    name_in(&String::from_utf8_lossy(&passwd), uid).unwrap_or_else(|| uid.to_string())
}

/// A group's name, or the number where the group file has none.
pub fn group_name(gid: u32) -> String {
    let groups = fs::read("/etc/group").unwrap_or_default();
    name_in(&String::from_utf8_lossy(&groups), gid).unwrap_or_else(|| gid.to_string())
}

/// The name of a user or a group in the text of a password or group file, which a static program reads by itself.
pub fn name_in(passwd: &str, uid: u32) -> Option<String> {
    names_in(passwd, uid).next().map(str::to_owned)
}

/// All of its names: accounts may share a number, as root and toor do.
pub fn names_in(passwd: &str, uid: u32) -> impl Iterator<Item = &str> {
    passwd.lines().filter_map(move |line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

/// The number of a user or a group in the text of such a file.
pub fn number_in(passwd: &str, name: &str) -> Option<u32> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    const LOCKS: &str = "1: POSIX  ADVISORY  WRITE 11 fe:00:77 0 EOF\n\
                         2: FLOCK  ADVISORY  WRITE 22 fe:00:77 0 EOF\n\
                         2: -> FLOCK  ADVISORY  WRITE 33 fe:00:77 0 EOF\n\
                         3: FLOCK  ADVISORY  READ 44 fe:01:77 0 EOF\n\
                         4: FLOCK  ADVISORY  READ 0 00:2b:5 0 EOF\n\
                         broken\n";

    #[test]
    fn only_those_who_have_the_lock_of_that_file_are_named() {
        assert_eq!(holders_in(LOCKS, "fe:00", 77), [22]);
        assert_eq!(holders_in(LOCKS, "fe:01", 77), [44]);
        assert_eq!(holders_in(LOCKS, "00:33", 77), [22, 44], "the inode alone");
        assert_eq!(holders_in(&LOCKS.repeat(2), "fe:00", 77), [22], "once");
        assert!(holders_in(LOCKS, "00:2b", 5).is_empty(), "of another namespace");
    }

    #[test]
    fn this_process_is_named_while_it_has_a_lock() {
        let file = tempfile::tempfile().unwrap();
        assert!(lock_holders(&file).is_empty());
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
        let holders = lock_holders(&file);
        assert_eq!(holders.iter().map(|it| it.id).collect::<Vec<_>>(), [std::process::id()]);
        assert_eq!(holders[0].user, user_name(rustix::process::getuid().as_raw()));
        let own = std::process::id();
        assert!(has_lock(own, file.as_raw_fd(), &file));
        let other = tempfile::tempfile().unwrap();
        assert!(!has_lock(own, other.as_raw_fd(), &file) && !has_lock(own, file.as_raw_fd(), &other));
        drop(file);
    }
}
