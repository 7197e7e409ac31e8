//! Turns the readings of one look into a verdict. It does not use the clock: the caller says when a reading was taken,
//! and is told when to take the next one. So a look in the past is judged in the same way as a current one.

use std::time::Duration;

use super::earlier::Earlier;
use super::gate::{Gate, NoData};
use super::reading::{Pending, Reading, Sample, SampleVerdict};

/// The verdict of a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    Fail { reason: String },
    Inconclusive { reason: String },
}

/// What to do after a reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Take another reading, this long after the beginning of the look.
    AskAt(Duration),
    Ended(Verdict),
}

/// Judges one gate in one look.
#[derive(Debug)]
pub struct Judge<'g> {
    gate: &'g Gate,
    /// The soak time; zero: the look ends with the first good sample.
    soak: Duration,
    failed: u32,
    attempts: u32,
    /// Before the first reading.
    delay: Duration,
    /// Since when there is no value.
    without_value_since: Duration,
}

impl<'g> Judge<'g> {
    /// For a look with this soak time.
    pub fn new(gate: &'g Gate, soak: Duration) -> Judge<'g> {
        Judge { gate, soak, failed: 0, attempts: 0, delay: gate.delay, without_value_since: gate.delay }
    }

    /// Continues a look that an earlier deployer began: its samples count. Returns the verdict if it was already
    /// reached.
    pub fn go_on(&mut self, earlier: &Earlier) -> Option<Verdict> {
        let of_gate = || earlier.of(&self.gate.name);
        let is_failed = |sample: &&Sample| sample.verdict == SampleVerdict::Fail;
        self.attempts = of_gate().count() as u32;
        self.failed = of_gate().filter(is_failed).count() as u32;
        let begun = self.attempts > 0;
        self.delay = if begun { Duration::ZERO } else { self.gate.delay.saturating_sub(earlier.soaked) };
        self.without_value_since = self.delay;
        let last = of_gate().rfind(is_failed).filter(|_| self.failed > self.gate.failures)?;
        Some(Verdict::Fail { reason: self.times(last.reason.clone()) })
    }

    /// When to take the first reading, from the beginning of the look.
    pub fn first(&self) -> Duration {
        self.delay
    }

    /// Processes a reading with its start and end, from the beginning of the look.
    pub fn take(&mut self, begun: Duration, now: Duration, reading: Reading) -> (Sample, Next) {
        self.attempts += 1;
        let (value, reason, verdict) = self.weigh(reading, now);
        let mut sample = Sample {
            gate: self.gate.name.clone(),
            attempt: self.attempts,
            value,
            verdict: match verdict {
                Weight::Pass => SampleVerdict::Pass,
                Weight::Fail => SampleVerdict::Fail,
                Weight::Unknown | Weight::Gathering | Weight::Ask => SampleVerdict::Inconclusive,
                Weight::Skip => SampleVerdict::Skipped,
            },
            reason: reason.clone().unwrap_or_default(),
            observe: self.gate.observe,
            pending: None,
        };
        let reason = reason.unwrap_or_default();
        let soaking = now < self.soak;
        let next = match verdict {
            Weight::Skip => Next::Ended(Verdict::Pass),
            Weight::Pass if !soaking => Next::Ended(Verdict::Pass),
            Weight::Fail if self.failed > self.gate.failures => {
                Next::Ended(Verdict::Fail { reason: self.times(reason) })
            }
            // A tolerated failure: at the end of a soak the look is over, without a soak the gate is queried again.
            Weight::Fail if !soaking && !self.soak.is_zero() => Next::Ended(Verdict::Pass),
            Weight::Ask => Next::Ended(Verdict::Inconclusive { reason }),
            Weight::Unknown | Weight::Gathering if now >= self.patience() => {
                Next::Ended(Verdict::Inconclusive { reason: self.waited(reason) })
            }
            Weight::Unknown | Weight::Gathering => self.again(begun, now, self.patience()),
            Weight::Pass | Weight::Fail => self.again(begun, now, Duration::MAX),
        };
        if matches!(next, Next::AskAt(_)) {
            sample.pending = match verdict {
                Weight::Unknown => Some(Pending::NoValue),
                Weight::Gathering => Some(Pending::Gathering),
                _ => None,
            };
        }
        (sample, next)
    }

    /// How a reading counts, with its value and its reason.
    fn weigh(&mut self, reading: Reading, now: Duration) -> (Option<String>, Option<String>, Weight) {
        let (value, reason, weight) = match reading {
            Reading::Good { value } => (value, None, Weight::Pass),
            Reading::Bad { value, reason } => (value, Some(reason), Weight::Fail),
            Reading::Skipped(reason) => (None, Some(reason), Weight::Skip),
            Reading::Gathering(reason) => (None, Some(reason), Weight::Gathering),
            Reading::NoAnswer(reason) => (None, Some(reason), Weight::Unknown),
            Reading::NoData(reason) => {
                let weight = match self.gate.no_data {
                    NoData::Wait => Weight::Unknown,
                    NoData::Ask => Weight::Ask,
                    NoData::Pass => Weight::Pass,
                    NoData::Fail => Weight::Fail,
                };
                (None, Some(reason), weight)
            }
        };
        self.failed += u32::from(weight == Weight::Fail);
        // Values are being collected: in a soak there is time until its end.
        if matches!(weight, Weight::Pass | Weight::Fail) || (weight == Weight::Gathering && now < self.soak) {
            self.without_value_since = now;
        }
        (value, reason, weight)
    }

    /// Until when there may be no value: at least to the end of the soak, since the source may recover.
    fn patience(&self) -> Duration {
        (self.without_value_since + self.gate.within).max(self.soak)
    }

    /// The next reading is due after an interval, but at the latest at the end of the soak, and never after `limit`.
    fn again(&self, begun: Duration, now: Duration, limit: Duration) -> Next {
        let mut at = (begun + self.gate.interval).max(now);
        if now < self.soak {
            at = at.min(self.soak.max(now));
        }
        Next::AskAt(at.min(limit.max(now)))
    }

    fn times(&self, reason: String) -> String {
        match self.failed {
            1 => reason,
            failed => format!("{reason} ({failed} failed samples of {})", self.attempts),
        }
    }

    fn waited(&self, reason: String) -> String {
        format!("{reason}; no value for {} s", self.gate.within.as_secs_f64())
    }
}

/// How a reading counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    Pass,
    Fail,
    Unknown,
    Gathering,
    /// Inconclusive: the operator decides.
    Ask,
    /// There is nothing to query.
    Skip,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gates::gate::Source;
    use crate::gates::moment::Moment;
    use crate::gates::scope::Scope;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn gate() -> Gate {
        Gate {
            name: "errors".into(),
            scope: Scope { at: vec![Moment::Soak], group: None },
            interval: s(10),
            delay: s(0),
            timeout: s(5),
            within: s(60),
            failures: 0,
            no_data: NoData::Wait,
            observe: false,
            source: Source::Command { command: "x".into(), shell: false, require: None, folder: "/".into() },
        }
    }

