//! One run as a whole: every record of its journal, with its time, whatever became of the run.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

use crate::files::no_links;
use crate::files::ownership::Denied;
use crate::text::some;

use super::file::claim;
use super::parse::{Parsed, ReadRecords, Wrong, is_finished, parse};
use super::read::{journals, read};
use super::record::{Opened, Record};

/// Runs that a refusal names.
const NAMED: usize = 5;

/// Which run is meant.
#[derive(Debug, Clone, Copy)]
pub enum Choice<'a> {
    /// The one whose id begins so.
    Run(&'a str),
    /// The newest one of an environment; `None`: of all.
    Newest(Option<&'a str>),
}

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Its deployer is at work.
    UnderWay,
    /// Its deployer has died, and nobody has gone on with it.
    Unfinished,
    Ended,
}

/// A run, as its journal has it.
#[derive(Debug)]
pub struct WholeRun {
    pub path: PathBuf,
    pub opened: Opened,
    /// Everything after [`Record::Opened`], and when each record was written: RFC 3339, in UTC. `None`: by a build that
    /// noted no times.
    pub records: Vec<(Option<String>, Record)>,
    pub progress: Progress,
    /// The first line that cannot be read, and why. What follows it is in `records` too.
    pub damage: Option<String>,
}

/// Reads one run; `None`: there is none. It changes nothing, and may be called while the run is under way.
///
/// # Errors
/// A run that no journal tells of, or several; a journal that cannot be read.
pub fn whole_run(folder: &Path, choice: Choice) -> Result<Option<WholeRun>> {
    let paths = journals(folder)?;
    match choice {
        Choice::Run(beginning) => {
            let ids: Vec<String> = paths.iter().map(|path| id(path)).collect();
            let found: Vec<String> = ids.into_iter().filter(|id| id.starts_with(beginning)).collect();
            match found.as_slice() {
                [one] => whole(&folder.join(format!("{one}.journal"))),
                [] => Err(anyhow!("no journal of a run {beginning:?}; old journals are removed")),
                several => bail!("the ids of several runs begin with {beginning:?}: {}", some(several, NAMED)),
            }
        }
        Choice::Newest(environment) => {
            let meant = |run: &WholeRun| environment.is_none() || run.opened.environment.as_deref() == environment;
            for path in paths.iter().rev() {
                if let Some(run) = whole(path)?.filter(meant) {
                    return Ok(Some(run));
                }
            }
            Ok(None)
        }
    }
}

/// The id of the newest run that has a journal.
pub fn newest_id(folder: &Path) -> Result<Option<String>> {
    Ok(journals(folder)?.last().map(|path| id(path)))
}

fn id(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The run of one journal; `None` where not even its first line was written.
fn whole(path: &Path) -> Result<Option<WholeRun>> {
    let file = no_links::open_own(path).map_err(|error| Denied::new(path, error));
    let file = file.with_context(|| format!("cannot read {}", path.display()))?;
    // Before it is read: a run that ends meanwhile has ended.
    let is_live = !claim(&file);
    let bytes = read(path)?;
    let Parsed { opened, read } = parse(&bytes);
    let opened = match opened {
        Ok(opened) => *opened,
        Err(Wrong::Blank) => return Ok(None),
        Err(Wrong::Newer(version)) => bail!("{} was written by a newer Hoist ({version})", path.display()),
        Err(Wrong::Damaged(why)) => bail!("{} is damaged: {why}", path.display()),
    };
    let progress = match is_finished(&bytes) {
        true => Progress::Ended,
        false if is_live => Progress::UnderWay,
        false => Progress::Unfinished,
    };
    let ReadRecords { records, later, times, damage, .. } = read;
    let records = times.into_iter().zip(records.into_iter().chain(later)).collect();
    Ok(Some(WholeRun { path: path.to_owned(), opened, records, progress, damage }))
}
