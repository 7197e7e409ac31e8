//! The stage `config_diff`: what the configuration files would change. Writes nothing.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use similar::{ChangeTag, TextDiff};

use crate::files::no_links;
use crate::wire::{CheckPoint, ConfigFile, Stage, TargetEvent};

use super::checks;
use super::render;
use super::render::Content;
use super::rendered::MODE;
use crate::local::fault::{Fault, Tried};
use crate::local::job::Job;
use crate::local::os::sys;
use crate::local::state::layout::Link;
use crate::local::state::rights::Rights;
use crate::paths;
use crate::text::counted;

/// Everybody may read a file.
const ALL_READ: u32 = 0o004;

/// Renders every file and shows how it differs from the one that is live now.
pub fn run(job: &Job) -> Result<(), Fault> {
    let revision = &job.request.revision;
    checks::run(job, CheckPoint::Before(Stage::ConfigDiff), revision)?;
    let files = job.request.config_files.as_deref().unwrap_or_default();
    for (file, new) in files.iter().zip(render::all(job, files)?) {
        job.deadline.check()?;
        compare(job, file, &new)?;
    }
    checks::run(job, CheckPoint::After(Stage::ConfigDiff), revision)
}

fn compare(job: &Job, file: &ConfigFile, Content { text: new, is_secret }: &Content) -> Result<(), Fault> {
    let path = &file.path;
    let rights = Rights::of(file, *is_secret, job.deadline.at());
    let rights = rights.map_err(|why| Fault::failed(format!("configuration file {path}: {why}")))?;
    let rights = Rights { mode: rights.mode.or_else(|| Some(MODE & !sys::umask())), ..rights };
    let old_place = live(job, file)?;
    let found = old_place.as_ref().and_then(|place| fs::metadata(place).ok());
    let new_rights = found.as_ref().and_then(|found| rights.differ(found));
    let old = old_place.map_or_else(|| Ok(String::new()), |place| read(&place))?;
    if let Some(new_rights) = &new_rights {
        job.out.info(format!("{path} would change: {new_rights}"));
    }
    // What few may read now may contain secrets, whatever is configured.
    let is_closed = found.is_some_and(|found| found.permissions().mode() & ALL_READ == 0);
    if old == *new {
        if new_rights.is_none() {
            job.out.info(format!("{path} would not change"));
        }
    } else if *is_secret || is_closed {
        let diff = TextDiff::from_lines(&old, new);
        let count = |tag| counted(diff.iter_all_changes().filter(|change| change.tag() == tag).count(), "line");
        let (removed, added) = (count(ChangeTag::Delete), count(ChangeTag::Insert));
        job.out
            .info(format!("{path} would change: {removed} removed, {added} added, not shown since they may be secret"));
    } else {
        let (from, to) = (format!("{path} (live)"), format!("{path} ({})", job.request.revision.short()));
        let diff = TextDiff::from_lines(&old, new).unified_diff().header(&from, &to).to_string();
        job.out.event(&TargetEvent::Diff { file: path.clone(), diff });
    }
    Ok(())
}

/// The file that the service reads now; `None` when nothing is live.
fn live(job: &Job, file: &ConfigFile) -> Result<Option<PathBuf>, Fault> {
    let path = Path::new(&file.path);
    let plain = if path.is_absolute() { paths::is_plain_absolute(path) } else { paths::is_plain_relative(&file.path) };
    if !plain {
        return Err(Fault::failed(format!("config file {:?} is not a plain path; correct it", file.path)));
    }
    if path.is_absolute() {
        return Ok(Some(path.to_owned()));
    }
    Ok(job.layout.read(Link::Current).map(|current| job.layout.rev(&current).join(path)))
}

fn read(path: &Path) -> Result<String, Fault> {
    match no_links::read_other(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).tried("read", path),
    }
}
