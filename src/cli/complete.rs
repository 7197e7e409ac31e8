//! What the shells' completion scripts ask: how the last word of a command line may go on.
//!
//! `hoist complete WORD...` gets the words behind the program's name, the last of them unfinished and perhaps empty. It
//! prints one proposal a line, a tab, and what it is. It is called at every Tab: it connects nowhere, and says nothing where
//! something is wrong.

use std::path::Path;

use argh::{ArgsInfo, CommandInfoWithArgs, FlagInfo, FlagInfoKind};

use crate::config::Options;
use crate::invocation::Invocation;
use crate::operation::{Names, WantedResult, deployed, names};
use crate::terminal::Ci;
use crate::timeline::Format;
use crate::wire::Stage;

use super::flags::{HELP, WRAPS};
use super::{Hoist, flags};

/// The word that calls it. It is no command for people, and no help lists it.
pub const COMMAND: &str = "complete";

/// A command that only deployers call, and that would stop a Tab between `deploy` and itself.
const NOT_TYPED: &str = "deploy-local";

/// A proposal, and what it is.
type Proposal = (String, String);

/// The shells that completion scripts are there for, beside nushell.
pub const SHELLS: [&str; 4] = ["bash", "zsh", "fish", "nushell"];

/// The answer to `hoist complete`.
pub fn complete(words: &[String]) -> String {
    let Some((current, before)) = words.split_last() else { return String::new() };
    let proposals = proposals(before, current);
    // What a shell would read as more than a word is not for a command line; git takes `$(reboot)` as a branch's name.
    let plain = |text: &str| text.chars().all(|c| c.is_alphanumeric() || "._-/@+=,:".contains(c));
    let fit = proposals.into_iter().filter(|(word, _)| word.starts_with(current.as_str()) && plain(word));
    fit.map(|(word, about)| if about.is_empty() { format!("{word}\n") } else { format!("{word}\t{about}\n") }).collect()
}

/// The environments of the repository here, or in the folder that `-C` leads to.
pub fn environments(folder: Option<&Path>) -> Vec<String> {
    let Ok(options) = flags::options(None, &[], None) else { return Vec::new() };
    let start = folder.map_or_else(|| options.start.clone(), |folder| options.start.join(folder));
    names(&Options { start, ..options }, Names::Environments)
}

/// What the words so far say.
struct Line {
    hoist: argh::CommandInfoWithArgs,
    /// The place of the command among those of `hoist`.
    command: Option<usize>,
    folders: Vec<String>,
    environment: Option<String>,
    file: Option<String>,
    /// The long name of the flag whose value comes next.
    awaited: Option<String>,
    /// Whether no more flags come.
    only_words: bool,
    /// Whether the line is `hoist help`.
    help: bool,
    /// Whether `--timings` is in it.
    timings: bool,
}

fn proposals(before: &[String], current: &str) -> Vec<Proposal> {
    let line = Line::read(before);
    let Some(command) = line.command() else {
        if line.awaited.is_some() || line.only_words {
            return Vec::new();
        }
        let commands = line.hoist.commands.iter().filter(|it| it.name != NOT_TYPED);
        let commands = commands.map(|it| (it.name.to_owned(), it.command.description.to_owned()));
        if line.help {
            return commands.collect();
        }
        let commands = commands.chain([(HELP.to_owned(), "Show the flags of a command.".to_owned())]);
        return commands.chain(["-C", "--help", "--version"].map(|flag| (flag.to_owned(), String::new()))).collect();
    };
    if let Some(flag) = &line.awaited {
        return line.values(flag, current);
    }
    if let (false, Some((flag, value))) = (line.only_words, current.split_once('='))
        && let Some(name) = flag.strip_prefix("--")
    {
        let values = line.values(name, value);
        return values.into_iter().map(|(value, about)| (format!("{flag}={value}"), about)).collect();
    }
    if !line.only_words && current.starts_with('-') {
        let flags = command.flags.iter().flat_map(|flag| {
            let long = format!("--{}", long(flag));
            let short = flag.short.map(|letter| format!("-{letter}"));
            short.into_iter().chain([long]).map(|name| (name, flag.description.to_owned()))
        });
        return flags.chain([("-C".to_owned(), "run in this directory".to_owned())]).collect();
    }
    command.positionals.last().map(|it| line.words(it.name, current)).unwrap_or_default()
}

