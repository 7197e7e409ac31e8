//! `hoist log`: shows and follows the log of a deployment.

use std::fs::File;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::cli::out::complain;
use crate::cli::render::log::LogView;
use crate::cli::show::Format;
use crate::logs;
use crate::logs::{Filter, Follower, News};
use crate::report::LogFile;

use super::{ExitCode, Refused, command, operation};

/// How often a followed folder is looked at.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };

command! {
    /// Show the log of a deployment, or follow it as it is written.
    #[argh(subcommand, name = "log", help_triggers("-h", "--help"))]
    pub struct Args {
        /// show the newest log from its beginning, and exit
        #[argh(switch, short = 'l')]
        pub latest: bool,

        /// show this log from its beginning, and exit
        #[argh(option, short = 'f', arg_name = "file")]
        pub file: Option<String>,

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
    let filter = Filter::parse(&args.expression).map_err(Refused::new)?;
    if args.latest && args.file.is_some() {
        return Err(Refused::not_both("-l", "-f"));
    }
    let least = if args.verbose || filter.names_a_level() { 0 } else { 20 };
    let show = LogView { filter, least, format: args.format };
    if let Some(file) = &args.file {
        return whole(Path::new(file), &show);
    }
    let config = operation::load(&args.options()?)?;
    let folder = LogFile::folder_of(&config.control);
    let shown = folder.strip_prefix(&config.top).unwrap_or(&folder);
    let newest =
        logs::newest(&folder).map_err(|error| Refused::new(format!("cannot read {}: {error}", shown.display())))?;
    match newest {
        None if args.latest => {
            complain(&format!("hoist log: no log in {}: nothing has been deployed yet", shown.display()));
            return Ok(ExitCode::Failed);
        }
        None => complain(&format!("hoist log: no log in {} yet: waiting for one", shown.display())),
        Some(path) if args.latest => return whole(&path, &show),
        Some(path) => complain(&format!("hoist log: following {} from its end", name(&path))),
    }
    follow(&folder, &show)
}

/// One log, from its beginning to its end.
fn whole(path: &Path, show: &LogView) -> Result<ExitCode, Refused> {
    let wrong = |error| Refused::new(format!("cannot read the log {}: {error}", path.display()));
    logs::read_whole(File::open(path).map_err(wrong)?, &mut |entry| show.entry(&entry)).map_err(wrong)?;
    Ok(ExitCode::Success)
}

/// All logs of a folder as they grow, until nobody reads any more.
fn follow(folder: &Path, show: &LogView) -> Result<ExitCode, Refused> {
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
