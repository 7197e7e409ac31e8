//! Whole configurations in temporary repositories.

mod checks;
mod config_files;
mod gates;
mod groups;
mod hooks;
mod keys;
mod layers;
mod shared_paths;

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::{Config, Options};
use crate::wire::Level;

/// A git repository with files in it, and a global file that is empty unless it is written.
struct Repo {
    folder: TempDir,
    options: Options,
    host: String,
}

impl Repo {
    fn new(files: &[(&str, &str)]) -> Repo {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().join("repo");
        fs::create_dir(&top).unwrap();
        assert!(Command::new("git").args(["init", "-q"]).arg(&top).status().unwrap().success());
        let global = folder.path().join("global.cfg");
        fs::write(&global, "").unwrap();
        let options = Options { start: top, global_file: Some(global), ..Options::default() };
        let repo = Repo { folder, options, host: "deploy1.eqiad.wmnet".into() };
        for (path, text) in files {
            repo.write(path, text);
        }
        repo
    }

    /// A repository whose `hoist/hoist.cfg` has these lines below a section and a name.
    fn configured(lines: &str) -> Repo {
        Repo::new(&[("hoist/hoist.cfg", &format!("[global]\ngit_repo: app\n{lines}"))])
    }

    /// A repository with the groups `canary` and `default`, and this file in its control folder.
    fn with_groups(name: &str, text: &str) -> Repo {
        let repo = Repo::configured("server_groups: canary, default\ndsh_targets: all\n");
        repo.write(&format!("hoist/{name}"), text);
        repo
    }

    fn top(&self) -> &Path {
        &self.options.start
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.top().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn global(&self, text: &str) {
        fs::write(self.folder.path().join("global.cfg"), text).unwrap();
    }

    fn define(mut self, define: &str) -> Repo {
        self.options.invocation.defines.push(define.into());
        self
    }

    fn environment(mut self, name: &str) -> Repo {
        self.options.invocation.environment = Some(name.into());
        self
    }

    fn load(&self) -> anyhow::Result<Config> {
        Config::load_on(&self.options, &&self.host)
    }

    fn config(&self) -> Config {
        self.load().unwrap_or_else(|error| panic!("{error:#}"))
    }

    fn error(&self) -> String {
        format!("{:#}", self.load().unwrap_err())
    }

    /// It cannot be read, and the error has these words.
    #[track_caller]
    fn fails(&self, words: &str) {
        let error = self.error();
        assert!(error.contains(words), "{error}");
    }
}

/// The remarks of one level.
fn notes(config: &Config, level: Level) -> Vec<&str> {
    config.notes.iter().filter(|(of, _)| *of == level).map(|(_, note)| note.as_str()).collect()
}

/// The error's whole chain in one line.
fn chain<T>(result: anyhow::Result<T>) -> String {
    match result {
        Ok(_) => panic!("there was no error"),
        Err(error) => format!("{error:#}"),
    }
}

/// Wrong files, in the documents of `documents`: each is refused with its name, the line that has a comment `#!`, and
/// the words of that comment, which the reader does not see.
#[track_caller]
fn told_by_line(file: &str, documents: &str, refusal: impl Fn(&str) -> String) {
    for document in documents.split("---\n") {
        let told = (1..).zip(document.lines()).find_map(|(number, line)| Some((number, line.split_once("  #! ")?.1)));
        let (line, why) = told.unwrap_or_else(|| panic!("no line has `#!`: {document}"));
        let text: String = document.lines().map(|line| line.split("  #! ").next().unwrap().to_owned() + "\n").collect();
        let error = refusal(&text);
        assert!(error.starts_with(&format!("hoist/{file}:{line}: ")) && error.contains(why), "{text}\n{error}");
    }
}
