//! How a command shows what it does.

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

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Format::Text),
            "json" => Ok(Format::Json),
            _ => Err(format!("unknown format {text:?}: write text or json")),
        }
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
