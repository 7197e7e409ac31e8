//! `hoist stats`.

use crate::cli::out::answer_json;
use crate::cli::render::stats as render;
use crate::cli::show::{Format, Show};
use crate::cli::values::span;

use super::{Console, ExitCode, Refused, command, operation};

command! {
    /// Show figures of past deployments: how often, how many failed, how long rollbacks took, what is slow.
    #[argh(subcommand, name = "stats", help_triggers("-h", "--help"))]
    pub struct Args {
        options {
            /// only the runs that began after this: an age such as 90d, a date, or a date with a time
            since: "time",
            /// only the runs that began before this; a date includes its day
            until: "time",
        }
        switches {}
    } with [answer, settings]
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Refused> {
    let span = span(&args.since, &args.until)?;
    let console = Console::new("stats", Show::answer(args.format), false);
    let stats = operation::stats(&args.options()?, span, &console)?;
    match args.format {
        Format::Text => drop(render::text(&stats).answer()),
        Format::Json => drop(answer_json(&render::json(&stats))?),
    }
    Ok(ExitCode::Success)
}
