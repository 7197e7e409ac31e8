//! The operator of a run: a person or a script.

use super::plan::Kind;
use crate::report::{Event, Reporter};

/// A question to the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// After a group that is not the last. `done`: on so many of its hosts the stages before finalize went well.
    Continue { kind: Kind, group: String, done: usize, hosts: usize },
    /// A gate cannot tell how the service is; the default is no.
    Inconclusive { gate: String, reason: String },
    /// Before a rollback; the default is yes. `at_once`: it may also go faster than the budget allows.
    RollBack { kind: Kind, why: String, hosts: usize, at_once: bool, undoes: Vec<String> },
    /// The same past steps that are irreversible. There is no default, and yes is no answer: it takes words.
    RollBackPast { why: String, hosts: usize, steps: Vec<String> },
    /// Whether a run-once step ran that was killed or lost. There is no default. `forward`: if it did not, it is run now, or
    /// the run is rolled back. `key`: how a flag calls the step.
    StepUnknown { key: String, step: String, reason: String, forward: bool },
}

impl Question {
    /// What has to be typed for a rollback past steps that are irreversible.
    pub fn words(&self) -> Option<String> {
        match self {
            Question::RollBackPast { steps, .. } => Some(roll_back_past(steps)),
            _ => None,
        }
    }

    /// The question without a default, for when an Enter may not be meant as its answer.
    pub fn without_default(&self) -> String {
        self.to_string().replace("[Y]es", "[y]es")
    }
}

impl std::fmt::Display for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Question::Continue { kind, group, done, hosts } => {
                let only = match done < hosts {
                    true => format!(" on {done} of {} only", crate::text::hosts(*hosts)),
                    false => String::new(),
                };
                match (kind, only.as_str()) {
                    (Kind::Rollback, _) => write!(f, "{group} is done{only}. Roll back the next group?")?,
                    (Kind::ServiceRestart, _) => write!(f, "{group}: services restarted{only}. Continue?")?,
                    // Scap's words.
                    (Kind::Deploy | Kind::DryRun, "") => write!(f, "{group} deploy successful. Continue?")?,
                    (Kind::Deploy | Kind::DryRun, _) => write!(f, "{group} deployed{only}. Continue?")?,
                }
                write!(f, " [y]es/[n]o/[c]ontinue all groups")
            }
            Question::Inconclusive { gate, reason } => {
                write!(f, "gate {gate} is inconclusive: {reason}. Continue all the same? [y]es/[N]o")
            }
            Question::RollBack { kind, why, hosts, at_once, undoes } => {
                let hosts = crate::text::hosts(*hosts);
                let undo = match undoes.len() {
                    0 => String::new(),
                    1 => format!(", and undo step {}", undoes[0]),
                    _ => format!(", and undo the steps {}", undoes.join(", ")),
                };
                match kind {
                    Kind::Rollback => write!(f, "{why}. Stop the rollback, and undo it on {hosts}{undo}?")?,
                    _ => write!(f, "{why}. Roll back {hosts}{undo}?")?,
                }
                write!(f, " [Y]es/[n]o{}", if *at_once { "/[a]t once" } else { "" })
            }
            Question::RollBackPast { why, hosts, steps } => {
                let (hosts, words) = (crate::text::hosts(*hosts), roll_back_past(steps));
                write!(f, "{why}. {} irreversible. ", are(steps))?;
                write!(f, "To roll back {hosts} all the same, type: {words} [n]o")
            }
            Question::StepUnknown { step, reason, forward, .. } => {
                write!(f, "{step}: it is not known whether it ran ({reason}). ")?;
                f.write_str(if *forward {
                    "[d]one/[n]ot done, run it/[r]oll back"
                } else {
                    "[d]one/[n]ot done/[l]eave it"
                })
            }
        }
    }
}

/// `step migrate is`, `the steps migrate and seed are`.
fn are(steps: &[String]) -> String {
    match steps {
        [one] => format!("Step {one} is"),
        all => format!("The steps {} are", all.join(", ")),
    }
}

/// What has to be typed for it.
pub fn roll_back_past(steps: &[String]) -> String {
    format!("roll back past {}", steps.join(", "))
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
    /// The step ran.
    Done,
    /// The step did not run.
    NotDone,
    /// There is none, and no default either: the run stays unfinished.
    Unanswered,
}

impl Answer {
    pub fn word(self) -> &'static str {
        match self {
            Answer::Yes => "yes",
            Answer::No => "no",
            Answer::All => "continue all groups",
            Answer::AtOnce => "at once",
            Answer::Done => "done",
            Answer::NotDone => "not done",
            Answer::Unanswered => "no answer",
        }
    }
}

/// Who answers questions: as of [`Operator::answers`].
pub const ANSWERERS: [&str; 3] = ["operator", "--yes", "--step"];

/// Asks, and reports the answer.
pub(super) fn ask(operator: &mut dyn Operator, report: &mut dyn Reporter, question: &Question) -> Answer {
    let (answer, by) = operator.answer(question);
    let (question, answer_word, by) = (question.to_string(), answer.word().to_owned(), by.to_owned());
    report.event(&Event::Asked { question, answer: answer_word, by });
    answer
}

/// Answers questions and may interrupt the run.
pub trait Operator {
    fn ask(&mut self, question: &Question) -> Answer;

    /// Whether the operator has interrupted the run. Once true, it stays true.
    fn interrupted(&mut self) -> bool;

    /// From now on the run may have touched a host.
    fn touches(&mut self) {}

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

    /// The same for a command on the deploy host, which does not outlive Hoist.
    fn advice_here(&mut self) -> String {
        String::new()
    }

    /// Whether the operator aborts the step on its hosts; polled after [`Operator::advice`].
    fn aborts(&mut self) -> bool {
        false
    }

    /// Who gives the answers, for the log: `operator` or `--yes`.
    fn name(&self) -> &'static str;

    /// Who answers this question: a flag may, in place of whom [`Operator::name`] gives.
    fn answers(&self, _question: &Question) -> &'static str {
        self.name()
    }

    /// Asks; with the answer comes who gave it, one of [`ANSWERERS`].
    fn answer(&mut self, question: &Question) -> (Answer, &'static str) {
        // A flag answers once, so afterwards it is not known who did.
        let by = self.answers(question);
        (self.ask(question), by)
    }
}

/// The methods of an [`Operator`] that leaves them to the one in this field.
macro_rules! left_to {
    ($inner:ident) => {
        fn touches(&mut self) {
            self.$inner.touches();
        }

        fn advice(&mut self, can_abort: bool) -> String {
            self.$inner.advice(can_abort)
        }

        fn advice_here(&mut self) -> String {
            self.$inner.advice_here()
        }

        fn aborts(&mut self) -> bool {
            self.$inner.aborts()
        }

        fn name(&self) -> &'static str {
            self.$inner.name()
        }

        fn answers(&self, question: &Question) -> &'static str {
            self.$inner.answers(question)
        }
    };
}
pub(crate) use left_to;
