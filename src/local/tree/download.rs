//! A revision that this host downloads by itself, as an archive.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::artifact::{Patience, download};
use crate::local::fault::Fault;
use crate::local::job::Job;
use crate::local::os::files;
use crate::local::tree::cache;
use crate::local::tree::cache::Supply;
use crate::wire::ArtifactSource;

/// The file in the repository's directory that an archive is downloaded to.
const FILE: &str = "artifact.download";

/// How long no byte may come.
const STALL: Duration = Duration::from_secs(30);

/// Downloads an archive, verifies its digest, and unpacks it into the cache. With `anew`, the cache is made anew.
pub fn bring(job: &Job, source: &ArtifactSource, anew: bool) -> Result<(), Fault> {
    let file = job.layout.root().join(FILE);
    files::make_dir(job.layout.root())?;
    // Of a stage that was killed.
    files::remove_leftover(&file)?;
    let result = fetch(job, source, &file).and_then(|()| {
        let supply = Supply::Archive(&file, &source.rules);
        cache::bring(&job.layout, job.deadline, &job.request.revision, supply, anew, &job.tag())
    });
    let _ = fs::remove_file(&file);
    result
}

fn fetch(job: &Job, source: &ArtifactSource, file: &Path) -> Result<(), Fault> {
    job.out.info(format!("downloading {}", crate::url::place(&source.url)));
    let left = || match job.deadline.check() {
        Ok(()) => Ok(job.deadline.left()),
        Err(fault) => anyhow::bail!("{}", fault.reason()),
    };
    download(source, file, &Patience { left: &left, stall: STALL }).map_err(|error| {
        // What was waited for is in the message.
        Fault::failed(format!("{error:#}"))
    })
}
