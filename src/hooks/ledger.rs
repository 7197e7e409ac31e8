//! The announcements of a run, and which of them were sent: a file beside the run's journal. If the deployer dies, the
//! next one sends what is missing, and nothing twice.
//!
//! `state/<run id>.announcements` has JSON lines, each appended with one write. What was written survives the death of
//! the deployer. It is not synced, so that no announcement has to wait for the disk.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::files::{no_links, shared};

use super::announcement::{Announcement, EventKind};

/// The file name extension.
const EXTENSION: &str = "announcements";

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
enum Record {
    /// The first line.
    Opened {
        /// Hooks that this run does not use.
        #[serde(default)]
        without: Vec<String>,
    },
    Queued(Box<Queued>),
    /// One hook was told.
    Sent {
        id: String,
        hook: String,
    },
    /// One hook could not be told, and there are no more attempts.
    Failed {
        id: String,
        hook: String,
        reason: String,
    },
    /// The last line: there is nothing left to send.
    Closed,
}

/// An announcement, and the hooks to send it to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queued {
    /// Identifies the event: each is announced once in a run.
    pub key: String,
    /// The names of the hooks.
    pub to: Vec<String>,
    pub announcement: Announcement,
}

/// How sending to one hook ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Sent,
    Failed(String),
}

/// The contents of a ledger.
#[derive(Debug, Default)]
pub struct Written {
    pub without: Vec<String>,
    pub queued: Vec<Queued>,
    /// Pairs of announcement and hook, by name, with a known outcome.
    settled: HashSet<(String, String)>,
    pub closed: bool,
}

impl Written {
    /// Announcements that may not have been sent, in order, each with the hooks that lack it.
    pub fn left(&self) -> Vec<Queued> {
        let lacks = |queued: &Queued| {
            let mut left = queued.clone();
            left.to.retain(|hook| !self.settled.contains(&(queued.announcement.id.clone(), hook.clone())));
            left
        };
        self.queued.iter().map(lacks).filter(|left| !left.to.is_empty()).collect()
    }

    /// Whether this event was announced.
    pub fn has(&self, key: &str) -> bool {
        self.queued.iter().any(|queued| queued.key == key)
    }

    /// Whether the death of the run's last deployer was announced.
    pub fn is_death_announced(&self) -> bool {
        let of_life = |queued: &&Queued| {
            matches!(queued.announcement.event, EventKind::Started | EventKind::Resumed | EventKind::Unfinished)
        };
        self.queued.iter().rev().find(of_life).is_some_and(|last| last.announcement.event == EventKind::Unfinished)
    }

    fn read(bytes: &[u8]) -> Written {
        let mut written = Written::default();
        // Nothing was done yet for a line that is torn.
        let lines = bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        for record in lines {
            match record {
                Record::Opened { without } => written.without = without,
                Record::Queued(queued) => written.queued.push(*queued),
                Record::Sent { id, hook } | Record::Failed { id, hook, .. } => drop(written.settled.insert((id, hook))),
                Record::Closed => written.closed = true,
            }
        }
        written
    }
}

/// An open ledger, shared by threads.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: Mutex<File>,
    /// Why it could not be written, once.
    trouble: Mutex<Option<String>>,
}

impl Ledger {
    /// The path of a run's ledger.
    pub fn path(folder: &Path, run: &str) -> PathBuf {
        folder.join(format!("{run}.{EXTENSION}"))
    }

    /// The runs in a folder that have a ledger, the oldest first.
    pub fn runs(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut runs: Vec<String> =
            names.filter_map(|name| Some(name.strip_suffix(&format!(".{EXTENSION}"))?.to_owned())).collect();
        runs.sort();
        runs
    }

    /// The contents of a run's ledger; empty if there is none.
    pub fn read(folder: &Path, run: &str) -> Written {
        Written::read(&no_links::read_own(&Ledger::path(folder, run)).unwrap_or_default())
    }

    /// Opens the ledger of a run and returns its contents. Creates it if it is missing.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn open(folder: &Path, run: &str, without: &[String]) -> std::io::Result<(Ledger, Written)> {
        let path = Ledger::path(folder, run);
        no_links::refuse_link(&path)?;
        let bytes = no_links::read_own(&path).unwrap_or_default();
        let mut file = no_links::no_link().append(true).create(true).mode(shared::MODE).open(&path)?;
        shared::take_group(&path);
        if bytes.last().is_some_and(|last| *last != b'\n') {
            file.write_all(b"\n")?;
        }
        let ledger = Ledger { path, file: Mutex::new(file), trouble: Mutex::default() };
        if bytes.is_empty() {
            ledger.write(&Record::Opened { without: without.to_vec() });
        }
        Ok((ledger, Written::read(&bytes)))
    }

    /// Records an announcement that is to be sent.
    pub fn queue(&self, queued: &Queued) {
        self.write(&Record::Queued(Box::new(queued.clone())));
    }

    /// Records the outcome of sending.
    pub fn settle(&self, id: &str, hook: &str, outcome: &Outcome) {
        let (id, hook) = (id.to_owned(), hook.to_owned());
        self.write(&match outcome {
            Outcome::Sent => Record::Sent { id, hook },
            Outcome::Failed(reason) => Record::Failed { id, hook, reason: reason.clone() },
        });
    }

    /// Records that there is nothing left to send.
    pub fn close(&self) {
        self.write(&Record::Closed);
    }

    /// Why it could not be written, once.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn write(&self, record: &Record) {
        // Serializing plain data cannot fail.
        let mut line = serde_json::to_vec(record).unwrap_or_default();
        line.push(b'\n');
        let written = self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line);
        if let Err(error) = written {
            let why = format!("cannot write {}: {error}", self.path.display());
            self.trouble.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_sent_is_left_whatever_a_line_is_torn_at() {
        let folder = tempfile::tempdir().unwrap();
        // Made once each: they contain the time.
        let made = [EventKind::Started, EventKind::Group]
            .map(|event| Announcement::sample(event, "page", None, ("op", "deploy1")));
        let queued = |event: EventKind, to: &[&str]| Queued {
            key: event.to_string(),
            to: to.iter().map(|name| (*name).to_owned()).collect(),
            announcement: made.iter().find(|made| made.event == event).unwrap().clone(),
        };
        let (ledger, before) = Ledger::open(folder.path(), "1", &["tcpircbot".into()]).unwrap();
        assert!(before.queued.is_empty());
        ledger.queue(&queued(EventKind::Started, &["a", "b"]));
        ledger.settle("test-started", "a", &Outcome::Sent);
        ledger.queue(&queued(EventKind::Group, &["a"]));
        ledger.settle("test-group", "a", &Outcome::Failed("no".into()));
        drop(ledger);
        let path = Ledger::path(folder.path(), "1");
        let whole = std::fs::read(&path).unwrap();
        let read = Written::read(&whole);
        assert_eq!(read.without, ["tcpircbot"]);
        assert_eq!(read.left(), [queued(EventKind::Started, &["b"])]);
        assert!(read.has("group") && !read.has("finished"));
        // The last line is torn: its announcement is still to be sent, and the next line must not be appended to it.
        std::fs::write(&path, &whole[..whole.len() - 5]).unwrap();
        let (ledger, before) = Ledger::open(folder.path(), "1", &[]).unwrap();
        assert_eq!(before.left().len(), 2);
        ledger.settle("test-group", "a", &Outcome::Sent);
        ledger.close();
        let read = Ledger::read(folder.path(), "1");
        assert!(read.closed && read.left() == [queued(EventKind::Started, &["b"])]);
        assert_eq!(Ledger::runs(folder.path()), ["1"]);
    }
}
