//! `hoist rollback`.

use super::{Console, ExitCode, Refused, command, operation};

command! {
    /// Undo an unfinished deployment, or return every target to the previous revision.
    #[argh(subcommand, name = "rollback", help_triggers("-h", "--help"))]
    pub struct Args {
        /// the revision to go back to, which targets must still have (default: the previous one)
        #[argh(option, arg_name = "revision")]
        pub to: Option<String>,
    } with [yes, output, settings]
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Refused> {
    let console = Console::new("rollback", args.show()?, args.yes);
    operation::rollback(&args.options()?, args.to.as_deref(), &console)
}
