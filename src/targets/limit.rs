//! How many hosts of a group may fail.

use std::fmt;
use std::str::FromStr;

use crate::text::serde_as_text;

/// `n` hosts, or `n%` of the whole group, rounded down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureLimit {
    Hosts(usize),
    /// 0 to 100.
    Percent(u8),
    /// A percentage with a fraction, in millionths of the group: 12.5% is 125000.
    Millionths(u32),
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
            FailureLimit::Millionths(share) => (group as u128 * u128::from(share) / 1_000_000) as usize,
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
            _ => format!("{self} of {group} = {}", self.of(group)),
        }
    }
}

impl FromStr for FailureLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        read(text, "failure limit")
    }
}

/// Reads what messages call `what`.
pub(super) fn read(text: &str, what: &str) -> Result<FailureLimit, String> {
    let usage = "write a number of hosts (2) or a percentage of the group (20%)";
    if let Some(digits) = text.strip_suffix('%') {
        let digits = digits.trim_end();
        if let Some(share) = millionths(digits) {
            return match share {
                share if share % 10_000 == 0 => Ok(FailureLimit::Percent((share / 10_000) as u8)),
                share => Ok(FailureLimit::Millionths(share)),
            };
        }
        return match digits.parse::<u8>() {
            Ok(percent) if percent <= 100 && digits.bytes().all(|b| b.is_ascii_digit()) => {
                Ok(FailureLimit::Percent(percent))
            }
            _ if digits.bytes().all(|b| b.is_ascii_digit()) && !digits.is_empty() => {
                Err(format!("{text:?} is more than the whole group: a percentage is 0% to 100%"))
            }
            _ => Err(format!("{text:?} is not a {what}: {usage}")),
        };
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().map(FailureLimit::Hosts).map_err(|_| format!("{text:?} is too large for a {what}"));
    }
    match text.parse::<f64>() {
        Ok(fraction) if fraction < 0.0 => Err(format!("{text:?} is negative: {usage}")),
        Ok(fraction) if fraction > 0.0 && fraction < 1.0 => {
            let percent = (fraction * 100.0).round().max(1.0);
            Err(format!("{text:?} is a fraction: write {percent}% for that part of the group"))
        }
        _ => Err(format!("{text:?} is not a {what}: {usage}")),
    }
}

/// A decimal fraction of a percentage below 100; digits behind the fourth change nothing.
fn millionths(percent: &str) -> Option<u32> {
    let (whole, fraction) = percent.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let whole: u32 = digits(whole).then(|| whole.parse().ok())??;
    let fraction: String = digits(fraction).then(|| fraction.chars().chain("0000".chars()).take(4).collect())?;
    let share = whole.checked_mul(10_000)?.checked_add(fraction.parse().ok()?)?;
    (share <= 1_000_000).then_some(share)
}

impl fmt::Display for FailureLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FailureLimit::Hosts(hosts) => write!(f, "{hosts}"),
            FailureLimit::Percent(percent) => write!(f, "{percent}%"),
            FailureLimit::Millionths(share) => {
                let fraction = format!("{:04}", share % 10_000);
                write!(f, "{}.{}%", share / 10_000, fraction.trim_end_matches('0'))
            }
        }
    }
}

serde_as_text!(FailureLimit);

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
    fn a_percentage_may_have_a_fraction() {
        let read = |text: &str| text.parse::<FailureLimit>().unwrap();
        assert_eq!(read("12.5%").of(8), 1);
        assert_eq!(read("12.5%").of(7), 0);
        assert_eq!(read("12.5 %").resolved(16), "12.5% of 16 = 2");
        assert_eq!((read("20.0%"), read("0.05%").of(2_000)), (FailureLimit::Percent(20), 1));
        assert_eq!((read("33.33339%").to_string(), read("0.5%").to_string()), ("33.3333%".into(), "0.5%".into()));
        assert_eq!(read("99.9%").of(usize::MAX), (usize::MAX as u128 * 999 / 1000) as usize);
        for bad in ["100.5%", "1.%", ".5%", "1.2.3%", "-0.5%", "1.5e1%"] {
            assert!(bad.parse::<FailureLimit>().is_err(), "{bad}");
        }
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
