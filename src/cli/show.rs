//! How a command shows what it does.

use log::LevelFilter;

use crate::operation::Refused;
use crate::report::Verbosity;

/// What is shown of a run, and how.
#[derive(Debug, Clone, Copy)]
pub struct Show {
    pub format: Format,
    pub verbosity: Verbosity,
}

impl Show {
    /// As the flags of a command say. From now on remarks from the depths of the program are shown too, on standard error.
    /// `HOIST_LOG` chooses others than `-v` and `-q` do, in env_logger's notation: `debug`, `hoist::fleet=trace`.
    pub fn new(format: Format, verbose: bool, quiet: bool) -> Result<Show, Refused> {
        let (verbosity, level) = match (verbose, quiet) {
            (true, true) => return Err(Refused::Usage("-v and -q exclude each other".into())),
            (true, false) => (Verbosity::Verbose, LevelFilter::Debug),
            (false, true) => (Verbosity::Quiet, LevelFilter::Error),
            (false, false) => (Verbosity::Normal, LevelFilter::Warn),
        };
        crate::terminal::log_to_stderr(level);
        Ok(Show { format, verbosity })
    }

    /// For a command that answers a question and runs nothing.
    pub fn answer(format: Format) -> Show {
        Show { format, verbosity: Verbosity::Normal }
    }
}

/// How output is written.
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
            _ => Err(format!("{text:?} is no format: text or json")),
        }
    }
}

impl From<Format> for crate::report::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Text => crate::report::Format::Text,
            Format::Json => crate::report::Format::Json,
        }
    }
}
