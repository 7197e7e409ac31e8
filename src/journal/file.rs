//! The journal's records, and how they are written and read.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::deploy::{Answer, Plan};
use crate::fleet::{Call, HostId, HostResult, Step, Task};
use crate::within;

/// Between two tries to claim a journal.
const LOOK: std::time::Duration = std::time::Duration::from_millis(50);

/// How the configuration of a run was chosen, so that a resumed run reads the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// Hoist's version.
    pub version: String,
    pub plan: Plan,
    pub environment: Option<String>,
    pub config_file: Option<PathBuf>,
    pub defines: Vec<String>,
}

/// One line of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// The first line.
    Opened(Box<Opened>),
    /// A call on the fleet begins. Until `Returned`, any of its tasks may have been started.
    Called {
        call: Call,
        tasks: Vec<Task>,
    },
    /// A host's one result of that call.
    Ended {
        host: HostId,
        result: Box<HostResult>,
    },
    Returned,
    Answered {
        answer: Answer,
    },
    Interrupted,
    /// The last line of a finished deployment.
    Closed {
        verdict: String,
        status: u8,
    },
}

/// An open journal, at its end.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
}

impl Journal {
    /// Begins the journal of a run in `folder`, which is made when missing.
    pub fn create(folder: &Path, opened: Opened) -> Result<Journal> {
        make_folder(folder)?;
        let path = folder.join(format!("{}.journal", opened.plan.run));
        let file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .mode(0o640)
            .open(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        // It is new: the most that could keep it is a short look from elsewhere.
        rustix::fs::flock(&file, FlockOperation::LockExclusive)
            .with_context(|| format!("cannot lock {}", path.display()))?;
        let mut journal = Journal { file, path };
        journal.append(&[Record::Opened(Box::new(opened))])?;
        File::open(folder).and_then(|folder| folder.sync_all()).context("cannot sync the journal's folder")?;
        Ok(journal)
    }

    /// Opens an unfinished journal to go on with it; a torn last line is cut off.
    pub fn reopen(unfinished: &Unfinished) -> Result<Journal> {
        let path = unfinished.path.clone();
        let wrong = || format!("cannot open {}", path.display());
        let file = OpenOptions::new().append(true).open(&path).with_context(wrong)?;
        // Whoever merely looks has it for a moment.
        let claimed = (0..20).any(|attempt| {
            std::thread::sleep(LOOK * u32::from(attempt > 0));
            claim(&file)
        });
        if !claimed {
            bail!("{} is being written: {unfinished} is under way", path.display());
        }
        file.set_len(unfinished.length).with_context(wrong)?;
        Ok(Journal { file, path })
    }

    /// Appends records, and returns when the disk has them.
    pub fn append(&mut self, records: &[Record]) -> Result<()> {
        let mut lines = Vec::new();
        for record in records {
            serde_json::to_writer(&mut lines, record).context("cannot write a record")?;
            lines.push(b'\n');
        }
        let wrong = || format!("cannot write {}", self.path.display());
        self.file.write_all(&lines).with_context(wrong)?;
        self.file.sync_data().with_context(wrong)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes the folder of the journals, where it is missing. It ignores itself, so that nobody commits a journal.
pub fn make_folder(folder: &Path) -> Result<()> {
    within::make_ignored_folder(folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// A deployment that was begun and not ended.
#[derive(Debug)]
pub struct Unfinished {
    pub path: PathBuf,
    pub opened: Opened,
    /// Everything after [`Record::Opened`].
    pub records: Vec<Record>,
    /// Its deployer is at work on it right now.
    pub live: bool,
    /// Bytes of whole records.
    length: u64,
}

impl Unfinished {
    /// Whether a stage may have been started anywhere.
    pub fn touched(&self) -> bool {
        let touches =
            |record: &Record| matches!(record, Record::Called { call, .. } if matches!(call.step, Step::Run(_)));
        self.records.iter().any(touches)
    }
}

impl std::fmt::Display for Unfinished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plan = &self.opened.plan;
        let (user, host) = (&plan.user, &plan.deploy_host);
        write!(f, "the deployment of {} that {user}@{host} began (run {})", plan.revision.short(), plan.run)
    }
}

/// Takes a journal for this process, for as long as the file is open. Whoever has it is alive: a repository whose lock
/// was configured in two ways still has one journal.
fn claim(file: &File) -> bool {
    rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
}

/// The unfinished deployment of a folder, if there is one that may have touched a host.
///
/// One that ended before it touched anything is closed here and now: there is nothing to go back to.
pub fn unfinished(folder: &Path) -> Result<Option<Unfinished>> {
    for path in journals(folder)? {
        if read_whole(&path)?.is_none() {
            // Torn within its first line, it tells of nothing; unless somebody is just writing that.
            let wrong = || format!("cannot remove {}", path.display());
            if claim(&File::open(&path).with_context(wrong)?) {
                fs::remove_file(&path).with_context(wrong)?;
            }
            continue;
        }
        let Some(found) = read(&path)? else { continue };
        if found.live || found.touched() {
            return Ok(Some(found));
        }
        let closed = Record::Closed { verdict: "ended before anything was touched".into(), status: 130 };
        Journal::reopen(&found)?.append(&[closed])?;
    }
    Ok(None)
}

/// The run id of the newest deployment when it died before it touched anything, and nobody has looked since.
pub fn abandoned(folder: &Path) -> Result<Option<String>> {
    let Some(path) = journals(folder)?.pop() else { return Ok(None) };
    let abandoned = match read_whole(&path)? {
        None => true,
        Some(_) => read(&path)?.is_some_and(|found| !found.live && !found.touched()),
    };
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    Ok(abandoned.then(|| name.into_owned()))
}

/// Removes all but the newest `keep` journals. Call it when none is unfinished.
pub fn prune(folder: &Path, keep: usize) -> Result<()> {
    let mut paths = journals(folder)?;
    paths.truncate(paths.len().saturating_sub(keep));
    for path in paths {
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

/// Every journal of a folder, oldest first: run ids sort by time.
pub(super) fn journals(folder: &Path) -> Result<Vec<PathBuf>> {
    within::refuse_link(folder)?;
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.display())),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "journal") {
            within::refuse_link(&path)?;
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Reads a journal; `None` when it is finished, or was torn before its first line was whole.
pub(super) fn read(path: &Path) -> Result<Option<Unfinished>> {
    let Some((opened, records, length)) = read_whole(path)? else { return Ok(None) };
    if matches!(records.last(), Some(Record::Closed { .. })) {
        return Ok(None);
    }
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Some(Unfinished { path: path.to_owned(), opened, records, live: !claim(&file), length }))
}

fn read_whole(path: &Path) -> Result<Option<(Opened, Vec<Record>, u64)>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (records, length) = parse(&bytes).with_context(|| format!("{} is damaged", path.display()))?;
    let mut records = records.into_iter();
    match records.next() {
        Some(Record::Opened(opened)) => Ok(Some((*opened, records.collect(), length))),
        // Torn within its first line: nothing had been done yet.
        None => Ok(None),
        Some(_) => bail!("{} is damaged: line 1 does not open a deployment", path.display()),
    }
}

/// How a run was opened, and everything after that, finished or not; `None` when it was torn before its first line was
/// whole.
pub(super) fn read_any(path: &Path) -> Result<Option<(Opened, Vec<Record>)>> {
    Ok(read_whole(path)?.map(|(opened, records, _)| (opened, records)))
}

/// The whole records of a journal and their length in bytes. The last line may be torn, by a power cut say: it is left
/// out. Damage anywhere else is an error that names the line.
pub fn parse(bytes: &[u8]) -> Result<(Vec<Record>, u64)> {
    let mut records = Vec::new();
    let mut length = 0;
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let last = length + line.len() == bytes.len();
        match serde_json::from_slice(line) {
            Ok(record) if line.ends_with(b"\n") => records.push(record),
            // Without its newline a record was not promised to anyone, whole as it may look.
            Ok(_) => break,
            Err(_) if last => break,
            Err(error) => bail!("line {}: {error}", index + 1),
        }
        length += line.len();
    }
    Ok((records, length as u64))
}
