//! The configuration: layered INI files, typed settings, where each value came from, checks and configuration files.

mod addresses;
pub mod algorithms;
mod authority;
mod build;
mod check;
mod checks;
mod config_files;
mod control_files;
mod endpoint;
mod entries;
mod explain;
mod file_access;
mod gates;
mod groups;
mod here;
mod hooks;
pub(crate) mod ini;
pub mod keys;
mod layers;
mod options;
mod problems;
mod rate;
mod remarks;
pub mod scap_keys;
mod settings;
mod settings_reader;
mod shared_paths;
mod size;
mod sources;
mod steps;
mod subdir;
mod undefined;
pub(crate) mod values;

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use crate::files::no_links;
use crate::invocation::Invocation;
use crate::problem::Problem;
use crate::targets::{SYSTEM_FOLDER, Target};
use crate::wire::Level;
use crate::yaml;

pub use build::Build;
pub use check::{Checked, Counts, check};
pub use config_files::ConfigFiles;
pub use control_files::ControlFile;
pub use explain::{Explained, UNSET};
pub use gates::doubts as gate_doubts;
pub use layers::Origin;
pub use options::{Options, Patience};
pub use settings::{FetchFrom, GroupSettings, HostKeyChecking, Settings, SshAgent, SshConfig};

use layers::{ConfigEntry, Layers};
use problems::Problems;
use sources::Sources;

/// A remark for the operator, and how much it weighs.
pub type Note = (Level, String);

/// The folders of a repository that may hold its configuration, in order of preference.
const CONTROL: [&str; 2] = ["hoist", "scap"];

/// Keys that keep deployments from an operator alone.
const PROTECTED: [&str; 4] = ["required_signatures", "allowed_signers", "revoked_signers", "require_signed_revision"];

/// How long Scap waits for a lock.
const SCAPS_LOCK_TIMEOUT: Duration = Duration::from_secs(600);

/// A repository's configuration, read and validated.
#[derive(Debug, Clone)]
pub struct Config {
    /// The top of the git working tree.
    pub top: PathBuf,
    /// `top/hoist` or `top/scap`.
    pub control: PathBuf,
    /// `hoist` or `scap`.
    pub control_name: String,
    pub environment: Option<String>,
    pub settings: Settings,
    /// Remarks for the operator.
    pub notes: Vec<Note>,
    /// The flags that the configuration was asked for with, without passwords.
    pub invocation: Invocation,
    /// The `git_server` that is set and not fetched from.
    spared_server: Option<String>,
    /// The configuration file that was read for the repository; `None`: there was none, and it was optional.
    file: Option<PathBuf>,
    layers: Layers,
    /// Hooks that are told nothing.
    forgone_hooks: Vec<String>,
    patience: Option<Patience>,
    is_offline: bool,
    sources: Arc<Sources>,
    /// Targets that groups have besides those that are listed.
    kept_targets: Vec<(String, Target)>,
}

impl Config {
    /// Finds, reads and validates the configuration of the repository around `options.start`. Target files, checks and
    /// configuration files are read later, by their own methods.
    ///
    /// # Errors
    /// One line, or a chain of causes, that names the file, line and key and says what to do.
    pub fn load(options: &Options) -> Result<Config> {
        Config::load_on(options, &layers::this_host())
    }

    /// As [`Config::load`], on a host of this fully qualified name.
    fn load_on(options: &Options, host: &impl Deref<Target = String>) -> Result<Config> {
        let mut problems = Problems::default();
        let config = Config::load_into(options, host, &mut problems)?;
        let (config, notes) = problems.settle(config)?;
        Ok(Config { notes, ..config })
    }

