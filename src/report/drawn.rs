//! Where the bar is drawn.

use std::io;

use console::Term;
use indicatif::{ProgressDrawTarget, TermLike};

/// Columns that are left free: room for the `^C` that a terminal shows. The bar fills its line up to the last column that it
/// is told of, and what is shown behind that would stand in a line of its own, which is then cleared in place of the bar.
const FREE: u16 = 4;

/// Pictures a second.
const HERTZ: u8 = 20;

/// A terminal, as the bar may use it.
#[derive(Debug)]
struct Drawn(Term);

/// Standard output.
pub fn on_stdout() -> ProgressDrawTarget {
    ProgressDrawTarget::term_like_with_hz(Box::new(Drawn(Term::buffered_stdout())), HERTZ)
}

/// Standard error.
pub fn on_stderr() -> ProgressDrawTarget {
    ProgressDrawTarget::term_like_with_hz(Box::new(Drawn(Term::buffered_stderr())), HERTZ)
}

impl TermLike for Drawn {
    fn width(&self) -> u16 {
        self.0.size().1.saturating_sub(FREE).max(1)
    }

    fn height(&self) -> u16 {
        self.0.size().0
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_up(n)
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_down(n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_right(n)
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_left(n)
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        self.0.write_line(line)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.0.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }
}
