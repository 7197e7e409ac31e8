//! `build_command`: makes the artifact of a commit, once, on the deploy host.

mod workspace;

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{FlockOperation, flock};

use crate::artifact;
use crate::clock;
use crate::config::{Build, Config};
use crate::deploy;
use crate::deploy::{Choice, Deployed, Prepared};
use crate::once::OnceEnd;
use crate::repo::{ArtifactStore, BUILDS, MISLEADING, Repo};
use crate::report::Event;
use crate::subprocess;
use crate::subprocess::{Limits, Stream};
use crate::text::counted;
use crate::wire::{ArtifactRules, Holder, Level, Line, Origin, OriginKind, Revision, Stage};

use super::artifact::tell_imported;
use super::{Frontend, Refused};
use workspace::Workspace;

/// What the build is called in events.
const NAME: &str = "build_command";

/// Lines of output that are told; more is no help to anybody.
const TOLD: usize = 20_000;
/// Lines that the error of a failed build repeats.
const REPEATED: usize = 10;

/// Builds what the plan is about, if that is not built yet, and prepares the run anew. Whatever it tells, nothing has been
/// touched on any target.
///
/// # Errors
/// The build failed, or what it made cannot be deployed.
pub fn built(
    config: &Config,
    repo: &Repo,
    (choice, holder): (&mut Choice, &Holder),
    mut prepared: Prepared,
    tell: &mut dyn FnMut(Event),
    front: &dyn Frontend,
) -> Result<Prepared, Refused> {
    let Some(build) = &config.settings.build else { return Ok(prepared) };
    let Some(origin) = deploy::unbuilt(&prepared.plan).cloned() else {
        let known = prepared.plan.origin.as_deref().filter(|it| it.kind == OriginKind::Build);
        prepared.notes.extend(known.map(|it| {
            let when = clock::local_with_zone(&it.at);
            (Level::Info, format!("{it}: already built by {} on {when}, and not built again", it.by))
        }));
        return Ok(prepared);
    };
    if !prepared.plan.stages.iter().any(|it| it.stage == Stage::Fetch) {
        return Err(Refused::new(format!(
            "--stages: {} is not built, so no target has it: deploy it with the fetch stage",
            prepared.plan.revision.short()
        )));
    }
    let began = Instant::now();
    let place = config.place_of(NAME);
    let builder = Builder { config, repo, build, origin: &origin, front };
    let revision = builder.build(tell).with_context(|| format!("nothing was touched: {NAME} ({place})"))?;
    choice.rev = Some(revision.to_string());
    let mut prepared = deploy::prepare(config, repo, choice, &Deployed::default(), holder)?;
    let took = began.elapsed().as_secs();
    prepared.notes.push((Level::Info, format!("{origin} with `{}` in {took} s", build.command)));
    Ok(prepared)
}

struct Builder<'a> {
    config: &'a Config,
    repo: &'a Repo,
    build: &'a Build,
    /// That of the artifact that is made.
    origin: &'a Origin,
    front: &'a dyn Frontend,
}

