//! `hoist check-config`: every mistake of the configuration at once.

use crate::cli::flags::{command, options};
use crate::cli::out::answer_json;
use crate::cli::render::check_config as render;
use crate::cli::show::Format;
use crate::config;
use crate::wire::Level;

use super::{ExitCode, Refused};

command! {
    /// Read everything that a deployment would read, and show every mistake in it; connects nowhere.
    #[argh(subcommand, name = "check-config", help_triggers("-h", "--help"))]
    pub struct Args {
        /// also show remarks that are only of interest when something is odd
        #[argh(switch, short = 'v')]
        pub verbose: bool,

        /// this environment alone (default: the repository as it stands, and each of its environments)
        #[argh(option, short = 'e', arg_name = "environment")]
        pub environment: Option<String>,
    } with [answer, config, define]
}

/// Runs the command. It connects nowhere and touches nothing.
pub fn run(args: Args) -> Result<ExitCode, Refused> {
    let options = options(args.config.as_deref(), &args.define, args.environment.as_deref())?;
    let mut checked = config::check(&options)?;
    let least = if args.verbose { Level::Debug } else { Level::Info };
    checked.remarks.retain(|remark| remark.severity >= least);
    match args.format {
        Format::Text => drop(render::text(&checked).answer()),
        Format::Json => drop(answer_json(&render::Answer::of(&checked))?),
    }
    Ok(if checked.mistakes.is_empty() { ExitCode::Success } else { ExitCode::Usage })
}
