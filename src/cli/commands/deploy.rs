//! `hoist deploy`.

use std::time::Duration;

use crate::cli::out::answer_line;
use crate::config::Patience;
use crate::deploy::{Choice, HostChoice, Kind};
use crate::operation::{ChosenArtifact, ChosenPlan, Deployment, Queueing, Refused};

use super::{Console, ExitCode, command, operation};

/// How long `--supersede` waits by itself.
const SUPERSEDE: Patience = Patience { time: Duration::from_secs(60 * 60), says: "--supersede" };

command! {
    /// Deploy a revision to every group of targets, then finalize it or roll it back.
    #[argh(subcommand, name = "deploy", help_triggers("-h", "--help"))]
    pub struct Args {
        options {
            /// the revision to deploy: any name that git knows (default: git_rev, or HEAD)
            rev ('r'): "revision",
            /// deploy this archive, directory, or URL with #sha256=, in place of a revision
            artifact: "path",
            /// the commit that the artifact was built from; it is recorded, not deployed
            source: "revision",
            /// the message, as one value; needed for a word that is also the name of a revision
            message ('m'): "message",
            /// deploy in spite of gates, soaks, windows and earlier rollbacks; the reason is in the log, the tag and the lock
            break_glass: "reason",
            /// deploy exactly what this file of `hoist plan -o` says
            plan: "file",
        }
        switches {
            /// do the work even on targets where the revision is live already
            force ('f'),
            /// show how configuration files would change on each target; changes nothing
            dry_run,
            /// tell nothing to the IRC relay of Scap's keys (tcpircbot_host)
            no_log_message,
            /// wait for a lock, up to an hour without --wait, and give way to a newer revision that waits too
            supersede,
            /// only restart the services
            service_restart,
            /// only prepare the repository for deployments
            init ('i'),
            /// log in with the operator's own agent and keys; ignore ssh_auth_sock and keyholder_key
            no_shared_authsock,
        }

        /// a signature of the plan that does not lie beside it; can be repeated
        #[argh(option, arg_name = "file")]
        pub signature: Vec<String>,
    } with [limit, stages, yes, output, strict, timings, wait, settings] then {
        /// why you deploy; shown in logs, tags and locks
        #[argh(positional, greedy, arg_name = "message")]
        pub words: Vec<String>,
    }
}

/// Runs the command.
pub fn run(mut args: Args) -> Result<ExitCode, Refused> {
    args.refuse_beside_plan()?;
    let console = args.define_flags(&[(args.no_shared_authsock, "ssh_auth_sock:none")]).console("deploy")?;
    console.report_end(deploy(args, &console))
}

fn deploy(args: Args, console: &Console) -> Result<ExitCode, Refused> {
    let mut options = args.options_and_wait()?;
    let limit_hosts = args.limit()?;
    if args.init {
        let others = [
            ("--artifact", args.artifact.is_some()),
            ("--stages", args.stages.is_some()),
            ("--break-glass", args.break_glass.is_some()),
            ("--force", args.force),
            ("--dry-run", args.dry_run),
            ("--supersede", args.supersede),
            ("--service-restart", args.service_restart),
        ];
        if let Some((flag, _)) = others.iter().find(|(_, is_given)| *is_given) {
            return Err(Refused::not_both(flag, "--init"));
        }
        let ready = operation::init(&options, args.rev.as_deref(), limit_hosts.as_deref(), console)?;
        let (repo, targets, groups) = (ready.repo, ready.targets, ready.groups);
        answer_line(&format!(
            "{repo} is ready: {targets} targets in {groups} groups; `{}` shows what a deployment would do",
            options.invocation.command("plan")
        ));
        return Ok(ExitCode::Success);
    }
    let artifact = ChosenArtifact::of_flags(args.artifact, args.source, args.rev.as_deref())?;
    if args.service_restart && artifact.is_some() {
        return Err(Refused::not_both("--artifact", "--service-restart"));
    }
    let break_glass = reason(args.break_glass)?;
    let kind = match (args.dry_run, args.service_restart) {
        (true, true) => return Err(Refused::not_both("--dry-run", "--service-restart")),
        (true, false) => Kind::DryRun,
        (false, true) => Kind::ServiceRestart,
        (false, false) => Kind::Deploy,
    };
    let queueing = match (args.supersede, options.patience) {
        (true, _) if kind != Kind::Deploy => {
            let other = if args.dry_run { "--dry-run" } else { "--service-restart" };
            return Err(Refused::not_both("--supersede", other));
        }
        (true, _) => Queueing::GivesWay,
        (false, Some(_)) => Queueing::Waits,
        (false, None) => Queueing::No,
    };
    if args.supersede {
        options.patience.get_or_insert(SUPERSEDE);
    }
    let choice = Choice {
        break_glass,
        rev: args.rev,
        stages: args.stages,
        hosts: HostChoice::matching(limit_hosts),
        force: args.force,
        kind,
    };
    let is_message = args.message.is_some();
    let message = match args.message {
        Some(_) if !args.words.is_empty() => {
            return Err(Refused::Usage("the message is given twice, with -m and as arguments: use one of them".into()));
        }
        Some(message) => message,
        None => args.words.join(" "),
    };
    let no_log_message = args.no_log_message;
    let signatures = args.signature.into_iter().map(Into::into).collect();
    let plan = args.plan.map(|file| ChosenPlan { file: file.into(), signatures });
    let wanted = Deployment { choice, artifact, message, is_message, no_log_message, queueing, plan };
    operation::deploy(&options, wanted, console)
}

/// The reason of `--break-glass`.
pub fn reason(given: Option<String>) -> Result<Option<String>, Refused> {
    let reason = given.map(|reason| reason.trim().to_owned());
    if reason.as_deref() == Some("") {
        return Err(Refused::Usage("--break-glass: say why".into()));
    }
    Ok(reason)
}

impl Args {
    /// A plan says all that is deployed, and how.
    fn refuse_beside_plan(&self) -> Result<(), Refused> {
        let fixed = [
            ("--rev", self.rev.is_some()),
            ("--artifact", self.artifact.is_some()),
            ("--source", self.source.is_some()),
            ("--stages", self.stages.is_some()),
            ("--groups", self.groups.is_some()),
            ("--limit-hosts", self.limit_hosts.is_some()),
            ("--config", self.config.is_some()),
            ("--environment", self.environment.is_some()),
            ("--define", !self.define.is_empty()),
            ("--break-glass", self.break_glass.is_some()),
            ("--force", self.force),
            ("--dry-run", self.dry_run),
            ("--service-restart", self.service_restart),
            ("--init", self.init),
        ];
        match (&self.plan, fixed.iter().find(|(_, is_given)| *is_given)) {
            (Some(_), Some((flag, _))) => Err(Refused::Usage(format!(
                "{flag} cannot be combined with --plan, which says exactly what is deployed: give it to `hoist plan -o`"
            ))),
            (None, _) if !self.signature.is_empty() => {
                Err(Refused::Usage("--signature is of a plan: name it with --plan".into()))
            }
            _ => Ok(()),
        }
    }
}
