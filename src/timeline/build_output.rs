//! The output of `build_command`, of which only the log knows.

use std::collections::VecDeque;

use crate::once::OnceEnd;

/// The most that is kept of it, in bytes: the end, which says what came of it.
const MOST: usize = 64 << 10;

/// What a build said.
#[derive(Debug, Default)]
pub struct BuildOutput {
    lines: VecDeque<String>,
    bytes: usize,
    /// How many lines there were.
    pub count: usize,
    /// How it ended, and after how many seconds.
    pub end: Option<(OnceEnd, f64)>,
}

impl BuildOutput {
    /// Adds a line; the first ones go when there are too many.
    pub fn add(&mut self, line: String) {
        self.bytes += line.len() + 1;
        self.count += 1;
        self.lines.push_back(line);
        while self.bytes > MOST && self.lines.len() > 1 {
            self.bytes -= self.lines.pop_front().map_or(0, |line| line.len() + 1);
        }
    }

    /// The lines that are kept.
    pub fn text(&self) -> String {
        self.lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// How many were not kept.
    pub fn left_out(&self) -> usize {
        self.count - self.lines.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_a_long_output_is_kept() {
        let mut output = BuildOutput::default();
        (0..20_000).for_each(|line| output.add(format!("line {line}")));
        assert!(output.text().len() < MOST && output.text().ends_with("line 19998\nline 19999"));
        assert_eq!((output.count, output.text().lines().count() + output.left_out()), (20_000, 20_000));
        output.add("x".repeat(MOST * 2));
        assert_eq!(output.left_out(), 20_000, "one long line is kept, and cut where it is shown");
    }
}
