//! `hoist version`.

use crate::cli::out::answer;
use crate::cli::version::version;

use super::{ExitCode, Refused};

/// Print the version, and the commit that Hoist was built from.
#[derive(Debug, argh::FromArgs, argh::ArgsInfo)]
#[argh(subcommand, name = "version", help_triggers("-h", "--help"))]
pub struct Args {}

/// Runs the command.
pub fn run(_: Args) -> Result<ExitCode, Refused> {
    answer(&version());
    Ok(ExitCode::Success)
}
