//! The time of day, in the few forms that Hoist writes it.

use std::time::Duration;

use jiff::{Timestamp, ZonedDateTime};

/// `HH:MM:SS`, local time: the beginning of an operator's line.
pub fn hms() -> String {
    ZonedDateTime::now().strftime("%H:%M:%S").to_string()
}

/// `HH:MM:SS`, local time, of a time in RFC 3339, or of a local one as Python's logging writes it
/// (`2026-11-23 14:45:52,123`).
pub fn hms_of(time: &str) -> Option<String> {
    if let Ok(then) = time.parse::<Timestamp>() {
        return Some(local_hms(then));
    }
    let then: jiff::civil::DateTime = time.replacen(',', ".", 1).parse().ok()?;
    Some(then.strftime("%H:%M:%S").to_string())
}

/// The same of a time in seconds since 1970.
pub fn hms_at(seconds: f64) -> Option<String> {
    // A fraction of a second more or less shows nowhere; what is far from any time is an error.
    Timestamp::from_second(seconds as i64).ok().map(local_hms)
}

fn local_hms(then: Timestamp) -> String {
    then.to_zoned_datetime(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string()
}

/// `2026-11-23T14:45:52.123Z`: RFC 3339 to the millisecond, in UTC, for records that machines read.
pub fn rfc3339_utc() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// The same, of a moment that is so far ahead. `None`: beyond every calendar.
pub fn rfc3339_in(ahead: Duration) -> Option<String> {
    let then = Timestamp::now().as_second().checked_add(i64::try_from(ahead.as_secs()).ok()?)?;
    Some(Timestamp::from_second(then).ok()?.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// A duration as people write it: a number is seconds, `90` or `0.5`; otherwise a number and a unit, or several of them,
/// `90s`, `5m`, `1h30m`, `2d`. A day has 24 hours. `None`: it is no duration, or negative.
pub fn duration(text: &str) -> Option<Duration> {
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Duration::try_from_secs_f64(text.parse().ok()?).ok();
    }
    // Its reader would take a sign.
    let text = text.starts_with(|c: char| c.is_ascii_digit()).then_some(text)?;
    let span = jiff::fmt::friendly::SpanParser::new().parse_span(text).ok()?;
    span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?.try_into().ok()
}

/// A duration as people read it, in whole seconds: `1h 30m`.
pub fn lasting(duration: Duration) -> String {
    match jiff::SignedDuration::try_from(Duration::from_secs(duration.as_secs())) {
        Ok(whole) => format!("{whole:#}"),
        Err(_) => format!("{} s", duration.as_secs()),
    }
}

/// Which end of a day is meant by a date without a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfDay {
    Beginning,
    End,
}

/// A moment of the past as people write it, in seconds since 1970: an age (`2d`, `90m`), a date (`2026-11-23`), a date with
/// a time (`2026-11-23 14:45`), or a time in RFC 3339. Without a zone it is local time. `None`: it is none of these.
pub fn moment(text: &str, of_day: OfDay) -> Option<f64> {
    let zone = jiff::tz::TimeZone::system();
    let local = |civil: jiff::civil::DateTime| civil.to_zoned_datetime(zone).ok().map(|then| then.timestamp());
    let moment = if let Ok(moment) = text.parse::<Timestamp>() {
        Some(moment)
    } else if let (false, Ok(date)) = (text.contains([':', 'T', ' ']), text.parse::<jiff::civil::Date>()) {
        let date = if of_day == OfDay::End { date.tomorrow().ok()? } else { date };
        local(date.at(0, 0, 0, 0))
    } else if let Ok(civil) = text.parse::<jiff::civil::DateTime>() {
        local(civil)
    } else {
        Timestamp::now().checked_sub(duration(text)?).ok()
    };
    moment.map(|moment| moment.as_duration().as_secs_f64())
}

/// Seconds from one time in RFC 3339 to another; `None`: one of them is no such time.
pub fn seconds_between(begin: &str, end: &str) -> Option<f64> {
    let (begin, end): (Timestamp, Timestamp) = (begin.parse().ok()?, end.parse().ok()?);
    Some(end.duration_since(begin).as_secs_f64())
}

/// Seconds since 1970 of a time in RFC 3339; `None`: it is no such time.
pub fn unix_seconds(time: &str) -> Option<f64> {
    seconds_between("1970-01-01T00:00:00Z", time)
}

/// Milliseconds since 1970 of a time in RFC 3339; `None`: it is no such time.
pub fn unix_millis(time: &str) -> Option<i64> {
    Some(time.parse::<Timestamp>().ok()?.as_millisecond())
}

/// `2026-11-23T14:45:52.123Z`, of a time in milliseconds since 1970. `None`: beyond every calendar.
pub fn utc_of_millis(millis: i64) -> Option<String> {
    Some(Timestamp::from_millisecond(millis).ok()?.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}

/// Seconds since 1970.
pub fn seconds() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or(0)
}

/// `2026-11-23T14:45:52Z`, of a time in seconds since 1970. `None`: beyond every calendar.
pub fn utc_of(seconds: u64) -> Option<String> {
    let then = Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?;
    Some(then.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// `Mon Nov 23 14:45:52 2026`, UTC, as C's asctime writes it.
pub fn asctime_utc() -> String {
    Timestamp::now().strftime("%a %b %e %H:%M:%S %Y").to_string()
}

/// Such a time in RFC 3339. `None`: it is none.
pub fn rfc3339_of_asctime(time: &str) -> Option<String> {
    let civil = jiff::civil::DateTime::strptime("%a %b %e %H:%M:%S %Y", time).ok()?;
    Some(civil.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// `2026-11-23`, the day of a deployment's tag. It is the day in UTC, so that operators whose shells stand in different
/// time zones number the same day.
pub fn date() -> String {
    Timestamp::now().strftime("%Y-%m-%d").to_string()
}

/// `20261123T144552.123Z`, UTC: the beginning of a run id. It sorts by time as text.
pub fn run_id_stamp() -> String {
    Timestamp::now().strftime("%Y%m%dT%H%M%S.%3fZ").to_string()
}

/// `2026-11-23T14:45:52.123Z`, of the beginning of a run id ([`run_id_stamp`]). `None`: it does not begin with a time.
pub fn rfc3339_of_run(run: &str) -> Option<String> {
    let stamp = run.split('-').next()?;
    let civil: jiff::civil::DateTime = stamp.strip_suffix('Z')?.parse().ok()?;
    Some(civil.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}

/// `2026-11-23 14:45`, local time, of a time in RFC 3339; what is no such time is given back as it is.
pub fn local_minute(time: &str) -> String {
    local(time, "%Y-%m-%d %H:%M")
}

/// `2026-11-23 14:45 CET`: the same with its time zone, for sentences that travel from host to host, and into logs.
pub fn local_with_zone(time: &str) -> String {
    local(time, "%Y-%m-%d %H:%M %Z")
}

fn local(time: &str, form: &str) -> String {
    let Ok(then) = time.parse::<Timestamp>() else { return time.to_owned() };
    then.to_zoned_datetime(jiff::tz::TimeZone::system()).strftime(form).to_string()
}

/// How long ago a time in the form of [`rfc3339_utc`] was, for people: `just now`, `5 min ago`, `3 h ago`, `12 d ago`.
/// What is no such time is given back as it is.
pub fn ago(time: &str) -> String {
    let Ok(then) = time.parse::<Timestamp>() else { return time.to_owned() };
    match Timestamp::now().as_second() - then.as_second() {
        ..60 => "just now".to_owned(),
        seconds @ ..3600 => format!("{} min ago", seconds / 60),
        seconds @ ..172_800 => format!("{} h ago", seconds / 3600),
        seconds => format!("{} d ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text with every digit written as `9`.
    fn shape(text: &str) -> String {
        text.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect()
    }

    #[test]
    fn each_form_has_its_fixed_shape() {
        assert_eq!(shape(&hms()), "99:99:99");
        assert_eq!(shape(&rfc3339_utc()), "9999-99-99T99:99:99.999Z");
        assert_eq!(shape(&date()), "9999-99-99");
        assert_eq!(shape(&run_id_stamp()), "99999999T999999.999Z");
        let zoned = local_with_zone("2026-11-23T14:45:52.123Z");
        assert_eq!(shape(&zoned[..17]), "9999-99-99 99:99 ", "{zoned}");
        assert!(zoned.len() > 17 && local_with_zone("some day") == "some day", "{zoned}");
    }

    #[test]
    fn a_run_id_tells_when_its_run_began() {
        let time = "2026-11-23T14:45:52.123Z";
        assert_eq!(rfc3339_of_run("20261123T144552.123Z-4711-7d3f").as_deref(), Some(time));
        assert!(rfc3339_of_run(&format!("{}-1-aaaa", run_id_stamp())).is_some());
        assert_eq!(rfc3339_of_run("yesterday").or(rfc3339_of_run("2026Txx-1")), None);
    }

    #[test]
    fn milliseconds_since_1970_read_back() {
        let time = "2026-11-23T14:45:52.123Z";
        assert_eq!(unix_millis(time).and_then(utc_of_millis).as_deref(), Some(time));
        assert_eq!((unix_millis("some day"), utc_of_millis(i64::MAX)), (None, None));
    }

    #[test]
    fn moments_are_ages_dates_and_times() {
        let of = |text: &str| moment(text, OfDay::Beginning);
        assert_eq!(of("2026-11-23T14:45:52Z"), unix_seconds("2026-11-23T14:45:52Z"));
        assert_eq!(of("2026-11-23T14:45:52+01:00"), unix_seconds("2026-11-23T13:45:52Z"));
        let (day, next) = (of("2026-11-23").unwrap(), of("2026-11-24").unwrap());
        assert!((next - day - 86_400.0).abs() < 1.0, "{day} {next}");
        assert_eq!(moment("2026-11-23", OfDay::End), Some(next));
        for minute in ["2026-11-23 14:45", "2026-11-23T14:45", "2026-11-23 14:45:00"] {
            assert_eq!(of(minute), Some(day + (14.0 * 60.0 + 45.0) * 60.0), "{minute}");
            assert_eq!(moment(minute, OfDay::End), of(minute));
        }
        let age = |text: &str| Timestamp::now().as_second() as f64 - of(text).unwrap();
        assert!((age("2d") - 172_800.0).abs() < 60.0 && (age("1h30m") - 5400.0).abs() < 60.0);
        assert!((age("2w") - 14.0 * 86_400.0).abs() < 60.0);
        for wrong in ["", "soon", "-2d", "2026-13-01", "2026-11-31", "14:45", "2026-11-23 25:00", "-1", "2x"] {
            assert_eq!(of(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn times_of_scap_are_read() {
        assert_eq!(rfc3339_of_asctime("Mon Nov 23 04:05:52 2026").as_deref(), Some("2026-11-23T04:05:52Z"));
        assert!(rfc3339_of_asctime(&asctime_utc()).is_some());
        assert_eq!(rfc3339_of_asctime("some day"), None);
    }

    #[test]
    fn times_gone_by_are_told_roughly() {
        let before = |seconds: i64| {
            let then = Timestamp::from_second(Timestamp::now().as_second() - seconds).unwrap();
            ago(&then.to_string())
        };
        // A clock that was set back is no reason to tell of the future.
        let told: Vec<_> = [-500, 0, 59, 150, 2 * 3600 + 5, 3 * 86_400 + 5].into_iter().map(before).collect();
        assert_eq!(told, ["just now", "just now", "just now", "2 min ago", "2 h ago", "3 d ago"]);
        assert_eq!(ago("some day"), "some day");
    }

    #[test]
    fn the_utc_forms_read_back_as_times() {
        let earlier = Timestamp::now();
        let parsed: Timestamp = rfc3339_utc().parse().unwrap();
        assert!((parsed.as_second() - earlier.as_second()).abs() < 60);
    }
}
