//! A deployment, from what was asked for to the first contact.

use std::path::PathBuf;

use crate::config::{Config, Options};
use crate::deploy;
use crate::deploy::{Choice, Deployed, HostChoice, Kind, Prepared};
use crate::exit_code::ExitCode;
use crate::fleet::ssh::Ssh;
use crate::invocation::Invocation;
use crate::repo::{Repo, Tags};
use crate::report::{LogFile, Reporter, Tee};
use crate::text::quoted;
use crate::wire::{Holder, Level};

use super::admission;
use super::artifact::{ChosenArtifact, take};
use super::build::built;
use super::elsewhere::count_elsewhere;
use super::names::misplaced;
use super::plan::{PlanFile, refuse_changed};
use super::recorded::{begin, refuse_unfinished};
use super::signatures::SignedPlan;
use super::turn::{Queueing, Turn, deployed_since, superseded, take_turn};
use super::{
    Frontend, Refused, interlocks, limit, load, load_telling, past_deployments, repository, shrinkage, signatures, ssh,
};

/// What is to be deployed.
#[derive(Debug)]
pub struct Deployment {
    pub choice: Choice,
    /// Why; empty where nobody said it.
    pub message: String,
    /// Whether the message was given as such. Without that, a message of one word that names a revision, a group, a host or
    /// an environment is refused: it is more likely to be what should be deployed, or where.
    pub is_message: bool,
    /// Scap's tcpircbot is told nothing.
    pub no_log_message: bool,
    pub queueing: Queueing,
    /// What is deployed in place of a revision.
    pub artifact: Option<ChosenArtifact>,
    /// A plan file to deploy; what it fixes is not in `choice`.
    pub plan: Option<ChosenPlan>,
}

/// A plan file, and files of signatures that do not lie beside it.
#[derive(Debug)]
pub struct ChosenPlan {
    pub file: PathBuf,
    pub signatures: Vec<PathBuf>,
}

/// Deploys.
pub fn deploy(options: &Options, wanted: Deployment, front: &dyn Frontend) -> Result<ExitCode, Refused> {
    let Deployment { choice, artifact, mut message, is_message, no_log_message, queueing, plan } = wanted;
    let fixed = plan.as_ref().map(|plan| PlanFile::read(&plan.file)).transpose()?;
    let (options, mut choice) = match &fixed {
        Some((file, _)) => file.apply(options, choice)?,
        None => (options.clone(), choice),
    };
    let options = &options;
    let config = load(options)?;
    let signed = plan.iter().zip(&fixed).next().map(|(ChosenPlan { file: path, signatures }, (file, bytes))| {
        file.refuse_other_repo(path, &config.settings.git_repo)?;
        Ok::<_, Refused>(SignedPlan { path, bytes, signatures })
    });
    let signed = signed.transpose()?;
    let repo = repository(&config)?;
    if !is_message && choice.kind != Kind::ServiceRestart {
        refuse_name(&config, &repo, &message, choice.rev.as_deref())?;
    }
    interlocks::check(&config, front)?;
    let mut signers = signatures::check(&config, &choice, signed.as_ref())?;
    if choice.kind != Kind::DryRun {
        front.can_ask()?;
    }
    // Scap asks too.
    if message.trim().is_empty()
        && choice.kind != Kind::DryRun
        && choice.kind != Kind::ServiceRestart
        && config.is_scaps()
    {
        message = front.ask_line("Why is this deployed? One line for the log, or Enter:");
    }
    // Whoever reads the message, in a lock, a tag or a log, reads it.
    if let Some(reason) = &choice.break_glass {
        message = format!("{message} [break glass: {reason}]").trim_start().to_owned();
    }
    let long = deploy::long_message(&message);
    let mut holder = deploy::holder(message)?;
    let mut taken = artifact.iter().map(|it| take(&config, &repo, it, &mut choice, front)).next().transpose()?;
    let mut ready = Wanted::prepare(config, repo, &choice, &holder)?;
    let plan = &ready.prepared.plan;
    let _locks = match take_turn(&ready.config, &ready.repo, (plan, &choice), queueing, &mut holder, front)? {
        Turn::Locked(held) => held,
        Turn::Superseded(by) => return Ok(superseded(plan, &by, front)),
    };
    if holder.run != plan.run {
        // Another run was ahead: branches, files and hosts may be others now.
        let before = plan.revision.clone();
        if let Some(artifact) = &artifact {
            // The run that was ahead may have dropped it.
            taken = Some(take(&ready.config, &ready.repo, artifact, &mut choice, front)?);
        }
        let config = load(options)?;
        let repo = repository(&config)?;
        ready = Wanted::prepare(config, repo, &choice, &holder)?;
        signers = signatures::check(&ready.config, &choice, signed.as_ref())?;
        let (short, now) = (before.short(), &ready.prepared.plan.revision);
        if before != *now {
            front.tell(&format!("note: meanwhile, {} takes the place of {short}", now.short()));
        }
    }
    let Wanted { mut config, repo, mut prepared, ssh } = ready;
    if no_log_message {
        config.forgo_hook("tcpircbot");
    }
    refuse_unfinished(options, &config, front)?;
    if queueing == Queueing::GivesWay
        && let Some(by) = deployed_since(&config, &repo, &prepared.plan)?
    {
        return Ok(superseded(&prepared.plan, &by, front));
    }
    if deploy::unbuilt(&prepared.plan).is_some() {
        admission::ahead_of_build(&config, &repo, &prepared.plan, front)?;
    }
    let log = || LogFile::open(&config.control, &holder.run, config.settings.journals_to_keep);
    let mut report = None;
    let mut tell = |event| {
        report.get_or_insert_with(|| Tee::new(vec![front.reporter(), Box::new(log())])).event(&event);
    };
    prepared = built(&config, &repo, (&mut choice, &holder), prepared, &mut tell, front)?;
    drop(report);
    prepared.set_artifact(taken.and_then(|taken| taken.source));
    prepared.notes.extend(long);
    prepared.plan.signed_by = signers.names;
    prepared.notes.extend(signers.remarks.into_iter().map(|remark| (Level::Warning, remark)));
    prepared.notes.extend(admission::check(&config, &repo, &prepared.plan, front)?);
    // A plan and a pattern say which hosts are meant.
    if matches!(choice.hosts, HostChoice::All) && choice.kind.changes_revision() && choice.break_glass.is_none() {
        shrinkage::check(&config, front)?;
    }
    if let (Some((file, _)), Some(signed)) = (&fixed, &signed) {
        refuse_changed(file, signed.path, &config, &prepared, front)?;
    }
    count_elsewhere(&config, &mut prepared, &[], front)?;
    begin(&config, &repo, &prepared, ssh, options, front)
}

