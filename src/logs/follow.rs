//! Reading a log to its end, and on from there.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{LogEntry, LogReader};

/// The longest line, in bytes. What is longer, in a file that is no log, is read as several.
const LONGEST_LINE: usize = 1 << 20;

/// Reads a log from its beginning to its end, a last line without its newline too. `on` says whether to go on.
pub fn read_whole(from: impl Read, on: &mut dyn FnMut(LogEntry) -> bool) -> io::Result<()> {
    let mut from = BufReader::new(from);
    let mut reader = LogReader::default();
    loop {
        let mut line = Vec::new();
        if from.by_ref().take(LONGEST_LINE as u64).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if !reader.read(&line).is_none_or(&mut *on) {
            return Ok(());
        }
    }
}

/// The log of a folder that was written to last.
pub fn newest(folder: &Path) -> io::Result<Option<PathBuf>> {
    let modified = |(path, about): (PathBuf, Metadata)| (about.modified().unwrap_or(SystemTime::UNIX_EPOCH), path);
    Ok(logs(folder)?.into_iter().map(modified).max().map(|(_, path)| path))
}

/// Every log of a folder, by name.
pub fn all(folder: &Path) -> io::Result<Vec<PathBuf>> {
    Ok(logs(folder)?.into_keys().collect())
}

/// Every log of a folder. A folder that is not there has none.
fn logs(folder: &Path) -> io::Result<BTreeMap<PathBuf, Metadata>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let mut logs = BTreeMap::new();
    for entry in entries {
        let path = entry?.path();
        let named = path.extension().is_some_and(|extension| extension == "log");
        // It may have gone again; a pipe or a device under such a name is no log.
        if let Some(about) = named.then(|| fs::metadata(&path).ok()).flatten().filter(Metadata::is_file) {
            logs.insert(path, about);
        }
    }
    Ok(logs)
}

/// What is new in a folder of logs.
#[derive(Debug)]
pub enum News<'a> {
    /// The entries behind this are of another log than those before.
    From(&'a Path),
    LogEntry(LogEntry),
    /// A log that cannot be read, and why; said once.
    Trouble(&'a Path, io::Error),
}

/// Follows all logs of a folder, from where they end now. A log that comes later is read from its beginning.
///
/// One deployment writes at a time, so that is the newest log and the switch to the next one; and nothing is lost when
/// two do.
#[derive(Debug)]
pub struct Follower {
    folder: PathBuf,
    tails: BTreeMap<PathBuf, Tail>,
    /// Whose entries were the last.
    current: Option<PathBuf>,
}

impl Follower {
    /// # Errors
    /// The folder is there and cannot be read.
    pub fn new(folder: &Path) -> io::Result<Follower> {
        let tails = logs(folder)?.into_iter().map(|(path, about)| (path, Tail::at_the_end(&about))).collect();
        Ok(Follower { folder: folder.to_owned(), tails, current: newest(folder)? })
    }

    /// The newest log there was at the beginning, and how much of it was not told.
    pub fn begins_at(&self) -> Option<(&Path, u64)> {
        let path = self.current.as_ref()?;
        Some((path, self.tails.get(path)?.told_from))
    }

    /// Says what has come in since the last call. `on` says whether to go on.
    pub fn look(&mut self, on: &mut dyn FnMut(News) -> bool) -> io::Result<()> {
        let there = logs(&self.folder)?;
        for (path, about) in &there {
            let tail = self.tails.entry(path.clone()).or_default();
            let current = &mut self.current;
            let mut tell = |entry: LogEntry| {
                if current.as_ref() != Some(path) {
                    *current = Some(path.clone());
                    if !on(News::From(path)) {
                        return false;
                    }
                }
                on(News::LogEntry(entry))
            };
            if let Err(error) = tail.read_on(path, about, &mut tell) {
                if !tail.in_trouble {
                    on(News::Trouble(path, error));
                }
                tail.in_trouble = true;
            }
        }
        self.tails.retain(|path, _| there.contains_key(path));
        Ok(())
    }
}

/// One log, and how far it has been read.
#[derive(Debug, Default)]
struct Tail {
    /// Device and inode: another file may take the name.
    identity: (u64, u64),
    /// Open from the first new line on, so that what is written to it after it has lost its name is read too.
    file: Option<File>,
    read: u64,
    /// Lines that begin ahead of this are read for what they say of those behind, and not told.
    told_from: u64,
    /// The beginning of a line whose end is not written yet.
    rest: Vec<u8>,
    reader: LogReader,
    in_trouble: bool,
}

impl Tail {
    fn at_the_end(about: &Metadata) -> Tail {
        Tail { identity: identity(about), told_from: about.len(), ..Tail::default() }
    }

    fn read_on(&mut self, path: &Path, about: &Metadata, tell: &mut dyn FnMut(LogEntry) -> bool) -> io::Result<()> {
        if self.identity != identity(about) {
            // The old file has been renamed or removed: its end first, even where the last newline never came.
            if let Some(old) = self.file.take() {
                self.drain(&old, tell)?;
                self.flush(tell);
            }
            *self = Tail { identity: identity(about), ..Tail::default() };
        }
        if about.len() < self.read.max(self.told_from) {
            // Cut short and written anew.
            *self = Tail { identity: self.identity, file: self.file.take(), ..Tail::default() };
        }
        if about.len() == self.read.max(self.told_from) {
            return Ok(());
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => File::open(path)?,
        };
        let drained = self.drain(&file, tell);
        self.file = Some(file);
        drained
    }

    fn drain(&mut self, file: &File, tell: &mut dyn FnMut(LogEntry) -> bool) -> io::Result<()> {
        let mut chunk = [0; 64 * 1024];
        loop {
            let count = match file.read_at(&mut chunk, self.read) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            for piece in chunk[..count].split_inclusive(|byte| *byte == b'\n') {
                self.rest.extend_from_slice(piece);
                self.read += piece.len() as u64;
                if (piece.ends_with(b"\n") || self.rest.len() >= LONGEST_LINE) && !self.flush(tell) {
                    return Ok(());
                }
            }
        }
    }

    /// Reads what has come in as a line.
    fn flush(&mut self, tell: &mut dyn FnMut(LogEntry) -> bool) -> bool {
        let line = std::mem::take(&mut self.rest);
        let begins = self.read - line.len() as u64;
        match self.reader.read(&line) {
            Some(entry) if begins >= self.told_from => tell(entry),
            _ => true,
        }
    }
}

fn identity(about: &Metadata) -> (u64, u64) {
    (about.dev(), about.ino())
}
