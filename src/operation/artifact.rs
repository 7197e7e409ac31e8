//! An archive, a directory or a URL that is deployed in place of a commit.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::artifact::{self, Imported, Patience, Summary, digest};
use crate::clock;
use crate::config::Config;
use crate::deploy::Choice;
use crate::files::no_links;
use crate::repo::{ARCHIVES, ArtifactStore, Noted, Repo, operator};
use crate::text::{bytes, counted, quoted};
use crate::url::place;
use crate::wire::{ArtifactRules, ArtifactSource, Origin, OriginKind, Revision};

use super::{Frontend, Refused, state_folder};

/// How long a download to this host may take, and how long no byte may come.
const DOWNLOAD: Duration = Duration::from_secs(60 * 60);
const STALL: Duration = Duration::from_secs(30);

/// What the flags say.
#[derive(Debug, Clone)]
pub struct ChosenArtifact {
    /// A path or a URL.
    pub from: String,
    /// The commit that it was built from, in any of git's spellings.
    pub source: Option<String>,
}

impl ChosenArtifact {
    /// From `--artifact` and `--source`.
    ///
    /// # Errors
    /// Flags that contradict each other.
    pub fn of_flags(
        from: Option<String>,
        source: Option<String>,
        rev: Option<&str>,
    ) -> Result<Option<ChosenArtifact>, Refused> {
        match (from, source, rev) {
            (Some(_), _, Some(_)) => Err(Refused::Usage(
                "--artifact and --rev cannot be combined: to say what the artifact was built from, use --source".into(),
            )),
            (None, Some(_), _) => Err(Refused::Usage("--source is of an artifact: name it with --artifact".into())),
            (from, source, _) => Ok(from.map(|from| ChosenArtifact { from, source })),
        }
    }
}

/// Where an artifact comes from.
enum From {
    Path(PathBuf),
    /// Without its fragment.
    Url {
        url: String,
        sha256: String,
    },
}

/// An artifact that is in the store.
pub struct Taken {
    pub revision: Revision,
    /// What targets download; `None`: it comes through their sessions.
    pub source: Option<ArtifactSource>,
}

/// Brings an artifact into the store, if it is not there yet, and chooses its revision.
///
/// # Errors
/// It cannot be read or is refused, or its source is no commit. Nothing is touched.
pub fn take(
    config: &Config,
    repo: &Repo,
    chosen: &ChosenArtifact,
    choice: &mut Choice,
    front: &dyn Frontend,
) -> Result<Taken, Refused> {
    let from = from(&chosen.from)?;
    let source = chosen.source.as_ref().map(|rev| repo.resolve(rev)).transpose().context("--source")?;
    if let From::Path(path) = &from {
        refuse_own(path, repo, config).with_context(|| format!("--artifact {}", quoted(&chosen.from)))?;
    }
    let store = ArtifactStore::open_or_create(&state_folder(config), repo)?;
    let taken = Taker { config, store: &store, front }.take(&from, source)?;
    choice.rev = Some(taken.revision.to_string());
    Ok(taken)
}

/// A path, or a URL with its digest.
fn from(text: &str) -> anyhow::Result<From> {
    let Some((scheme, _)) = text.split_once("://") else { return Ok(From::Path(text.into())) };
    let shown = place(text);
    ensure!(
        matches!(scheme, "http" | "https"),
        "--artifact {shown}: targets download by http and https only: download it, and name the file"
    );
    let (url, digits) = text.split_once("#sha256=").with_context(|| {
        format!(
            "--artifact {shown}: add #sha256=DIGEST, the SHA-256 of the archive: `curl -L URL | sha256sum` prints it"
        )
    })?;
    let sha256 = digits.to_ascii_lowercase();
    ensure!(
        sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "--artifact {shown}: the digest behind #sha256= must have 64 hexadecimal digits"
    );
    Ok(From::Url { url: url.to_owned(), sha256 })
}

/// Git's own files are no artifact, nor are Hoist's, and journals change all the time.
fn refuse_own(path: &Path, repo: &Repo, config: &Config) -> anyhow::Result<()> {
    let real = path.canonicalize().map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow::anyhow!("there is no such file or directory"),
        _ => error.into(),
    })?;
    let top = repo.top().canonicalize()?;
    ensure!(!top.starts_with(&real), "it contains the repository itself: name the directory with the build's output");
    ensure!(!real.starts_with(repo.git_dir()), "it is inside git's own directory");
    if let Ok(control) = config.control.canonicalize() {
        let shown = control.strip_prefix(&top).unwrap_or(&control).display();
        ensure!(
            !real.starts_with(&control) && !control.starts_with(&real),
            "{shown} has the configuration and the journals of Hoist, and is no artifact: name the directory with the \
             build's output"
        );
    }
    Ok(())
}

struct Taker<'a> {
    config: &'a Config,
    store: &'a ArtifactStore,
    front: &'a dyn Frontend,
}

