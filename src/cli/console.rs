//! The operator at a terminal, or `--yes` in a script.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use crate::deploy::{Answer, Operator, Question};
use crate::exit_code::ExitCode;
use crate::invocation::Invocation;
use crate::operation::{Frontend, Refused};
use crate::report;
use crate::report::{Ci, Event, Filed, HostRow, ReportFiles, Reporter, Tee};
use crate::targets::{Target, fold};
use crate::terminal::Marker;

use super::keyboard::{Keyboard, Typed};
use super::out::{answer_line, complain, complain_line, mark, only_complaints_are_seen};
use super::show::Show;
use super::signals::{Interrupts, say_last, stop_at_once};

/// What is said of a run that is stopped at once.
const STOPPED: &str = "hoist: stopped; running stages continue on their hosts";

/// The same at a question, when no stage is under way.
const STOPPED_BETWEEN: &str = "stopped; the hosts stay as they are";

/// The same where no stage has begun on any host.
const STOPPED_AHEAD: &str = "hoist: stopped; nothing was touched";

/// What is said of a run whose question about the rollback nobody can answer any more.
const UNANSWERED: &str =
    "hoist: the terminal was closed, and the question about the rollback is not answered: the hosts stay as they are";

/// What can be done about hosts that are at work.
const CAN_ABORT: &str = "wait, or [a]bort now: type a and Enter to end the step on these hosts; ";
const CAN_STOP: &str = "a second Ctrl-C ends hoist at once, and the step continues on these hosts";

/// What can be done about a command on this host.
const CAN_ABORT_HERE: &str = "wait, or [a]bort now: type a and Enter to end it; ";
const CAN_STOP_HERE: &str = "a second Ctrl-C ends it and hoist at once";

/// The commands with `--step`.
const TAKES_STEPS: [&str; 2] = ["resume", "rollback"];

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
    keyboard: Keyboard,
    /// What can be done about a run that is left unfinished.
    unfinished: String,
    /// What is said of a run that is stopped at a question; `None`: what is said of it at any time.
    between: Option<String>,
    ci: Ci,
    /// The reports on a run.
    filed: Option<Filed>,
    /// Run-once steps, and whether each of them ran.
    steps: Vec<(String, bool)>,
}

impl Console {
    /// For a command. With `yes` every question is answered with yes.
    pub fn new(command: &'static str, show: Show, yes: bool) -> Console {
        let (interrupts, unfinished, between) = Default::default();
        let (ci, filed, steps) = (Ci::None, None, Vec::new());
        Console { command, yes, show, interrupts, keyboard: Keyboard, unfinished, between, ci, filed, steps }
    }

