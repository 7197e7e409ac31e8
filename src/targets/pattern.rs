//! Which targets a command is limited to.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use regex::{Regex, RegexBuilder};

use super::Target;

/// The most names that the ranges of one term may stand for. A range is matched by its numbers, so this bounds the
/// search for names that are no target.
const MOST_NAMES: u64 = 100_000;

/// Terms separated by commas or white space: names, `*` and `?`, ranges `web[01:20].example.org`; `!term` leaves out.
/// A pattern, or the rest of one, that begins with `~` or `!~` is one regular expression.
///
/// A host matches when any term matches, or there is none but negated ones, and no negated term does. Letter case does
/// not matter; a name, glob or range must match the whole host name, a regular expression any part of it.
#[derive(Debug, Clone)]
pub struct HostPattern {
    text: String,
    wanted: Vec<Term>,
    unwanted: Vec<Term>,
}

#[derive(Debug, Clone)]
enum Term {
    Name(Vec<Piece>),
    Regex(Regex),
}

#[derive(Debug, Clone)]
enum Piece {
    /// In lower case.
    Text(String),
    /// `*`
    Any,
    /// `?`
    One,
    /// `[…]`
    Ranges(Vec<Range>),
}

#[derive(Debug, Clone)]
enum Range {
    /// Both ends belong to it; names have at least `width` digits, filled up with zeros.
    Numbers {
        from: u64,
        to: u64,
        width: usize,
    },
    Letters {
        from: u8,
        to: u8,
    },
}

impl HostPattern {
    /// Whether the target's host name matches; its user and port do not count.
    pub fn matches(&self, target: &Target) -> bool {
        let hit = |terms: &[Term]| terms.iter().any(|term| term.matches(&target.host));
        (self.wanted.is_empty() || hit(&self.wanted)) && !hit(&self.unwanted)
    }

    /// The plain names and the names in ranges, negated ones too, that are no target's: slips of the finger, as a
    /// rule.
    pub fn unmatched(&self, targets: &[Target]) -> Vec<String> {
        let known: HashSet<&str> = targets.iter().map(|target| target.host.as_str()).collect();
        let mut seen = HashSet::new();
        let names = self.wanted.iter().chain(&self.unwanted).flat_map(Term::names);
        names.filter(|name| !known.contains(name.as_str()) && seen.insert(name.clone())).collect()
    }
}

impl Term {
    fn matches(&self, host: &str) -> bool {
        match self {
            Term::Regex(regex) => regex.is_match(host),
            Term::Name(pieces) => pieces_match(pieces, host.as_bytes()),
        }
    }

    /// The names that the term stands for; none when no list of them could be complete.
    fn names(&self) -> Vec<String> {
        let Term::Name(pieces) = self else { return Vec::new() };
        let mut names = vec![String::new()];
        for piece in pieces {
            let endings: Vec<String> = match piece {
                Piece::Any | Piece::One => return Vec::new(),
                Piece::Text(text) => vec![text.clone()],
                Piece::Ranges(ranges) => ranges.iter().flat_map(Range::names).collect(),
            };
            names = names.iter().flat_map(|name| endings.iter().map(move |end| format!("{name}{end}"))).collect();
        }
        names
    }
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

impl Range {
    /// How many bytes of the beginning of `text` can be one of the range's names.
    fn lengths(&self, text: &[u8]) -> Vec<usize> {
        match *self {
            Range::Letters { from, to } => {
                let fits = text.first().is_some_and(|letter| (from..=to).contains(letter));
                if fits { vec![1] } else { Vec::new() }
            }
            Range::Numbers { from, to, width } => {
                let digits = text.iter().take(19).take_while(|b| b.is_ascii_digit()).count();
                let fits = |length: &usize| {
                    let name = std::str::from_utf8(&text[..*length]).unwrap_or_default();
                    let number = name.parse::<u64>().ok().filter(|number| (from..=to).contains(number));
                    number.is_some_and(|number| format!("{number:0width$}") == name)
                };
                (1..=digits).filter(fits).collect()
            }
        }
    }

    fn count(&self) -> u64 {
        match *self {
            Range::Letters { from, to } => u64::from(to - from) + 1,
            Range::Numbers { from, to, .. } => (to - from).saturating_add(1),
        }
    }

    fn names(&self) -> Vec<String> {
        match *self {
            Range::Letters { from, to } => (from..=to).map(|letter| char::from(letter).to_string()).collect(),
            Range::Numbers { from, to, width } => (from..=to).map(|number| format!("{number:0width$}")).collect(),
        }
    }

