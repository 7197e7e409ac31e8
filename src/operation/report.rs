//! One run, as its journal and its log tell it.

use crate::config::{Config, Options};
use crate::files::ownership::Denied;
use crate::journal;
use crate::journal::Choice;
use crate::report::{LogFile, Logged, RunTimings, read_log};
use crate::timeline::{Since, Timeline};
use crate::wire::RunId;

use super::{Frontend, Refused, load_telling, repository, state_folder};

/// Commits that are named between two revisions.
const COMMITS: usize = 50;

/// Revisions that were live on different hosts, and are compared.
const REVISIONS: usize = 3;

/// Puts together what is known of a run: the one whose id begins so, or the newest of the environment. It changes
/// nothing, and may be called while the run is under way.
pub fn report(options: &Options, run: Option<&str>, front: &dyn Frontend) -> Result<Timeline, Refused> {
    let config = load_telling(options, front)?;
    let mut timeline = timeline(&config, run)?;
    timeline.commits = commits(&config, &timeline);
    Ok(timeline)
}

/// Where the time of a run's hosts went, by [`report`]'s choice of the run, and the run's id.
///
/// # Errors
/// No such run, and one in which nothing was measured.
pub fn run_timings(options: &Options, run: Option<&str>, front: &dyn Frontend) -> Result<(RunId, RunTimings), Refused> {
    let config = load_telling(options, front)?;
    let timeline = timeline(&config, run)?;
    let run = &timeline.plan().run;
    let Some(timings) = timeline.timings() else {
        return Err(Refused::new(format!(
            "run {run} did not measure where the time went: --timings has a run do so, and the key timings all of them"
        )));
    };
    Ok((run.clone(), timings.clone()))
}

/// The newest run, of whichever environment, that has a journal, where its log is missing: that was not written, or removed.
///
/// # Errors
/// The journals cannot be listed.
pub fn newest_without_log(config: &Config) -> Result<Option<String>, Refused> {
    let newest = journal::newest_id(&state_folder(config))?;
    let has_log = |id: &String| LogFile::folder_of(&config.control).join(format!("hoist-{id}.log")).exists();
    Ok(newest.filter(|id| !has_log(id)))
}

/// What journal and log tell.
fn timeline(config: &Config, run: Option<&str>) -> Result<Timeline, Refused> {
    let choice = match run {
        Some(beginning) => Choice::Run(beginning),
        None => Choice::Newest(config.environment.as_deref()),
    };
    let history = config.invocation.command("history");
    let run = journal::whole_run(&state_folder(config), choice).map_err(|error| match error.is::<Denied>() {
        true => error.into(),
        false => Refused::new(format!("{error:#}; `{history}` shows the runs")),
    })?;
    let Some(run) = run else {
        let whose = config.environment.as_ref().map(|name| format!(" of environment {name}")).unwrap_or_default();
        return Err(Refused::new(format!("no journal of any run{whose}: nothing has been deployed yet")));
    };
    let log = log_of(config, &run.opened.plan.run);
    Ok(Timeline::new(run, log))
}

fn log_of(config: &Config, run: &RunId) -> Result<Vec<Logged>, String> {
    let path = LogFile::path_of(&config.control, run);
    let shown = path.strip_prefix(&config.top).unwrap_or(&path).display();
    let mut events = Vec::new();
    read_log(&path, &mut |logged| events.push(logged)).map_err(|error| {
        format!("The log {shown} cannot be read ({error}): remarks are missing here, and some times may be.")
    })?;
    Ok(events)
}

/// How the revision of a run stands to what was live before.
fn commits(config: &Config, timeline: &Timeline) -> Vec<Since> {
    let to = &timeline.plan().revision;
    let repo = repository(config);
    let since = |(from, hosts)| {
        let repo = repo.as_ref().map_err(|error| format!("{error:#}"));
        let distance = repo.and_then(|repo| repo.distance(&from, to, COMMITS).map_err(|error| format!("{error:#}")));
        Since { from, hosts, distance }
    };
    timeline.live_before().into_iter().take(REVISIONS).map(since).collect()
}
