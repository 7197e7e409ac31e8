//! What a health gate said, once, and when it was asked.

use serde::{Deserialize, Serialize};

/// When the story looks at the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// Before the first host is touched.
    Before,
    /// After a subgroup's stages.
    Subgroup,
    /// Throughout a soak.
    Soak,
    /// After a group.
    Group,
    /// Before finalize.
    Finalize,
}

impl Moment {
    /// The moment as configurations and events have it.
    pub fn word(self) -> &'static str {
        match self {
            Moment::Before => "before",
            Moment::Subgroup => "subgroup",
            Moment::Soak => "soak",
            Moment::Group => "group",
            Moment::Finalize => "finalize",
        }
    }
}

/// What one sample says of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SampleVerdict {
    Pass,
    Fail,
    /// It says nothing: there was no answer, or no data.
    Inconclusive,
}

impl SampleVerdict {
    /// The verdict as events and people have it.
    pub fn word(self) -> &'static str {
        match self {
            SampleVerdict::Pass => "pass",
            SampleVerdict::Fail => "fail",
            SampleVerdict::Inconclusive => "inconclusive",
        }
    }
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
}

/// `errors: fail, 0.051 is not < 0.01`
impl std::fmt::Display for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Sample { gate, value, verdict, reason, observe, .. } = self;
        write!(f, "gate {gate}: {}", verdict.word())?;
        match (value, reason.is_empty()) {
            (_, false) => write!(f, ", {reason}")?,
            (Some(value), true) => write!(f, ", {value}")?,
            (None, true) => {}
        }
        f.write_str(if *observe { " (observed only)" } else { "" })
    }
}
