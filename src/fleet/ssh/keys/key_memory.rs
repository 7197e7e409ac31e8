//! Remembers between commands which key each account accepted, so that the next login begins with it.
//!
//! The file belongs to the operator, as the keys do. It has a line for each accepted key; the last line of an account
//! counts. It is only a hint: without it, keys are tried in their order.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use rustix::fs::OFlags;

/// A file that has more lines than this for each account is written anew, and so is one that has too many accounts.
const LINES_AN_ACCOUNT: usize = 4;
const MOST_ACCOUNTS: usize = 20_000;
/// The maximum size that is read.
const LONGEST: u64 = 16 << 20;

/// The remembered keys. Without a file they are lost when the process ends.
#[derive(Debug, Default)]
pub struct KeyMemory {
    file: Option<PathBuf>,
    /// The ids of keys by account.
    known: Mutex<HashMap<String, String>>,
    /// The id that most accounts have.
    usual: Option<String>,
}

impl KeyMemory {
    /// Reads a file. One that is missing or cannot be read counts as empty.
    pub fn load(file: Option<PathBuf>) -> KeyMemory {
        let Some(path) = &file else { return KeyMemory::default() };
        let text = match read(path) {
            Ok(text) => text,
            Err(error) => {
                log::debug!("{}: {error}", path.display());
                String::new()
            }
        };
        let lines: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once('\t')).collect();
        let known: HashMap<String, String> =
            lines.iter().map(|(account, key_id)| ((*account).to_owned(), (*key_id).to_owned())).collect();
        let too_long = lines.len() > 100 && lines.len() > known.len() * LINES_AN_ACCOUNT;
        if (too_long || known.len() > MOST_ACCOUNTS)
            && let Err(error) = rewrite(path, &lines)
        {
            log::debug!("{}: {error:#}", path.display());
        }
        let mut counts: HashMap<&str, usize> = HashMap::new();
        known.values().for_each(|key_id| *counts.entry(key_id).or_default() += 1);
        let usual =
            counts.into_iter().max_by_key(|(key_id, count)| (*count, *key_id)).map(|(key_id, _)| key_id.to_owned());
        KeyMemory { file, known: Mutex::new(known), usual }
    }

    /// The id of the key that this account accepted.
    pub fn of(&self, account: &str) -> Option<String> {
        self.known().get(account).cloned()
    }

    /// The id of the key that most accounts have.
    pub fn usual(&self) -> Option<String> {
        self.usual.clone()
    }

    /// Remembers a key.
    pub fn note(&self, account: &str, key_id: &str) {
        let fits = |text: &str| !text.is_empty() && !text.contains(char::is_control);
        if !fits(account) || !fits(key_id) || self.of(account).as_deref() == Some(key_id) {
            return;
        }
        self.known().insert(account.to_owned(), key_id.to_owned());
        if let Some(file) = &self.file
            && let Err(error) = append(file, &format!("{account}\t{key_id}\n"))
        {
            log::debug!("cannot remember which key was accepted: {}: {error:#}", file.display());
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    use std::io::Read;
    let file = OpenOptions::new().read(true).custom_flags(flags()).open(path)?;
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Opens the file without following a symbolic link, and without blocking.
fn flags() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32
}

fn append(path: &Path, line: &str) -> anyhow::Result<()> {
    let folder = path.parent().context("it has no folder")?;
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags()).open(path)?;
    // In one write, so that lines of several commands do not mix.
    file.write_all(line.as_bytes())?;
    Ok(())
}

/// Leaves the last line of each account, and no more accounts than are kept.
fn rewrite(path: &Path, lines: &[(&str, &str)]) -> anyhow::Result<()> {
    let mut seen = std::collections::HashSet::new();
    let mut kept: Vec<_> = lines.iter().rev().filter(|(account, _)| seen.insert(*account)).collect();
    kept.truncate(MOST_ACCOUNTS / 2);
    let mut text = String::new();
    for (account, key_id) in kept.iter().rev() {
        writeln!(text, "{account}\t{key_id}")?;
    }
    let mut new = tempfile::NamedTempFile::new_in(path.parent().context("it has no folder")?)?;
    new.write_all(text.as_bytes())?;
    new.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(file: &Path) -> String {
        std::fs::read_to_string(file).unwrap()
    }

    #[test]
    fn the_last_key_of_an_account_is_remembered_and_the_usual_one_of_all() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state/hoist/keys");
        let memory = KeyMemory::load(Some(file.clone()));
        assert_eq!((memory.of("a@x:22"), memory.usual()), (None, None));
        for (account, key_id) in [("a@x:22", "one"), ("a@y:22", "two"), ("a@z:22", "two"), ("a@x:22", "three")] {
            memory.note(account, key_id);
            memory.note(account, key_id);
        }
        memory.note("a@w:22", "two\nlines");
        assert_eq!(text(&file).lines().count(), 4);
        let memory = KeyMemory::load(Some(file.clone()));
        assert_eq!(memory.of("a@x:22").as_deref(), Some("three"));
        assert_eq!(memory.usual().as_deref(), Some("two"));
        assert_eq!(memory.of("a@w:22"), None);
    }

    #[test]
    fn a_file_that_has_grown_is_written_anew_and_a_damaged_or_linked_one_does_no_harm() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keys");
        let lines: String = (0..1000).map(|n| format!("a@x:22\tkey{n}\n")).collect();
        std::fs::write(&file, lines + "no tab\n\u{0}\n").unwrap();
        assert_eq!(KeyMemory::load(Some(file.clone())).of("a@x:22").as_deref(), Some("key999"));
        assert_eq!(text(&file), "a@x:22\tkey999\n");
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "mine").unwrap();
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(&victim, &file).unwrap();
        KeyMemory::load(Some(file)).note("a@x:22", "key");
        assert_eq!(text(&victim), "mine");
    }
}
