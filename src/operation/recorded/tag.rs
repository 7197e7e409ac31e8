//! The deployment's tag in the repository.

use anyhow::Result;

use crate::config::Config;
use crate::deploy::Prepared;
use crate::fleet::{Call, Fleet, Flow, HostEvent, OnceCall, OnceObserver, Step, Task};
use crate::once::OnceEnd;
use crate::repo::{Repo, TaggedRun, Tags, describing, operator};

/// A fleet that leaves the deployment's tag in the repository just before the first host is touched.
pub struct TaggingFleet<'a, F> {
    inner: F,
    config: &'a Config,
    repo: &'a Repo,
    prepared: &'a Prepared,
    /// Why there is no tag. A deployment does not fail for it.
    remark: Option<String>,
    done: bool,
}

impl<'a, F> TaggingFleet<'a, F> {
    /// The fleet of a run that leaves its tag in `repo`.
    pub fn new(inner: F, config: &'a Config, repo: &'a Repo, prepared: &'a Prepared) -> TaggingFleet<'a, F> {
        TaggingFleet { inner, config, repo, prepared, remark: None, done: false }
    }

    /// What the operator should know of the tag, once the run is over.
    pub fn remark(self) -> Option<String> {
        self.remark
    }

    fn tag(&mut self) -> Result<()> {
        let TaggingFleet { config, repo, prepared, .. } = self;
        let plan = &prepared.plan;
        let tags = Tags::new(repo, &config.control_name);
        // An artifact is not in the repository: its tag names the commit that it was made from, if that is known.
        let Some(commit) = plan.commit() else { return Ok(()) };
        anyhow::ensure!(
            !repo.has(std::slice::from_ref(commit))?.is_empty(),
            "the deploy host no longer has {}, only the targets do",
            commit.short()
        );
        anyhow::ensure!(!repo.is_artifact(commit), "{} is an artifact, and nothing says of what", commit.short());
        let of = TaggedRun { run: plan.run.as_str(), environment: config.environment.as_deref() };
        let (tag, count) = tags.tag(&crate::clock::date(), commit, &plan.message, &operator(), of)?;
        prepared.requests.set_tag(&tag);
        if plan.brings_code() {
            prepared.requests.set_describing(describing(repo, &plan.revision)?);
        }
        if prepared.requests.by_server() || config.is_known_to_scap() {
            tags.update_server_info(&prepared.requests.parts().submodules)?;
        }
        if count > config.settings.tags_to_keep {
            tags.prune(config.settings.tags_to_keep)?;
        }
        Ok(())
    }
}

impl<F: Fleet> Fleet for TaggingFleet<'_, F> {
    fn run(&mut self, call: &Call, tasks: &[Task], on: &mut dyn FnMut(Vec<HostEvent>) -> Flow) {
        let deploys = self.prepared.plan.kind.changes_revision();
        let touches = matches!(call.step, Step::Run(_)) && !call.recover && deploys;
        if touches && !self.done {
            self.done = true;
            self.remark = self.tag().err().map(|error| format!("no deployment tag: {error:#}"));
        }
        self.inner.run(call, tasks, on);
    }

    fn run_once(&mut self, call: &OnceCall, on: &mut OnceObserver) -> OnceEnd {
        self.inner.run_once(call, on)
    }
}
