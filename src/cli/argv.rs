//! From the words of the command line to the plain form that argh reads.
//!
//! argh takes a flag's value as the next word only. People also write `--rev=REV`, `-rREV` and `-vy`; this pass turns
//! them into the plain form, asking argh itself which flags there are and which take a value. It also answers `-h`
//! anywhere on the line, takes the beginning of a long flag for the flag if no other begins so, reads the flags that
//! every command has (`-C`, `--json`), and gives every usage error the name of the command whose help to read.

use std::path::{Path, PathBuf};

use argh::{ArgsInfo, CommandInfoWithArgs, EarlyExit, FlagInfoKind, FromArgs};

use crate::invocation::Invocation;
use crate::text::did_you_mean;

use super::ahead::{Ahead, Asked, NO_FOLDER, ambiguous};
use super::flags::{HELP, WRAPS};
use super::version::{version, wanted_format};
use super::{Hoist, complete, other_tools, values};

/// What to do with a command line.
#[derive(Debug)]
pub enum Parsed {
    /// Run this, in the folder that `-C` leads to: each is seen from the one before.
    Command(Box<Hoist>, Vec<PathBuf>),
    /// Print this on standard output and end well.
    Say(String),
    /// Say how the last of these words may go on.
    Complete(Vec<String>),
}

/// Finds the names of the environments in a folder, or here.
pub type Environments = fn(Option<&Path>) -> Vec<String>;

/// A usage error: the sentence, and where help is.
#[derive(Debug, PartialEq, Eq)]
pub struct UsageError(pub String);

/// Reads the words after the program's own name.
pub fn parse(words: Vec<std::ffi::OsString>, environments: Environments) -> Result<Parsed, UsageError> {
    let mut text = Vec::with_capacity(words.len());
    for word in words {
        let word = word.into_string().map_err(|word| UsageError(complaint("", &format!("{word:?} is not UTF-8"))))?;
        text.push(word);
    }
    let of_hoist = |why: &str| UsageError(complaint("", why));
    let ahead = Ahead::take(&mut text).map_err(|why| of_hoist(&why))?;
    match ahead.asked {
        Asked::Command => {}
        Asked::Version => return say_version("", &text),
        Asked::Help => return help(None, environments).map(Parsed::Say).map_err(|why| of_hoist(&why)),
    }
    let place = ahead.words;
    if place == text.len() {
        return Err(of_hoist("a command is missing"));
    }
    let name = text[place].as_str();
    if name == complete::COMMAND {
        return Ok(Parsed::Complete(text.split_off(place + 1)));
    }
    if name == HELP {
        // `hoist help deploy`, and `hoist help --help`, which means the same as `hoist help`.
        let command = text.get(place + 1).map(String::as_str).filter(|word| !word.starts_with('-') && *word != HELP);
        return help(command, environments).map(Parsed::Say).map_err(|why| of_hoist(&why));
    }
    let hoist = Hoist::get_args_info();
    let Some(command) = hoist.commands.iter().find(|command| command.name == name) else {
        return Err(of_hoist(&unknown_command(&text[place..], &ahead.invocation(), environments)));
    };
    let words = [&ahead.flags, &text[place + 1..]].concat();
    let mut reading = Reading { command: &command.command, plain: vec![name.to_owned()], folders: ahead.folders };
    let read = reading.read(WRAPS.contains(&name), &words);
    match read.map_err(|why| UsageError(complaint(name, &why)))? {
        Asked::Help => help(Some(name), environments).map(Parsed::Say).map_err(|why| UsageError(complaint("", &why))),
        Asked::Version => say_version(name, &words),
        Asked::Command => {
            let plain: Vec<&str> = reading.plain.iter().map(String::as_str).collect();
            match from_plain(&plain) {
                Ok(hoist) => Ok(Parsed::Command(hoist, reading.folders)),
                Err((Ok(()), text)) => Ok(Parsed::Say(text)),
                Err((Err(()), why)) => Err(UsageError(complaint(name, &values::refused(why.trim())))),
            }
        }
    }
}

/// What is short for `--format json`.
const JSON: &str = "json";

