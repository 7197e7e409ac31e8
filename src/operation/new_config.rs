//! A first configuration for a repository that has none.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::config;
use crate::config::Options;
use crate::targets::Target;

use super::Refused;

/// What the first configuration is made of.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// `git_repo`; `None`: the name of the working tree's folder.
    pub repo: Option<String>,
    pub hosts: Vec<Target>,
    /// The hosts that are deployed to first; they need not be in `hosts`.
    pub canaries: Vec<Target>,
    pub user: Option<String>,
    pub service: Option<String>,
    /// A command that tells on each host whether the new process works.
    pub check: Option<String>,
}

/// What was written, in paths from the top of the working tree.
#[derive(Debug)]
pub struct Written {
    pub files: Vec<String>,
}

/// The top of the working tree, where it has no configuration yet.
///
/// # Errors
/// There is no working tree, or it has a configuration.
pub fn unconfigured(options: &Options) -> Result<PathBuf, Refused> {
    let top = config::working_tree(&options.start)?;
    for name in ["hoist/hoist.cfg", "scap/scap.cfg"] {
        if top.join(name).symlink_metadata().is_ok() {
            return Err(Refused::new(format!(
                "{name} already exists and was not changed: `{}` shows mistakes in it, and `{}` what a deployment \
                 would do",
                options.invocation.command("check-config"),
                options.invocation.command("plan")
            )));
        }
    }
    Ok(top)
}

/// Writes the files of a first configuration, and reads them as `hoist check-config` does. No file is overwritten, and
/// none is left behind when there is a mistake in what was answered.
pub fn new_config(options: &Options, answers: &Answers) -> Result<Written, Refused> {
    let top = unconfigured(options)?;
    let files = files(&top, answers)?;
    let folder = top.join("hoist");
    let mut new = New::default();
    if !new.folder(&folder)? {
        if !folder.symlink_metadata().is_ok_and(|it| it.is_dir()) {
            return Err(Refused::new(
                "hoist is not a directory: move it away, since the configuration goes into a \
                 directory of this name",
            ));
        }
        if let Some((taken, _)) = files.iter().find(|(name, _)| folder.join(name).symlink_metadata().is_ok()) {
            return Err(Refused::new(format!(
                "hoist/{taken} already exists: move it away, or write the other files by hand"
            )));
        }
    }
    for (name, text) in &files {
        new.file(&folder.join(name), text)?;
    }
    let checked = config::check(options, &|_| Vec::new())?;
    if !checked.mistakes.is_empty() {
        let mistakes: Vec<String> = checked.mistakes.iter().map(ToString::to_string).collect();
        return Err(Refused::new(format!("nothing was written: {}", mistakes.join("; "))));
    }
    new.keep();
    Ok(Written { files: files.into_iter().map(|(name, _)| format!("hoist/{name}")).collect() })
}

/// The names of the files, below `hoist/`, and what they hold.
fn files(top: &Path, answers: &Answers) -> Result<Vec<(&'static str, String)>, Refused> {
    let folder = top.file_name().map(|name| name.to_string_lossy().into_owned());
    let repo = answers.repo.clone().or(folder).unwrap_or_default();
    let rest: Vec<&Target> = answers.hosts.iter().filter(|host| !answers.canaries.contains(host)).collect();
    if rest.is_empty() {
        return Err(Refused::Usage(match answers.hosts.is_empty() {
            true => "no hosts are given".into(),
            false => "every host is a canary: also name hosts that are deployed after the canaries".into(),
        }));
    }
    let mut keys = vec![("git_repo", repo.as_str())];
    keys.extend(answers.user.as_deref().map(|user| ("ssh_user", user)));
    if !answers.canaries.is_empty() {
        keys.extend([("server_groups", "canary, default"), ("canary_dsh_targets", "canary")]);
    }
    keys.push(("dsh_targets", "targets"));
    keys.extend(answers.service.as_deref().map(|service| ("service_name", service)));
    let mut text = "# How Hoist deploys this repository. hoist.cfg(5) describes every key.\n[global]\n".to_owned();
    for (key, value) in keys {
        if value.chars().any(char::is_control) {
            return Err(Refused::new(format!("{key}: {value:?} contains a control character")));
        }
        text += &format!("{key}: {value}\n");
    }
    text += "# How many hosts of a group may fail before the whole deployment is rolled back.\n# failure_limit: 10%\n";
    let list = |hosts: &[&Target]| hosts.iter().map(|host| format!("{host}\n")).collect::<String>();
    let mut files = vec![("hoist.cfg", text), ("targets", format!("# One host per line.\n{}", list(&rest)))];
    if !answers.canaries.is_empty() {
        let canaries: Vec<&Target> = answers.canaries.iter().collect();
        files.push(("canary", format!("# These are deployed to first.\n{}", list(&canaries))));
    }
    files.push(("checks.yaml", checks(answers.check.as_deref())));
    Ok(files)
}

fn checks(command: Option<&str>) -> String {
    let head = "# Runs on each host after the service has been restarted.\n";
    let mark = if command.is_some() { "" } else { "# " };
    let command = command.unwrap_or("curl -fsS --max-time 2 http://localhost:8080/");
    // A string of JSON is one of YAML.
    let command = serde_json::Value::from(command);
    let lines =
        ["checks:", "  answers:", "    stage: restart_service", &format!("    command: {command}"), "    within: 30"];
    head.to_owned() + &lines.map(|line| format!("{mark}{line}\n")).concat()
}

/// What was made, which is taken away again unless it is kept.
#[derive(Default)]
struct New {
    folder: Option<PathBuf>,
    files: Vec<PathBuf>,
}

impl New {
    /// Makes a folder; whether it was not there.
    fn folder(&mut self, path: &Path) -> Result<bool, Refused> {
        match fs::create_dir(path) {
            Ok(()) => self.folder = Some(path.to_owned()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
            Err(error) => return Err(cannot_write(path, &error)),
        }
        Ok(true)
    }

    /// Makes a file, which must not be there.
    fn file(&mut self, path: &Path, text: &str) -> Result<(), Refused> {
        let mut file = fs::File::create_new(path).map_err(|error| cannot_write(path, &error))?;
        self.files.push(path.to_owned());
        file.write_all(text.as_bytes()).map_err(|error| cannot_write(path, &error))
    }

    fn keep(mut self) {
        self.files.clear();
        self.folder = None;
    }
}

impl Drop for New {
    fn drop(&mut self) {
        for path in &self.files {
            let _ = fs::remove_file(path);
        }
        if let Some(folder) = &self.folder {
            let _ = fs::remove_dir(folder);
        }
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Refused {
    Refused::new(format!("cannot write {}: {error}", path.display()))
}
