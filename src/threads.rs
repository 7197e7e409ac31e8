//! Work on threads. Where the system gives no more of them, fewer do it, or an error says so: to start one is no place to
//! panic.

use std::error::Error;
use std::fmt::{self, Display};
use std::io;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread::{Builder, JoinHandle, scope};
use std::time::Duration;

use crate::text::plain;

/// The most hosts that are worked on at once. With more, idle threads cost more than they gain, and a burst of connections
/// overruns a listener's backlog.
pub const MOST_AT_ONCE: usize = 256;

/// Runs `work` on a thread of its own.
///
/// # Errors
/// The system gives no more threads. The error says so, and where to look.
pub fn start<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<JoinHandle<T>> {
    Builder::new().spawn(work).map_err(|error| io::Error::new(error.kind(), Refused(refused(&error))))
}

/// A thread that the system refused.
#[derive(Debug)]
struct Refused(String);

impl Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Error for Refused {}

/// Whether this is the error of [`start`], and tells nothing of whom the thread was to talk to.
pub fn is_refusal(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Refused>())
}

/// The sentence about a thread that the system refused.
pub fn refused(error: &dyn Display) -> String {
    format!("no thread can be started: {}; see how many processes this user may have", plain(error))
}

/// What `work` makes on a thread of its own; `None`: not in time. It cannot be stopped: its thread ends with it.
///
/// # Errors
/// As of [`start`].
pub fn within<T: Send + 'static>(
    timeout: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Option<T>> {
    let (tell, told) = mpsc::channel();
    start(move || tell.send(work()).is_ok())?;
    Ok(told.recv_timeout(timeout).ok())
}

/// Runs `work` on a thread of its own that nobody waits for; on this one, where the system gives no other.
pub fn start_or_run(work: impl Fn() + Send + Sync + 'static) {
    let work = Arc::new(work);
    let same = Arc::clone(&work);
    if start(move || same()).is_err() {
        work();
    }
}

/// Runs `work` on this thread and, at the same time, on up to `count - 1` others. Returns once all have ended.
pub fn on_several(count: usize, work: impl Fn() + Sync) {
    scope(|scope| {
        let others: Vec<_> = (1..count).map_while(|_| Builder::new().spawn_scoped(scope, &work).ok()).collect();
        work();
        for other in others {
            other.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
    });
}

/// What `work` makes of each item, in their order; all at the same time, if there are threads enough.
pub fn for_each<T: Sync, R: Send + Sync>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let (next, made): (_, Vec<OnceLock<R>>) = (AtomicUsize::new(0), items.iter().map(|_| OnceLock::new()).collect());
    on_several(items.len(), || {
        while let Some((item, place)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            items.get(at).zip(made.get(at))
        } {
            let _ = place.set(work(item));
        }
    });
    made.into_iter().filter_map(OnceLock::into_inner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn all_items_are_worked_on_at_once_and_the_results_keep_their_order() {
        let together = Barrier::new(7);
        let squares = for_each(&[0, 1, 2, 3, 4, 5, 6], |it| {
            together.wait();
            it * it
        });
        assert_eq!(squares, [0, 1, 4, 9, 16, 25, 36]);
        assert!(for_each(&[0; 0], |it| *it).is_empty());
    }
}