    /// Reads `01:20`, `01-20`, `a:c`, `7`.
    fn read(text: &str) -> Result<Range, String> {
        let wrong = || format!("{text:?} is no range: write [1:9], [01:20] or [a:c]");
        let (from, to) = text.split_once([':', '-']).unwrap_or((text, text));
        let digits = |text: &str| (1..=18).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if digits(from) && digits(to) {
            let padded = from.len() > 1 && from.starts_with('0');
            let width = if padded { from.len() } else { 0 };
            let (first, last): (u64, u64) = (from.parse().map_err(|_| wrong())?, to.parse().map_err(|_| wrong())?);
            if to.len() < width || (!padded && to.len() > 1 && to.starts_with('0')) {
                return Err(format!("the ends of the range {text:?} are not filled up with zeros alike"));
            }
            if first > last {
                return Err(format!("the range {text:?} runs backwards"));
            }
            return Ok(Range::Numbers { from: first, to: last, width });
        }
        match (from.as_bytes(), to.as_bytes()) {
            ([first], [last]) if first.is_ascii_lowercase() && last.is_ascii_lowercase() => {
                if first > last {
                    return Err(format!("the range {text:?} runs backwards"));
                }
                Ok(Range::Letters { from: *first, to: *last })
            }
            _ => Err(wrong()),
        }
    }
}

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut pattern = HostPattern { text: text.trim().to_owned(), wanted: Vec::new(), unwanted: Vec::new() };
        let mut rest = text;
        loop {
            rest = rest.trim_start_matches(between_terms);
            if rest.is_empty() {
                break;
            }
            let whole = rest.strip_prefix('!').unwrap_or(rest).starts_with('~');
            let length = if whole { rest.len() } else { term_length(rest) };
            let (term, after) = rest.split_at(length);
            rest = after;
            let (negated, body) = match term.strip_prefix('!') {
                Some(body) => (true, body),
                None => (false, term),
            };
            let read = read_term(body).map_err(|why| format!("bad pattern {term:?}: {why}"))?;
            if negated { pattern.unwanted.push(read) } else { pattern.wanted.push(read) }
        }
        if pattern.wanted.is_empty() && pattern.unwanted.is_empty() {
            return Err(format!("bad pattern {text:?}: it is empty: write a host's name"));
        }
        Ok(pattern)
    }
}

/// The terms of a list: what stands between commas and white space, where commas inside of brackets are a term's own.
pub(super) fn terms(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(between_terms);
        let (term, after) = rest.split_at(term_length(rest));
        rest = after;
        (!term.is_empty()).then_some(term)
    })
}

/// The names that a term with ranges stands for.
///
/// # Errors
/// When it has wildcards, which stand for no names of their own, or is no term at all.
pub(super) fn names(term: &str) -> Result<Vec<String>, String> {
    let read = read_term(term)?;
    let names = read.names();
    if names.is_empty() { Err("it stands for no name: write names and ranges only".into()) } else { Ok(names) }
}

fn between_terms(c: char) -> bool {
    c == ',' || c.is_whitespace()
}

/// Where the first term ends: commas inside of brackets are the term's own.
fn term_length(text: &str) -> usize {
    let mut inside = false;
    for (index, c) in text.char_indices() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            _ if c.is_whitespace() || (c == ',' && !inside) => return index,
            _ => {}
        }
    }
    text.len()
}

