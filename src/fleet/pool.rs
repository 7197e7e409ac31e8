//! Runs one job on many hosts at once; keeps the part of the [`super::Fleet`] contract about starting tasks.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded, unbounded};

use super::{Flow, HostEvent, HostResult, Task};
use crate::threads;
use crate::wire::Fault;

/// Measured use is under 20 KiB.
const STACK: usize = 256 * 1024;
/// The longest time between two calls of `on`.
const TICK: Duration = Duration::from_millis(100);
/// With as many hosts under way, an event is hardly ever alone: what comes so soon after it is passed on with it, and costs
/// the caller one wake-up, and one sync of its journal.
const CROWD: usize = 8;
const GATHERING: Duration = Duration::from_millis(1);
/// How long threads without work may take to end.
const ENDING: Duration = Duration::from_secs(5);
/// Events that the caller has not read yet. With more of them a host waits, or its progress is left out.
const IN_FLIGHT: usize = 1024;

/// What is done on one host. It may send events; the pool sends its `Ended`.
pub(super) type Job = dyn Fn(&Task, &dyn Fn(HostEvent)) -> HostResult + Send + Sync;

type Work = Box<dyn FnOnce() + Send>;

/// Threads, kept from call to call unless one wants more of them.
#[derive(Default)]
pub(super) struct Pool {
    threads: Option<Threads>,
    hosts_go_on: bool,
}

/// Threads of rayon's that take work in turn, each in a loop that it runs before anything else and until this is dropped:
/// left to itself a thread of rayon's looks for work some thirty times before it sleeps, and most sleep most of the time.
struct Threads {
    wanted: usize,
    // Ended before the queue, so that no thread looks for work of rayon's.
    pool: rayon::ThreadPool,
    queue: Open,
}

/// Work that waits for a thread. A thread without work sleeps in the kernel at once: one that waits at a channel of
/// crossbeam's spins and yields a few times first, which two hundred of them do at each stage.
#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    work: VecDeque<Work>,
    is_closed: bool,
}

impl Queue {
    fn add(&self, work: Vec<Work>) {
        let count = work.len();
        self.lock().work.extend(work);
        (0..count).for_each(|_| self.changed.notify_one());
    }

    /// Does what there is to do until the queue is closed and empty.
    fn serve(&self) {
        while let Some(work) = self.next() {
            work();
        }
    }

