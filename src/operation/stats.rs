//! Figures of past deployments, as the journals tell: how often, how many went wrong, how long the way back took, and what
//! is slow.

use std::collections::HashMap;

use crate::clock;
use crate::config::Options;
use crate::deploy::Kind;
use crate::exit_code::ExitCode;
use crate::fleet::Step;
use crate::gates::statistics::median;
use crate::journal;
use crate::journal::{Past, Unreadable};
use crate::targets::Target;
use crate::wire::{Revision, Stage};

use super::past_runs::{Span, tell_left_out};
use super::{Frontend, Refused, load_for_journals, reconcile, state_folder};

/// Hosts that are listed.
const HOSTS: usize = 10;

/// Seconds of a week: a rate of less time than that is none.
const WEEK: f64 = 7.0 * 86_400.0;

/// The figures of the deployments of a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    /// The time that they are of, RFC 3339, in UTC; `None`: there is no run.
    pub span: Option<(String, String)>,
    /// Seconds of it.
    pub seconds: f64,
    pub deployments: Tally,
    /// Seconds from the beginning of a rollback to its end.
    pub rollback: Option<Spread>,
    /// Seconds from the end of a deployment that went wrong to the end of the next one that did not.
    pub restore: Option<Spread>,
    /// The ends of deployments that went wrong, and that no good one has followed; the oldest of each environment.
    pub not_restored: Vec<String>,
    /// Seconds that a stage takes on a host, the slowest first.
    pub stages: Vec<(Stage, Spread)>,
    /// Seconds that all stages of a deployment take on a host, the slowest first.
    pub hosts: Vec<(Target, Spread)>,
    pub left_out: LeftOut,
}

/// Deployments that have ended and had touched a host, and how many of them went wrong. All figures are of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    pub total: usize,
    pub failed: usize,
    /// Those that had succeeded, and were then undone by `hoist rollback`.
    pub undone: usize,
}

impl Tally {
    /// Those that failed or were undone.
    pub fn bad(self) -> usize {
        self.failed + self.undone
    }
}

/// Runs that do not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// They ended before any host was touched.
    pub untouched: usize,
    /// They have not ended.
    pub open: usize,
    /// `hoist reconcile`, restarts of services, and runs without promote.
    pub other: usize,
}

/// What lies in the middle, and what is rarely exceeded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub median: f64,
    /// Nine of ten are not greater.
    pub p90: f64,
    pub n: usize,
}

impl Spread {
    /// Of these values; `None`: there is none.
    pub fn of(values: &[f64]) -> Option<Spread> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * 9).div_ceil(10);
        Some(Spread { median: median(&sorted)?, p90: *sorted.get(rank.checked_sub(1)?)?, n: sorted.len() })
    }
}

impl Stats {
    /// Deployments in a week; `None`: it is less time than that.
    pub fn per_week(&self) -> Option<f64> {
        (self.seconds >= WEEK).then(|| self.deployments.total as f64 / (self.seconds / WEEK))
    }
}

/// The figures of the runs that began in a span: of an environment, only if `options` names it, and then of no other.
///
/// # Errors
/// The configuration, and a folder that cannot be read.
pub fn stats(options: &Options, span: Span, front: &dyn Frontend) -> Result<Stats, Refused> {
    let config = load_for_journals(options, front)?;
    let mut figures = Figures::default();
    let (folder, mut unreadable) = (state_folder(&config), Unreadable::default());
    let mut first = None;
    for journal in journal::past(&folder)?.into_iter().rev() {
        let Some(began) = journal.began().filter(|began| span.has(*began)) else { continue };
        match journal.read() {
            Ok(Some(past)) if config.environment.is_none() || past.opened.environment == config.environment => {
                first.get_or_insert(began);
                figures.add(&past);
            }
            Ok(_) => {}
            Err(error) => unreadable.add(error),
        }
    }
    tell_left_out(unreadable, &folder, front);
    let now = clock::seconds() as f64;
    // Of a time ahead of the first run nobody knows what there was: its journals may be gone.
    let whole = first.map(|first| (first, span.until.map_or(now, |until| until.min(now)).max(first)));
    Ok(figures.stats(whole))
}

/// A deployment that counts.
struct Deployment {
    environment: Option<String>,
    revision: Revision,
    /// Seconds since 1970.
    ended: Option<f64>,
    is_good: bool,
    is_undone: bool,
}

/// A revision that is behind others in an environment, or live there, with the number of the good deployment that brought
/// it; `None`: a rollback brought it.
type Layer = (Revision, Option<usize>);

