//! When gates are asked.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A moment of a deployment at which its gates are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// Before the first host is touched.
    Before,
    /// After the stages of a subgroup.
    Subgroup,
    /// Throughout a soak.
    Soak,
    /// After a group.
    Group,
    /// Before finalize.
    Finalize,
}

impl Moment {
    /// All of them, in the order of a deployment.
    pub const ALL: [Moment; 5] = [Moment::Before, Moment::Subgroup, Moment::Soak, Moment::Group, Moment::Finalize];

    /// Its word in configurations and events.
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

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Moment::ALL.into_iter().find(|moment| moment.word() == text).ok_or_else(|| {
            let known = Moment::ALL.map(Moment::word);
            format!("unknown moment {text:?}{}", crate::text::meant_or_known(text, "moments", &known))
        })
    }
}
