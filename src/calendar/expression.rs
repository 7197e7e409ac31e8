//! Calendar expressions as text: `Mon..Thu 09:00..16:30 Europe/Berlin`, `2026-12-20 .. 2027-01-03: Christmas`.

use std::str::FromStr;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;

use super::{Calendar, DAY, Dates, Key, Period, Times, place};

const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// What an expression looks like, for messages.
const EXAMPLES: &str =
    "write for example Mon..Thu 09:00..16:30 Europe/Berlin, or 2026-12-20..2027-01-03 UTC: Christmas";

impl FromStr for Calendar {
    type Err = String;

    /// Expressions, one on each line, or separated by semicolons.
    fn from_str(text: &str) -> Result<Calendar, String> {
        let lines = text.split(['\n', ';']).map(str::trim).filter(|line| !line.is_empty());
        let periods = lines.map(str::parse).collect::<Result<Vec<Period>, String>>()?;
        if periods.is_empty() { Err(format!("no expression: {EXAMPLES}")) } else { Ok(Calendar { periods }) }
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(line: &str) -> Result<Period, String> {
        let (text, label) = match line.split_once(": ") {
            Some((text, label)) => (text.trim(), Some(label.trim().to_owned())),
            None => (line.trim_end_matches(':').trim(), None),
        };
        period(text, label).map_err(|why| format!("in {text:?}: {why}"))
    }
}

fn period(text: &str, label: Option<String>) -> Result<Period, String> {
    // The ends of a range may stand apart.
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ").replace(" ..", "..").replace(".. ", "..");
    let mut words = joined.split(' ').filter(|word| !word.is_empty()).peekable();
    let weekdays = match words.next_if(|word| is_name(word) && weekday(first_of(word)).is_some()) {
        Some(word) => Some(weekdays(word)?),
        None => None,
    };
    let dates = match words.next_if(|word| is_date(first_of(word))) {
        Some(word) => Some(dates(word, &mut words)?),
        None => None,
    };
    let times = match words.next_if(|word| word.starts_with(|c: char| c.is_ascii_digit())) {
        Some(word) => times(word)?,
        None => Vec::new(),
    };
    if let (Some((first, last)), false) = (&dates, times.is_empty())
        && (first.time.is_some() || last.time.is_some())
    {
        return Err("the dates have times already, so that no others can follow".to_owned());
    }
    let says_nothing = weekdays.is_none() && dates.is_none() && times.is_empty();
    let zone = match words.next_if(|word| is_name(word)) {
        Some(name) => zone(name, says_nothing)?,
        None => TimeZone::system(),
    };
    if let Some(word) = words.next() {
        return Err(format!("{word:?} is not understood here: {EXAMPLES}"));
    }
    if says_nothing {
        return Err(format!("it names no day and no time: {EXAMPLES}"));
    }
    let dates = dates.map(|(first, last)| span(first, last)).transpose()?;
    Ok(Period { text: text.to_owned(), label, weekdays: weekdays.unwrap_or([true; 7]), dates, times, zone })
}

/// Whether a word is neither a date nor a time.
fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic())
}

/// The first of the names or numbers in a word.
fn first_of(word: &str) -> &str {
    let word = word.split([',']).next().unwrap_or_default();
    let word = word.split("..").next().unwrap_or_default();
    if is_name(word) { word.split('-').next().unwrap_or_default() } else { word }
}

fn is_date(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit() || c == '*') && word.contains('-') && !word.contains(':')
}

/// The two ends of a range, or twice the same.
fn ends(item: &str, hyphen: bool) -> Option<(&str, &str)> {
    item.split_once("..").or_else(|| item.split_once('-').filter(|_| hyphen))
}

fn weekday(name: &str) -> Option<Weekday> {
    let name = name.to_lowercase();
    let place = WEEKDAYS.iter().position(|day| *day == name || day[..3] == name)?;
    Weekday::from_monday_zero_offset(i8::try_from(place).ok()?).ok()
}

/// `Mon..Fri`, `Sat,Sun`, `Fri-Mon`.
fn weekdays(word: &str) -> Result<[bool; 7], String> {
    let day = |name: &str| {
        let unknown = || format!("{name:?} is not a weekday: write Mon, Tue, Wed, Thu, Fri, Sat or Sun");
        weekday(name).ok_or_else(unknown)
    };
    let mut days = [false; 7];
    for item in word.split(',') {
        let (first, last) = ends(item, true).unwrap_or((item, item));
        let (mut today, last) = (day(first)?, day(last)?);
        days[place(today)] = true;
        while today != last {
            today = today.next();
            days[place(today)] = true;
        }
    }
    Ok(days)
}

/// One end of a range of dates.
struct Day {
    /// `None`: every year.
    year: Option<i16>,
    /// `None`: every month.
    month: Option<i8>,
    day: i8,
    /// Seconds of the day.
    time: Option<i32>,
}

