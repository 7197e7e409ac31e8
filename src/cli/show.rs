//! How a command shows what it does.

use crate::named::named;
use crate::operation::Refused;
use crate::report;
use crate::report::Verbosity;

/// What is shown of a run, and how.
#[derive(Debug, Clone, Copy)]
pub struct Show {
    pub format: report::Format,
    pub verbosity: Verbosity,
}

impl Show {
    /// As the flags of a command say.
    pub fn new(format: report::Format, verbose: bool, quiet: bool) -> Result<Show, Refused> {
        let verbosity = match (verbose, quiet) {
            (true, true) => return Err(Refused::not_both("-v", "-q")),
            (true, false) => Verbosity::Verbose,
            (false, true) => Verbosity::Quiet,
            (false, false) => Verbosity::Normal,
        };
        Ok(Show { format, verbosity })
    }

    /// For a command that answers a question and runs nothing.
    pub fn answer(format: Format) -> Show {
        Show { format: format.into(), verbosity: Verbosity::Normal }
    }
}

named! {
    /// How an answer is written.
    pub enum Format: "format" {
        Text = "text",
        Json = "json",
    }
}

impl From<Format> for report::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Text => report::Format::Text,
            Format::Json => report::Format::Json,
        }
    }
}
