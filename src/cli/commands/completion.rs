//! `hoist completion`.

use argh::ArgsInfo;
use argh_complete::Generator;
use argh_complete::nushell::Nushell;

use crate::cli::Hoist;
use crate::cli::complete::SHELLS;
use crate::cli::out::answer;

use super::{ExitCode, Refused};

/// Print a completion script for a shell.
#[derive(Debug, argh::FromArgs, argh::ArgsInfo)]
#[argh(subcommand, name = "completion", help_triggers("-h", "--help"))]
pub struct Args {
    /// bash, zsh, fish or nushell
    #[argh(positional)]
    pub shell: String,
}

/// Runs the command. The scripts of the first three ask `hoist complete`, and so know names of hosts and revisions.
pub fn run(args: Args) -> Result<ExitCode, Refused> {
    let script = match args.shell.as_str() {
        "bash" => include_str!("../shells/hoist.bash").to_owned(),
        "zsh" => include_str!("../shells/hoist.zsh").to_owned(),
        "fish" => include_str!("../shells/hoist.fish").to_owned(),
        "nushell" => Nushell::generate("hoist", &Hoist::get_args_info()),
        other => return Err(Refused::Usage(format!("unknown shell {other:?}: choose from {}", SHELLS.join(", ")))),
    };
    answer(&script);
    Ok(ExitCode::Success)
}
