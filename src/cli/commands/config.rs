//! `hoist config`: every effective value and where it came from.

use crate::cli::out::{Page, answer_json, complain_line};
use crate::cli::show::Format;
use crate::wire::Level;

use super::{ExitCode, Refused, command, operation};

command! {
    /// Show every setting, and the file, line and section that set it.
    #[argh(subcommand, name = "config", help_triggers("-h", "--help"))]
    pub struct Args {
        /// text, or json: one object per key
        #[argh(option, arg_name = "format", default = "Format::Text")]
        pub format: Format,
    } with [settings]
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Refused> {
    let config = operation::load(&args.options()?)?;
    for (level, note) in &config.notes {
        if *level > Level::Debug {
            complain_line(&format!("hoist config: warning: {note}"));
        }
    }
    let values = config.explain();
    let mut page = Page::default();
    let keys = values.iter().map(|it| it.key.len()).max().unwrap_or(0);
    let width = values.iter().map(|it| it.value.len()).filter(|length| *length <= 40).max().unwrap_or(0);
    for it in &values {
        match args.format {
            Format::Text => page.line(format!("{:keys$}  {:width$}  {}", it.key, it.value, it.origin)),
            Format::Json => drop(answer_json(it)?),
        }
    }
    page.answer();
    Ok(ExitCode::Success)
}
