//! `config-files.yaml`, the templates and `vars.yaml`, read and validated; targets do the rendering.

use std::fs;
use std::path::Path;

use anyhow::Result;
use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use crate::files::no_links;
use crate::paths::{check_relative, is_plain_relative};
use crate::problem::Problem;
use crate::wire::{ConfigFile, OutputFormat, config_path_taken, config_paths_collide};
use crate::yaml::Node;

use super::entries::{Entry, Field, mapping};
use super::file_access;
use super::problems::Problems;
use super::{Config, FoundFile, Note};

/// How deep folders of templates may nest: deep enough for people, and an end to links that lead in circles.
const DEEPEST: usize = 8;

/// What an entry of `config-files.yaml` may hold.
const KEYS: &[&str] = &["template", "remote_vars", "erb_syntax", "output_format", "mode", "owner", "group", "secret"];

/// The texts of templates by name.
type Templates = IndexMap<String, String>;

/// What targets need for rendering.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigFiles {
    /// In the order of the file.
    pub files: Vec<ConfigFile>,
    /// The texts of all templates by name, sorted; the environment's win over the repository's.
    pub templates: IndexMap<String, String>,
    /// `vars.yaml`, the environment's keys winning. They may be secret.
    pub vars: Map<String, Json>,
}

impl Config {
    /// The configuration files to render, or `None` when `config_deploy` is off. The environment's
    /// `config-files.yaml`, if there is one, takes the place of the repository's. And remarks on them.
    ///
    /// # Errors
    /// What is wrong first, with file and line. No error quotes a variable's value.
    pub fn config_files(&self) -> Result<(Option<ConfigFiles>, Vec<Note>)> {
        Ok(Problems::settled(|problems| self.config_files_into(problems))?)
    }

    /// As [`Config::config_files`], noting what is wrong and going on without it.
    pub(super) fn config_files_into(&self, problems: &mut Problems) -> Option<ConfigFiles> {
        if !self.settings.config_deploy {
            return None;
        }
        let names = ["config-files.yaml", "config-files.yml"];
        let Some(file) = self.folders().iter().find_map(|folder| FoundFile::in_folder(folder, &names, self)) else {
            let missing = self.shown(&self.control.join(names[0]));
            let why =
                format!("config_deploy is on, but {missing} does not exist: create it, or turn config_deploy off");
            problems.push(Problem::of_file(&missing, why).about("config_deploy"));
            return None;
        };
        if let Some(entry) = self.layers.get("vars_command").filter(|_| self.forgets_secrets()) {
            let why = "Scap, which deploys this repository too, would render its files without these variables: use \
                       remote_vars";
            problems.push(entry.mistake("vars_command", why));
        }
        let templates = self.templates();
        let templates = problems.keep(templates)?;
        let mut files = Vec::new();
        let mut lines = Vec::new();
        let root = self.yaml(&file);
        let root = problems.keep(root.and_then(|root| mapping(&root, &file.shown, "the file").map(<[_]>::to_vec)));
        for (path, body) in root.into_iter().flatten() {
            let read = self.config_file(&path, &body, &file.shown, &templates, problems);
            if let Some(found) = problems.keep(read).flatten() {
                files.push(found);
                lines.push(path.line);
            }
        }
        problems.keep(self.check_collisions(&files, &lines, &file.shown));
        self.shared_paths_against(&files, &file.shown, problems);
        let before = problems.mistakes();
        let vars = self.vars(problems);
        let has_all = problems.mistakes() == before;
        let files = ConfigFiles { files, templates, vars };
        if has_all {
            problems.extend(self.undefined_variables(&files));
        }
        Some(files)
    }

    /// Whether targets have another program render the files, which knows nothing of `vars_command`.
    fn forgets_secrets(&self) -> bool {
        self.is_known_to_scap() && self.settings.vars_command.is_some()
    }

