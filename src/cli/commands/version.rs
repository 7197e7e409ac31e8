//! `hoist version`.

use crate::cli::argv;
use crate::cli::out::answer;

use super::{ExitCode, Refused};

/// Print the version.
#[derive(Debug, argh::FromArgs, argh::ArgsInfo)]
#[argh(subcommand, name = "version", help_triggers("-h", "--help"))]
pub struct Args {}

/// Runs the command.
pub fn run(_: Args) -> Result<ExitCode, Refused> {
    answer(&argv::version());
    Ok(ExitCode::Success)
}
