//! `hoist log`: shows and follows logs of runs.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::cli::out::{complain, lost_answer};
use crate::cli::render::log::LogView;
use crate::cli::show::{Format, Show};
use crate::cli::values::flag;
use crate::config;
use crate::invocation::Invocation;
use crate::logs;
use crate::logs::{Filter, Follower, News};
use crate::report::LogFile;
use crate::text::some;

use super::{Console, ExitCode, Refused, command, operation};

/// How often a followed folder is looked at.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };

/// Logs that a refusal names.
const NAMED: usize = 5;

/// Lines of a log that are shown before those that come, unless `-n` says otherwise.
const LINES_AHEAD: usize = 10;

command! {
    /// Show the log of the last run or of another one, or follow it as it is written.
    #[argh(subcommand, name = "log", help_triggers("-h", "--help"))]
    pub struct Args {
        options {
            /// the log of this run: its id, or the beginning of it (`hoist history` shows them)
            run: "run",
            /// this log, of any repository
            file: "file",
            /// show only so many lines, the last ones
            lines ('n'): "number",
        }
        switches {
            /// show the last lines, and then what is written, also by later runs
            follow ('f'),
            /// the log of the last run; this is the default
            latest ('l'),
        }

        /// text, or json: one object per line, as in the log
        #[argh(option, arg_name = "format", default = "Format::Text")]
        pub format: Format,
    } with [verbose, settings] then {
        /// show only matching lines: host == web-* level >= WARNING msg ~ "regex"
        #[argh(positional)]
        pub expression: Vec<String>,
    }
}

/// Runs the command. It only ever reads.
pub fn run(args: Args) -> Result<ExitCode, Refused> {
    let chosen = [args.latest, args.file.is_some(), args.run.is_some()];
    if chosen.into_iter().filter(|chosen| *chosen).count() > 1 {
        return Err(Refused::Usage("-l, --run and --file cannot be combined".into()));
    }
    if args.follow && (args.file.is_some() || args.run.is_some()) {
        return Err(Refused::Usage("-f follows the newest log: it takes no --run and no --file".into()));
    }
    if let ([file], true) = (args.expression.as_slice(), args.follow)
        && Path::new(file).is_file()
    {
        return Err(Refused::Usage(format!("-f follows the newest log: --file {file} shows that file")));
    }
    let lines = flag("--lines", &args.lines, |text| config::values::number(text, 0))?;
    let filter = Filter::parse(&args.expression).map_err(Refused::new)?;
    let least = if args.verbose || filter.names_a_level() { 0 } else { 20 };
    let show = LogView { filter, least, format: args.format };
    if let Some(file) = &args.file {
        return part(Path::new(file), u64::MAX, lines, &show);
    }
    let console = Console::new("log", Show::answer(args.format), false);
    let config = operation::load_telling(&args.options()?, &console)?;
    let folder = LogFile::folder_of(&config.control);
    let shown = folder.strip_prefix(&config.top).unwrap_or(&folder);
    let cannot = |error| Refused::new(format!("cannot read {}: {error}", shown.display()));
    if args.follow {
        return follow(&folder, lines.unwrap_or(LINES_AHEAD), &show);
    }
    let path = match &args.run {
        None => logs::newest(&folder).map_err(cannot)?,
        Some(run) => Some(of_run(&logs::all(&folder).map_err(cannot)?, run, &config.invocation)?),
    };
    let without = match (&args.run, &path) {
        (Some(_), _) => None,
        (None, None) => operation::newest_without_log(&config)?,
        (None, Some(_)) => operation::newest_without_log(&config).unwrap_or_default(),
    };
    let history = config.invocation.command("history");
    let others = |run: &str| {
        let report = config.invocation.command(&format!("report {run}"));
        format!("`{history}` shows the runs, and `{report}` what its journal tells")
    };
    let said = match (path, without) {
        (Some(path), _) if path.metadata().is_ok_and(|it| it.len() == 0) => {
            let path = path.strip_prefix(&config.top).unwrap_or(&path).to_owned();
            let run = id(&path).map(&others).unwrap_or_else(|| format!("`{history}` shows the runs"));
            format!("the log {} is empty: nothing could be written to it; {run}", path.display())
        }
        (Some(path), without) => {
            if let Some(run) = without {
                complain(&format!("run {run}, the newest, has no log, so this is an older one; {}", others(&run)));
            }
            return part(&path, u64::MAX, lines, &show);
        }
        (None, Some(run)) => {
            format!(
                "no log in {}: that of run {run} was not written, or was removed; {}",
                shown.display(),
                others(&run)
            )
        }
        (None, None) => format!("no log in {}: nothing has been deployed yet", shown.display()),
    };
    complain(&format!("hoist log: {said}"));
    Ok(ExitCode::Failed)
}

