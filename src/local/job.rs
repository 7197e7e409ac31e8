//! What every stage works with.

use std::fs;
use std::io::Read;
use std::path::Path;

use crate::wire::{DrainOn, Revision, RunId, Secrets, StageRequest};

use crate::local::drain::Deployer;
use crate::local::fault::{Fault, no_thread};
use crate::local::os::deadline::Deadline;
use crate::local::os::files;
use crate::local::out::Out;
use crate::local::shared::Shared;
use crate::local::state::layout::{Layout, Link};
use crate::local::state::links;

/// One stage's request, and the means to carry it out.
#[derive(Clone)]
pub struct Job {
    pub request: StageRequest,
    /// The variables of `vars_command`; `None`: nobody sent them.
    pub secrets: Option<Secrets>,
    pub layout: Layout,
    pub out: Out,
    pub deadline: Deadline,
    /// The lease of the request's run ran out: it is rolled back here, and may still go forward again.
    pub after_lease: bool,
    /// The deployer that asked for the stage; `None`: it is not asked for anything.
    pub deployer: Option<Deployer>,
}

impl Job {
    /// The same with a deployer at the other end of the input, where that may be needed.
    ///
    /// # Errors
    /// There is no thread to hear it with.
    pub fn with_deployer(&self, input: Box<dyn Read + Send>) -> Result<Job, Fault> {
        let is_needed = self.request.drain.as_ref().is_some_and(|drain| drain.on == DrainOn::DeployHost);
        let deployer = is_needed.then(|| Deployer::at(input)).transpose();
        let deployer = deployer.map_err(no_thread)?;
        Ok(Job { deployer, ..self.clone() })
    }

    /// Makes a link lead to a revision.
    pub fn point(&self, link: Link, revision: &Revision) -> Result<(), Fault> {
        self.make_way(&self.layout.link(link))?;
        self.layout.point(link, revision)
    }

    /// Names the request's revision as done, which is no longer in progress then.
    pub fn finish(&self) -> Result<(), Fault> {
        for link in [Link::Done, Link::InProgress] {
            self.make_way(&self.layout.link(link))?;
        }
        self.layout.finish(&self.request.revision)
    }

    /// Removes a link.
    pub fn remove(&self, link: Link) -> Result<(), Fault> {
        self.make_way(&self.layout.link(link))?;
        self.layout.remove(link)
    }

    /// Sets aside what stands in the place of a link and is none: a restored backup may have followed it.
    pub fn make_way(&self, link: &Path) -> Result<(), Fault> {
        if fs::symlink_metadata(link).is_ok_and(|found| !found.is_symlink()) {
            let aside = files::set_aside(link)?;
            self.out.warn(format!("{} was not a link; it was renamed to {}", link.display(), aside.display()));
        }
        Ok(())
    }

    /// Part of the names of what this process prepares: no other process ever uses them.
    pub fn tag(&self) -> String {
        tag(&self.request.header.holder.run)
    }

    /// The absolute configuration files that are linked at promote, sorted: those of the request, or for a revision that
    /// is gone back to, those that its tree holds.
    pub fn linked_files(&self) -> Vec<String> {
        if self.request.kept {
            return links::stored(&self.layout, &self.request.revision);
        }
        let files = self.request.config_files.iter().flatten().map(|file| file.path.clone());
        let mut linked: Vec<String> = files.filter(|path| path.starts_with('/')).collect();
        linked.sort();
        linked.dedup();
        linked
    }

    /// The shared content of the repository.
    pub fn shared(&self) -> Shared<'_> {
        Shared { layout: &self.layout, out: &self.out, deadline: self.deadline }
    }

    /// `repo:shortened revision`, for lines.
    pub fn name(&self, revision: &Revision) -> String {
        self.layout.name(revision)
    }
}

/// Part of the names of what this process prepares for a run.
pub fn tag(run: &RunId) -> String {
    format!("{run}-{}", std::process::id())
}
