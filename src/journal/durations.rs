//! How long earlier deployments took.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde::Deserialize;

use crate::clock;
use crate::deploy::{Kind, Plan};
use crate::files::no_links;
use crate::fleet::Step;

use super::past::{Past, past_if};
use super::read::journals;
use super::record::Opened;

/// The newest journals that are read.
const MOST: usize = 50;

/// A deployment that went through.
#[derive(Debug, Clone, PartialEq)]
pub struct PastDuration {
    pub plan: Plan,
    /// From its first record to its last, without soaks, gates and the time that questions waited for an answer.
    pub work: Duration,
}

/// What is read of a record.
#[derive(Deserialize)]
struct Line {
    record: String,
    at: Option<String>,
}

/// The deployments of an environment that went through and had something to do, the newest first. Journals that cannot be
/// read are left out.
///
/// # Errors
/// A folder that cannot be read.
pub fn durations(folder: &Path, environment: Option<&str>) -> Result<Vec<PastDuration>> {
    let wanted = |opened: &Opened| opened.environment.as_deref() == environment && opened.plan.kind == Kind::Deploy;
    let of = |path: &std::path::PathBuf| {
        let past = past_if(path, wanted).ok()??;
        if !matches!(past.status(), Some(0 | 7)) || !had_work(&past) {
            return None;
        }
        let bytes = no_links::read_own(path).ok()?;
        let lines = bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        Some(PastDuration { plan: past.opened.plan, work: work(lines)? })
    };
    Ok(journals(folder)?.iter().rev().take(MOST).filter_map(of).collect())
}

/// Whether a host ran something else before.
fn had_work(past: &Past) -> bool {
    let probes = past.steps.iter().filter(|step| step.step == Step::Probe);
    let found = probes.flat_map(|step| &step.results).filter_map(|result| result.links.as_ref());
    found.into_iter().any(|links| links.current.as_ref() != Some(&past.opened.plan.revision))
}

/// The time between the first line and the last that the run spent on hosts. `None`: the lines have no times.
fn work(lines: impl Iterator<Item = Line>) -> Option<Duration> {
    let (mut seconds, mut before, mut looks) = (0.0, None, false);
    for Line { record, at } in lines {
        let at = at?;
        let passed = before.as_deref().map_or(Some(0.0), |before| clock::seconds_between(before, &at))?;
        // A question waits for its answer, and a look at the service takes as long as the settings say.
        if record != "answered" && !looks {
            seconds += passed;
        }
        match record.as_str() {
            "look_begun" => looks = true,
            "look_ended" => looks = false,
            _ => {}
        }
        before = Some(at);
    }
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_is_not_spent_on_hosts_does_not_count() {
        let line =
            |record: &str, at: &str| Line { record: record.to_owned(), at: Some(format!("2026-11-23T14:{at}Z")) };
        let lines = [
            line("opened", "00:00.000"),
            line("called", "00:01.000"),
            line("ended", "00:05.500"),
            line("look_begun", "00:06.000"),
            line("sampled", "03:00.000"),
            line("look_ended", "10:06.000"),
            line("answered", "20:06.000"),
            line("closed", "20:07.000"),
        ];
        assert_eq!(work(lines.into_iter()), Some(Duration::from_secs(7)));
        assert_eq!(work([Line { record: "opened".into(), at: None }].into_iter()), None, "the first builds wrote none");
    }
}
