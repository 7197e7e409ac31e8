//! `hoist rollback`.

use super::{Console, ExitCode, Refused, command, operation};

command! {
    /// Go back: undo an unfinished deployment, or take every target to the revision before the deployed one.
    #[argh(subcommand, name = "rollback", help_triggers("-h", "--help"))]
    pub struct Args {
        /// the revision to go back to, which targets have kept (default: the one deployed before)
        #[argh(option, arg_name = "revision")]
        pub to: Option<String>,
    } with [yes, output, settings]
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Refused> {
    let console = Console::new("rollback", args.show()?, args.yes);
    operation::rollback(&args.options()?, args.to.as_deref(), &console)
}
