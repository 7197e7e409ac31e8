//! What of a run's events is announced.

use crate::deploy::{Answer, Operator, Plan, Question, Verdict, left_to};
use crate::exit_code::ExitCode;
use crate::fleet::Step;
use crate::hooks::{Announcement, Counts, EventKind, GateSample};
use crate::once::OnceEnd;
use crate::report::{Event, HostRow, RowState, Sample};
use crate::targets::Target;
use crate::wire::Stage;

use super::announcer::{Announcer, State};
use super::watched::names;

/// Who answers without being asked: these flags.
const FLAGS: [&str; 2] = ["--yes", "--step"];

impl State {
    /// Announces what an event is about. An event that an earlier deployer was told already it has announced too.
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::StepEnded { step: Step::Probe, .. } => {
                let found = self.watched.previous.take().and_then(|previous| previous());
                self.about.previous_revision = found.or_else(|| self.about.previous_revision.take());
            }
            Event::Subgroup { group, .. } if self.watched.group.as_ref() != Some(group) => {
                self.close_group();
                self.watched.group = Some(group.clone());
            }
            Event::StepStarted { step: Step::Run(Stage::Finalize), .. } => self.close_group(),
            Event::StepStarted { step: Step::Run(Stage::Rollback), .. } => self.watched.went_back = true,
            Event::HostEnded { host, step: Step::Run(stage), outcome, .. } if is_forward(*stage) => {
                self.watched.hosts.insert(host.clone(), outcome.is_ok());
            }
            Event::HostEnded { host, step: Step::Probe, outcome: Err(_), .. } => {
                self.watched.hosts.insert(host.clone(), false);
            }
            Event::LimitExceeded { group, failed, limit } => {
                let failed = crate::text::hosts(*failed);
                self.halt(Some(group), &format!("{failed} of {group} failed, and the limit is {limit}"));
            }
            Event::CapacityUsedUp { group, max_unavailable, hosts } => {
                let out = names(hosts.iter().collect()).join(", ");
                self.halt(Some(group), &format!("max_unavailable of {group} ({max_unavailable}) is used up: {out}"));
            }
            Event::GateFailed { gate, group, reason, inconclusive, .. } => {
                let says = if *inconclusive { "is inconclusive" } else { "failed" };
                self.halt(Some(group), &format!("gate {gate} {says}: {reason}"));
            }
            Event::Interrupted => {
                self.halt(None, "interrupted by the operator");
            }
            Event::OnceEnded { name, on, undo: false, end: end @ OnceEnd::Failed { .. }, .. } => {
                self.halt(None, &format!("step {name} on {on}: {end}"));
            }
            Event::Gate { group, sample, .. } => self.gate(group, sample),
            _ => {}
        }
    }

    fn announcement(&self, event: EventKind) -> Announcement {
        Announcement::new(event, &self.about)
    }

    /// The group that was under way is through.
    fn close_group(&mut self) {
        let Some(group) = self.watched.group.take().filter(|_| !self.watched.halted) else { return };
        let (counts, failed_hosts) = self.watched.counts(&group);
        let key = format!("group:{group}");
        let through = Announcement {
            group: Some(group),
            counts: Some(counts),
            failed_hosts,
            ..self.announcement(EventKind::Group)
        };
        self.announce(Some(key), through);
    }

    fn halt(&mut self, group: Option<&String>, why: &str) {
        self.watched.halted = true;
        let group = group.filter(|group| !group.is_empty()).cloned();
        let halted = Announcement { group, reason: Some(why.to_owned()), ..self.announcement(EventKind::Halted) };
        self.announce(Some("halted".into()), halted);
    }

    /// A gate is announced when it says something else than before.
    fn gate(&mut self, group: &str, sample: &Sample) {
        let verdict = sample.verdict.name();
        let seen = self.watched.gates.entry((sample.gate.clone(), group.to_owned())).or_default();
        if seen.0 == verdict {
            return;
        }
        *seen = (verdict.to_owned(), seen.1 + 1);
        let key = format!("gate:{}:{group}:{}", sample.gate, seen.1);
        let gate = GateSample {
            name: sample.gate.clone(),
            verdict: verdict.to_owned(),
            value: sample.value.clone(),
            reason: sample.reason.clone(),
        };
        let group = Some(group.to_owned()).filter(|group| !group.is_empty());
        self.announce(Some(key), Announcement { group, gate: Some(gate), ..self.announcement(EventKind::Gate) });
    }

    /// Somebody is about to be asked.
    fn ask(&mut self, question: &Question, by: &str) {
        match question {
            Question::Continue { .. } => self.close_group(),
            Question::RollBack { why, .. } | Question::RollBackPast { why, .. } if !self.watched.halted => {
                self.halt(None, why);
            }
            _ => {}
        }
        if !FLAGS.contains(&by) {
            self.announce_question(question);
        }
    }

    fn announce_question(&mut self, question: &Question) {
        let question = Some(question.to_string());
        self.announce(None, Announcement { question, ..self.announcement(EventKind::Question) });
    }

    /// What comes of a question about a run-once step: it halts the run, or it stays open until somebody comes back.
    fn answered(&mut self, question: &Question, answer: Answer) {
        match (question, answer) {
            (_, Answer::Unanswered) => self.announce_question(question),
            (Question::StepUnknown { step, reason, forward: true, .. }, Answer::No) => {
                self.halt(None, &format!("it is not known whether {step} ran: {reason}"));
            }
            _ => {}
        }
    }

    /// The run has come to its verdict.
    pub fn end(&mut self, verdict: &Verdict, plan: &Plan) {
        self.close_group();
        let failed: Vec<&Target> = verdict.rows.iter().filter(|row| !row.ok).map(|row| &row.host).collect();
        let hosts = verdict.rows.len();
        let seconds = crate::clock::seconds_between(&self.about.began, &crate::clock::rfc3339_utc());
        let end = |event| Announcement {
            counts: Some(Counts { hosts, ok: hosts - failed.len(), failed: failed.len() }),
            failed_hosts: names(failed.clone()),
            result: Some(State::result(verdict, plan).to_owned()),
            status: Some(verdict.code.status()),
            verdict: Some(verdict.text.clone()),
            duration_seconds: seconds.map(|seconds| (seconds * 1000.0).round() / 1000.0),
            ..self.announcement(event)
        };
        let failed_all = matches!(verdict.code, ExitCode::Failed | ExitCode::Mixed);
        let ends = [
            (EventKind::RolledBack, self.watched.went_back && failed_all),
            (EventKind::Reconciled, self.about.kind == "reconcile" && is_success(verdict.code)),
            (EventKind::Finished, true),
        ];
        let ends: Vec<Announcement> = ends.into_iter().filter(|(_, due)| *due).map(|(event, _)| end(event)).collect();
        for end in ends {
            self.announce(Some(end.event.to_string()), end);
        }
    }

    /// What it came to, in a word.
    fn result(verdict: &Verdict, plan: &Plan) -> &'static str {
        let went_back = |row: &HostRow| matches!(row.state, RowState::RolledBack | RowState::ChecksFailed);
        match verdict.code {
            ExitCode::Success => plan.deed(),
            ExitCode::Tolerated => "tolerated",
            ExitCode::NotFinalized => "not_finalized",
            ExitCode::Mixed => "mixed",
            ExitCode::Interrupted => "interrupted",
            ExitCode::Failed if verdict.rows.iter().any(went_back) => "rolled_back",
            ExitCode::Locked => "locked",
            ExitCode::Failed | ExitCode::Usage | ExitCode::Unfinished | ExitCode::Changes => "failed",
        }
    }
}

