//! What stands ahead of the command: what is meant for hoist itself, and flags that most commands have.

use std::path::PathBuf;

use crate::invocation::Invocation;

/// Flags with a value that may stand there.
const WITH_VALUE: [&str; 7] = ["-c", "--config", "-e", "--environment", "-D", "--define", "--format"];

/// Flags without one.
const ALONE: [&str; 7] = ["--json", "-v", "--verbose", "-q", "--quiet", "-y", "--yes"];

/// Flags that are about hoist itself.
const OF_HOIST: [&str; 2] = ["--version", "--help"];

pub const NO_FOLDER: &str = "-C needs a value: <directory>";

/// What words ask for.
pub enum Asked {
    Command,
    Help,
    Version,
}

/// The words ahead of the command.
pub struct Ahead {
    /// Where `-C` leads, each seen from the one before.
    pub folders: Vec<PathBuf>,
    /// The flags, to be read as if they stood behind the command: one that lacks them says so.
    pub flags: Vec<String>,
    /// Of hoist itself, whatever the command is.
    pub asked: Asked,
    /// How many words there are.
    pub words: usize,
}

impl Ahead {
    /// Reads the words ahead of the command. Of `line` the words that have several short flags are parted.
    ///
    /// # Errors
    /// The first flag that does not belong there.
    pub fn take(line: &mut Vec<String>) -> Result<Ahead, String> {
        let mut ahead = Ahead { folders: Vec::new(), flags: Vec::new(), asked: Asked::Command, words: 0 };
        while let Some(word) = line.get(ahead.words).map(|word| whole(word)).transpose()? {
            match word.as_str() {
                "--version" | "-V" => {
                    ahead.asked = Asked::Version;
                    break;
                }
                "-h" | "--help" => {
                    ahead.asked = Asked::Help;
                    break;
                }
                "-C" => {
                    ahead.folders.push(line.get(ahead.words + 1).ok_or(NO_FOLDER)?.into());
                    ahead.words += 2;
                }
                word if word.starts_with("-C") => {
                    ahead.folders.push(word[2..].into());
                    ahead.words += 1;
                }
                word if WITH_VALUE.contains(&word.split('=').next().unwrap_or_default()) => {
                    let value = if word.contains('=') { None } else { line.get(ahead.words + 1).cloned() };
                    ahead.words += 1 + usize::from(value.is_some());
                    ahead.flags.push(word.to_owned());
                    ahead.flags.extend(value);
                }
                word if ALONE.contains(&word) => {
                    ahead.flags.push(word.to_owned());
                    ahead.words += 1;
                }
                word if !word.starts_with('-') || word == "--" => break,
                word => match parted(word) {
                    Some(words) => drop(line.splice(ahead.words..=ahead.words, words)),
                    None => return Err(format!("unknown flag {word:?} before the command")),
                },
            }
        }
        Ok(ahead)
    }

    /// What is said of the configuration.
    pub fn invocation(&self) -> Invocation {
        let folder = (!self.folders.is_empty()).then(|| self.folders.iter().collect());
        let mut said = Invocation { folder, ..Invocation::default() };
        let mut words = self.flags.iter();
        while let Some(word) = words.next() {
            let (flag, value) = word.split_once('=').map_or((word.as_str(), None), |(flag, value)| (flag, Some(value)));
            if ALONE.contains(&flag) {
                continue;
            }
            let Some(value) = value.or_else(|| words.next().map(String::as_str)) else { break };
            match flag {
                "-c" | "--config" => said.config_file = Some(value.into()),
                "-D" | "--define" => said.defines.push(value.to_owned()),
                _ => {}
            }
        }
        said
    }
}

/// A word with the beginning of a long flag made whole.
fn whole(word: &str) -> Result<String, String> {
    let (name, value) = word.split_at(word.find('=').unwrap_or(word.len()));
    if name.len() < 3 || !name.starts_with("--") {
        return Ok(word.to_owned());
    }
    let longs = [WITH_VALUE.as_slice(), &ALONE, &OF_HOIST].concat();
    let meant: Vec<String> = longs.into_iter().filter(|long| long.starts_with(name)).map(str::to_owned).collect();
    match meant.as_slice() {
        [] => Ok(word.to_owned()),
        [one] => Ok(format!("{one}{value}")),
        several => Err(ambiguous(name, several)),
    }
}

/// `-qyDa:b` as the single words `-q -y -D a:b`; `None`: it is something else.
fn parted(word: &str) -> Option<Vec<String>> {
    let letters = word.strip_prefix('-').filter(|letters| letters.chars().nth(1).is_some())?;
    let mut words = Vec::new();
    for (place, letter) in letters.char_indices() {
        let (flag, after) = (format!("-{letter}"), &letters[place + letter.len_utf8()..]);
        if ALONE.contains(&flag.as_str()) || flag == "-h" || flag == "-V" {
            words.push(flag);
        } else if WITH_VALUE.contains(&flag.as_str()) || flag == "-C" {
            words.push(flag);
            words.extend((!after.is_empty()).then(|| after.strip_prefix('=').unwrap_or(after).to_owned()));
            break;
        } else {
            return None;
        }
    }
    Some(words)
}

/// What is said to the beginning of several flags.
pub fn ambiguous(name: &str, several: &[String]) -> String {
    format!("{name} is ambiguous: {}", several.join(" or "))
}
