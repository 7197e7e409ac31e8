//! What is typed at the terminal, a line at a time.

use std::io::{self, IsTerminal};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{QueueSelector, tcflush};

use super::signals::Interrupts;

/// How long the keyboard is looked at before an interrupt is looked for, in nanoseconds.
const LOOK: i64 = 100_000_000;

/// What came instead of an answer, or the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// A line without the blanks around it.
    Line(String),
    /// The end of the input (Ctrl-D) at a terminal that is still there.
    End,
    /// The first interrupt.
    Interrupt,
    /// There is no terminal any more.
    Gone,
}

/// Standard input. It is read byte by byte, so that what stands behind a line can still be discarded.
#[derive(Debug, Clone, Copy)]
pub struct Keyboard;

impl Keyboard {
    /// Whether somebody can type.
    pub fn is_there(self) -> bool {
        io::stdin().is_terminal()
    }

    /// Discards what was typed and not read, half a line too; whether there were whole lines. What does not come from a
    /// terminal is nobody's haste, and stays.
    pub fn discard(self) -> bool {
        if !self.is_there() {
            return false;
        }
        let found = matches!(ready(0), Ok(flags) if flags.contains(PollFlags::IN));
        let _ = tcflush(io::stdin(), QueueSelector::IFlush);
        found
    }

    /// The next line, however long it takes.
    pub fn line(self, interrupts: &Interrupts) -> Typed {
        let already = interrupts.any();
        // As bytes: a slip on the keyboard that is not UTF-8 is no answer, and no end either.
        let mut line = Vec::new();
        loop {
            let flags = match ready(LOOK) {
                Ok(flags) => flags,
                Err(Errno::INTR) => PollFlags::empty(),
                Err(_) => return gone(interrupts),
            };
            if flags.is_empty() {
                if interrupts.any() && !already {
                    return Typed::Interrupt;
                }
                continue;
            }
            match read_byte() {
                Ok(Some(b'\n')) => return Typed::Line(text(&line)),
                Ok(Some(byte)) => line.push(byte),
                Ok(None) if flags.contains(PollFlags::HUP) || !self.is_there() => return gone(interrupts),
                Ok(None) => return Typed::End,
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(_) => return gone(interrupts),
            }
        }
    }

    /// Whether `a` was typed by now: what is under way is to be aborted.
    pub fn aborts(self) -> bool {
        self.line_so_far().is_some_and(|line| matches!(line.to_lowercase().as_str(), "a" | "abort" | "abort now"))
    }

    /// A line that has been typed by now; waits for none.
    fn line_so_far(self) -> Option<String> {
        let mut line = Vec::new();
        // A terminal gives whole lines only.
        while self.is_there() && matches!(ready(0), Ok(flags) if flags.contains(PollFlags::IN)) {
            match read_byte() {
                Ok(Some(b'\n')) => return Some(text(&line)),
                Ok(Some(byte)) => line.push(byte),
                Ok(None) | Err(_) => break,
            }
        }
        None
    }
}

/// Counts as the first interrupt: nobody is there any more who could send one.
fn gone(interrupts: &Interrupts) -> Typed {
    interrupts.count();
    Typed::Gone
}

fn ready(nanoseconds: i64) -> Result<PollFlags, Errno> {
    let stdin = io::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: nanoseconds }))?;
    Ok(fds[0].revents())
}

fn read_byte() -> Result<Option<u8>, Errno> {
    let mut byte = [0];
    Ok((rustix::io::read(io::stdin(), &mut byte)? > 0).then_some(byte[0]))
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim().to_owned()
}
