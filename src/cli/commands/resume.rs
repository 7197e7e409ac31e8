//! `hoist resume`.

use super::{Console, ExitCode, Refused, command, operation};

command! {
    /// Continue a deployment that was interrupted.
    #[argh(subcommand, name = "resume", help_triggers("-h", "--help"))]
    pub struct Args {
    } with [yes, output, settings]
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Refused> {
    let console = Console::new("resume", args.show()?, args.yes);
    operation::resume(&args.options()?, &console)
}
