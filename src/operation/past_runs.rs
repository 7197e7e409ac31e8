//! Which runs of the past are asked for.

use std::path::Path;
use std::str::FromStr;

use crate::config::Config;
use crate::glob;
use crate::journal::{Past, Unreadable};
use crate::targets::Target;
use crate::text::meant_or_known;

use super::{Frontend, Refused};

/// How a deployment ended of which only a tag tells. It is made just before the first host is touched.
pub const NOT_RECORDED: &str = "not recorded";

/// Every result that a run of the past may have, in the order of hoist-history(1).
const RESULTS: [&str; 29] = [
    "deployed",
    "rolled back to",
    "restarted",
    "fetched",
    "configured",
    "probed",
    "failed, rolled back",
    "failed, hosts as before",
    "failed, mixed",
    "stopped, not rolled back",
    "stopped, not undone",
    "rollback incomplete",
    "rolled back, checks fail",
    "checks fail on hosts",
    "hosts drained",
    "another revision on hosts",
    "hosts in unknown state",
    "failed on every host",
    "step in unknown state",
    "step not undone",
    "failed, see the log",
    "not finalized",
    "failed, nothing touched",
    "failed",
    "locked",
    "interrupted",
    "under way",
    "unfinished",
    NOT_RECORDED,
];

/// A span of time, in seconds since 1970.
#[derive(Debug, Clone, Copy, Default)]
pub struct Span {
    pub since: Option<f64>,
    pub until: Option<f64>,
}

impl Span {
    /// Whether a moment is in it.
    pub fn has(&self, moment: f64) -> bool {
        self.since.is_none_or(|since| moment >= since) && self.until.is_none_or(|until| moment < until)
    }
}

/// Which runs are asked for; all of them, unless it says otherwise.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// When they began.
    pub span: Span,
    /// Any of these results.
    pub results: Vec<WantedResult>,
    /// Who began them, `alice` or `alice@deploy1`, with `*` and `?`.
    pub operator: Option<String>,
    /// A host that was one of their targets, with `*` and `?`.
    pub host: Option<String>,
}

/// A result that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantedResult {
    /// Every one that is a success.
    Ok,
    /// Every end that is neither a success nor an interrupt before anything was touched.
    Failed,
    /// This one.
    Just(&'static str),
}

impl FromStr for WantedResult {
    type Err = String;

    /// A result as the table shows it, with any punctuation between its words, or the beginning of one.
    fn from_str(text: &str) -> Result<Self, String> {
        let asked = plain(text);
        match asked.as_str() {
            "ok" => return Ok(WantedResult::Ok),
            "failed" => return Ok(WantedResult::Failed),
            _ => {}
        }
        let exact = RESULTS.into_iter().find(|result| plain(result) == asked);
        let mut begun = RESULTS.into_iter().filter(|result| !asked.is_empty() && plain(result).starts_with(&asked));
        match (exact, begun.next(), begun.next()) {
            (Some(result), ..) | (None, Some(result), None) => Ok(WantedResult::Just(result)),
            _ => Err(format!("unknown result {text:?}{}", meant_or_known(text, "results", &WantedResult::words()))),
        }
    }
}

/// The words of a text, in lower case.
fn plain(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").to_lowercase()
}

impl WantedResult {
    /// What may be asked for, as it is typed: `failed-rolled-back`.
    pub fn words() -> Vec<String> {
        let results = RESULTS.iter().map(|result| plain(result).replace(' ', "-"));
        ["ok".to_owned()].into_iter().chain(results).collect()
    }

    fn is(&self, result: &str, status: Option<u8>) -> bool {
        match (self, status) {
            (WantedResult::Just(just), _) => *just == result,
            (WantedResult::Ok, status) => matches!(status, Some(0 | 7)),
            (WantedResult::Failed, status) => status.is_some_and(|status| !matches!(status, 0 | 7 | 130)),
        }
    }
}

impl Wanted {
    /// Whether a run that began then may be wanted; one of which nobody knows is.
    pub fn spans(&self, began: Option<f64>) -> bool {
        began.is_none_or(|began| self.span.has(began))
    }

    /// Whether this is one of the results that are wanted. `status`: the exit status, if there is one.
    pub fn has_result(&self, result: &str, status: Option<u8>) -> bool {
        self.results.is_empty() || self.results.iter().any(|wanted| wanted.is(result, status))
    }

    /// Whether runs that somebody began, `alice@deploy1`, are wanted.
    pub fn is_by(&self, who: &str) -> bool {
        let user = who.split('@').next().unwrap_or_default();
        let is_by = |operator: &String| [user, who].iter().any(|it| glob::matches(operator.as_bytes(), it.as_bytes()));
        self.operator.as_ref().is_none_or(is_by)
    }

    /// Whether a run had the wanted host among its targets, if one is wanted.
    pub fn includes_host_of(&self, past: &Past) -> bool {
        self.host.is_none() || self.names_host_of(past)
    }

    /// Whether a host that is wanted is among a run's targets.
    pub fn names_host_of(&self, past: &Past) -> bool {
        let matches = |host: &String| {
            let pattern = host.to_ascii_lowercase();
            past.targets().into_iter().any(|target| is_named(target, &pattern))
        };
        self.host.as_ref().is_some_and(matches)
    }
}

/// Whether a name, with `*` and `?`, is that of a target, as its host or as its target file writes it.
pub fn is_named(target: &Target, pattern: &str) -> bool {
    let written = target.to_string();
    [target.host.as_str(), &written].iter().any(|name| glob::matches(pattern.as_bytes(), name.as_bytes()))
}

/// Tells of the journals of a folder that could not be read.
pub fn tell_left_out(unreadable: Unreadable, folder: &Path, front: &dyn Frontend) {
    for line in unreadable.lines(folder, "; its run is left out", "; their runs are left out") {
        front.tell(&format!("warning: {line}"));
    }
}

/// What is said of a host that no run had.
pub fn unknown_host(host: &str, config: &Config) -> Refused {
    let hosts = config.invocation.command("hosts");
    let journals = "no journal on this deploy host names it";
    Refused::new(format!("unknown host {host:?}: {journals}; `{hosts}` shows the hosts of the configuration"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_named_as_it_is_shown_or_by_its_beginning() {
        let of = |text: &str| text.parse::<WantedResult>();
        assert_eq!(of("ok"), Ok(WantedResult::Ok));
        assert_eq!(of("Failed"), Ok(WantedResult::Failed));
        for same in ["failed, rolled back", "failed-rolled-back", "FAILED_ROLLED_BACK", "failed, ro"] {
            assert_eq!(of(same), Ok(WantedResult::Just("failed, rolled back")), "{same}");
        }
        assert_eq!(of("under"), Ok(WantedResult::Just("under way")));
        for wrong in ["", "hosts", "good", ","] {
            assert!(of(wrong).unwrap_err().contains("unknown result"), "{wrong}");
        }
    }

    #[test]
    fn every_result_that_the_manual_lists_can_be_asked_for() {
        let page = include_str!("../../man/hoist-history.1");
        let (_, list) = page.split_once("The results:").unwrap();
        let listed = list.split(".El").next().unwrap().lines().filter_map(|line| line.strip_prefix(".It "));
        assert_eq!(listed.collect::<Vec<_>>(), RESULTS);
    }
}