impl Taker<'_> {
    fn rules(&self) -> ArtifactRules {
        let settings = &self.config.settings;
        ArtifactRules {
            strip_components: settings.artifact_strip_components,
            max_bytes: settings.artifact_max_size,
            outside_links: settings.artifact_outside_links,
        }
    }

    fn take(&self, from: &From, source: Option<Revision>) -> anyhow::Result<Taken> {
        match from {
            From::Path(path) => {
                let shown = path.display();
                let (kind, name) = match path.is_dir() {
                    // What was typed may be relative to a directory that nobody remembers.
                    true => (OriginKind::Directory, path.canonicalize()?.to_string_lossy().into_owned()),
                    false => (OriginKind::Archive, file_name(path)),
                };
                let known = match kind {
                    OriginKind::Archive => {
                        let mut file = no_links::open_at_once(path).with_context(|| format!("cannot read {shown}"))?;
                        ensure!(file.metadata()?.is_file(), "--artifact {shown}: it is neither a file nor a directory");
                        let sha256 = digest::sha256(&mut file).with_context(|| format!("cannot read {shown}"))?;
                        self.known(&sha256).map(|noted| (noted.revision, sha256))
                    }
                    _ => None,
                };
                let (revision, sha256) = match known {
                    Some((revision, sha256)) => (revision, Some(sha256)),
                    None => self.import(path, &shown.to_string())?,
                };
                self.record(&revision, kind, name, sha256, source)?;
                Ok(Taken { revision, source: None })
            }
            From::Url { url, sha256 } => {
                let (rules, proxy) = (self.rules(), self.config.settings.http_proxy.clone());
                let mut fetched =
                    ArtifactSource { url: url.clone(), sha256: sha256.clone(), bytes: None, proxy, rules };
                let revision = match self.known(sha256) {
                    Some(noted) => {
                        fetched.bytes = noted.more.parse().ok();
                        noted.revision
                    }
                    None => self.download(&mut fetched)?,
                };
                self.record(&revision, OriginKind::Url, place(url), Some(sha256.clone()), source)?;
                Ok(Taken { revision, source: Some(fetched) })
            }
        }
    }

    fn download(&self, source: &mut ArtifactSource) -> anyhow::Result<Revision> {
        let until = std::time::Instant::now() + DOWNLOAD;
        let left = || match until.saturating_duration_since(std::time::Instant::now()) {
            Duration::ZERO => bail!("it took longer than {} minutes", DOWNLOAD.as_secs() / 60),
            left => Ok(left),
        };
        let patience = Patience { left: &left, stall: STALL };
        let archive = artifact::download(source, &state_folder(self.config), &patience)?;
        source.bytes = Some(archive.bytes);
        let imported = artifact::import_downloaded(archive, self.store.git_dir(), &self.rules(), &|| Ok(()));
        self.keep(imported, source.bytes, &place(&source.url)).map(|(revision, _)| revision)
    }

    fn import(&self, path: &Path, name: &str) -> anyhow::Result<(Revision, Option<String>)> {
        let imported = artifact::import(path, self.store.git_dir(), &self.rules(), &|| Ok(()));
        self.keep(imported, path.metadata().ok().map(|it| it.len()), name)
    }

    /// Keeps what was imported. `bytes`: the size of an archive.
    fn keep(
        &self,
        imported: anyhow::Result<Imported>,
        bytes: Option<u64>,
        name: &str,
    ) -> anyhow::Result<(Revision, Option<String>)> {
        let Imported { tree, sha256, summary, .. } = imported.with_context(|| format!("--artifact {name}"))?;
        let revision = self.store.revision_of_tree(&tree)?;
        if let Some(sha256) = &sha256 {
            let more = bytes.map(|bytes| bytes.to_string()).unwrap_or_default();
            self.store.note(ARCHIVES, &self.note_of(sha256), &Noted { revision: revision.clone(), more })?;
        }
        tell_imported(name, &revision, &summary, self.front);
        Ok((revision, sha256))
    }

    /// The revision of an archive that was imported by the same rules, and the archive's size.
    fn known(&self, sha256: &str) -> Option<Noted> {
        self.store.noted(ARCHIVES, &self.note_of(sha256))
    }

    fn note_of(&self, sha256: &str) -> String {
        let ArtifactRules { strip_components, max_bytes, outside_links } = self.rules();
        format!("{sha256}-{strip_components}-{max_bytes}-{outside_links}")
    }

    fn record(
        &self,
        revision: &Revision,
        kind: OriginKind,
        from: String,
        sha256: Option<String>,
        source: Option<Revision>,
    ) -> anyhow::Result<()> {
        // Who deploys the same again without --source has not forgotten it.
        let source = source.or_else(|| self.store.origin(revision)?.source);
        let origin = Origin { kind, from, sha256, source, inputs: None, by: operator(), at: clock::rfc3339_utc() };
        self.store.record(revision, &origin)
    }
}

/// Tells what was imported.
pub(super) fn tell_imported(name: &str, revision: &Revision, summary: &Summary, front: &dyn Frontend) {
    let files = counted(usize::try_from(summary.files).unwrap_or(usize::MAX), "file");
    front.tell(&format!("note: {name} is {}: {files}, {}", revision.short(), bytes(summary.bytes)));
    for remark in summary.remarks() {
        front.tell(&format!("warning: {name}: {remark}"));
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
