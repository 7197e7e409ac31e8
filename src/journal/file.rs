//! Writing a journal. What stands in the file is at any moment a beginning of what happened, without a gap: a record that
//! the disk does not take keeps those after it waiting.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::fs::FlockOperation;

use crate::files::no_links;
use crate::files::ownership::Denied;
use crate::files::shared;
use crate::wire::StartedBy;

use super::record::{Opened, Record, Stamped};
use super::room::{Room, Space};
use super::unfinished::Unfinished;

/// Between two tries to claim a journal.
const LOOK: Duration = Duration::from_millis(50);

/// An open journal, at its end.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    /// Where each record ends that stood there when the journal was opened.
    ends: Vec<u64>,
    /// Bytes of whole records on the disk.
    length: u64,
    /// Lines that the disk has not taken yet.
    waiting: Vec<u8>,
    /// There may be bytes behind `length`: half a record, or one that was not synced.
    torn: bool,
    room: Room,
    /// The disk is full, but for what was kept for the end.
    low: bool,
    /// Who ends the run, if that is not who began it.
    ended_by: Option<StartedBy>,
}

impl Journal {
    /// Begins the journal of a run in `folder`, which is made when missing, with room for the run's end.
    ///
    /// # Errors
    /// A disk that is full or not to be written. The folder is then as before.
    pub fn create(folder: &Path, opened: Opened) -> Result<Journal> {
        make_folder(folder)?;
        let path = folder.join(format!("{}.journal", opened.plan.run));
        let options = || {
            let mut options = OpenOptions::new();
            options.create_new(true).read(true).write(true).mode(shared::MODE);
            options
        };
        let denied = |error| Denied::new(&path, error);
        let file =
            options().open(&path).map_err(denied).with_context(|| format!("cannot create {}", path.display()))?;
        shared::take_group(&path);
        let begun = Journal::begin(file, &path, opened)
            .and_then(|journal| shared::sync_folder(folder).context("cannot sync its folder").map(|()| journal));
        begun.with_context(|| {
            // Nothing was done yet that anybody would have to know of.
            let _ = fs::remove_file(&path);
            format!("cannot create the journal {}", path.display())
        })
    }

    fn begin(file: File, path: &Path, opened: Opened) -> Result<Journal> {
        // It is new: the most that could keep it is a short look from elsewhere.
        rustix::fs::flock(&file, FlockOperation::LockExclusive).context("cannot lock it")?;
        let room = Room::for_hosts(opened.plan.size() + opened.plan.steps.len());
        let path = path.to_owned();
        let (ends, waiting) = (Vec::new(), Vec::new());
        let mut journal =
            Journal { file, path, ends, length: 0, waiting, torn: false, room, low: false, ended_by: None };
        let reserve = journal.room.reserve();
        if journal.append(&[Record::Opened(Box::new(opened))])? == Space::Low {
            bail!("not enough disk space for it ({} KiB)", reserve >> 10);
        }
        Ok(journal)
    }

    /// Opens an unfinished journal to go on with it. What stands behind its last whole record is cut off.
    pub fn reopen(unfinished: &Unfinished) -> Result<Journal> {
        let path = unfinished.path.clone();
        let wrong = || format!("cannot open {}", path.display());
        no_links::refuse_link(&path).with_context(wrong)?;
        let file = no_links::no_link().read(true).write(true).open(&path);
        let file = file.map_err(|error| Denied::new(&path, error)).with_context(wrong)?;
        // Whoever merely looks has it for a moment.
        let claimed = (0..20).any(|attempt| {
            std::thread::sleep(LOOK * u32::from(attempt > 0));
            claim(&file)
        });
        if !claimed {
            bail!("{} is in use: {unfinished} is running", path.display());
        }
        let length = unfinished.length();
        // Cut only where it must be: with the rest goes the room that its deployer kept for the end.
        let torn = file.metadata().with_context(wrong)?.len() > length;
        let room = Room::for_hosts(unfinished.opened.plan.size());
        let (ends, waiting) = (unfinished.read.ends.clone(), Vec::new());
        let mut journal = Journal { file, path, ends, length, waiting, torn, room, low: false, ended_by: None };
        journal.flush().with_context(|| format!("cannot write {}", journal.path.display()))?;
        Ok(journal)
    }

