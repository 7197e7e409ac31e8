//! Rendering in a process of its own, whose memory is limited: a template that wants all of a host's must not get it.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::jinja;
use crate::jinja::Output;
use crate::procfs;
use crate::wire::{ConfigFile, Render, Request};

use super::vars as remote;
use crate::local::fault::{Fault, plain};
use crate::local::job::Job;
use crate::local::os::process;
use crate::local::os::process::{Exit, Feed, Stream};
use crate::local::os::sys;
use crate::local::out::Out;

/// Memory that all templates of a revision may take together, in bytes.
const MEMORY: u64 = 1 << 30;

/// One rendered file may be this long, in bytes.
const LENGTH: usize = 64 << 20;

/// More of what the process says is not kept: all files together, as JSON.
const OUTPUT: usize = 512 << 20;

/// A line that the process answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// It is at the file of this number.
    Begun(usize),
    /// A remark on something that is printed as nothing in the file that it is at.
    Undefined(String),
    Text(String),
    /// The text of a file that secrets were used in.
    SecretText(String),
    Failed(String),
}

/// The content of a file for this target.
pub struct Content {
    pub text: String,
    /// It may not be shown, and not everybody may read it by default.
    pub is_secret: bool,
}

/// The contents of files, in their order.
pub fn all(job: &Job, files: &[ConfigFile]) -> Result<Vec<Content>, Fault> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let request = Request::Render(Box::new(Render {
        header: job.request.header.clone(),
        files: files.to_vec(),
        templates: job.request.templates.clone(),
        vars: job.request.vars.clone(),
        secrets: remote::secrets(job)?,
    }));
    let cannot = |why: String| Fault::failed(format!("cannot render the configuration files: {why}"));
    let mut line = serde_json::to_vec(&request).map_err(|error| cannot(error.to_string()))?;
    line.push(b'\n');
    let mut command = process::command("/proc/self/exe");
    command.arg0("hoist").arg("deploy-local").current_dir("/");
    sys::die_with_parent(&mut command);
    let mut output = Vec::new();
    let mut sink = |stream: Stream, bytes: &[u8]| {
        if stream == Stream::Out && output.len() < OUTPUT {
            output.extend_from_slice(bytes);
        }
    };
    let exit = process::run(&mut command, Feed::text(line), job.deadline.at(), &mut sink)
        .map_err(|error| cannot(plain(&error)))?;
    if exit == Exit::TimedOut {
        return Err(Fault::TimedOut { seconds: job.deadline.seconds });
    }
    let (mut at, mut texts) = (0, Vec::new());
    for line in output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(Line::Begun(file)) => at = file,
            Ok(Line::Undefined(remark)) => job.out.warn(remark),
            Ok(Line::Text(text)) => {
                texts.push(Content { text, is_secret: files.get(at).is_some_and(|file| file.secret) });
            }
            Ok(Line::SecretText(text)) => texts.push(Content { text, is_secret: true }),
            Ok(Line::Failed(reason)) => return Err(Fault::failed(reason)),
            // A sign of life; or the last line, which its process did not end.
            Err(_) => {}
        }
    }
    if texts.len() == files.len() && exit.is_ok() {
        return Ok(texts);
    }
    let file = files.get(at).map_or("the configuration files", |file| file.path.as_str());
    let mib = MEMORY >> 20;
    Err(Fault::failed(match exit {
        // A process of Rust's that gets no memory aborts.
        Exit::Signal(signal) if matches!(sys::signal_name(signal), "ABRT" | "KILL") => {
            format!("{file}: rendering takes more than {mib} MiB of memory; make the template or its variables smaller")
        }
        _ => format!("{file}: rendering {}", exit.reason(job.deadline.seconds)),
    }))
}

/// The process itself. Returns its exit status.
pub fn run(request: &Render, out: &Out) -> u8 {
    if let Err(error) = sys::limit_memory(MEMORY) {
        log::debug!("cannot limit memory: {error}");
    }
    if !request.secrets.0.is_empty() {
        procfs::stay_private();
    }
    for (number, file) in request.files.iter().enumerate() {
        say(out, &Line::Begun(number));
        let line = match one(request, file) {
            Ok((output, _)) if output.text.len() > LENGTH => {
                Line::Failed(format!("{}: it would be longer than {} MiB", file.path, LENGTH >> 20))
            }
            Ok((output, undefined)) => {
                undefined.into_iter().for_each(|remark| say(out, &Line::Undefined(remark)));
                if output.has_secrets { Line::SecretText(output.text) } else { Line::Text(output.text) }
            }
            Err(fault) => Line::Failed(fault.reason()),
        };
        say(out, &line);
    }
    // Whoever waits for it has a limit of time, and ends this process when it is reached.
    out.flush(Duration::MAX);
    0
}

fn say(out: &Out, line: &Line) {
    // The type holds nothing that JSON cannot carry.
    out.text(serde_json::to_string(line).unwrap_or_default() + "\n");
}

/// The file, and remarks on what is undefined in it, but for what the deploy host can tell without rendering.
fn one(request: &Render, file: &ConfigFile) -> Result<(Output, Vec<String>), Fault> {
    let (mut vars, mut secrets) = (request.vars.clone(), request.secrets.0.clone());
    if let Some(path) = &file.remote_vars {
        let own = remote::variables(Path::new(path))?;
        secrets.retain(|name, _| !own.contains_key(name));
        vars.extend(own);
    }
    let output = jinja::render(&request.templates, file, &vars, &secrets).map_err(Fault::failed)?;
    let mut undefined = output.undefined.clone();
    if file.remote_vars.is_none() && request.secrets.0.is_empty() && !undefined.is_empty() {
        let told = jinja::undefined(&request.templates, file, &vars);
        undefined.retain(|it| told.iter().all(|told| told.name != it.name));
    }
    let remark = |it: jinja::Undefined| {
        format!(
            "{}: template {} line {}: {} is undefined and printed as nothing",
            file.path, it.template, it.line, it.name
        )
    };
    Ok((output, undefined.into_iter().map(remark).collect()))
}
