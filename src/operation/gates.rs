//! The health gates, asked now, or about the times of past deployments.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::config::{Config, Options};
use crate::gates::{Asker, Gate, HostsByRevision, Judge, Next, Reading, Sample, SampleVerdict, Stop, Subject, Verdict};
use crate::journal;
use crate::journal::{Past, PastLook, PastLooks};
use crate::targets::{Group, Target};
use crate::threads;

use super::recorded::most_common;
use super::{Frontend, Refused, load_telling, memory, repository, state_folder};

/// Samples of one look of the past.
const MOST_SAMPLES: usize = 2000;

/// What one gate says now.
#[derive(Debug, Clone, PartialEq)]
pub struct GateAnswer {
    pub gate: Gate,
    /// The group that it was asked about; empty where it is about none.
    pub group: String,
    pub sample: Sample,
}

/// Asks the gates, or just those of these names, once each: about every group that they are for, where it matters. What
/// the targets run is what they were last seen with. It connects to no target.
pub fn gates(options: &Options, names: &[String], front: &dyn Frontend) -> Result<Vec<GateAnswer>, Refused> {
    let config = load_telling(options, front)?;
    let gates = chosen(&config, names, front)?;
    let (groups, _) = config.groups(None)?;
    let subjects = subjects(&config, &groups)?;
    let asked: Vec<(Gate, &Subject)> = gates
        .into_iter()
        .flat_map(|gate| {
            let about: Vec<&Subject> = match gate.source.is_of_hosts() {
                true => subjects
                    .iter()
                    .filter(|subject| !subject.group.is_empty() && gate.scope.has_group(&subject.group))
                    .collect(),
                false => subjects.iter().filter(|subject| subject.group.is_empty()).collect(),
            };
            about.into_iter().map(move |subject| (gate.clone(), subject))
        })
        .collect();
    let ask = |gate: &Gate, subject: &Subject| {
        let reading = Asker::new(gate.clone()).ask(subject, None, &Stop::never());
        Judge::new(gate, Duration::ZERO).take(Duration::ZERO, Duration::ZERO, reading).0
    };
    Ok(threads::for_each(&asked, |(gate, subject)| {
        let lost = |_| Sample {
            gate: gate.name.clone(),
            value: None,
            verdict: SampleVerdict::Inconclusive,
            reason: "the gate ended without a verdict".into(),
            attempt: 1,
            observe: gate.observe,
            pending: None,
        };
        let sample = catch_unwind(AssertUnwindSafe(|| ask(gate, subject))).unwrap_or_else(lost);
        GateAnswer { gate: gate.clone(), group: subject.group.clone(), sample }
    }))
}

/// The gates of these names; all of them where none is named.
fn chosen(config: &Config, names: &[String], front: &dyn Frontend) -> Result<Vec<Gate>, Refused> {
    super::chosen("gate", config.gates()?, |gate| &gate.name, names, front)
}

/// What would be asked about now: all groups together, without a name, and each of them.
fn subjects(config: &Config, groups: &[Group]) -> Result<Vec<Subject>, Refused> {
    let repo = repository(config)?;
    let revision = repo.resolve(&config.settings.git_rev)?;
    let fleet = memory(config)?;
    let live = |target: &Target| fleet.of(target)?.state.as_ref()?.current.clone();
    let all = groups.iter().flat_map(|group| &group.targets).filter_map(live);
    let previous_revision = most_common(all.filter(|live| *live != revision));
    let sides = |those: &dyn Fn(&&Group) -> bool| -> (Vec<Target>, Vec<Target>) {
        let targets = groups.iter().filter(those).flat_map(|group| group.targets.iter().cloned());
        targets.partition(|target| live(target).as_ref() == Some(&revision))
    };
    let subject = |name: &str, (new, old): (Vec<Target>, Vec<Target>), elsewhere: Vec<Target>| {
        let (revision, previous_revision) = (revision.to_string(), previous_revision.clone());
        Subject { revision, previous_revision, group: name.to_owned(), hosts: HostsByRevision { new, old, elsewhere } }
    };
    let each = groups.iter().map(|group| {
        let (_, elsewhere) = sides(&|other| other.name != group.name);
        subject(&group.name, sides(&|other| other.name == group.name), elsewhere)
    });
    Ok([subject("", sides(&|_| true), Vec::new())].into_iter().chain(each).collect())
}

/// What a gate would have said in one moment of a past deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct PastAnswer {
    pub gate: String,
    pub observe: bool,
    pub group: String,
    /// RFC 3339, in UTC.
    pub at: String,
    pub verdict: SampleVerdict,
    pub reason: String,
    pub samples: usize,
    /// The least and the greatest value, where values are numbers.
    pub range: Option<(f64, f64)>,
    /// The last value.
    pub last: Option<String>,
}

