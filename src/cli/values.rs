//! What the values of flags say.

use std::io::Read;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;

use crate::clock;
use crate::clock::OfDay;
use crate::operation::{Refused, Span};
use crate::targets::{Target, parse_list, parse_targets, read_targets};

/// The longest: beyond that it is a slip of the finger.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// What argh says of the value of a flag, as it is said everywhere else.
pub fn refused(why: &str) -> String {
    let parts = why.strip_prefix("Error parsing option '").and_then(|rest| rest.split_once("' with value '"));
    match parts.and_then(|(flag, rest)| Some((flag, rest.split_once("': ")?.1))) {
        Some((flag, "duplicate values provided")) => format!("{flag} is given twice"),
        Some((flag, reason)) => format!("{flag}: {reason}"),
        None => why.to_owned(),
    }
}

/// How long something lasts: `90`, `90s`, `30m`, `1h30m`, `1d`.
///
/// # Errors
/// What is wrong with it, without the name of the flag.
pub fn duration(text: &str) -> Result<Duration, String> {
    let fits = |duration: &Duration| *duration >= Duration::from_secs(1) && *duration <= LONGEST;
    let wrong = || format!("{text:?} is not a duration: write 90s, 30m, 1h30m or 1d, from 1s to 366d");
    clock::duration(text).filter(fits).ok_or_else(wrong)
}

/// The hosts of `--hosts`: `-` is standard input; what has a slash, or is the name of a file, is that file; anything
/// else a list.
pub fn hosts(hosts: &str) -> anyhow::Result<Vec<Target>> {
    if hosts == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
        return Ok(parse_targets(&bytes, "standard input")?);
    }
    let path = Path::new(hosts);
    if hosts.contains('/') || path.is_file() {
        return Ok(read_targets(path, hosts)?);
    }
    parse_list(hosts).map_err(|why| anyhow::anyhow!("--hosts: {why}"))
}

/// The span of time of `--since` and `--until`.
///
/// # Errors
/// A text that names no moment, and an end that is not after the beginning.
pub fn span(since: &Option<String>, until: &Option<String>) -> Result<Span, Refused> {
    let moment = |text: &str, of_day| {
        let wrong = || format!("{text:?} is no time: write an age such as 2d, 2026-11-23, or \"2026-11-23 14:45\"");
        clock::moment(text, of_day).ok_or_else(wrong)
    };
    let span = Span {
        since: flag("--since", since, |text| moment(text, OfDay::Beginning))?,
        until: flag("--until", until, |text| moment(text, OfDay::End))?,
    };
    match (span.since, span.until) {
        (Some(begin), Some(end)) if begin >= end => Err(Refused::Usage("--until is not after --since".into())),
        _ => Ok(span),
    }
}

/// The values of a flag that takes several, separated by commas; one of them may have a comma of its own.
pub fn list<T: FromStr<Err = String>>(name: &str, text: &Option<String>) -> Result<Option<Vec<T>>, Refused> {
    let several = |text: &str| text.split(',').map(|word| word.trim().parse()).collect();
    flag(name, text, |text| text.parse().map(|one| vec![one]).or_else(|_| several(text)))
}

/// A flag's value, if it was given, read as its key's would be.
pub fn flag<T>(
    name: &str,
    text: &Option<String>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, Refused> {
    text.as_deref().map(read).transpose().map_err(|why| Refused::new(format!("{name}: {why}")))
}
