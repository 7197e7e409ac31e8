//! `hoist deploy`: from the command line to the first contact.

use crate::config::Config;
use crate::deploy;
use crate::deploy::Choice;
use crate::exit_code::ExitCode;
use crate::repo::{Repo, Tags};
use crate::report::LogFile;

use super::args;
use super::console::Console;
use super::out::complain;
use super::session::{Show, lock};
use super::{Refused, fresh, interlocks, load};

/// Runs the command.
pub fn run(mut args: args::Deploy) -> Result<ExitCode, Refused> {
    if args.no_shared_authsock {
        // As a definition it is in the journal too, so that `hoist resume` logs in as this command did.
        args.define.push("ssh_auth_sock:none".into());
    }
    let show = Show::of("deploy", args.format, args.verbose, args.quiet)?;
    let mut config = load(args.config.as_deref(), &args.define, args.environment.as_deref())?;
    if args.no_log_message {
        config.forgo_announcements();
    }
    let repo = Repo::open(&config.top)?;
    if args.init {
        return init(&config, &repo, &args);
    }
    interlocks::check("deploy", &config)?;
    if !args.dry_run {
        Console::check("deploy", args.yes)?;
    }
    let message = message(&config, &args);
    let long = deploy::long_message(&message);
    let holder = deploy::holder(message)?;
    let mut prepared = deploy::prepare(&config, &repo, &choice(&args), &holder)?;
    prepared.notes.extend(long);
    let ssh = super::ssh::prepare(&config, prepared.plan.targets().map(|(_, target)| target))?;
    let _lock = lock(&config, &holder)?;
    if let Some(code) = fresh::refuse_unfinished("deploy", &config)? {
        return Ok(code);
    }
    let chosen = fresh::Chosen { config_file: args.config.as_deref(), defines: &args.define };
    fresh::carry_out(&config, &repo, &prepared, ssh, chosen, show, args.yes)
}

/// Why something is deployed. In a repository of Scap's somebody at a terminal who did not say it is asked, as Scap asks.
fn message(config: &Config, args: &args::Deploy) -> String {
    let message = args.message.join(" ");
    let deploys = !args.dry_run && !args.service_restart;
    match message.trim().is_empty() && deploys && !args.yes && config.is_scaps() {
        true => Console::ask_line("Why is this deployed? A line for the log, or just Enter:"),
        false => message,
    }
}

fn choice(args: &args::Deploy) -> Choice {
    Choice {
        rev: args.rev.clone(),
        stages: args.stages.clone(),
        limit_hosts: args.limit_hosts.clone(),
        force: args.force,
        dry_run: args.dry_run,
        service_restart: args.service_restart,
        ..Choice::default()
    }
}

/// `--init`: what a deployment needs in the repository, and no deployment.
fn init(config: &Config, repo: &Repo, args: &args::Deploy) -> Result<ExitCode, Refused> {
    let pattern = super::reconcile::limit(args.limit_hosts.as_deref())?;
    let revision = repo.resolve(args.rev.as_deref().unwrap_or(&config.settings.git_rev))?;
    let (groups, notes) = config.groups(pattern.as_ref())?;
    for (_, note) in notes {
        complain(&format!("hoist deploy: {note}"));
    }
    LogFile::prepare(&config.control)?;
    let parts = deploy::parts(config, repo, &revision)?;
    if config.git_server().is_some() || config.is_known_to_scap() {
        Tags::new(repo, &config.control_name).update_server_info(&parts.submodules)?;
    }
    let targets: usize = groups.iter().map(|group| group.targets.len()).sum();
    super::out::answer_line(&format!(
        "{} is ready: {targets} targets in {} groups; `hoist plan` shows what a deployment would do",
        config.settings.git_repo,
        groups.len()
    ));
    Ok(ExitCode::Success)
}
