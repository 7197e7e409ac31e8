//! One term of a host pattern: a name, a glob, a regular expression.

use regex::{Regex, RegexBuilder};

use super::Target;
use super::names::{check_host_part, is_name_character};
use super::range::{Names, Range, bracket};
use crate::glob;

#[derive(Debug, Clone)]
pub(super) enum Term {
    Name(Vec<Piece>),
    /// It has to match from the first character of a name on.
    Regex(Regex),
    /// All hosts of any of these groups.
    Groups(Vec<String>),
    /// Hosts whose label of this name has a value that the glob matches.
    Label(String, String),
    /// The one target that is written so, with its user or its port, as messages name it.
    Target(Target),
}

#[derive(Debug, Clone)]
pub(super) enum Piece {
    /// In lower case.
    Text(String),
    /// `*`
    Any,
    /// `?`
    One,
    /// `[…]` without a colon
    Class(Class),
    /// `[…]` with one
    Ranges(Vec<Range>),
}

/// A shell's character class: one character that is in it, or with `negated` one that is not.
#[derive(Debug, Clone)]
pub(super) struct Class {
    negated: bool,
    /// First and last of each.
    members: Vec<(u8, u8)>,
}

impl Term {
    /// Reads a term without its `!`.
    pub(super) fn read(text: &str) -> Result<Term, String> {
        if let Some(regex) = text.strip_prefix('~') {
            return match regex.trim() {
                "" => Err("the regular expression is empty".into()),
                _ => expression(regex.trim_end()),
            };
        }
        if let Some(groups) = text.strip_prefix('@') {
            let groups: Vec<String> = groups.split('|').map(str::to_owned).collect();
            let fit = |group: &String| !group.is_empty() && group.chars().all(is_name_character);
            return match groups.iter().all(fit) {
                true => Ok(Term::Groups(groups)),
                false => Err("a group's name follows the `@`, or several with `|` between them".into()),
            };
        }
        if let Some((label, value)) = text.split_once('=') {
            let is_label = !label.is_empty() && label.chars().all(is_name_character);
            return match is_label && !value.is_empty() {
                true => Ok(Term::Label(label.to_owned(), value.to_lowercase())),
                false => Err("a label is written NAME=VALUE".into()),
            };
        }
        if let Ok(target) = text.parse::<Target>()
            && (target.user.is_some() || target.port.is_some())
        {
            return Ok(Term::Target(target));
        }
        match text {
            "" => Err("nothing follows the `!` or `&`".into()),
            "all" => Ok(Term::Name(vec![Piece::Any])),
            text if has_operators(text) => expression(&as_scap_reads_it(text)?),
            text => name_or_glob(&text.to_ascii_lowercase()),
        }
    }

    /// Whether a target of a group matches.
    pub(super) fn matches(&self, group: &str, target: &Target) -> bool {
        let host = target.host.as_str();
        match self {
            Term::Target(this) => this == target,
            Term::Label(name, value) => {
                target.label(name).is_some_and(|has| glob::matches(value.as_bytes(), has.to_lowercase().as_bytes()))
            }
            Term::Groups(groups) => groups.iter().any(|name| name.eq_ignore_ascii_case(group)),
            // The leftmost match begins with the name if any does.
            Term::Regex(regex) => regex.find(host).is_some_and(|found| found.start() == 0),
            Term::Name(pieces) => pieces_match(pieces, host.as_bytes()),
        }
    }

    /// The names that the term stands for; none when no list of them could be complete.
    pub(super) fn names(&self) -> Vec<String> {
        let Term::Name(pieces) = self else { return Vec::new() };
        let mut names = vec![String::new()];
        for piece in pieces {
            let endings: Vec<String> = match piece {
                Piece::Any | Piece::One | Piece::Class(_) => return Vec::new(),
                Piece::Text(text) => vec![text.clone()],
                Piece::Ranges(ranges) => ranges.iter().flat_map(Range::names).collect(),
            };
            names = names.iter().flat_map(|name| endings.iter().map(move |end| format!("{name}{end}"))).collect();
        }
        names
    }
}

fn expression(regex: &str) -> Result<Term, String> {
    let built = RegexBuilder::new(regex).case_insensitive(true).build();
    // The crate draws a picture of the mistake over several lines; the last line says what it is.
    let reason = |error: regex::Error| error.to_string().lines().last().unwrap_or_default().trim().to_owned();
    built.map(Term::Regex).map_err(|error| format!("not a regular expression: {}", reason(error)))
}

/// Whether there is anything outside of brackets that a regular expression has and neither a name nor a glob.
fn has_operators(text: &str) -> bool {
    let mut inside = false;
    text.chars().any(|c| {
        inside = c == '[' || (inside && c != ']');
        !inside && "()|^$+{}\\".contains(c)
    })
}

