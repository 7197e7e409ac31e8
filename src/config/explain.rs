//! What `hoist config` shows: every key, its value, and where the value came from.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::url::{ADDRESS_KEYS, masked};

use super::Config;
use super::keys;
use super::keys::{Found, KEYS};
use super::scap_keys;

/// What is shown for a key without a value.
pub const UNSET: &str = "unset";

/// One key with the value that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explained {
    pub key: String,
    /// As it is written; `None`: it is not set, and has no default.
    pub value: Option<String>,
    /// `hoist/hoist.cfg:12 [global]`, `command line (-D)` or `default`; a key that has no effect is marked after it.
    pub origin: String,
}

impl Config {
    /// One key, in lower case: as [`Config::explain`] has it, or for a group's or a stage's key that is not set, as the key
    /// that holds for it. `None`: it is not known, and not set.
    pub fn explain_key(&self, name: &str) -> Option<Explained> {
        let all = self.explain();
        let of = |name: &str| all.iter().find(|it| it.key == name).cloned();
        of(name).or_else(|| match keys::find(name)? {
            Found::Group(group, _) if !self.reads_group_keys(&group) => None,
            Found::Bare(key) | Found::Group(_, key) | Found::Stage(_, key) => of(key.name),
        })
    }

    /// Every known key, and every known key of a group or a stage that is set, with its value. What `conceal` makes of a
    /// value with a password stands behind what is shown of it.
    pub fn known_settings(&self, conceal: impl Fn(&str) -> String) -> BTreeMap<String, String> {
        let known = self.explain().into_iter().filter(|row| keys::find(&row.key).is_some());
        let value = |row: Explained| {
            let shown = row.value.unwrap_or_else(|| UNSET.to_owned());
            let raw = self.layers.get(&row.key).map(|entry| entry.value.clone()).filter(|raw| *raw != shown);
            // What is not set, and has no default, is no secret.
            let raw = raw.filter(|raw| !raw.is_empty());
            let mark = raw.map(|raw| format!(" (#{})", conceal(&raw))).unwrap_or_default();
            (row.key, shown + &mark)
        };
        known.map(value).collect()
    }

    /// Every known key in the table's order, then the keys of groups and stages that are set, then unknown keys.
    pub fn explain(&self) -> Vec<Explained> {
        let row = |key: &str, value: Option<&str>, origin: String| {
            let shown = |value| if ADDRESS_KEYS.contains(&key) { masked(value) } else { value.to_owned() };
            Explained { key: key.into(), value: value.map(shown), origin }
        };
        let mut rows: Vec<Explained> = KEYS
            .iter()
            .map(|key| match self.layers.get(key.name) {
                Some(entry) => row(key.name, Some(&entry.value), entry.origin.to_string()),
                None => row(key.name, key.default, "default".into()),
            })
            .collect();
        let (known, unknown): (Vec<_>, Vec<_>) = self
            .layers
            .entries
            .iter()
            .filter(|(name, _)| keys::bare(name).is_none())
            .partition(|(name, _)| keys::find(name).is_some());
        for (name, entry) in known {
            let mark = match keys::find(name) {
                Some(Found::Group(group, _)) if !self.reads_group_keys(&group) => " (no such group: ignored)",
                _ => "",
            };
            rows.push(row(name, Some(&entry.value), format!("{}{mark}", entry.origin)));
        }
        for (name, entry) in unknown {
            let is_scaps = scap_keys::find(name).is_some();
            let mark = if is_scaps { "Scap's key: not supported" } else { "unknown key: ignored" };
            rows.push(row(name, Some(&entry.value), format!("{} ({mark})", entry.origin)));
        }
        rows
    }
}
