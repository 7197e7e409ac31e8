//! `hoist hooks`.

use crate::cli::out::answer_json;
use crate::cli::render::hooks as render;
use crate::cli::show::{Format, Show};

use super::{Console, ExitCode, Refused, command, operation};

command! {
    /// List who is told of deployments, or send each a sample.
    #[argh(subcommand, name = "hooks", help_triggers("-h", "--help"))]
    pub struct Args {
        /// send each hook a marked sample of every event that it is told
        #[argh(switch)]
        pub test: bool,
    } with [answer, settings] then {
        /// just these hooks
        #[argh(positional)]
        pub hook: Vec<String>,
    }
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Refused> {
    let (options, console) = (args.options()?, Console::new("hooks", Show::answer(args.format), false));
    let hooks = operation::hooks(&options, &args.hook, args.test, &console)?;
    match args.format {
        Format::Text => drop(render::text(&hooks).answer()),
        Format::Json => drop(answer_json(&render::Answer::of(&hooks))?),
    }
    let failed = hooks.iter().flat_map(|hook| &hook.tried).any(|tried| tried.failed.is_some());
    Ok(if failed { ExitCode::Failed } else { ExitCode::Success })
}
