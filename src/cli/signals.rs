//! Interruption: the first SIGINT, SIGTERM or SIGHUP asks for an end, a second SIGINT or SIGTERM is the end.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit_code::ExitCode;

/// Whether the operator has asked for an end.
#[derive(Debug, Clone, Default)]
pub struct Interrupts(Arc<AtomicBool>);

impl Interrupts {
    /// Listens from now on. At the second signal the process says `last_words` and ends with status 130; of a run that
    /// has a journal, that holds enough to resume from.
    ///
    /// SIGHUP is never a second one: when a terminal goes away, the kernel sends one and the shell another, and the
    /// terminal is seen to be gone besides.
    pub fn listen(last_words: impl Into<String>) -> std::io::Result<Interrupts> {
        let last_words = last_words.into();
        let interrupts = Interrupts::default();
        let seen = interrupts.clone();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        std::thread::Builder::new().name("signals".into()).stack_size(64 << 10).spawn(move || {
            for signal in signals.forever() {
                if seen.0.swap(true, Ordering::SeqCst) && signal != SIGHUP {
                    stop_at_once(&last_words);
                }
            }
        })?;
        Ok(interrupts)
    }

    /// Counts something else as the first signal: the end of the input, or of the terminal.
    pub fn count(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether there was a first.
    pub fn any(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Ends the process with status 130, behind a last line.
pub fn stop_at_once(last_words: &str) -> ! {
    // The cursor may stand in a bar, or behind a question.
    if std::io::stderr().is_terminal() {
        super::out::complain("");
    }
    super::out::complain(last_words);
    std::process::exit(ExitCode::Interrupted.status().into());
}
