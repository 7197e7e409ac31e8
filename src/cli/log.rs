//! `hoist log`: shows and follows the log of a deployment.

use std::fs::File;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;

use crate::exit_code::ExitCode;
use crate::logs;
use crate::logs::{Filter, Follower, LogEntry, News};
use crate::report::LogFile;
use crate::terminal::{Page, Style, Styled, cut_line};

use super::out::{answer_json, answer_json_line, complain};
use super::{Refused, args, load};

/// How often a followed folder is looked at.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };

/// Runs the command. It only ever reads.
pub fn run(args: args::Log) -> Result<ExitCode, Refused> {
    let filter = Filter::parse(&args.expression).map_err(Refused)?;
    if args.latest && args.file.is_some() {
        return Err(Refused::usage("log", "-l and -f exclude each other"));
    }
    let least = if args.verbose || filter.names_a_level() { 0 } else { 20 };
    let show = Show { filter, least, format: args.format };
    if let Some(file) = &args.file {
        return whole(Path::new(file), &show);
    }
    let config = load(args.config.as_deref(), &args.define, args.environment.as_deref())?;
    let folder = LogFile::folder_of(&config.control);
    let shown = folder.strip_prefix(&config.top).unwrap_or(&folder);
    let newest = logs::newest(&folder).map_err(|error| Refused(format!("cannot read {}: {error}", shown.display())))?;
    match newest {
        None if args.latest => {
            complain(&format!("hoist log: {} holds no log: a deployment leaves one there", shown.display()));
            return Ok(ExitCode::Failed);
        }
        None => complain(&format!("hoist log: {} holds no log yet: waiting for one", shown.display())),
        Some(path) if args.latest => return whole(&path, &show),
        Some(path) => complain(&format!("hoist log: following {}, from its end on", name(&path))),
    }
    follow(&folder, &show)
}

/// One log, from its beginning to its end.
fn whole(path: &Path, show: &Show) -> Result<ExitCode, Refused> {
    let wrong = |error| Refused(format!("cannot read the log {}: {error}", path.display()));
    logs::read_whole(File::open(path).map_err(wrong)?, &mut |entry| show.entry(&entry)).map_err(wrong)?;
    Ok(ExitCode::Success)
}

/// All logs of a folder as they grow, until nobody reads any more.
fn follow(folder: &Path, show: &Show) -> Result<ExitCode, Refused> {
    let mut follower = Follower::new(folder)?;
    let mut read = true;
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

/// Which entries are shown, and how.
struct Show {
    filter: Filter,
    /// Entries whose level is lower are left out; those without any are not.
    least: u32,
    format: args::Format,
}

impl Show {
    /// Shows an entry, if it is wanted; false when there is nobody to show it to.
    fn entry(&self, entry: &LogEntry) -> bool {
        if entry.level.is_some_and(|level| level < self.least) || !self.filter.matches(entry) {
            return true;
        }
        match self.format {
            args::Format::Json if entry.json => answer_json_line(entry.line.clone()),
            args::Format::Json => answer_json(&PlainLine { message: &entry.line }).unwrap_or(false),
            args::Format::Text => text(entry).answer(),
        }
    }
}

/// What is shown for a line of a log that is no JSON.
#[derive(Serialize)]
struct PlainLine<'a> {
    message: &'a str,
}

/// `21:58:30 [web-10] Rolling back …`; further lines of a message are indented, so that none looks like an entry.
fn text(entry: &LogEntry) -> Page {
    let style = match entry.level {
        Some(40..) => Style::Bad,
        Some(30..) => Style::Warning,
        Some(..20) => Style::Dim,
        _ => Style::Plain,
    };
    let mut head = Styled::default();
    if let Some(clock) = &entry.clock {
        head.push(Style::Dim.of(clock));
        head.push(" ");
    }
    if let Some(host) = &entry.host {
        head.push(format!("[{}] ", cut_line(host)));
    }
    let mut page = Page::default();
    for line in entry.message.trim_end().split('\n') {
        page.line(std::mem::replace(&mut head, "    ".into()).with(style.of(cut_line(line))));
    }
    page
}
