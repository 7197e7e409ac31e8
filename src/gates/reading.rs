//! One reading of a gate's source, and the sample that is made of it.

use serde::{Deserialize, Serialize};

use crate::named::named;

/// One query's result.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// The requirement is met.
    Good { value: Option<String> },
    /// The requirement is not met, and why.
    Bad { value: Option<String>, reason: String },
    /// The source answered, but without a value.
    NoData(String),
    /// There is no answer.
    NoAnswer(String),
    /// There are values, but not enough yet.
    Gathering(String),
    /// There is nothing to query.
    Skipped(String),
}

named! {
    /// The verdict of one sample.
    pub enum SampleVerdict {
        Pass = "pass",
        Fail = "fail",
        /// There was no answer, or no data.
        Inconclusive = "inconclusive",
        /// The gate was not queried: there is nothing to query.
        Skipped = "skipped",
    }
}

/// Why an inconclusive sample is not final: the gate is queried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pending {
    /// There are values, but more are needed.
    Gathering,
    /// There was no value.
    NoValue,
}

/// One sample of a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The gate's name.
    pub gate: String,
    /// The measured value as it is shown; `None` if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    pub verdict: SampleVerdict,
    /// The reason: `0.051 is not < 0.01`.
    pub reason: String,
    /// Its number within this look, from 1.
    pub attempt: u32,
    /// It is reported, but has no effect.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub observe: bool,
    /// It is inconclusive, and the gate is queried again.
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
