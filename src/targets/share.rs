//! A number of hosts of a group, at least 1.

use std::fmt;
use std::str::FromStr;

use crate::text::serde_as_text;

use super::limit::{FailureLimit, read};

/// `n` hosts, or `n%` of the whole group, rounded down, but at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(FailureLimit);

impl Share {
    /// A number of hosts; 0 counts as 1.
    pub fn hosts(hosts: usize) -> Share {
        Share(FailureLimit::Hosts(hosts.max(1)))
    }

    /// All of the group.
    pub fn all() -> Share {
        Share(FailureLimit::Percent(100))
    }

    /// What it comes to in a group of `group` hosts.
    pub fn of(self, group: usize) -> usize {
        self.0.of(group).max(1)
    }

    /// The share and what it comes to: `10% of 25 = 2`, or `2`.
    pub fn resolved(self, group: usize) -> String {
        match self.0 {
            FailureLimit::Hosts(hosts) => hosts.to_string(),
            _ => format!("{self} of {group} = {}", self.of(group)),
        }
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let share = read(text, "number of hosts")?;
        match share {
            FailureLimit::Hosts(0) | FailureLimit::Percent(0) | FailureLimit::Millionths(0) => {
                Err(format!("{text:?} is no host at all: write at least 1"))
            }
            share => Ok(Share(share)),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

serde_as_text!(Share);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_the_whole_group_rounds_down_and_is_at_least_one_host() {
        let read = |text: &str| text.parse::<Share>().unwrap();
        assert_eq!((read("2").of(9), read("10%").of(25), read("10%").of(5), read("0.5%").of(9)), (2, 2, 1, 1));
        assert_eq!((read("10%").resolved(5), read("3").resolved(5)), ("10% of 5 = 1".into(), "3".into()));
        for bad in ["0", "0%", "0.0%", "-1", "101%", "0.2", "two", ""] {
            let why = bad.parse::<Share>().unwrap_err();
            assert!(!why.contains("failure limit"), "{why}");
        }
    }
}
