//! What counts as a difference between hosts on the new revision and hosts on the old one.

/// The direction that hurts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worse {
    Higher,
    Lower,
}

/// What is a difference, and what is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The label that names the host.
    pub host_label: String,
    pub worse: Worse,
    /// How likely a false alarm may be, over a whole look.
    pub significance: f64,
    /// The least effect size, from 0.5 to 1.
    pub effect: f64,
    /// The least difference of the medians, as a share of the old one.
    pub difference: f64,
    /// The least number of values on each side.
    pub samples: usize,
}
