//! Run-once steps: commands that a deployment runs once, on one host, before or after a group or a stage.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::named::named;
use crate::targets::Target;
use crate::text::serde_as_text;
use crate::wire::{Revision, Stage};

named! {
    /// On which side of its group or stage a step runs.
    pub enum When: "moment" {
        Before = "before",
        After = "after",
    }
}

/// Where a step runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum On {
    DeployHost,
    /// The first host of the group that has not failed.
    First,
    Host(Target),
}

impl FromStr for On {
    type Err = String;

    fn from_str(text: &str) -> Result<On, String> {
        match text {
            "deploy-host" => Ok(On::DeployHost),
            "first" => Ok(On::First),
            name => Ok(On::Host(name.parse()?)),
        }
    }
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            On::DeployHost => f.write_str("deploy-host"),
            On::First => f.write_str("first"),
            On::Host(target) => target.fmt(f),
        }
    }
}
serde_as_text!(On);

/// One step from `steps.yaml`, or the undoing of one that an earlier run did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnceStep {
    pub name: String,
    /// A line for `/bin/sh`.
    pub command: String,
    /// What a rollback runs; `None`: the step is not undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
    pub on: On,
    pub when: When,
    /// `None`: the step belongs to the whole run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    pub timeout: Duration,
    /// Without `undo`, no host is rolled back past it by itself.
    #[serde(default)]
    pub irreversible: bool,
    /// Where its commands run on the deploy host.
    #[serde(default)]
    pub folder: PathBuf,
    /// It undoes what an earlier run did: the revision of that run, and what was live before. If it fails, the run goes on:
    /// the hosts go back nevertheless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<(Revision, Option<Revision>)>,
}

impl OnceStep {
    /// Whether nothing leads back behind it.
    pub fn bars_rollback(&self) -> bool {
        self.irreversible && self.undo.is_none()
    }

    /// `before promote of group web`, `after the groups`. A run that goes back from a finished deployment takes the groups in
    /// their order, with the canaries first, and not in reverse. So what undoes the steps after any of the groups comes
    /// first, and what undoes the steps before them comes last, as if all hosts were one group.
    pub fn place(&self) -> String {
        let when = self.when;
        if self.undoes.is_some() {
            return match when {
                When::Before => "before any host goes back".to_owned(),
                When::After => "when all hosts are back".to_owned(),
            };
        }
        match (&self.group, self.stage) {
            (Some(group), Some(stage)) => format!("{when} {stage} of group {group}"),
            (Some(group), None) => format!("{when} group {group}"),
            (None, Some(stage)) => format!("{when} {stage}"),
            (None, None) => format!("{when} the groups"),
        }
    }

    /// `on the deploy host`, `on the first host`.
    pub fn where_it_runs(&self) -> String {
        match &self.on {
            On::DeployHost => "on the deploy host".to_owned(),
            On::First => "on the first host".to_owned(),
            On::Host(target) => format!("on {target}"),
        }
    }

    /// What a plan says of it: `before group main on db1: rake db:migrate; irreversible`.
    pub fn summary(&self) -> String {
        let back = match (&self.undo, self.irreversible) {
            (Some(undo), _) => format!("; a rollback runs: {undo}"),
            (None, true) => "; irreversible: a rollback past it takes words".to_owned(),
            (None, false) => "; a rollback does not undo it".to_owned(),
        };
        let back = if self.undoes.is_some() { String::new() } else { back };
        format!("{}{back}", self.what_runs())
    }

    /// `before group main on db1: rake db:migrate`, `on db1, when all hosts are back: rake db:rollback`.
    pub fn what_runs(&self) -> String {
        let command = self.command.split_whitespace().collect::<Vec<_>>().join(" ");
        match self.undoes {
            None => format!("{} {}: {command}", self.place(), self.where_it_runs()),
            Some(_) => format!("{}, {}: {command}", self.where_it_runs(), self.place()),
        }
    }

    /// How messages call it, or its undoing.
    pub fn title(&self, undo: bool) -> String {
        let undo = undo || self.undoes.is_some();
        format!("{}step {}", if undo { "undo of " } else { "" }, self.name)
    }

    /// What follows in a run on its way back if somebody says that the step, or its undoing, ran; and what if it did not.
    pub fn meanings_on_the_way_back(&self, undo: bool) -> [&'static str; 2] {
        match (undo, self.undoes.is_some()) {
            // Undone by a run that goes back from a finished deployment, and that is itself turned back.
            (_, true) => ["the step stays undone", "the step stays done"],
            (true, false) => ["it is not undone again", "the undo is run again"],
            (false, false) if self.undo.is_some() => ["it is undone", "nothing is undone"],
            (false, false) if self.irreversible => {
                ["going back past it takes words at a terminal", "nothing bars the way"]
            }
            (false, false) => ["it stays done", "nothing is left of it"],
        }
    }

    /// How `--step` calls it, or its undoing.
    pub fn key(&self, undo: bool) -> String {
        let undo = undo || self.undoes.is_some();
        format!("{}{}", self.name, if undo { UNDO } else { "" })
    }
}

/// What `--step` adds to the name of a step whose undoing it answers for. No step's own name ends so.
pub const UNDO: &str = ".undo";

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum OnceEnd {
    Done,
    /// Its command ended by itself, and not with 0.
    Failed {
        reason: String,
    },
    /// It began, and nobody knows how far it got.
    Unknown {
        reason: String,
    },
    NotBegun {
        reason: String,
    },
}

/// `done`, `failed: exit status 1`.
impl fmt::Display for OnceEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OnceEnd::Done => f.write_str("done"),
            OnceEnd::Failed { reason } => write!(f, "failed: {reason}"),
            OnceEnd::Unknown { reason } => write!(f, "it is not known whether it ran: {reason}"),
            OnceEnd::NotBegun { reason } => write!(f, "not begun: {reason}"),
        }
    }
}
