//! What an inventory says of a host besides its name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::names::{check_host, check_user};

/// How a host is reached, and what is known of it. Its name stays its name in everything that is recorded or shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// The name or address to connect to; `None`: the host's name.
    pub address: Option<String>,
    pub user: Option<String>,
    pub port: Option<u16>,
    /// `zone`, `rack` and the like.
    pub labels: BTreeMap<String, String>,
    /// The groups of the inventory that it is in.
    pub groups: Vec<String>,
}

impl Details {
    /// Refuses what could not be connected to, or could do harm in a message or as an argument.
    ///
    /// # Errors
    /// The first of it, and why.
    pub fn check(&self) -> Result<(), String> {
        if let Some(address) = &self.address {
            check_host(address).map_err(|why| format!("bad address {address:?}: {why}"))?;
        }
        if let Some(user) = &self.user {
            check_user(user).map_err(|why| format!("bad user name {user:?}: {why}"))?;
        }
        if self.port == Some(0) {
            return Err("bad port 0: a number from 1 to 65535".into());
        }
        for (name, value) in &self.labels {
            if name.is_empty() || !name.chars().all(super::is_name_character) {
                return Err(format!("bad label {name:?}: letters, digits, '.', '_' and '-' only"));
            }
            if value.chars().any(char::is_control) {
                return Err(format!("the label {name} contains a control character: {value:?}"));
            }
        }
        match self.groups.iter().find(|group| group.chars().any(char::is_control)) {
            Some(group) => Err(format!("the name of the group {group:?} contains a control character")),
            None => Ok(()),
        }
    }
}
