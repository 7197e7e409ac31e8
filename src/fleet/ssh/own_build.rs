//! This build, as it is copied to targets.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

use crate::fleet::Pack;

/// How hard it is compressed. More takes twice as long, and saves a tenth.
const LEVEL: u32 = 4;

/// The build to copy. It is opened at once, but hashed and compressed only when needed, since not every command copies it.
pub struct OwnBuild {
    path: PathBuf,
    content: Arc<Pack>,
    sha256: OnceLock<Result<String, String>>,
    compressed: OnceLock<Option<Arc<Pack>>>,
}

impl OwnBuild {
    pub fn open(path: &Path) -> anyhow::Result<OwnBuild> {
        let context = || format!("cannot read {}, which is copied to targets: set remote_binary", path.display());
        // The file stays open, so that the copy is what was hashed, even if another build is installed meanwhile.
        let file = File::open(path).with_context(context)?;
        let bytes = file.metadata().with_context(context)?.len();
        let content = Arc::new(Pack { file, bytes });
        Ok(OwnBuild { path: path.to_owned(), content, sha256: OnceLock::new(), compressed: OnceLock::new() })
    }

    /// As it is.
    pub fn content(&self) -> Arc<Pack> {
        self.content.clone()
    }

    /// The same by gzip, made once for all targets; `None` if it cannot be made, on a full disk for example.
    pub fn compressed(&self) -> Option<Arc<Pack>> {
        let made = self.compressed.get_or_init(|| match self.compress() {
            Ok(pack) => Some(Arc::new(pack)),
            Err(error) => {
                log::debug!("{} is sent as it is: {error}", self.path.display());
                None
            }
        });
        made.clone()
    }

    /// # Errors
    /// A fragment for the operator: this build cannot be read.
    pub fn sha256(&self) -> Result<&str, String> {
        let hashed = self.sha256.get_or_init(|| {
            self.hash().map_err(|error| {
                format!("cannot read {}, which is copied to targets: {error}; set remote_binary", self.path.display())
            })
        });
        hashed.as_deref().map_err(Clone::clone)
    }

    /// Whether it was hashed already.
    #[cfg(test)]
    pub fn is_hashed(&self) -> bool {
        self.sha256.get().is_some()
    }

    fn hash(&self) -> io::Result<String> {
        let mut hash = Sha256::new();
        self.read(&mut |piece| {
            hash.update(piece);
            Ok(())
        })?;
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn compress(&self) -> io::Result<Pack> {
        let mut encoder = GzEncoder::new(tempfile::tempfile()?, Compression::new(LEVEL));
        self.read(&mut |piece| encoder.write_all(piece))?;
        let mut file = encoder.finish()?;
        let bytes = file.stream_position()?;
        Ok(Pack { file, bytes })
    }

    fn read(&self, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let Pack { file, bytes } = &*self.content;
        let (mut buffer, mut at) = (vec![0; 256 * 1024], 0);
        while at < *bytes {
            let piece = buffer.len().min(usize::try_from(bytes - at).unwrap_or(usize::MAX));
            file.read_exact_at(&mut buffer[..piece], at)?;
            take(&buffer[..piece])?;
            at += piece as u64;
        }
        Ok(())
    }
}
