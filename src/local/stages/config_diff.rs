//! The stage `config_diff`: what the configuration files would change. Writes nothing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use similar::TextDiff;

use crate::wire::{CheckPoint, ConfigFile, Stage, TargetEvent};

use super::checks;
use super::render;
use crate::local::fault::{Fault, Tried};
use crate::local::job::Job;
use crate::local::state::layout::Link;
use crate::paths;

/// Renders every file and shows how it differs from the one that is live now.
pub fn run(job: &Job) -> Result<(), Fault> {
    let revision = &job.request.revision;
    checks::run(job, CheckPoint::Before(Stage::ConfigDiff), revision)?;
    let files = job.request.config_files.as_deref().unwrap_or_default();
    for (file, new) in files.iter().zip(render::all(job, files)?) {
        job.deadline.check()?;
        let old = match live(job, file)? {
            Some(path) => read(&path)?,
            None => String::new(),
        };
        if old == new {
            job.out.info(format!("{} would not change", file.path));
            continue;
        }
        let (from, to) = (format!("{} (live)", file.path), format!("{} ({})", file.path, revision.short()));
        let diff = TextDiff::from_lines(&old, &new).unified_diff().header(&from, &to).to_string();
        job.out.event(&TargetEvent::Diff { file: file.path.clone(), diff });
    }
    checks::run(job, CheckPoint::After(Stage::ConfigDiff), revision)
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
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).tried("read", path),
    }
}
