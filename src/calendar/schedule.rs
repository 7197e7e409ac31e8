//! The times at which deployments are allowed, from the windows and the times without.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Calendar, Period};

/// How far ahead the next allowed time is looked for: 29 February is in less than nine years.
const DAYS_AHEAD: i32 = 9 * 366;

/// When deployments are allowed.
#[derive(Debug, Clone, Copy)]
pub struct Schedule<'a> {
    /// When they are; `None`: always.
    pub windows: Option<&'a Calendar>,
    /// When they are not, whatever the windows say.
    pub freeze: Option<&'a Calendar>,
}

/// Why deployments are not allowed at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barred {
    /// The freeze; `None`: no window is open.
    pub freeze: Option<String>,
    /// When they are allowed again: RFC 3339, UTC. `None`: not within the next years.
    pub until: Option<String>,
}

impl Schedule<'_> {
    /// Why deployments are not allowed now; `None`: they are.
    pub fn barred(&self) -> Option<Barred> {
        self.barred_at(Timestamp::now())
    }

    fn barred_at(&self, now: Timestamp) -> Option<Barred> {
        let freeze = self.freeze.and_then(|freeze| freeze.period_at(now)).map(Period::name);
        (freeze.is_some() || !self.allows(now)).then(|| Barred {
            freeze,
            until: self.next(now).map(|then| then.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        })
    }

    fn allows(&self, at: Timestamp) -> bool {
        self.windows.is_none_or(|windows| windows.period_at(at).is_some())
            && self.freeze.is_none_or(|freeze| freeze.period_at(at).is_none())
    }

    /// The first time after `now` that is allowed. Only where an expression begins or ends, or where clocks are set, can
    /// anything change.
    fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let calendars = || self.windows.into_iter().chain(self.freeze);
        let periods: Vec<&Period> = calendars().flat_map(|calendar| &calendar.periods).collect();
        for ahead in 0..DAYS_AHEAD {
            let mut times: Vec<Timestamp> = periods.iter().flat_map(|period| period.changes(now, ahead)).collect();
            times.sort_unstable();
            times.dedup();
            if let Some(then) = times.into_iter().find(|then| *then > now && self.allows(*then)) {
                return Some(then);
            }
        }
        None
    }
}

impl Calendar {
    /// The expression that a time is inside of.
    fn period_at(&self, at: Timestamp) -> Option<&Period> {
        self.periods.iter().find(|period| period.contains(local(at, &period.zone)))
    }
}

impl Period {
    /// What it is called.
    fn name(&self) -> String {
        self.label.clone().unwrap_or_else(|| self.text.clone())
    }

    /// The times, on the day that is so many days ahead of `now` in its zone, at which it may begin or end.
    fn changes(&self, now: Timestamp, ahead: i32) -> Vec<Timestamp> {
        let today = local(now, &self.zone).date();
        let Ok(day) = today.checked_add(jiff::Span::new().days(ahead)) else { return Vec::new() };
        let midnight = day.at(0, 0, 0, 0);
        let mut times: Vec<Timestamp> = self
            .boundaries()
            .filter_map(|second| midnight.checked_add(jiff::Span::new().seconds(second)).ok())
            // A time that the clocks show twice is two times.
            .flat_map(|time| {
                let of = || self.zone.to_ambiguous_timestamp(time);
                [of().earlier().ok(), of().later().ok()]
            })
            .flatten()
            .collect();
        if let Some(first) = times.iter().min().copied() {
            let soon = self.zone.following(first).next().map(|set| set.timestamp());
            times.extend(soon.filter(|set| set.duration_since(first).as_hours() < 25));
        }
        times
    }
}

