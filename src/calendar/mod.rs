//! When deployments are allowed: calendar expressions, evaluated on the clock of their time zone.
//!
//! A time is inside an expression if the local clock shows it then. So an hour that is repeated when clocks are set back
//! counts twice, and one that is skipped when they are set forward does not occur.

mod expression;
mod schedule;

pub use schedule::{Barred, Schedule};

use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZone;

/// Seconds of a day, by its clock.
const DAY: i32 = 24 * 60 * 60;

/// Several expressions: a time is inside if it is inside one of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Calendar {
    periods: Vec<Period>,
}

/// One expression: the days and times that it names.
#[derive(Debug, Clone, PartialEq)]
struct Period {
    /// As it was written, without the label.
    text: String,
    /// What is said of it: `Christmas`.
    label: Option<String>,
    /// From Monday on.
    weekdays: [bool; 7],
    dates: Option<Dates>,
    /// Empty: all day.
    times: Vec<Times>,
    zone: TimeZone,
}

/// Days from one to another, or from a time of one to a time of another.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Dates {
    /// Otherwise they are those of every year.
    has_year: bool,
    /// Otherwise they are those of every month.
    has_month: bool,
    from: Key,
    /// The first moment that is not inside.
    until: Key,
}

/// Year, month, day and seconds of the day; what is the same in all of a range is 0.
type Key = (i16, i8, i8, i32);

/// Seconds of the day, from one to before another. One that ends before it begins ends on the next day.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Times {
    from: i32,
    until: i32,
}

impl Dates {
    fn key(&self, at: DateTime) -> Key {
        let year = if self.has_year { at.year() } else { 0 };
        let month = if self.has_month { at.month() } else { 0 };
        (year, month, at.day(), second(at))
    }

    fn contains(&self, at: DateTime) -> bool {
        let key = self.key(at);
        match self.from < self.until {
            true => self.from <= key && key < self.until,
            // Over the end of the year, or of the month.
            false => self.from <= key || key < self.until,
        }
    }
}

impl Period {
    fn contains(&self, at: DateTime) -> bool {
        let is_day = |at: DateTime| {
            self.weekdays[place(at.weekday())] && self.dates.as_ref().is_none_or(|dates| dates.contains(at))
        };
        if self.times.is_empty() {
            return is_day(at);
        }
        let now = second(at);
        self.times.iter().any(|times| match times.from < times.until {
            true => times.from <= now && now < times.until && is_day(at),
            false => {
                let yesterday = || Some(at.date().yesterday().ok()?.to_datetime(at.time()));
                let began_yesterday = || yesterday().is_some_and(is_day);
                (times.from <= now && is_day(at)) || (now < times.until && began_yesterday())
            }
        })
    }

    /// The seconds of a day at which it may begin or end.
    fn boundaries(&self) -> impl Iterator<Item = i32> + '_ {
        let times = self.times.iter().flat_map(|times| [times.from, times.until]);
        let dates = self.dates.iter().flat_map(|dates| [dates.from.3, dates.until.3]);
        [0].into_iter().chain(times).chain(dates).filter(|second| *second < DAY)
    }
}

fn second(at: DateTime) -> i32 {
    i32::from(at.hour()) * 3600 + i32::from(at.minute()) * 60 + i32::from(at.second())
}

/// The place of a weekday in [`Period::weekdays`].
fn place(weekday: Weekday) -> usize {
    usize::try_from(weekday.to_monday_zero_offset()).unwrap_or_default()
}
