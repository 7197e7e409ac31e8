//! The lines of a journal.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::deploy::health::{Health, Moment, Sample};
use crate::deploy::{Answer, Asked, Digests, Plan};
use crate::fleet::{Call, HostId, HostResult, Task};
use crate::invocation::Invocation;
use crate::once::OnceEnd;
use crate::wire::StartedBy;

/// The form of the journals that this build writes. It grows when an older build would misread one: by a new kind of
/// record, or by a field that must not be passed over. Every form up to this one is read; a journal that names none is of
/// the first.
pub const FORMAT: u32 = 5;

/// The form of a journal without run-once steps, which builds before them read too.
const WITHOUT_STEPS: u32 = 4;

/// How a run was begun, so that whoever ends it does so with what it had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// Hoist's version.
    pub version: String,
    #[serde(default = "first_format")]
    pub format: u32,
    pub plan: Plan,
    pub environment: Option<String>,
    pub config_file: Option<PathBuf>,
    pub defines: Vec<String>,
    /// What targets are asked in this run; journals of the first format lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Box<Asked>>,
    /// The control files that the run began with; older journals lack them.
    #[serde(default, skip_serializing_if = "Digests::is_empty")]
    pub control_files: Digests,
}

impl Opened {
    /// The form of the journal of a run.
    pub fn format_of(plan: &Plan) -> u32 {
        if plan.steps.is_empty() { WITHOUT_STEPS } else { FORMAT }
    }

    /// The flags that reach the run from where a command with the flags `here` is called, by whoever calls it.
    pub fn invocation(&self, here: &Invocation) -> Invocation {
        Invocation {
            folder: here.folder.clone(),
            config_file: self.config_file.clone(),
            environment: self.environment.clone(),
            defines: here.with_own_access(&self.defines),
            limit: None,
        }
    }
}

/// The step of a try, of so many in the plan, and whether the try undoes it.
pub fn once_of(steps: usize, number: u32) -> (usize, bool) {
    let kind = number as usize % (2 * steps.max(1));
    (kind / 2, kind % 2 == 1)
}

fn first_format() -> u32 {
    1
}

/// A record as it is written: with its time, for whoever tells of it later. Journals of earlier builds have none.
#[derive(Serialize)]
pub(super) struct Stamped<'a> {
    #[serde(flatten)]
    pub record: &'a Record,
    /// RFC 3339, UTC.
    pub at: &'a str,
}

/// One line of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// The first line.
    Opened(Box<Opened>),
    /// A call on the fleet begins. Until `Returned`, any of its tasks may have been started.
    Called {
        call: Call,
        tasks: Vec<Task>,
    },
    /// A host's one result of that call.
    Ended {
        host: HostId,
        result: Box<HostResult>,
        /// How long the host was at work on it; `None`: nobody saw it begin, or an earlier build wrote the record.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        took_seconds: Option<f64>,
    },
    Returned,
    /// A try of a run-once step begins, or of undoing it; `number` as of [`crate::fleet::OnceCall`].
    OnceBegun {
        number: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<HostId>,
    },
    OnceEnded {
        number: u32,
        #[serde(flatten)]
        end: OnceEnd,
    },
    Answered {
        answer: Answer,
        /// Who gave it, one of [`crate::deploy::ANSWERERS`]; `None` in older journals.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    Interrupted,
    /// A look at the service begins, which is a soak where it takes time.
    LookBegun {
        moment: Moment,
        group: String,
        label: String,
        soak: Duration,
    },
    /// What a gate said.
    Sampled {
        sample: Sample,
    },
    /// So much of the soak is left.
    Soaked {
        left: Duration,
    },
    /// What the look came to.
    LookEnded {
        #[serde(flatten)]
        health: Health,
    },
    /// The last line of a finished deployment.
    Closed {
        verdict: String,
        status: u8,
        /// Whether the run's revision is finalized on any target, or may have stayed live there; `None` in older journals.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stayed: Option<bool>,
        /// Who ended the run, if that is not who began it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<StartedBy>,
    },
}
