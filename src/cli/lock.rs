//! `hoist lock`: keeps deployments out, and its end.

use std::fmt::Debug;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::config::Config;
use crate::deploy;
use crate::exit_code::ExitCode;
use crate::locks;
use crate::locks::{DeployLock, Ended, LockError, LockOwner, LockPlaces, Locks, NotTaken, Purpose, Refusal};

use super::out::{answer, answer_line, complain, complain_line};
use super::signals::Interrupts;
use super::{Refused, args, load, session, wait};

/// How long the keyboard is looked at before the clock and the signals are.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// What `--time` takes, in seconds.
const UNITS: [(char, u64); 4] = [('s', 1), ('m', 60), ('h', 60 * 60), ('d', 24 * 60 * 60)];

/// The longest `--time`: beyond that it is a slip of the finger.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// It is read by whoever is kept out, on one line.
const LONGEST_REASON: usize = 500;

/// Runs the command.
pub fn run(args: args::Lock) -> Result<ExitCode, Refused> {
    let time = args.time.as_deref().map(duration).transpose()?;
    if args.end && (time.is_some() || args.detach || !args.reason.is_empty()) {
        return Err(Refused::usage("lock", "--end goes with --all, and with nothing else"));
    }
    let reason = args.reason.join(" ");
    if reason.chars().count() > LONGEST_REASON {
        return Err(Refused::usage("lock", &format!("a reason has {LONGEST_REASON} characters at most")));
    }
    let config = load(args.config.as_deref(), &args.define, args.environment.as_deref())?;
    let places = deploy::lock_places(&config);
    let (what, path) = match args.all {
        true => ("every repository of this host".to_owned(), &places.all),
        false => (config.settings.git_repo.clone(), &places.own),
    };
    if args.end {
        return end(&what, path);
    }
    if args.detach {
        return detach(&args);
    }
    let until = time.and_then(crate::clock::rfc3339_in);
    let holder = deploy::holder(reason)?;
    let keeper = LockOwner { holder, purpose: Purpose::Lock, until };
    // Ahead of the lock: a signal that comes as soon as it stands lets it go in good order.
    let interrupts = Interrupts::listen("hoist lock: stopped at once; the lock is let go")?;
    let lock = acquire(&config, &places, &keeper, args.all, &interrupts)?;
    let end = if args.all { "`hoist lock --end --all`" } else { "`hoist lock --end`" };
    hold(&format!("{what} {keeper}"), end, time, &interrupts);
    drop(lock);
    answer_line(&format!("{what} is unlocked"));
    Ok(ExitCode::Success)
}

/// The lock on the repository or, with `all`, on every one.
fn acquire(
    config: &Config,
    places: &LockPlaces,
    keeper: &LockOwner,
    all: bool,
    interrupts: &Interrupts,
) -> Result<Box<dyn Debug>, Refused> {
    let stopped = || interrupts.any();
    if !all {
        return Ok(Box::new(session::take_locks(config, keeper, &stopped)?));
    }
    let (timeout, what) = (config.lock_timeout(), "every repository");
    let take = || match DeployLock::acquire(&places.all, keeper) {
        Err(LockError::Held(by)) => Err(NotTaken::Refused(Refusal::All(places.all.clone(), by))),
        taken => taken.map_err(NotTaken::from),
    };
    let own = wait::for_lock(timeout, what, &stopped, take)?;
    tell_who_is_under_way(places);
    // Nobody begins any more; Scap's lock is to be had once those who deploy have ended.
    let scaps = wait::for_lock(timeout, what, &stopped, || Locks::take_scaps_global(places, keeper))?;
    Ok(Box::new((scaps, own)))
}

/// A number and its unit: `90s`, `30m`, `2h`, `1d`.
fn duration(text: &str) -> Result<Duration, Refused> {
    let wrong = || Refused::usage("lock", &format!("--time: {text:?} is no duration: 90s, 30m, 2h, 1d, at most 366d"));
    let (_, seconds) = UNITS.into_iter().find(|(unit, _)| text.ends_with(*unit)).ok_or_else(wrong)?;
    let digits = &text[..text.len() - 1];
    // A number's own reader would take a sign.
    let number: u64 = digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit())).ok_or_else(wrong)?;
    let duration = number.checked_mul(seconds).map(Duration::from_secs);
    duration.filter(|it| !it.is_zero() && *it <= LONGEST).ok_or_else(wrong)
}