impl Line {
    fn read(words: &[String]) -> Line {
        let hoist = Hoist::get_args_info();
        let (folders, environment, file) = (Vec::new(), None, None);
        let mut line = Line {
            hoist,
            command: None,
            folders,
            environment,
            file,
            awaited: None,
            only_words: false,
            help: false,
            timings: false,
        };
        for word in words {
            if let Some(flag) = line.awaited.take() {
                line.take(&flag, word);
            } else if line.only_words {
                continue;
            } else if let Some(letters) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
                match letters.strip_prefix('-') {
                    Some("") => line.only_words = true,
                    Some("timings") => line.timings = true,
                    Some(long) => match long.split_once('=') {
                        Some((name, value)) => line.take(name, value),
                        None => line.awaited = line.takes_value(|flag| self::long(flag) == long),
                    },
                    None => line.cluster(letters),
                }
            } else if word == HELP && line.command.is_none() && !line.help {
                line.help = true;
            } else if line.command.is_none() {
                line.command = line.hoist.commands.iter().position(|command| command.name == word);
                // What follows an unknown command is unknown too.
                line.only_words = line.command.is_none();
            } else {
                line.only_words = line.command.is_some_and(|at| WRAPS.contains(&line.hoist.commands[at].name));
            }
        }
        line
    }

    fn command(&self) -> Option<&CommandInfoWithArgs> {
        self.command.map(|place| &self.hoist.commands[place].command)
    }

    /// Whether the command has this name.
    fn is_of(&self, name: &str) -> bool {
        self.command.is_some_and(|place| self.hoist.commands[place].name == name)
    }

    /// Letters behind one dash, of which the last may take the rest, or the next word.
    fn cluster(&mut self, letters: &str) {
        for (place, letter) in letters.char_indices() {
            let value = letters[place + letter.len_utf8()..].to_owned();
            let flag = match letter {
                'C' => Some("C".to_owned()),
                _ => self.takes_value(|flag| flag.short == Some(letter)),
            };
            match flag {
                Some(flag) if value.is_empty() => self.awaited = Some(flag),
                Some(flag) => self.take(&flag, value.trim_start_matches('=')),
                None => continue,
            }
            return;
        }
    }

    /// The long name of a flag of the command that takes a value.
    fn takes_value(&self, wanted: impl Fn(&FlagInfo) -> bool) -> Option<String> {
        let flag = self.command()?.flags.iter().find(|flag| wanted(flag))?;
        matches!(flag.kind, FlagInfoKind::Option { .. }).then(|| long(flag).to_owned())
    }

    /// Keeps the values that decide on which configuration is read.
    fn take(&mut self, flag: &str, value: &str) {
        match flag {
            "C" => self.folders.push(value.to_owned()),
            "environment" => self.environment = Some(value.to_owned()),
            "config" => self.file = Some(value.to_owned()),
            _ => {}
        }
    }

    /// Values of a flag.
    fn values(&self, flag: &str, current: &str) -> Vec<Proposal> {
        match flag {
            "limit-hosts" => list(current, self.hosts_and_groups()),
            "groups" => list(current, self.names(Names::Groups, "group")),
            "stages" => list(current, plain(Stage::of_deployment().iter().map(|stage| stage.name()))),
            "rev" | "source" => self.names(Names::Revisions, ""),
            "to" => self.revisions_to_go_back_to(),
            "environment" => self.names(Names::Environments, ""),
            "host" => self.names(Names::Hosts, "host"),
            "result" => list(current, plain(WantedResult::words().iter().map(String::as_str))),
            "define" => {
                let keys = self.names(Names::Keys, "");
                keys.into_iter().map(|(key, about)| (format!("{key}="), about)).collect()
            }
            "format" if self.is_of("report") => plain(Format::ALL.map(Format::name)),
            "format" => plain(["text", "json"]),
            "ci" => plain(Ci::ALL.map(Ci::name)),
            // A file, or something that only the operator knows.
            _ => Vec::new(),
        }
    }

    /// Words that are no flags, by the name of the argument.
    fn words(&self, argument: &str, current: &str) -> Vec<Proposal> {
        match argument {
            // `hoist history --timings` takes a run.
            "host" if self.timings => Vec::new(),
            "host" if self.is_of("history") => self.names(Names::Hosts, "host"),
            "host" => list(current, self.hosts_and_groups()),
            "key" => self.names(Names::Keys, ""),
            "gate" => self.names(Names::Gates, ""),
            "hook" => self.names(Names::Hooks, ""),
            "revision" => self.revisions_to_go_back_to(),
            "shell" => plain(SHELLS),
            _ => Vec::new(),
        }
    }

    fn hosts_and_groups(&self) -> Vec<Proposal> {
        let mut all = self.names(Names::Hosts, "host");
        all.extend(self.names(Names::Groups, "group"));
        all
    }

    fn revisions_to_go_back_to(&self) -> Vec<Proposal> {
        let mut all = self.options().map(|options| deployed(&options)).unwrap_or_default();
        all.extend(self.names(Names::Revisions, ""));
        all
    }

    fn names(&self, kind: Names, about: &str) -> Vec<Proposal> {
        let names = self.options().map(|options| names(&options, kind)).unwrap_or_default();
        names.into_iter().map(|name| (name, about.to_owned())).collect()
    }

    /// What the configuration is read by.
    fn options(&self) -> Option<Options> {
        let options = flags::options(self.file.as_deref(), &[], self.environment.as_deref()).ok()?;
        let folder = self.folders.iter().fold(options.start.clone(), |folder, next| folder.join(next));
        let config_file = options.invocation.config_file.map(|file| folder.join(file));
        let invocation = Invocation { config_file, ..options.invocation };
        Some(Options { start: folder, invocation, offline: true, ..options })
    }
}

/// The items of a list that is separated by commas: each stands behind what was typed before it.
fn list(current: &str, items: Vec<Proposal>) -> Vec<Proposal> {
    let before = current.rfind(',').map_or("", |place| &current[..=place]);
    items.into_iter().map(|(item, about)| (format!("{before}{item}"), about)).collect()
}

fn plain<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<Proposal> {
    words.into_iter().map(|word| (word.to_owned(), String::new())).collect()
}

fn long<'a>(flag: &FlagInfo<'a>) -> &'a str {
    flag.long.trim_start_matches('-')
}