/// The id of the run that a log of Hoist's is of.
fn id(path: &Path) -> Option<&str> {
    path.file_stem()?.to_str()?.strip_prefix("hoist-")
}

/// The log of the one run whose id begins so.
fn of_run(logs: &[PathBuf], run: &str, here: &Invocation) -> Result<PathBuf, Refused> {
    let is_meant = |path: &&PathBuf| id(path).is_some_and(|id| id.starts_with(run));
    let found: Vec<&PathBuf> = logs.iter().filter(is_meant).collect();
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(Refused::new(format!(
            "no log of a run {run:?}; `{}` shows the runs, and old logs are removed",
            here.command("history")
        ))),
        several => {
            let names: Vec<String> = several.iter().map(|path| name(path)).collect();
            Err(Refused::new(format!("the ids of several runs begin with {run:?}: {}", some(&names, NAMED))))
        }
    }
}

/// The first `length` bytes of a log; of these, with `lines`, so many of the last lines.
fn part(path: &Path, length: u64, lines: Option<usize>, show: &LogView) -> Result<ExitCode, Refused> {
    let wrong = |error| Refused::new(format!("cannot read the log {}: {error}", path.display()));
    let file = File::open(path).map_err(wrong)?.take(length);
    let Some(most) = lines else {
        logs::read_whole(file, &mut |entry| show.entry(&entry)).map_err(wrong)?;
        return Ok(ExitCode::Success);
    };
    let mut last = VecDeque::new();
    let mut keep = |entry| {
        if show.wants(&entry) {
            last.push_back(entry);
        }
        if last.len() > most {
            last.pop_front();
        }
        true
    };
    logs::read_whole(file, &mut keep).map_err(wrong)?;
    for entry in last {
        if !show.entry(&entry) {
            break;
        }
    }
    Ok(ExitCode::Success)
}

/// All logs of a folder as they grow, until nobody reads any more; ahead of that the last `lines` of the newest.
fn follow(folder: &Path, lines: usize, show: &LogView) -> Result<ExitCode, Refused> {
    let mut follower = Follower::new(folder)?;
    match follower.begins_at() {
        Some((path, length)) => {
            complain(&format!("hoist log: following {}", name(path)));
            part(path, length, Some(lines), show)?;
        }
        None => complain("hoist log: there is no log yet: waiting for one"),
    }
    let mut read = lost_answer().is_none();
    // What the reader's end of a pipe is told by is its being closed, which may be long before the next line.
    while read && !is_closed() {
        follower.look(&mut |news| {
            read &= match news {
                News::LogEntry(entry) => show.entry(&entry),
                News::From(path) => {
                    complain(&format!("hoist log: following {}", name(path)));
                    true
                }
                News::Trouble(path, error) => {
                    complain(&format!("hoist log: cannot read {}: {error}", name(path)));
                    true
                }
            };
            read
        })?;
    }
    Ok(ExitCode::Success)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Waits a moment, or until the reader of standard output has gone.
fn is_closed() -> bool {
    let stdout = std::io::stdout();
    let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
    let gone = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
    poll(&mut fds, Some(&LOOK)).is_ok() && fds[0].revents().intersects(gone)
}
