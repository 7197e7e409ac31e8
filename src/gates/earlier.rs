//! A look that an earlier deployer began, and that is gone on with.

use std::time::Duration;

use super::reading::Sample;

/// What is known of the beginning of a look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Earlier {
    /// How long it had soaked.
    pub soaked: Duration,
    /// What the gates said, each with its time (RFC 3339, UTC) where that is known.
    pub samples: Vec<(Sample, Option<String>)>,
}

impl Earlier {
    /// What one gate said.
    pub fn of<'e>(&'e self, gate: &'e str) -> impl DoubleEndedIterator<Item = &'e Sample> {
        self.samples.iter().map(|(sample, _)| sample).filter(move |sample| sample.gate == gate)
    }

    /// When one gate was asked, in seconds since 1970.
    pub fn times_of(&self, gate: &str) -> Vec<f64> {
        let of_gate = self.samples.iter().filter(|(sample, _)| sample.gate == gate);
        of_gate.filter_map(|(_, at)| crate::clock::unix_seconds(at.as_ref()?)).collect()
    }
}
