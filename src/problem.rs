//! What is wrong in a file that people write: where, and what to do. Whoever reads such a file makes these, and nobody
//! takes them apart again.

use std::fmt;
use std::io;

use crate::wire::Level;

/// Something that is wrong in a configuration, or worth a remark.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Problem {
    /// As messages name it: from the top of the repository, or absolute. `None`: no file has it, the command line say.
    pub file: Option<String>,
    /// From 1. `None`: it is not in one line; the message names the file then.
    pub line: Option<usize>,
    /// The key that it is about, of the configuration or of an entry of a YAML file.
    pub key: Option<String>,
    /// What is wrong and what to do, without file and line.
    pub message: String,
    /// Where something was looked for that is not there. It ends the message.
    pub looked_for: Vec<String>,
    /// [`Level::Error`] for a mistake, less for a remark.
    pub severity: Level,
}

impl Problem {
    /// A mistake that no file has.
    pub fn new(message: impl Into<String>) -> Problem {
        let (file, line, key, looked_for) = Default::default();
        Problem { file, line, key, message: message.into(), looked_for, severity: Level::Error }
    }

    /// A mistake in one line of a file.
    pub fn at(file: &str, line: usize, message: impl Into<String>) -> Problem {
        Problem { file: Some(file.to_owned()), line: Some(line), ..Problem::new(message) }
    }

    /// A mistake of a whole file, which the message names.
    pub fn of_file(file: &str, message: impl Into<String>) -> Problem {
        Problem { file: Some(file.to_owned()), ..Problem::new(message) }
    }

    /// A file that cannot be read.
    pub fn cannot_read(file: &str, error: &io::Error) -> Problem {
        Problem::of_file(file, format!("cannot read {file}: {error}"))
    }

    /// A line that is no text.
    pub fn not_utf8(file: &str, line: usize) -> Problem {
        Problem::at(file, line, "not UTF-8: save the file in that encoding")
    }

    /// The same, about a key.
    pub fn about(self, key: &str) -> Problem {
        Problem { key: Some(key.to_owned()), ..self }
    }

    /// The same, with the places where something was looked for.
    pub fn looked_for(self, looked_for: Vec<String>) -> Problem {
        Problem { looked_for, ..self }
    }

    /// The same as a remark that weighs this much.
    pub fn remark(self, severity: Level) -> Problem {
        Problem { severity, ..self }
    }

    /// Whether something has to be put right, and is not just worth a remark.
    pub fn is_mistake(&self) -> bool {
        self.severity == Level::Error
    }
}

/// The whole message in one line, led by file and line.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(file), Some(line)) = (&self.file, self.line) {
            write!(f, "{file}:{line}: ")?;
        }
        f.write_str(&self.message)?;
        if !self.looked_for.is_empty() {
            write!(f, ": looked for {}", self.looked_for.join(", "))?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_as_one_line_that_begins_with_its_place() {
        let problem = Problem::at("hoist/all", 3, "bad host name").about("dsh_targets");
        assert_eq!(problem.to_string(), "hoist/all:3: bad host name");
        assert_eq!((problem.line, problem.key.as_deref(), problem.is_mistake()), (Some(3), Some("dsh_targets"), true));
        let places = vec!["hoist/x".to_owned(), "/etc/x".to_owned()];
        assert_eq!(Problem::new("no x").looked_for(places).to_string(), "no x: looked for hoist/x, /etc/x");
        let unread = Problem::cannot_read("hoist/x", &io::ErrorKind::NotFound.into());
        assert!(unread.to_string().starts_with("cannot read hoist/x: ") && unread.file.as_deref() == Some("hoist/x"));
        assert!(!unread.remark(Level::Warning).is_mistake());
    }
}