    /// The same, which reports to a CI system, the one of the environment unless it is named, and in a JUnit file. Until a
    /// run begins, an interrupt is the end of the command.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn reporting(self, ci: Option<Ci>, junit: Option<PathBuf>) -> Result<Console, Refused> {
        let ci = ci.unwrap_or_else(Ci::of_environment);
        ci.guard();
        let of_runner = |name: &str| std::env::var_os(name).filter(|_| ci == Ci::Github).map(PathBuf::from);
        let (summary, outputs) = (of_runner("GITHUB_STEP_SUMMARY"), of_runner("GITHUB_OUTPUT"));
        let filed = Filed::begin(self.command, ReportFiles { junit, summary, outputs }).map_err(Refused::new)?;
        let console = Console { ci, filed: Some(filed), ..self };
        let told = console.clone();
        let interrupts = Interrupts::ahead(move || told.end_ahead_of_run());
        let wrong = |error| Refused::new(format!("cannot listen for interrupts: {error}"));
        Ok(console.heeding(interrupts.map_err(wrong)?))
    }

    /// Says that the command was interrupted ahead of a run.
    fn end_ahead_of_run(&self) {
        let why = "interrupted before it touched anything";
        say_last(&format!("hoist {}: {why} (exit status {})", self.command, ExitCode::Interrupted.status()));
        let _ = self.report_end(Err(Refused::Because(ExitCode::Interrupted, why.to_owned())));
    }

    /// Reports how the command ended, if no run of it did, and hands that on.
    pub fn report_end(&self, result: Result<ExitCode, Refused>) -> Result<ExitCode, Refused> {
        let (code, why) = match &result {
            Ok(code) => (*code, None),
            Err(Refused::Usage(why)) => (ExitCode::Usage, Some(why.as_str())),
            Err(Refused::Because(code, why) | Refused::Told(code, why)) => (*code, Some(why.as_str())),
        };
        if let Some(text) = why {
            mark(Marker::Annotation { is_error: true, title: &format!("hoist {}", self.command), text }, self.ci);
        }
        if let Some(unwritten) = self.filed.as_ref().and_then(|filed| filed.end(code.status(), why)) {
            self.tell(&format!("warning: {unwritten}"));
        }
        result
    }

    /// The same, which knows of run-once steps whether they ran: `NAME=done` or `NAME=not-done`, separated by commas.
    ///
    /// # Errors
    /// Text that says neither.
    pub fn knowing_steps(self, text: &Option<String>) -> Result<Console, Refused> {
        let wrong = |word: &str| format!("--step: {word:?} says nothing of a step: write NAME=done or NAME=not-done");
        let read = |word: &str| match word.trim().rsplit_once('=') {
            Some((name, "done")) => Ok((name.to_owned(), true)),
            Some((name, "not-done")) => Ok((name.to_owned(), false)),
            _ => Err(Refused::Usage(wrong(word))),
        };
        let steps = text.as_deref().into_iter().flat_map(|text| text.split(',')).map(read);
        Ok(Console { steps: steps.collect::<Result<_, _>>()?, ..self })
    }

    /// The same, which listens for interrupts.
    pub fn heeding(self, interrupts: Interrupts) -> Console {
        Console { interrupts, ..self }
    }

    /// The same of a command whose hosts are at work whenever nobody is asked.
    pub fn working(self) -> Console {
        Console { between: Some(format!("hoist {}: {STOPPED_BETWEEN}", self.command)), ..self }
    }

    /// Discards what was typed so far, which is no answer to what comes now: whoever typed it had not read the question.
    /// Says whether there was some.
    fn discard(&self) -> bool {
        let discarded = self.keyboard.discard();
        if discarded {
            complain("input that was typed before this question was discarded");
        }
        discarded
    }

    /// Asks, and takes what is typed from then on.
    fn ask(&self, question: &str) -> Typed {
        self.discard();
        complain(question);
        self.interrupts.at_question(self.between.clone());
        let typed = self.keyboard.line(&self.interrupts);
        self.interrupts.at_question(None);
        typed
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

    fn nothing_to_do(&self, line: &str) {
        self.ends(line, ExitCode::Success, Vec::new());
        self.answer(line);
    }

    fn ends(&self, verdict: &str, code: ExitCode, rows: Vec<HostRow>) {
        let end = Event::ended(verdict, code, rows, 0.0);
        if self.show.format == report::Format::Json {
            let mut reporter = self.shown();
            reporter.event(&end);
            reporter.flush();
        }
        if let Some(filed) = &self.filed {
            filed.ends(&end);
        }
    }

    /// R8: without a terminal and without `--yes` a command refuses to start.
    fn can_ask(&self) -> Result<(), Refused> {
        if self.yes || io::stdin().is_terminal() {
            return Ok(());
        }
        Err(Refused::Usage("standard input is not a terminal, so no question can be asked: add --yes".into()))
    }

    fn is_unattended(&self) -> bool {
        self.yes
    }

    fn steps_answered(&self) -> Vec<String> {
        self.steps.iter().map(|(name, _)| name.clone()).collect()
    }

    fn has_terminal(&self) -> bool {
        io::stdin().is_terminal()
    }

    fn ask_line(&self, question: &str) -> String {
        if self.yes {
            return String::new();
        }
        match Console::ask(self, question) {
            Typed::Line(line) => line,
            Typed::End | Typed::Interrupt | Typed::Gone => String::new(),
        }
    }

    fn confirm(&self, question: &str) -> bool {
        if self.yes {
            return true;
        }
        loop {
            let Typed::Line(line) = Console::ask(self, &format!("{question} [y]es/[N]o")) else { return false };
            match line.to_lowercase().as_str() {
                "y" | "yes" => return true,
                "n" | "no" | "" => return false,
                _ => complain("please answer y or n; Enter means no"),
            }
        }
    }

    fn may_lose_terminal(&self) -> bool {
        let kept = MULTIPLEXERS.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
        io::stdin().is_terminal() && !kept
    }

    fn reporter(&self) -> Box<dyn Reporter> {
        let shown = self.shown();
        match &self.filed {
            Some(filed) => Box::new(Tee::new(vec![shown, Box::new(filed.clone())])),
            None => shown,
        }
    }

    fn operator(&self, invocation: &Invocation) -> io::Result<Box<dyn Operator>> {
        let (resume, rollback) = (invocation.command("resume"), invocation.command("rollback"));
        let unfinished = format!("continue with `{resume}`, or undo with `{rollback}`");
        let interrupts = self.interrupts.clone().begun(STOPPED_AHEAD);
        Ok(Box::new(Console { interrupts, unfinished, ..self.clone() }))
    }
}

