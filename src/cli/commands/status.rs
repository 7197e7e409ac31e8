//! `hoist status`.

use crate::cli::out::answer_json;
use crate::cli::render::status as render;
use crate::cli::show::{Format, Show};
use crate::operation::{Look, Refused};
use crate::targets::limit_to;

use super::{Console, ExitCode, command, operation};

command! {
    /// Show what every target runs, what it should run, and when it last answered.
    #[argh(subcommand, name = "status", help_triggers("-h", "--help"))]
    pub struct Args {
        /// connect to no target; show the last known state
        #[argh(switch)]
        pub offline: bool,

        /// check that the live revision has all its files on every target
        #[argh(switch)]
        pub verify: bool,
    } with [limit, answer, settings] then {
        /// only these targets, as with -l
        #[argh(positional)]
        pub host: Vec<String>,
    }
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Refused> {
    let look = match (args.offline, args.verify) {
        (true, true) => return Err(Refused::not_both("--verify", "--offline")),
        (true, false) => Look::Offline,
        (false, true) => Look::Verify,
        (false, false) => Look::Ask,
    };
    let limit_hosts = match (&args.limit_hosts, args.host.is_empty()) {
        (Some(_), false) => {
            return Err(Refused::Usage(
                "hosts are given twice, with -l and as arguments: use one of \
                 them"
                    .into(),
            ));
        }
        (None, false) => limit_to(Some(&args.host.join(",")), args.groups.as_deref()).map_err(Refused::new)?,
        (_, true) => args.limit()?,
    };
    let console = Console::new("status", Show::answer(args.format), false);
    let status = operation::status(&args.options()?, limit_hosts.as_deref(), look, &console)?;
    match args.format {
        Format::Text => drop(render::text(&status).answer()),
        Format::Json => drop(answer_json(&render::Answer::of(&status))?),
    }
    Ok(if status.is_ok() { ExitCode::Success } else { ExitCode::Failed })
}