    /// Its run is ended by somebody who may not be the one who began it, and the last record says so.
    pub fn ended_by(self, by: Option<StartedBy>) -> Journal {
        Journal { ended_by: by, ..self }
    }

    /// Whether the disk had no room for the end of the run; what is there is used up from now on.
    pub fn is_low(&self) -> bool {
        self.low
    }

    /// Appends records, and returns when the disk has them. [`Space::Low`] comes once: the records are written, and it is
    /// time to come to an end.
    ///
    /// # Errors
    /// A disk that does not take them. They are kept, and go ahead of the next records.
    pub fn append(&mut self, records: &[Record]) -> Result<Space> {
        let at = crate::clock::rfc3339_utc();
        for record in records {
            let line = match record {
                Record::Ended { host, result, took_seconds } if self.low && !result.tail.is_empty() => {
                    let mut result = result.clone();
                    result.tail.clear();
                    line_of(&Record::Ended { host: *host, result, took_seconds: *took_seconds }, &at)
                }
                record => line_of(record, &at),
            };
            self.waiting.extend(line.context("cannot write a record")?);
            self.waiting.push(b'\n');
        }
        self.flush().with_context(|| format!("cannot write {}", self.path.display()))
    }

    fn flush(&mut self) -> std::io::Result<Space> {
        if self.torn {
            self.file.set_len(self.length)?;
            self.torn = false;
        }
        let end = self.length + self.waiting.len() as u64;
        let space = self.room.ahead(&self.file, self.length, end);
        self.low |= space == Space::Low;
        if self.waiting.is_empty() {
            return Ok(space);
        }
        let written = self.file.write_all_at(&self.waiting, self.length).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Never behind half a record, nor behind one that the disk may have dropped.
            self.torn = self.file.set_len(self.length).is_err();
            return Err(error);
        }
        self.length = end;
        self.waiting.clear();
        Ok(space)
    }

    /// Gives back room for what else is written at the end of a run; what the last record takes is kept.
    pub fn make_room(&mut self) {
        if !self.torn {
            // Best effort: where it cannot be done, none is kept.
            let _ = self.room.shrink(&self.file, self.length);
        }
    }

    /// Appends the last record, and gives back the room that was kept for it.
    pub fn close(&mut self, verdict: &str, status: u8, stayed: bool) -> Result<()> {
        let (stayed, by) = (Some(stayed), self.ended_by.take());
        self.append(&[Record::Closed { verdict: verdict.to_owned(), status, stayed, by }])?;
        // Best effort: it is a few pages.
        let _ = self.room.release(&self.file, self.length);
        Ok(())
    }

    /// Cuts off all but the first `records` of those that stood there when it was opened. The rest does not follow from
    /// them, so some are missing between.
    pub fn cut(&mut self, records: usize) {
        if let Some(end) = self.ends.get(records.saturating_sub(1)).filter(|end| **end < self.length) {
            self.length = *end;
            self.ends.truncate(records);
            self.torn = true;
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn line_of(record: &Record, at: &str) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Stamped { record, at })
}

/// Makes the folder of the journals, where it is missing. Nobody commits a journal.
pub fn make_folder(folder: &Path) -> Result<()> {
    let made = shared::make_folder(folder).and_then(|()| shared::ignore(folder));
    let made = made.map_err(|error| Denied::new(folder, error));
    made.with_context(|| format!("cannot create {}", folder.display()))
}

/// Takes a journal for this process, for as long as the file is open. Whoever has it is alive: a repository whose lock
/// was configured in two ways still has one journal.
pub(super) fn claim(file: &File) -> bool {
    rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
}