impl Console {
    /// The reporter of standard output.
    fn shown(&self) -> Box<dyn Reporter> {
        let fold = |hosts: &[&Target]| fold(hosts.iter().copied());
        report::to_stdout(self.show.format, self.show.verbosity, fold, self.ci)
    }

    /// What the operator can do after an interrupt: `abort`, at a terminal, and `stop`.
    fn advise(&self, abort: &str, stop: &str) -> String {
        self.keyboard.discard();
        let choices = if self.keyboard.is_there() { abort } else { "" };
        let advice = format!("{choices}{stop}");
        if only_complaints_are_seen() {
            complain(&format!("interrupted: {advice}"));
        }
        advice
    }

    /// Whether a group that went well is followed by the next one. Without an answer it is not.
    fn ask_to_continue(&self, question: &Question) -> Answer {
        self.ask_until(question, "please answer y, n or c", |line| match line {
            "y" | "yes" => Some(Answer::Yes),
            "n" | "no" => Some(Answer::No),
            "c" | "continue" | "continue all groups" => Some(Answer::All),
            _ => None,
        })
    }

    /// Whether the run goes on although a gate cannot tell. Without an answer it does not.
    fn ask_about_gate(&self, question: &Question) -> Answer {
        self.ask_until(question, "please answer y or n; Enter means no", |line| match line {
            "y" | "yes" => Some(Answer::Yes),
            "n" | "no" | "" => Some(Answer::No),
            _ => None,
        })
    }

    /// Whether a run-once step ran. A flag knows, or a person; for a script it stays open, if it can come back with the flag.
    fn ask_about_step(&mut self, key: &str, question: &Question) -> Answer {
        // It was said of the try that it was asked for, and not of one that follows.
        let flag = self.steps.iter().position(|(name, _)| name == key).map(|place| self.steps.remove(place));
        match flag {
            Some((_, true)) => return Answer::Done,
            Some((_, false)) => return Answer::NotDone,
            None if self.yes && TAKES_STEPS.contains(&self.command) => return Answer::Unanswered,
            None if self.yes => return Answer::No,
            None => {}
        }
        self.ask_until(question, "please answer with one of the letters in brackets", |line| match line {
            "d" | "done" => Some(Answer::Done),
            "n" | "not done" => Some(Answer::NotDone),
            "r" | "roll back" | "l" | "leave it" => Some(Answer::No),
            _ => None,
        })
    }

