//! How large the subgroups of a group are, one after the other.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::share::Share;

/// The sizes of successive subgroups: `2`, or `1, 10%, 50%`. The last one repeats. Without any, the group is one subgroup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Vec<Share>")]
pub struct Steps(Vec<Share>);

/// As journals have it: older ones a number of hosts, or nothing.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Sizes(Vec<Share>),
    Size(Option<usize>),
}

impl From<Written> for Steps {
    fn from(written: Written) -> Steps {
        match written {
            Written::Sizes(sizes) => Steps(sizes),
            Written::Size(size) => size.into(),
        }
    }
}

impl From<Option<usize>> for Steps {
    /// Subgroups of one size; `None`: the whole group at once.
    fn from(size: Option<usize>) -> Steps {
        Steps(size.map(Share::hosts).into_iter().collect())
    }
}

impl From<Steps> for Vec<Share> {
    fn from(steps: Steps) -> Vec<Share> {
        steps.0
    }
}

impl Steps {
    /// The subgroups of a group of so many hosts, as places in it.
    pub fn cut(&self, hosts: usize) -> Vec<Range<usize>> {
        let mut cut: Vec<Range<usize>> = Vec::new();
        let mut start = 0;
        while start < hosts {
            let size = self.0.get(cut.len()).or(self.0.last()).map_or(hosts, |size| size.of(hosts));
            let end = start.saturating_add(size).min(hosts);
            cut.push(start..end);
            start = end;
        }
        cut
    }
}

impl FromStr for Steps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim().eq_ignore_ascii_case("all") {
            return Ok(Steps::default());
        }
        let size = |word: &str| match word.trim() {
            word if word.eq_ignore_ascii_case("all") => Ok(Share::all()),
            word => word.parse(),
        };
        let sizes: Result<Vec<Share>, String> = text.split(',').map(size).collect();
        sizes.map(Steps).map_err(|why| format!("{why}, several such (1, 10%, 50%), or all"))
    }
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<String> = self.0.iter().map(Share::to_string).collect();
        f.write_str(if sizes.is_empty() { "all" } else { "" })?;
        f.write_str(&sizes.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, hosts: usize) -> Vec<usize> {
        text.parse::<Steps>().unwrap().cut(hosts).into_iter().map(|range| range.len()).collect()
    }

    #[test]
    fn subgroups_grow_by_the_steps_and_the_last_step_repeats() {
        assert_eq!(cut("1, 10%, 50%", 20), [1, 2, 10, 7]);
        assert_eq!(cut("1,1,2", 9), [1, 1, 2, 2, 2, 1]);
        assert_eq!(cut("1, all", 9), [1, 8]);
        assert_eq!(cut("10%", 5), [1; 5]);
        assert_eq!((cut("all", 5), cut("3", 7), cut("9", 2), cut("2", 0)), (vec![5], vec![3, 3, 1], vec![2], vec![]));
    }

    #[test]
    fn what_is_no_size_is_an_error_and_what_older_journals_have_is_read() {
        for bad in ["0", "1,", "1,,2", "1, 0%", "1; 2", "many", "-1", "1.5", "all, 5x"] {
            assert!(bad.parse::<Steps>().is_err(), "{bad}");
        }
        let read = |json: &str| serde_json::from_str::<Steps>(json).unwrap();
        assert_eq!((read("null"), read("2")), (Steps::default(), Some(2).into()));
        let steps: Steps = "1, 10%, 12.5%".parse().unwrap();
        assert_eq!(read(&serde_json::to_string(&steps).unwrap()), steps);
        assert_eq!((steps.to_string(), Steps::default().to_string()), ("1, 10%, 12.5%".into(), "all".into()));
    }
}
