//! The stage `config_deploy`: the configuration files, rendered into the revision.

use crate::timings;
use crate::timings::Part;
use crate::wire::{CheckPoint, Stage};

use super::checks;
use super::render;
use super::render::Content;
use super::rendered;
use crate::local::fault::Fault;
use crate::local::job::Job;
use crate::local::state::config_files::{Rendered, place};
use crate::local::state::rights::Rights;
use crate::local::tree::verify;

/// Renders all files first, then keeps them: a template with an error changes nothing. Nothing that is live changes
/// before promote.
pub fn run(job: &Job) -> Result<(), Fault> {
    let (layout, revision) = (&job.layout, &job.request.revision);
    checks::run(job, CheckPoint::Before(Stage::ConfigDeploy), revision)?;
    if let Some(files) = &job.request.config_files {
        if !layout.complete(revision) {
            let short = revision.short();
            return Err(Fault::failed(format!(
                "this host has no complete working tree of {short}; run the fetch stage \
                                              first"
            )));
        }
        for file in files {
            place(layout, revision, &file.path)?;
        }
        let _timed = timings::during(Part::Configuration);
        let mut rendered = Vec::new();
        for (file, Content { text, is_secret }) in files.iter().zip(render::all(job, files)?) {
            let path = file.path.clone();
            let rights = Rights::of(file, is_secret, job.deadline.at());
            let rights = rights.map_err(|why| Fault::failed(format!("configuration file {path}: {why}")))?;
            if let (true, None, Some(mode)) = (is_secret, file.access.mode, rights.mode) {
                job.out.info(format!("{path} contains secrets and has no mode: it gets {mode:04o}"));
            }
            rendered.push(Rendered { path, text, rights });
        }
        rendered::stage(job, rendered)?;
        for file in files {
            job.out.info(format!("rendered {}", file.path));
        }
    }
    checks::run(job, CheckPoint::After(Stage::ConfigDeploy), revision)?;
    if layout.complete(revision) { verify::note_removed(job, revision) } else { Ok(()) }
}
