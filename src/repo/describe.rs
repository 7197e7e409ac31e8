//! The tags that describe a revision, for targets: `git describe`, and the tools that ask it, work there as they do here.

use super::Repo;
use crate::wire::{DescribingTag, DescribingTags, Revision};

/// Tags that are told of, the newest first. Who describes a revision wants the nearest ones.
const TAGS: usize = 100;

/// The annotated tags' own objects may take so many bytes, packed; they travel within a request.
const PACK: usize = 256 << 10;

/// The tags of the commits that a revision follows from, its own included.
pub fn describing(repo: &Repo, revision: &Revision) -> anyhow::Result<DescribingTags> {
    let count = format!("--count={TAGS}");
    let merged = format!("--merged={revision}");
    let format = "--format=%(objectname) %(objecttype) %(*objectname) %(*objecttype) %(refname:lstrip=2)";
    let listing = repo.text(&["for-each-ref", &count, &merged, "--sort=-creatordate", format, "refs/tags"])?;
    let mut tags: Vec<DescribingTag> = listing.lines().filter_map(tag).collect();
    let pack = loop {
        let pack = pack(repo, &tags)?;
        if pack.len() <= PACK {
            break pack;
        }
        // Somebody signs long letters: the nearest are worth more.
        tags.truncate(tags.len() / 2);
    };
    Ok(DescribingTags { tags, pack: hex(&pack) })
}

/// One line of the listing; `None` for a tag of something that is no commit.
fn tag(line: &str) -> Option<DescribingTag> {
    let fields: Vec<&str> = line.splitn(5, ' ').collect();
    let [object, kind, commit, kind_of_it, name] = fields[..] else { return None };
    let commit = match (kind, kind_of_it) {
        ("commit", _) => object,
        ("tag", "commit") => commit,
        _ => return None,
    };
    Some(DescribingTag { name: name.to_owned(), object: object.parse().ok()?, commit: commit.parse().ok()? })
}

/// A pack of the annotated tags' own objects; empty when there are none.
fn pack(repo: &Repo, tags: &[DescribingTag]) -> anyhow::Result<Vec<u8>> {
    let objects: String = tags.iter().filter(|tag| tag.is_annotated()).map(|tag| format!("{}\n", tag.object)).collect();
    if objects.is_empty() {
        return Ok(Vec::new());
    }
    repo.feed(repo.command(&["pack-objects", "--quiet", "--stdout"]), objects.as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
