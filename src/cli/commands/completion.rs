//! `hoist completion`.

use argh::ArgsInfo;
use argh_complete::Generator;
use argh_complete::{bash::Bash, fish::Fish, nushell::Nushell, zsh::Zsh};

use crate::cli::Hoist;
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

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Refused> {
    let hoist = Hoist::get_args_info();
    let script = match args.shell.as_str() {
        "bash" => Bash::generate("hoist", &hoist),
        "zsh" => Zsh::generate("hoist", &hoist),
        "fish" => Fish::generate("hoist", &hoist),
        "nushell" => Nushell::generate("hoist", &hoist),
        other => return Err(Refused::Usage(format!("unknown shell {other:?}: write bash, zsh, fish or nushell"))),
    };
    answer(&script);
    Ok(ExitCode::Success)
}