    fn next(&self) -> Option<Work> {
        let nothing_yet = |state: &mut State| state.work.is_empty() && !state.is_closed;
        let state = self.changed.wait_while(self.lock(), nothing_yet);
        state.unwrap_or_else(PoisonError::into_inner).work.pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes the queue when it is dropped.
struct Open(Arc<Queue>);

impl Open {
    /// Waits until the threads that it was for have ended.
    fn end(self) {
        // Each holds the queue while it lives.
        let held = Arc::downgrade(&self.0);
        drop(self);
        let until = Instant::now() + ENDING;
        while held.strong_count() > 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.changed.notify_all();
    }
}

impl Pool {
    /// A pool whose hosts never wait for a caller that is slow to read: the output of a run is limited, so it fits into
    /// memory. A session that waited could not renew its lease, and a stage's end would be heard after its time.
    pub fn whose_hosts_go_on() -> Pool {
        Pool { hosts_go_on: true, ..Pool::default() }
    }

    /// Runs `job` for each task, at most `batch` at a time, in order; no task starts after `on` has said stop, and none
    /// while those under way and those that failed are `room`.
    ///
    /// Tasks never queue inside the pool, so a task that was reported as started starts at once.
    pub fn run(
        &mut self,
        (batch, room): (usize, Option<usize>),
        tasks: &[Task],
        job: Arc<Job>,
        on: &mut dyn FnMut(Vec<HostEvent>) -> Flow,
    ) {
        let (tell, told) = if self.hosts_go_on { unbounded() } else { bounded(IN_FLIGHT) };
        let wanted = batch.clamp(1, threads::MOST_AT_ONCE).min(tasks.len().max(1));
        let threads = match self.threads(wanted) {
            Ok(threads) => threads,
            Err(error) => return give_up(tasks, &threads::refused(&error), on),
        };
        let width = threads.pool.current_num_threads().min(wanted);
        let mut waiting = tasks.iter();
        let (mut under_way, mut failed, mut stopped) = (0, 0, false);
        let has_room = |taken: usize| room.is_none_or(|room| taken < room);
        loop {
            let (mut events, mut starting): (_, Vec<Work>) = (Vec::new(), Vec::new());
            // Whatever has come in is shown before anything else starts.
            while !stopped && under_way < width && has_room(under_way + failed) && told.is_empty() {
                let Some(task) = waiting.next() else { break };
                events.push(HostEvent::Started(task.host));
                under_way += 1;
                let (task, job, tell) = (task.clone(), job.clone(), tell.clone());
                starting.push(Box::new(move || work(&task, &*job, &|event| send(&tell, event))));
            }
            if events.is_empty() && under_way == 0 && told.is_empty() {
                return;
            }
            if events.is_empty() {
                match told.recv_timeout(TICK) {
                    Ok(event) => {
                        events.push(event);
                        if under_way >= CROWD {
                            std::thread::sleep(GATHERING);
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    // Not to be: this end is held here too.
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            events.extend(told.try_iter().take(IN_FLIGHT));
            for event in &events {
                if let HostEvent::Ended(_, result) = event {
                    under_way -= 1;
                    failed += usize::from(result.outcome.is_err());
                }
            }
            stopped |= on(events) != Flow::Continue;
            // Only now, so that a host's time begins no later than its work.
            threads.queue.0.add(starting);
        }
    }

    fn threads(&mut self, wanted: usize) -> Result<&Threads, rayon::ThreadPoolBuildError> {
        let threads = match self.threads.take() {
            // Not made smaller: a rollback of few hosts then needs no thread that the system may not have.
            Some(threads) if threads.wanted >= wanted => threads,
            smaller => {
                // Its threads would count against the new ones.
                smaller.into_iter().for_each(Threads::end);
                Threads::start(wanted)?
            }
        };
        Ok(self.threads.insert(threads))
    }
}

impl Threads {
    /// Waits until they have ended, which have no work.
    fn end(self) {
        let Threads { pool, queue, .. } = self;
        drop(pool);
        queue.end();
    }

    /// Starts `wanted` threads. Where the system gives fewer, half of those, since there are processes to start as well.
    fn start(wanted: usize) -> Result<Threads, rayon::ThreadPoolBuildError> {
        let mut size = wanted;
        loop {
            let (queue, given) = (Open(Arc::default()), Arc::new(AtomicUsize::new(0)));
            let (served, count) = (queue.0.clone(), given.clone());
            let name = move |index| {
                count.store(index, Ordering::Relaxed);
                format!("host-{index}")
            };
            let builder = rayon::ThreadPoolBuilder::new().num_threads(size).stack_size(STACK).thread_name(name);
            match builder.start_handler(move |_| served.serve()).build() {
                Ok(pool) => return Ok(Threads { wanted, pool, queue }),
                Err(error) if size == 1 => return Err(error),
                Err(_) => {
                    size = (given.load(Ordering::Relaxed) / 2).max(1);
                    // Those that there are would count against the next ones.
                    queue.end();
                }
            }
        }
    }
}

/// Progress is not limited as output is, and what is old of it is of no use.
fn send(tell: &Sender<HostEvent>, event: HostEvent) {
    if !matches!(event, HostEvent::Waiting { .. }) || tell.len() < IN_FLIGHT {
        let _ = tell.send(event);
    }
}

/// Runs the job and sends its end, even after a panic.
fn work(task: &Task, job: &Job, tell: &dyn Fn(HostEvent)) {
    let result = catch_unwind(AssertUnwindSafe(|| job(task, tell))).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        let reason = format!("internal error: {}", said.unwrap_or("no message"));
        Fault::failed(reason).into()
    });
    tell(HostEvent::Ended(task.host, Box::new(result)));
}

fn give_up(tasks: &[Task], reason: &str, on: &mut dyn FnMut(Vec<HostEvent>) -> Flow) {
    for task in tasks {
        let result = HostResult::from(Fault::failed(reason));
        if on(vec![HostEvent::Started(task.host), HostEvent::Ended(task.host, Box::new(result))]) != Flow::Continue {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::HostId;
    use crate::wire::{Level, Line};

    fn tasks(count: usize) -> Vec<Task> {
        HostId::first(count).map(Task::first).collect()
    }

    fn started(events: &[HostEvent]) -> Vec<usize> {
        let one = |event: &HostEvent| if let HostEvent::Started(host) = event { Some(host.index()) } else { None };
        events.iter().filter_map(one).collect()
    }

    fn ended(events: &[HostEvent]) -> Vec<usize> {
        let one = |event: &HostEvent| if let HostEvent::Ended(host, _) = event { Some(host.index()) } else { None };
        events.iter().filter_map(one).collect()
    }

    #[test]
    fn every_task_starts_in_order_and_ends_once_and_no_more_than_the_batch_at_a_time() {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (n, m) = (now.clone(), most.clone());
        let job = move |_: &Task, _: &dyn Fn(HostEvent)| {
            m.fetch_max(n.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(2));
            n.fetch_sub(1, Ordering::SeqCst);
            HostResult::ok()
        };
        let mut all = Vec::new();
        Pool::default().run((7, None), &tasks(50), Arc::new(job), &mut |events| {
            all.extend(events);
            Flow::Continue
        });
        assert_eq!(started(&all), (0..50).collect::<Vec<_>>());
        let mut ends = ended(&all);
        ends.sort_unstable();
        assert_eq!(ends, (0..50).collect::<Vec<_>>());
        assert!(most.load(Ordering::SeqCst) <= 7);
    }

    #[test]
    fn nothing_starts_after_stop_and_what_is_under_way_still_ends() {
        for stop_at in [0, 1, 5, 30] {
            let ran = Arc::new(AtomicUsize::new(0));
            let count = ran.clone();
            let job = move |_: &Task, _: &dyn Fn(HostEvent)| {
                count.fetch_add(1, Ordering::SeqCst);
                HostResult::ok()
            };
            let (mut all, mut stopped) = (Vec::new(), false);
            Pool::default().run((3, None), &tasks(40), Arc::new(job), &mut |events| {
                assert!(!stopped || started(&events).is_empty(), "a host started after stop");
                all.extend(events);
                stopped |= ended(&all).len() >= stop_at;
                if stopped { Flow::Stop } else { Flow::Continue }
            });
            let mut both = (started(&all), ended(&all));
            both.1.sort_unstable();
            assert_eq!(both.0, both.1);
            assert_eq!(ran.load(Ordering::SeqCst), both.0.len());
            assert!(both.0.len() < 40, "stop was not heeded");
        }
    }

    #[test]
    fn threads_end_with_their_pool_and_do_first_what_was_begun() {
        let threads = Threads::start(5).unwrap();
        let (queue, ran) = (Arc::downgrade(&threads.queue.0), Arc::new(AtomicUsize::new(0)));
        let work = |_| {
            let ran = ran.clone();
            Box::new(move || _ = ran.fetch_add(1, Ordering::SeqCst)) as Work
        };
        threads.queue.0.add((0..40).map(work).collect());
        drop(threads);
        // Each thread holds the queue while it lives.
        let deadline = Instant::now() + Duration::from_secs(30);
        while queue.upgrade().is_some() {
            assert!(Instant::now() < deadline, "threads are left that wait for work");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(ran.load(Ordering::SeqCst), 40);
    }

    #[test]
    fn with_a_batch_of_one_the_result_is_seen_before_the_next_host_starts() {
        let mut open = 0;
        let job = |_: &Task, _: &dyn Fn(HostEvent)| HostResult::ok();
        Pool::default().run((1, None), &tasks(20), Arc::new(job), &mut |events| {
            for event in events {
                match event {
                    HostEvent::Started(_) => open += 1,
                    HostEvent::Ended(..) => open -= 1,
                    _ => {}
                }
                assert!((0..=1).contains(&open));
            }
            Flow::Continue
        });
    }

    #[test]
    fn a_host_that_failed_keeps_its_place_and_nobody_starts_without_room() {
        let job = |task: &Task, _: &dyn Fn(HostEvent)| match task.host.index() {
            1 | 4 => Fault::failed("no").into(),
            _ => HostResult::ok(),
        };
        for (room, wanted) in [(1, 2), (2, 5), (3, 9)] {
            let mut all = Vec::new();
            let mut taken = 0;
            Pool::default().run((5, Some(room)), &tasks(9), Arc::new(job), &mut |events| {
                for event in &events {
                    match event {
                        HostEvent::Started(_) => taken += 1,
                        HostEvent::Ended(_, result) => taken -= usize::from(result.outcome.is_ok()),
                        _ => {}
                    }
                }
                assert!(taken <= room);
                all.extend(events);
                Flow::Continue
            });
            // With a room of 2 one more host may have begun beside the one that failed.
            let began = started(&all).len();
            assert!(began >= wanted && (room > 2 || began < 9), "room {room}: {began} began");
        }
    }

    #[test]
    fn a_panic_is_the_result_of_its_host_alone() {
        let job = |task: &Task, _: &dyn Fn(HostEvent)| {
            if task.host.index() == 1 {
                panic!("host {} is odd", task.host);
            }
            HostResult::ok()
        };
        let mut all = Vec::new();
        Pool::default().run((2, None), &tasks(3), Arc::new(job), &mut |events| {
            all.extend(events);
            Flow::Continue
        });
        let reason = "internal error: host 1 is odd".to_owned();
        let result = HostResult::from(Fault::failed(reason));
        assert!(all.contains(&HostEvent::Ended(HostId::new(1), Box::new(result))));
        assert_eq!(ended(&all).len(), 3);
    }

    #[test]
    fn the_caller_is_called_while_nothing_happens_and_may_stop_then() {
        let job = |_: &Task, _: &dyn Fn(HostEvent)| {
            std::thread::sleep(Duration::from_millis(350));
            HostResult::ok()
        };
        let (mut ticks, mut starts) = (0, 0);
        Pool::default().run((1, None), &tasks(5), Arc::new(job), &mut |events| {
            starts += started(&events).len();
            ticks += usize::from(events.is_empty());
            if ticks > 0 { Flow::Stop } else { Flow::Continue }
        });
        assert_eq!(starts, 1);
        assert!(ticks > 0);
    }

    #[test]
    fn hosts_that_go_on_end_while_the_caller_is_stuck_and_only_progress_is_left_out() {
        let ended = Arc::new(AtomicUsize::new(0));
        let count = ended.clone();
        let job = move |task: &Task, tell: &dyn Fn(HostEvent)| {
            for number in 0..3 * IN_FLIGHT {
                tell(HostEvent::Line(task.host, Line { level: Level::Info, message: number.to_string() }));
                tell(HostEvent::Waiting { host: task.host, what: "a check".to_owned(), seconds: 1, limit: 2 });
            }
            count.fetch_add(1, Ordering::SeqCst);
            HostResult::ok()
        };
        let (mut lines, mut progress) = (0, 0);
        Pool::whose_hosts_go_on().run((4, None), &tasks(4), Arc::new(job), &mut |events| {
            let begun = events.iter().any(|event| matches!(event, HostEvent::Line(..)));
            let deadline = Instant::now() + Duration::from_secs(60);
            while begun && ended.load(Ordering::SeqCst) < 4 {
                assert!(Instant::now() < deadline, "a host waits for the caller");
                std::thread::sleep(Duration::from_millis(1));
            }
            lines += events.iter().filter(|event| matches!(event, HostEvent::Line(..))).count();
            progress += events.iter().filter(|event| matches!(event, HostEvent::Waiting { .. })).count();
            Flow::Continue
        });
        assert_eq!(lines, 4 * 3 * IN_FLIGHT);
        assert!((1..2 * IN_FLIGHT).contains(&progress), "{progress}");
    }

    #[test]
    fn talkative_hosts_wait_for_a_slow_listener_and_no_line_is_lost() {
        let job = |task: &Task, tell: &dyn Fn(HostEvent)| {
            for number in 0..1000 {
                tell(HostEvent::Line(task.host, Line { level: Level::Info, message: number.to_string() }));
            }
            HostResult::ok()
        };
        let mut lines = [0; 8];
        Pool::default().run((8, None), &tasks(8), Arc::new(job), &mut |events| {
            for event in events {
                if let HostEvent::Line(host, line) = event {
                    assert_eq!(line.message, lines[host.index()].to_string());
                    lines[host.index()] += 1;
                }
            }
            Flow::Continue
        });
        assert_eq!(lines, [1000; 8]);
    }
}
