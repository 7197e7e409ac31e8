//! `hoist resume`.

use super::{Console, ExitCode, Refused, command, operation};

command! {
    /// Go on with a deployment whose deployer died or was stopped, from where it was.
    #[argh(subcommand, name = "resume", help_triggers("-h", "--help"))]
    pub struct Args {
    } with [yes, output, settings]
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Refused> {
    let console = Console::new("resume", args.show()?, args.yes);
    operation::resume(&args.options()?, &console)
}
