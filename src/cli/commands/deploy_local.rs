//! `hoist deploy-local`: the target's side, for a deployer or for a person at the target.

use std::io::IsTerminal;
use std::path::Path;

use crate::cli::flags::global_file;
use crate::cli::values::{duration, flag};
use crate::local;
use crate::local::{Guard, Wanted};

use super::{ExitCode, Refused, operation};

/// Run one stage on a target; used by the deployer, or by hand.
#[derive(Debug, argh::FromArgs, argh::ArgsInfo)]
#[argh(subcommand, name = "deploy-local", help_triggers("-h", "--help"))]
pub struct Args {
    /// the repository's name. With a stage, run that stage; without one, install what the fleet should run.
    /// Without a name, read a request from standard input
    #[argh(option, short = 'r', arg_name = "repository")]
    pub repo: Option<String>,

    /// the directory that contains this host's repositories (default: /srv/deployment)
    #[argh(option, arg_name = "directory", default = "\"/srv/deployment\".into()")]
    pub deploy_dir: String,

    /// use the request in this file instead of the last one that this host received
    #[argh(option, arg_name = "file")]
    pub request: Option<String>,

    /// without a stage: use this git server instead of git_server in the global configuration
    #[argh(option, arg_name = "url")]
    pub server: Option<String>,

    /// without a stage: the group that this host belongs to
    #[argh(option, short = 'g', arg_name = "group")]
    pub group: Option<String>,

    /// guard: wait as long as this until the host may serve
    #[argh(option, arg_name = "duration")]
    pub wait: Option<String>,

    /// guard: confirm what is live, on your own responsibility
    #[argh(switch)]
    pub confirm: bool,

    /// guard: a confirmation does not count for longer than this
    #[argh(option, arg_name = "duration")]
    pub max_age: Option<String>,

    /// guard: keep this file while the host may serve, and remove it otherwise
    #[argh(option, arg_name = "file")]
    pub health_file: Option<String>,

    /// do the work even if it seems to be done already
    #[argh(switch, short = 'f')]
    pub force: bool,

    /// fetch, config_deploy, promote, restart_service, finalize, rollback, undrain or config_diff;
    /// or guard: whether this host may serve
    #[argh(positional)]
    pub stage: Option<String>,
}

/// The word in the place of a stage that asks whether this host may serve.
const GUARD: &str = "guard";

impl Args {
    /// Fails for flags that do not belong together.
    fn check_guard(&self, is_guard: bool) -> Result<(), Refused> {
        let own = [
            (self.wait.is_some(), "--wait"),
            (self.max_age.is_some(), "--max-age"),
            (self.health_file.is_some(), "--health-file"),
            (self.confirm, "--confirm"),
        ];
        let given = |(is_given, flag): &(bool, &'static str)| is_given.then_some(*flag);
        match own.iter().find_map(given).filter(|_| !is_guard) {
            Some(flag) => return Err(Refused::Usage(format!("{flag} is for guard only"))),
            None if !is_guard => return Ok(()),
            None => {}
        }
        if self.force || self.request.is_some() {
            return Err(Refused::Usage("guard takes neither --force nor --request".into()));
        }
        if self.wait.is_some() && self.health_file.is_some() {
            return Err(Refused::not_both("--wait", "--health-file"));
        }
        match &self.health_file {
            Some(file) if !Path::new(file).is_absolute() => {
                Err(Refused::Usage(format!("--health-file {file}: give its absolute path")))
            }
            _ => Ok(()),
        }
    }
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Refused> {
    run_with(args, |repo| operation::url_on_git_server(repo, global_file()))
}

/// Runs the command in the build for targets, which reads no configuration.
pub fn run_on_target(args: Args) -> Result<ExitCode, Refused> {
    run_with(args, |_| operation::url_without_configuration(global_file()))
}

/// `server_of` finds the URL of a repository on the git server of the configuration.
fn run_with(args: Args, server_of: fn(&str) -> Result<Option<String>, Refused>) -> Result<ExitCode, Refused> {
    let deploy_dir = Path::new(&args.deploy_dir);
    if args.stage.is_some() && (args.server.is_some() || args.group.is_some()) {
        return Err(Refused::Usage("--server and --group cannot be combined with a stage".into()));
    }
    let is_guard = args.stage.as_deref() == Some(GUARD);
    args.check_guard(is_guard)?;
    let ok = match (&args.repo, &args.stage) {
        (Some(repo), Some(_)) if is_guard => {
            let asked = Guard {
                repo,
                deploy_dir,
                wait: flag("--wait", &args.wait, duration)?,
                max_age: flag("--max-age", &args.max_age, duration)?,
                health_file: args.health_file.as_deref().map(Path::new),
                confirm: args.confirm,
            };
            local::guard(&asked) == 0
        }
        (Some(repo), Some(stage)) => {
            let stage = stage.parse().map_err(|why: String| Refused::Usage(why))?;
            local::by_hand(repo, deploy_dir, stage, args.force, args.request.as_ref().map(Into::into)) == 0
        }
        (Some(repo), None) => {
            if args.request.is_some() {
                return Err(Refused::Usage("--request needs a stage".into()));
            }
            let server = match &args.server {
                Some(url) => Some(url.clone()),
                None => server_of(repo)?,
            };
            let (server, group) = (server.as_deref(), args.group.as_deref());
            local::install(&Wanted { repo, deploy_dir, server, group, force: args.force }) == 0
        }
        (None, None) if std::io::stdin().is_terminal() => {
            return Err(Refused::Usage("name a repository with --repo, and a stage to run only that".into()));
        }
        (None, None) => local::serve(std::io::stdin(), std::io::stdout()) == 0,
        (None, Some(_)) => return Err(Refused::Usage("a stage needs --repo".into())),
    };
    Ok(if ok { ExitCode::Success } else { ExitCode::Failed })
}
