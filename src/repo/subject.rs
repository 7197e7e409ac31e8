//! The first line of a commit's message.

/// The longest that is told, in characters.
const LONGEST: usize = 60;

/// It as it is told.
pub(super) fn cut_subject(subject: &str) -> String {
    let mut cut: String = subject.chars().take(LONGEST).collect();
    if cut.len() < subject.len() {
        cut.push('…');
    }
    cut
}
