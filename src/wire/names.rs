//! The names that both sides use: revision, run, stage, holder.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::text::serde_as_text;

/// A full git object name of a commit: 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits.
///
/// It is the only form of a revision that reaches a target, so it is safe as a file name and as an argument.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision(String);

impl Revision {
    /// All digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first ten digits, for people.
    pub fn short(&self) -> &str {
        &self.0[..10]
    }
}

impl FromStr for Revision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hex = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let whole = hex && (text.len() == 40 || text.len() == 64);
        whole.then(|| Revision(text.to_owned())).ok_or_else(|| format!("{text:?} is not a full commit id"))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of one deployment: `20261123T144552.123Z-4711-7d3f`, that is the time in UTC to the millisecond, the
/// deployer's process id and four random hexadecimal digits. It sorts by time as text, and is safe as a file name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(String);

impl RunId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RunId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fit = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
        let starts_well = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if starts_well && text.len() <= 64 && text.bytes().all(fit) {
            Ok(RunId(text.to_owned()))
        } else {
            Err(format!("{text:?} is not a run id"))
        }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(Revision, RunId);

/// Who holds a lock, since when, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub run: RunId,
    pub user: String,
    /// The deploy host.
    pub host: String,
    /// The process on the deploy host.
    pub pid: u32,
    /// RFC 3339, UTC.
    pub since: String,
    /// The operator's message; may be empty.
    pub message: String,
}

/// `alice on deploy1, 3 min ago: 'hotfix'`, as people say it; JSON has the process, the run and the time.
impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}, {}", self.user, self.host, clock::ago(&self.since))?;
        if self.message.is_empty() { Ok(()) } else { write!(f, ": '{}'", self.message) }
    }
}

/// Who started a run, and from where. It is for people to read, and proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedBy {
    pub user: String,
    /// As the system calls itself.
    pub deploy_host: String,
}

impl fmt::Display for StartedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, self.deploy_host)
    }
}
