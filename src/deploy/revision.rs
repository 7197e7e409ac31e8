//! The revision of a run, and the parts of it that targets do not get.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Result, bail};

use crate::config::{Config, Note};
use crate::repo::{Named, NewestTag, Repo, Tags, Tree};
use crate::text;
use crate::text::some;
use crate::wire::{ConfigFile, Level, Origin, Revision, SharedKind, Stage};

use super::plan::Kind;

/// How many files a remark names.
pub const SHOWN: usize = 5;

/// What the runs before this one deployed, for a run that is about the last of them.
#[derive(Debug, Clone, Default)]
pub struct Deployed {
    /// The revisions that it cannot be about: their last deployment was undone, or, where services are restarted, they
    /// were only fetched.
    pub not_these: HashSet<Revision>,
    /// The last one of the others.
    pub last: Option<Revision>,
}

/// The revision of a run if the command line names none, and a remark. A run that brings no code is for the last
/// revision that was deployed in this environment and not rolled back; `HEAD` may be newer. If that is an artifact, the journals name it; of
/// commits, the deployment tags also tell what other deploy hosts deployed.
pub fn unnamed(
    config: &Config,
    repo: &Repo,
    kind: Kind,
    stages: &[Stage],
    deployed: &Deployed,
) -> Result<(String, Option<Note>)> {
    let brings = kind == Kind::Deploy && stages.contains(&Stage::Fetch);
    if brings || config.sets("git_rev") {
        return Ok((config.settings.git_rev.clone(), None));
    }
    if let Some(last) = deployed.last.as_ref().filter(|last| repo.is_artifact(last)) {
        let short = last.short();
        let note = format!("no revision given and no fetch stage: using artifact {short}, which was deployed last");
        return Ok((last.to_string(), Some((Level::Info, note))));
    }
    let environment = config.environment.as_deref();
    let newest = Tags::new(repo, &config.control_name).newest(environment, &deployed.not_these)?;
    let Some(NewestTag { name, passed_over }) = newest else {
        return Ok((config.settings.git_rev.clone(), None));
    };
    let of = match environment {
        Some(environment) => format!(" of environment {environment}"),
        None if passed_over.environments => " of no environment".to_owned(),
        None => String::new(),
    };
    let which = match kind {
        _ if !passed_over.revisions => "",
        Kind::ServiceRestart => " that was live and not rolled back",
        _ => " that was not rolled back",
    };
    let note = format!("no revision given and no fetch stage: using the newest deployment tag{of}{which}, {name}");
    Ok((format!("refs/tags/{name}"), Some((Level::Info, note))))
}

/// Fails if a revision has files of its own at a shared path: its tree cannot have both.
pub fn check_shared_paths(config: &Config, tree: &Tree) -> Result<()> {
    let shared = &config.settings.shared;
    if shared.is_empty() {
        return Ok(());
    }
    let Some((path, entry)) = tree.overlapping(shared.iter().map(|(path, _)| path)) else { return Ok(()) };
    let kind = shared.iter().find_map(|(other, kind)| (other == path).then_some(kind)).unwrap_or(SharedKind::Dir);
    let (key, short, place) = (kind.key(), tree.commit().short(), config.place_of(kind.key()));
    let place = if place.is_empty() { String::new() } else { format!(" ({place})") };
    let what = if Path::new(entry).starts_with(path.as_path()) {
        let listed = text::quoted(path.as_str());
        format!(
            "{short} has {entry}: run `git rm -r --cached {listed}`, add /{path} to .gitignore and commit, or remove \
             {path} from {key}{place}"
        )
    } else {
        format!(
            "{short} has {entry}, which is a file, a link or a submodule: rename it, or remove {path} from {key}{place}"
        )
    };
    bail!("{key}: {path} cannot be shared, because {what}")
}

/// Fails if this repository cannot deploy a revision since it lacks a part of it.
pub fn check_contents(tree: &Tree) -> Result<()> {
    let Some(path) = tree.first_missing() else { return Ok(()) };
    let short = tree.commit().short();
    bail!(
        "the content of {path} in {short} is missing from this repository: restore it, for example with `git fetch --refetch`; \
         `git fsck` shows what else is missing"
    )
}

/// Fails if a configuration file is to be written to where a revision has a directory, below one of its files, or through a
/// link that leads out of it.
pub fn check_config_files<'a>(repo: &Repo, files: impl Iterator<Item = &'a ConfigFile>, tree: &Tree) -> Result<()> {
    for path in files.map(|file| file.path.as_str()).filter(|path| !path.starts_with('/')) {
        let what = match (tree.in_the_way_of(path), tree.link_out_above(repo, path)?) {
            (Some(entry), _) if entry == path => "a directory there".to_owned(),
            (Some(entry), _) => format!("{entry}, which is no directory"),
            (None, Some(link)) => format!("the symbolic link {link}, which leads out of the repository"),
            (None, None) => continue,
        };
        let short = tree.commit().short();
        bail!("config-files.yaml: {path} cannot be written, because {short} has {what}: choose another path for it");
    }
    Ok(())
}

/// A warning about links in the directory that is deployed which lead to other parts of the repository.
/// `tree`: that directory's own; `source`: the commit that it is of.
pub fn links_out(repo: &Repo, tree: &Tree, (source, subdir): (&Revision, &str)) -> Result<Option<Note>> {
    let links: Vec<String> =
        tree.links_out(repo)?.into_iter().map(|(path, to)| format!("{subdir}/{path} -> {to}")).collect();
    let warning = || {
        let (short, links) = (source.short(), some(&links, SHOWN));
        format!(
            "{short} has symbolic links that lead out of {subdir}, to what is not deployed ({links}): replace them with \
             what they lead to"
        )
    };
    Ok((!links.is_empty()).then(|| (Level::Warning, warning())))
}

/// Warnings about parts of a revision that targets do not get because the keys for them are off.
pub fn left_out(config: &Config, repo: &Repo, (tree, origin): (&Tree, Option<&Origin>)) -> Result<Vec<Note>> {
    let settings = &config.settings;
    if settings.git_submodules && settings.git_lfs && settings.git_fat {
        return Ok(Vec::new());
    }
    // What an artifact contains is all that there is; but a directory is as the commit has it.
    let of_source;
    let (tree, below) = match origin.map(|origin| (&origin.source, origin.subdir())) {
        None => (tree, String::new()),
        Some((Some(source), Some(subdir))) => {
            of_source = repo.tree(source)?;
            (&of_source, format!("{subdir}/"))
        }
        Some(_) => return Ok(Vec::new()),
    };
    let short = tree.commit().short();
    let named = Named::of(repo, tree)?;
    let pointers = |manager: &str| {
        format!("has files of {manager}, and only their pointers are deployed: set git_binary_manager: {manager}")
    };
    let kinds = [
        (
            settings.git_submodules,
            named.submodules,
            "has submodules, and their directories stay empty: set git_submodules".into(),
        ),
        (settings.git_lfs, named.lfs, pointers("git-lfs")),
        (settings.git_fat, named.fat, pointers("git-fat")),
    ];
    let counting = kinds.into_iter().map(|(brought, paths, what)| {
        let below = paths.into_iter().filter(|path: &String| path.starts_with(&below));
        (brought, below.collect::<Vec<_>>(), what)
    });
    let left = counting.filter(|(brought, paths, _)| !brought && !paths.is_empty());
    Ok(left.map(|(_, paths, what)| (Level::Warning, format!("{short} {what} ({})", some(&paths, SHOWN)))).collect())
}
