//! `hoist reconcile`.

use super::{Console, ExitCode, Refused, command, operation};

command! {
    /// Bring the targets that a deployment went through without to the revision that they missed.
    #[argh(subcommand, name = "reconcile", help_triggers("-h", "--help"))]
    pub struct Args {
    } with [limit, yes, output, settings]
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Refused> {
    let console = Console::new("reconcile", args.show()?, args.yes);
    operation::reconcile(&args.options()?, args.limit()?.as_deref(), &console)
}
