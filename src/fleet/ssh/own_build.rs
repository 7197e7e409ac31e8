//! The build of Hoist that is copied to targets: the small one that this program contains, or this program itself.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::decoding::StreamingDecoder;
use sha2::{Digest as _, Sha256};

use crate::fleet::Pack;

/// The build for targets, by zstd, that `build.rs` put here; empty: there is none, and targets get this program.
const CONTAINED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/for-targets.zst"));

/// The SHA-256 digest of that build when it is unpacked, in hexadecimal. To unpack and hash it takes longer than the probe of
/// a host, so `build.rs` has done it.
const CONTAINED_SHA256: &str = env!("HOIST_FOR_TARGETS_SHA256");

/// How many bytes it is then, in decimal.
const CONTAINED_BYTES: &str = env!("HOIST_FOR_TARGETS_BYTES");

/// How hard gzip compresses, for targets without zstd. More takes twice as long, and saves a tenth.
const LEVEL: u32 = 4;

/// This build's architecture as named by `uname -m`.
pub fn machine() -> &'static str {
    match std::env::consts::ARCH {
        "x86" => "i686",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        other => other,
    }
}

/// Which programs a target has that unpack a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpackers {
    pub zstd: bool,
    pub gzip: bool,
}

impl Unpackers {
    /// From their names, with blanks between them.
    pub fn parse(words: &str) -> Unpackers {
        let has = |program| words.split(' ').any(|word| word == program);
        Unpackers { zstd: has("zstd"), gzip: has("gzip") }
    }
}

/// Where the build comes from.
enum Source {
    File { path: PathBuf, content: Arc<Pack> },
    Zstd { packed: &'static [u8], sha256: &'static str, bytes: u64 },
}

/// What is sent to a target.
#[derive(Debug, Clone)]
pub struct ToSend {
    pub content: Arc<Pack>,
    /// The command that makes the build of it there.
    pub unpack: &'static str,
    /// That command fails if anything but this build comes out of it, since there is a checksum in what is sent.
    pub is_checked: bool,
}

/// The build to copy. It is hashed, compressed or unpacked only when that is needed, since not every command copies it.
pub struct OwnBuild {
    source: Source,
    sha256: OnceLock<Result<String, String>>,
    unpacked: OnceLock<Result<Arc<Pack>, String>>,
    zstd: OnceLock<Option<Arc<Pack>>>,
    gzip: OnceLock<Option<Arc<Pack>>>,
}

impl OwnBuild {
    /// The build that this program has for targets.
    ///
    /// # Errors
    /// It is this program, and its file cannot be read.
    pub fn for_targets() -> anyhow::Result<OwnBuild> {
        match CONTAINED {
            [] => OwnBuild::open(Path::new("/proc/self/exe")),
            packed => Ok(OwnBuild::packed(packed, CONTAINED_SHA256, CONTAINED_BYTES.parse()?)),
        }
    }

    /// A build that was compressed by zstd, with a checksum, and the digest and the size that it has unpacked.
    pub fn packed(packed: &'static [u8], sha256: &'static str, bytes: u64) -> OwnBuild {
        OwnBuild::of(Source::Zstd { packed, sha256, bytes })
    }

    /// # Errors
    /// The file cannot be read.
    pub fn open(path: &Path) -> anyhow::Result<OwnBuild> {
        let context = || format!("cannot read {}, which is copied to targets: set remote_binary", path.display());
        // The file stays open, so that the copy is what was hashed, even if another build is installed meanwhile.
        let file = File::open(path).with_context(context)?;
        let bytes = file.metadata().with_context(context)?.len();
        Ok(OwnBuild::of(Source::File { path: path.to_owned(), content: Arc::new(Pack::new(file, bytes)) }))
    }

    fn of(source: Source) -> OwnBuild {
        let (zstd, gzip) = (OnceLock::new(), OnceLock::new());
        OwnBuild { source, sha256: OnceLock::new(), unpacked: OnceLock::new(), zstd, gzip }
    }

    /// As it is.
    ///
    /// # Errors
    /// A fragment for the operator: it cannot be unpacked.
    pub fn content(&self) -> Result<Arc<Pack>, String> {
        match &self.source {
            Source::File { content, .. } => Ok(content.clone()),
            Source::Zstd { .. } => self.unpacked.get_or_init(|| self.once(self.unpack()).map(Arc::new)).clone(),
        }
    }

    /// How many bytes it is as it is.
    pub fn bytes(&self) -> u64 {
        match &self.source {
            Source::File { content, .. } => content.bytes,
            Source::Zstd { bytes, .. } => *bytes,
        }
    }

    /// What is sent to a target that has these programs. It is made once for all targets, and sent as it is if it cannot be
    /// compressed, on a full disk for example.
    ///
    /// # Errors
    /// A fragment for the operator: it cannot be read.
    pub fn to_send(&self, unpackers: Unpackers) -> Result<ToSend, String> {
        let checked = |unpack| move |content| ToSend { content, unpack, is_checked: true };
        let zstd = || unpackers.zstd.then(|| self.zstd()).flatten().map(checked("zstd -dc"));
        let gzip = || unpackers.gzip.then(|| self.gzip()).flatten().map(checked("gzip -dc"));
        let plain = || self.content().map(|content| ToSend { content, unpack: "cat", is_checked: false });
        zstd().or_else(gzip).map_or_else(plain, Ok)
    }