    fn good() -> Reading {
        Reading::Good { value: Some("1".into()) }
    }

    fn bad() -> Reading {
        Reading::Bad { value: Some("9".into()), reason: "9, which is not < 5".into() }
    }

    /// Simulates a look with these readings, each of which takes no time. Returns when each was requested, and the
    /// verdict.
    fn look(gate: &Gate, soak: u64, readings: impl IntoIterator<Item = Reading>) -> (Vec<u64>, Verdict) {
        let mut judge = Judge::new(gate, s(soak));
        let (mut at, mut asked) = (judge.first(), Vec::new());
        for reading in readings {
            asked.push(at.as_secs());
            match judge.take(at, at, reading).1 {
                Next::AskAt(next) => at = next,
                Next::Ended(verdict) => return (asked, verdict),
            }
        }
        panic!("it has not ended: {asked:?}")
    }

    fn always(reading: fn() -> Reading) -> impl Iterator<Item = Reading> {
        std::iter::repeat_with(reading)
    }

    #[test]
    fn without_a_soak_the_first_good_sample_passes() {
        assert_eq!(look(&gate(), 0, [good()]), (vec![0], Verdict::Pass));
        let delayed = Gate { delay: s(30), ..gate() };
        assert_eq!(look(&delayed, 0, [good()]), (vec![30], Verdict::Pass));
    }

