//! Locks that die with their process: the run's, which keeps two deployers apart, and the stage's, which lets one stage
//! work at a time.
//!
//! A lock is an advisory lock (`flock`) on a file that is never removed; the file says who holds it. What it says counts
//! only while the lock is held and the process that wrote it lives.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::files::no_links;
use crate::procfs;
use crate::wire::{Holder, RunId, Stage};

use super::hoist_dir;
use super::layout::Layout;
use crate::local::fault::{Fault, Tried, no_thread};
use crate::local::os::files;
use crate::local::os::sys;
use crate::local::os::sys::How;
use crate::threads;

/// How long a new holder may take to write its name into the file.
const NAMING: Duration = Duration::from_secs(2);

/// The length of a lock's file; a longer message makes a longer file.
const ROOM: usize = 2048;

/// As much of it is read. An older build put messages of any length there.
const NOTE: u64 = 1 << 20;

/// What stands in a lock's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    #[serde(flatten)]
    pub holder: Holder,
    /// The process on this target.
    pub process: u32,
    /// Its descriptor of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub descriptor: Option<i32>,
    /// Which stage, in the stage's lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<(Stage, u32)>,
}

impl Note {
    /// A note of this process.
    pub fn new(holder: &Holder, at: Option<(Stage, u32)>) -> Note {
        Note { holder: holder.clone(), process: std::process::id(), descriptor: None, at }
    }
}

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub struct Held(File);

impl Drop for Held {
    fn drop(&mut self) {
        // A blank file can be taken for nobody's.
        let _ = overwrite(&mut self.0, "");
    }
}

/// The answer to asking for a lock.
#[derive(Debug)]
pub enum LockAttempt {
    Mine(Held),
    Theirs(Note),
    /// Somebody has it who is not Hoist, or cannot be told to be; one fragment that names the process.
    Strangers(String),
}

/// What a look at a lock found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Nobody,
    Run(Note),
    /// As [`LockAttempt::Strangers`].
    Stranger(String),
}

/// The run's lock.
pub fn run_path(layout: &Layout) -> PathBuf {
    layout.own().join("lock")
}

/// The stage's lock.
pub fn stage_path(layout: &Layout) -> PathBuf {
    layout.own().join("stage.lock")
}

/// Asks for a lock once. The folder and the file are made when they are missing.
pub fn ask(path: &Path, note: &Note) -> Result<LockAttempt, Fault> {
    hoist_dir::prepare(files::parent(path))?;
    let file = hoist_dir::open(path)?;
    let started = Instant::now();
    loop {
        if sys::lock(&file, How::Try).tried("lock", path)? {
            return Ok(LockAttempt::Mine(sign(file, note)));
        }
        match whose(&file, path, started) {
            Some(Found::Run(theirs)) => return Ok(LockAttempt::Theirs(theirs)),
            Some(Found::Stranger(who)) => return Ok(LockAttempt::Strangers(who)),
            Some(Found::Nobody) | None => {}
        }
    }
}

/// Who holds a lock now, found without making or changing anything.
pub fn look(path: &Path) -> Found {
    let Ok(file) = no_links::open_own(path) else { return Found::Nobody };
    let started = Instant::now();
    while let Ok(false) = sys::lock(&file, How::TryShared) {
        if let Some(found) = whose(&file, path, started) {
            return found;
        }
    }
    Found::Nobody
}

/// The run that holds a lock now.
pub fn holder(path: &Path) -> Option<Note> {
    match look(path) {
        Found::Run(note) => Some(note),
        Found::Nobody | Found::Stranger(_) => None,
    }
}

/// Who has a lock that is taken; `None` after a pause when that cannot be told yet: a passing look at the lock by a
/// probe, or a holder that has not signed yet, are both over soon.
fn whose(file: &File, path: &Path, started: Instant) -> Option<Found> {
    let note = read(path);
    let has_it = |note: &Note| note.descriptor.is_some_and(|it| procfs::has_lock(note.process, it, file));
    if let Some(note) = note.as_ref().filter(|note| has_it(note)) {
        return Some(Found::Run(note.clone()));
    }
    let holders = procfs::lock_holders(file);
    let is_the_holder = |note: &Note| {
        let named = holders.iter().any(|holder| holder.id == note.process);
        sys::is_alive(note.process) && (named || holders.is_empty())
    };
    match note.filter(is_the_holder) {
        Some(note) => Some(Found::Run(note)),
        None if started.elapsed() > NAMING => Some(Found::Stranger(stranger(path, &holders))),
        None => {
            thread::sleep(Duration::from_millis(20));
            None
        }
    }
}

fn stranger(path: &Path, holders: &[procfs::Process]) -> String {
    let lock = path.display();
    if holders.is_empty() {
        return format!(
            "{lock} is locked by a process that is not visible on this host, maybe in a container: end it there"
        );
    }
    let names: Vec<_> = holders.iter().map(|it| it.to_string()).collect();
    format!("{lock} is locked by {}, which is not Hoist: end that process on this host", names.join(" and "))
}

fn sign(mut file: File, note: &Note) -> Held {
    let note = Note { descriptor: Some(file.as_raw_fd()), ..note.clone() };
    // A full disk may refuse the name of the holder; the lock holds all the same, and a rollback needs it.
    let _ = overwrite(&mut file, &serde_json::to_string(&note).unwrap_or_default());
    Held(file)
}

