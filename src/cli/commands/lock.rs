//! `hoist lock`: keeps deployments out, and its end.

use crate::cli::lock_hold;
use crate::cli::out::{answer_line, complain_line};
use crate::cli::show::{Format, Show};
use crate::cli::signals::Interrupts;
use crate::cli::values::duration;
use crate::clock;
use crate::deploy;
use crate::locks::{Ended, LockOwner, Purpose};
use crate::operation::{LockScope, Refused};

use super::{Console, ExitCode, command};

/// It is read by whoever is kept out, on one line.
const LONGEST_REASON: usize = 500;

command! {
    /// Block deployments until you press Enter or Ctrl-C, or run `hoist lock --end`.
    #[argh(subcommand, name = "lock", help_triggers("-h", "--help"))]
    pub struct Args {
        /// block deployments of every repository on this host
        #[argh(switch)]
        pub all: bool,

        /// end the lock, whichever terminal holds it
        #[argh(switch)]
        pub end: bool,

        /// release the lock after this time: 90s, 30m, 1h30m, 1d
        #[argh(option, arg_name = "duration")]
        pub time: Option<String>,

        /// hold the lock in the background, and exit
        #[argh(switch)]
        pub detach: bool,
    } with [settings] then {
        /// the reason; it is shown to others who want to deploy
        #[argh(positional, greedy)]
        pub reason: Vec<String>,
    }
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Refused> {
    let time = args.time.as_deref().map(duration).transpose();
    let time = time.map_err(|why| Refused::Usage(format!("--time: {why}")))?;
    if args.end && (time.is_some() || args.detach || !args.reason.is_empty()) {
        return Err(Refused::Usage("--end can be combined with --all only".into()));
    }
    let reason = args.reason.join(" ");
    if reason.chars().count() > LONGEST_REASON {
        return Err(Refused::Usage(format!("the reason is longer than {LONGEST_REASON} characters")));
    }
    let console = Console::new("lock", Show::answer(Format::Text), false);
    let scope = LockScope::new(&args.options()?, args.all, &console)?;
    if args.end {
        return end(&scope);
    }
    if args.detach {
        return lock_hold::detach(&attached(&args));
    }
    let until = time.and_then(clock::rfc3339_in);
    let owner = LockOwner { holder: deploy::holder(reason)?, purpose: Purpose::Lock, until };
    // Ahead of the lock: a signal that comes as soon as it stands lets it go in good order.
    let interrupts = Interrupts::listen("hoist lock: stopped; the lock is released")?;
    let lock = scope.acquire(&owner, &|| interrupts.any(), &console)?;
    let announced = scope.announce(&owner, &console);
    let end = format!("`{}`", scope.command(if args.all { "lock --end --all" } else { "lock --end" }));
    lock_hold::hold(&format!("{} {owner}", scope.name()), &end, time, &interrupts);
    drop(lock);
    answer_line(&format!("{} is unlocked", scope.name()));
    if let Some(line) = announced.settle() {
        complain_line(&format!("hoist lock: warning: {line}"));
    }
    Ok(ExitCode::Success)
}

/// The words of the same command without `--detach`.
fn attached(args: &Args) -> Vec<&str> {
    let values = [("--time", &args.time), ("--config", &args.config), ("--environment", &args.environment)];
    let mut words: Vec<&str> = args.all.then_some("--all").into_iter().collect();
    words.extend(values.into_iter().filter_map(|(flag, value)| Some([flag, value.as_deref()?])).flatten());
    words.extend(args.define.iter().flat_map(|define| ["--define", define]));
    words.push("--");
    words.extend(args.reason.iter().map(String::as_str));
    words
}

/// `--end`, and a word on the locks that still keep deployments out.
fn end(scope: &LockScope) -> Result<ExitCode, Refused> {
    let (what, scaps) = (scope.name(), scope.held_by_scap());
    let code = end_own(scope, scaps.iter().any(|(on, _)| on == what))?;
    for (on, held) in scaps {
        complain_line(&format!("hoist lock: {on} is {held}; only Scap can end it"));
    }
    if let Some(locked) = scope.locked_with_all() {
        complain_line(&format!("hoist lock: {locked}; end it with `{}`", scope.command("lock --end --all")));
    }
    Ok(code)
}

/// Ends the lock of Hoist's own. `by_scap`: Scap has one on the same.
fn end_own(scope: &LockScope, by_scap: bool) -> Result<ExitCode, Refused> {
    let (what, kept) = (scope.name(), scope.kept());
    let was_kept = scope.end_kept()?;
    if was_kept {
        let was = kept.map_or("was locked after a rollback".to_owned(), |owner| was(&owner));
        answer_line(&format!("{what} is unlocked; it {was}"));
    }
    let stays = match scope.end()? {
        Ended::Gone(owner) => {
            answer_line(&format!("{what} is unlocked; it {}", was(&owner)));
            return Ok(ExitCode::Success);
        }
        // The run that is under way was let in in spite of it.
        Ended::NotLocked | Ended::Deploying(_) if was_kept && !by_scap => return Ok(ExitCode::Success),
        Ended::NotLocked if by_scap => return Ok(ExitCode::Locked),
        Ended::NotLocked => {
            answer_line(&scope.unlocked());
            return Ok(ExitCode::Success);
        }
        Ended::Deploying(owner) => format!("{owner}; `hoist lock --end` only ends a lock of `hoist lock`"),
        Ended::NotAllowed(owner) => format!("{owner}; only that user and root can end it"),
        Ended::Stays(owner) => format!("{owner}; that process was sent a signal, but is still running"),
        Ended::Nameless => scope.nameless(),
    };
    complain_line(&format!("hoist lock: {what} {stays}"));
    Ok(ExitCode::Locked)
}

fn was(owner: &LockOwner) -> String {
    owner.to_string().replacen("is ", "was ", 1)
}
