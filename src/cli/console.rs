//! The operator at a terminal, or `--yes` in a script.

use std::io::{self, BufRead, IsTerminal};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::deploy::{Answer, Operator, Question};

use super::Refused;
use super::signals::Interrupts;

/// How long a question looks at the keyboard before it looks for an interrupt.
const LOOK: Duration = Duration::from_millis(100);

/// Answers from the terminal.
pub struct Console {
    yes: bool,
    interrupts: Interrupts,
}

impl Console {
    /// An operator who is asked on the terminal, or with `yes` one who agrees to everything.
    pub fn new(yes: bool, interrupts: Interrupts) -> Console {
        Console { yes, interrupts }
    }

    /// R8: without a terminal and without `--yes` a command refuses to start.
    pub fn check(command: &str, yes: bool) -> Result<(), Refused> {
        if yes || io::stdin().is_terminal() {
            return Ok(());
        }
        Err(Refused::usage(command, "standard input is no terminal, so nobody can be asked: add --yes"))
    }

    /// Asks for a line of text ahead of a run, when nothing listens for interrupts yet. Empty when there is none.
    pub fn ask_line(question: &str) -> String {
        super::out::complain(question);
        let mut line = Vec::new();
        let read = io::stdin().lock().read_until(b'\n', &mut line);
        read.map(|_| String::from_utf8_lossy(&line).trim().to_owned()).unwrap_or_default()
    }

    /// Asks a plain question, to which only a clear yes is one.
    pub fn confirm(&self, question: &str) -> bool {
        if self.yes {
            return true;
        }
        loop {
            super::out::complain(&format!("{question} [y]es/[N]o"));
            match self.read_line().as_deref() {
                Some("y" | "yes") => return true,
                None | Some("n" | "no" | "") => return false,
                Some(_) => super::out::complain("please answer y or n; just Enter means no"),
            }
        }
    }

    /// A line from the terminal; `None` on an interrupt that comes while it waits, and when the terminal is gone, which
    /// counts as one.
    fn read_line(&self) -> Option<String> {
        let stdin = io::stdin();
        let already = self.interrupts.any();
        let wait = Timespec { tv_sec: 0, tv_nsec: LOOK.as_nanos() as i64 };
        loop {
            let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
            match poll(&mut fds, Some(&wait)) {
                Ok(0) | Err(rustix::io::Errno::INTR) if self.interrupts.any() && !already => return None,
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => break,
                Err(_) => {
                    self.interrupts.terminal_is_gone();
                    return None;
                }
            }
        }
        // As bytes: a slip on the keyboard that is not UTF-8 is no answer, and no end either.
        let mut line = Vec::new();
        match stdin.lock().read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => {
                self.interrupts.terminal_is_gone();
                None
            }
            Ok(_) => Some(String::from_utf8_lossy(&line).trim().to_lowercase()),
        }
    }
}

impl Operator for Console {
    /// Without an answer (the terminal is gone, or an interrupt came) a deployment does not go on, and is rolled back:
    /// that leaves the fleet in one state.
    fn ask(&mut self, question: &Question) -> Answer {
        if self.yes {
            return Answer::Yes;
        }
        loop {
            super::out::complain(&question.to_string());
            let rollback = matches!(question, Question::RollBack { .. });
            let Some(line) = self.read_line() else { return if rollback { Answer::Yes } else { Answer::No } };
            match line.as_str() {
                "y" | "yes" => return Answer::Yes,
                "n" | "no" => return Answer::No,
                "c" | "continue" | "continue all groups" if !rollback => return Answer::All,
                "" if rollback => return Answer::Yes,
                _ if rollback => super::out::complain("please answer y or n; just Enter means yes"),
                _ => super::out::complain("please answer y, n or c"),
            }
        }
    }

    fn interrupted(&mut self) -> bool {
        self.interrupts.any()
    }

    fn name(&self) -> &'static str {
        if self.yes { "--yes" } else { "operator" }
    }
}
