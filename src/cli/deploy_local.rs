//! `hoist deploy-local`: the target's side, for a deployer or for a person at the target.

use std::io::IsTerminal;
use std::path::Path;

use crate::config::{Config, Options};
use crate::exit_code::ExitCode;
use crate::local;
use crate::local::Wanted;

use super::{Refused, args};

/// Runs the command.
pub fn run(args: args::DeployLocal) -> Result<ExitCode, Refused> {
    let deploy_dir = Path::new(&args.deploy_dir);
    if args.stage.is_some() && (args.server.is_some() || args.group.is_some()) {
        return Err(Refused::usage("deploy-local", "--server and --group are for an installation, without a stage"));
    }
    let ok = match (&args.repo, &args.stage) {
        (Some(repo), Some(stage)) => {
            let stage = stage.parse().map_err(|why: String| Refused::usage("deploy-local", &why))?;
            local::by_hand(repo, deploy_dir, stage, args.force, args.request.as_ref().map(Into::into)) == 0
        }
        (Some(repo), None) => {
            if args.request.is_some() {
                return Err(Refused::usage("deploy-local", "--request goes with a stage"));
            }
            let server = match &args.server {
                Some(url) => Some(url.clone()),
                None => server(repo)?,
            };
            let (server, group) = (server.as_deref(), args.group.as_deref());
            local::install(&Wanted { repo, deploy_dir, server, group, force: args.force }) == 0
        }
        (None, None) if std::io::stdin().is_terminal() => {
            return Err(Refused::usage(
                "deploy-local",
                "name a repository: --repo REPOSITORY, and a stage if it is one",
            ));
        }
        (None, None) => local::serve(std::io::stdin(), std::io::stdout()) == 0,
        (None, Some(_)) => return Err(Refused::usage("deploy-local", "a stage goes with --repo")),
    };
    Ok(if ok { ExitCode::Success } else { ExitCode::Failed })
}

/// The repository on the git server that this host's global configuration names, if it names one.
fn server(repo: &str) -> Result<Option<String>, Refused> {
    let options = Options {
        start: "/".into(),
        defines: vec!["fetch_from:server".into()],
        global_file: std::env::var_os("HOIST_GLOBAL_CONFIG").map(Into::into),
        repo_optional: true,
        ..Options::default()
    };
    let config = Config::load(&options)?;
    let settings = &config.settings;
    Ok(config.git_server().map(|server| format!("{}://{server}/{repo}/.git", settings.git_scheme)))
}
