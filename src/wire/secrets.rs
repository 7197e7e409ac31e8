//! Template variables that must not be stored anywhere.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Template variables of `vars_command`. They travel from the deployer to a stage that renders, and to the process that
/// does it; nothing that is stored contains this type.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secrets(pub Map<String, Value>);

impl fmt::Debug for Secrets {
    /// The number of variables alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_for_debugging_has_no_names_and_no_values() {
        let secrets: Secrets = serde_json::from_str(r#"{"password": "hunter2"}"#).unwrap();
        assert_eq!(format!("{secrets:?}"), "Secrets(1)");
    }
}
