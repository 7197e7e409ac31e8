//! What the operating system is asked directly: locks, links swapped in one step, groups of processes, signals.

use std::collections::BTreeSet;
use std::ffi::c_int;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::threads;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{CWD, FlockOperation, Mode, RenameFlags};
use rustix::process::{Pid, PidfdFlags, Resource, Signal, WaitId, WaitIdOptions};
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};

pub use crate::procfs::die_with_parent;

/// How a lock is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Alone, or not at all.
    Try,
    /// Beside other readers, or not at all.
    TryShared,
    /// Alone, however long that takes.
    Wait,
}

/// Takes the advisory lock of an open file (`flock`); `false` when somebody else holds it.
pub fn lock(file: &File, how: How) -> io::Result<bool> {
    let operation = match how {
        How::Try => FlockOperation::NonBlockingLockExclusive,
        How::TryShared => FlockOperation::NonBlockingLockShared,
        How::Wait => FlockOperation::LockExclusive,
    };
    loop {
        match rustix::fs::flock(file, operation) {
            Ok(()) => return Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(false),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Lets the commands that are started from now on have this open file too, and with it its lock.
pub fn let_inherit(file: &File) -> io::Result<()> {
    Ok(rustix::io::fcntl_setfd(file, rustix::io::FdFlags::empty())?)
}

/// Lets two paths of one file system change places in one step. Some file systems cannot (`InvalidInput`).
pub fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    Ok(rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

/// Writes everything that the file system of `path` still holds in memory to its disk.
pub fn sync_file_system(path: &Path) -> io::Result<()> {
    let _timed = crate::timings::during(crate::timings::Part::Sync);
    Ok(rustix::fs::syncfs(File::open(path)?)?)
}

/// Bytes, and inodes where the file system counts them, that are free to this user on the file system of `path`.
pub fn free_space(path: &Path) -> io::Result<(u64, Option<u64>)> {
    let found = rustix::fs::statvfs(path)?;
    let inodes = if found.f_files == 0 { None } else { Some(found.f_favail) };
    Ok((found.f_bavail.saturating_mul(found.f_frsize), inodes))
}

/// Lets an empty file have the blocks of another one, until one of them is written to (`FICLONE`). Few file systems can.
pub fn clone_file(from: &File, to: &File) -> io::Result<()> {
    Ok(rustix::fs::ioctl_ficlone(to, from)?)
}

/// The names of a file's extended attributes, each with a zero byte behind it; none where the file system has none.
pub fn attribute_names(path: &Path) -> io::Result<Vec<u8>> {
    let mut names = vec![0; 4096];
    match rustix::fs::llistxattr(path, &mut names[..]) {
        Ok(length) => names.truncate(length),
        Err(rustix::io::Errno::NOTSUP) => names.clear(),
        Err(error) => return Err(error.into()),
    }
    Ok(names)
}

/// Sets the mask of permissions that new files do not get.
pub fn set_umask(mask: u32) {
    rustix::process::umask(Mode::from_raw_mode(mask & 0o777));
}

/// The mask of permissions that new files do not get.
pub fn umask() -> u32 {
    // It can only be read by setting it; the strictest is set for the moment.
    let mask = rustix::process::umask(Mode::from_raw_mode(0o077));
    rustix::process::umask(mask);
    mask.bits()
}

/// Lets this process have no more memory than this, in bytes. Its end for want of it leaves no file.
pub fn limit_memory(bytes: u64) -> io::Result<()> {
    // Address space is set aside in large pieces, of which little is used.
    for (resource, bytes) in [(Resource::Data, bytes), (Resource::As, 2 * bytes), (Resource::Core, 0)] {
        let mut limit = rustix::process::getrlimit(resource);
        if limit.current.is_none_or(|current| current > bytes) {
            limit.current = Some(bytes);
            rustix::process::setrlimit(resource, limit)?;
        }
    }
    Ok(())
}

/// Whether this process may do everything.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The user that this process acts as.
pub fn user_id() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// This machine's name.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Whether a process of this id lives, whoever it belongs to.
pub fn is_alive(process: u32) -> bool {
    let Some(pid) = i32::try_from(process).ok().and_then(Pid::from_raw) else { return false };
    !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH)) && !is_zombie(process)
}

/// Whether a process has ended and nobody has asked yet how: its id still answers to signals.
pub fn is_zombie(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The program's name comes first, in parentheses, and may contain some.
    let has_ended = stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']));
    // The first thread may have ended before the others: then the process lives.
    has_ended && std::fs::read_dir(format!("/proc/{process}/task")).is_ok_and(|threads| threads.count() < 2)
}

/// How long ago a process began; `None`: it cannot be seen.
pub fn age(process: u32) -> Option<Duration> {
    let ticks = begun(&std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?)?;
    let began = Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second()).ok()?;
    Some(since_boot().saturating_sub(began))
}

/// When a process began, in ticks since the kernel's start, from its `stat` (proc_pid_stat(5)): the 22nd word, of which
/// the second may contain blanks and brackets.
pub fn begun(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Asks the group of a process to end (SIGTERM).
pub fn end_group(leader: u32) {
    if let Some(group) = i32::try_from(leader).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, Signal::TERM);
    }
}

