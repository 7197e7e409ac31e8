//! Copies of what was published of the revisions that were deployed, for the way back to one of them: what the
//! configuration says by then is about a newer one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::config::Config;
use crate::files::shared;
use crate::wire::Revision;

/// What a copy is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Scap's `DEPLOY_HEAD`.
    DeployHead,
    /// The request for hosts that are set up later.
    Request,
}

/// The folder of the copies. Only whoever holds the repository's lock writes there.
pub struct Copies {
    folder: PathBuf,
    /// Each environment has its own.
    environment: String,
    /// Older ones are removed.
    most: usize,
}

impl Copies {
    /// In the folder where the journals are.
    pub fn of(config: &Config, state: &Path) -> Copies {
        let environment = config.environment.as_ref().map(|name| format!("{name}.")).unwrap_or_default();
        // At least what is live, and what was before.
        let most = 2 * config.settings.tags_to_keep.max(2);
        Copies { folder: state.join("published"), environment, most }
    }

    fn path(&self, revision: &Revision, kind: Kind) -> PathBuf {
        let kind = match kind {
            Kind::DeployHead => "deploy-head",
            Kind::Request => "request",
        };
        self.folder.join(format!("{}{revision}.{kind}", self.environment))
    }

    pub fn read(&self, revision: &Revision, kind: Kind) -> Option<Vec<u8>> {
        fs::read(self.path(revision, kind)).ok()
    }

    pub fn keep(&self, revision: &Revision, kind: Kind, bytes: &[u8]) -> Result<()> {
        let path = self.path(revision, kind);
        let kept = || -> Result<()> {
            if let Some(state) = self.folder.parent() {
                crate::journal::make_folder(state)?;
            }
            shared::make_folder(&self.folder)?;
            Ok(shared::replace(&path, bytes)?)
        };
        kept().with_context(|| format!("cannot keep {}", path.display()))?;
        self.prune();
        Ok(())
    }

    /// Removes the oldest. What cannot be removed stays.
    fn prune(&self) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let is_copy = |name: &str| name.ends_with(".deploy-head") || name.ends_with(".request");
        let mut copies: Vec<(SystemTime, PathBuf)> = entries
            .filter(|entry| entry.file_name().to_str().is_some_and(is_copy))
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        copies.sort();
        let surplus = copies.len().saturating_sub(self.most);
        for (_, path) in copies.into_iter().take(surplus) {
            let _ = fs::remove_file(path);
        }
    }
}
