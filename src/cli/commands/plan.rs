//! `hoist plan`.

use std::path::Path;

use crate::cli::out::answer_json;
use crate::cli::render::plan as render;
use crate::cli::show::{Format, Show};
use crate::deploy::{Choice, HostChoice};

use super::deploy::reason;
use super::{Console, ExitCode, Refused, command, operation};

command! {
    /// Show what a deployment would do. Changes nothing.
    #[argh(subcommand, name = "plan", help_triggers("-h", "--help"))]
    pub struct Args {
        /// the revision (default: git_rev, or HEAD)
        #[argh(option, short = 'r', arg_name = "revision")]
        pub rev: Option<String>,

        /// plan to deploy this archive, directory, or URL with #sha256=
        #[argh(option, arg_name = "path")]
        pub artifact: Option<String>,

        /// the commit that the artifact was built from
        #[argh(option, arg_name = "revision")]
        pub source: Option<String>,

        /// write the plan to this file, for `hoist deploy --plan`
        #[argh(option, short = 'o', arg_name = "file")]
        pub output: Option<String>,

        /// plan to pass over health gates, soaks and deployment windows, and say why
        #[argh(option, arg_name = "reason")]
        pub break_glass: Option<String>,

        /// ask the targets what they run, in place of what was last seen
        #[argh(switch)]
        pub ask: bool,

        /// exit with 10, not 0, if a deployment would change something
        #[argh(switch)]
        pub detailed_exitcode: bool,
    } with [limit, stages, answer, settings]
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Refused> {
    let options = args.options()?;
    let limit_hosts = args.limit()?;
    let artifact = operation::ChosenArtifact::of_flags(args.artifact, args.source, args.rev.as_deref())?;
    let choice = Choice {
        rev: args.rev,
        stages: args.stages,
        hosts: HostChoice::matching(limit_hosts),
        break_glass: reason(args.break_glass)?,
        ..Choice::default()
    };
    let console = Console::new("plan", Show::answer(args.format), false);
    let how = operation::PlanOptions { ask: args.ask, output: args.output.as_deref().map(Path::new) };
    let planned = operation::plan(&options, choice, artifact, how, &console)?;
    match args.format {
        Format::Text => drop(render::text(&planned).answer()),
        Format::Json => drop(answer_json(&render::Answer::of(&planned))?),
    }
    let differs = args.detailed_exitcode && planned.outlook.changes_something(&planned.plan);
    Ok(if differs { ExitCode::Changes } else { ExitCode::Success })
}
