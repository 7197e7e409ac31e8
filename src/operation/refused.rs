//! The end of an operation that has not begun.

use crate::exit_code::ExitCode;

/// Why nothing was done, and the status to end with.
#[derive(Debug)]
pub enum Refused {
    /// The command was called in a way that its help rules out.
    Usage(String),
    /// A status of its own, and why: a lock, an unfinished deployment, or an error in what was asked for.
    Because(ExitCode, String),
    /// The same, which the operator has been told.
    Told(ExitCode, String),
}

impl Refused {
    /// An error in the configuration, the repository or what was asked for.
    pub fn new(why: impl Into<String>) -> Refused {
        Refused::Because(ExitCode::Usage, why.into())
    }

    /// The operator does not want it.
    pub fn stopped() -> Refused {
        Refused::Because(ExitCode::Failed, "stopped by the operator; nothing was touched".into())
    }

    /// Two flags that rule each other out.
    pub fn not_both(one: &str, other: &str) -> Refused {
        Refused::Usage(format!("{one} and {other} cannot be combined"))
    }

    /// As [`Refused::new`], with what may be behind it, a line each.
    pub fn with(self, lines: &[String]) -> Refused {
        match self {
            Refused::Because(code, why) => Refused::Because(code, [&[why], lines].concat().join("\n")),
            other => other,
        }
    }

    /// The status to end with.
    pub fn code(&self) -> ExitCode {
        match self {
            Refused::Usage(_) => ExitCode::Usage,
            Refused::Because(code, _) | Refused::Told(code, _) => *code,
        }
    }
}

impl std::fmt::Display for Refused {
    /// Why; empty where the operator has been told.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refused::Usage(why) | Refused::Because(_, why) => f.write_str(why),
            Refused::Told(..) => Ok(()),
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Refused {
    fn from(error: E) -> Refused {
        Refused::new(format!("{:#}", error.into()))
    }
}
