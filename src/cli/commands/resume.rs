//! `hoist resume`.

use super::{Console, ExitCode, Refused, command, operation};

command! {
    /// Continue a deployment that was interrupted.
    #[argh(subcommand, name = "resume", help_triggers("-h", "--help"))]
    pub struct Args {
    } with [yes, output, strict, wait, settings]
}

/// Runs the command.
pub fn run(mut args: Args) -> Result<ExitCode, Refused> {
    args.define_strict();
    let console = Console::new("resume", args.show()?, args.yes);
    operation::resume(&args.options_and_wait()?, &console)
}
