//! What a plain scalar is to PyYAML: YAML 1.1, as its resolver and its safe constructors have it.

use super::Value;

/// The value of a scalar; `plain`: it stands without quotes. A tag says its type, which is not guessed then.
///
/// # Errors
/// When it is not of that type, or cannot be kept.
pub fn value(text: &str, plain: bool, tag: Option<&str>) -> Result<Value, String> {
    let wrong = |name: &str| format!("not a valid !!{name}");
    Ok(match tag {
        None if !plain => Value::Text(text.to_owned()),
        // This tag says to guess, even what stands in quotes.
        None | Some("!") => self::plain(text)?,
        Some("str") => Value::Text(text.to_owned()),
        Some("null") => Value::Null,
        Some(tag @ "bool") => match text.to_lowercase().as_str() {
            "yes" | "true" | "on" => Value::Bool(true),
            "no" | "false" | "off" => Value::Bool(false),
            _ => return Err(wrong(tag)),
        },
        Some(tag @ "int") => tagged_int(text)?.ok_or_else(|| wrong(tag))?,
        Some(tag @ "float") => Value::Float(tagged_float(text).ok_or_else(|| wrong(tag))?),
        Some(tag @ "timestamp") => Value::Date(date(text)?.ok_or_else(|| wrong(tag))?),
        Some(tag @ ("seq" | "map")) => return Err(wrong(tag)),
        Some(name) => return Err(unknown_tag(name)),
    })
}

pub fn unknown_tag(name: &str) -> String {
    let shown = if name.starts_with('!') { name.to_owned() } else { format!("!!{name}") };
    format!("unknown tag {shown}: remove it")
}

/// A whole number by its tag: in more spellings than it is guessed from.
fn tagged_int(text: &str) -> Result<Option<Value>, String> {
    let digits = text.replace('_', "");
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, digits.strip_prefix('+').unwrap_or(&digits)),
    };
    let of = |digits: &str, base: u32| match digits.is_empty() || !digits.chars().all(|c| c.is_digit(base)) {
        true => Ok(None),
        false => i128::from_str_radix(digits, base).map(Some).map_err(|_| TOO_LONG.to_owned()),
    };
    let size = if let Some(digits) = digits.strip_prefix("0b") {
        of(digits, 2)?
    } else if let Some(digits) = digits.strip_prefix("0x") {
        of(digits, 16)?
    } else if digits.len() > 1 && digits.starts_with('0') {
        of(digits.strip_prefix("0o").unwrap_or(digits), 8)?
    } else if digits.contains(':') {
        let mut size = Some(0i128);
        for part in digits.split(':') {
            let part = of(part, 10)?;
            size = size.zip(part).and_then(|(size, part)| size.checked_mul(60)?.checked_add(part));
        }
        size
    } else {
        of(digits.trim(), 10)?
    };
    Ok(size.map(|size| whole(sign * size)))
}

/// A number by its tag.
fn tagged_float(text: &str) -> Option<f64> {
    let text = text.replace('_', "").to_lowercase();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1.0, digits),
        None => (1.0, text.strip_prefix('+').unwrap_or(&text)),
    };
    let plain = |digits: &str| {
        let digits = digits.trim();
        let signed = digits.trim_start_matches(['+', '-']);
        let number = signed.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            || ["inf", "infinity", "nan"].contains(&signed);
        digits.parse::<f64>().ok().filter(|_| number)
    };
    let size = match digits {
        ".inf" => f64::INFINITY,
        ".nan" => f64::NAN,
        _ if digits.contains(':') => digits.split(':').try_fold(0.0, |size, part| Some(size * 60.0 + plain(part)?))?,
        _ => plain(digits)?,
    };
    Some(sign * size)
}

pub(super) const TOO_LONG: &str = "a number with too many digits: put it in quotes";

