//! Writes an artifact into a git repository.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail, ensure};
use rustix::fs::{FlockOperation, flock};

use crate::files::no_links;
use crate::procfs;
use crate::subprocess;
use crate::threads;
use crate::wire::{ARTIFACT_AUTHOR, ARTIFACT_MESSAGE, ArtifactRules};

use super::compression::{self, Format, Gzip, Zstd};
use super::download::Downloaded;
use super::stream::{GitEnded, Stream, is_cut_off};
use super::summary::Summary;
use super::unpack::Unpacker;
use super::{digest, directory, tar, zip};

/// The ref that keeps what was imported until the caller has a ref of its own.
pub const REFERENCE: &str = "refs/hoist-import/last";

/// What is so old is of an import that was killed.
const ABANDONED: Duration = Duration::from_secs(60 * 60);
/// By how much a file system's clock may differ.
const CLOCK: Duration = Duration::from_secs(2);

/// How much of git's complaints is kept, in bytes.
const COMPLAINT: u64 = 16 << 10;
/// The buffer of a file that is read, and of the pipe to git, in bytes.
const BUFFER: usize = 256 << 10;

/// An artifact that is in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    pub tree: String,
    /// Its commit, as of [`crate::wire::artifact_commit`].
    pub commit: String,
    /// The SHA-256 of the archive in hexadecimal digits; `None` for a directory.
    pub sha256: Option<String>,
    pub summary: Summary,
}

/// Brings an archive or a directory into the repository at `git_dir`. Whoever imports into the same repository at the same
/// time waits. `proceed` is asked before each entry whether to go on.
///
/// # Errors
/// What is refused, and why; files that cannot be read; git, and a full disk. The repository is then as it was.
pub fn import(
    source: &Path,
    git_dir: &Path,
    rules: &ArtifactRules,
    proceed: &dyn Fn() -> anyhow::Result<()>,
) -> anyhow::Result<Imported> {
    import_input(Input::open(source)?, git_dir, rules, proceed)
}

/// The same for an archive that was downloaded.
///
/// # Errors
/// As of [`import`].
pub fn import_downloaded(
    archive: Downloaded,
    git_dir: &Path,
    rules: &ArtifactRules,
    proceed: &dyn Fn() -> anyhow::Result<()>,
) -> anyhow::Result<Imported> {
    import_input(Input::archive(PathBuf::new(), archive.file, Some(archive.sha256))?, git_dir, rules, proceed)
}

fn import_input(
    input: Input,
    git_dir: &Path,
    rules: &ArtifactRules,
    proceed: &dyn Fn() -> anyhow::Result<()>,
) -> anyhow::Result<Imported> {
    let lock = Lock::take(git_dir)?;
    let mut git = Git::start(git_dir)?;
    let written = git.write(|output| fill(&input, output, rules, proceed));
    let answer = git.end(written.is_ok());
    if written.is_err() || answer.is_err() {
        lock.sweep_own();
    }
    let (summary, answer) = match (written, answer) {
        (Ok(summary), Ok(answer)) => (summary, answer),
        (Err(error), _) if error.downcast_ref::<GitEnded>().is_none() => return Err(explained(error)),
        (_, Err(complaint)) if complaint.contains("Out of diskspace") || complaint.contains("No space left") => {
            bail!("the disk is full: git fast-import in {} failed: {complaint}", git_dir.display())
        }
        (_, answer) => bail!("git fast-import in {} failed: {}", git_dir.display(), answer.unwrap_or_else(|it| it)),
    };
    input.is_unchanged()?;
    let mut words = answer.split_whitespace().skip_while(|word| *word != "tree").skip(1);
    match (words.next(), words.next()) {
        (Some(tree), Some(commit)) => {
            Ok(Imported { tree: tree.to_owned(), commit: commit.to_owned(), sha256: input.sha256, summary })
        }
        _ => bail!("git fast-import gave {answer:?} instead of a tree and a commit"),
    }
}

/// An error in words that say what is wrong with the archive.
fn explained(error: anyhow::Error) -> anyhow::Error {
    let cause = match error.root_cause().downcast_ref::<io::Error>() {
        _ if is_cut_off(&error) => "the archive was cut off",
        Some(cause) if matches!(cause.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
            "the archive is damaged"
        }
        _ => return error,
    };
    error.context(cause)
}

