//! Takes the entries of an artifact one by one, judges them, and writes them on.

use std::io::Read;

use anyhow::{Context, bail};

use crate::wire::ArtifactRules;

use super::names::{self, shown};
use super::stream::Stream;
use super::summary::Summary;
use super::tree::{Entry, Tree};

/// The longest target of a link on Linux, in bytes.
const LONGEST_TARGET: usize = 4095;

/// Permission bits.
const EXECUTABLE: u32 = 0o100;
const SETUID_OR_SETGID: u32 = 0o6000;
const OTHERS_READ: u32 = 0o044;

/// What receives the entries of an artifact.
pub struct Unpacker<'a> {
    rules: &'a ArtifactRules,
    tree: Tree,
    stream: Stream<'a>,
    summary: Summary,
    /// Fails when there is no time for more.
    proceed: &'a dyn Fn() -> anyhow::Result<()>,
}

impl<'a> Unpacker<'a> {
    /// Writes to `stream` what keeps to the rules. `proceed` is asked before each entry whether to go on.
    pub fn new(rules: &'a ArtifactRules, stream: Stream<'a>, proceed: &'a dyn Fn() -> anyhow::Result<()>) -> Self {
        Unpacker { rules, tree: Tree::new(), stream, summary: Summary::default(), proceed }
    }

    /// The largest size that the contents may have, in bytes.
    pub fn max_bytes(&self) -> u64 {
        self.rules.max_bytes
    }

    /// A directory. It counts only if there is something in it.
    pub fn directory(&mut self, path: &[u8]) -> anyhow::Result<()> {
        (self.proceed)()?;
        let parts = refuse(path, names::parts(path))?;
        let below = parts.get(self.rules.strip_components..).unwrap_or_default();
        refuse(path, self.tree.add(below, Entry::Directory))
    }

    /// A file with these permission bits. `content` must have exactly `size` bytes.
    pub fn file(&mut self, path: &[u8], mode: u32, size: u64, content: &mut dyn Read) -> anyhow::Result<()> {
        let parts = self.add(path, Entry::File)?;
        self.summary.bytes = self.summary.bytes.saturating_add(size);
        if self.summary.bytes > self.rules.max_bytes {
            bail!(
                "the contents up to entry {} are {} bytes; artifact_max_size is {}",
                shown(path),
                self.summary.bytes,
                self.rules.max_bytes
            );
        }
        let text = || String::from_utf8_lossy(&parts).into_owned();
        if mode & SETUID_OR_SETGID != 0 {
            self.summary.setuid.add(text);
        }
        if mode & OTHERS_READ == 0 {
            self.summary.private.add(text);
        }
        self.summary.files += 1;
        let git_mode = if mode & EXECUTABLE != 0 { "100755" } else { "100644" };
        self.stream.entry(git_mode, &parts, size, content).with_context(|| format!("entry {}", shown(path)))
    }

    /// A symbolic link.
    pub fn link(&mut self, path: &[u8], to: &[u8]) -> anyhow::Result<()> {
        if to.is_empty() || to.contains(&0) || to.len() > LONGEST_TARGET {
            bail!("entry {} is a link to {}, which no link can have", shown(path), shown(to));
        }
        let parts = self.add(path, Entry::Link(to))?;
        if parts.rsplit(|byte| *byte == b'/').next().is_some_and(names::is_git_file) {
            bail!("entry {} is a link that git does not check out, because it reads such files itself", shown(path));
        }
        self.summary.links += 1;
        self.stream.entry("120000", &parts, to.len() as u64, &mut &*to)
    }

    /// A second name of another entry, which came before it: a file with the same content, or a symbolic link that says
    /// the same.
    pub fn hard_link(&mut self, path: &[u8], to: &[u8]) -> anyhow::Result<()> {
        let target = match names::parts(to) {
            Ok(parts) => parts.get(self.rules.strip_components..).unwrap_or_default().to_vec(),
            Err(why) => bail!("entry {} is a hard link to {}, which {why}", shown(path), shown(to)),
        };
        match self.tree.find(&target) {
            Some(Entry::File) => {}
            Some(Entry::Link(text)) => {
                // Where it leads from its own place is judged with all the others.
                let text = text.to_vec();
                return self.link(path, &text);
            }
            Some(Entry::Directory) | None => bail!(
                "entry {} is a hard link to {}, which is no file or symbolic link that comes before it",
                shown(path),
                shown(to)
            ),
        }
        let parts = self.add(path, Entry::File)?;
        self.summary.files += 1;
        self.stream.copy(&target.join(&b'/'), &parts)
    }

    /// Enters a name; gives the path as git has it.
    fn add(&mut self, path: &[u8], entry: Entry) -> anyhow::Result<Vec<u8>> {
        (self.proceed)()?;
        let parts = refuse(path, names::parts(path))?;
        let strip = self.rules.strip_components;
        let below = match parts.get(strip..) {
            Some(below @ [_, ..]) => below,
            _ if strip > 0 => bail!(
                "entry {} has {} in its path, and artifact_strip_components removes {strip}",
                shown(path),
                crate::text::counted(parts.len(), "name")
            ),
            _ => bail!("entry {} has no name", shown(path)),
        };
        refuse(path, self.tree.add(below, entry))?;
        Ok(below.join(&b'/'))
    }

    /// Ends the artifact.
    ///
    /// # Errors
    /// When a link leads out, and when there was no file.
    pub fn finish(mut self) -> anyhow::Result<Summary> {
        if self.summary.files + self.summary.links == 0 {
            bail!("there is no file in it");
        }
        let empty = &mut self.summary.empty_directories;
        let mut each = |path: &[u8]| empty.add(|| String::from_utf8_lossy(path).into_owned());
        self.tree.walk(self.rules.outside_links, &mut each).map_err(anyhow::Error::msg)?;
        self.stream.end()?;
        Ok(self.summary)
    }
}

fn refuse<T>(path: &[u8], judged: Result<T, String>) -> anyhow::Result<T> {
    judged.map_err(|why| anyhow::anyhow!("entry {} {why}", shown(path)))
}