    #[test]
    fn a_soak_is_sampled_from_its_beginning_to_its_end() {
        assert_eq!(look(&gate(), 25, always(good)), (vec![0, 10, 20, 25], Verdict::Pass));
    }

    #[test]
    fn more_failures_than_allowed_fail_and_no_fewer() {
        let (asked, verdict) = look(&gate(), 100, [good(), bad()]);
        assert_eq!((asked, verdict), (vec![0, 10], Verdict::Fail { reason: "9, which is not < 5".into() }));
        let lenient = Gate { failures: 1, ..gate() };
        assert_eq!(look(&lenient, 0, [bad(), good()]), (vec![0, 10], Verdict::Pass));
        let (_, verdict) = look(&lenient, 0, [bad(), bad()]);
        assert_eq!(verdict, Verdict::Fail { reason: "9, which is not < 5 (2 failed samples of 2)".into() });
        // In a soak the failures need not be consecutive.
        assert!(matches!(look(&lenient, 100, [bad(), good(), good(), bad()]).1, Verdict::Fail { .. }));
        assert_eq!(look(&lenient, 20, [good(), good(), bad()]).1, Verdict::Pass);
    }

    #[test]
    fn no_data_is_what_the_gate_says_it_is() {
        let none = || Reading::NoData("no data".into());
        let with = |no_data| Gate { no_data, ..gate() };
        assert_eq!(look(&with(NoData::Pass), 0, always(none)).1, Verdict::Pass);
        assert_eq!(look(&with(NoData::Fail), 0, always(none)).1, Verdict::Fail { reason: "no data".into() });
        assert_eq!(look(&with(NoData::Ask), 0, always(none)).1, Verdict::Inconclusive { reason: "no data".into() });
        assert_eq!(look(&with(NoData::Wait), 0, [none(), none(), good()]), (vec![0, 10, 20], Verdict::Pass));
        let (asked, verdict) = look(&with(NoData::Wait), 0, always(none));
        assert_eq!(asked, [0, 10, 20, 30, 40, 50, 60]);
        assert_eq!(verdict, Verdict::Inconclusive { reason: "no data; no value for 60 s".into() });
        // In a soak, a gate that waits may do so until the end; one that asks or fails does so at once.
        let (asked, verdict) = look(&with(NoData::Wait), 100, always(none));
        assert_eq!((asked.last(), matches!(verdict, Verdict::Inconclusive { .. })), (Some(&100), true));
        assert_eq!(
            look(&with(NoData::Wait), 100, std::iter::repeat_with(none).take(9).chain(always(good))).1,
            Verdict::Pass
        );
        assert_eq!(look(&with(NoData::Pass), 20, always(none)), (vec![0, 10, 20], Verdict::Pass));
        let at_once = |verdict| (vec![0], verdict);
        assert_eq!(look(&with(NoData::Ask), 20, [none()]), at_once(Verdict::Inconclusive { reason: "no data".into() }));
        assert_eq!(look(&with(NoData::Fail), 20, [none()]), at_once(Verdict::Fail { reason: "no data".into() }));
    }

