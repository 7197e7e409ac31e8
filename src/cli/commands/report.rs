//! `hoist report`.

use std::path::Path;

use anyhow::Context;

use crate::cli::out;
use crate::cli::show;
use crate::cli::show::Show;
use crate::files;
use crate::timeline;
use crate::timeline::Format;

use super::{Console, ExitCode, Refused, command, operation};

command! {
    /// Write what happened in a run: as a page for a browser, or as spans of OpenTelemetry.
    #[argh(subcommand, name = "report", help_triggers("-h", "--help"))]
    pub struct Args {
        options {
            /// write to this file; without it, to standard output
            output ('o'): "file",
        }

        /// html: a page; trace: OTLP in JSON
        #[argh(option, arg_name = "format", default = "Format::Html")]
        pub format: Format,
    } with [settings] then {
        /// the id of a run, or the beginning of it (`hoist history` shows them); without it, the newest
        #[argh(positional)]
        pub run: Option<String>,
    }
}

/// Runs the command. It only ever reads.
pub fn run(args: Args) -> Result<ExitCode, Refused> {
    if args.output.is_none() && args.format == Format::Html && out::answers_at_a_terminal() {
        return Err(Refused::Usage("a page is not for a terminal: write -o FILE, or > FILE".into()));
    }
    let console = Console::new("report", Show::answer(show::Format::Text), false);
    let timeline = operation::report(&args.options()?, args.run.as_deref(), &console)?;
    let text = match args.format {
        Format::Html => timeline::html(&timeline),
        Format::Trace => serde_json::to_string(&timeline::trace(&timeline))? + "\n",
    };
    match &args.output {
        Some(file) => files::output::write(Path::new(file), &text).with_context(|| format!("cannot write {file}"))?,
        None => drop(out::answer(&text)),
    }
    Ok(ExitCode::Success)
}