    /// As this program contains it; `None` if it does not.
    fn zstd(&self) -> Option<Arc<Pack>> {
        let Source::Zstd { packed, .. } = &self.source else { return None };
        let written = || {
            let mut file = tempfile::tempfile()?;
            file.write_all(packed)?;
            whole(file)
        };
        self.zstd.get_or_init(|| made("zstd", written())).clone()
    }

    fn gzip(&self) -> Option<Arc<Pack>> {
        let written = || {
            let mut encoder = GzEncoder::new(tempfile::tempfile()?, Compression::new(LEVEL));
            self.read(&mut |piece| encoder.write_all(piece))?;
            whole(encoder.finish()?)
        };
        self.gzip.get_or_init(|| made("gzip", written())).clone()
    }

    /// # Errors
    /// A fragment for the operator: this build cannot be read.
    pub fn sha256(&self) -> Result<&str, String> {
        match &self.source {
            Source::Zstd { sha256, .. } => Ok(sha256),
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
            Source::Zstd { .. } => "the build for targets".to_owned(),
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

    /// Reads the build, as it is.
    fn read(&self, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut buffer = vec![0; 256 * 1024];
        match &self.source {
            Source::Zstd { packed, .. } => {
                let mut unpacking = StreamingDecoder::new(*packed).map_err(io::Error::other)?;
                loop {
                    match unpacking.read(&mut buffer)? {
                        0 => return Ok(()),
                        got => take(&buffer[..got])?,
                    }
                }
            }
            Source::File { content, .. } => {
                let Pack { file, bytes, .. } = &**content;
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

/// A compressed copy; without one the build is sent in another way.
fn made(by: &str, copy: io::Result<Pack>) -> Option<Arc<Pack>> {
    copy.map(Arc::new).inspect_err(|error| log::debug!("hoist cannot be sent to targets by {by}: {error}")).ok()
}

/// A file that was just written, to its end.
fn whole(mut file: File) -> io::Result<Pack> {
    let bytes = file.stream_position()?;
    Ok(Pack::new(file, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn bytes(pack: &Pack) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(pack.bytes).unwrap()];
        pack.file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    /// What `zstd` makes of a text, or gives back.
    fn piped(words: &[&str], text: &[u8]) -> Vec<u8> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        file.rewind().unwrap();
        let output = Command::new(words[0]).args(&words[1..]).stdin(file).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    #[test]
    fn a_build_that_this_program_contains_is_sent_in_the_best_way_that_the_target_can_unpack() {
        let text = b"a build".repeat(100_000);
        let packed = piped(&["zstd", "-qc", "--ultra", "-22"], &text);
        let own = OwnBuild::packed(packed.clone().leak(), "0123", text.len() as u64);
        for (zstd, gzip, program) in
            [(true, true, "zstd -dc"), (true, false, "zstd -dc"), (false, true, "gzip -dc"), (false, false, "cat")]
        {
            let ToSend { content: sent, unpack, is_checked } = own.to_send(Unpackers { zstd, gzip }).unwrap();
            assert_eq!((unpack, is_checked), (program, program != "cat"));
            let words: Vec<&str> = unpack.split(' ').collect();
            assert!(piped(&words, &bytes(&sent)) == text, "{unpack}");
            assert_eq!(bytes(&sent) == packed, zstd, "{unpack}");
            let again = own.to_send(Unpackers { zstd, gzip }).unwrap().content;
            assert!(Arc::ptr_eq(&sent, &again), "made once for all targets");
        }
        assert_eq!((own.sha256(), own.bytes()), (Ok("0123"), text.len() as u64));
    }

    #[test]
    fn a_file_is_sent_by_gzip_though_the_target_has_zstd() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "a build").unwrap();
        let own = OwnBuild::open(file.path()).unwrap();
        let way = |zstd, gzip| own.to_send(Unpackers { zstd, gzip }).unwrap().unpack;
        assert_eq!((way(true, true), way(true, false)), ("gzip -dc", "cat"));
    }

    #[test]
    fn the_digest_is_that_of_the_build() {
        if CONTAINED.is_empty() {
            assert_eq!((CONTAINED_SHA256, CONTAINED_BYTES), ("", "0"));
        } else {
            let contained = OwnBuild::for_targets().unwrap();
            assert_eq!(contained.hash().unwrap(), CONTAINED_SHA256);
            assert_eq!(contained.content().unwrap().bytes, contained.bytes());
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        // FIPS 180-2, appendix B.1.
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(OwnBuild::open(file.path()).unwrap().sha256(), Ok(digest));
    }

    #[test]
    fn a_damaged_build_is_named() {
        let damaged = OwnBuild::packed(b"no zstd", "0123", 7);
        let why = damaged.content().err().unwrap();
        assert!(why.starts_with("cannot read the build for targets, which is copied to targets: "), "{why}");
    }
}