pub(super) fn whole(number: i128) -> Value {
    match (i64::try_from(number), u64::try_from(number)) {
        (Ok(number), _) => Value::Int(number),
        (_, Ok(number)) => Value::UInt(number),
        _ => Value::BigInt(number),
    }
}

/// The value of a scalar that stands without quotes and without a tag.
///
/// # Errors
/// When it looks like a number or a date, and is none that could be kept.
fn plain(text: &str) -> Result<Value, &'static str> {
    let cases = |word: &str| {
        let capital = word[..1].to_uppercase() + &word[1..];
        text == word || text == capital || text == word.to_uppercase()
    };
    if matches!(text, "" | "~") || cases("null") {
        return Ok(Value::Null);
    }
    if ["yes", "true", "on"].into_iter().any(cases) {
        return Ok(Value::Bool(true));
    }
    if ["no", "false", "off"].into_iter().any(cases) {
        return Ok(Value::Bool(false));
    }
    match text {
        "<<" => return Ok(Value::Merge),
        "=" => return Err("= is a special value in YAML, which is not supported: put it in quotes"),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        return Ok(Value::Text(text.to_owned()));
    }
    if let Some(number) = integer(text)? {
        return Ok(number);
    }
    if let Some(number) = float(text) {
        return Ok(Value::Float(number));
    }
    if let Some(date) = date(text)? {
        return Ok(Value::Date(date));
    }
    Ok(Value::Text(text.to_owned()))
}

fn integer(text: &str) -> Result<Option<Value>, &'static str> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let all = |digits: &str, wanted: fn(u8) -> bool| {
        !digits.is_empty() && digits.bytes().all(|byte| byte == b'_' || wanted(byte))
    };
    let (digits, base) = if let Some(digits) =
        digits.strip_prefix("0b").filter(|it| all(it, |b| matches!(b, b'0' | b'1')))
    {
        (digits, 2)
    } else if let Some(digits) = digits.strip_prefix("0x").filter(|it| all(it, |b| b.is_ascii_hexdigit())) {
        (digits, 16)
    } else if digits == "0" {
        (digits, 10)
    } else if let Some(digits) = digits.strip_prefix('0').filter(|it| all(it, |b| matches!(b, b'0'..=b'7'))) {
        (digits, 8)
    } else if digits.starts_with(|c: char| ('1'..='9').contains(&c)) && all(digits, |b| b.is_ascii_digit()) {
        (digits, 10)
    } else {
        return Ok(sexagesimal(digits).and_then(|(whole, rest)| rest.is_empty().then_some(Value::Int(sign * whole))));
    };
    let digits = digits.replace('_', "");
    let size = i128::from_str_radix(&digits, base).map_err(|_| TOO_LONG)?;
    Ok(Some(whole(i128::from(sign) * size)))
}

/// `1:30` is ninety. What follows the last part is given back: nothing, or a fraction.
fn sexagesimal(digits: &str) -> Option<(i64, &str)> {
    let (whole, rest) = match digits.find('.') {
        Some(at) => digits.split_at(at),
        None => (digits, ""),
    };
    let mut parts = whole.split(':');
    let first = parts.next()?;
    let fits =
        first.starts_with(|c: char| c.is_ascii_digit()) && first.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    // A whole number of this kind begins with no zero, a fraction may.
    if !fits || rest.is_empty() && first.starts_with('0') || !whole.contains(':') {
        return None;
    }
    let mut number: i64 = first.replace('_', "").parse().ok()?;
    for part in parts {
        let fits = matches!(part.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']);
        number = number.checked_mul(60)?.checked_add(part.parse().ok().filter(|_| fits)?)?;
    }
    Some((number, rest))
}

fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return Some(sign * f64::INFINITY);
    }
    if matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(f64::NAN);
    }
    let is_fraction = |rest: &str| rest.starts_with('.') && rest[1..].bytes().all(|b| b.is_ascii_digit() || b == b'_');
    if let Some((whole, rest)) = sexagesimal(unsigned).filter(|(_, rest)| is_fraction(rest)) {
        let fraction: f64 = format!("0{}", rest.replace('_', "")).parse().ok()?;
        return Some(sign * (whole as f64 + fraction));
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.')?;
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let starts = |part: &str| part.starts_with(|c: char| c.is_ascii_digit());
    let fits = if whole.is_empty() { starts(fraction) && unsigned == text } else { starts(whole) && digits(whole) };
    let exponent_fits = exponent.is_none_or(|exponent| {
        exponent
            .strip_prefix(['+', '-'])
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    });
    if !fits || !digits(fraction) || !exponent_fits {
        return None;
    }
    text.replace('_', "").parse().ok()
}

