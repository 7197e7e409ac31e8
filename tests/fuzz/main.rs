//! Every reader of foreign bytes, against bytes that nobody would send: none may panic, hang, or grow without bound.
//!
//! A plain harness that runs on a stable compiler. It mutates the seeds in `tests/corpus`, and keeps what made a reader
//! answer in a new way for further mutation. `FUZZ_SECONDS` says how long each reader is tried, `SEED` where the chance
//! begins; an input with a finding is written to the corpus folder of its reader, so that it is tried ever after.

mod mutate;
mod readers;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use mutate::{Chance, mutated};
use readers::Reader;

/// One input may take this long, on a busy machine too. All are shorter than [`mutate::LONGEST`].
const PATIENCE: Duration = Duration::from_secs(20);

/// The address space of the whole program, in bytes: a reader that grows without bound dies of it.
const ROOM: u64 = 3 << 30;

/// Inputs that are kept for further mutation.
const POOL: usize = 2000;

fn corpus(reader: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(reader)
}

fn seeds(reader: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = std::fs::read_dir(corpus(reader)).unwrap().map(|it| it.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{reader} has no seeds");
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn finding(reader: &str, input: &[u8], what: &str) -> PathBuf {
    let sum = input
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    let path = corpus(reader).join(format!("{what}-{sum:016x}"));
    std::fs::write(&path, input).unwrap();
    path
}

/// Watches one reader for an input that takes too long.
struct Watch(SyncSender<Vec<u8>>);

impl Watch {
    fn over(reader: &'static str) -> Watch {
        // Short, so that the watch never lags behind with a heap of inputs.
        let (sender, inputs) = sync_channel::<Vec<u8>>(16);
        std::thread::spawn(move || {
            let Ok(mut current) = inputs.recv() else { return };
            loop {
                match inputs.recv_timeout(PATIENCE) {
                    Ok(next) => current = next,
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => {
                        eprintln!("{reader} hangs on {}", finding(reader, &current, "hang").display());
                        std::process::abort();
                    }
                }
            }
        });
        Watch(sender)
    }
}

fn limit_memory() {
    let limit = rustix::process::Rlimit { current: Some(ROOM), maximum: Some(ROOM) };
    rustix::process::setrlimit(rustix::process::Resource::As, limit).unwrap();
}

/// Gives an input to a reader, and keeps it where it is found when the whole program dies of it, as of a stack that
/// overflows; what came of it in short, or nothing when it panicked.
fn try_one(reader: &Reader, input: &[u8]) -> Option<String> {
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-last-{}", reader.name)), input).unwrap();
    catch_unwind(AssertUnwindSafe(|| (reader.read)(input))).ok()
}

fn fuzz(name: &str) {
    limit_memory();
    let reader = readers::ALL.iter().find(|reader| reader.name == name).unwrap();
    let watch = Watch::over(reader.name);
    let mut pool = seeds(name);
    let mut answers: HashSet<String> = HashSet::new();
    for seed in &pool {
        watch.0.send(seed.clone()).unwrap();
        let answer = try_one(reader, seed);
        answers.insert(answer.unwrap_or_else(|| panic!("{name} panics on a seed of {} bytes", seed.len())));
    }
    let seed = number("SEED", 1);
    let mut chance = Chance::new(seed);
    let until = Instant::now() + Duration::from_secs(number("FUZZ_SECONDS", 1));
    let mut tries = 0_u64;
    while Instant::now() < until {
        let input = mutated(&mut chance, &pool, reader.words);
        watch.0.send(input.clone()).unwrap();
        match try_one(reader, &input) {
            None => panic!("{name} panics on {} (seed {seed})", finding(name, &input, "panic").display()),
            Some(answer) => {
                if pool.len() < POOL && answers.insert(answer) {
                    pool.push(input);
                }
            }
        }
        tries += 1;
    }
    println!("{name}: {tries} inputs, {} kinds of answers, no finding (SEED={seed})", answers.len());
}

macro_rules! readers_stand {
    ($($test:ident: $name:literal;)*) => {
        $(#[test] fn $test() { fuzz($name) })*

        #[test]
        fn every_reader_is_tried_and_every_corpus_has_a_reader() {
            let tried: HashSet<&str> = [$($name),*].into();
            let known: HashSet<&str> = readers::ALL.iter().map(|reader| reader.name).collect();
            assert_eq!(tried, known);
            for entry in std::fs::read_dir(corpus("")).unwrap() {
                let name = entry.unwrap().file_name();
                assert!(known.contains(name.to_str().unwrap()), "{name:?} is nobody's corpus");
            }
        }
    };
}

readers_stand! {
    archives_stand_any_bytes: "archive";
    the_configuration_stands_any_bytes: "config";
    checks_stand_any_bytes: "checks";
    health_gates_stand_any_bytes: "gates";
    hooks_stand_any_bytes: "hooks";
    steps_stand_any_bytes: "steps";
    configuration_files_stand_any_bytes: "config_files";
    target_files_stand_any_bytes: "targets";
    an_inventory_is_read_or_refused: "inventory";
    a_printed_list_of_hosts_is_read_or_refused: "host_list";
    answers_of_name_servers_stand_any_bytes: "dns_answer";
    host_patterns_stand_any_bytes: "pattern";
    failure_limits_stand_any_bytes: "limit";
    requests_stand_any_bytes: "request";
    what_a_target_says_stands_any_bytes: "event";
    the_journal_stands_any_bytes: "journal";
    logs_stand_any_bytes: "log";
    expressions_over_logs_stand_any_bytes: "expression";
    files_of_host_keys_stand_any_bytes: "known_hosts";
    key_exchanges_stand_any_bytes: "kexinit";
    certificates_stand_any_bytes: "certificate";
    git_indexes_stand_any_bytes: "git_index";
    gitmodules_stand_any_bytes: "gitmodules";
    pointers_of_git_lfs_stand_any_bytes: "pointer";
}
