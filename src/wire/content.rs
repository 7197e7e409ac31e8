//! What belongs into a revision's tree, and how it reaches a target.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ArtifactSource, Revision, SharedPaths};

/// How a target ends a failure for want of the rest of a file that the deploy host sends.
pub const CUT_OFF: &str = "the connection to the deploy host was lost";

/// How the reason of a fetch begins that received something wrong: the name of a large file's content follows.
pub const LARGE_FILE: &str = "the large file ";

/// How the reason of a fetch ends that found large files of the target damaged: they are gone from its store, so that
/// another probe asks for them.
pub const DAMAGED: &str = "damaged in the store of this host, and was removed from it: it has to be sent again";

/// A tag that describes a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescribingTag {
    /// Below `refs/tags/`.
    pub name: String,
    /// What the ref names: a tag's own object, or the commit.
    pub object: Revision,
    pub commit: Revision,
}

impl DescribingTag {
    /// Whether it is an object of its own.
    pub fn is_annotated(&self) -> bool {
        self.object != self.commit
    }
}

/// The tags that describe a revision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescribingTags {
    pub tags: Vec<DescribingTag>,
    /// A git pack of the annotated tags' own objects, in hexadecimal digits; empty: there are none.
    pub pack: String,
}

/// What belongs into a revision's tree beside its own files, and where it comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalContent {
    /// Submodules, nested ones too; `None`: their folders stay empty.
    pub submodules: Option<SubmoduleSource>,
    /// What git-lfs keeps out of git; `None`: its pointers stay.
    pub lfs: Option<LfsSource>,
    /// What git-fat keeps out of git, which it gets by itself.
    pub fat: bool,
    /// What all revisions share. The tree has links to it.
    #[serde(default, skip_serializing_if = "SharedPaths::is_empty")]
    pub shared: Box<SharedPaths>,
}

impl ExternalContent {
    /// Sets the git server's address, and the proxy's, where they are used.
    pub fn set_server(&mut self, address: &str, through: Option<&str>) {
        if let Some(SubmoduleSource::Server { url, proxy }) = &mut self.submodules {
            *url = address.to_owned();
            *proxy = through.map(str::to_owned);
        }
        if let Some(LfsSource::Server { url }) = &mut self.lfs {
            *url = address.to_owned();
        }
    }
}

/// Where a target gets the commits of submodules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubmoduleSource {
    /// In the superproject's pack.
    Session,
    /// The git server's repository: `URL/modules/NAME`, as git keeps them in a checkout; through a proxy as of
    /// [`Source::proxy`].
    Server {
        url: String,
        #[serde(default)]
        proxy: Option<String>,
    },
    /// What `.gitmodules` says. Addresses that begin with `./` or `../` lead on from `base`, the deploy host's own
    /// upstream, if it has one.
    Upstream { base: Option<String> },
}

/// Where a target gets what git-lfs keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LfsSource {
    /// Ahead of the superproject's pack.
    Session,
    /// git-lfs asks the server that belongs to this repository, or the one that `.lfsconfig` names.
    Server { url: String },
}

/// How git-lfs names its format in a pointer: now, and in the versions ahead of its first release.
const VERSIONS: [&str; 3] =
    ["https://git-lfs.github.com/spec/v1", "https://hawser.github.com/spec/v1", "http://git-media.io/v/2"];

/// A file that git-lfs keeps, as its pointer names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "(String, u64)", into = "(String, u64)")]
pub struct LargeFile {
    oid: String,
    bytes: u64,
}

impl LargeFile {
    /// `oid`: the SHA-256 of the content, 64 lower-case hexadecimal digits, which is safe as a file name.
    pub fn new(oid: &str, bytes: u64) -> Result<LargeFile, String> {
        let hex = oid.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !hex || oid.len() != 64 {
            return Err(format!("{oid:?} is not the SHA-256 of a large file"));
        }
        Ok(LargeFile { oid: oid.to_owned(), bytes })
    }

    /// A pointer is shorter than this, in bytes: git-lfs looks at no longer file.
    pub const POINTER: u64 = 1024;

    /// Reads a pointer in git-lfs's format, version 1; what is none is a file like others.
    pub fn of_pointer(text: &str) -> Option<LargeFile> {
        let mut lines = text.lines();
        let version = lines.next()?.strip_prefix("version ")?;
        if !VERSIONS.contains(&version) {
            return None;
        }
        let (mut oid, mut bytes) = (None, None);
        for line in lines {
            match line.split_once(' ')? {
                ("oid", value) => oid = value.strip_prefix("sha256:"),
                ("size", value) => bytes = value.parse().ok(),
                _ => {}
            }
        }
        LargeFile::new(oid?, bytes?).ok()
    }

    pub fn oid(&self) -> &str {
        &self.oid
    }

    /// The content's length.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where git-lfs keeps it, below its folder `objects`.
    pub fn path(&self) -> PathBuf {
        [&self.oid[..2], &self.oid[2..4], &self.oid].iter().collect()
    }
}

impl TryFrom<(String, u64)> for LargeFile {
    type Error = String;

    fn try_from((oid, bytes): (String, u64)) -> Result<Self, String> {
        LargeFile::new(&oid, bytes)
    }
}

impl From<LargeFile> for (String, u64) {
    fn from(file: LargeFile) -> (String, u64) {
        (file.oid, file.bytes)
    }
}

/// How the revision's objects reach the target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    /// Large files that follow the request on standard input, one behind the other, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub large_files: Vec<LargeFile>,
    /// Length of the (thin) pack that follows them; `None` when none follows.
    pub pack_bytes: Option<u64>,
    /// Commits whose parents the deploy host itself lacks (git's `shallow` file), submodules' included.
    pub shallow: Vec<Revision>,
    /// Fetch from a git server instead.
    pub source: Option<Source>,
    /// Download the files of an artifact instead, if the revision is not there yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Box<ArtifactSource>>,
    /// Throw the cache away first.
    pub rebuild: bool,
    /// `None`: the tree's tags are left as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub describing: Option<DescribingTags>,
}

/// A git server's repository, and the ref there that names the revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub url: String,
    pub reference: String,
    /// A proxy to reach it through by http and https. It may hold a password, as `url` may.
    #[serde(default)]
    pub proxy: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const OID: &str = "98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4";

    #[test]
    fn a_pointer_is_read_and_what_is_none_is_not() {
        let text = |oid: &str, bytes: &str| {
            format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {bytes}\n")
        };
        assert_eq!(LargeFile::of_pointer(&text(OID, "3")), Some(LargeFile::new(OID, 3).unwrap()));
        let extended = text(OID, "3").replace("oid", "ext-0-foo sha256:x\noid");
        assert_eq!(LargeFile::of_pointer(&extended).unwrap().oid(), OID);
        for bad in
            [text("../../etc/passwd", "3"), text(OID, "-3"), text(&OID[1..], "3"), "version x\n".into(), "".into()]
        {
            assert_eq!(LargeFile::of_pointer(&bad), None, "{bad}");
        }
    }
}