    /// As [`Config::load_on`], noting what is wrong and going on without it.
    ///
    /// # Errors
    /// When there is nothing to go on with.
    fn load_into(
        options: &Options,
        host: &impl Deref<Target = String>,
        problems: &mut Problems,
    ) -> Result<Config, Problem> {
        let top = match working_tree(&options.start) {
            Err(_) if options.repo_optional => options.start.clone(),
            found => found?,
        };
        let shown = |path: &Path| shown_below(&top, path);
        let (control, file) = match control_of(&top, options) {
            Err(_) if options.repo_optional && options.invocation.config_file.is_none() => (top.join(CONTROL[0]), None),
            found => found.map(|(control, file)| (control, Some(file)))?,
        };
        if control.starts_with(&top) && !options.repo_optional {
            no_links::resolve(&top, &control, &shown(&control))?;
        }
        let control_name = control.strip_prefix(&top).unwrap_or(&control).display().to_string();
        let mut layers = Layers::of_scaps(control_name == "scap");
        if let Some(global) = global_file(options.global_file.as_deref()) {
            layers.absorb(ini::read_into(&global, &global.display().to_string(), problems)?, host, problems);
        }
        let of_host = layers.entries.clone();
        if let Some(file) = &file {
            // What the command line names is the operator's own word.
            if options.invocation.config_file.is_none() {
                no_links::resolve(&top, file, &shown(file))?;
            }
            layers.absorb(ini::read_into(file, &shown(file), problems)?, host, problems);
        }

        // The environment's own file cannot change the environment, but a definition can choose it.
        let mut before = layers.clone();
        problems.keep(before.define(&options.invocation.defines));
        let mut chosen = match &options.invocation.environment {
            Some(name) => Some(ConfigEntry { value: name.clone(), origin: Origin::Flag("-e") }),
            None => before.entries.get("environment").filter(|entry| !entry.value.is_empty()).cloned(),
        };
        if let Some(entry) = &chosen {
            let name = if control_name == "scap" { "scap.cfg" } else { "hoist.cfg" };
            match problems.keep(environment_folder(&control, entry, &shown)) {
                None => chosen = None,
                Some(folder) if folder.join(name).exists() => {
                    let file = folder.join(name);
                    let root = if control.starts_with(&top) { &top } else { &control };
                    no_links::resolve(root, &file, &shown(&file))?;
                    layers.absorb(ini::read_into(&file, &shown(&file), problems)?, host, problems);
                }
                Some(_) => {}
            }
        }
        // What is wrong with a definition was noted above.
        let _ = layers.define(&options.invocation.defines);
        layers.protect(&PROTECTED, &of_host, problems);
        match &chosen {
            Some(entry) => layers.entries.insert("environment".into(), entry.clone()),
            None => layers.entries.remove("environment"),
        };
        let mut settings = Settings::read_into(&layers, options.repo_optional, problems)?;
        let spared_server = settings.git_server.take_if(|server| match settings.fetch_from {
            FetchFrom::Server => false,
            FetchFrom::Session => true,
            // What /etc/scap.cfg says is about how Scap brings code; from here it is here already.
            FetchFrom::Auto => layers.scaps && here::is_here(server, host),
        });
        let environment = chosen.map(|entry| entry.value);
        if let Some(server) = spared_server.as_ref().filter(|_| settings.fetch_from == FetchFrom::Auto) {
            let server = crate::url::masked(server);
            let why = format!("git_server {server} is this host: code comes through the SSH session (fetch_from)");
            problems.push(Problem::new(why).about("git_server").remark(Level::Info));
        }
        let notes = Vec::new();
        let defines = addresses::kept_defines(&options.invocation.defines, &settings.git_scheme);
        let invocation = Invocation { defines, ..options.invocation.clone() };
        let config = Config {
            top,
            control,
            control_name,
            environment,
            settings,
            notes,
            invocation,
            spared_server,
            file,
            layers,
            forgone_hooks: Vec::new(),
            patience: options.patience,
            is_offline: options.offline,
            sources: Arc::default(),
            kept_targets: Vec::new(),
        };
        config.remark_into(problems);
        Ok(config)
    }

    /// Whether this key is set to something, and not left to its default.
    pub fn sets(&self, key: &str) -> bool {
        self.layers.get(key).is_some_and(|entry| !entry.value.is_empty())
    }

    /// Where this key was set, as messages name it.
    pub fn place_of(&self, key: &str) -> String {
        self.layers.get(key).map(|entry| entry.origin.to_string()).unwrap_or_default()
    }

    /// Has a hook told nothing.
    pub fn forgo_hook(&mut self, name: &str) {
        self.forgone_hooks.push(name.to_owned());
    }

    /// The hooks that are told nothing.
    pub fn forgone_hooks(&self) -> &[String] {
        &self.forgone_hooks
    }

