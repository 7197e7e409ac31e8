//! How `hoist gates` looks.

use serde::Serialize;

use crate::clock;
use crate::gates::{Moment, SampleVerdict};
use crate::operation::{Backtest, GateAnswer, PastAnswer};
use crate::terminal::Page;
use crate::text::counted;

/// What the gates come to together: those that are obeyed.
pub fn verdict(answers: &[GateAnswer]) -> SampleVerdict {
    worst(answers.iter().filter(|answer| !answer.gate.observe).map(|answer| answer.sample.verdict))
}

fn worst(verdicts: impl Iterator<Item = SampleVerdict>) -> SampleVerdict {
    verdicts.fold(SampleVerdict::Pass, |worst, verdict| match (worst, verdict) {
        (SampleVerdict::Fail, _) | (_, SampleVerdict::Fail) => SampleVerdict::Fail,
        (SampleVerdict::Inconclusive, _) | (_, SampleVerdict::Inconclusive) => SampleVerdict::Inconclusive,
        _ => SampleVerdict::Pass,
    })
}

/// For people.
pub fn text(answers: &[GateAnswer]) -> Page {
    let mut page = Page::default();
    if answers.is_empty() {
        page.line("no gates: gates.yaml has none, see hoist-gates(5)");
        return page;
    }
    let row = |answer: &GateAnswer| {
        let sample = &answer.sample;
        let about = if answer.group.is_empty() { String::new() } else { format!(" ({})", answer.group) };
        let said =
            if sample.reason.is_empty() { sample.value.clone().unwrap_or_default() } else { sample.reason.clone() };
        let observed = if answer.gate.observe { " (observed only)" } else { "" };
        [sample.verdict.to_string(), format!("{}{about}", answer.gate.name), format!("{said}{observed}")]
    };
    page.columns(answers.iter().map(row).collect());
    let count = |wanted| answers.iter().filter(|answer| answer.sample.verdict == wanted).count();
    let [pass, fail, unclear] = [SampleVerdict::Pass, SampleVerdict::Fail, SampleVerdict::Inconclusive].map(count);
    let skipped = match count(SampleVerdict::Skipped) {
        0 => String::new(),
        skipped => format!(", {skipped} skipped"),
    };
    page.line(format!("{pass} pass, {fail} fail, {unclear} inconclusive{skipped}"));
    page
}

/// What gates would have said, for people.
pub fn backtest(past: &[Backtest]) -> Page {
    let mut page = Page::default();
    if past.is_empty() {
        page.line("no deployments in the journals");
    }
    for deployment in past {
        let Backtest { past, answers } = deployment;
        let end = past.status().map_or_else(|| "not ended".to_owned(), |status| format!("exit status {status}"));
        let revision = past.opened.plan.revision.as_str();
        let short = revision.get(..12).unwrap_or(revision);
        page.line(format!("{}  {short}  {end}", clock::local_minute(&past.when())));
        if answers.is_empty() {
            page.line("  no gate was due");
        }
        let row = |answer: &PastAnswer| {
            let PastAnswer { gate, observe, group, at, verdict, reason, samples, range, last } = answer;
            let values = match (range, last) {
                (Some((low, high)), _) => format!(", {low} to {high}"),
                // A reason has it already.
                (None, Some(last)) if reason.is_empty() => format!(", {last}"),
                _ => String::new(),
            };
            let time = clock::hms_of(at).unwrap_or_default();
            let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            let observed = if *observe { " (observed only)" } else { "" };
            let said = format!("{time}, {}{values}{reason}{observed}", counted(*samples, "sample"));
            [format!("  {verdict}"), format!("{gate} ({group})"), said]
        };
        page.columns(answers.iter().map(row).collect());
    }
    page
}

/// For programs: the object of `--format json`.
#[derive(Serialize)]
pub struct Answer<'a> {
    verdict: SampleVerdict,
    gates: Vec<GateRow<'a>>,
}

#[derive(Serialize)]
struct GateRow<'a> {
    gate: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    when: &'a [Moment],
    group: Option<&'a str>,
    observe: bool,
    verdict: SampleVerdict,
    value: Option<&'a str>,
    reason: &'a str,
}

impl Answer<'_> {
    pub fn of(answers: &[GateAnswer]) -> Answer<'_> {
        Answer { verdict: verdict(answers), gates: answers.iter().map(GateRow::of).collect() }
    }
}

impl GateRow<'_> {
    fn of(GateAnswer { gate, group, sample }: &GateAnswer) -> GateRow<'_> {
        GateRow {
            gate: &gate.name,
            kind: gate.source.name(),
            when: &gate.scope.at,
            group: Some(group.as_str()).filter(|group| !group.is_empty()),
            observe: gate.observe,
            verdict: sample.verdict,
            value: sample.value.as_deref(),
            reason: &sample.reason,
        }
    }
}

/// What gates would have said, for programs.
#[derive(Serialize)]
pub struct BacktestAnswer<'a> {
    deployments: Vec<DeploymentRow<'a>>,
}

#[derive(Serialize)]
struct DeploymentRow<'a> {
    run: &'a str,
    when: String,
    revision: &'a str,
    status: Option<u8>,
    gates: Vec<PastRow<'a>>,
}

#[derive(Serialize)]
struct PastRow<'a> {
    gate: &'a str,
    observe: bool,
    group: &'a str,
    at: &'a str,
    verdict: SampleVerdict,
    reason: &'a str,
    samples: usize,
    lowest: Option<f64>,
    highest: Option<f64>,
    last: Option<&'a str>,
}

impl BacktestAnswer<'_> {
    pub fn of(past: &[Backtest]) -> BacktestAnswer<'_> {
        let deployments = past.iter().map(|Backtest { past, answers }| DeploymentRow {
            run: past.opened.plan.run.as_str(),
            when: past.when(),
            revision: past.opened.plan.revision.as_str(),
            status: past.status(),
            gates: answers.iter().map(PastRow::of).collect(),
        });
        BacktestAnswer { deployments: deployments.collect() }
    }
}

impl PastRow<'_> {
    fn of(answer: &PastAnswer) -> PastRow<'_> {
        PastRow {
            gate: &answer.gate,
            observe: answer.observe,
            group: &answer.group,
            at: &answer.at,
            verdict: answer.verdict,
            reason: &answer.reason,
            samples: answer.samples,
            lowest: answer.range.map(|(low, _)| low),
            highest: answer.range.map(|(_, high)| high),
            last: answer.last.as_deref(),
        }
    }
}
