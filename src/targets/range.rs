//! Ranges within host names: `web[01:20].example.org`.

use super::names::check_host_part;

/// The most names that the ranges of one term may stand for. A range is matched by its numbers, so this bounds the
/// search for names that are no target.
const MOST_NAMES: u64 = 100_000;

#[derive(Debug, Clone)]
pub(super) enum Range {
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

impl Range {
    /// How many bytes of the beginning of `text` can be one of the range's names.
    pub(super) fn lengths(&self, text: &[u8]) -> Vec<usize> {
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

    pub(super) fn names(&self) -> Vec<String> {
        match *self {
            Range::Letters { from, to } => (from..=to).map(|letter| char::from(letter).to_string()).collect(),
            Range::Numbers { from, to, width } => (from..=to).map(|number| format!("{number:0width$}")).collect(),
        }
    }

    /// Reads `01:20`, `01-20`, `a:c`, `7`.
    fn read(text: &str) -> Result<Range, String> {
        let wrong = || format!("{text:?} is not a range: write [1:9], [01:20] or [a:c]");
        let (from, to) = text.split_once([':', '-']).unwrap_or((text, text));
        let digits = |text: &str| (1..=18).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if digits(from) && digits(to) {
            let padded = from.len() > 1 && from.starts_with('0');
            let width = if padded { from.len() } else { 0 };
            let (first, last): (u64, u64) = (from.parse().map_err(|_| wrong())?, to.parse().map_err(|_| wrong())?);
            if to.len() < width || (!padded && to.len() > 1 && to.starts_with('0')) {
                return Err(format!("the ends of the range {text:?} have different numbers of digits"));
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

/// Counts the names that a term stands for.
pub(super) struct Names(u64);

impl Names {
    pub(super) fn new() -> Names {
        Names(1)
    }

    /// Reads what stands between brackets: ranges separated by commas.
    pub(super) fn ranges(&mut self, inside: &str) -> Result<Vec<Range>, String> {
        let ranges = inside.split(',').map(|range| Range::read(range.trim())).collect::<Result<Vec<_>, _>>()?;
        let here = ranges.iter().fold(0, |sum: u64, range| sum.saturating_add(range.count()));
        self.0 = self.0.saturating_mul(here);
        match self.0 > MOST_NAMES {
            true => Err(format!("its ranges match more than {MOST_NAMES} names: write `*`")),
            false => Ok(ranges),
        }
    }
}

/// What stands between a bracket at the beginning of `text` and the next closing one.
pub(super) fn bracket(text: &str) -> Result<&str, String> {
    let inside = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    inside.map(|(inside, _)| inside).ok_or_else(|| "a bracket is not closed".into())
}

/// The names that a term of a list stands for. Here brackets hold ranges and nothing else.
///
/// # Errors
/// When it has wildcards, which stand for no names of their own, or is no term at all.
pub(super) fn names(term: &str) -> Result<Vec<String>, String> {
    if term.contains(['*', '?', '~', '!']) {
        return Err("it matches no name: write names and ranges only".into());
    }
    let lower = term.to_ascii_lowercase();
    let (mut names, mut count, mut rest) = (vec![String::new()], Names::new(), lower.as_str());
    while !rest.is_empty() {
        let endings = if rest.starts_with('[') {
            let inside = bracket(rest)?;
            rest = &rest[inside.len() + 2..];
            count.ranges(inside)?.iter().flat_map(Range::names).collect()
        } else {
            let (plain, after) = rest.split_at(rest.find('[').unwrap_or(rest.len()));
            rest = after;
            check_host_part(plain)?;
            vec![plain.to_owned()]
        };
        names = names.iter().flat_map(|name| endings.iter().map(move |end| format!("{name}{end}"))).collect();
    }
    Ok(names)
}
