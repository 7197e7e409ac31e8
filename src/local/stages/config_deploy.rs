//! The stage `config_deploy`: the configuration files, rendered into the revision.

use std::fs;
use std::path::{Path, PathBuf};

use crate::wire::{CheckPoint, Revision, Stage, config_path_taken};

use super::checks;
use super::job::Job;
use super::render;
use super::rendered;
use super::rendered::Rendered;
use crate::local::fault::{Fault, Tried};
use crate::local::state::layout;
use crate::local::state::layout::Layout;
use crate::local::tree::verify;

/// Renders all files first, then keeps them: a template with an error changes nothing. Nothing that is live changes
/// before promote.
pub fn run(job: &Job) -> Result<(), Fault> {
    let (layout, revision) = (&job.layout, &job.request.revision);
    checks::run(job, CheckPoint::Before(Stage::ConfigDeploy), revision)?;
    if let Some(files) = &job.request.config_files {
        if !layout.complete(revision) {
            let short = revision.short();
            return Err(Fault::failed(format!("{short} has no complete working tree here; run the fetch stage first")));
        }
        for file in files {
            place(layout, revision, &file.path)?;
        }
        let texts = render::all(job, files)?.into_iter();
        let rendered = files.iter().zip(texts).map(|(file, text)| Rendered { path: file.path.clone(), text });
        rendered::stage(job, rendered.collect())?;
        for file in files {
            job.out.info(format!("rendered {}", file.path));
        }
    }
    checks::run(job, CheckPoint::After(Stage::ConfigDeploy), revision)?;
    if layout.complete(revision) { verify::note_removed(job, revision) } else { Ok(()) }
}

/// Where a file is rendered to: never outside of the revision's tree, and never among git's own files.
pub fn place(layout: &Layout, revision: &Revision, path: &str) -> Result<PathBuf, Fault> {
    if let Some(why) = taken(layout, Path::new(path)) {
        return Err(Fault::failed(format!("config file {path:?} is {why}; choose another path")));
    }
    if path.starts_with('/') {
        if !layout::is_plain_absolute(Path::new(path)) || path.ends_with('/') || path.contains("//") {
            return Err(Fault::failed(format!("config file {path:?} is not a plain absolute path; correct it")));
        }
        return Ok(layout.rendered(revision, path));
    }
    if !layout::is_plain_relative(path) || path.split('/').any(|part| part.eq_ignore_ascii_case(".git")) {
        return Err(Fault::failed(format!("config file {path:?} is not a plain path in the repository; correct it")));
    }
    let tree = layout.rev(revision);
    let real_tree = fs::canonicalize(&tree).tried("find", &tree)?;
    let mut folder = tree.clone();
    for part in Path::new(path).parent().into_iter().flat_map(Path::components) {
        folder.push(part);
        // A link of the repository's may lead anywhere; what is not there yet will be a folder of ours.
        if let Ok(real) = fs::canonicalize(&folder) {
            if !real.starts_with(&real_tree) || real.starts_with(real_tree.join(".git")) {
                return Err(Fault::failed(format!("config file {path:?} leads out of the working tree by a link")));
            }
        } else if fs::symlink_metadata(&folder).is_ok() {
            return Err(Fault::failed(format!("config file {path:?} leads through a link to nowhere")));
        }
    }
    Ok(tree.join(path))
}

/// Whether a path is one of Hoist's own, by its name or by where its folder really is.
fn taken(layout: &Layout, path: &Path) -> Option<&'static str> {
    let (deploy_dir, repo) = (layout.deploy_dir(), layout.repo());
    let by_name = config_path_taken(deploy_dir, repo, path);
    if by_name.is_some() || !path.is_absolute() {
        return by_name;
    }
    let real = real_place(path)?;
    // What lies in the working tree by way of the service's path is in its revision, and no harm.
    if path.starts_with(layout.live()) || fs::canonicalize(layout.live()).is_ok_and(|tree| real.starts_with(tree)) {
        return None;
    }
    config_path_taken(&fs::canonicalize(deploy_dir).ok()?, repo, &real)
}

/// A path with the links on the way to it followed, as far as there is anything.
fn real_place(path: &Path) -> Option<PathBuf> {
    path.ancestors().skip(1).find_map(|folder| {
        let real = fs::canonicalize(folder).ok()?;
        Some(real.join(path.strip_prefix(folder).ok()?))
    })
}