/// For Scap every pattern is a regular expression for the whole name, in which `.` and `*` are a glob's and ranges have a
/// colon: `web(1|2)`, `^db[1:3]$`.
fn as_scap_reads_it(text: &str) -> Result<String, String> {
    let mut count = Names::new();
    let mut regex = String::from("^");
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let mut length = first.len_utf8();
        match first {
            '[' => {
                let inside = bracket(rest)?;
                length = inside.len() + 2;
                match inside.contains(':') {
                    true => {
                        let ranges = count.ranges(&inside.to_ascii_lowercase())?;
                        let names: Vec<String> = ranges.iter().flat_map(Range::names).collect();
                        regex += &format!("(?:{})", names.join("|"));
                    }
                    false => {
                        Class::read(&inside.to_ascii_lowercase())?;
                        regex += &rest[..length];
                    }
                }
            }
            '\\' => {
                length += rest[1..].chars().next().map_or(0, char::len_utf8);
                regex += &rest[..length];
            }
            '.' => regex += "\\.",
            '*' => regex += "[\\w.-]*",
            _ => regex.push(first),
        }
        rest = &rest[length..];
    }
    Ok(regex + "$")
}

fn name_or_glob(text: &str) -> Result<Term, String> {
    let mut pieces = Vec::new();
    let mut count = Names::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '*' => {
                pieces.push(Piece::Any);
                1
            }
            '?' => {
                pieces.push(Piece::One);
                1
            }
            '[' => {
                let inside = bracket(rest)?;
                pieces.push(match inside.contains(':') {
                    true => Piece::Ranges(count.ranges(inside)?),
                    false => Piece::Class(Class::read(inside)?),
                });
                inside.len() + 2
            }
            _ => {
                let length = rest.find(['*', '?', '[']).unwrap_or(rest.len());
                check_host_part(&rest[..length])?;
                pieces.push(Piece::Text(rest[..length].to_owned()));
                length
            }
        };
        rest = &rest[length..];
    }
    Ok(Term::Name(pieces))
}

impl Class {
    /// Reads what stands between the brackets, in lower case. `[1-35]` and `[1,12]` are refused: they are characters here
    /// and numbers in a list of hosts, and the two differ. So is `[!1]`: it leaves hosts out for a shell, and not for Scap.
    fn read(text: &str) -> Result<Class, String> {
        if let Some(inside) = text.strip_prefix('!') {
            return Err(format!("[{text}] means different hosts in a shell and in Scap: write [^{inside}]"));
        }
        let (negated, inside) = match text.strip_prefix('^') {
            Some(inside) => (true, inside),
            None => (false, text),
        };
        if inside.is_empty() {
            return Err(format!("[{text}] contains no character: write [12], or a range [1:12]"));
        }
        if !inside.is_ascii() {
            return Err(format!("[{text}] contains a character that is not allowed in a host name"));
        }
        if means_numbers(inside) {
            return Err(format!(
                "[{text}] matches one character, not a number with several digits: write a range with a colon, [1:12]"
            ));
        }
        let bytes = inside.as_bytes();
        let (mut members, mut at) = (Vec::new(), 0);
        while let Some(&first) = bytes.get(at) {
            let last = bytes.get(at + 2).copied().filter(|_| bytes[at + 1] == b'-');
            if let Some(last) = last.filter(|last| *last < first) {
                return Err(format!("{}-{} in [{text}] runs backwards", char::from(first), char::from(last)));
            }
            members.push((first, last.unwrap_or(first)));
            at += if last.is_some() { 3 } else { 1 };
        }
        Ok(Class { negated, members })
    }

    fn has(&self, byte: u8) -> bool {
        self.members.iter().any(|(first, last)| (*first..=*last).contains(&byte)) != self.negated
    }
}

/// Whether numbers of several digits stand beside a `-` or a comma.
fn means_numbers(inside: &str) -> bool {
    let long = |number: &str| number.len() > 1 && number.bytes().all(|b| b.is_ascii_digit());
    let ends_long = |text: &str| long(text.get(text.len().saturating_sub(2)..).unwrap_or_default());
    let begins_long = |text: &str| long(text.get(..2).unwrap_or_default());
    let comma = inside.contains(',') && inside.split([',', '-']).any(long);
    comma || inside.match_indices('-').any(|(at, _)| ends_long(&inside[..at]) || begins_long(&inside[at + 1..]))
}

/// Whether the pieces cover all of `host`. The places that the pieces so far can end at are carried along, so the work
/// is bounded whatever the pattern is.
fn pieces_match(pieces: &[Piece], host: &[u8]) -> bool {
    let mut ends = vec![false; host.len() + 1];
    ends[0] = true;
    for piece in pieces {
        let mut next = vec![false; host.len() + 1];
        for start in (0..=host.len()).filter(|start| ends[*start]) {
            let rest = &host[start..];
            match piece {
                Piece::Text(text) if rest.starts_with(text.as_bytes()) => next[start + text.len()] = true,
                Piece::Text(_) => {}
                Piece::One if !rest.is_empty() => next[start + 1] = true,
                Piece::One => {}
                Piece::Class(class) if rest.first().is_some_and(|byte| class.has(*byte)) => next[start + 1] = true,
                Piece::Class(_) => {}
                Piece::Any => next[start..].fill(true),
                Piece::Ranges(ranges) => {
                    for length in ranges.iter().flat_map(|range| range.lengths(rest)) {
                        next[start + length] = true;
                    }
                }
            }
        }
        ends = next;
    }
    ends[host.len()]
}