    /// The git server of this repository, whether targets fetch from it or not.
    pub fn git_server(&self) -> Option<&str> {
        self.settings.git_server.as_deref().or(self.spared_server.as_deref())
    }

    /// Whether there is a configuration file beside the global one.
    pub fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// Whether keys that carry this group's name (in lower case) are read: the group `default` has the bare ones.
    fn reads_group_keys(&self, group: &str) -> bool {
        let named = |name: &String| name != "default" && name.to_lowercase() == group;
        self.settings.server_groups.iter().any(named)
    }

    /// Whether a check may name this group: it is deployed to now, or has a target file and so may be another time.
    fn knows_group(&self, name: &str) -> bool {
        self.settings.server_groups.iter().any(|group| group == name)
            || GroupSettings::source_keys(name).any(|key| self.layers.get(&key).is_some())
    }

    /// Where a section that is not for this host has this group.
    fn group_elsewhere(&self, name: &str) -> Option<Origin> {
        let keys: Vec<String> = GroupSettings::source_keys(name).collect();
        self.layers.any_section(|item| {
            keys.contains(&item.key) || (item.key == "server_groups" && values::list(&item.value).contains(&name))
        })
    }

    /// Whether the repository is laid out for Scap, whose readers are more lenient than Hoist's.
    pub fn is_scaps(&self) -> bool {
        self.layers.scaps
    }

    /// Whether Scap, too, can deploy this repository: it finds its own configuration there, whichever Hoist reads.
    pub fn is_known_to_scap(&self) -> bool {
        self.is_scaps() || self.top.join("scap/scap.cfg").is_file()
    }

    /// How long to wait for a lock on the deploy host. Scap waits where it meets another one, and so does Hoist in a
    /// repository of Scap's.
    pub fn patience(&self) -> Patience {
        let usual = || if self.is_scaps() { SCAPS_LOCK_TIMEOUT } else { Duration::ZERO };
        let time = || self.settings.lock_timeout.unwrap_or_else(usual);
        self.patience.unwrap_or_else(|| Patience { time: time(), says: "lock_timeout" })
    }

    /// The folders that hold the configuration's other files, the one that wins first: the environment's, then the
    /// repository's.
    fn folders(&self) -> Vec<PathBuf> {
        let environment = self.environment.iter().map(|name| self.control.join("environments").join(name));
        environment.chain([self.control.clone()]).collect()
    }

    /// Reads a YAML file of the configuration.
    fn yaml(&self, file: &FoundFile) -> Result<yaml::Node, Problem> {
        yaml::parse(&no_links::read(self.root_of(&file.path), &file.path, &file.shown)?, &file.shown)
    }

    /// The folder that links of this file may not lead out of: the working tree's, or that of control files elsewhere.
    fn root_of(&self, path: &Path) -> &Path {
        if path.starts_with(&self.top) { &self.top } else { &self.control }
    }

    /// Fails when a target file is no file, or a link that leads out of the repository. Files that repositories share are the
    /// system's, and an absolute name is the operator's own word.
    fn check_target_file(&self, name: &str, path: &Path) -> Result<(), Problem> {
        if let Ok(meta) = path.metadata().as_ref()
            && !meta.is_dir()
        {
            no_links::check_kind(meta, &self.shown(path))?;
        }
        let shared = path.canonicalize().is_ok_and(|real| real.starts_with(SYSTEM_FOLDER));
        if shared || path.starts_with(SYSTEM_FOLDER) || Path::new(name).is_absolute() {
            return Ok(());
        }
        self.in_repository(path)
    }

    /// Fails when a file of the configuration is a link that leads out of the repository.
    fn in_repository(&self, path: &Path) -> Result<(), Problem> {
        no_links::resolve(self.root_of(path), path, &self.shown(path)).map(drop)
    }

    /// The configuration file of the repository, as messages name it.
    fn shown_file(&self) -> Option<String> {
        self.file.as_deref().map(|file| self.shown(file))
    }

    /// A path as messages name it: from the top of the working tree when it is below that.
    fn shown(&self, path: &Path) -> String {
        shown_below(&self.top, path)
    }
}

/// A file that is there.
struct FoundFile {
    path: PathBuf,
    /// As messages name it.
    shown: String,
}

