//! What the values of flags say.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use crate::operation::Refused;
use crate::targets::{Target, parse_list, parse_targets, read_targets};

/// The units, in seconds.
const UNITS: [(char, u64); 4] = [('s', 1), ('m', 60), ('h', 60 * 60), ('d', 24 * 60 * 60)];

/// The longest: beyond that it is a slip of the finger.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// A number and its unit: `90s`, `30m`, `2h`, `1d`.
///
/// # Errors
/// What is wrong with it, without the name of the flag.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration: write 90s, 30m, 2h or 1d, at most 366d");
    let (_, seconds) = UNITS.into_iter().find(|(unit, _)| text.ends_with(*unit)).ok_or_else(wrong)?;
    let digits = &text[..text.len() - 1];
    // A number's own reader would take a sign.
    let number: u64 = digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit())).ok_or_else(wrong)?;
    let duration = number.checked_mul(seconds).map(Duration::from_secs);
    duration.filter(|it| !it.is_zero() && *it <= LONGEST).ok_or_else(wrong)
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

/// A flag's value, if it was given, read as its key's would be.
pub fn flag<T>(
    name: &str,
    text: &Option<String>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, Refused> {
    text.as_deref().map(read).transpose().map_err(|why| Refused::new(format!("{name}: {why}")))
}