/// A past deployment, and what the gates would have said in it.
#[derive(Debug)]
pub struct Backtest {
    pub past: Past,
    pub answers: Vec<PastAnswer>,
}

/// Asks the gates of a subgroup, a soak or a group about the last `most` deployments of the journals, the oldest first:
/// after each subgroup, for as long as the deployment stood there, or for `soak`.
pub fn backtest(
    options: &Options,
    names: &[String],
    most: usize,
    soak: Option<Duration>,
    front: &dyn Frontend,
) -> Result<Vec<Backtest>, Refused> {
    let config = load_telling(options, front)?;
    let gates = chosen(&config, names, front)?;
    for gate in gates.iter().filter(|gate| !gate.source.has_history()) {
        let (name, kind) = (&gate.name, gate.source.name());
        front.tell(&format!("note: gate {name} is skipped: a gate of type {kind} cannot be asked about the past"));
    }
    let (deployments, warnings) = journal::past_looks(&state_folder(&config), config.environment.as_deref())?;
    for warning in warnings {
        front.tell(&format!("warning: {warning}"));
    }
    let surplus = deployments.len().saturating_sub(most);
    Ok(deployments.into_iter().skip(surplus).map(|deployment| retell(&gates, deployment, soak)).collect())
}

fn retell(gates: &[Gate], deployment: PastLooks, soak: Option<Duration>) -> Backtest {
    let plan = &deployment.past.opened.plan;
    let mut answers = Vec::new();
    for look in &deployment.looks {
        let subject = Subject {
            revision: plan.revision.to_string(),
            previous_revision: deployment.previous.as_ref().map(ToString::to_string).unwrap_or_default(),
            group: look.group.clone(),
            hosts: look.hosts.clone(),
        };
        let due = gates.iter().filter(|gate| gate.source.has_history() && gate.scope.has_group(&look.group));
        answers.extend(due.filter(|gate| gate.runs_during_deployment()).map(|gate| judge(gate, look, &subject, soak)));
    }
    Backtest { past: deployment.past, answers }
}

/// One gate in one moment of the past, judged as it would have been then.
fn judge(gate: &Gate, look: &PastLook, subject: &Subject, soak: Option<Duration>) -> PastAnswer {
    let since_then = |time: f64| Duration::try_from_secs_f64(time - look.at).unwrap_or_default();
    // Nobody knows what is to come.
    let passed = crate::clock::unix_seconds(&crate::clock::rfc3339_utc()).map_or(Duration::MAX, since_then);
    let mut judge = Judge::new(gate, soak.unwrap_or_else(|| since_then(look.until)).min(passed));
    let mut asker = Asker::new(gate.clone());
    let (mut at, mut samples, mut values) = (judge.first(), 0, Vec::new());
    let (mut last, mut skipped) = (None, None);
    let verdict = loop {
        if at > passed {
            break Verdict::Inconclusive { reason: "the rest of its time is still to come".into() };
        }
        let reading = asker.ask(subject, Some(look.at + at.as_secs_f64()), &Stop::never());
        samples += 1;
        if let Reading::NoAnswer(reason) = reading {
            // It is not the past that does not answer.
            break Verdict::Inconclusive { reason };
        }
        let (sample, next) = judge.take(at, at, reading);
        if sample.verdict == SampleVerdict::Skipped {
            skipped = Some(sample.reason.clone());
        }
        values.extend(sample.value.as_ref().and_then(|value| value.parse::<f64>().ok()));
        last = sample.value.or(last);
        match next {
            Next::Ended(verdict) => break verdict,
            Next::AskAt(_) if samples == MOST_SAMPLES => {
                break Verdict::Inconclusive { reason: format!("not judged within {MOST_SAMPLES} samples") };
            }
            Next::AskAt(next) => at = next,
        }
    };
    let (verdict, reason) = match verdict {
        Verdict::Pass => skipped.map_or((SampleVerdict::Pass, String::new()), |why| (SampleVerdict::Skipped, why)),
        Verdict::Fail { reason } => (SampleVerdict::Fail, reason),
        Verdict::Inconclusive { reason } => (SampleVerdict::Inconclusive, reason),
    };
    values.sort_by(f64::total_cmp);
    PastAnswer {
        gate: gate.name.clone(),
        observe: gate.observe,
        group: look.group.clone(),
        at: crate::clock::utc_of(look.at as u64).unwrap_or_default(),
        verdict,
        reason,
        samples,
        range: values.first().copied().zip(values.last().copied()),
        last,
    }
}