impl Builder<'_> {
    fn build(&self, tell: &mut dyn FnMut(Event)) -> Result<Revision> {
        let store = self.repo.artifacts_to_write()?;
        let _lock = self.lock(&store)?;
        let inputs = self.origin.inputs.as_deref().context("a build without inputs")?;
        if let Some(noted) = store.noted(BUILDS, inputs) {
            return Ok(noted.revision);
        }
        let commit = self.origin.source.as_ref().context("a build of no commit")?;
        let workspace = Workspace::create()
            .with_context(|| format!("cannot create a directory in {}", std::env::temp_dir().display()))?;
        let revision = self.build_in(&workspace, &store, (commit, inputs), tell);
        if let Some(left) = workspace.close() {
            let left = left.display();
            self.front.tell(&format!("warning: the directory of the build could not be removed: remove {left}"));
        }
        revision
    }

    fn build_in(
        &self,
        workspace: &Workspace,
        store: &ArtifactStore,
        (commit, inputs): (&Revision, &str),
        tell: &mut dyn FnMut(Event),
    ) -> Result<Revision> {
        let tree = workspace.tree();
        let wanted = deploy::wanted_of_subdir(self.config);
        self.repo.check_out(commit, wanted, &tree).context("cannot check it out")?;
        let folder = self.config.settings.subdir.as_ref().map_or_else(|| tree.clone(), |subdir| tree.join(subdir));
        self.run(workspace, &folder, commit, tell)?;
        let output = self.output(&tree, &folder)?;
        let settings = &self.config.settings;
        let rules = ArtifactRules {
            strip_components: 0,
            max_bytes: settings.artifact_max_size,
            outside_links: settings.artifact_outside_links,
        };
        let name = &self.build.output;
        let imported = artifact::import(&output, store.git_dir(), &rules, &|| Ok(()));
        let imported = imported.with_context(|| format!("build_output: {name}"))?;
        let revision = store.revision_of_tree(&imported.tree)?;
        store.record(&revision, self.origin)?;
        store.note(BUILDS, inputs, &revision.clone().into())?;
        tell_imported(name, &revision, &imported.summary, self.front);
        Ok(revision)
    }

    /// Two deployers build one after the other, whichever locks they deploy with.
    fn lock(&self, store: &ArtifactStore) -> Result<File> {
        let folder = store.notes(BUILDS)?;
        let lock = File::open(&folder).with_context(|| format!("cannot open {}", folder.display()))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            self.front.tell("note: waiting for another build of this repository on this host");
            flock(&lock, FlockOperation::LockExclusive)?;
        }
        Ok(lock)
    }

    /// Runs the command; its output is told.
    fn run(&self, workspace: &Workspace, folder: &Path, commit: &Revision, tell: &mut dyn FnMut(Event)) -> Result<()> {
        let Build { command: line, timeout, .. } = self.build;
        let mut command = workspace.shell(line);
        command.current_dir(folder).env("HOIST_REPO", &self.config.settings.git_repo);
        command.env("HOIST_REVISION", commit.as_str());
        for name in MISLEADING {
            command.env_remove(name);
        }
        let (name, on) = (NAME.to_owned(), "the deploy host".to_owned());
        tell(Event::OnceStarted { name: name.clone(), on: on.clone(), undo: false, irreversible: false });
        let began = Instant::now();
        // An interrupt ends this process, and with it the build.
        let limits = Limits { until: began + *timeout, is_over: &|| false, kill_leftovers: true };
        let (mut count, mut last) = (0, Vec::new());
        let status = subprocess::run(&mut command, &limits, &mut |stream, message| {
            count += 1;
            let level = if stream == Stream::Stderr { Level::Warning } else { Level::Info };
            if last.len() == REPEATED {
                last.remove(0);
            }
            last.push(format!("\n  {message}"));
            if count <= TOLD {
                let line = Line { level, message };
                tell(Event::OnceLine { name: name.clone(), on: on.clone(), line });
            }
        });
        if let left @ 1.. = count.saturating_sub(TOLD) {
            let note = format!("{NAME}: {} of output are left out", counted(left, "more line"));
            tell(Event::note(Level::Warning, note));
        }
        let status = status.with_context(|| format!("cannot run /bin/sh in {}", folder.display()))?;
        let failed = match status {
            None => Some(format!("not over after {} (build_timeout), and killed", clock::lasting(*timeout))),
            Some(status) if status.success() => None,
            Some(status) => Some(how(status)),
        };
        let end = failed.clone().map_or(OnceEnd::Done, |reason| OnceEnd::Failed { reason });
        tell(Event::OnceEnded { name, on, undo: false, end, seconds: began.elapsed().as_secs_f64() });
        match failed {
            None => Ok(()),
            Some(how) => bail!("`{line}` failed: {how}{}", last.concat()),
        }
    }

    /// The directory with the output, without links.
    fn output(&self, tree: &Path, folder: &Path) -> Result<PathBuf> {
        let Build { command, output, .. } = self.build;
        let place = folder.join(output);
        let Ok(real) = place.canonicalize() else {
            bail!("`{command}` made no directory {output} (build_output)");
        };
        ensure!(
            real.starts_with(tree) && real != *tree,
            "build_output: {output} leads out of the checkout, to {}",
            real.display()
        );
        ensure!(fs::metadata(&real)?.is_dir(), "build_output: {output} is a file: name the directory that it is in");
        Ok(real)
    }
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, signal) => format!("killed by signal {}", signal.unwrap_or_default()),
    }
}
