//! Output of a host that is not Hoist's: greetings, errors of start-up files, output of a command wrapper.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::ssh::ExecEnd;
use crate::wire::{FIRST_LINE, TAKEN_BY_A_SHELL};

/// How many lines of a host are remembered, and how many bytes of each.
const LINES: usize = 100;
const BYTES: usize = 200;

/// The likely origin of such output, for messages.
const START_UP: &str = "a start-up file of the login shell (.bashrc, .profile, .zshenv, ~/.ssh/rc)";

/// The lines of one host that were reported. A start-up file prints the same lines for each command.
#[derive(Debug, Default)]
pub(super) struct Noise(Mutex<HashSet<Vec<u8>>>);

impl Noise {
    /// Whether the line is new.
    pub fn is_new(&self, text: &[u8]) -> bool {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = &text[..text.len().min(BYTES)];
        !lines.contains(text) && (lines.len() >= LINES || lines.insert(text.to_vec()))
    }
}

/// The line to show. If a host sends the request back, it is not shown, since it may contain secrets.
pub(super) fn presentable(text: &[u8]) -> Cow<'_, [u8]> {
    let has = |word: &[u8]| text.windows(word.len()).any(|there| there == word);
    match has(b"{\"protocol\":") || has(b"protocol") && has(b"deploy_dir") {
        true => Cow::Borrowed(b"(the host sent the request back)"),
        false => Cow::Borrowed(text),
    }
}

/// The first and the last line of a command's output that was not understood.
#[derive(Debug, Default)]
pub(super) struct StrayOutput {
    first: Option<String>,
    last: Option<String>,
    /// Output of Hoist itself was read.
    pub understood: bool,
    /// Output of Hoist was read on standard error.
    pub astray: bool,
}

impl StrayOutput {
    pub fn add(&mut self, text: &[u8]) {
        let text = String::from_utf8_lossy(&text[..text.len().min(BYTES)]).trim().to_owned();
        if text.is_empty() {
            return;
        }
        match self.first {
            None => self.first = Some(text),
            Some(_) => self.last = Some(text),
        }
    }

    /// Whether there was no output at all.
    pub fn is_silence(&self) -> bool {
        self.first.is_none() && !self.understood
    }

    /// `: the words`, or nothing.
    pub fn last(&self) -> String {
        self.last.as_ref().or(self.first.as_ref()).map_or_else(String::new, |text| format!(": {text}"))
    }

    /// Why a command that should have started Hoist gave no answer; `None`: Hoist did run, and nothing more is known.
    pub fn explain(&self, end: &ExecEnd, waited: Duration) -> Option<String> {
        // It began a little after the time that it has, and ends with that.
        let waited = waited.as_secs_f64().round();
        let said = match (&self.first, &self.last) {
            (Some(first), Some(last)) if first != last => {
                Some(format!("it began with \"{first}\" and ended with \"{last}\""))
            }
            (Some(only), _) => Some(only.clone()),
            (None, _) => None,
        };
        Some(match (end, said) {
            (ExecEnd::Status(TAKEN_BY_A_SHELL), _) => format!(
                "no answer to the probe: {START_UP} starts another shell, which reads the request instead of Hoist; \
                 make it do so only at a terminal"
            ),
            (_, _) if self.astray => {
                format!("the answer to the probe is on standard error: {START_UP} redirects standard output")
            }
            (_, _) if self.understood && matches!(end, ExecEnd::TimedOut) => return None,
            (ExecEnd::TimedOut, None) => format!(
                "no answer to the probe, and no output, within {waited} s: {START_UP} may wait for input or hang"
            ),
            (ExecEnd::TimedOut, Some(_)) if self.first.as_deref() == Some(FIRST_LINE) => {
                format!("no answer to the probe within {waited} s: {START_UP} reads the request and prints it")
            }
            (ExecEnd::TimedOut, Some(said)) => format!("no answer to the probe within {waited} s: {said}"),
            (ExecEnd::Status(_), None) => {
                format!("no answer to the probe, and no output: {START_UP} may end the shell")
            }
            (ExecEnd::Closed, None) => {
                "no answer to the probe, and no output: the server closed the channel before the command ended, as \
                 sshd does with ChannelTimeout"
                    .to_owned()
            }
            (_, Some(said)) => format!("no answer to the probe: {said}"),
            (_, None) => "no answer to the probe".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_new_once_and_beyond_what_is_remembered_always() {
        let noise = Noise::default();
        assert!(noise.is_new(b"hello") && !noise.is_new(b"hello"));
        for number in 0..LINES * 2 {
            noise.is_new(format!("{number}").as_bytes());
        }
        assert!(!noise.is_new(b"hello") && noise.is_new(b"last") && noise.is_new(b"last"));
    }

    #[test]
    fn a_request_that_comes_back_is_not_shown() {
        let request = br#"bash: {"protocol":1,"deploy_dir":"/srv","vars":{"password":"hunter2"}}: not found"#;
        assert!(!String::from_utf8_lossy(&presentable(request)).contains("hunter2"));
        assert_eq!(&*presentable(b"hello"), b"hello");
    }

    #[test]
    fn the_output_says_why_there_is_no_answer() {
        let words = |lines: &[&str]| {
            let mut words = StrayOutput::default();
            lines.iter().for_each(|line| words.add(line.as_bytes()));
            words
        };
        let explain = |words: &StrayOutput, end| words.explain(&end, Duration::from_secs(9)).unwrap();
        assert!(explain(&words(&[]), ExecEnd::Status(TAKEN_BY_A_SHELL)).contains("another shell"));
        assert!(explain(&words(&[]), ExecEnd::Status(0)).contains("may end the shell"));
        assert!(explain(&words(&[]), ExecEnd::TimedOut).contains("within 9 s"));
        assert_eq!(explain(&words(&["", "a"]), ExecEnd::Status(1)), "no answer to the probe: a");
        let both = explain(&words(&["a", "b", "c"]), ExecEnd::Status(1));
        assert!(both.contains("\"a\"") && both.contains("\"c\""), "{both}");
        let hoist = StrayOutput { understood: true, ..StrayOutput::default() };
        assert_eq!(hoist.explain(&ExecEnd::TimedOut, Duration::ZERO), None);
    }
}
