//! `hoist unlock`.

use crate::cli::show::{Format, Show};

use super::{Console, ExitCode, Refused, command, operation};

command! {
    /// Show whose locks are on targets, and clear those that are dead.
    #[argh(subcommand, name = "unlock", help_triggers("-h", "--help"))]
    pub struct Args {
        /// every target of the configuration
        #[argh(switch)]
        pub all: bool,

        /// clear locks of a run that is still under way, too
        #[argh(switch)]
        pub force: bool,

        /// clear without asking; needed where there is no terminal
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
    if args.all != args.host.is_empty() {
        return Err(Refused::Usage("name hosts, or all of them with --all".into()));
    }
    let console = Console::new("unlock", Show::answer(Format::Text), args.yes);
    operation::unlock(&args.options()?, &args.host, args.force, &console)
}