    /// One file cannot be a folder of another.
    fn check_collisions(&self, files: &[ConfigFile], lines: &[usize], shown: &str) -> Result<(), Problem> {
        let settings = &self.settings;
        let paths = files.iter().map(|file| file.path.as_str());
        let Some((file, below)) = config_paths_collide(&settings.git_deploy_dir, &settings.git_repo, paths) else {
            return Ok(());
        };
        let why = format!("{file:?} cannot be both a file and the directory of {below:?}: rename one of them");
        let line = files.iter().position(|it| it.path == file).and_then(|place| lines.get(place));
        Err(Problem { line: line.copied(), ..Problem::of_file(shown, why) })
    }

    /// The path in the working tree of what is written as one below the service's path: it goes live with its revision then.
    fn in_tree<'a>(&self, path: &'a str) -> Option<&'a str> {
        let live = self.settings.git_deploy_dir.join(&self.settings.git_repo);
        let inside = Path::new(path).strip_prefix(live).ok()?.to_str()?;
        (!inside.is_empty()).then_some(inside)
    }

    fn config_file(
        &self,
        path: &Node,
        body: &Node,
        shown: &str,
        templates: &Templates,
        problems: &mut Problems,
    ) -> Result<Option<ConfigFile>, Problem> {
        let written = path.key_text();
        let bad = |why: String| Problem::at(shown, path.line, format!("bad path {written:?}: {why}"));
        let target = self.in_tree(written).unwrap_or(written);
        let relative = target.strip_prefix('/').unwrap_or(target);
        check_relative(relative).map_err(|why| bad(why.into()))?;
        if relative == target && !is_plain_relative(target) {
            return Err(bad("no part of it can begin with `-`, like an option".into()));
        }
        let settings = &self.settings;
        if let Some(why) = config_path_taken(&settings.git_deploy_dir, &settings.git_repo, Path::new(target)) {
            return Err(bad(format!("that is {why}: choose another one")));
        }
        let entry = Entry { file: shown, label: written.to_owned(), line: path.line, known: KEYS };
        let format = default_format(target);
        let mut file = ConfigFile { path: target.to_owned(), format, ..ConfigFile::default() };
        let mut template = None;
        let read = |field: &Field, _: &mut Problems| {
            match field.name() {
                "template" => template = Some((field.text()?.to_owned(), field.line())),
                _ if field.value.is_null() && !["erb_syntax", "secret"].contains(&field.name()) => {}
                "remote_vars" => file.remote_vars = Some(remote_vars_of(field)?),
                "erb_syntax" => file.erb_syntax = field.boolean()?,
                "output_format" => file.format = format_of(field)?,
                "mode" => file.access.mode = Some(file_access::mode(field)?),
                "owner" => file.access.owner = Some(file_access::name(field)?),
                "group" => file.access.group = Some(file_access::name(field)?),
                "secret" => file.secret = field.boolean()?,
                _ => {}
            }
            Ok(())
        };
        if !entry.read(body, self, problems, read)? {
            return Ok(None);
        }
        let Some((template, line)) = template else {
            return Err(entry.itself("has no template: write `template: NAME`"));
        };
        self.template_is_there(&template, &Entry { line, ..entry }, templates)?;
        Ok(Some(ConfigFile { template, ..file }))
    }

    /// Fails unless there is a template of this name.
    fn template_is_there(&self, name: &str, entry: &Entry, templates: &Templates) -> Result<(), Problem> {
        let wrong = |why: String| entry.problem(why).about("template");
        check_relative(name).map_err(|why| wrong(format!("bad template name {name:?}: {why}")))?;
        if templates.contains_key(name) {
            return Ok(());
        }
        let places: Vec<_> = self.folders().into_iter().map(|folder| folder.join("templates").join(name)).collect();
        if let Some(path) = places.iter().find(|path| path.is_file()) {
            return Err(wrong(format!("template {} is not UTF-8", self.shown(path))));
        }
        let looked_for = places.iter().map(|path| self.shown(path)).collect();
        Err(wrong(format!("no template {name:?}")).looked_for(looked_for))
    }

    /// Every file below the folders of templates that is text.
    pub(super) fn templates(&self) -> Result<Templates, Problem> {
        let mut templates = IndexMap::new();
        for folder in self.folders().into_iter().rev() {
            let folder = folder.join("templates");
            if folder.is_dir() {
                self.collect(&folder, "", DEEPEST, &mut templates)?;
            }
        }
        templates.sort_keys();
        Ok(templates)
    }

    /// The template variables alone.
    ///
    /// # Errors
    /// What is wrong first, with file and line.
    pub fn variables(&self) -> Result<Map<String, Json>> {
        let mut problems = Problems::default();
        let vars = self.vars(&mut problems);
        Ok(problems.settle(vars)?.0)
    }

    fn vars(&self, problems: &mut Problems) -> Map<String, Json> {
        let mut vars = Map::new();
        for folder in self.folders().into_iter().rev() {
            let Some(file) = FoundFile::in_folder(&folder, &["vars.yaml", "vars.yml"], self) else { continue };
            let read = self.yaml(&file).and_then(|root| {
                mapping(&root, &file.shown, "the file")?;
                Ok(root.variables())
            });
            vars.extend(problems.keep(read).flatten().into_iter().flatten());
        }
        vars
    }

    /// Reads the files below `folder` into `templates`, by their path below the first one.
    fn collect(&self, folder: &Path, prefix: &str, deepest: usize, templates: &mut Templates) -> Result<(), Problem> {
        let cannot = |error: std::io::Error| {
            let folder = self.shown(folder);
            Problem::of_file(&folder, format!("cannot read the templates in {folder}: {error}"))
        };
        for entry in fs::read_dir(folder).map_err(cannot)? {
            let path = entry.map_err(cannot)?.path();
            // A name that is not UTF-8 cannot stand in config-files.yaml.
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let name = format!("{prefix}{name}");
            if path.is_dir() {
                if deepest > 0 {
                    self.in_repository(&path)?;
                    self.collect(&path, &format!("{name}/"), deepest - 1, templates)?;
                }
            } else if path.is_file() {
                let bytes = no_links::read(self.root_of(&path), &path, &self.shown(&path))?;
                // An image or an editor's leavings are no template; if a configuration file names it, that is told there.
                match String::from_utf8(bytes) {
                    Ok(text) => templates.insert(name, text),
                    Err(_) => templates.shift_remove(&name),
                };
            }
        }
        Ok(())
    }

    /// The file that a template was read from, as messages name it.
    pub fn template_file(&self, name: &str) -> String {
        let places: Vec<_> = self.folders().into_iter().map(|folder| folder.join("templates").join(name)).collect();
        let found = places.iter().find(|path| path.is_file()).or(places.last());
        found.map_or_else(|| name.to_owned(), |path| self.shown(path))
    }
}

/// The file of variables that a target has itself.
fn remote_vars_of(field: &Field) -> Result<String, Problem> {
    let path = field.text()?;
    match path.strip_prefix('/').map(check_relative) {
        Some(Ok(())) => Ok(path.to_owned()),
        _ => Err(field.problem(format!("remote_vars {path:?} is not an absolute path without `..`"))),
    }
}

fn format_of(field: &Field) -> Result<OutputFormat, Problem> {
    match field.text()? {
        "yaml" | "yml" => Ok(OutputFormat::Yaml),
        "text" => Ok(OutputFormat::Text),
        other => Err(field.problem(format!("unknown output_format {other:?}: write yaml or text"))),
    }
}

/// YAML when the file's own name says so, whatever its template's does.
fn default_format(target: &str) -> OutputFormat {
    let name = target.strip_suffix(".j2").unwrap_or(target);
    if name.ends_with(".yaml") || name.ends_with(".yml") { OutputFormat::Yaml } else { OutputFormat::Text }
}