fn local(at: Timestamp, zone: &TimeZone) -> jiff::civil::DateTime {
    zone.to_datetime(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::told_with_term;

    fn calendar(text: &str) -> Calendar {
        text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    /// Whether a time in UTC is inside an expression.
    fn inside(text: &str, at: &str) -> bool {
        calendar(text).period_at(at.parse().unwrap()).is_some()
    }

    fn barred(windows: &str, freeze: &str, at: &str) -> Option<Barred> {
        let [windows, freeze] = [windows, freeze].map(|text| Some(text).filter(|it| !it.is_empty()).map(calendar));
        let schedule = Schedule { windows: windows.as_ref(), freeze: freeze.as_ref() };
        schedule.barred_at(at.parse().unwrap())
    }

    fn next(windows: &str, freeze: &str, at: &str) -> String {
        barred(windows, freeze, at).expect("barred").until.unwrap_or_else(|| "never".to_owned())
    }

    #[test]
    fn a_window_is_open_from_its_first_minute_to_before_its_last_on_the_clock_of_its_zone() {
        // 2026-11-26 is a Thursday; Berlin is an hour ahead of UTC then.
        for written in ["Mon-Thu 09:00-16:30 Europe/Berlin", "Mon..Thu 9:00 .. 16:30 Europe/Berlin"] {
            assert!(inside(written, "2026-11-26T08:00:00Z") && inside(written, "2026-11-26T15:29:59Z"), "{written}");
            assert!(!inside(written, "2026-11-26T07:59:59Z") && !inside(written, "2026-11-26T15:30:00Z"), "{written}");
            assert!(!inside(written, "2026-11-27T10:00:00Z"), "{written}");
        }
        assert!(inside("monday..FRIDAY,Sun UTC", "2026-11-29T23:59:59Z"));
        assert!(!inside("monday..FRIDAY,Sun UTC", "2026-11-28T00:00:00Z"));
        assert!(inside("Sat..Mon UTC", "2026-11-30T12:00:00Z") && !inside("Sat..Mon UTC", "2026-12-01T12:00:00Z"));
        let breaks = "09:00..12:00,13:00..17:00 UTC";
        assert!(inside(breaks, "2026-11-26T13:00:00Z") && !inside(breaks, "2026-11-26T12:30:00Z"));
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_on_which_it_begins() {
        let night = "Fri 22:00..02:00 UTC";
        for (at, expected) in [
            ("2026-11-27T21:59:59Z", false),
            ("2026-11-27T22:00:00Z", true),
            ("2026-11-28T01:59:59Z", true),
            ("2026-11-28T02:00:00Z", false),
            ("2026-11-28T23:00:00Z", false),
            // The night before.
            ("2026-11-27T01:00:00Z", false),
        ] {
            assert_eq!(inside(night, at), expected, "{at}");
        }
        assert!(
            inside("22:00..24:00 UTC", "2026-11-27T23:59:59Z") && !inside("22:00..24:00 UTC", "2026-11-27T00:00:00Z")
        );
        // The first night of the year began in the old one.
        assert!(inside("2026-12-31 22:00..02:00 UTC", "2027-01-01T01:00:00Z"));
    }

    #[test]
    fn dates_are_whole_days_unless_they_have_times() {
        let freeze = "2026-12-20 .. 2027-01-03 UTC: Christmas";
        assert!(inside(freeze, "2026-12-20T00:00:00Z") && inside(freeze, "2027-01-03T23:59:59Z"));
        assert!(!inside(freeze, "2026-12-19T23:59:59Z") && !inside(freeze, "2027-01-04T00:00:00Z"));
        let exact = "2026-12-20 18:00 .. 2027-01-03 08:00 UTC";
        assert!(inside(exact, "2026-12-20T18:00:00Z") && inside(exact, "2027-01-03T07:59:59Z"));
        assert!(!inside(exact, "2026-12-20T17:59:59Z") && !inside(exact, "2027-01-03T08:00:00Z"));
        let office = "2026-12-20..2026-12-22 09:00..17:00 UTC";
        assert!(inside(office, "2026-12-22T16:00:00Z") && !inside(office, "2026-12-21T08:00:00Z"));
        assert!(inside("2026-12-24 UTC", "2026-12-24T12:00:00Z") && !inside("2026-12-24 UTC", "2026-12-25T00:00:00Z"));
        assert!(inside("Fri 2026-12-20..2027-01-03 UTC", "2026-12-25T12:00:00Z"));
        assert!(!inside("Fri 2026-12-20..2027-01-03 UTC", "2026-12-24T12:00:00Z"));
    }

    #[test]
    fn a_star_stands_for_every_year_and_every_month() {
        let yearly = "*-12-20..*-01-03 UTC";
        assert!(
            ["2026-12-31", "2030-01-03", "2031-12-20"].iter().all(|day| inside(yearly, &format!("{day}T12:00:00Z")))
        );
        assert!(
            ["2026-12-19", "2030-01-04", "2030-06-01"].iter().all(|day| !inside(yearly, &format!("{day}T12:00:00Z")))
        );
        let month_end = "*-*-30..*-*-01 UTC";
        assert!(
            ["2026-06-30", "2026-05-31", "2026-07-01"].iter().all(|day| inside(month_end, &format!("{day}T12:00:00Z")))
        );
        assert!(!inside(month_end, "2026-07-02T00:00:00Z"));
    }

    #[test]
    fn an_hour_that_is_skipped_does_not_occur_and_one_that_is_repeated_counts_twice() {
        // On 2026-03-29 clocks in Berlin go from 02:00 to 03:00, at 01:00 UTC.
        let skipped = "02:15..02:45 Europe/Berlin";
        assert!(!inside(skipped, "2026-03-29T00:59:59Z") && !inside(skipped, "2026-03-29T01:00:00Z"));
        assert_eq!(next(skipped, "", "2026-03-29T00:00:00Z"), "2026-03-30T00:15:00Z", "the day after, in summer time");
        // The window opens in the middle, with the first minute of its that there is.
        assert_eq!(next("02:15..04:00 Europe/Berlin", "", "2026-03-29T00:00:00Z"), "2026-03-29T01:00:00Z");
        // On 2026-10-25 they go from 03:00 to 02:00, at 01:00 UTC.
        let twice = "02:00..02:30 Europe/Berlin";
        let times = ["00:00", "00:29", "01:00", "01:29"].map(|time| format!("2026-10-25T{time}:00Z"));
        assert!(times.iter().all(|at| inside(twice, at)) && !inside(twice, "2026-10-25T00:30:00Z"));
        assert_eq!(next(twice, "", "2026-10-25T00:30:00Z"), "2026-10-25T01:00:00Z");
        assert_eq!(next("02:30..02:45 Europe/Berlin", "", "2026-10-25T00:50:00Z"), "2026-10-25T01:30:00Z");
        // 09:00 is 09:00 before and after.
        assert_eq!(next("09:00..10:00 Europe/Berlin", "", "2026-10-24T20:00:00Z"), "2026-10-25T08:00:00Z");
        assert_eq!(next("09:00..10:00 Europe/Berlin", "", "2026-10-23T20:00:00Z"), "2026-10-24T07:00:00Z");
    }

    #[test]
    fn the_next_allowed_time_is_in_a_window_and_in_no_freeze() {
        let (windows, freeze) = ("Mon-Thu 09:00-16:30 Europe/Berlin\nFri 09:00-12:00 Europe/Berlin", "");
        assert_eq!(barred(windows, freeze, "2026-11-27T10:00:00Z"), None);
        assert_eq!(next(windows, freeze, "2026-11-27T11:00:00Z"), "2026-11-30T08:00:00Z");
        let freeze = "2026-12-20 .. 2027-01-03 Europe/Berlin: Christmas; 2027-01-04 10:00..2027-01-04 11:00 UTC";
        let found = barred(windows, freeze, "2026-12-22T10:00:00Z").unwrap();
        assert_eq!(found.freeze.as_deref(), Some("Christmas"));
        assert_eq!(found.until.as_deref(), Some("2027-01-04T08:00:00Z"), "a Monday, an hour behind Berlin");
        assert_eq!(next("", freeze, "2027-01-04T10:30:00Z"), "2027-01-04T11:00:00Z", "a freeze without windows");
        let unnamed = barred("", freeze, "2027-01-04T10:30:00Z").unwrap();
        assert_eq!(unnamed.freeze.as_deref(), Some("2027-01-04 10:00..2027-01-04 11:00 UTC"));
        assert_eq!(barred(windows, "", "2026-11-28T10:00:00Z").unwrap().freeze, None);
        // Each in its own zone.
        assert_eq!(next("00:00..24:00 UTC", "08:00..18:00 Asia/Tokyo", "2026-11-26T01:00:00Z"), "2026-11-26T09:00:00Z");
        assert_eq!(next("*-02-29 UTC", "", "2026-11-26T01:00:00Z"), "2028-02-29T00:00:00Z");
        assert_eq!(next("2020-01-01 UTC", "", "2026-11-26T01:00:00Z"), "never");
    }

    #[test]
    fn a_word_that_is_wrong_is_named_with_what_to_write() {
        told_with_term(
            str::parse::<Calendar>,
            &[
                ("Mox 09:00..10:00", "\"Mox\"", "neither a weekday nor a time zone"),
                ("Mon..Fry 09:00..10:00", "\"Fry\"", "is not a weekday"),
                ("Mon 09:00..10:00 Europe/Berln", "\"Europe/Berln\"", "is not a time zone of this host"),
                ("Mon 09:00..25:00", "\"25:00\"", "is not a time of day"),
                ("Mon 24:00..10:00", "\"24:00\"", "is not a time of day"),
                ("Mon 09:00", "\"09:00\"", "is not a range of times"),
                ("Mon 9..10", "\"9\"", "is not a time of day"),
                ("09:00..09:00", "\"09:00..09:00\"", "has no time in it"),
                ("2026-02-30", "\"2026-02-30\"", "there is no such day"),
                ("2026-13-01", "\"2026-13-01\"", "there is no such day"),
                ("2026-12-3x", "\"2026-12-3x\"", "is not a date"),
                ("2027-01-03..2026-12-20", "", "the last date is before the first"),
                ("2026-12-20..*-01-03", "", "both have a year"),
                ("2026-*-03", "\"2026-*-03\"", "is not a date"),
                ("2026-12-20 18:00", "\"18:00\"", "is one time"),
                ("2026-12-20 18:00..2026-12-21 10:00 11:00..12:00", "", "have times already"),
                ("Mon 09:00..10:00 UTC UTC", "\"UTC\"", "is not understood here"),
                ("UTC", "", "it names no day and no time"),
                ("always", "\"always\"", "neither a weekday nor a time zone"),
                (" ; ", "", "no expression"),
                ("Mön 09:00..10:00", "\"Mön\"", "neither a weekday nor a time zone"),
                ("..", "\"..\"", "is not understood here"),
                ("Mon..", "\"\"", "is not a weekday"),
                ("*-..*-", "\"*-\"", "is not a date"),
                ("-1 09:00..10:00", "\"-1\"", "is not understood here"),
            ],
        );
        let second = "Mon UTC\nTue 9.30..10:00 UTC: late".parse::<Calendar>().unwrap_err();
        assert!(second.contains("in \"Tue 9.30..10:00 UTC\": \"9.30\" is not a time of day"), "{second}");
    }
}
