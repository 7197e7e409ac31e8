//! Interruption: the first SIGINT, SIGTERM or SIGHUP asks for an end, a second SIGINT or SIGTERM is the end.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::exit_code::ExitCode;

/// Whether the operator has asked for an end.
#[derive(Debug, Clone, Default)]
pub struct Interrupts(Arc<Heard>);

#[derive(Debug, Default)]
struct Heard {
    /// There was a first signal.
    any: AtomicBool,
    /// What is said at the second one; `None`: nothing has begun, and the first one is the end.
    last_words: Mutex<Option<String>>,
    /// What is said instead while somebody is asked.
    at_question: Mutex<Option<String>>,
}

impl Interrupts {
    /// Listens from now on. At the second signal the process says `last_words` and ends with status 130; of a run that
    /// has a journal, that holds enough to resume from.
    ///
    /// SIGHUP is never a second one: when a terminal goes away, the kernel sends one and the shell another, and the
    /// terminal is seen to be gone besides.
    pub fn listen(last_words: impl Into<String>) -> std::io::Result<Interrupts> {
        Ok(Interrupts::ahead(|| {})?.begun(last_words))
    }

    /// Listens from now on for a command that has begun nothing yet: the first signal is its end, behind `last`.
    pub fn ahead(last: impl Fn() + Send + 'static) -> std::io::Result<Interrupts> {
        let interrupts = Interrupts::default();
        let heard = interrupts.0.clone();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        std::thread::Builder::new().name("signals".into()).stack_size(256 << 10).spawn(move || {
            for signal in signals.forever() {
                let last_words = heard.last_words.lock().unwrap_or_else(PoisonError::into_inner);
                match &*last_words {
                    None => {
                        last();
                        std::process::exit(ExitCode::Interrupted.status().into());
                    }
                    Some(last_words) if heard.any.swap(true, Ordering::SeqCst) && signal != SIGHUP => {
                        let at_question = heard.at_question.lock().unwrap_or_else(PoisonError::into_inner);
                        stop_at_once(at_question.as_ref().unwrap_or(last_words));
                    }
                    Some(_) => {}
                }
            }
        })?;
        Ok(interrupts)
    }

    /// The same from now on for what has begun.
    pub fn begun(self, last_words: impl Into<String>) -> Interrupts {
        *self.0.last_words.lock().unwrap_or_else(PoisonError::into_inner) = Some(last_words.into());
        self
    }

    /// Sets what the second signal says while somebody is asked, when nothing is under way; `None`: nobody is.
    pub fn at_question(&self, last_words: Option<String>) {
        *self.0.at_question.lock().unwrap_or_else(PoisonError::into_inner) = last_words;
    }

    /// Counts something else as the first signal: the end of the input, or of the terminal.
    pub fn count(&self) {
        self.0.any.store(true, Ordering::SeqCst);
    }

    /// Whether there was a first.
    pub fn any(&self) -> bool {
        self.0.any.load(Ordering::SeqCst)
    }
}

/// Has a write beyond the limit on the size of files fail, as on a full disk, where it would end the process. What it starts
/// is ended by the signal as before.
pub fn survive_file_size_limit() {
    // Where no handler can be had, it is as it was.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
}

/// Ends the process with status 130, behind a last line.
pub fn stop_at_once(last_words: &str) -> ! {
    say_last(last_words);
    std::process::exit(ExitCode::Interrupted.status().into());
}

/// Says something on a line of its own, wherever the cursor is: in a bar, or behind a question.
pub fn say_last(words: &str) {
    if std::io::stderr().is_terminal() {
        super::out::complain("");
    }
    super::out::complain(words);
}
