//! `hoist plan`.

use crate::cli::out::answer_json;
use crate::cli::render::plan as render;
use crate::cli::show::{Format, Show};
use crate::deploy::{Choice, HostChoice};

use super::{Console, ExitCode, Refused, command, operation};

command! {
    /// Show what a deployment would do, without connecting to any host.
    #[argh(subcommand, name = "plan", help_triggers("-h", "--help"))]
    pub struct Args {
        /// the revision (default: git_rev, or HEAD)
        #[argh(option, short = 'r', arg_name = "revision")]
        pub rev: Option<String>,
    } with [limit, stages, answer, settings]
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Refused> {
    let options = args.options()?;
    let limit_hosts = args.limit()?;
    let choice =
        Choice { rev: args.rev, stages: args.stages, hosts: HostChoice::matching(limit_hosts), ..Choice::default() };
    let plan = operation::plan(&options, choice, &Console::new("plan", Show::answer(args.format), false))?;
    match args.format {
        Format::Text => drop(render::text(&plan).answer()),
        Format::Json => drop(answer_json(&render::Answer::of(&plan))?),
    }
    Ok(ExitCode::Success)
}
