//! Where a revision comes from that is no commit of the repository's history: an *artifact*, a tree of files that was
//! imported, taken out of a commit, or built.
//!
//! Its revision is the name of a commit of the tree that both sides recognize. Nothing in that commit depends on who made
//! it, when, or from what: the same files are the same revision. What is known beside the files is an [`Origin`].

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Revision, StartedBy};

/// The author, the committer and the time of every artifact's commit.
pub const ARTIFACT_AUTHOR: &str = "Hoist artifact <artifact@hoist.invalid> 946684800 +0000";

/// The message of every artifact's commit.
pub const ARTIFACT_MESSAGE: &str = "Artifact\n\nThese files are deployed byte for byte.\n";

/// The text of the commit that stands for a tree.
pub fn artifact_commit(tree: &str) -> String {
    format!("tree {tree}\nauthor {ARTIFACT_AUTHOR}\ncommitter {ARTIFACT_AUTHOR}\n\n{ARTIFACT_MESSAGE}")
}

/// Whether this is the text of an artifact's commit. The files of its tree are meant as they are: no attribute that they
/// contain changes what is written.
pub fn is_artifact_commit(text: &str) -> bool {
    let tree = text.strip_prefix("tree ").and_then(|rest| rest.split_once('\n')).map(|(tree, _)| tree);
    tree.is_some_and(|tree| text == artifact_commit(tree))
}

/// The kind of thing that an artifact was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OriginKind {
    /// A tar or zip file.
    Archive,
    Directory,
    /// An archive that was downloaded.
    Url,
    /// A directory of a commit.
    Subdir,
    /// The output of a command that ran in a checkout of a commit.
    Build,
}

/// What is known of how an artifact was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub kind: OriginKind,
    /// A file, a directory, a URL without its password; of a build, its output directory.
    pub from: String,
    /// The SHA-256 of an archive, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The commit that it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Revision>,
    /// The digest of everything that a build depends on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<String>,
    /// Who made it, and where.
    #[serde(flatten)]
    pub by: StartedBy,
    /// When, RFC 3339 in UTC.
    pub at: String,
}

impl Origin {
    /// The directory of the repository that alone counts as changed.
    pub fn subdir(&self) -> Option<&str> {
        (self.kind == OriginKind::Subdir).then_some(self.from.as_str())
    }
}

/// One fragment: `artifact app-1.4.tar.zst (sha256 0123456789ab…), built from 1234567890`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin { kind, from, sha256, source, .. } = self;
        let source = source.as_ref().map(Revision::short);
        match (kind, source) {
            (OriginKind::Subdir, Some(source)) => return write!(f, "{from} of {source}"),
            (OriginKind::Build, Some(source)) => return write!(f, "{from}, built from {source}"),
            _ => write!(f, "artifact {from}")?,
        }
        if let Some(digits) = sha256.as_ref().and_then(|digits| digits.get(..12)) {
            write!(f, " (sha256 {digits}…)")?;
        }
        source.map_or(Ok(()), |source| write!(f, ", built from {source}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(kind: OriginKind, from: &str) -> Origin {
        let by = StartedBy { user: "alice".into(), deploy_host: "deploy1".into() };
        let at = "2026-11-26T17:00:00Z".to_owned();
        Origin { kind, from: from.to_owned(), sha256: None, source: None, inputs: None, by, at }
    }

    #[test]
    fn an_origin_names_what_is_known_of_it() {
        let source: Option<Revision> = "a".repeat(40).parse().ok();
        let archive = Origin { sha256: Some("0123456789abcdef".repeat(4)), ..origin(OriginKind::Archive, "app.tgz") };
        assert_eq!(archive.to_string(), "artifact app.tgz (sha256 0123456789ab…)");
        let built = Origin { source: source.clone(), ..archive };
        assert_eq!(built.to_string(), "artifact app.tgz (sha256 0123456789ab…), built from aaaaaaaaaa");
        let of = |kind| Origin { source: source.clone(), ..origin(kind, "services/api") }.to_string();
        assert_eq!(of(OriginKind::Subdir), "services/api of aaaaaaaaaa");
        assert_eq!(of(OriginKind::Build), "services/api, built from aaaaaaaaaa");
        assert_eq!(origin(OriginKind::Directory, "dist").to_string(), "artifact dist");
    }

    #[test]
    fn only_the_commit_that_hoist_makes_of_a_tree_is_an_artifact() {
        let text = artifact_commit(&"b".repeat(40));
        assert!(is_artifact_commit(&text));
        let other = [text.replace("946684800", "946684801"), format!("{text}more\n"), text.replace("tree ", "parent ")];
        assert!(!other.iter().any(|text| is_artifact_commit(text)));
    }

    #[test]
    fn an_origin_is_read_as_it_was_written() {
        let text = serde_json::to_string(&origin(OriginKind::Url, "https://example.org/app.tgz")).unwrap();
        assert!(text.contains("\"kind\":\"url\"") && text.contains("\"deploy_host\":\"deploy1\""), "{text}");
        assert_eq!(
            serde_json::from_str::<Origin>(&text).unwrap(),
            origin(OriginKind::Url, "https://example.org/app.tgz")
        );
    }
}