/// Kills a process, its group, and all processes below it, those in groups and sessions of their own too; it is fine
/// when it is gone already. What has left its parent for good, as daemons do, is not found, and lives on.
pub fn kill_tree(leader: u32) {
    let pid = |id: u32| i32::try_from(id).ok().and_then(Pid::from_raw);
    let Some(group) = pid(leader) else { return };
    // Stopped, nobody can start another process, or leave its parent by the parent's end, while the others are looked
    // for.
    let _ = rustix::process::kill_process_group(group, Signal::STOP);
    let mut found = BTreeSet::from([leader]);
    loop {
        let new = below(&found);
        if new.is_empty() {
            break;
        }
        for id in new {
            let _ = pid(id).map(|pid| rustix::process::kill_process(pid, Signal::STOP));
            found.insert(id);
        }
    }
    let _ = rustix::process::kill_process_group(group, Signal::KILL);
    found.remove(&leader);
    for id in found {
        let _ = pid(id).map(|pid| rustix::process::kill_process(pid, Signal::KILL));
    }
}

/// The processes below these, at any depth, that are not among them.
pub fn below(parents: &BTreeSet<u32>) -> BTreeSet<u32> {
    let mut others: Vec<(u32, u32)> = process_ids().filter_map(|id| Some((id, parent_of(id)?))).collect();
    let mut found = BTreeSet::new();
    loop {
        let is_below = |(_, parent): &(u32, u32)| parents.contains(parent) || found.contains(parent);
        let (new, rest): (Vec<_>, Vec<_>) = others.into_iter().partition(is_below);
        if new.is_empty() {
            return found.difference(parents).copied().collect();
        }
        found.extend(new.into_iter().map(|(id, _)| id));
        others = rest;
    }
}

/// All processes that `/proc` shows.
pub fn process_ids() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A process's parent, from proc(5): the second field behind the name, which is in brackets and may hold anything.
fn parent_of(id: u32) -> Option<u32> {
    let stat = std::fs::read(format!("/proc/{id}/stat")).ok()?;
    let text = String::from_utf8_lossy(&stat);
    text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// What becomes readable when a child has ended, and leaves it to be reaped: until then its id names nobody else.
pub fn end_of(child: u32) -> io::Result<OwnedFd> {
    let Some(pid) = i32::try_from(child).ok().and_then(Pid::from_raw) else {
        return Err(ErrorKind::InvalidInput.into());
    };
    if let Ok(handle) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        return Ok(handle);
    }
    // Kernels before 5.3.
    let (reader, writer) = io::pipe()?;
    threads::start(move || {
        while let Err(rustix::io::Errno::INTR) =
            rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
        {}
        drop(writer);
    })?;
    Ok(reader.into())
}

/// Waits until one of these can be read, or is at its end, but no longer than this; which ones are.
pub fn readable(files: &[BorrowedFd<'_>], longest: Duration) -> io::Result<Vec<bool>> {
    let mut polled: Vec<PollFd<'_>> = files.iter().map(|file| PollFd::from_borrowed_fd(*file, PollFlags::IN)).collect();
    match rustix::event::poll(&mut polled, Timespec::try_from(longest).ok().as_ref()) {
        Ok(_) => Ok(polled.iter().map(|file| !file.revents().is_empty()).collect()),
        Err(rustix::io::Errno::INTR) => Ok(vec![false; files.len()]),
        Err(error) => Err(error.into()),
    }
}

/// Takes no notice of the hangup that the end of a connection may bring. A handler stands in for "ignore", because
/// children inherit the latter.
pub fn survive_hangups() -> io::Result<()> {
    signal_hook::flag::register(SIGHUP, Arc::new(AtomicBool::new(false)))?;
    Ok(())
}

/// The signal of [`Process::abort`], by its name.
pub const ABORT: &str = "USR1";

/// Calls `then` once, on a thread of its own, with the name of the first signal that asks this process to end: SIGINT,
/// SIGTERM, or [`ABORT`].
pub fn on_request_to_end(then: impl FnOnce(&'static str) + Send + 'static) -> io::Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGUSR1])?;
    threads::start(move || {
        if let Some(signal) = signals.forever().next() {
            then(signal_name(signal));
        }
    })?;
    Ok(())
}

/// A signal's name without its `SIG`.
pub fn signal_name(signal: c_int) -> &'static str {
    signal_hook::low_level::signal_name(signal).map_or("unknown", |name| name.trim_start_matches("SIG"))
}

