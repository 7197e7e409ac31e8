//! The mode, the owner and the group of a configuration file, as they are on the disk.

use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::local::os::accounts;
use crate::local::os::accounts::Names;
use crate::procfs;
use crate::wire::{Access, ConfigFile};

/// What a file has to have; `None`: what it gets by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rights {
    pub mode: Option<u32>,
    pub owner: Option<u32>,
    pub group: Option<u32>,
}

impl Rights {
    /// What a configuration file has to have on this host. One with secrets is for its owner alone, and for its group if
    /// that is named.
    ///
    /// # Errors
    /// A user or a group that does not exist, or that this process may not give a file to.
    pub fn of(file: &ConfigFile, is_secret: bool, until: Instant) -> Result<Rights, String> {
        let Access { mode, owner, group } = &file.access;
        let of_secret = || if group.is_some() { 0o640 } else { 0o600 };
        let number = |key: &str, names: Names, name: &Option<String>| {
            name.as_ref().map(|name| names.number(name, until)).transpose().map_err(|why| of_key(key, &why))
        };
        let rights = Rights {
            mode: mode.or_else(|| is_secret.then(of_secret)),
            owner: number("owner", Names::Users, owner)?,
            group: number("group", Names::Groups, group)?,
        };
        if let Some(why) = accounts::may_not_give(rights.owner, None) {
            let why = format!("it cannot belong to {}: {why}", owner.as_deref().unwrap_or_default());
            return Err(of_key("owner", &why));
        }
        match accounts::may_not_give(None, rights.group) {
            Some(why) => {
                let why = format!("it cannot have the group {}: {why}", group.as_deref().unwrap_or_default());
                Err(of_key("group", &why))
            }
            None => Ok(rights),
        }
    }

    /// Whether a file gets all by itself.
    pub fn is_unset(&self) -> bool {
        *self == Rights::default()
    }

    /// How a file differs from that: `mode 0644 instead of 0640, owner root instead of app`.
    pub fn differ(&self, found: &Metadata) -> Option<String> {
        let mut parts = Vec::new();
        let now = found.permissions().mode() & 0o7777;
        if let Some(mode) = self.mode.filter(|mode| *mode != now) {
            parts.push(format!("mode {now:04o} instead of {mode:04o}"));
        }
        let mut compare = |what: &str, wanted: Option<u32>, now: u32, name: fn(u32) -> String| {
            if let Some(wanted) = wanted.filter(|wanted| *wanted != now) {
                parts.push(format!("{what} {} instead of {}", name(now), name(wanted)));
            }
        };
        compare("owner", self.owner, found.uid(), procfs::user_name);
        compare("group", self.group, found.gid(), procfs::group_name);
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

/// What is wrong with a key of a configuration file.
fn of_key(key: &str, why: &str) -> String {
    format!("{key} in config-files.yaml: {why}")
}
