//! Reads single keys into their types, each with its default from the table of keys.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::problem::Problem;
use crate::url;
use crate::wire::{Drain, DrainOn, Stage};

use super::keys;
use super::keys::{Found, Key, Kind};
use super::layers::{ConfigEntry, Layers, Origin};
use super::problems::Problems;
use super::{addresses, values};

/// Reads keys. What cannot be used is noted among the problems, and the key is read as if it were unset. An error is a
/// mistake in the table of keys, and nobody else's.
pub(super) struct SettingsReader<'a> {
    pub layers: &'a Layers,
    pub problems: &'a mut Problems,
}

/// The key, as the table has it.
fn known(key: &str) -> Result<&'static Key, Problem> {
    let missing = || Problem::new(format!("the table of keys lacks {key}: add it in config/keys.rs")).about(key);
    match keys::find(key) {
        Some(Found::Bare(key) | Found::Group(_, key) | Found::Stage(_, key)) => Ok(key),
        None => Err(missing()),
    }
}

/// What the table of keys gives to a key that is not set.
fn default_of<T>(key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, Problem> {
    let default = known(key)?.default.unwrap_or_default();
    parse(default).map_err(|why| Problem::new(format!("the default of {key} is unusable: {why}")).about(key))
}

impl<'a> SettingsReader<'a> {
    /// `key`'s value, or its default.
    pub fn get<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, Problem> {
        self.first(&[key], parse)
    }

    /// The value of the first of `keys` that is set, or the default of the last.
    fn first<T>(&mut self, keys: &[&str], parse: impl Fn(&str) -> Result<T, String>) -> Result<T, Problem> {
        for key in keys {
            if let Some(value) = self.set(key, &parse) {
                return Ok(value);
            }
        }
        default_of(keys.last().copied().unwrap_or_default(), parse)
    }

    /// The value of a key that may be unset; an empty value unsets what a lower layer has set.
    pub fn opt<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, Problem> {
        known(key)?;
        Ok(if self.is_empty(key) { None } else { self.set(key, parse) })
    }

    /// `key`'s value, or its default; an empty value leaves it to that.
    pub fn filled<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, Problem> {
        if self.is_empty(key) { default_of(key, parse) } else { self.get(key, parse) }
    }

    fn is_empty(&self, key: &str) -> bool {
        self.layers.get(key).is_some_and(|entry| entry.value.is_empty())
    }

    /// The value of a key that is set, if it can be used.
    fn set<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let entry = self.layers.get(key)?;
        self.usable(entry, key, parse)
    }

    fn usable<T>(&mut self, entry: &ConfigEntry, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        self.problems.keep(parse(&entry.value).map_err(|why| entry.mistake(key, &why)))
    }

    /// The repository's name. It has no default: a configuration without one is read on under another name.
    pub fn repo(&mut self, optional: bool) -> Result<String, Problem> {
        let found = self.opt("git_repo", values::repo)?;
        if optional {
            return Ok(found.unwrap_or_default());
        }
        if self.layers.get("git_repo").is_none_or(|entry| entry.value.is_empty()) {
            let why = "git_repo is not set: write `git_repo: NAME` in the section [global] of the configuration";
            self.problems.push(Problem::new(why).about("git_repo"));
        }
        Ok(found.unwrap_or_else(|| "unnamed".to_owned()))
    }

    /// Scap reads the mask as a decimal number. A zero in front says octal all the same: nobody means 0022 otherwise.
    pub fn umask(&mut self) -> Result<u32, Problem> {
        let decimal = match self.layers.get("umask").map(|entry| &entry.origin) {
            Some(Origin::File { name, .. }) => name.rsplit('/').next() == Some("scap.cfg"),
            _ => self.layers.scaps,
        };
        self.get("umask", |value| if decimal { values::scaps_umask(value) } else { values::umask(value) })
    }

    /// A password is taken from a file alone: others see a command line, and journals keep it.
    pub fn proxy(&mut self) -> Result<Option<String>, Problem> {
        let found = self.opt("http_proxy", addresses::proxy)?;
        if let (Some(proxy), Some(entry)) = (&found, self.layers.get("http_proxy"))
            && url::masked(proxy) != *proxy
            && !matches!(entry.origin, Origin::File { .. })
        {
            let why = "it contains a password, which other users could see: write it in a file";
            self.problems.push(entry.mistake("http_proxy", why));
            return Ok(None);
        }
        Ok(found)
    }

    /// The value of a key that takes one of a few words.
    pub fn choice(&mut self, key: &str) -> Result<String, Problem> {
        self.first_choice(&[key])
    }

    /// The same of the first of `names` that is set.
    fn first_choice(&mut self, names: &[&str]) -> Result<String, Problem> {
        let kind = names.last().and_then(|name| keys::bare(name)).map(|key| key.kind);
        let words = if let Some(Kind::Choice(words)) = kind { words } else { &[] };
        self.first(names, |value| values::choice(value, words))
    }

    /// The stages' own values of `key`.
    pub fn stages<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<BTreeMap<Stage, T>, Problem> {
        known(key)?;
        let mut found = BTreeMap::new();
        for (name, entry) in &self.layers.entries {
            if let Some(Found::Stage(stage, of)) = keys::find(name)
                && of.name == key
                && let Some(value) = self.usable(entry, name, &parse)
            {
                found.insert(stage, value);
            }
        }
        Ok(found)
    }

    /// The file of those who may sign. Where signatures are required, so is the file.
    pub fn signers(&mut self) -> Result<Option<std::path::PathBuf>, Problem> {
        let file = self.opt("allowed_signers", values::absolute)?;
        let counts = self.get("required_signatures", |value| values::number(value, 0))? > 0;
        let signed = self.get("require_signed_revision", values::boolean)?;
        let key = if counts { "required_signatures" } else { "require_signed_revision" };
        if let (None, true, Some(entry)) = (&file, counts || signed, self.layers.get(key)) {
            let why = "allowed_signers is not set: name the file of those who may sign";
            self.problems.push(entry.mistake(key, why));
        }
        Ok(file)
    }

    pub fn max_sessions(&mut self) -> Result<Option<usize>, Problem> {
        let wanted = self.opt("max_sessions", |value| values::number(value, 1))?;
        if wanted.is_some()
            && self.get("confirm_timeout", values::seconds_or_off)? > Duration::ZERO
            && let Some(entry) = self.layers.get("max_sessions")
        {
            let why = "it cannot be combined with confirm_timeout: a target without a session would roll itself back; \
                 remove one";
            self.problems.push(entry.mistake("max_sessions", why));
            return Ok(None);
        }
        Ok(wanted)
    }
}

