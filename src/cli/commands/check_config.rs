//! `hoist check-config`: every mistake of the configuration at once.

use crate::cli::flags::{command, options};
use crate::cli::out::{Ci, Marker, answer_json, mark};
use crate::cli::render::check_config as render;
use crate::cli::show::Format;
use crate::config;
use crate::operation;
use crate::wire::Level;

use super::{ExitCode, Refused};

command! {
    /// Show all mistakes in the configuration at once, without connecting to any host.
    #[argh(subcommand, name = "check-config", help_triggers("-h", "--help"))]
    pub struct Args {
        /// also show details for troubleshooting
        #[argh(switch, short = 'v')]
        pub verbose: bool,

        /// check this environment only (default: the repository without an environment, and each environment)
        #[argh(option, short = 'e', arg_name = "environment")]
        pub environment: Option<String>,
    } with [answer, config, define]
}

/// Runs the command. It connects nowhere and touches nothing.
pub fn run(args: Args) -> Result<ExitCode, Refused> {
    let options = options(args.config.as_deref(), &args.define, args.environment.as_deref())?;
    let mut checked = operation::check_config(&options)?;
    let least = if args.verbose { Level::Debug } else { Level::Info };
    checked.remarks.retain(|remark| remark.severity >= least);
    match args.format {
        Format::Text => {
            render::text(&checked).answer();
            annotate(&checked);
        }
        Format::Json => drop(answer_json(&render::Answer::of(&checked))?),
    }
    Ok(if checked.mistakes.is_empty() { ExitCode::Success } else { ExitCode::Usage })
}

/// Has the CI system show mistakes and warnings in the files that they are in.
fn annotate(checked: &config::Checked) {
    let ci = Ci::of_environment();
    let warnings = checked.remarks.iter().filter(|remark| remark.severity >= Level::Warning);
    for problem in checked.mistakes.iter().chain(warnings) {
        let (is_error, text) = (problem.is_mistake(), &problem.to_string());
        let marker = match &problem.file {
            Some(file) => Marker::FileAnnotation { is_error, file, line: problem.line, text },
            None => Marker::Annotation { is_error, title: "hoist check-config", text },
        };
        mark(marker, ci);
    }
}