    #[test]
    fn a_source_that_does_not_answer_is_inconclusive_whatever_no_data_says() {
        let none = || Reading::NoAnswer("connection refused".into());
        for no_data in [NoData::Wait, NoData::Ask, NoData::Pass, NoData::Fail] {
            for soak in [0, 30, 600] {
                let (asked, verdict) = look(&Gate { no_data, ..gate() }, soak, always(none));
                assert!(matches!(verdict, Verdict::Inconclusive { .. }), "{no_data:?} {soak} {verdict:?}");
                assert_eq!(asked.last(), Some(&soak.max(60)));
            }
        }
        // A source that recovers is used again, and the last sample of a soak has an answer.
        let back = std::iter::repeat_with(none).take(20).chain(always(good));
        assert_eq!(look(&gate(), 300, back).1, Verdict::Pass);
        let (asked, verdict) = look(&gate(), 30, [good(), good(), none(), none(), none(), good()]);
        assert_eq!((asked, verdict), (vec![0, 10, 20, 30, 40, 50], Verdict::Pass));
    }

    fn sample(verdict: SampleVerdict, reason: &str) -> (Sample, Option<String>) {
        let (gate, reason) = ("errors".to_owned(), reason.to_owned());
        (Sample { gate, value: None, verdict, reason, attempt: 1, observe: false, pending: None }, None)
    }

    #[test]
    fn a_look_that_is_gone_on_with_counts_what_was_sampled_before() {
        let lenient = Gate { failures: 1, delay: s(20), ..gate() };
        let (fail, pass) = (|| sample(SampleVerdict::Fail, "0.2 is not < 0.1"), || sample(SampleVerdict::Pass, ""));
        let mut other = fail();
        other.0.gate = "other".into();
        let go_on = |soaked, samples| {
            let mut judge = Judge::new(&lenient, s(30));
            let verdict = judge.go_on(&Earlier { soaked: s(soaked), samples });
            (judge, verdict)
        };
        let (mut judge, verdict) = go_on(50, vec![pass(), fail(), other.clone()]);
        assert_eq!((judge.first(), verdict), (s(0), None));
        let (third, next) = judge.take(s(0), s(0), bad());
        assert_eq!(third.attempt, 3);
        let reason = "9, which is not < 5 (2 failed samples of 3)".to_owned();
        assert_eq!(next, Next::Ended(Verdict::Fail { reason }));
        // The verdict was reached but not recorded.
        let (_, verdict) = go_on(50, vec![fail(), fail()]);
        assert_eq!(verdict, Some(Verdict::Fail { reason: "0.2 is not < 0.1 (2 failed samples of 2)".into() }));
        // Before the first sample the rest of the delay is waited for.
        assert_eq!([5, 20, 90].map(|soaked| go_on(soaked, vec![other.clone()]).0.first()), [s(15), s(0), s(0)]);
    }

    #[test]
    fn a_gate_with_nothing_to_ask_about_is_skipped_at_once() {
        let gate = gate();
        let (sample, next) = Judge::new(&gate, s(60)).take(s(0), s(0), Reading::Skipped("nobody".into()));
        assert_eq!((sample.verdict, sample.reason.as_str()), (SampleVerdict::Skipped, "nobody"));
        assert_eq!(next, Next::Ended(Verdict::Pass));
    }

    #[test]
    fn gathering_has_the_whole_soak_and_a_while_behind_it() {
        let few = || Reading::Gathering("too few".into());
        let (asked, verdict) = look(&gate(), 300, always(few));
        assert!(matches!(verdict, Verdict::Inconclusive { .. }), "{verdict:?}");
        assert_eq!(asked.last(), Some(&350));
        let enough = std::iter::repeat_with(few).take(31).chain([good()]);
        assert_eq!(look(&gate(), 300, enough).1, Verdict::Pass);
    }

    #[test]
    fn a_slow_answer_puts_off_the_next_question_and_not_the_end() {
        let gate = gate();
        let mut judge = Judge::new(&gate, s(30));
        assert_eq!(judge.take(s(0), s(14), good()).1, Next::AskAt(s(14)));
        assert_eq!(judge.take(s(14), s(26), good()).1, Next::AskAt(s(26)));
        assert_eq!(judge.take(s(26), s(27), good()).1, Next::AskAt(s(30)));
        assert_eq!(judge.take(s(30), s(31), good()).1, Next::Ended(Verdict::Pass));
    }
}
