//! Names of hosts as inventories write them, with ranges and ports: `web[01:50].example.org:2222`.

use std::sync::LazyLock;

use regex::Regex;

use super::MOST_HOSTS;

static BRACKETED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\[(.+)\]:([0-9]+)$").ok());
static WITH_PORT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^((?:[^:\[\]]|\[[^\]]*\])+):([0-9]+)$").ok());

/// The hosts that a word stands for, and the port that they share.
///
/// # Errors
/// Why it stands for none.
pub fn expand(word: &str) -> Result<(Vec<String>, Option<u16>), String> {
    let split = [&*BRACKETED, &*WITH_PORT].into_iter().flatten().find_map(|form| form.captures(word));
    let (hosts, port) = match &split {
        Some(parts) => (&parts[1], Some(port(&parts[2])?)),
        None if word.ends_with(':') => return Err(format!("{word:?} ends with a colon, and no port follows it")),
        None => (word, None),
    };
    let mut names = Vec::new();
    ranges(hosts, &mut names)?;
    Ok((names, port))
}

/// A port, as text.
///
/// # Errors
/// It is none.
pub fn port(text: &str) -> Result<u16, String> {
    match text.trim().parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("bad port {text:?}: a number from 1 to 65535")),
    }
}

fn ranges(word: &str, names: &mut Vec<String>) -> Result<(), String> {
    let Some((head, rest)) = word.split_once('[') else {
        if names.len() >= MOST_HOSTS {
            return Err(format!("it lists more than {MOST_HOSTS} hosts"));
        }
        names.push(word.to_owned());
        return Ok(());
    };
    let (range, tail) = rest.split_once(']').ok_or_else(|| format!("the bracket in {word:?} is not closed"))?;
    if head.contains(']') {
        return Err(format!("the bracket in {word:?} is closed before it is opened"));
    }
    for value in values(range).map_err(|why| format!("bad range [{range}]: {why}"))? {
        ranges(&format!("{head}{value}{tail}"), names)?;
    }
    Ok(())
}

/// What `01:10`, `a:f` or `1:9:2` stand for.
fn values(range: &str) -> Result<Vec<String>, String> {
    let bounds: Vec<&str> = range.split(':').collect();
    let (first, last, step) = match bounds[..] {
        [first, last] => (first, last, "1"),
        [first, last, step] => (first, last, step),
        _ => return Err("write begin:end, or begin:end:step".into()),
    };
    let first = if first.is_empty() { "0" } else { first };
    if last.is_empty() {
        return Err("its end is missing".into());
    }
    let step: usize = step.parse().ok().filter(|step| *step > 0).ok_or("its step is not a number above 0")?;
    let padded = first.len() > 1 && first.starts_with('0');
    if padded && first.len() != last.len() {
        return Err(format!("{first} and {last} have not the same number of digits"));
    }
    let backwards = || format!("{first} to {last} runs backwards");
    let letters = ('a'..='z').chain('A'..='Z');
    if let (Some(from), Some(to)) = (letter(first), letter(last)) {
        return match from <= to {
            true => Ok(letters.skip(from).take(to - from + 1).step_by(step).map(String::from).collect()),
            false => Err(backwards()),
        };
    }
    let number = |text: &str| text.parse::<usize>().map_err(|_| format!("{text:?} is neither a number nor a letter"));
    let (from, to) = (number(first)?, number(last)?);
    if from > to {
        return Err(backwards());
    }
    if (to - from) / step >= MOST_HOSTS {
        return Err(format!("it stands for more than {MOST_HOSTS} hosts"));
    }
    let width = if padded { first.len() } else { 0 };
    Ok((from..=to).step_by(step).map(|n| format!("{n:0width$}")).collect())
}

/// The place of a single letter among all, small ones first.
fn letter(text: &str) -> Option<usize> {
    let mut chars = text.chars();
    let (Some(letter), None) = (chars.next(), chars.next()) else { return None };
    ('a'..='z').chain('A'..='Z').position(|known| known == letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_ports_are_read() {
        let read = |word: &str| expand(word).map(|(names, port)| (names.join(" "), port)).unwrap();
        assert_eq!(read("web1"), ("web1".into(), None));
        assert_eq!(read("web[08:10].x:2222"), ("web08.x web09.x web10.x".into(), Some(2222)));
        assert_eq!(read("w[1:9:4]-[a:b]"), ("w1-a w1-b w5-a w5-b w9-a w9-b".into(), None));
        assert_eq!(read("w[:2]"), ("w0 w1 w2".into(), None));
        assert_eq!(read("[::1]:22"), ("::1".into(), Some(22)));
        assert_eq!(read("2001:db8::1"), ("2001:db8::1".into(), None));
    }

    #[test]
    fn a_bad_range_says_what_is_wrong_with_it() {
        for (word, why) in [
            ("w[1]", "begin:end"),
            ("w[1:]", "end is missing"),
            ("w[3:1]", "backwards"),
            ("w[c:a]", "backwards"),
            ("w[01:100]", "same number of digits"),
            ("w[1:9:0]", "step"),
            ("w[1:9", "not closed"),
            ("w]1[2:3]", "closed before"),
            ("w[a:9]", "neither a number"),
            ("w[0:999999999]", "more than 100000"),
            ("w[0:999][0:999]", "more than 100000"),
            ("web1:", "no port"),
            ("web1:99999", "bad port"),
        ] {
            assert!(expand(word).unwrap_err().contains(why), "{word}: {:?}", expand(word));
        }
    }
}
