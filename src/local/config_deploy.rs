//! The stage `config_deploy`: the configuration files, rendered into the revision.

use std::fs;
use std::path::{Path, PathBuf};

use crate::jinja;
use crate::wire::{CheckPoint, ConfigFile, Revision, Stage};

use super::checks;
use super::fault::{Fault, Tried};
use super::files;
use super::job::Job;
use super::layout::{self, Layout};
use super::vars as remote;

/// Renders all files first, then writes them: a template with an error changes nothing.
pub fn run(job: &Job) -> Result<(), Fault> {
    let (layout, revision) = (&job.layout, &job.request.revision);
    checks::run(job, CheckPoint::Before(Stage::ConfigDeploy), revision)?;
    if let Some(files) = &job.request.config_files {
        if !layout.complete(revision) {
            let short = revision.short();
            return Err(Fault::Failed(format!("{short} has no complete working tree here; run the fetch stage first")));
        }
        let mut rendered = Vec::new();
        for file in files {
            job.deadline.check()?;
            rendered.push((place(layout, revision, file)?, render(job, file)?));
        }
        for ((path, text), file) in rendered.iter().zip(files) {
            put(path, text)?;
            job.out.info(format!("rendered {}", file.path));
        }
    }
    checks::run(job, CheckPoint::After(Stage::ConfigDeploy), revision)
}

/// A file's content for this target.
pub fn render(job: &Job, file: &ConfigFile) -> Result<String, Fault> {
    let mut vars = job.request.vars.clone();
    if let Some(path) = &file.remote_vars {
        vars.extend(remote::variables(Path::new(path))?);
    }
    jinja::render(&job.request.templates, file, &vars).map_err(Fault::Failed)
}

/// Where a file is rendered to: never outside of the revision's tree, and never among git's own files.
pub fn place(layout: &Layout, revision: &Revision, file: &ConfigFile) -> Result<PathBuf, Fault> {
    let path = file.path.as_str();
    if path.starts_with('/') {
        if !layout::is_plain_absolute(Path::new(path)) || path.ends_with('/') || path.contains("//") {
            return Err(Fault::Failed(format!("config file {path:?} is not a plain absolute path; correct it")));
        }
        return Ok(layout.rendered(revision, path));
    }
    if !layout::is_plain_relative(path) || path.split('/').any(|part| part.eq_ignore_ascii_case(".git")) {
        return Err(Fault::Failed(format!("config file {path:?} is not a plain path in the repository; correct it")));
    }
    let tree = layout.rev(revision);
    let real_tree = fs::canonicalize(&tree).tried("find", &tree)?;
    let mut folder = tree.clone();
    for part in Path::new(path).parent().into_iter().flat_map(Path::components) {
        folder.push(part);
        // A link of the repository's may lead anywhere; what is not there yet will be a folder of ours.
        if let Ok(real) = fs::canonicalize(&folder) {
            if !real.starts_with(&real_tree) || real.starts_with(real_tree.join(".git")) {
                return Err(Fault::Failed(format!("config file {path:?} leads out of the working tree by a link")));
            }
        } else if fs::symlink_metadata(&folder).is_ok() {
            return Err(Fault::Failed(format!("config file {path:?} leads through a link to nowhere")));
        }
    }
    Ok(tree.join(path))
}

fn put(path: &Path, text: &str) -> Result<(), Fault> {
    let same = fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
        && fs::read(path).is_ok_and(|now| now == text.as_bytes());
    if same {
        return Ok(());
    }
    files::make_dir(files::parent(path))?;
    files::write(path, text.as_bytes(), 0o666)
}
