//! Where a host ended up: one row of the final table.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::targets::Target;
use crate::wire::{Revision, Stage};

/// One row of the final table. Every target of the plan has exactly one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostRow {
    pub host: Target,
    pub group: String,
    pub state: RowState,
    /// The stage that the state is about: the last one that the host passed, or the one that did not end well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// Whether the operator need not look at this host. Logs of earlier builds call it `happy`.
    #[serde(alias = "happy")]
    pub ok: bool,
    /// The revision that is live there, as last read from the host; `None`: not known, or none.
    pub current: Option<Revision>,
    /// One fragment for a host that is not ok.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The part of it that stays true: not that the host is drained, or is about to go back by itself.
    #[serde(skip)]
    pub cause: Option<String>,
}

impl HostRow {
    /// The state for people: `after promote`, `rolled back`.
    pub fn state_text(&self) -> String {
        match (self.state, self.stage) {
            (RowState::Passed, Some(stage)) => format!("after {stage}"),
            (RowState::Running, Some(stage)) => format!("in {stage}"),
            (RowState::Unreachable, Some(stage)) => format!("unreachable after {stage}"),
            (state, _) => state.text().to_owned(),
        }
    }
}

/// The state of a host at the end of a command. In JSON it is a word of `hoist-deploy(1)`'s list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowState {
    /// A command of the operator's ended well.
    Ok,
    Finalized,
    /// It passed the row's stage, and the run ended there.
    Passed,
    /// By a dry run.
    Compared,
    /// The row's stage has not ended.
    Running,
    RolledBack,
    /// Rolled back, and a check of that revision fails.
    ChecksFailed,
    /// There was nothing to roll back to.
    Left,
    MovedOn,
    NotAttempted,
    Failed,
    Killed,
    TimedOut,
    Refused,
    Unreachable,
    /// The connection was lost while the operator's command ran.
    Lost,
    /// The connection was lost in the middle of a stage.
    Unknown,
    NotFinalized,
    RollbackFailed,
}

/// Every state, with its word in JSON and its text in the table.
const STATES: [(RowState, &str, &str); 19] = [
    (RowState::Ok, "ok", "ok"),
    (RowState::Finalized, "finalized", "finalized"),
    (RowState::Passed, "passed", "passed"),
    (RowState::Compared, "compared", "compared"),
    (RowState::Running, "running", "running"),
    (RowState::RolledBack, "rolled_back", "rolled back"),
    (RowState::ChecksFailed, "checks_failed", "rolled back, check fails"),
    (RowState::Left, "left", "left as it is"),
    (RowState::MovedOn, "moved_on", "moved on"),
    (RowState::NotAttempted, "not_attempted", "not attempted"),
    (RowState::Failed, "failed", "failed"),
    (RowState::Killed, "killed", "killed"),
    (RowState::TimedOut, "timed_out", "timed out"),
    (RowState::Refused, "refused", "refused"),
    (RowState::Unreachable, "unreachable", "unreachable"),
    (RowState::Lost, "lost", "lost"),
    (RowState::Unknown, "unknown", "unknown"),
    (RowState::NotFinalized, "not_finalized", "not finalized"),
    (RowState::RollbackFailed, "rollback_failed", "rollback failed"),
];

impl RowState {
    /// Every state, in the order of the manual.
    pub fn all() -> impl Iterator<Item = RowState> {
        STATES.into_iter().map(|(state, _, _)| state)
    }

    /// The state in JSON.
    pub fn word(self) -> &'static str {
        self.entry().1
    }

    fn text(self) -> &'static str {
        self.entry().2
    }

    fn entry(self) -> (RowState, &'static str, &'static str) {
        // A test holds that none is missing.
        STATES.into_iter().find(|(state, _, _)| *state == self).unwrap_or((self, "unknown", "unknown"))
    }

    /// Reads a word, or the text that logs of earlier builds have.
    fn read(text: &str) -> Option<RowState> {
        let exact = STATES.into_iter().find(|(_, word, shown)| [*word, *shown].contains(&text));
        let with_stage =
            [("after ", RowState::Passed), ("in ", RowState::Running), ("unreachable after ", RowState::Unreachable)];
        let old = with_stage.into_iter().find(|(start, _)| text.starts_with(start)).map(|(_, state)| state);
        exact.map(|(state, _, _)| state).or(old)
    }
}

impl Serialize for RowState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl<'de> Deserialize<'de> for RowState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RowState, D::Error> {
        let text = String::deserialize(deserializer)?;
        RowState::read(&text).ok_or_else(|| serde::de::Error::custom(format!("{text:?} is not a state of a host")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_one_word_of_its_own_and_reads_back() {
        // One more state than the last one would not compile into this table unnoticed.
        assert_eq!(RowState::RollbackFailed as usize + 1, STATES.len());
        for (number, state) in RowState::all().enumerate() {
            assert_eq!(state as usize, number);
            let json = serde_json::to_string(&state).unwrap();
            assert!(json.trim_matches('"').bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{json}");
            assert_eq!(serde_json::from_str::<RowState>(&json).unwrap(), state);
        }
    }

    #[test]
    fn a_row_of_an_earlier_build_is_read() {
        for (old, state) in [
            ("rolled back, check fails", RowState::ChecksFailed),
            ("after promote", RowState::Passed),
            ("unreachable after fetch", RowState::Unreachable),
            ("not attempted", RowState::NotAttempted),
        ] {
            let json = format!(r#"{{"host":"web1","group":"g","state":{old:?},"happy":false,"current":null}}"#);
            let row: HostRow = serde_json::from_str(&json).unwrap();
            assert_eq!((row.state, row.ok, row.reason), (state, false, None));
        }
    }
}