/// What is imported.
struct Input {
    path: PathBuf,
    /// `None`: a directory.
    archive: Option<(File, Format)>,
    sha256: Option<String>,
    mark: (u64, i64, i64),
}

impl Input {
    fn open(path: &Path) -> anyhow::Result<Input> {
        let file = no_links::open_at_once(path)?;
        let about = file.metadata()?;
        let path = path.to_owned();
        if about.is_dir() {
            return Ok(Input { path, archive: None, sha256: None, mark: mark(&about) });
        }
        ensure!(about.is_file(), "it is neither a file nor a directory");
        Input::archive(path, file, None)
    }

    /// An archive, with its digest if that is known.
    fn archive(path: PathBuf, mut file: File, sha256: Option<String>) -> anyhow::Result<Input> {
        let mark = mark(&file.metadata()?);
        let mut head = Vec::new();
        Read::by_ref(&mut file).take(compression::HEAD as u64).read_to_end(&mut head)?;
        let format = compression::detect(&head)?;
        file.rewind()?;
        let sha256 = Some(sha256.map_or_else(|| digest::sha256(&mut file), Ok)?);
        file.rewind()?;
        Ok(Input { path, archive: Some((file, format)), sha256, mark })
    }

    fn is_unchanged(&self) -> anyhow::Result<()> {
        let Some((file, _)) = &self.archive else { return Ok(()) };
        ensure!(self.mark == mark(&file.metadata()?), "it changed while it was read");
        Ok(())
    }
}

/// What changes when a file changes.
fn mark(about: &Metadata) -> (u64, i64, i64) {
    (about.len(), about.mtime(), about.mtime_nsec())
}

fn fill(
    input: &Input,
    output: &mut dyn Write,
    rules: &ArtifactRules,
    proceed: &dyn Fn() -> anyhow::Result<()>,
) -> anyhow::Result<Summary> {
    let stream = Stream::begin(output, REFERENCE, ARTIFACT_AUTHOR, ARTIFACT_MESSAGE)?;
    let mut unpacker = Unpacker::new(rules, stream, proceed);
    match &input.archive {
        None => directory::read(&input.path, &mut unpacker)?,
        Some((file, format)) => unpack(file.try_clone()?, *format, &mut unpacker)?,
    }
    unpacker.finish()
}

fn unpack(file: File, format: Format, unpacker: &mut Unpacker) -> anyhow::Result<()> {
    let buffered = |file| BufReader::with_capacity(BUFFER, file);
    match format {
        Format::Tar => tar::read(buffered(file), unpacker),
        Format::TarGzip => compressed_tar(Gzip::new(buffered(file)), unpacker),
        Format::TarZstd => compressed_tar(Zstd::new(buffered(file)), unpacker),
        Format::Zip => zip::read(file, unpacker),
    }
}

/// Reads the tar archive that comes out of a decompressor.
fn compressed_tar(from: impl Read, unpacker: &mut Unpacker) -> anyhow::Result<()> {
    let mut from = BufReader::new(from);
    compression::require_tar(from.fill_buf()?)?;
    tar::read(from, unpacker)
}

