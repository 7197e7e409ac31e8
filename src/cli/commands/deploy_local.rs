//! `hoist deploy-local`: the target's side, for a deployer or for a person at the target.

use std::io::IsTerminal;
use std::path::Path;

use crate::cli::flags::global_file;
use crate::local;
use crate::local::Wanted;

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

    /// do the work even if it seems to be done already
    #[argh(switch, short = 'f')]
    pub force: bool,

    /// fetch, config_deploy, promote, restart_service, finalize, rollback, undrain or config_diff
    #[argh(positional)]
    pub stage: Option<String>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Refused> {
    let deploy_dir = Path::new(&args.deploy_dir);
    if args.stage.is_some() && (args.server.is_some() || args.group.is_some()) {
        return Err(Refused::Usage("--server and --group cannot be combined with a stage".into()));
    }
    let ok = match (&args.repo, &args.stage) {
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
                None => operation::url_on_git_server(repo, global_file())?,
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