fn read_term(text: &str) -> Result<Term, String> {
    if let Some(regex) = text.strip_prefix('~') {
        if regex.trim().is_empty() {
            return Err("the regular expression is empty".into());
        }
        let built = RegexBuilder::new(regex.trim_end()).case_insensitive(true).build();
        // The crate draws a picture of the mistake over several lines; the last line says what it is.
        let reason = |error: regex::Error| error.to_string().lines().last().unwrap_or_default().trim().to_owned();
        return built.map(Term::Regex).map_err(|error| format!("not a regular expression: {}", reason(error)));
    }
    if text.is_empty() {
        return Err("nothing follows the `!`".into());
    }
    let mut pieces = Vec::new();
    let mut names: u64 = 1;
    let lower = text.to_ascii_lowercase();
    let mut rest = lower.as_str();
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
                let (inside, _) = rest[1..].split_once(']').ok_or("a bracket is not closed")?;
                let ranges = inside.split(',').map(|range| Range::read(range.trim())).collect::<Result<Vec<_>, _>>()?;
                let here = ranges.iter().fold(0, |sum: u64, range| sum.saturating_add(range.count()));
                names = names.saturating_mul(here);
                if names > MOST_NAMES {
                    return Err(format!("its ranges stand for more than {MOST_NAMES} names: write `*`"));
                }
                pieces.push(Piece::Ranges(ranges));
                inside.len() + 2
            }
            _ => {
                let length = rest.find(['*', '?', '[']).unwrap_or(rest.len());
                let plain = &rest[..length];
                if let Some(bad) = plain.chars().find(|c| !(c.is_ascii_alphanumeric() || "._-:".contains(*c))) {
                    return Err(format!("{bad:?} is in no host's name: name the host alone, without user and port"));
                }
                pieces.push(Piece::Text(plain.to_owned()));
                length
            }
        };
        rest = &rest[length..];
    }
    Ok(Term::Name(pieces))
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching(pattern: &str, hosts: &[&'static str]) -> Vec<&'static str> {
        let pattern: HostPattern = pattern.parse().unwrap();
        hosts.iter().copied().filter(|host| pattern.matches(&host.parse().unwrap())).collect()
    }

    const HOSTS: &[&str] = &["web1", "web2", "web10", "web02", "db1.example.org", "dba", "::1", "10.0.0.7"];

    #[test]
    fn names_and_globs_match_the_whole_name_in_any_letter_case() {
        assert_eq!(matching("web1", HOSTS), ["web1"]);
        assert_eq!(matching("WEB?", HOSTS), ["web1", "web2"]);
        assert_eq!(matching("*.example.org, dba", HOSTS), ["db1.example.org", "dba"]);
        assert_eq!(matching("web", HOSTS), [""; 0]);
        assert_eq!(matching("*b*1*", HOSTS), ["web1", "web10", "db1.example.org"]);
        assert_eq!(matching("::1 10.0.0.*", HOSTS), ["::1", "10.0.0.7"]);
    }

    #[test]
    fn ranges_are_numeric_and_keep_their_zeros() {
        assert_eq!(matching("web[1:10]", HOSTS), ["web1", "web2", "web10"]);
        assert_eq!(matching("web[01:20]", HOSTS), ["web10", "web02"]);
        assert_eq!(matching("db[a:c]", HOSTS), ["dba"]);
        assert_eq!(matching("web[1-2,10]", HOSTS), ["web1", "web2", "web10"]);
        assert_eq!(matching("[d:w]?[a:b][1:2]*", HOSTS), ["web1", "web2", "web10"]);
        assert_eq!(matching("10.0.[0:3].[1:9]", HOSTS), ["10.0.0.7"]);
        assert_eq!(matching("x[1:20]0", &["x100", "x10", "x200", "x2000"]), ["x100", "x10", "x200"]);
    }

    #[test]
    fn a_negated_term_leaves_out_whatever_the_others_say() {
        assert_eq!(matching("web*,!web1*", HOSTS), ["web2", "web02"]);
        assert_eq!(matching("!web*", HOSTS), ["db1.example.org", "dba", "::1", "10.0.0.7"]);
        assert_eq!(matching("!web1 web*", HOSTS), ["web2", "web10", "web02"]);
    }

    #[test]
    fn a_regular_expression_goes_on_to_the_end_and_matches_any_part() {
        assert_eq!(matching("~^web[0-9]{1,1}$", HOSTS), ["web1", "web2"]);
        assert_eq!(matching("!~WEB|::", HOSTS), ["db1.example.org", "dba", "10.0.0.7"]);
        assert_eq!(matching("dba,~example, ?", HOSTS), ["dba"]);
    }

    #[test]
    fn a_bad_pattern_is_told_with_its_term_and_the_reason() {
        let fails = |pattern: &str| pattern.parse::<HostPattern>().unwrap_err();
        for (pattern, term, why) in [
            ("", "\"\"", "empty"),
            (" , ", "\" , \"", "empty"),
            ("web1,!", "\"!\"", "nothing follows"),
            ("web[1:", "\"web[1:\"", "not closed"),
            ("a,web[9:1]", "\"web[9:1]\"", "backwards"),
            ("web[c:a]", "\"web[c:a]\"", "backwards"),
            ("web[01:5]", "\"web[01:5]\"", "zeros"),
            ("web[1:05]", "\"web[1:05]\"", "zeros"),
            ("web[]", "\"web[]\"", "no range"),
            ("web[1:2:3]", "\"web[1:2:3]\"", "no range"),
            ("web[a:3]", "\"web[a:3]\"", "no range"),
            ("web[0:100000]", "\"web[0:100000]\"", "100000 names"),
            ("w[1:1000].x[1:1000]", "\"w[1:1000].x[1:1000]\"", "100000 names"),
            ("w[0:999999999999999999]", "\"w[0:999999999999999999]\"", "100000 names"),
            ("root@web1", "\"root@web1\"", "without user"),
            ("wéb", "\"wéb\"", "no host's name"),
            ("~web[", "\"~web[\"", "regular expression"),
            ("!~", "\"!~\"", "empty"),
        ] {
            let error = fails(pattern);
            assert!(error.contains(term) && error.contains(why) && !error.contains('\n'), "{pattern}: {error}");
        }
    }

    #[test]
    fn names_that_are_no_target_are_found_and_globs_are_not_asked() {
        let targets: Vec<Target> = HOSTS.iter().map(|host| host.parse().unwrap()).collect();
        let unmatched = |pattern: &str| pattern.parse::<HostPattern>().unwrap().unmatched(&targets);
        assert_eq!(unmatched("web[1:4],WEB1,nosuch,nosuch,x*,!dbb,~y"), ["web3", "web4", "nosuch", "dbb"]);
        assert!(unmatched("web1").is_empty());
    }

    #[test]
    fn a_pattern_prints_as_it_was_written() {
        assert_eq!(" web[01:20], !db* ".parse::<HostPattern>().unwrap().to_string(), "web[01:20], !db*");
    }
}