/// The help of a command, or of hoist itself.
///
/// # Errors
/// There is no such command.
fn help(command: Option<&str>, environments: Environments) -> Result<String, String> {
    let known = |name: &str| Hoist::get_args_info().commands.iter().any(|command| command.name == name);
    let line = match command {
        Some(name) if !known(name) => {
            return Err(unknown_command(&[name.to_owned()], &Invocation::default(), environments));
        }
        Some(name) => vec![name, "--help"],
        None => vec!["--help"],
    };
    match from_plain(&line) {
        Err((_, text)) => Ok(text),
        Ok(_) => Err("there is no help".to_owned()),
    }
}

/// The version, as the words of a command line ask for it.
fn say_version(command: &str, words: &[String]) -> Result<Parsed, UsageError> {
    let format = wanted_format(words).map_err(|why| UsageError(complaint(command, &why)))?;
    Ok(Parsed::Say(version(format)))
}

/// What is said to a command that there is not; `words` begin with it, and `ahead` of it that was said.
fn unknown_command(words: &[String], ahead: &Invocation, environments: Environments) -> String {
    let name = &words[0];
    if let Some(says) = other_tools::command(words) {
        return format!("unknown command {name:?}: {says}");
    }
    let hoist = Hoist::get_args_info();
    if environments(ahead.folder.as_deref()).contains(name) {
        let deploy = ahead.in_environment(Some(name.clone())).command("deploy");
        return format!("unknown command {name:?}: it is the name of an environment: use `{deploy}`");
    }
    let meant = did_you_mean(name, hoist.commands.iter().map(|command| command.name).chain([HELP]));
    format!("unknown command {name:?}{meant}")
}

/// What argh makes of words in plain form: the command, or what it prints instead, and whether that is an error.
fn from_plain(line: &[&str]) -> Result<Box<Hoist>, (Result<(), ()>, String)> {
    Hoist::from_args(&["hoist"], line).map(Box::new).map_err(|EarlyExit { output, status }| (status, output))
}

/// A usage error of a command, with where its help is.
pub fn complaint(command: &str, why: &str) -> String {
    let name = if command.is_empty() { "hoist".to_owned() } else { format!("hoist {command}") };
    format!("{name}: {why}\nsee `{name} --help`")
}

struct Flag {
    takes_value: bool,
    long: String,
    value_name: String,
}

/// The words of a command on their way into plain form.
struct Reading<'a> {
    command: &'a CommandInfoWithArgs,
    plain: Vec<String>,
    folders: Vec<PathBuf>,
}