/// What was asked for, found in the configuration and the repository.
struct Wanted {
    config: Config,
    repo: Repo,
    prepared: Prepared,
    ssh: Ssh,
}

impl Wanted {
    fn prepare(config: Config, repo: Repo, choice: &Choice, holder: &Holder) -> Result<Wanted, Refused> {
        let deployed = deployed_before(&config, choice)?;
        let prepared = deploy::prepare(&config, &repo, choice, &deployed, holder)?;
        signatures::check_revision(&config, &repo, &prepared.plan)?;
        let ssh = ssh::prepare(&config, prepared.plan.targets().map(|(_, target)| target))?;
        Ok(Wanted { config, repo, prepared, ssh })
    }
}

/// What was deployed before, for a run that may be about the last of it.
pub fn deployed_before(config: &Config, choice: &Choice) -> Result<Deployed, Refused> {
    if choice.rev.is_some() || (choice.kind == Kind::Deploy && choice.stages.is_none()) {
        return Ok(Deployed::default());
    }
    let history = past_deployments(config)?;
    let mut not_these = history.undone();
    if choice.kind == Kind::ServiceRestart {
        let all = history.runs.iter().map(|past| &past.revision);
        not_these.extend(all.filter(|revision| history.was_only_fetched(revision)).cloned());
    }
    let last = history.last_but(&not_these).cloned();
    Ok(Deployed { not_these, last })
}

/// Refuses a message of one word that names something else: without the flag for that, something else would be deployed,
/// or to other hosts.
fn refuse_name(config: &Config, repo: &Repo, message: &str, rev: Option<&str>) -> Result<(), Refused> {
    let word = message.trim();
    if word.is_empty() || word.contains(char::is_whitespace) {
        return Ok(());
    }
    let is_revision = rev.is_none() && repo.resolve(word).is_ok();
    let Some((what, flag)) = is_revision.then_some(("a revision", "-r")).or_else(|| misplaced(config, word)) else {
        return Ok(());
    };
    let invocation = &config.invocation;
    let rev = rev.map(|rev| format!(" -r {}", quoted(rev))).unwrap_or_default();
    let to = if flag == "-r" { "to deploy it" } else { "to deploy there" };
    let deploy = match flag {
        // In place of the one that was named.
        "-e" => Invocation { environment: None, ..invocation.clone() }.command(&format!("deploy{rev} -e {word}")),
        _ => invocation.command(&format!("deploy{rev} {flag} {word}")),
    };
    Err(Refused::Usage(format!(
        "{word:?} is the name of {what}, but this argument is the message: {to}, run `{deploy}`; if it is the \
         message, run `{}`",
        invocation.command(&format!("deploy{rev} -m {word}"))
    )))
}

/// A repository that is ready for deployments.
#[derive(Debug)]
pub struct Ready {
    pub repo: String,
    pub targets: usize,
    pub groups: usize,
}

/// Makes what a deployment of `rev` needs in the repository, and deploys nothing.
pub fn init(
    options: &Options,
    rev: Option<&str>,
    limit_hosts: Option<&str>,
    front: &dyn Frontend,
) -> Result<Ready, Refused> {
    let config = load_telling(options, front)?;
    let repo = repository(&config)?;
    let pattern = limit(limit_hosts)?;
    let revision = repo.resolve(rev.unwrap_or(&config.settings.git_rev))?;
    let (groups, notes) = config.groups(pattern.as_ref())?;
    for (_, note) in notes {
        front.tell(&note);
    }
    LogFile::prepare(&config.control)?;
    let parts = deploy::parts(&config, &repo, &revision)?;
    if config.git_server().is_some() || config.is_known_to_scap() {
        Tags::new(&repo, &config.control_name).update_server_info(&parts.submodules)?;
    }
    let targets = groups.iter().map(|group| group.targets.len()).sum();
    Ok(Ready { repo: config.settings.git_repo.clone(), targets, groups: groups.len() })
}