/// Replaces what stands in a lock's file by a text of the same length, blanks included: on most file systems that needs
/// no room on the disk.
fn overwrite(file: &mut File, text: &str) -> io::Result<()> {
    let text = format!("{text:ROOM$}");
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

fn read(path: &Path) -> Option<Note> {
    let mut text = String::new();
    no_links::open_own(path).ok()?.take(NOTE).read_to_string(&mut text).ok()?;
    let note: Note = serde_json::from_str(&text).ok()?;
    Some(Note { holder: note.holder.bounded(), ..note })
}

/// The run's lock, for as long as this lives: held by this process, or by another of the same run, a lock holder, from which
/// this process takes it over when that one ends first.
#[derive(Debug)]
pub struct RunLock {
    path: PathBuf,
    run: RunId,
    held: Arc<Mutex<Hold>>,
}

#[derive(Debug)]
enum Hold {
    Mine(#[allow(dead_code, reason = "held for its drop")] Held),
    Waiting,
    Over,
}

impl RunLock {
    /// Takes the run's lock. With `alone`, not even another process of the same run may hold it.
    pub fn take(layout: &Layout, holder: &Holder, alone: bool) -> Result<RunLock, Fault> {
        let path = run_path(layout);
        let note = Note::new(holder, None);
        let held = match ask(&path, &note)? {
            LockAttempt::Mine(held) => Arc::new(Mutex::new(Hold::Mine(held))),
            LockAttempt::Theirs(theirs) if theirs.holder.run == holder.run && !alone => {
                let file = hoist_dir::open(&path)?;
                let held = Arc::new(Mutex::new(Hold::Waiting));
                let waits = inherit(file, note, held.clone());
                waits.map_err(no_thread)?;
                held
            }
            LockAttempt::Theirs(theirs) => return Err(Fault::Locked { by: Box::new(theirs.holder) }),
            LockAttempt::Strangers(who) => return Err(Fault::failed(who)),
        };
        Ok(RunLock { path, run: holder.run.clone(), held })
    }

    /// Fails when the lock has gone to another run.
    pub fn still_ours(&self) -> Result<(), Fault> {
        if matches!(*lock(&self.held), Hold::Mine(_)) {
            return Ok(());
        }
        match holder(&self.path) {
            Some(theirs) if theirs.holder.run != self.run => Err(Fault::Locked { by: Box::new(theirs.holder) }),
            _ => Ok(()),
        }
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        *lock(&self.held) = Hold::Over;
    }
}

fn lock(held: &Mutex<Hold>) -> std::sync::MutexGuard<'_, Hold> {
    held.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Waits for a lock on a thread that ends with the process at the latest.
fn inherit(file: File, note: Note, held: Arc<Mutex<Hold>>) -> io::Result<()> {
    threads::start(move || {
        if !sys::lock(&file, How::Wait).unwrap_or(false) {
            return;
        }
        let mut hold = lock(&held);
        if matches!(*hold, Hold::Waiting) {
            *hold = Hold::Mine(sign(file, &note));
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::tests::{layout, who};

    #[test]
    fn a_lock_of_another_run_is_refused_with_its_holder_and_is_free_once_dropped() {
        let (_dir, layout) = layout();
        let first = RunLock::take(&layout, &who("one"), false).unwrap();
        assert_eq!(RunLock::take(&layout, &who("two"), false).unwrap_err(), Fault::Locked { by: Box::new(who("one")) });
        assert_eq!(holder(&run_path(&layout)).unwrap().holder, who("one"));
        drop(first);
        assert_eq!(holder(&run_path(&layout)), None);
        RunLock::take(&layout, &who("two"), false).unwrap();
    }

    #[test]
    fn a_second_process_of_a_run_takes_the_lock_over_when_the_first_ends() {
        let (_dir, layout) = layout();
        let first = RunLock::take(&layout, &who("one"), false).unwrap();
        let second = RunLock::take(&layout, &who("one"), false).unwrap();
        assert!(RunLock::take(&layout, &who("one"), true).is_err(), "alone means alone");
        drop(first);
        for _ in 0..500 {
            if matches!(*lock(&second.held), Hold::Mine(_)) {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(RunLock::take(&layout, &who("two"), false).unwrap_err(), Fault::Locked { by: Box::new(who("one")) });
        second.still_ours().unwrap();
        drop(second);
        RunLock::take(&layout, &who("two"), false).unwrap();
    }

    #[test]
    fn looking_at_a_lock_makes_no_file() {
        let (_dir, layout) = layout();
        assert_eq!(holder(&run_path(&layout)), None);
        assert!(!layout.root().exists());
    }

    #[test]
    fn what_a_dead_process_left_in_the_file_does_not_count() {
        let (_dir, layout) = layout();
        files::make_dir(&layout.own()).unwrap();
        let path = run_path(&layout);
        std::fs::write(&path, serde_json::to_string(&Note { process: 1, ..Note::new(&who("old"), None) }).unwrap())
            .unwrap();
        assert_eq!(holder(&path), None);
        RunLock::take(&layout, &who("new"), false).unwrap();
    }
}