impl FoundFile {
    /// The first of `names` that `folder` has.
    fn in_folder(folder: &Path, names: &[&str], config: &Config) -> Option<FoundFile> {
        let path = names.iter().map(|name| folder.join(name)).find(|path| path.exists())?;
        Some(FoundFile { shown: config.shown(&path), path })
    }
}

fn shown_below(top: &Path, path: &Path) -> String {
    path.strip_prefix(top).unwrap_or(path).display().to_string()
}

/// The top of the working tree around `start`: the folder at or above it that holds `.git`.
///
/// # Errors
/// There is none.
pub fn working_tree(start: &Path) -> Result<PathBuf, Problem> {
    let start = canonical(if start.as_os_str().is_empty() { Path::new(".") } else { start })?;
    if let Some(top) = start.ancestors().find(|folder| folder.join(".git").exists()) {
        return Ok(top.to_owned());
    }
    let bare = start.ancestors().any(|folder| folder.join("HEAD").is_file() && folder.join("objects").is_dir());
    let start = start.display();
    Err(Problem::new(match bare {
        true => format!("{start} is in a bare repository, which has no working tree: run hoist in a clone of it"),
        false => format!(
            "not a git repository: neither {start} nor a directory above it contains .git: run hoist inside the \
             repository"
        ),
    }))
}

fn canonical(path: &Path) -> Result<PathBuf, Problem> {
    path.canonicalize().map_err(|error| Problem::cannot_read(&path.display().to_string(), &error))
}

/// The folder with the repository's control files, and the configuration file.
fn control_of(top: &Path, options: &Options) -> Result<(PathBuf, PathBuf), Problem> {
    let own = |name: &str| top.join(name).join(format!("{name}.cfg"));
    let configured = CONTROL.into_iter().find(|name| own(name).is_file());
    let Some(replaced) = &options.invocation.config_file else {
        // It has none of the flags that say which configuration is meant.
        let init = Invocation { folder: options.invocation.folder.clone(), ..Invocation::default() }.command("init");
        return match configured {
            Some(name) => Ok((top.join(name), own(name))),
            None => Err(Problem::new(format!(
                "no configuration: neither hoist/hoist.cfg nor scap/scap.cfg is in {}: `{init}` writes a first one",
                top.display()
            ))),
        };
    };
    if let Ok(meta) = replaced.metadata() {
        no_links::check_kind(&meta, &replaced.display().to_string())?;
    }
    let file = canonical(replaced)?;
    let folder = configured.or_else(|| CONTROL.into_iter().find(|name| top.join(name).is_dir()));
    let folder = match (folder, file.parent()) {
        (Some(name), _) => top.join(name),
        (None, Some(parent)) => parent.to_owned(),
        (None, None) => top.to_owned(),
    };
    Ok((folder, file))
}

/// The global configuration file of this host: the one that the environment names, or the usual one if it exists.
pub fn global_file(named: Option<&Path>) -> Option<PathBuf> {
    let usual = || CONTROL.map(|name| PathBuf::from(format!("/etc/{name}.cfg"))).into_iter().find(|path| path.exists());
    named.map(Path::to_owned).or_else(usual)
}

/// The folder of the chosen environment.
fn environment_folder(
    control: &Path,
    chosen: &ConfigEntry,
    shown: &dyn Fn(&Path) -> String,
) -> Result<PathBuf, Problem> {
    let folders = control.join("environments");
    let name = values::name(&chosen.value).map_err(|why| chosen.mistake("environment", &why))?;
    if folders.join(&name).is_dir() {
        return Ok(folders.join(name));
    }
    let mut there: Vec<String> = std::fs::read_dir(&folders)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| values::name(name).is_ok())
        .collect();
    there.sort();
    let meant = match there.as_slice() {
        [] => ": there is none".to_owned(),
        there => crate::text::meant_or_known(&name, "environments", there),
    };
    let why = format!("{name:?} has no directory {}{meant}", shown(&folders.join(&name)));
    Err(match chosen.origin {
        // It may be the environment of a run that is resumed, which nobody named now.
        Origin::Flag(_) => Problem::new(format!("the environment {why}")).about("environment"),
        _ => chosen.mistake("environment", &why),
    })
}

#[cfg(test)]
mod tests;