/// Starts a command in a session of its own, out of the reach of whatever ends this process's.
pub fn detach(command: &mut Command) {
    // SAFETY: between fork and exec only one system call is made, `setsid`, which is safe after a fork: it allocates
    // nothing and takes no lock.
    unsafe {
        command.pre_exec(|| Ok(rustix::process::setsid().map(drop)?));
    }
}

/// The time since this host was booted, sleep included. Nobody can set this clock.
pub fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Which boot this is; empty where the kernel does not say.
pub fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// One process, whatever becomes of its id. Kernels before 5.3 have no handles of processes: there, the id has to do.
pub enum Process {
    Handle(OwnedFd),
    Id(Pid),
}

impl Process {
    /// The process that has this id now; `None` when there is none.
    pub fn open(id: u32) -> io::Result<Option<Process>> {
        let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) else { return Ok(None) };
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(process) => Ok(Some(Process::Handle(process))),
            Err(rustix::io::Errno::SRCH) => Ok(None),
            Err(rustix::io::Errno::NOSYS) => Ok(is_alive(id).then_some(Process::Id(pid))),
            Err(error) => Err(error.into()),
        }
    }

    /// Asks it to end (SIGTERM), or kills it.
    pub fn signal(&self, kill: bool) -> io::Result<()> {
        self.send(if kill { Signal::KILL } else { Signal::TERM })
    }

    /// Asks a stage to end because the operator aborts it.
    pub fn abort(&self) -> io::Result<()> {
        self.send(Signal::USR1)
    }

    fn send(&self, signal: Signal) -> io::Result<()> {
        let sent = match self {
            Process::Handle(handle) => rustix::process::pidfd_send_signal(handle, signal),
            Process::Id(pid) => rustix::process::kill_process(*pid, signal),
        };
        match sent {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it has not ended yet.
    pub fn is_there(&self) -> bool {
        let handle = match self {
            Process::Handle(handle) => handle,
            Process::Id(pid) => return is_alive(pid.as_raw_nonzero().get().cast_unsigned()),
        };
        let mut fds = [PollFd::new(handle, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        matches!(rustix::event::poll(&mut fds, Some(&at_once)), Ok(0) | Err(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Dead, reaped or not by whoever inherited it.
    fn is_dead(id: u32) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
    }

    #[track_caller]
    fn until(so: impl Fn() -> bool) {
        for _ in 0..6000 {
            if so() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it never came");
    }

    #[test]
    fn a_killed_tree_takes_those_in_sessions_of_their_own_along_and_spares_daemons() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let inner = format!("echo $$ > {}; sleep 1000", path("grandchild"));
        std::fs::write(path("inner"), inner).unwrap();
        let outer = format!("echo $$ > {}; trap '' TERM; setsid sh {}; sleep 1000", path("child"), path("inner"));
        std::fs::write(path("outer"), outer).unwrap();
        std::fs::write(path("lone"), format!("echo $$ > {}; exec sleep 1000", path("daemon"))).unwrap();
        let script = format!("setsid sh {} & (setsid sh {} &); sleep 1000", path("outer"), path("lone"));
        let mut child = Command::new("/bin/sh").args(["-c", &script]).process_group(0).spawn().unwrap();
        let id = |name: &str| -> Option<u32> { std::fs::read_to_string(path(name)).ok()?.trim().parse().ok() };
        let names = ["child", "grandchild", "daemon"];
        until(|| names.iter().all(|name| id(name).is_some()));
        let daemon = id("daemon").unwrap();
        until(|| parent_of(daemon).is_some_and(|parent| parent != child.id() && is_a_stranger(parent, child.id())));
        kill_tree(child.id());
        child.wait().unwrap();
        until(|| is_dead(id("child").unwrap()) && is_dead(id("grandchild").unwrap()));
        assert!(!is_dead(daemon), "a daemon is not a part of the command any more");
        kill_tree(daemon);
    }

    /// Whether a process is not below another one.
    fn is_a_stranger(id: u32, other: u32) -> bool {
        id <= 1 || (id != other && parent_of(id).is_none_or(|parent| is_a_stranger(parent, other)))
    }

    #[test]
    fn the_beginning_is_read_behind_any_name() {
        let rest = "S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 99";
        for name in ["systemd", "a b", "x) S 1 (y"] {
            assert_eq!(begun(&format!("1 ({name}) {rest}")), Some(4711), "{name}");
        }
        assert_eq!((begun(""), begun("1 (a) S")), (None, None));
    }

    #[test]
    fn the_age_of_a_process_is_the_time_since_it_began() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        assert!(age(child.id()).unwrap() < age(std::process::id()).unwrap() + Duration::from_millis(20));
        std::thread::sleep(Duration::from_millis(300));
        assert!(age(child.id()).unwrap() >= Duration::from_millis(280));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(age(child.id()), None);
    }
}
