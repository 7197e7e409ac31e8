//! Whether a target was confirmed to run what it should, since it was started.

use serde::{Deserialize, Serialize};

/// How the confirmation of a target's live revision stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confirmation {
    /// There never was one.
    #[default]
    Never,
    /// There was one, before the host was started, or of another revision.
    Lapsed,
    /// There is one, of the live revision.
    Stands,
    /// There is one by the probe that asks, and there was none before it.
    Given,
    /// The probe that asks could not write it; one fragment says why.
    Failed { reason: String },
}

impl Confirmation {
    /// Whether the live revision is confirmed.
    pub fn stands(&self) -> bool {
        matches!(self, Confirmation::Stands | Confirmation::Given)
    }

    /// Whether there never was one.
    pub fn is_never(&self) -> bool {
        *self == Confirmation::Never
    }
}
