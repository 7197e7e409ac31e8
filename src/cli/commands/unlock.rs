//! `hoist unlock`.

use crate::cli::show::{Format, Show};

use super::{Console, ExitCode, Refused, command, operation};

command! {
    /// Show who holds the locks on targets, and clear stale ones.
    #[argh(subcommand, name = "unlock", help_triggers("-h", "--help"))]
    pub struct Args {
        /// all targets of the configuration
        #[argh(switch)]
        pub all: bool,

        /// also clear the locks of a run that is still running
        #[argh(switch)]
        pub force: bool,

        /// clear without asking; required without a terminal
        #[argh(switch, short = 'y')]
        pub yes: bool,
    } with [settings] then {
        /// these targets: names, groups, globs, ranges web[01:20], !negated, ~regex
        #[argh(positional)]
        pub host: Vec<String>,
    }
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Refused> {
    match (args.all, args.host.is_empty()) {
        (true, false) => return Err(Refused::Usage("hosts and --all cannot be combined".into())),
        (false, true) => return Err(Refused::Usage("name hosts, or use --all".into())),
        _ => {}
    }
    let console = Console::new("unlock", Show::answer(Format::Text), args.yes);
    operation::unlock(&args.options()?, &args.host, args.force, &console)
}