#[derive(Default)]
struct Figures {
    deployments: Vec<Deployment>,
    live: HashMap<Option<String>, Vec<Layer>>,
    rollbacks: Vec<f64>,
    stages: HashMap<Stage, Vec<f64>>,
    hosts: HashMap<Target, Vec<f64>>,
    left_out: LeftOut,
}

impl Figures {
    fn add(&mut self, past: &Past) {
        let plan = &past.opened.plan;
        let Some(status) = past.status() else {
            self.left_out.open += 1;
            return;
        };
        if !past.touched() {
            self.left_out.untouched += 1;
            return;
        }
        let is_good = matches!(status, 0 | 7);
        let ended = past.ended().and_then(clock::unix_seconds);
        match plan.kind {
            Kind::Deploy if plan.promotes() && plan.message != reconcile::message(plan.size(), &plan.revision) => {
                let goes_back = past.steps.iter().find(|step| step.step == Step::Run(Stage::Rollback));
                let began = goes_back.and_then(|step| clock::unix_seconds(step.began.as_deref()?));
                self.rollbacks.extend(began.zip(ended).map(|(began, ended)| ended - began));
                self.take_times(past);
                self.deploy(Deployment {
                    environment: past.opened.environment.clone(),
                    revision: plan.revision.clone(),
                    ended,
                    is_good,
                    is_undone: false,
                });
            }
            Kind::Rollback if journal::stayed(past) => {
                // One that the operator left as it was did not come to its end.
                self.rollbacks.extend(past.seconds().filter(|_| status != ExitCode::Mixed.status()));
                self.undo(past.opened.environment.as_ref(), &plan.revision);
            }
            _ => self.left_out.other += 1,
        }
    }

    fn deploy(&mut self, deployment: Deployment) {
        if deployment.is_good {
            let layer = (deployment.revision.clone(), Some(self.deployments.len()));
            self.live.entry(deployment.environment.clone()).or_default().push(layer);
        }
        self.deployments.push(deployment);
    }

    /// A rollback undoes the good deployments of its environment since the one that brought its revision. If the revision
    /// was there before the first of them, it undoes the last; if it was undone itself, somebody goes forward again.
    fn undo(&mut self, environment: Option<&String>, revision: &Revision) {
        let is_of = |it: &Deployment| it.environment.as_ref() == environment && it.revision == *revision;
        let is_known = self.deployments.iter().any(is_of);
        let live = self.live.entry(environment.cloned()).or_default();
        let undone = match live.iter().rposition(|(other, _)| other == revision) {
            Some(place) => live.split_off(place + 1),
            None => {
                let undone = if is_known { None } else { live.pop() };
                live.push((revision.clone(), None));
                undone.into_iter().collect()
            }
        };
        for (_, number) in undone {
            number.into_iter().for_each(|number| self.deployments[number].is_undone = true);
        }
    }

    /// How long its hosts were at work.
    fn take_times(&mut self, past: &Past) {
        let targets = past.targets();
        let mut whole: HashMap<usize, f64> = HashMap::new();
        for step in past.steps.iter().filter(|step| step.is_forward()) {
            let Step::Run(stage) = step.step else { continue };
            for result in &step.results {
                let Some(seconds) = result.time.seconds else { continue };
                self.stages.entry(stage).or_default().push(seconds);
                *whole.entry(result.host.index()).or_default() += seconds;
            }
        }
        for (host, seconds) in whole {
            self.hosts.entry(targets[host].clone()).or_default().push(seconds);
        }
    }

    fn stats(self, span: Option<(f64, f64)>) -> Stats {
        let (restored, not_restored) = self.restored();
        let deployments = Tally {
            total: self.deployments.len(),
            failed: self.deployments.iter().filter(|it| !it.is_good).count(),
            undone: self.deployments.iter().filter(|it| it.is_undone).count(),
        };
        let mut hosts = spreads(self.hosts);
        hosts.sort_by(|a, b| a.0.host.cmp(&b.0.host));
        hosts.sort_by(|a, b| b.1.median.total_cmp(&a.1.median));
        hosts.truncate(HOSTS);
        let mut stages = spreads(self.stages);
        stages.sort_by(|a, b| b.1.median.total_cmp(&a.1.median).then(a.0.name().cmp(b.0.name())));
        Stats {
            span: span.and_then(|(begin, end)| Some((utc(begin)?, utc(end)?))),
            seconds: span.map_or(0.0, |(begin, end)| end - begin),
            deployments,
            rollback: Spread::of(&self.rollbacks),
            restore: Spread::of(&restored),
            not_restored,
            stages,
            hosts,
            left_out: self.left_out,
        }
    }

