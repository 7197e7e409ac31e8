//! Which samples of gates are news: each bad one, and of the others those that say something new.

use std::collections::HashMap;

use super::{Moment, Sample, SampleVerdict};
use crate::gates::Pending;
use crate::terminal::Style;
use crate::wire::Level;

/// What was told of the gates in one look.
#[derive(Debug, Default)]
pub(super) struct GateNews {
    /// Where the look was.
    place: Option<(Moment, String)>,
    /// What was last told of a gate, unless it was all well.
    told: HashMap<String, SampleVerdict>,
    /// Why a gate was last skipped, in whichever look.
    skipped: HashMap<String, String>,
}

/// How a sample is told.
#[derive(Debug, PartialEq)]
pub(super) struct News {
    pub level: Level,
    /// In place of that of the level.
    pub style: Option<Style>,
}

impl GateNews {
    /// What to make of a sample. One that is no news is for whoever wants to see all.
    pub fn of(&mut self, moment: Moment, label: &str, sample: &Sample) -> News {
        if self.place.as_ref().is_none_or(|(then, at)| (*then, at.as_str()) != (moment, label)) {
            (self.place, self.told) = (Some((moment, label.to_owned())), HashMap::new());
        }
        let of_level = |level| News { level, style: None };
        let Sample { gate, verdict, reason, observe, pending, .. } = sample;
        // So a comparison begins.
        if *pending == Some(Pending::Gathering) {
            return of_level(Level::Debug);
        }
        if *verdict == SampleVerdict::Skipped {
            let before = self.skipped.insert(gate.clone(), reason.clone());
            return of_level(if before.as_ref() == Some(reason) { Level::Debug } else { Level::Info });
        }
        let before = match verdict {
            SampleVerdict::Pass => self.told.remove(gate),
            verdict => self.told.insert(gate.clone(), *verdict),
        };
        match (verdict, before) {
            (SampleVerdict::Pass, None) => of_level(Level::Debug),
            (SampleVerdict::Pass, Some(_)) => News { level: Level::Info, style: Some(Style::Good) },
            (SampleVerdict::Fail, _) if !observe => of_level(Level::Warning),
            (same, Some(before)) if *same == before => of_level(Level::Debug),
            (SampleVerdict::Inconclusive, _) if !observe => of_level(Level::Warning),
            _ => of_level(Level::Info),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_told_of_when_it_is_bad_or_says_something_new() {
        let mut news = GateNews::default();
        let mut level = |moment, verdict, observe, pending| {
            let (gate, reason) = ("errors".to_owned(), String::new());
            let sample = Sample { gate, value: None, verdict, reason, attempt: 1, observe, pending };
            news.of(moment, "web1", &sample).level
        };
        let (pass, fail, unclear) = (SampleVerdict::Pass, SampleVerdict::Fail, SampleVerdict::Inconclusive);
        let (soak, again) = (Moment::Soak, Some(Pending::NoValue));
        for (verdict, told) in [
            (pass, Level::Debug),
            (unclear, Level::Warning),
            (unclear, Level::Debug),
            (pass, Level::Info),
            (pass, Level::Debug),
            (unclear, Level::Warning),
            (fail, Level::Warning),
            (fail, Level::Warning),
        ] {
            assert_eq!(level(soak, verdict, false, again), told, "{verdict:?}");
        }
        // The next look begins anew, and one that is only observed warns of nothing.
        assert_eq!(level(Moment::Group, fail, true, None), Level::Info);
        assert_eq!(level(Moment::Group, fail, true, None), Level::Debug);
        assert_eq!(level(soak, unclear, false, Some(Pending::Gathering)), Level::Debug);
        assert_eq!(level(soak, pass, false, None), Level::Debug);
        // That there is nothing to compare with is told once.
        assert_eq!(level(soak, SampleVerdict::Skipped, false, None), Level::Info);
        assert_eq!(level(Moment::Group, SampleVerdict::Skipped, false, None), Level::Debug);
    }
}
