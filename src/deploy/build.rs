//! What a commit is deployed as where `build_command` is set: its build, once there is one.

use anyhow::{Result, bail};

use crate::artifact::digest;
use crate::config::{Build, Config};
use crate::repo::{BUILDS, Repo, Wanted, operator};
use crate::wire::{Origin, OriginKind, Revision};

use super::plan::{Kind, Plan};

/// The build of a commit. If there is none, a deployment is of the commit, with the origin that its build is going to have,
/// until it is built; other runs are of the commit. `wanted`: the parts that its checkout has.
pub(super) fn chosen(
    config: &Config,
    repo: &Repo,
    (build, wanted): (&Build, Wanted),
    kind: Kind,
    commit: Revision,
) -> Result<(Revision, Option<Box<Origin>>)> {
    if config.settings.git_fat {
        bail!(
            "git_fat cannot be combined with build_command: there is no content of git-fat on this host: remove one of \
             them"
        );
    }
    if let Some(subdir) = &config.settings.subdir {
        repo.require_directory(&commit, subdir)?;
    }
    let inputs = inputs(config, build, wanted, &commit)?;
    let store = repo.artifacts();
    let built = store.as_ref().and_then(|store| store.noted(BUILDS, &inputs)).map(|noted| noted.revision);
    let revision = match (&built, kind) {
        (Some(revision), _) => revision.clone(),
        (None, Kind::Deploy) => commit.clone(),
        (None, _) => return Ok((commit, None)),
    };
    let known = built.and_then(|revision| store?.origin(&revision)).filter(|it| it.kind == OriginKind::Build);
    let (by, at) = known.map_or_else(|| (operator(), crate::clock::rfc3339_utc()), |it| (it.by, it.at));
    let (from, source, inputs) = (build.output.clone(), Some(commit), Some(inputs));
    let origin = Origin { kind: OriginKind::Build, from, sha256: None, source, inputs, by, at };
    Ok((revision, Some(Box::new(origin))))
}

/// The commit that has to be built before the plan can be carried out.
pub fn unbuilt(plan: &Plan) -> Option<&Origin> {
    let is_unbuilt = |it: &&Origin| it.kind == OriginKind::Build && it.source.as_ref() == Some(&plan.revision);
    plan.origin.as_deref().filter(is_unbuilt)
}

/// A digest of all that counts for a build.
fn inputs(config: &Config, build: &Build, wanted: Wanted, commit: &Revision) -> Result<String> {
    let Build { command, output, timeout: _, inputs } = build;
    let variables: Vec<_> = inputs.iter().map(|name| (name, std::env::var_os(name))).collect();
    // In debug format each value ends where it ends, and bytes that are no text are told apart.
    let all = format!(
        "{:?}",
        (commit.as_str(), command, output, &config.settings.subdir, wanted.submodules, wanted.large_files, variables)
    );
    Ok(digest::sha256(&mut all.as_bytes())?)
}
