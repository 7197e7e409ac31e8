//! The variables that a target itself has for its templates.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::procfs;
use crate::wire::{CommandLine, Secrets};
use crate::yaml;

use super::command::by_login_shell;
use crate::local::fault::{Fault, plain};
use crate::local::job::Job;
use crate::local::os::lines::Lines;
use crate::local::os::process;
use crate::local::os::process::{Exit, Feed, Stream};

/// What a command prints may be this long, in bytes.
const PRINTED: usize = 1 << 20;

/// The variables that must not be stored: those of the deployer's `vars_command`, which those of `remote_vars_command` win
/// over.
pub fn secrets(job: &Job) -> Result<Secrets, Fault> {
    let mut secrets = match (&job.secrets, job.request.needs_secrets) {
        (Some(secrets), _) => secrets.clone(),
        (None, false) => Secrets::default(),
        (None, true) => {
            return Err(Fault::failed(
                "the files need variables of vars_command, which only the deploy host has and no target keeps: run `hoist \
                 deploy` or `hoist reconcile` there",
            ));
        }
    };
    if let Some(command) = &job.request.remote_vars_command {
        procfs::stay_private();
        secrets.0.extend(of_command(job, command)?);
    }
    Ok(secrets)
}

/// What the command of this host prints. Its standard error is told when it fails; what it prints is never told.
fn of_command(job: &Job, CommandLine { line, timeout, .. }: &CommandLine) -> Result<Map<String, Value>, Fault> {
    const NAME: &str = "remote_vars_command";
    let mut command = by_login_shell(line);
    command.envs(job.request.drain_environment());
    let (mut printed, mut errors) = (Vec::new(), Lines::new());
    let mut complaints = Vec::new();
    let until = job.deadline.within(Duration::from_secs(*timeout));
    let exit = process::run(&mut command, Feed::Nothing, until, &mut |stream, bytes| match stream {
        Stream::Out if printed.len() <= PRINTED => printed.extend_from_slice(bytes),
        Stream::Out => {}
        Stream::Err => errors.take(stream, bytes, &mut |line: String| complaints.push(line)),
    });
    errors.finish(&mut |line: String| complaints.push(line));
    let exit = exit.map_err(|error| Fault::failed(format!("{NAME}: cannot run the shell: {}", plain(&error))))?;
    if !exit.is_ok() {
        complaints.iter().rev().take(COMPLAINTS).rev().for_each(|line| job.out.warn(format!("{NAME}: {line}")));
        return Err(match exit {
            Exit::TimedOut => Fault::failed(format!("{NAME} did not end within {timeout} s (vars_timeout)")),
            other => Fault::failed(format!("{NAME} {}{}", other.reason(*timeout), errors.last_words())),
        });
    }
    if printed.len() > PRINTED {
        return Err(Fault::failed(format!("{NAME} printed more than {} MiB", PRINTED >> 20)));
    }
    yaml::printed_variables(&printed).map_err(|why| Fault::failed(format!("{NAME} {why}")))
}

/// Lines of its standard error that are told of a command that fails.
const COMPLAINTS: usize = 20;

/// The keys of a YAML file; an empty file has none. An error names the place, never the text: it may be secret.
pub fn variables(path: &Path) -> Result<Map<String, Value>, Fault> {
    let name = path.display().to_string();
    match yaml::read(path, &name).map(|node| node.variables()) {
        Ok(Some(variables)) => Ok(variables),
        Ok(None) => Err(Fault::failed(format!("{name} is not a YAML mapping of variables"))),
        Err(error) => Err(Fault::failed(format!("{error:#}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Map<String, Value>, Fault> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("v.yaml"), text).unwrap();
        variables(&dir.path().join("v.yaml"))
    }

    #[test]
    fn values_keep_their_kinds_and_their_order() {
        let keys = read("---\nport: 80\nname: '80'\nlist: [a, 1.5, null, true]\nmap:\n  z: 1\n  a: 2\n").unwrap();
        assert_eq!(
            serde_json::to_string(&keys).unwrap(),
            r#"{"port":80,"name":"80","list":["a",1.5,null,true],"map":{"z":1,"a":2}}"#
        );
        assert!(read("# nothing\n\n").unwrap().is_empty());
        assert!(read("---\n").unwrap().is_empty());
    }

    #[test]
    fn an_error_names_the_line_and_keeps_the_secret() {
        for text in ["ok: 1\npassword: [hunter2\n", "ok: 1\npassword: \"hunter2\n", "hunter2\n", "- hunter2\n"] {
            let reason = read(text).unwrap_err().reason();
            assert!(!reason.contains("hunter2"), "{reason}");
        }
        assert!(read("ok: 1\nb: c: hunter2\n").unwrap_err().reason().contains(":2:"));
    }
}
