//! What a run deploys: the commit that was named, or an artifact of it.

use anyhow::{Result, bail};

use crate::config::Config;
use crate::repo::{Repo, Wanted, operator};
use crate::wire::{Origin, OriginKind, Revision};

use super::build;
use super::plan::Kind;

/// The revision of a run, and how it was made; `None`: it is a commit of the repository.
pub type Chosen = (Revision, Option<Box<Origin>>);

/// What a run deploys if this commit, or this artifact, was named.
///
/// # Errors
/// The configuration asks for a part of the commit that it does not have, or for one of its parts that is not here.
pub fn chosen(config: &Config, repo: &Repo, kind: Kind, named: Revision) -> Result<Chosen> {
    if let Some(origin) = repo.origin(&named) {
        return Ok((named, Some(Box::new(origin))));
    }
    // Targets keep what a rollback goes back to.
    if kind == Kind::Rollback {
        return Ok((named, None));
    }
    if repo.is_artifact(&named) {
        bail!("{} is an artifact, and it is not known any more what it was made from: make it again", named.short());
    }
    if let Some(build) = &config.settings.build {
        return build::chosen(config, repo, (build, wanted_of_subdir(config)), kind, named);
    }
    let Some(subdir) = &config.settings.subdir else { return Ok((named, None)) };
    if config.settings.git_fat {
        bail!(
            "git_fat cannot be combined with subdir: targets get no .gitfat, which is above {subdir}: remove one of them"
        );
    }
    let revision = repo.subdir_revision(&named, subdir, wanted_of_subdir(config))?;
    let origin = Origin {
        kind: OriginKind::Subdir,
        from: subdir.clone(),
        sha256: None,
        source: Some(named),
        inputs: None,
        by: operator(),
        at: crate::clock::rfc3339_utc(),
    };
    let store = repo.artifacts_to_write()?;
    if store.origin(&revision).is_none() {
        store.record(&revision, &origin)?;
    }
    Ok((revision, Some(Box::new(origin))))
}

/// The parts of a commit that are put into the artifact of a directory, or into the checkout of a build: targets never fetch them by themselves.
pub fn wanted_of_subdir(config: &Config) -> Wanted {
    Wanted { submodules: config.settings.git_submodules, large_files: config.settings.git_lfs }
}
