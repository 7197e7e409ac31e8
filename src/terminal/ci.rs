//! CI systems that read commands in the output of a job, and the lines that are such commands.
//!
//! GitHub's runner takes a line that begins with `::` for a command to itself, GitLab makes a section of lines between
//! markers. Only a [`Marker`] is such a line: its texts are made safe and escaped here.

use std::borrow::Cow;
use std::str::FromStr;

use super::guard;
use super::sanitize::sanitize;
use crate::named::named;

named! {
    /// The CI system that a command runs in: the values of `--ci`.
    pub enum Ci {
        Github = "github",
        Gitlab = "gitlab",
        /// It reads plain lines.
        Jenkins = "jenkins",
        None = "none",
    }
}

impl Ci {
    /// The one that the environment names, by the variable that the system sets for every job.
    pub fn of_environment() -> Ci {
        Ci::named_by(|name| std::env::var(name).ok())
    }

    fn named_by(variable: impl Fn(&str) -> Option<String>) -> Ci {
        let is_true = |name| variable(name).as_deref() == Some("true");
        match () {
            () if is_true("GITHUB_ACTIONS") => Ci::Github,
            () if is_true("GITLAB_CI") => Ci::Gitlab,
            () if variable("JENKINS_URL").is_some_and(|url| !url.is_empty()) => Ci::Jenkins,
            () => Ci::None,
        }
    }

    /// From now on nothing but a [`Marker`] is a command to this system.
    pub fn guard(self) {
        if self == Ci::Github {
            guard::on();
        }
    }
}

impl FromStr for Ci {
    type Err = String;

    fn from_str(text: &str) -> Result<Ci, String> {
        let found = Ci::ALL.into_iter().find(|ci| ci.name() == text);
        found.ok_or_else(|| format!("unknown CI system {text:?}: choose {}", Ci::ALL.map(Ci::name).join(", ")))
    }
}

/// What a CI system is told by a line of its own.
#[derive(Debug, Clone, Copy)]
pub enum Marker<'a> {
    /// Lines that can be folded away begin, under a title. The number is of this section only.
    SectionBegins {
        number: usize,
        title: &'a str,
        unix_seconds: i64,
    },
    SectionEnds {
        number: usize,
        unix_seconds: i64,
    },
    /// A remark that is shown beside the job's log.
    Annotation {
        is_error: bool,
        title: &'a str,
        text: &'a str,
    },
    /// A remark on a file of the repository, and on a line there if it is known.
    FileAnnotation {
        is_error: bool,
        file: &'a str,
        line: Option<usize>,
        text: &'a str,
    },
}

impl Marker<'_> {
    /// The line, without its newline; `None` where the system knows nothing of the kind. Its texts may come from anywhere.
    pub fn line(self, ci: Ci) -> Option<String> {
        match (ci, self) {
            (Ci::Github, Marker::SectionBegins { title, .. }) => Some(format!("::group::{}", data(title))),
            (Ci::Github, Marker::SectionEnds { .. }) => Some("::endgroup::".to_owned()),
            (Ci::Github, Marker::Annotation { is_error, title, text }) => {
                Some(annotation(is_error, &format!("title={}", property(title)), text))
            }
            (Ci::Github, Marker::FileAnnotation { is_error, file, line, text }) => {
                let line = line.map(|line| format!(",line={line}")).unwrap_or_default();
                Some(annotation(is_error, &format!("file={}{line}", property(file)), text))
            }
            (Ci::Gitlab, Marker::SectionBegins { number, title, unix_seconds }) => Some(format!(
                "\x1b[0Ksection_start:{unix_seconds}:hoist_{number}[collapsed=true]\r\x1b[0K{}",
                sanitize(title, true)
            )),
            (Ci::Gitlab, Marker::SectionEnds { number, unix_seconds }) => {
                Some(format!("\x1b[0Ksection_end:{unix_seconds}:hoist_{number}\r\x1b[0K"))
            }
            (Ci::Gitlab, Marker::Annotation { .. } | Marker::FileAnnotation { .. }) | (Ci::Jenkins | Ci::None, _) => {
                None
            }
        }
    }
}

fn annotation(is_error: bool, properties: &str, text: &str) -> String {
    format!("::{} {properties}::{}", if is_error { "error" } else { "warning" }, data(text))
}

/// The text of a command, as GitHub's runner reads it back. Newlines of our own stay newlines.
fn data(text: &str) -> String {
    let lines: Vec<Cow<str>> = text.split('\n').map(|line| sanitize(line, true)).collect();
    // In this order, so that no escape is escaped.
    lines.join("\n").replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a property of a command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_the_system() {
        let of = |set: &'static [(&str, &str)]| {
            Ci::named_by(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(of(&[("GITHUB_ACTIONS", "true"), ("CI", "true")]), Ci::Github);
        assert_eq!(of(&[("GITLAB_CI", "true")]), Ci::Gitlab);
        assert_eq!(of(&[("JENKINS_URL", "https://ci.example.org/")]), Ci::Jenkins);
        assert_eq!(of(&[("CI", "true"), ("GITHUB_ACTIONS", "false"), ("JENKINS_URL", "")]), Ci::None);
    }

    #[test]
    fn a_marker_keeps_its_texts_in_their_places() {
        let (title, text) = ("web1, ::x\r", "50%: no\n::error::forged\x1b[2J,");
        let annotation = Marker::Annotation { is_error: true, title, text }.line(Ci::Github).unwrap();
        let wanted = "::error title=web1%2C %3A%3Ax\\r::50%25: no%0A::error::forged\\x1b[2J,";
        assert_eq!(annotation, wanted);
        let begins = Marker::SectionBegins { number: 2, title: "a\r\x1b[0Kb", unix_seconds: 7 };
        assert_eq!(
            begins.line(Ci::Gitlab).unwrap(),
            "\x1b[0Ksection_start:7:hoist_2[collapsed=true]\r\x1b[0Ka\\r\\x1b[0Kb"
        );
        assert_eq!(begins.line(Ci::Github).unwrap(), "::group::a\\r\\x1b[0Kb");
        let in_file =
            |line| Marker::FileAnnotation { is_error: false, file: "a,b:c", line, text }.line(Ci::Github).unwrap();
        assert!(in_file(Some(3)).starts_with("::warning file=a%2Cb%3Ac,line=3::50%25: no%0A"));
        assert!(in_file(None).starts_with("::warning file=a%2Cb%3Ac::50%25: no%0A"));
        assert!(begins.line(Ci::Jenkins).is_none() && begins.line(Ci::None).is_none());
    }
}
