//! From the words of the command line to the plain form that argh reads.
//!
//! argh takes a flag's value as the next word only. People also write `--rev=REV`, `-rREV` and `-vy`; this pass turns
//! them into the plain form, asking argh itself which flags there are and which take a value. It also answers `-h`
//! anywhere on the line, takes the beginning of a long flag for the flag if no other begins so, and gives every usage error the name of the command whose help to read.

use argh::{ArgsInfo, CommandInfoWithArgs, EarlyExit, FlagInfoKind, FromArgs, SubCommandInfo};

use super::Hoist;

/// What to do with a command line.
#[derive(Debug)]
pub enum Parsed {
    Command(Box<Hoist>),
    /// Print this on standard output and end well.
    Say(String),
}

/// A usage error: the sentence, and where help is.
#[derive(Debug, PartialEq, Eq)]
pub struct UsageError(pub String);

/// Reads the words after the program's own name.
pub fn parse(words: Vec<std::ffi::OsString>) -> Result<Parsed, UsageError> {
    let mut text = Vec::with_capacity(words.len());
    for word in words {
        let word = word.into_string().map_err(|word| UsageError(complaint("", &format!("{word:?} is not UTF-8"))))?;
        text.push(word);
    }
    let hoist = Hoist::get_args_info();
    let Some(place) = text.iter().position(|word| !word.starts_with('-') || word == "--") else {
        return without_command(&text);
    };
    if place > 0 {
        without_command(&text[..place]).map(drop)?;
    }
    let name = text[place].as_str();
    let Some(command) = hoist.commands.iter().find(|command| command.name == name) else {
        if name == "help" {
            return ask_help(text.get(place + 1).map(String::as_str));
        }
        let names: Vec<_> = hoist.commands.iter().map(|command| command.name).collect();
        return Err(UsageError(complaint(
            "",
            &format!("unknown command {name:?}; the commands are {}", names.join(", ")),
        )));
    };
    if place > 0 {
        // `hoist --help deploy`, `hoist --version deploy`: what stands ahead of the command is meant for hoist.
        return without_command(&text[..place]);
    }
    let plain = plain_words(command, &text[1..]).map_err(|why| UsageError(complaint(name, &why)))?;
    let mut line = vec![name];
    match &plain {
        Some(plain) => line.extend(plain.iter().map(String::as_str)),
        None => line.push("--help"),
    }
    from_plain(&line, name)
}

fn ask_help(command: Option<&str>) -> Result<Parsed, UsageError> {
    match command {
        Some(name) if !name.starts_with('-') => from_plain(&[name, "--help"], name),
        _ => from_plain(&["--help"], ""),
    }
}

/// `hoist`, `hoist --help`, `hoist --version` and what is none of them.
fn without_command(words: &[String]) -> Result<Parsed, UsageError> {
    match words.first().map(String::as_str) {
        None => Err(UsageError(complaint("", "a command is missing"))),
        Some("--version" | "-V") => Ok(Parsed::Say(version())),
        Some("-h" | "--help") => from_plain(&["--help"], ""),
        Some(word) => Err(UsageError(complaint("", &format!("unknown flag {word:?} before the command")))),
    }
}

/// The line that `hoist version` and `--version` print.
pub fn version() -> String {
    format!("hoist {}\n", env!("CARGO_PKG_VERSION"))
}

fn from_plain(line: &[&str], command: &str) -> Result<Parsed, UsageError> {
    match Hoist::from_args(&["hoist"], line) {
        Ok(hoist) => Ok(Parsed::Command(Box::new(hoist))),
        Err(EarlyExit { output, status: Ok(()) }) => Ok(Parsed::Say(output)),
        Err(EarlyExit { output, status: Err(()) }) => Err(UsageError(complaint(command, output.trim()))),
    }
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

fn flag(command: &CommandInfoWithArgs, wanted: impl Fn(&str, Option<char>) -> bool) -> Option<Flag> {
    let found = command.flags.iter().find(|flag| wanted(flag.long.trim_start_matches('-'), flag.short))?;
    let (takes_value, value_name) = match found.kind {
        FlagInfoKind::Switch => (false, String::new()),
        FlagInfoKind::Option { arg_name } => (true, arg_name.to_owned()),
    };
    Some(Flag { takes_value, long: format!("--{}", found.long.trim_start_matches('-')), value_name })
}

/// The flag of this long name, or the one whose name begins with it.
fn long_flag(command: &CommandInfoWithArgs, name: &str) -> Result<Flag, String> {
    if let Some(flag) = flag(command, |long, _| long == name) {
        return Ok(flag);
    }
    let names = command.flags.iter().map(|flag| flag.long.trim_start_matches('-'));
    let meant: Vec<&str> = names.filter(|long| !name.is_empty() && long.starts_with(name)).collect();
    match meant.as_slice() {
        [one] => flag(command, |long, _| long == *one).ok_or_else(|| format!("unknown flag --{name}")),
        [] => Err(format!("unknown flag --{name}")),
        several => Err(format!("--{name} is ambiguous: --{}", several.join(" or --"))),
    }
}

/// Commands whose first plain word begins somebody else's command line: what looks like a flag there is none of theirs.
const WRAPS: [&str; 1] = ["run"];

/// The words in plain form, flags first, so that a message may stand between them; `None` when they ask for help.
fn plain_words(command: &SubCommandInfo, words: &[String]) -> Result<Option<Vec<String>>, String> {
    let wraps = WRAPS.contains(&command.name);
    let command = &command.command;
    let mut plain = Vec::with_capacity(words.len() + 4);
    let mut positional: Vec<String> = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let wrapped = wraps && !positional.is_empty();
        if wrapped {
            positional.push(word.clone());
        } else if word == "--" {
            positional.extend(words.by_ref().cloned());
        } else if word == "-h" || word == "--help" {
            return Ok(None);
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            let flag = long_flag(command, name)?;
            push_flag(&mut plain, flag, value, &mut words)?;
        } else if word.len() > 1 && word.starts_with('-') {
            if !push_cluster(&mut plain, command, &word[1..], &mut words)? {
                return Ok(None);
            }
        } else {
            positional.push(word.clone());
        }
    }
    if !positional.is_empty() {
        plain.push("--".to_owned());
        plain.append(&mut positional);
    }
    Ok(Some(plain))
}

