//! The operator of a run: a person or a script.

use super::plan::Kind;
use crate::report::{Event, Reporter};

/// A question to the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// After a group that is not the last.
    Continue { kind: Kind, group: String },
    /// A gate cannot tell how the service is; the default is no.
    Inconclusive { gate: String, reason: String },
    /// Before a rollback; the default is yes. `at_once`: it may also go faster than the budget allows.
    RollBack { kind: Kind, why: String, hosts: usize, at_once: bool },
}

impl Question {
    /// The question without a default, for when an Enter may not be meant as its answer.
    pub fn without_default(&self) -> String {
        self.to_string().replace("[Y]es", "[y]es")
    }
}

impl std::fmt::Display for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Question::Continue { kind, group } => {
                match kind {
                    Kind::Rollback => write!(f, "{group} is done. Roll back the next group?")?,
                    Kind::ServiceRestart => write!(f, "{group}: services restarted. Continue?")?,
                    Kind::Deploy | Kind::DryRun => write!(f, "{group} deploy successful. Continue?")?,
                }
                write!(f, " [y]es/[n]o/[c]ontinue all groups")
            }
            Question::Inconclusive { gate, reason } => {
                write!(f, "gate {gate} is inconclusive: {reason}. Continue all the same? [y]es/[N]o")
            }
            Question::RollBack { kind, why, hosts, at_once } => {
                let hosts = crate::text::hosts(*hosts);
                match kind {
                    Kind::Rollback => write!(f, "{why}. Stop the rollback, and undo it on {hosts}?")?,
                    _ => write!(f, "{why}. Roll back {hosts}?")?,
                }
                write!(f, " [Y]es/[n]o{}", if *at_once { "/[a]t once" } else { "" })
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Yes,
    No,
    /// Yes, also to every later question of this kind.
    All,
    /// Yes, with all hosts of a group at once.
    AtOnce,
}

impl Answer {
    pub fn word(self) -> &'static str {
        match self {
            Answer::Yes => "yes",
            Answer::No => "no",
            Answer::All => "continue all groups",
            Answer::AtOnce => "at once",
        }
    }
}

/// Asks, and reports the answer.
pub(super) fn ask(operator: &mut dyn Operator, report: &mut dyn Reporter, question: &Question) -> Answer {
    let answer = operator.ask(question);
    report.event(&Event::Asked {
        question: question.to_string(),
        answer: answer.word().to_owned(),
        by: operator.name().to_owned(),
    });
    answer
}

/// Answers questions and may interrupt the run.
pub trait Operator {
    fn ask(&mut self, question: &Question) -> Answer;

    /// Whether the operator has interrupted the run. Once true, it stays true.
    fn interrupted(&mut self) -> bool;

    /// Whether this run is to be undone even if all its stages have ended.
    fn undoes(&self) -> bool {
        false
    }

    /// Whether the operator has interrupted, even if the run does not stop for it.
    fn has_interrupted(&self) -> bool {
        false
    }

    /// What the operator can do after an interrupt while hosts are still at work; called once per step. `can_abort`:
    /// the step can be aborted on its hosts.
    fn advice(&mut self, _can_abort: bool) -> String {
        String::new()
    }

    /// Whether the operator aborts the step on its hosts; polled after [`Operator::advice`].
    fn aborts(&mut self) -> bool {
        false
    }

    /// Who gives the answers, for the log: `operator` or `--yes`.
    fn name(&self) -> &'static str;
}

/// The methods of an [`Operator`] that leaves them to the one in this field.
macro_rules! left_to {
    ($inner:ident) => {
        fn has_interrupted(&self) -> bool {
            self.$inner.has_interrupted()
        }

        fn advice(&mut self, can_abort: bool) -> String {
            self.$inner.advice(can_abort)
        }

        fn aborts(&mut self) -> bool {
            self.$inner.aborts()
        }

        fn name(&self) -> &'static str {
            self.$inner.name()
        }
    };
}
pub(crate) use left_to;
