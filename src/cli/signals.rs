//! Interruption: the first SIGINT, SIGTERM or SIGHUP asks for an end, the second one is the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit_code::ExitCode;

/// How often the operator has asked for an end.
#[derive(Debug, Clone, Default)]
pub struct Interrupts(Arc<AtomicUsize>);

impl Interrupts {
    /// Listens from now on. At the second signal the process says how to go on, and ends with status 130; what the
    /// journal holds is enough to resume from.
    pub fn listen() -> std::io::Result<Interrupts> {
        let interrupts = Interrupts::default();
        let seen = interrupts.clone();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        std::thread::Builder::new().name("signals".into()).stack_size(64 << 10).spawn(move || {
            for _ in signals.forever() {
                if seen.0.fetch_add(1, Ordering::SeqCst) > 0 {
                    super::out::complain(
                        "hoist: stopped at once; stages under way go on by themselves on their hosts\n\
                         continue with `hoist resume`, or undo with `hoist rollback`",
                    );
                    std::process::exit(ExitCode::Interrupted.status().into());
                }
            }
        })?;
        Ok(interrupts)
    }

    /// Whether there was a first.
    pub fn any(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}
