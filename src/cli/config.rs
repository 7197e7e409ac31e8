//! `hoist config`: every effective value and where it came from.

use crate::exit_code::ExitCode;

use super::args;
use super::out::{Page, answer_json, complain_line};
use super::{Refused, load};

/// Runs the command.
pub fn run(args: args::Config) -> Result<ExitCode, Refused> {
    let config = load(args.config.as_deref(), &args.define, args.environment.as_deref())?;
    for (level, note) in &config.notes {
        if *level > crate::wire::Level::Debug {
            complain_line(&format!("hoist config: warning: {note}"));
        }
    }
    let values = config.explain();
    let mut page = Page::default();
    let keys = values.iter().map(|it| it.key.len()).max().unwrap_or(0);
    let width = values.iter().map(|it| it.value.len()).filter(|length| *length <= 40).max().unwrap_or(0);
    for it in &values {
        match args.format {
            args::Format::Text => page.line(format!("{:keys$}  {:width$}  {}", it.key, it.value, it.origin)),
            args::Format::Json => drop(answer_json(it)?),
        }
    }
    page.answer();
    Ok(ExitCode::Success)
}