/// `2026-01-02`, or with a time, as Python's `str` writes it.
fn date(text: &str) -> Result<Option<String>, &'static str> {
    let Some((year, rest)) = text.split_once('-').filter(|(year, _)| year.len() == 4 && number(year).is_some()) else {
        return Ok(None);
    };
    let Some((month, rest)) = rest.split_once('-') else { return Ok(None) };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (day, time) = rest.split_at(end);
    let (Some(y), Some(m), Some(d)) = (number(year), number(month), number(day)) else { return Ok(None) };
    if month.len() > 2 || day.len() > 2 || time.is_empty() && (month.len() < 2 || day.len() < 2) {
        return Ok(None);
    }
    let time = match time.is_empty() {
        true => String::new(),
        false => match time_of(time) {
            Some(time) => time?,
            None => return Ok(None),
        },
    };
    let leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    let days = match m {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if y == 0 || !(1..=12).contains(&m) || !(1..=days).contains(&d) {
        return Err("this date does not exist: put it in quotes if it is text");
    }
    Ok(Some(format!("{year}-{m:02}-{d:02}{time}")))
}

fn number(digits: &str) -> Option<u32> {
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

/// ` 12:34:56.500000+01:00`; `None`: it is no time.
fn time_of(text: &str) -> Option<Result<String, &'static str>> {
    let blanks = text.trim_start_matches([' ', '\t']);
    let clock = if blanks.len() < text.len() { blanks } else { text.strip_prefix(['T', 't'])? };
    let (hour, rest) = clock.split_once(':')?;
    let (minute, rest) = rest.split_once(':')?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (second, mut rest) = rest.split_at(end);
    let (h, m, s) = (number(hour)?, number(minute)?, number(second)?);
    if hour.len() > 2 || minute.len() != 2 || second.len() != 2 {
        return None;
    }
    let mut fraction = String::new();
    if let Some(after) = rest.strip_prefix('.') {
        let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        let digits = format!("{:0<6.6}", &after[..end]);
        if digits != "000000" {
            fraction = format!(".{digits}");
        }
        rest = &after[end..];
    }
    let zone = rest.trim_start_matches([' ', '\t']);
    let zone = match zone {
        "" if rest.is_empty() => String::new(),
        "Z" => "+00:00".to_owned(),
        zone => {
            let (sign, zone) = zone.split_at_checked(1).filter(|(sign, _)| matches!(*sign, "+" | "-"))?;
            let (hours, minutes) = zone.split_once(':').unwrap_or((zone, "00"));
            let (h, m) = (number(hours)?, number(minutes)?);
            if hours.len() > 2 || minutes.len() != 2 {
                return None;
            }
            if h * 60 + m >= 24 * 60 {
                return Some(Err("this time zone does not exist: put it in quotes if it is text"));
            }
            let (h, m) = (h + m / 60, m % 60);
            format!("{}{h:02}:{m:02}", if h + m == 0 { "+" } else { sign })
        }
    };
    if h > 23 || m > 59 || s > 59 {
        return Some(Err("this time does not exist: put it in quotes if it is text"));
    }
    Some(Ok(format!(" {h:02}:{m:02}:{s:02}{fraction}{zone}")))
}
