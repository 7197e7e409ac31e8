//! The axis: where on the width of a page a moment is.
//!
//! A deployment may wait for an hour, in a soak or at a question, between stages that take seconds. What is waited is
//! drawn shorter than it was, and marked so.

use crate::report::took;

use super::{Millis, Timeline};

/// The share of the width that all waiting may take, beside what is not shortened.
const WAITING: f64 = 0.6;

/// How close two marks may be, in percent.
const APART: f64 = 14.0;

/// Distances of marks, in seconds.
const STEPS: [i64; 19] =
    [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400, 604_800, 2_592_000];

/// A stretch of time with its place.
#[derive(Debug, PartialEq)]
struct Stretch {
    from: Millis,
    to: Millis,
    /// In percent of the width.
    left: f64,
    width: f64,
    shortened: bool,
}

/// Places on the axis, in percent.
#[derive(Debug)]
pub struct Axis(Vec<Stretch>);

impl Axis {
    /// The axis of a run.
    pub fn of(timeline: &Timeline) -> Axis {
        let mut busy: Vec<(Millis, Millis)> = timeline.spans.iter().map(|span| (span.start, span.end)).collect();
        busy.sort_unstable();
        Axis::new(timeline.began, timeline.ended, &busy)
    }

    /// `busy`: when anything was done, by its beginnings.
    fn new(began: Millis, ended: Millis, busy: &[(Millis, Millis)]) -> Axis {
        let ended = ended.max(began + 1);
        let mut stretches: Vec<(Millis, Millis, bool)> = Vec::new();
        let mut now = began;
        for (from, to) in busy {
            let (from, to) = ((*from).clamp(began, ended), (*to).clamp(began, ended));
            if from > now {
                stretches.push((now, from, false));
                now = from;
            }
            if to > now {
                match stretches.last_mut() {
                    Some((_, end, true)) => *end = to,
                    _ => stretches.push((now, to, true)),
                }
                now = to;
            }
        }
        if ended > now {
            stretches.push((now, ended, false));
        }
        let length = |(from, to, _): &(Millis, Millis, bool)| (to - from) as f64;
        let busy: f64 = stretches.iter().filter(|(.., busy)| *busy).map(length).sum();
        let busy = if busy > 0.0 { busy } else { (ended - began) as f64 };
        let long = stretches.iter().filter(|it| !it.2 && length(it) > busy * 0.02).count();
        let most = busy * WAITING / long.max(1) as f64;
        let shown = |it: &(Millis, Millis, bool)| if it.2 { length(it) } else { length(it).min(most) };
        let whole: f64 = stretches.iter().map(shown).sum();
        let mut left = 0.0;
        let placed = stretches.iter().map(|it| {
            let width = 100.0 * shown(it) / whole;
            let stretch = Stretch { from: it.0, to: it.1, left, width, shortened: length(it) > 1.2 * shown(it) };
            left += width;
            stretch
        });
        Axis(placed.collect())
    }

    /// Where a moment is.
    pub fn at(&self, moment: Millis) -> f64 {
        let place = self.0.partition_point(|stretch| stretch.to < moment);
        let Some(stretch) = self.0.get(place) else { return 100.0 };
        let share = (moment - stretch.from).max(0) as f64 / (stretch.to - stretch.from) as f64;
        stretch.left + stretch.width * share
    }

    /// Stretches that are drawn shorter than they were: where each begins, how wide it is, and how long it was.
    pub fn shortened(&self) -> impl Iterator<Item = (f64, f64, String)> {
        let shortened = self.0.iter().filter(|stretch| stretch.shortened);
        shortened.map(|it| (it.left, it.width, took((it.to - it.from) as f64 / 1000.0)))
    }

    /// Marks with the time since the beginning, `0:45`.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let (Some(first), Some(last)) = (self.0.first(), self.0.last()) else { return Vec::new() };
        let shown: i64 = self.0.iter().filter(|it| !it.shortened).map(|it| it.to - it.from).sum();
        let step = 1000 * STEPS.into_iter().find(|step| step * 1000 * 6 >= shown).unwrap_or(STEPS[STEPS.len() - 1]);
        let mut ticks = vec![(0.0, since(0))];
        let mut before = 0.0;
        for stretch in self.0.iter().filter(|stretch| !stretch.shortened) {
            let mut moment = first.from + (stretch.from - first.from + step - 1) / step * step;
            while moment <= stretch.to {
                let place = self.at(moment);
                if place - before >= APART && place <= 100.0 - APART {
                    ticks.push((place, since(moment - first.from)));
                    before = place;
                }
                moment += step;
            }
        }
        ticks.push((100.0, since(last.to - first.from)));
        ticks
    }
}

/// `0:45`, `12:05`, `1:02:05`.
fn since(millis: Millis) -> String {
    let seconds = (millis + 500) / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours == 0 { format!("{minutes}:{seconds:02}") } else { format!("{hours}:{minutes:02}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_drawn_shorter_than_it_was_and_marked() {
        // Ten seconds, an hour of waiting, ten seconds.
        let axis = Axis::new(0, 3_620_000, &[(0, 10_000), (3_610_000, 3_620_000)]);
        let [(left, width, length)] = &axis.shortened().collect::<Vec<_>>()[..] else { panic!("{axis:?}") };
        assert_eq!(length, "1 h 00 min");
        assert!(*left > 25.0 && *width < 45.0, "{axis:?}");
        assert!((axis.at(5_000) - left / 2.0).abs() < 0.01 && axis.at(3_620_000) > 99.9);
        let ticks = axis.ticks();
        assert_eq!((ticks[0].1.as_str(), ticks[ticks.len() - 1].1.as_str()), ("0:00", "1:00:20"));
        assert!(ticks.windows(2).all(|pair| pair[1].0 - pair[0].0 >= APART), "{ticks:?}");
    }

    #[test]
    fn a_run_of_no_length_and_moments_beyond_it_have_a_place() {
        for axis in [Axis::new(5, 5, &[]), Axis::new(5, 5, &[(5, 5), (0, 90)]), Axis::new(0, 100, &[(20, 30)])] {
            for moment in [-1000, 0, 5, 50, 1000] {
                let place = axis.at(moment);
                assert!((0.0..=100.001).contains(&place), "{axis:?}: {place}");
            }
            assert!(axis.ticks().len() >= 2);
        }
    }
}
