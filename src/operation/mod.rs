//! What the commands do, whoever calls for it: deploying with a journal, ending what another deployer began, the way
//! back, the state of the fleet, locks, commands on hosts.
//!
//! An operation takes what the command line chose of the configuration, and what is asked of it. It asks and tells
//! through a [`Frontend`], and ends with a status or with [`Refused`]. It reads no flags and opens no standard stream.

mod admission;
mod announce;
mod artifact;
mod build;
mod check_config;
mod command;
mod deploy;
mod distance;
mod elsewhere;
mod frontend;
mod gates;
mod history;
mod hooks;
mod host_history;
mod hosts;
mod install;
mod interlocks;
mod kept;
mod lists_since;
mod lock;
mod locking;
mod names;
mod new_config;
mod past_runs;
mod past_steps;
mod plan;
mod previous;
mod reconcilable;
mod reconcile;
mod recorded;
mod refused;
mod report;
mod repository;
mod resume;
mod rollback;
mod shrinkage;
mod signatures;
mod ssh;
mod standing;
mod stats;
mod status;
mod turn;
mod unlock;
mod way_back;

use std::path::PathBuf;

use crate::config::{Config, Note, Options};
use crate::fleet_state::{Damaged, FleetState};
use crate::journal;
use crate::journal::History;
use crate::targets::HostPattern;
use crate::text::meant_or_known;

pub use artifact::ChosenArtifact;
pub use check_config::check_config;
pub use command::{Command, Hosts, Overrides, command_line};
pub use deploy::{ChosenPlan, Deployment, Ready, deploy, init};
pub use frontend::Frontend;
pub use gates::{Backtest, GateAnswer, PastAnswer, backtest, gates};
pub use history::{Deployed, FailedHosts, history};
pub use hooks::{ListedHook, Tried, hooks};
pub use host_history::{Arrival, HostTimeline, How, Stay, host_history};
pub use hosts::{HostList, hosts};
pub use install::{url_on_git_server, url_without_configuration};
pub use kept::{Kept, KeptOn, KeptRevisions, kept};
pub use lock::{LockAnnounced, LockScope};
pub use names::{Names, deployed, names};
pub use new_config::{Answers, Written, new_config, unconfigured};
pub use past_runs::{Span, Wanted, WantedResult};
pub use past_steps::StepTried;
pub use plan::{Change, Estimate, Outlook, PlanOptions, Planned, PlannedGate, Steps, Transfer, plan};
pub use reconcile::{AstrayHost, ReconcilePreview, reconcile, reconcile_preview};
pub use refused::Refused;
pub use report::{newest_without_log, report, run_timings};
use repository::repository;
pub use resume::resume;
pub use rollback::{Back, Preview, rollback, rollback_preview};
pub use standing::Standing;
pub use stats::{LeftOut, Spread, Stats, stats};
pub use status::{Look, Skew, Status, View, status};
pub use turn::Queueing;
pub use unlock::unlock;
pub use way_back::{Described, WayBack, Why};

/// The configuration of the repository that the operation is for.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(options: &Options) -> Result<Config, Refused> {
    let config = Config::load(options)?;
    // What this host writes, journals, logs and tags, is for the operators that targets' files are for, whatever the
    // shell of whoever calls it says.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(config.settings.umask));
    Ok(config)
}

/// The same, for a command that shows no remarks on the configuration: those on what the command line defines are told.
///
/// # Errors
/// Those of [`load`].
pub fn load_telling(options: &Options, front: &dyn Frontend) -> Result<Config, Refused> {
    let config = load(options)?;
    for remark in config.remarks_on_definitions() {
        front.tell(&format!("warning: {remark}"));
    }
    Ok(config)
}

/// The same, for a command that shows what journals tell. Warns too where they lie in another control folder.
///
/// # Errors
/// Those of [`load`].
fn load_for_journals(options: &Options, front: &dyn Frontend) -> Result<Config, Refused> {
    let config = load_telling(options, front)?;
    config.warning_of_state().into_iter().for_each(|why| front.tell(&format!("warning: {why}")));
    Ok(config)
}

/// Where the journals of a repository lie.
fn state_folder(config: &Config) -> PathBuf {
    config.control.join("state")
}

/// What the journals tell of deployments of the repository in this environment.
///
/// # Errors
/// A folder that cannot be read.
fn past_deployments(config: &Config) -> anyhow::Result<History> {
    journal::history(&state_folder(config), &config.settings.git_repo, config.environment.as_deref())
}

/// What is remembered of the targets of the repository.
///
/// # Errors
/// Those of [`FleetState::load`]; of a damaged file with the command that gets past it.
fn memory(config: &Config) -> anyhow::Result<FleetState> {
    FleetState::load(&state_folder(config), &config.settings.git_repo).map_err(|error| match error.is::<Damaged>() {
        true => {
            let status = config.invocation.command("status");
            anyhow::anyhow!("{error:#}: `{status}` renames it and starts a new one")
        }
        false => error,
    })
}

/// The pattern of `--limit-hosts`.
fn limit(text: Option<&str>) -> Result<Option<HostPattern>, Refused> {
    text.map(str::parse::<HostPattern>).transpose().map_err(|why| Refused::new(format!("--limit-hosts: {why}")))
}

/// The entries of a configuration file that have these names, or all where none is given. Remarks on them are told.
/// `what` an entry is called: `gate`.
///
/// # Errors
/// A name that no entry has.
fn chosen<T>(
    what: &str,
    (mut entries, notes): (Vec<T>, Vec<Note>),
    name_of: impl Fn(&T) -> &String,
    names: &[String],
    front: &dyn Frontend,
) -> Result<Vec<T>, Refused> {
    for (_, note) in notes {
        front.tell(&format!("warning: {note}"));
    }
    let known: Vec<String> = entries.iter().map(&name_of).cloned().collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        let meant = meant_or_known(unknown, &format!("{what}s"), &known);
        return Err(Refused::new(format!("unknown {what} {unknown:?}{meant}")));
    }
    entries.retain(|entry| names.is_empty() || names.contains(name_of(entry)));
    Ok(entries)
}