/// Reads the keys of a group, each under the group's own name of it first.
pub(super) struct GroupReader<'r, 'a> {
    pub group: &'r str,
    pub reader: &'r mut SettingsReader<'a>,
}

impl GroupReader<'_, '_> {
    fn own(&self, key: &str) -> String {
        keys::of_group(self.group, key)
    }

    /// The value of the group's own key, or of the bare one, or its default.
    pub fn first<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, Problem> {
        self.reader.first(&[&self.own(key), key], parse)
    }

    /// The same of a key that may be unset: an empty value of the group's own key unsets it for the group.
    pub fn first_opt<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, Problem> {
        let own = self.own(key);
        let key = if self.reader.layers.get(&own).is_some() { &own } else { key };
        self.reader.opt(key, parse)
    }

    /// The value of the group's own key, whatever the bare one is.
    pub fn own_opt<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, Problem> {
        self.reader.opt(&self.own(key), parse)
    }

    /// One of a few words.
    pub fn choice(&mut self, key: &str) -> Result<String, Problem> {
        self.reader.first_choice(&[&self.own(key), key])
    }

    /// How the targets of the group are drained. To drain without a way back, or the other way round, is a mistake.
    pub fn drain(&mut self) -> Result<Option<Drain>, Problem> {
        let mut command = |key: &str| self.first_opt(key, values::shell);
        let [drain, drain_done] = [command("drain")?, command("drain_done")?];
        let [undrain, undrain_done] = [command("undrain")?, command("undrain_done")?];
        let on = match self.choice("drain_on")?.as_str() {
            "deploy_host" => DrainOn::DeployHost,
            _ => DrainOn::Target,
        };
        let timeout = self.first("drain_timeout", values::seconds)?.as_secs();
        let is_set = |key: &str, it: &Option<String>| it.as_ref().map(|_| key.to_owned());
        let given = is_set("drain", &drain).or(is_set("drain_done", &drain_done));
        let given = given.or(is_set("undrain", &undrain)).or(is_set("undrain_done", &undrain_done));
        let missing = [("drain", &drain), ("undrain", &undrain)].into_iter().find(|(_, it)| it.is_none());
        if let (Some(given), Some((missing, _))) = (&given, missing) {
            // A group that is not to be drained leaves the command empty.
            let found =
                [self.own(given), given.clone()].into_iter().find_map(|key| Some((self.reader.layers.get(&key)?, key)));
            if let Some((entry, key)) = found.filter(|_| !self.reader.is_empty(&self.own(missing))) {
                let why = format!("{missing} is not set: a target is drained and undrained, so set both");
                self.reader.problems.push(entry.mistake(&key, &why));
            }
            return Ok(None);
        }
        Ok(given.map(|_| Drain { on, drain, drain_done, undrain, undrain_done, timeout }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_the_table_lacks_is_named_with_the_file_of_the_table() {
        let (layers, mut problems) = (Layers::default(), Problems::default());
        let mut read = SettingsReader { layers: &layers, problems: &mut problems };
        let why = "the table of keys lacks no_such_key: add it in config/keys.rs";
        assert_eq!(read.opt("no_such_key", values::absolute).unwrap_err().to_string(), why);
        assert_eq!(read.get("no_such_key", values::absolute).unwrap_err().to_string(), why);
        assert_eq!(read.stages("no_such_key", values::absolute).unwrap_err().to_string(), why);
    }
}