/// The first and the last day of a word and of the times behind it: `2026-12-20`, `*-12-24..*-12-26`,
/// `2026-12-20 18:00..2027-01-03 08:00`.
fn dates<'a>(
    word: &'a str,
    words: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
) -> Result<(Day, Day), String> {
    // A time that belongs to a date stands alone, or is followed by the date of the other end.
    let is_clock = |word: &str| word.contains(':') && ends(word, true).is_none_or(|(_, end)| is_date(end));
    let mut first_time = None;
    let (first, mut last) = match ends(word, false) {
        Some((first, last)) => (first, Some(last)),
        None => (word, None),
    };
    if last.is_none()
        && let Some(word) = words.next_if(|word| is_clock(word))
    {
        let (time, date) = ends(word, false)
            .ok_or_else(|| format!("{word:?} is one time: write from when to when, as in 09:00..16:30"))?;
        first_time = Some(clock(time, false)?);
        last = Some(date);
    }
    let last_time = match last {
        Some(_) => words.next_if(|word| is_clock(word)).map(|word| clock(word, true)).transpose()?,
        None => None,
    };
    Ok((day(first, first_time)?, day(last.unwrap_or(first), last_time)?))
}

fn day(text: &str, time: Option<i32>) -> Result<Day, String> {
    let wrong = || format!("{text:?} is not a date: write 2026-12-24, *-12-24 for every year, *-*-24 for every month");
    let [year, month, day] = text.splitn(3, '-').collect::<Vec<_>>().try_into().map_err(|_| wrong())?;
    fn number<T: FromStr>(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<T> {
        (digits.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
    }
    let year: Option<i16> = if year == "*" { None } else { Some(number(year, 4..=4).ok_or_else(wrong)?) };
    let month: Option<i8> = if month == "*" { None } else { Some(number(month, 1..=2).ok_or_else(wrong)?) };
    let day: i8 = number(day, 1..=2).ok_or_else(wrong)?;
    if year.is_some() && month.is_none() {
        return Err(wrong());
    }
    // February has 29 days in some years, and some months have 31.
    if Date::new(year.unwrap_or(2000), month.unwrap_or(1), day).is_err() {
        return Err(format!("{text:?} is not a date: there is no such day"));
    }
    Ok(Day { year, month, day, time })
}

fn span(first: Day, last: Day) -> Result<Dates, String> {
    let (has_year, has_month) = (first.year.is_some(), first.month.is_some());
    if (has_year, has_month) != (last.year.is_some(), last.month.is_some()) {
        return Err("the first and the last date must both have a year and a month, or both have * instead".to_owned());
    }
    let key = |day: &Day, time: i32| -> Key {
        (day.year.unwrap_or_default(), day.month.unwrap_or_default(), day.day, day.time.unwrap_or(time))
    };
    let (from, until) = (key(&first, 0), key(&last, DAY));
    if from == until || (has_year && from > until) {
        return Err("the last date is before the first".to_owned());
    }
    Ok(Dates { has_year, has_month, from, until })
}

/// `09:00..16:30`, `09:00-12:00,13:00-16:30`, `22:00..02:00`.
fn times(word: &str) -> Result<Vec<Times>, String> {
    let range = |item: &str| {
        let (from, until) = ends(item, true)
            .ok_or_else(|| format!("{item:?} is not a range of times: write from when to when, as in 09:00..16:30"))?;
        let (from, until) = (clock(from, false)?, clock(until, true)?);
        match from == until {
            true => Err(format!("{item:?} has no time in it: write 00:00..24:00 for the whole day")),
            false => Ok(Times { from, until }),
        }
    };
    word.split(',').map(range).collect()
}

/// `HH:MM`, or with seconds. The end of a day may be written as 24:00.
fn clock(text: &str, is_end: bool) -> Result<i32, String> {
    let parts: Option<Vec<i32>> = text.split(':').map(number_of).collect();
    let seconds = match parts.as_deref() {
        Some([24, 0] | [24, 0, 0]) if is_end => Some(DAY),
        Some([hour @ 0..24, minute @ 0..60]) => Some(hour * 3600 + minute * 60),
        Some([hour @ 0..24, minute @ 0..60, second @ 0..60]) => Some(hour * 3600 + minute * 60 + second),
        _ => None,
    };
    seconds.ok_or_else(|| format!("{text:?} is not a time of day: write 09:00, or 24:00 for the end of a day"))
}

fn number_of(part: &str) -> Option<i32> {
    ((1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse().ok())?
}

/// `alone`: nothing stands ahead of it, so it may as well be meant as a weekday.
fn zone(name: &str, alone: bool) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| {
        let or = if alone { "neither a weekday nor a" } else { "not a" };
        format!(
            "{name:?} is {or} time zone of this host: write a name of /usr/share/zoneinfo (package tzdata), such as \
             Europe/Berlin"
        )
    })
}