/// Reads an archive from memory and drops what is in it.
#[cfg(feature = "test-access")]
pub(crate) fn judge(bytes: &[u8], rules: &ArtifactRules) -> anyhow::Result<Summary> {
    let mut file = File::from(rustix::fs::memfd_create("archive", rustix::fs::MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    let format = compression::detect(&bytes[..bytes.len().min(compression::HEAD)])?;
    let mut sink = io::sink();
    let mut unpacker =
        Unpacker::new(rules, Stream::begin(&mut sink, REFERENCE, ARTIFACT_AUTHOR, ARTIFACT_MESSAGE)?, &|| Ok(()));
    unpack(file, format, &mut unpacker).map_err(explained)?;
    unpacker.finish()
}

/// Held for as long as something is imported; removes what an import left that failed or was killed.
struct Lock {
    git_dir: PathBuf,
    since: SystemTime,
    _folder: File,
}

impl Lock {
    fn take(git_dir: &Path) -> anyhow::Result<Lock> {
        let place = git_dir.join("objects/pack");
        let folder = File::open(&place).with_context(|| format!("cannot open {}", place.display()))?;
        flock(&folder, FlockOperation::LockExclusive)?;
        let since = SystemTime::now();
        let lock = Lock { git_dir: git_dir.to_owned(), since, _folder: folder };
        // What is younger may be of another git, which tidies up.
        lock.sweep(|changed| changed + ABANDONED < since);
        Ok(lock)
    }

    fn sweep(&self, is_ours: impl Fn(SystemTime) -> bool) {
        for (folder, start) in
            [("objects/pack", "tmp_pack_"), ("objects/pack", "tmp_idx_"), (".", "fast_import_crash_")]
        {
            let Ok(entries) = fs::read_dir(self.git_dir.join(folder)) else { continue };
            for entry in entries.flatten() {
                let changed = entry.metadata().and_then(|about| about.modified());
                if entry.file_name().as_encoded_bytes().starts_with(start.as_bytes()) && changed.is_ok_and(&is_ours) {
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
    }

    /// After an import that failed.
    fn sweep_own(&self) {
        self.sweep(|changed| changed + CLOCK >= self.since);
    }
}

/// A running `git fast-import`, with nothing of any configuration but the repository's.
struct Git {
    child: Child,
    complaint: Option<JoinHandle<String>>,
}

impl Git {
    fn start(git_dir: &Path) -> anyhow::Result<Git> {
        let mut command = Command::new("git");
        // The path to programs and libraries is the only thing that counts.
        let kept = ["PATH", "LD_LIBRARY_PATH", "GIT_EXEC_PATH"].map(|name| (name, std::env::var_os(name)));
        command.env_clear().envs(kept.into_iter().filter_map(|(name, value)| Some((name, value?))));
        command.envs([
            ("LC_ALL", "C"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("HOME", "/dev/null/hoist"),
            ("XDG_CONFIG_HOME", "/dev/null/hoist"),
        ]);
        let mut place = OsString::from("--git-dir=");
        place.push(git_dir);
        command.arg(place);
        let settings = [
            "safe.directory=*",
            "core.fsync=committed,reference",
            // Everything is in one pack, so that the next import finds what is there already.
            "fastimport.unpackLimit=1",
            // Larger files are compressed as they come.
            "core.bigFileThreshold=16m",
            "core.compression=1",
            "pack.compression=1",
        ];
        for setting in settings {
            command.args(["-c", setting]);
        }
        command.args(["fast-import", "--quiet", "--done", "--force", "--depth=0", "--date-format=raw"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).current_dir("/");
        procfs::die_with_parent(&mut command);
        let mut child = command.spawn().map_err(|error| anyhow::Error::msg(subprocess::cannot_run_git(&error)))?;
        let complaint = child.stderr.take().map(|errors| {
            threads::start(move || {
                let (mut text, mut errors) = (Vec::new(), errors);
                let _ = Read::by_ref(&mut errors).take(COMPLAINT).read_to_end(&mut text);
                let _ = io::copy(&mut errors, &mut io::sink());
                String::from_utf8_lossy(&text).into_owned()
            })
        });
        match complaint.transpose() {
            Ok(complaint) => Ok(Git { child, complaint }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error).context("cannot read what git says")
            }
        }
    }

    fn write<T>(&mut self, fill: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let stdin = self.child.stdin.take().context("git has no standard input")?;
        let mut output = BufWriter::with_capacity(BUFFER, stdin);
        let result = fill(&mut output);
        // What was refused must not be completed by the end of the input, and dropping the buffer would write the rest.
        if result.as_ref().is_err_and(|error| error.downcast_ref::<GitEnded>().is_none()) {
            let _ = self.child.kill();
        }
        result
    }

    /// What git has printed, or its complaint.
    fn end(mut self, is_whole: bool) -> Result<String, String> {
        let mut answer = String::new();
        if let Some(mut output) = self.child.stdout.take().filter(|_| is_whole) {
            let _ = output.read_to_string(&mut answer);
        }
        let status = self.child.wait();
        let said = self.complaint.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        match status {
            Ok(status) if status.success() => Ok(answer),
            Ok(status) => {
                let line = said.lines().find_map(|line| line.strip_prefix("fatal: ").or(line.strip_prefix("error: ")));
                Err(line.map_or_else(|| format!("git ended with {status}"), str::to_owned))
            }
            Err(error) => Err(error.to_string()),
        }
    }
}
