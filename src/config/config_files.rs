//! `config-files.yaml`, the templates and `vars.yaml`, read and validated; targets do the rendering.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use crate::wire::{ConfigFile, Level, OutputFormat, config_path_taken, config_paths_collide};

use super::checks::mapping;
use super::problems::Problems;
use super::{Config, FoundFile, Note};
use crate::files::no_links;
use crate::yaml::{Node, Value};

/// How deep folders of templates may nest: deep enough for people, and an end to links that lead in circles.
const DEEPEST: usize = 8;

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
    /// `config-files.yaml`, if there is one, takes the place of the repository's.
    ///
    /// # Errors
    /// What is wrong first, with file and line. No error quotes a variable's value.
    pub fn config_files(&self) -> Result<Option<ConfigFiles>> {
        self.config_files_and_notes().map(|(files, _)| files)
    }

    /// The same, with remarks.
    ///
    /// # Errors
    /// The same.
    pub fn config_files_and_notes(&self) -> Result<(Option<ConfigFiles>, Vec<Note>)> {
        let mut problems = Problems::default();
        let files = self.config_files_into(&mut problems);
        let notes = std::mem::take(&mut problems.notes);
        problems.first().and(files).map(|files| (files, notes))
    }

    /// As [`Config::config_files`], noting what is wrong with single files and going on without them.
    ///
    /// # Errors
    /// What is wrong with all of them.
    pub(super) fn config_files_into(&self, problems: &mut Problems) -> Result<Option<ConfigFiles>> {
        if !self.settings.config_deploy {
            return Ok(None);
        }
        let names = ["config-files.yaml", "config-files.yml"];
        let Some(file) = self.folders().iter().find_map(|folder| FoundFile::in_folder(folder, &names, self)) else {
            bail!(
                "config_deploy is on, and there is no {}: create it, or switch config_deploy off",
                self.shown(&self.control.join(names[0]))
            );
        };
        let templates = self.templates()?;
        let mut files = Vec::new();
        let root = self.yaml(&file);
        let root = problems.keep(root.and_then(|root| mapping(&root, &file.shown, "the file").map(<[_]>::to_vec)));
        for (path, body) in root.into_iter().flatten() {
            let read = self.config_file(&path, &body, &file.shown, &templates, problems);
            files.extend(problems.keep(read).flatten());
        }
        problems.keep(self.check_collisions(&files, &file.shown));
        let vars = self.vars(problems);
        Ok(Some(ConfigFiles { files, templates, vars }))
    }

    /// One file cannot be a folder of another.
    fn check_collisions(&self, files: &[ConfigFile], shown: &str) -> Result<()> {
        let settings = &self.settings;
        let paths = files.iter().map(|file| file.path.as_str());
        match config_paths_collide(&settings.git_deploy_dir, &settings.git_repo, paths) {
            Some((file, below)) => bail!("{shown}: {file:?} is in the way of {below:?}: rename one of them"),
            None => Ok(()),
        }
    }

    fn config_file(
        &self,
        path: &Node,
        body: &Node,
        shown: &str,
        templates: &IndexMap<String, String>,
        problems: &mut Problems,
    ) -> Result<Option<ConfigFile>> {
        let before = problems.count();
        let target = path.key_text();
        let relative = target.strip_prefix('/').unwrap_or(target);
        if let Err(why) = plain_path(relative) {
            bail!("{shown}:{}: bad path {target:?}: {why}", path.line);
        }
        let settings = &self.settings;
        if let Some(why) = config_path_taken(&settings.git_deploy_dir, &settings.git_repo, Path::new(target)) {
            bail!("{shown}:{}: bad path {target:?}: that is {why}: choose another one", path.line);
        }
        let mut template: Option<(&str, u64)> = None;
        let mut remote_vars = None;
        let mut erb_syntax = false;
        let mut format = None;
        let mut notes: Vec<Note> = Vec::new();
        for (key, value) in mapping(body, shown, &format!("{target:?}"))? {
            let mut read = || -> Result<()> {
                let place = format!("{shown}:{}: {target}", value.line);
                let text = || match value.text() {
                    Some(text) => Ok(text),
                    None => bail!("{place}: {} is {}: write text", key.key_text(), value.kind()),
                };
                match key.key_text() {
                    "template" => template = Some((text()?, value.line)),
                    "remote_vars" if value.is_null() => {}
                    "remote_vars" => {
                        let path = text()?;
                        match path.strip_prefix('/').map(plain_path) {
                            Some(Ok(())) => remote_vars = Some(path.to_owned()),
                            _ => bail!("{place}: remote_vars {path:?} is not an absolute path without `..`"),
                        }
                    }
                    "erb_syntax" => {
                        erb_syntax = match value.value {
                            Value::Bool(erb) => erb,
                            _ => bail!("{place}: erb_syntax is {}: write true or false", value.kind()),
                        }
                    }
                    "output_format" if value.is_null() => {}
                    "output_format" => {
                        format = Some(match text()? {
                            "yaml" | "yml" => OutputFormat::Yaml,
                            "text" => OutputFormat::Text,
                            other => bail!("{place}: unknown output_format {other:?}: write yaml or text"),
                        });
                    }
                    other => {
                        let what = format!("{shown}:{}: {target}: unknown key {other:?}", key.line);
                        let known = "known are template, remote_vars, erb_syntax, output_format";
                        if !self.is_scaps() {
                            bail!("{what}: {known}");
                        }
                        notes.push((Level::Warning, format!("{what} is ignored: {known}")));
                    }
                }
                Ok(())
            };
            let read = read();
            problems.keep(read);
        }
        problems.notes.append(&mut notes);
        if problems.count() > before {
            return Ok(None);
        }
        let Some((template, line)) = template else {
            bail!("{shown}:{}: {target} has no template: write `template: NAME`", path.line);
        };
        if let Err(why) = plain_path(template) {
            bail!("{shown}:{line}: {target}: bad template name {template:?}: {why}");
        }
        if !templates.contains_key(template) {
            let places = self.folders().into_iter().map(|folder| folder.join("templates").join(template));
            let unreadable = places.clone().find(|path| path.is_file());
            if let Some(path) = unreadable {
                bail!("{shown}:{line}: {target}: template {} is not UTF-8", self.shown(&path));
            }
            let looked: Vec<_> = places.map(|path| self.shown(&path)).collect();
            bail!("{shown}:{line}: {target}: no template {template:?}: looked for {}", looked.join(" and "));
        }
        let format = format.unwrap_or_else(|| default_format(target));
        let (path, template) = (target.to_owned(), template.to_owned());
        Ok(Some(ConfigFile { path, template, remote_vars, erb_syntax, format }))
    }

    /// Every file below the folders of templates that is text.
    fn templates(&self) -> Result<IndexMap<String, String>> {
        let mut templates = IndexMap::new();
        for folder in self.folders().into_iter().rev() {
            let folder = folder.join("templates");
            if folder.is_dir() {
                self.collect(&folder, "", DEEPEST, &mut templates)
                    .with_context(|| format!("cannot read the templates in {}", self.shown(&folder)))?;
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
        problems.first().map(|()| vars)
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
    fn collect(
        &self,
        folder: &Path,
        prefix: &str,
        deepest: usize,
        templates: &mut IndexMap<String, String>,
    ) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            // A name that is not UTF-8 cannot stand in config-files.yaml.
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let name = format!("{prefix}{name}");
            if path.is_dir() {
                if deepest > 0 {
                    no_links::resolve(self.root_of(&path), &path, &self.shown(&path))?;
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

/// Whether a relative path stays where it is put.
fn plain_path(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Err("it is empty");
    }
    if path.chars().any(char::is_control) {
        return Err("it holds a control character");
    }
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("no part of it may be empty, `.` or `..`");
    }
    Ok(())
}

/// YAML when the file's own name says so, whatever its template's does.
fn default_format(target: &str) -> OutputFormat {
    let name = target.strip_suffix(".j2").unwrap_or(target);
    if name.ends_with(".yaml") || name.ends_with(".yml") { OutputFormat::Yaml } else { OutputFormat::Text }
}
