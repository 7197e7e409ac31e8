//! How many hosts of a group may fail.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `n` hosts, or `n%` of the whole group, rounded down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum FailureLimit {
    Hosts(usize),
    /// 0 to 100.
    Percent(u8),
}

impl Default for FailureLimit {
    fn default() -> Self {
        FailureLimit::Hosts(0)
    }
}

impl FailureLimit {
    /// The number of hosts that may fail in a group of `group` hosts: subgroups have no limit of their own.
    pub fn of(self, group: usize) -> usize {
        match self {
            FailureLimit::Hosts(hosts) => hosts,
            FailureLimit::Percent(percent) => group * usize::from(percent) / 100,
        }
    }

    /// Whether `failed` hosts are more than a group of `group` hosts may lose.
    pub fn exceeded_by(self, failed: usize, group: usize) -> bool {
        failed > self.of(group)
    }

    /// The limit and what it comes to: `10% of 5 = 0`, or `2`.
    pub fn resolved(self, group: usize) -> String {
        match self {
            FailureLimit::Hosts(hosts) => hosts.to_string(),
            FailureLimit::Percent(percent) => format!("{percent}% of {group} = {}", self.of(group)),
        }
    }
}

impl FromStr for FailureLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let usage = "write a number of hosts (2) or a percentage of the group (20%)";
        if let Some(digits) = text.strip_suffix('%') {
            let digits = digits.trim_end();
            return match digits.parse::<u8>() {
                Ok(percent) if percent <= 100 && digits.bytes().all(|b| b.is_ascii_digit()) => {
                    Ok(FailureLimit::Percent(percent))
                }
                _ if digits.bytes().all(|b| b.is_ascii_digit()) && !digits.is_empty() => {
                    Err(format!("{text:?} is more than the whole group: a percentage is 0% to 100%"))
                }
                _ => Err(format!("{text:?} is not a failure limit: {usage}")),
            };
        }
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return text
                .parse()
                .map(FailureLimit::Hosts)
                .map_err(|_| format!("{text:?} is too large for a failure limit"));
        }
        match text.parse::<f64>() {
            Ok(fraction) if fraction < 0.0 => Err(format!("{text:?} is negative: {usage}")),
            Ok(fraction) if fraction > 0.0 && fraction < 1.0 => {
                let percent = (fraction * 100.0).round().max(1.0);
                Err(format!("{text:?} is a fraction: write {percent}% for that share of the group"))
            }
            _ => Err(format!("{text:?} is not a failure limit: {usage}")),
        }
    }
}

impl fmt::Display for FailureLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FailureLimit::Hosts(hosts) => write!(f, "{hosts}"),
            FailureLimit::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl TryFrom<String> for FailureLimit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<FailureLimit> for String {
    fn from(limit: FailureLimit) -> String {
        limit.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_of_the_whole_group_and_rounds_down() {
        let limit: FailureLimit = "10%".parse().unwrap();
        assert_eq!(limit.resolved(5), "10% of 5 = 0");
        assert_eq!((limit.of(5), limit.of(10), limit.of(19), limit.of(0)), (0, 1, 1, 0));
        assert_eq!("100%".parse::<FailureLimit>().unwrap().of(7), 7);
    }

    #[test]
    fn the_limit_is_exceeded_by_more_than_it_and_not_by_as_many() {
        let limit: FailureLimit = "2".parse().unwrap();
        assert!(!limit.exceeded_by(2, 9));
        assert!(limit.exceeded_by(3, 9));
        assert!(FailureLimit::default().exceeded_by(1, 9));
    }

    #[test]
    fn a_fraction_is_an_error_that_says_which_percentage_to_write() {
        assert!("0.2".parse::<FailureLimit>().unwrap_err().contains("20%"));
        assert!(".05".parse::<FailureLimit>().unwrap_err().contains("5%"));
    }

    #[test]
    fn limits_that_mean_nothing_are_errors() {
        for bad in [
            "",
            "-1",
            "-5%",
            "101%",
            "999%",
            "1.5",
            "two",
            "%",
            "5 hosts",
            "1e3",
            "+1",
            "NaN",
            "inf",
            "99999999999999999999999",
        ] {
            assert!(bad.parse::<FailureLimit>().is_err(), "{bad:?} was taken for a limit");
        }
    }
}