fn is_success(code: ExitCode) -> bool {
    matches!(code, ExitCode::Success | ExitCode::Tolerated)
}

/// Whether a stage takes a host further forward.
fn is_forward(stage: Stage) -> bool {
    !matches!(stage, Stage::Rollback | Stage::Finalize | Stage::Undrain)
}

impl Announcer {
    /// An operator of whom is announced what they are asked.
    pub fn operator(&self, inner: Box<dyn Operator>) -> Box<dyn Operator> {
        match &self.0 {
            None => inner,
            Some(_) => Box::new(Asked { inner, announcer: self.clone() }),
        }
    }
}

struct Asked {
    inner: Box<dyn Operator>,
    announcer: Announcer,
}

impl Operator for Asked {
    fn ask(&mut self, question: &Question) -> Answer {
        let by = self.inner.answers(question);
        self.announcer.with(|state| state.ask(question, by));
        let answer = self.inner.ask(question);
        self.announcer.with(|state| state.answered(question, answer));
        answer
    }

    fn interrupted(&mut self) -> bool {
        self.inner.interrupted()
    }

    fn undoes(&self) -> bool {
        self.inner.undoes()
    }

    fn has_interrupted(&self) -> bool {
        self.inner.has_interrupted()
    }

    left_to!(inner);
}