    /// How long it took until a good deployment followed one that had gone wrong, and when those had ended that none has
    /// followed. Several in a row that go wrong are one failure, from the first.
    fn restored(&self) -> (Vec<f64>, Vec<String>) {
        let mut restored = Vec::new();
        let mut open: Vec<(&Option<String>, f64)> = Vec::new();
        for Deployment { environment, ended, is_good, is_undone, .. } in &self.deployments {
            let Some(ended) = *ended else { continue };
            let place = open.iter().position(|(of, _)| *of == environment);
            match (place, *is_good && !*is_undone) {
                (Some(place), true) => restored.push(ended - open.remove(place).1),
                (None, false) => open.push((environment, ended)),
                _ => {}
            }
        }
        (restored, open.into_iter().filter_map(|(_, ended)| utc(ended)).collect())
    }
}

fn spreads<K>(values: HashMap<K, Vec<f64>>) -> Vec<(K, Spread)> {
    values.into_iter().filter_map(|(key, values)| Some((key, Spread::of(&values)?))).collect()
}

/// A time in seconds since 1970, in RFC 3339.
fn utc(seconds: f64) -> Option<String> {
    clock::utc_of(seconds.max(0.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(values: &[f64]) -> (f64, f64, usize) {
        let Spread { median, p90, n } = Spread::of(values).unwrap();
        (median, p90, n)
    }

    #[test]
    fn a_spread_is_of_the_values_that_there_are() {
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(spread(&[3.0]), (3.0, 3.0, 1));
        assert_eq!(spread(&[4.0, 1.0]), (2.5, 4.0, 2));
        let ten: Vec<f64> = (1..=10).map(f64::from).collect();
        assert_eq!(spread(&ten), (5.5, 9.0, 10));
    }

    /// Deployments, `a` good, `A` failed, and rollbacks `<a`; which of them were undone.
    fn undone(runs: &str) -> String {
        let mut figures = Figures::default();
        let revision = |c: char| c.to_ascii_lowercase().to_string().repeat(40).parse::<Revision>().unwrap();
        let mut letters = runs.chars();
        while let Some(c) = letters.next() {
            match c {
                '<' => figures.undo(None, &revision(letters.next().unwrap())),
                c => figures.deploy(Deployment {
                    environment: None,
                    revision: revision(c),
                    ended: Some(figures.deployments.len() as f64),
                    is_good: c.is_lowercase(),
                    is_undone: false,
                }),
            }
        }
        let undone = figures.deployments.iter().filter(|it| it.is_undone);
        undone.map(|it| it.revision.as_str().chars().next().unwrap()).collect()
    }

    #[test]
    fn a_rollback_undoes_what_came_after_its_revision() {
        assert_eq!(undone("ab<a"), "b");
        assert_eq!(undone("abc<a"), "bc");
        assert_eq!(undone("abc<b<a"), "bc");
        assert_eq!(undone("abC<a"), "b", "the failed one is undone already");
        assert_eq!(undone("ab<d"), "b", "a revision from before the journals");
        assert_eq!(undone("ab<b"), "");
        assert_eq!(undone("<a"), "");
        assert_eq!(undone("ab<a<b"), "b", "the way forth undoes nothing");
        assert_eq!(undone("ab<a<b<a"), "b");
        assert_eq!(undone("abc<a<c<d"), "bc");
        assert_eq!(undone("ab<d<d"), "b", "on the other hosts");
        assert_eq!(undone("aB<b"), "", "one that had failed is put everywhere");
    }

    #[test]
    fn failures_in_a_row_are_restored_once_by_the_next_good_deployment() {
        let of = |goods: &str| {
            let deployment = |(n, c): (usize, char)| Deployment {
                environment: (c.is_ascii_digit()).then(|| "beta".to_owned()),
                revision: "a".repeat(40).parse().unwrap(),
                ended: Some(n as f64),
                is_good: matches!(c, '+' | '1'),
                is_undone: c == 'u',
            };
            let deployments = goods.chars().enumerate().map(deployment).collect();
            let (restored, open) = Figures { deployments, ..Figures::default() }.restored();
            (restored, open.len())
        };
        assert_eq!(of("+-+"), (vec![1.0], 0));
        assert_eq!(of("---+"), (vec![3.0], 0));
        assert_eq!(of("u+-"), (vec![1.0], 1));
        assert_eq!(of("-0+1"), (vec![2.0, 2.0], 0), "each environment for itself");
        assert_eq!(of("++"), (vec![], 0));
    }
}
