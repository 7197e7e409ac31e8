//! What one answer of a gate's source comes to.

use serde::{Deserialize, Serialize};

use crate::named::named;

/// One answer, or none.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// As required.
    Good { value: Option<String> },
    /// Not as required, and why.
    Bad { value: Option<String>, reason: String },
    /// The source answered, and there is no value in its answer.
    NoData(String),
    /// There is no answer.
    NoAnswer(String),
    /// There are values, and not enough of them yet.
    Gathering(String),
    /// There is nothing to ask about.
    Skipped(String),
}

named! {
    /// What one sample says of the service.
    pub enum SampleVerdict {
        Pass = "pass",
        Fail = "fail",
        /// It says nothing: there was no answer, or no data.
        Inconclusive = "inconclusive",
        /// The gate was not asked: there is nothing to ask about.
        Skipped = "skipped",
    }
}

/// Why a sample that says nothing is not the end: the gate is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pending {
    /// There are values, and more are needed.
    Gathering,
    /// There was no value.
    NoValue,
}

/// One sample of a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The gate's name.
    pub gate: String,
    /// What was measured, as it is shown; `None` where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    pub verdict: SampleVerdict,
    /// Why: `0.051 is not < 0.01`.
    pub reason: String,
    /// Its number within this look at the service, from 1.
    pub attempt: u32,
    /// It is told, and never obeyed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub observe: bool,
    /// It is inconclusive, and the gate is asked again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
}

/// `errors: fail, 0.051 is not < 0.01`
impl std::fmt::Display for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Sample { gate, value, verdict, reason, observe, pending, .. } = self;
        write!(f, "gate {gate}: {verdict}")?;
        match (value, reason.is_empty()) {
            (_, false) => write!(f, ", {reason}")?,
            (Some(value), true) => write!(f, ", {value}")?,
            (None, true) => {}
        }
        f.write_str(if *pending == Some(Pending::NoValue) { "; it will be asked again" } else { "" })?;
        f.write_str(if *observe { " (observed only)" } else { "" })
    }
}
