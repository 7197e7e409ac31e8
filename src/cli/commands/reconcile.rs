//! `hoist reconcile`.

use super::{Console, ExitCode, Refused, command, operation};

command! {
    /// Bring targets that missed a deployment to the revision that the others run.
    #[argh(subcommand, name = "reconcile", help_triggers("-h", "--help"))]
    pub struct Args {
    } with [limit, yes, output, settings]
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Refused> {
    let console = Console::new("reconcile", args.show()?, args.yes);
    operation::reconcile(&args.options()?, args.limit_hosts.as_deref(), &console)
}
