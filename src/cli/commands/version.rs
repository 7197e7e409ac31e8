//! `hoist version`.

use crate::cli::out::answer;
use crate::cli::version::version;

use super::{ExitCode, Refused, command};

command! {
    /// Print the version, and the commit that Hoist was built from.
    #[argh(subcommand, name = "version", help_triggers("-h", "--help"))]
    pub struct Args {} with [answer]
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Refused> {
    answer(&version(args.format));
    Ok(ExitCode::Success)
}