    /// A rollback past a step that is irreversible: a yes may be a habit, so it takes words.
    fn ask_for_words(&self, question: &Question) -> Answer {
        let words = question.words().unwrap_or_default();
        loop {
            match Console::ask(self, &question.to_string()) {
                Typed::Line(line) if line == words => return Answer::Yes,
                Typed::Line(line) if matches!(line.to_lowercase().as_str(), "n" | "no") => return Answer::No,
                Typed::Gone => stop_at_once(&format!("{UNANSWERED}\n{}", self.unfinished)),
                _ => complain(&format!("please type n, or the words: {words}")),
            }
        }
    }

    /// Asks until `read` makes an answer of the line, in lower case. No line at all is an interrupt, and no.
    fn ask_until(&self, question: &Question, help: &str, read: impl Fn(&str) -> Option<Answer>) -> Answer {
        loop {
            let Typed::Line(line) = Console::ask(self, &question.to_string()) else {
                self.interrupts.count();
                return Answer::No;
            };
            match read(&line.to_lowercase()) {
                Some(answer) => return answer,
                None => complain(help),
            }
        }
    }

    /// Nobody but a person who has read the question answers it: no end of the input, no interrupt, and no Enter while
    /// more of them may be on their way. Without a terminal it stays open for `hoist resume`.
    fn ask_for_rollback(&self, question: &Question) -> Answer {
        let mut is_default = true;
        let may_go_at_once = matches!(question, Question::RollBack { at_once: true, .. });
        loop {
            is_default &= !self.discard();
            let text = if is_default { question.to_string() } else { question.without_default() };
            match Console::ask(self, &text) {
                Typed::Line(line) => match line.to_lowercase().as_str() {
                    "y" | "yes" => return Answer::Yes,
                    "n" | "no" => return Answer::No,
                    "a" | "at once" if may_go_at_once => return Answer::AtOnce,
                    "" if is_default => return Answer::Yes,
                    _ if is_default => complain("please answer y or n; Enter means yes"),
                    _ => complain("please answer y or n"),
                },
                Typed::End => {
                    is_default = false;
                    complain("please answer y or n");
                }
                Typed::Interrupt => {
                    is_default = false;
                    complain(
                        "please answer y or n; a second Ctrl-C ends hoist at once, and leaves the hosts as they are",
                    );
                }
                Typed::Gone => stop_at_once(&format!("{UNANSWERED}\n{}", self.unfinished)),
            }
        }
    }
}

impl Operator for Console {
    fn ask(&mut self, question: &Question) -> Answer {
        match question {
            // What nobody can tell is no pass.
            Question::Inconclusive { .. } if self.yes => Answer::No,
            Question::StepUnknown { key, .. } => self.ask_about_step(key, question),
            // It takes words, which nobody has typed.
            Question::RollBackPast { .. } if self.yes => Answer::No,
            _ if self.yes => Answer::Yes,
            Question::Continue { .. } => self.ask_to_continue(question),
            Question::Inconclusive { .. } => self.ask_about_gate(question),
            Question::RollBack { .. } => self.ask_for_rollback(question),
            Question::RollBackPast { .. } => self.ask_for_words(question),
        }
    }

    fn touches(&mut self) {
        self.interrupts.clone().begun(format!("{STOPPED}\n{}", self.unfinished));
        self.between = Some(format!("hoist: {STOPPED_BETWEEN}\n{}", self.unfinished));
    }

    fn interrupted(&mut self) -> bool {
        self.interrupts.any()
    }

    fn has_interrupted(&self) -> bool {
        self.interrupts.any()
    }

    fn advice(&mut self, can_abort: bool) -> String {
        self.advise(if can_abort { CAN_ABORT } else { "" }, CAN_STOP)
    }

    fn advice_here(&mut self) -> String {
        self.advise(CAN_ABORT_HERE, CAN_STOP_HERE)
    }

    fn aborts(&mut self) -> bool {
        self.keyboard.aborts()
    }

    fn name(&self) -> &'static str {
        if self.yes { "--yes" } else { "operator" }
    }

    fn answers(&self, question: &Question) -> &'static str {
        match question {
            Question::StepUnknown { key, .. } if self.steps.iter().any(|(name, _)| name == key) => "--step",
            _ => self.name(),
        }
    }
}
