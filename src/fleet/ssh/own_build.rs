//! The build of Hoist that is copied to targets: the small one that this program contains, or this program itself.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

use crate::fleet::Pack;

/// The build for targets, by gzip, that `build.rs` put here; empty: there is none, and targets get this program.
const CONTAINED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/for-targets.gz"));

/// The SHA-256 digest of that build when it is unpacked, in hexadecimal. To unpack and hash it takes longer than the probe of
/// a host, so `build.rs` has done it. A target hashes what it gets.
const CONTAINED_SHA256: &str = env!("HOIST_FOR_TARGETS_SHA256");

/// How hard it is compressed. More takes twice as long, and saves a tenth.
const LEVEL: u32 = 4;

/// Where the build comes from.
enum Source {
    File { path: PathBuf, content: Arc<Pack> },
    Gzip { packed: &'static [u8], sha256: &'static str },
}

/// The build to copy. It is hashed, compressed or unpacked only when that is needed, since not every command copies it.
pub struct OwnBuild {
    source: Source,
    sha256: OnceLock<Result<String, String>>,
    unpacked: OnceLock<Result<Arc<Pack>, String>>,
    compressed: OnceLock<Option<Arc<Pack>>>,
}

impl OwnBuild {
    /// The build that this program has for targets.
    ///
    /// # Errors
    /// It is this program, and its file cannot be read.
    pub fn for_targets() -> anyhow::Result<OwnBuild> {
        match CONTAINED {
            [] => OwnBuild::open(Path::new("/proc/self/exe")),
            packed => Ok(OwnBuild::packed(packed, CONTAINED_SHA256)),
        }
    }

    /// A build that was compressed by gzip, with the digest that it has unpacked.
    pub fn packed(packed: &'static [u8], sha256: &'static str) -> OwnBuild {
        OwnBuild::of(Source::Gzip { packed, sha256 })
    }

    /// # Errors
    /// The file cannot be read.
    pub fn open(path: &Path) -> anyhow::Result<OwnBuild> {
        let context = || format!("cannot read {}, which is copied to targets: set remote_binary", path.display());
        // The file stays open, so that the copy is what was hashed, even if another build is installed meanwhile.
        let file = File::open(path).with_context(context)?;
        let bytes = file.metadata().with_context(context)?.len();
        Ok(OwnBuild::of(Source::File { path: path.to_owned(), content: Arc::new(Pack { file, bytes }) }))
    }

    fn of(source: Source) -> OwnBuild {
        OwnBuild { source, sha256: OnceLock::new(), unpacked: OnceLock::new(), compressed: OnceLock::new() }
    }

    /// As it is.
    ///
    /// # Errors
    /// A fragment for the operator: it cannot be unpacked.
    pub fn content(&self) -> Result<Arc<Pack>, String> {
        match &self.source {
            Source::File { content, .. } => Ok(content.clone()),
            Source::Gzip { .. } => self.unpacked.get_or_init(|| self.once(self.unpack()).map(Arc::new)).clone(),
        }
    }

    /// The same by gzip, made once for all targets; `None` if it cannot be made, on a full disk for example.
    pub fn compressed(&self) -> Option<Arc<Pack>> {
        let made = self.compressed.get_or_init(|| match self.compress() {
            Ok(pack) => Some(Arc::new(pack)),
            Err(error) => {
                log::debug!("hoist is sent as it is: {error}");
                None
            }
        });
        made.clone()
    }

    /// # Errors
    /// A fragment for the operator: this build cannot be read.
    pub fn sha256(&self) -> Result<&str, String> {
        match &self.source {
            Source::Gzip { sha256, .. } => Ok(sha256),
            Source::File { .. } => self.sha256.get_or_init(|| self.once(self.hash())).as_deref().map_err(Clone::clone),
        }
    }

    /// Whether it was hashed already.
    #[cfg(test)]
    pub fn is_hashed(&self) -> bool {
        self.sha256.get().is_some()
    }

    /// What an error means to the operator.
    fn once<T>(&self, result: io::Result<T>) -> Result<T, String> {
        let what = match &self.source {
            Source::File { path, .. } => path.display().to_string(),
            Source::Gzip { .. } => "the build for targets".to_owned(),
        };
        result.map_err(|error| format!("cannot read {what}, which is copied to targets: {error}; set remote_binary"))
    }

    fn hash(&self) -> io::Result<String> {
        let mut hash = Sha256::new();
        self.read(&mut |piece| {
            hash.update(piece);
            Ok(())
        })?;
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn unpack(&self) -> io::Result<Pack> {
        let mut file = tempfile::tempfile()?;
        self.read(&mut |piece| file.write_all(piece))?;
        whole(file)
    }

    fn compress(&self) -> io::Result<Pack> {
        let mut file = tempfile::tempfile()?;
        match &self.source {
            Source::Gzip { packed, .. } => file.write_all(packed)?,
            Source::File { .. } => {
                let mut encoder = GzEncoder::new(file, Compression::new(LEVEL));
                self.read(&mut |piece| encoder.write_all(piece))?;
                file = encoder.finish()?;
            }
        }
        whole(file)
    }

    /// Reads the build, as it is.
    fn read(&self, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut buffer = vec![0; 256 * 1024];
        match &self.source {
            Source::Gzip { packed, .. } => {
                let mut unpacking = GzDecoder::new(*packed);
                loop {
                    match unpacking.read(&mut buffer)? {
                        0 => return Ok(()),
                        got => take(&buffer[..got])?,
                    }
                }
            }
            Source::File { content, .. } => {
                let Pack { file, bytes } = &**content;
                let mut at = 0;
                while at < *bytes {
                    let piece = buffer.len().min(usize::try_from(bytes - at).unwrap_or(usize::MAX));
                    file.read_exact_at(&mut buffer[..piece], at)?;
                    take(&buffer[..piece])?;
                    at += piece as u64;
                }
                Ok(())
            }
        }
    }
}

/// A file that was just written, to its end.
fn whole(mut file: File) -> io::Result<Pack> {
    let bytes = file.stream_position()?;
    Ok(Pack { file, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(pack: &Pack) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(pack.bytes).unwrap()];
        pack.file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn a_build_that_this_program_contains_is_sent_packed_or_as_it_is() {
        let text = b"a build".repeat(100_000);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&text).unwrap();
        let packed = encoder.finish().unwrap();
        let own = OwnBuild::packed(packed.clone().leak(), "0123");
        assert_eq!(bytes(&own.compressed().unwrap()), packed);
        assert_eq!(bytes(&own.content().unwrap()), text);
        assert_eq!(own.sha256(), Ok("0123"));
    }

    #[test]
    fn the_digest_is_that_of_the_build() {
        if CONTAINED.is_empty() {
            assert_eq!(CONTAINED_SHA256, "");
        } else {
            let contained = OwnBuild::packed(CONTAINED, CONTAINED_SHA256);
            assert_eq!(contained.hash().unwrap(), CONTAINED_SHA256);
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        // FIPS 180-2, appendix B.1.
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(OwnBuild::open(file.path()).unwrap().sha256(), Ok(digest));
    }

    #[test]
    fn a_damaged_build_is_named() {
        let damaged = OwnBuild::packed(b"no gzip", "0123");
        let why = damaged.content().err().unwrap();
        assert!(why.starts_with("cannot read the build for targets, which is copied to targets: "), "{why}");
    }
}