impl Reading<'_> {
    /// Reads the words behind the command's name. In plain form flags come first, so that a message may stand between
    /// them.
    fn read(&mut self, wraps: bool, words: &[String]) -> Result<Asked, String> {
        let mut positional: Vec<String> = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if wraps && !positional.is_empty() {
                positional.push(word.clone());
            } else if word == "--" {
                positional.extend(words.by_ref().cloned());
            } else if word == "-h" || word == "--help" {
                return Ok(Asked::Help);
            } else if word == "-V" || word == "--version" {
                return Ok(Asked::Version);
            } else if let Some(long) = word.strip_prefix("--") {
                let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
                match (self.long_flag(name)?, value) {
                    (Some(flag), value) => self.push(flag, value, &mut words)?,
                    (None, None) => self.plain.extend(["--format", "json"].map(str::to_owned)),
                    (None, Some(_)) => return Err("--json takes no value".to_owned()),
                }
            } else if word.len() > 1 && word.starts_with('-') {
                if !self.push_cluster(&word[1..], &mut words)? {
                    return Ok(Asked::Help);
                }
            } else {
                positional.push(word.clone());
            }
        }
        if let (Some(first), true) = (positional.first(), self.command.positionals.is_empty()) {
            return Err(self.unexpected(first));
        }
        if !positional.is_empty() {
            self.plain.push("--".to_owned());
            self.plain.append(&mut positional);
        }
        Ok(Asked::Command)
    }

    fn flag(&self, wanted: impl Fn(&str, Option<char>) -> bool) -> Option<Flag> {
        let found = self.command.flags.iter().find(|flag| wanted(flag.long.trim_start_matches('-'), flag.short))?;
        let (takes_value, value_name) = match found.kind {
            FlagInfoKind::Switch => (false, String::new()),
            FlagInfoKind::Option { arg_name } => (true, arg_name.to_owned()),
        };
        Some(Flag { takes_value, long: format!("--{}", found.long.trim_start_matches('-')), value_name })
    }

    fn long_names(&self) -> impl Iterator<Item = &str> {
        self.command.flags.iter().map(|flag| flag.long.trim_start_matches('-'))
    }

    /// The flag of this long name, or the one whose name begins with it. `None`: it is `--json`, which every command with
    /// a `--format` has.
    fn long_flag(&self, name: &str) -> Result<Option<Flag>, String> {
        if let Some(flag) = self.flag(|long, _| long == name) {
            return Ok(Some(flag));
        }
        let json = self.long_names().any(|long| long == "format").then_some(JSON);
        let names = self.long_names().chain(json);
        let meant: Vec<&str> = names.filter(|long| !name.is_empty() && long.starts_with(name)).collect();
        match meant.as_slice() {
            _ if name == JSON && json.is_some() => Ok(None),
            [JSON] => Ok(None),
            [one] => self.flag(|long, _| long == *one).map(Some).ok_or_else(|| self.unknown_flag("--", name)),
            [] => Err(self.unknown_flag("--", name)),
            several => {
                let several: Vec<String> = several.iter().map(|long| format!("--{long}")).collect();
                Err(ambiguous(&format!("--{name}"), &several))
            }
        }
    }

    /// What is said to a flag that the command has not.
    fn unknown_flag(&self, dashes: &str, name: &str) -> String {
        let unknown = format!("unknown flag {dashes}{name}");
        if let Some(says) = other_tools::flag(name, |own| self.long_names().any(|long| long == own)) {
            return format!("{unknown}: {says}");
        }
        let longs: Vec<String> = self.long_names().map(|long| format!("--{long}")).collect();
        let meant = if dashes == "--" { did_you_mean(&format!("--{name}"), longs) } else { String::new() };
        unknown + &meant
    }

    /// What is said to a word where the command takes none.
    fn unexpected(&self, word: &str) -> String {
        let ways = [("rev", "a revision with -r"), ("limit-hosts", "hosts with -l"), ("groups", "groups with -g")];
        let ways: Vec<&str> = ways
            .into_iter()
            .filter(|(flag, _)| self.long_names().any(|long| long == *flag))
            .map(|(_, way)| way)
            .collect();
        let ways = if ways.is_empty() { String::new() } else { format!("; give {}", ways.join(", ")) };
        format!("unexpected argument {word:?}{ways}")
    }

    fn push<'a>(
        &mut self,
        flag: Flag,
        value: Option<&str>,
        rest: &mut impl Iterator<Item = &'a String>,
    ) -> Result<(), String> {
        match (flag.takes_value, value) {
            (false, Some(_)) => return Err(format!("{} takes no value", flag.long)),
            (false, None) => self.plain.push(flag.long),
            (true, Some(value)) => self.plain.extend([flag.long, value.to_owned()]),
            (true, None) => {
                let value = rest.next().ok_or_else(|| format!("{} needs a value: <{}>", flag.long, flag.value_name))?;
                self.plain.extend([flag.long, value.clone()]);
            }
        }
        Ok(())
    }

    /// `-vy`, `-rREV`, `-r=REV`, `-vr REV`. False when it holds `-h`.
    fn push_cluster<'a>(&mut self, cluster: &str, rest: &mut impl Iterator<Item = &'a String>) -> Result<bool, String> {
        for (place, letter) in cluster.char_indices() {
            if letter == 'h' {
                return Ok(false);
            }
            let after = &cluster[place + letter.len_utf8()..];
            if letter == 'C' {
                let folder = if after.is_empty() { rest.next().map(String::as_str) } else { Some(after) };
                self.folders.push(folder.ok_or(NO_FOLDER)?.into());
                return Ok(true);
            }
            let flag = self.flag(|_, short| short == Some(letter));
            let flag = flag.ok_or_else(|| self.unknown_flag("-", &letter.to_string()))?;
            if flag.takes_value {
                let value = (!after.is_empty()).then(|| after.strip_prefix('=').unwrap_or(after));
                self.push(flag, value, rest)?;
                return Ok(true);
            }
            if after.starts_with('=') {
                return Err(format!("-{letter} takes no value"));
            }
            self.push(flag, None, rest)?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::commands::{Command, deploy::Args};

    fn words(line: &[&str]) -> Result<Parsed, UsageError> {
        parse(line.iter().map(Into::into).collect(), complete::environments)
    }

    fn deploy(line: &[&str]) -> Args {
        let Parsed::Command(hoist, _) = words(line).unwrap() else { panic!("{line:?} is no command") };
        let Command::Deploy(deploy) = hoist.command else { panic!("{line:?} is not deploy") };
        deploy
    }

    #[test]
    fn a_value_may_be_the_next_word_or_follow_an_equals_sign_or_the_letter() {
        for line in [["-r", "v2"].as_slice(), &["--rev", "v2"], &["--rev=v2"], &["-rv2"], &["-r=v2"], &["-yr", "v2"]] {
            let line = [&["deploy"], line].concat();
            assert_eq!(deploy(&line).rev.as_deref(), Some("v2"), "{line:?}");
        }
        assert_eq!(deploy(&["deploy", "-D", "a:1", "-Db:2", "--define=c:x=y"]).define, ["a:1", "b:2", "c:x=y"]);
        assert_eq!(deploy(&["deploy", "--rev="]).rev.as_deref(), Some(""));
    }

    #[test]
    fn the_beginning_of_a_long_flag_is_enough_if_no_other_begins_so() {
        let args = deploy(&["deploy", "--conf", "x.cfg", "--lim=web1", "--serv", "--no-log", "-Da:b"]);
        assert_eq!((args.config.as_deref(), args.limit_hosts.as_deref()), (Some("x.cfg"), Some("web1")));
        assert!(args.service_restart && args.no_log_message);
        assert_eq!(deploy(&["deploy", "-c", "x.cfg"]).config.as_deref(), Some("x.cfg"));
        let error = words(&["deploy", "--d"]).unwrap_err().0;
        assert!(error.contains("--d is ambiguous: --dry-run or --define"), "{error}");
        assert!(words(&["deploy", "--=x"]).unwrap_err().0.contains("unknown flag"));
        let Parsed::Say(help) = words(&["deploy", "--hel"]).unwrap() else { panic!("no help") };
        assert!(help.contains("--limit-hosts"), "{help}");
    }

    #[test]
    fn flags_ahead_of_the_command_are_written_as_behind_it() {
        let read = |line: &[&str]| deploy(&[line, &["deploy", "fix"]].concat());
        for line in [
            ["-D", "a:1"].as_slice(),
            &["-Da:1"],
            &["-D=a:1"],
            &["--def", "a:1"],
            &["--define=a:1"],
            &["-vDa:1"],
            &["-yD", "a:1"],
        ] {
            assert_eq!(read(line).define, ["a:1"], "{line:?}");
        }
        assert_eq!(read(&["-Da=b:c", "-cx.cfg"]).define, ["a=b:c"]);
        assert_eq!(read(&["-cx.cfg"]).config.as_deref(), Some("x.cfg"));
        assert_eq!(read(&["-eprod"]).environment.as_deref(), Some("prod"));
        let both = read(&["-qy", "--env=prod"]);
        assert!(both.quiet && both.yes && both.environment.as_deref() == Some("prod"));
        for line in [["--jso", "plan"], ["plan", "--jso"], ["--json", "plan"], ["--form=json", "plan"]] {
            let Parsed::Command(hoist, _) = words(&line).unwrap() else { panic!("no command") };
            let Command::Plan(plan) = hoist.command else { panic!("no plan") };
            assert_eq!(plan.format, crate::cli::show::Format::Json, "{line:?}");
        }
        assert!(matches!(words(&["--vers"]).unwrap(), Parsed::Say(text) if text.starts_with("hoist ")));
        for (line, why) in [
            (["--ver", "plan"].as_slice(), "--ver is ambiguous: --verbose or --version"),
            (&["deploy", "--j"], "--j is ambiguous: --junit or --json"),
            (&["plan", "--json=1"], "--json takes no value"),
            (&["lock", "--jso"], "unknown flag --jso"),
            (&["--nop", "plan"], "unknown flag \"--nop\" before the command"),
        ] {
            let error = words(line).unwrap_err().0;
            assert!(error.contains(why), "{line:?}: {error}");
        }
    }

    #[test]
    fn switches_may_be_written_together_and_words_after_two_dashes_are_the_message() {
        let deploy = deploy(&["deploy", "-vy", "fix", "-f", "the", "--", "--yes"]);
        assert!(deploy.verbose && deploy.yes && deploy.force);
        assert_eq!(deploy.words, ["fix", "the", "--yes"]);
    }

    #[test]
    fn help_is_given_wherever_it_is_asked_for() {
        for line in [["-h"].as_slice(), &["--help"], &["-C", "x", "-h"], &["help"], &["help", "-h"]] {
            let Parsed::Say(text) = words(line).unwrap() else { panic!("{line:?}") };
            assert!(text.contains("deploy-local"), "{text}");
        }
        for line in [["deploy", "-h"].as_slice(), &["deploy", "-r", "x", "--help"], &["deploy", "-vh"]] {
            let Parsed::Say(text) = words(line).unwrap() else { panic!("{line:?}") };
            assert!(text.contains(&format!("Usage: hoist {}", line[0])), "{text}");
        }
        assert!(help(Some("deploy"), complete::environments).unwrap().contains("--limit-hosts"));
        assert_eq!(
            help(Some("deplyo"), complete::environments).unwrap_err(),
            "unknown command \"deplyo\": did you mean \"deploy\"?"
        );
    }

    #[test]
    fn the_flags_of_every_command_may_stand_ahead_of_it_and_behind_it() {
        let folders = |line: &[&str]| match words(line).unwrap() {
            Parsed::Command(_, folders) => folders.iter().map(|it| it.display().to_string()).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(folders(&["-C", "a", "-Cb", "plan", "-C", "c", "-Cd"]), ["a", "b", "c", "d"]);
        assert_eq!(folders(&["deploy", "-vC", "a", "-r", "-C"]), ["a"]);
        // What stands behind it is the other program's.
        assert_eq!(folders(&["run", "make", "-C", "a"]), [""; 0]);
        for line in [&["-C"][..], &["plan", "-C"]] {
            assert!(words(line).unwrap_err().0.contains("-C needs a value: <directory>"));
        }
        assert!(matches!(words(&["plan", "-V"]).unwrap(), Parsed::Say(text) if text.starts_with("hoist ")));
        let Parsed::Command(hoist, _) = words(&["plan", "--json"]).unwrap() else { panic!("no command") };
        let Command::Plan(plan) = hoist.command else { panic!("no plan") };
        assert_eq!(plan.format, crate::cli::show::Format::Json);
    }

    #[test]
    fn a_usage_error_says_which_help_to_read() {
        for (line, why) in [
            (["deploy", "--nope"].as_slice(), "unknown flag --nope"),
            (&["deploy", "-Z"], "unknown flag -Z"),
            (&["deploy", "-D"], "--define needs a value: <key:value>"),
            (&["deploy", "--yes=1"], "--yes takes no value"),
            (&["deploy", "--format", "xml"], "the formats are text, json"),
            (&["plan", "extra"], "extra"),
        ] {
            let error = words(line).unwrap_err().0;
            assert!(error.contains(why), "{error}");
            assert!(error.ends_with(&format!("see `hoist {} --help`", line[0])), "{error}");
        }
        assert_eq!(words(&["launch"]).unwrap_err().0, "hoist: unknown command \"launch\"\nsee `hoist --help`");
        assert!(words(&[]).unwrap_err().0.contains("a command is missing"));
        assert!(words(&["--nope", "deploy"]).unwrap_err().0.contains("--nope"));
    }
}
