//! The operator at a terminal, or `--yes` in a script.

use std::io::{self, BufRead, IsTerminal};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::deploy::{Answer, Operator, Question};
use crate::operation::{Frontend, Refused};
use crate::report;
use crate::report::Reporter;
use crate::targets::fold;

use super::out::{answer_line, complain, complain_line};
use super::show::Show;
use super::signals::Interrupts;

/// How long a question looks at the keyboard before it looks for an interrupt.
const LOOK: Duration = Duration::from_millis(100);

/// What is said of a run that is stopped at once.
const LAST_WORDS: &str = "hoist: stopped; running stages continue on their hosts\n\
                          continue with `hoist resume`, or undo with `hoist rollback`";

/// What tmux and screen leave in the environment of what runs in them.
const MULTIPLEXERS: [&str; 2] = ["TMUX", "STY"];

/// The command line as an operation sees it: answers from the terminal, text on standard error, events on standard
/// output.
#[derive(Clone)]
pub struct Console {
    command: &'static str,
    yes: bool,
    show: Show,
    interrupts: Interrupts,
}

impl Console {
    /// For a command. With `yes` every question is answered with yes.
    pub fn new(command: &'static str, show: Show, yes: bool) -> Console {
        Console { command, yes, show, interrupts: Interrupts::default() }
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

impl Frontend for Console {
    fn command(&self) -> &'static str {
        self.command
    }

    fn remark(&self, line: &str) {
        complain_line(line);
    }

    fn answer(&self, line: &str) {
        if self.show.format == report::Format::Text {
            answer_line(line);
        }
    }

    /// R8: without a terminal and without `--yes` a command refuses to start.
    fn can_ask(&self) -> Result<(), Refused> {
        if self.yes || io::stdin().is_terminal() {
            return Ok(());
        }
        Err(Refused::Usage("standard input is not a terminal, so no question can be asked: add --yes".into()))
    }

    fn ask_line(&self, question: &str) -> String {
        if self.yes {
            return String::new();
        }
        complain(question);
        let mut line = Vec::new();
        let read = io::stdin().lock().read_until(b'\n', &mut line);
        read.map(|_| String::from_utf8_lossy(&line).trim().to_owned()).unwrap_or_default()
    }

    fn confirm(&self, question: &str) -> bool {
        if self.yes {
            return true;
        }
        loop {
            complain(&format!("{question} [y]es/[N]o"));
            match self.read_line().as_deref() {
                Some("y" | "yes") => return true,
                None | Some("n" | "no" | "") => return false,
                Some(_) => complain("please answer y or n; Enter means no"),
            }
        }
    }

    fn may_lose_terminal(&self) -> bool {
        let kept = MULTIPLEXERS.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
        io::stdin().is_terminal() && !kept
    }

    fn reporter(&self) -> Box<dyn Reporter> {
        report::to_stdout(self.show.format, self.show.verbosity, |hosts| fold(hosts.iter().copied()))
    }

    fn operator(&self) -> io::Result<Box<dyn Operator>> {
        Ok(Box::new(Console { interrupts: Interrupts::listen(LAST_WORDS)?, ..self.clone() }))
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
            complain(&question.to_string());
            let rollback = matches!(question, Question::RollBack { .. });
            let Some(line) = self.read_line() else { return if rollback { Answer::Yes } else { Answer::No } };
            match line.as_str() {
                "y" | "yes" => return Answer::Yes,
                "n" | "no" => return Answer::No,
                "c" | "continue" | "continue all groups" if !rollback => return Answer::All,
                "" if rollback => return Answer::Yes,
                _ if rollback => complain("please answer y or n; Enter means yes"),
                _ => complain("please answer y, n or c"),
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
