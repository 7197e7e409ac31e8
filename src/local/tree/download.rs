//! A revision that this host downloads by itself, as an archive.

use std::time::Duration;

use crate::artifact::{Downloaded, Patience, download};
use crate::local::fault::Fault;
use crate::local::job::Job;
use crate::local::os::files;
use crate::local::tree::cache;
use crate::local::tree::cache::Supply;
use crate::wire::ArtifactSource;

/// How long no byte may come.
const STALL: Duration = Duration::from_secs(30);

/// Downloads an archive, verifies its digest, and unpacks it into the cache. With `anew`, the cache is made anew.
pub fn bring(job: &Job, source: &ArtifactSource, anew: bool) -> Result<(), Fault> {
    files::make_dir(job.layout.root())?;
    let supply = Supply::Archive(fetch(job, source)?, &source.rules);
    cache::bring(&job.layout, job.deadline, &job.request.revision, supply, anew, &job.tag())
}

fn fetch(job: &Job, source: &ArtifactSource) -> Result<Downloaded, Fault> {
    job.out.info(format!("downloading {}", crate::url::place(&source.url)));
    let left = || match job.deadline.check() {
        Ok(()) => Ok(job.deadline.left()),
        Err(fault) => anyhow::bail!("{}", fault.reason()),
    };
    download(source, job.layout.root(), &Patience { left: &left, stall: STALL }).map_err(|error| {
        // What was waited for is in the message.
        Fault::failed(format!("{error:#}"))
    })
}
