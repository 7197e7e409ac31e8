//! Reads the files of an inventory.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use crate::problem::Problem;
use crate::text;
use crate::yaml::{self, Node};

/// The longest file that is read.
const LONGEST: u64 = 64_000_000;
/// A tag of Ansible's where a value may begin.
static TAG: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let before = r"^[ \t]*|[:-][ \t]+|[,\[{][ \t]*";
    Regex::new(&format!(r"(?m)(?<before>{before})!(?:vault-encrypted|vault)(?<after>[ \t\r]|$)")).ok()
});

/// Reads files, and remembers which.
pub struct Reader<'a> {
    /// What messages call a path.
    pub shown: &'a dyn Fn(&Path) -> String,
    /// Refuses a file before it is read.
    pub check: &'a dyn Fn(&Path) -> Result<(), Problem>,
    pub files: Vec<PathBuf>,
}

impl Reader<'_> {
    /// A file's content, and what messages call it.
    pub fn bytes(&mut self, path: &Path) -> Result<(Vec<u8>, String), Problem> {
        let shown = (self.shown)(path);
        (self.check)(path)?;
        let meta = fs::metadata(path).map_err(|error| Problem::cannot_read(&shown, &error))?;
        if !meta.is_file() {
            return Err(Problem::of_file(&shown, format!("{shown} is not a regular file")));
        }
        if meta.len() > LONGEST {
            let most = text::bytes(LONGEST);
            return Err(Problem::of_file(&shown, format!("{shown} is larger than {most}: an inventory is not")));
        }
        self.files.push(path.to_owned());
        let bytes = fs::read(path).map_err(|error| Problem::cannot_read(&shown, &error))?;
        Ok((bytes, shown))
    }

    /// What is in a folder, sorted.
    pub fn entries(&self, folder: &Path) -> Result<Vec<PathBuf>, Problem> {
        let wrong = |error: std::io::Error| Problem::cannot_read(&(self.shown)(folder), &error);
        let entries: Result<Vec<PathBuf>, _> =
            fs::read_dir(folder).map_err(wrong)?.map(|entry| entry.map(|entry| entry.path())).collect();
        let mut entries = entries.map_err(wrong)?;
        entries.sort();
        Ok(entries)
    }
}

/// Reads a file in JSON or YAML, as Ansible does. What is encrypted is found out where it is used.
///
/// # Errors
/// It has a mistake, or is something else.
pub fn tree(bytes: &[u8], shown: &str) -> Result<Node, Problem> {
    yaml::json(bytes, shown).unwrap_or_else(|| yaml::parse_ansible(&without_tags(bytes), shown))
}

/// YAML without the tags of what is encrypted, which only Ansible knows.
fn without_tags(bytes: &[u8]) -> Cow<'_, [u8]> {
    match (&*TAG, std::str::from_utf8(bytes)) {
        (Some(tag), Ok(text)) => Cow::Owned(tag.replace_all(text, "$before$after").into_owned().into_bytes()),
        _ => Cow::Borrowed(bytes),
    }
}
