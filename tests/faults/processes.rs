//! Processes, found by what they are and whose they are, and never by name alone.

use rustix::process::Signal;

/// A file of a process in `/proc`; empty when the process is gone.
pub fn proc_file(pid: u32, name: &str) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Its command line, with blanks between the words.
pub fn cmdline(pid: u32) -> String {
    proc_file(pid, "cmdline").replace('\0', " ")
}

/// `None` when the process is gone.
pub fn parent(pid: u32) -> Option<u32> {
    let stat = proc_file(pid, "stat");
    // The name in brackets may hold anything.
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// The next process above one that is wanted.
#[track_caller]
pub fn above(pid: u32, wanted: impl Fn(u32) -> bool) -> u32 {
    let mut next = parent(pid);
    loop {
        match next {
            Some(found) if found > 1 && wanted(found) => return found,
            Some(found) if found > 1 => next = parent(found),
            _ => panic!("no such process above {pid}"),
        }
    }
}

pub fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

pub fn signal(pid: u32, signal: Signal) {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// As [`kill`], of a process that may have ended by itself meanwhile.
pub fn kill_if_there(pid: u32) {
    let Some(pid) = rustix::process::Pid::from_raw(pid as i32) else { return };
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}
