//! `hoist history`.

use crate::cli::out::answer_json;
use crate::cli::render::history as render;
use crate::cli::show::{Format, Show};
use crate::cli::values::flag;
use crate::config;

use super::{Console, ExitCode, Refused, command, operation};

/// Deployments that are shown unless `-n` says otherwise.
const SHOWN: usize = 20;

command! {
    /// Show the last deployments: when, who, which revision, how each ended, and why it was made.
    #[argh(subcommand, name = "history", help_triggers("-h", "--help"))]
    pub struct Args {
        /// the number of deployments to show (default: 20)
        #[argh(option, short = 'n', arg_name = "number")]
        pub number: Option<String>,
    } with [answer, settings]
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Refused> {
    let most = flag("--number", &args.number, |text| config::values::number(text, 1))?.unwrap_or(SHOWN);
    let console = Console::new("history", Show::answer(args.format), false);
    let history = operation::history(&args.options()?, most, &console)?;
    match args.format {
        Format::Text => drop(render::text(&history).answer()),
        Format::Json => drop(answer_json(&render::json(&history))?),
    }
    Ok(ExitCode::Success)
}