/// Those who were there before the lock on all repositories go on with what they do.
fn tell_who_is_under_way(places: &LockPlaces) {
    for (repo, keeper) in places.under_way() {
        complain_line(&format!("hoist lock: under way, and not stopped by this: {repo} {keeper}"));
    }
}

/// Says what is locked, and waits for Enter, a signal or the end of the lock's time.
fn hold(what: &str, end: &str, time: Option<Duration>, interrupts: &Interrupts) {
    let terminal = io::stdin().is_terminal();
    let keys = if terminal { "Enter, Ctrl-C, or " } else { "" };
    answer_line(&format!("{what}; {keys}{end} ends that"));
    let began = Instant::now();
    while !interrupts.any() && time.is_none_or(|time| began.elapsed() < time) {
        if terminal {
            if entered() {
                break;
            }
        } else {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Waits a moment for a line from the terminal, or for its end. In the background, where reading would stop the
/// process, nothing is read.
fn entered() -> bool {
    let stdin = io::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    let there = match poll(&mut fds, Some(&LOOK)) {
        Ok(count) => count > 0,
        Err(rustix::io::Errno::INTR) => false,
        Err(_) => return true,
    };
    if !there {
        return false;
    }
    let ours = rustix::process::getpgrp();
    match rustix::termios::tcgetpgrp(&stdin) {
        Ok(front) if front != ours => {
            std::thread::sleep(Duration::from_millis(100));
            false
        }
        _ => {
            // A line, or the end of the terminal: either ends the lock.
            let _ = stdin.lock().read_until(b'\n', &mut Vec::new());
            true
        }
    }
}

/// Holds the lock in another process, which nothing ties to this terminal, and returns as soon as it stands.
fn detach(args: &args::Lock) -> Result<ExitCode, Refused> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("lock").args(args.all.then_some("--all"));
    for (flag, value) in [("--time", &args.time), ("--config", &args.config), ("--environment", &args.environment)] {
        command.args(value.iter().flat_map(|value| [flag, value]));
    }
    command.args(args.define.iter().flat_map(|define| ["--define", define])).arg("--").args(&args.reason);
    // Its own process group, so that the terminal's Ctrl-C is not for it; and none of its streams is the caller's, who
    // may wait for them to be closed.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn()?;
    let mut line = String::new();
    if let Some(out) = child.stdout.take() {
        BufReader::new(out).read_line(&mut line)?;
    }
    if !line.is_empty() {
        answer(&line);
        return Ok(ExitCode::Success);
    }
    let mut said = String::new();
    if let Some(mut err) = child.stderr.take() {
        err.read_to_string(&mut said)?;
    }
    complain(said.trim_end());
    let status = child.wait()?.code();
    let same = |code: &ExitCode| status == Some(code.status().into());
    Ok(ExitCode::ALL.into_iter().find(same).unwrap_or(ExitCode::Failed))
}

/// `--end`.
fn end(what: &str, path: &Path) -> Result<ExitCode, Refused> {
    let say = |text: String| complain_line(&format!("hoist lock: {what} {text}"));
    let looked =
        locks::end(path).map_err(|error| Refused::Usage(format!("cannot look at {}: {error}", path.display())))?;
    Ok(match looked {
        Ended::Gone(keeper) => {
            let was = keeper.to_string().replacen("is ", "was ", 1);
            answer_line(&format!("{what} is unlocked; it {was}"));
            ExitCode::Success
        }
        Ended::NotLocked => {
            answer_line(&format!("{what} is not locked"));
            ExitCode::Success
        }
        Ended::Deploying(keeper) => {
            say(format!("{keeper}; only a `hoist lock` is ended in this way"));
            ExitCode::Locked
        }
        Ended::NotAllowed(keeper) => {
            say(format!("{keeper}; only that user and root may end that"));
            ExitCode::Locked
        }
        Ended::Stays(keeper) => {
            say(format!("{keeper}; that process was told to end, and has not"));
            ExitCode::Locked
        }
        Ended::Nameless => {
            say(locks::nameless(path));
            ExitCode::Locked
        }
    })
}
