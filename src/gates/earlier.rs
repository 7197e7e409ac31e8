//! A look that an earlier deployer began, and that is continued.

use std::time::Duration;

use super::reading::Sample;

/// What is known about a look that was begun.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Earlier {
    /// How much of the soak had passed.
    pub soaked: Duration,
    /// The samples of the gates, each with its time (RFC 3339, UTC) if known.
    pub samples: Vec<(Sample, Option<String>)>,
}

impl Earlier {
    /// The samples of one gate.
    pub fn of<'e>(&'e self, gate: &'e str) -> impl DoubleEndedIterator<Item = &'e Sample> {
        self.samples.iter().map(|(sample, _)| sample).filter(move |sample| sample.gate == gate)
    }

    /// When one gate was queried, in seconds since 1970.
    pub fn times_of(&self, gate: &str) -> Vec<f64> {
        let of_gate = self.samples.iter().filter(|(sample, _)| sample.gate == gate);
        of_gate.filter_map(|(_, at)| crate::clock::unix_seconds(at.as_ref()?)).collect()
    }
}