fn push_flag<'a>(
    plain: &mut Vec<String>,
    flag: Flag,
    value: Option<&str>,
    rest: &mut impl Iterator<Item = &'a String>,
) -> Result<(), String> {
    match (flag.takes_value, value) {
        (false, Some(_)) => return Err(format!("{} takes no value", flag.long)),
        (false, None) => plain.push(flag.long),
        (true, Some(value)) => plain.extend([flag.long, value.to_owned()]),
        (true, None) => {
            let value = rest.next().ok_or_else(|| format!("{} needs a value: <{}>", flag.long, flag.value_name))?;
            plain.extend([flag.long, value.clone()]);
        }
    }
    Ok(())
}

/// `-vy`, `-rREV`, `-r=REV`, `-vr REV`. False when it holds `-h`.
fn push_cluster<'a>(
    plain: &mut Vec<String>,
    command: &CommandInfoWithArgs,
    cluster: &str,
    rest: &mut impl Iterator<Item = &'a String>,
) -> Result<bool, String> {
    for (place, letter) in cluster.char_indices() {
        if letter == 'h' {
            return Ok(false);
        }
        let flag = flag(command, |_, short| short == Some(letter)).ok_or_else(|| format!("unknown flag -{letter}"))?;
        let after = &cluster[place + letter.len_utf8()..];
        if flag.takes_value {
            let value = (!after.is_empty()).then(|| after.strip_prefix('=').unwrap_or(after));
            push_flag(plain, flag, value, rest)?;
            return Ok(true);
        }
        if after.starts_with('=') {
            return Err(format!("-{letter} takes no value"));
        }
        push_flag(plain, flag, None, rest)?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::commands::{Command, deploy::Args};

    fn words(line: &[&str]) -> Result<Parsed, UsageError> {
        parse(line.iter().map(Into::into).collect())
    }

    fn deploy(line: &[&str]) -> Args {
        match words(line).unwrap() {
            Parsed::Command(hoist) => match hoist.command {
                Command::Deploy(deploy) => deploy,
                other => panic!("{other:?}"),
            },
            Parsed::Say(text) => panic!("{text}"),
        }
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
    fn switches_may_be_written_together_and_words_after_two_dashes_are_the_message() {
        let deploy = deploy(&["deploy", "-vy", "fix", "-f", "the", "--", "--yes"]);
        assert!(deploy.verbose && deploy.yes && deploy.force);
        assert_eq!(deploy.message, ["fix", "the", "--yes"]);
    }

    #[test]
    fn help_is_given_wherever_it_is_asked_for() {
        for line in [["-h"].as_slice(), &["--help"], &["help"]] {
            let Parsed::Say(text) = words(line).unwrap() else { panic!("{line:?}") };
            assert!(text.contains("deploy-local"), "{text}");
        }
        for line in
            [["deploy", "-h"].as_slice(), &["deploy", "-r", "x", "--help"], &["deploy", "-vh"], &["help", "deploy"]]
        {
            let Parsed::Say(text) = words(line).unwrap() else { panic!("{line:?}") };
            assert!(text.contains("--limit-hosts"), "{text}");
        }
    }

    #[test]
    fn a_usage_error_says_which_help_to_read() {
        for (line, why) in [
            (["deploy", "--nope"].as_slice(), "unknown flag --nope"),
            (&["deploy", "-Z"], "unknown flag -Z"),
            (&["deploy", "-D"], "--define needs a value: <key:value>"),
            (&["deploy", "--yes=1"], "--yes takes no value"),
            (&["deploy", "--format", "xml"], "text or json"),
            (&["plan", "extra"], "extra"),
        ] {
            let error = words(line).unwrap_err().0;
            assert!(error.contains(why), "{error}");
            assert!(error.ends_with(&format!("see `hoist {} --help`", line[0])), "{error}");
        }
        assert!(words(&["launch"]).unwrap_err().0.contains("the commands are deploy, resume"));
        assert!(words(&[]).unwrap_err().0.contains("a command is missing"));
        assert!(words(&["--nope", "deploy"]).unwrap_err().0.contains("--nope"));
    }
}
