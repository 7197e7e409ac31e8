//! A steady load, and what became of each request.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::common::wait_for;
use crate::fleet::get_page;

/// Requests a second.
const RATE: u32 = 200;
const THREADS: u32 = 20;
/// So many requests for a slow page are under way at any time, beside the others.
const SLOW: u32 = 4;

/// Requests at a steady rate from several threads, until it is ended.
pub struct Load {
    ended: Arc<AtomicBool>,
    served: Arc<Mutex<BTreeMap<String, usize>>>,
    sent: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    pub fn start(authority: &str) -> Load {
        let ended = Arc::new(AtomicBool::new(false));
        let served = Arc::<Mutex<BTreeMap<String, usize>>>::default();
        let sent = Arc::<AtomicUsize>::default();
        let one = |path: &'static str| {
            let (ended, served, sent) = (ended.clone(), served.clone(), sent.clone());
            let authority = authority.to_owned();
            thread::spawn(move || {
                // The slow ones make their own pause.
                let pause = if path == "/" { Duration::from_secs(1) * THREADS / RATE } else { Duration::ZERO };
                let mut next = Instant::now();
                while !ended.load(Ordering::Relaxed) {
                    let answer = get_page(&authority, path).unwrap_or_else(|why| format!("LOST: {why}"));
                    *served.lock().unwrap().entry(answer).or_default() += 1;
                    sent.fetch_add(1, Ordering::Relaxed);
                    next += pause;
                    thread::sleep(next.saturating_duration_since(Instant::now()));
                }
            })
        };
        let threads = (0..THREADS).map(|_| one("/")).chain((0..SLOW).map(|_| one("/slow"))).collect();
        Load { ended, served, sent, threads }
    }

    /// Each of these answers was given since the last time, and no request had another end.
    #[track_caller]
    pub fn lost_nothing(&self, during: &str, expected: &[&str]) {
        // Those on their way now are counted as well.
        let until = self.sent.load(Ordering::Relaxed) + 100;
        wait_for("requests", || self.sent.load(Ordering::Relaxed) > until);
        let answers = std::mem::take(&mut *self.served.lock().unwrap());
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(answers.keys().collect::<Vec<_>>(), expected, "{during}: {answers:?}");
    }

    pub fn end(self) {
        self.ended.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}
