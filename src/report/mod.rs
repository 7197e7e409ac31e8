//! Showing what happens: one event type, and the readers of it.
//!
//! Only the main thread tells reporters anything. Each of them is a plain function of the events it was told, apart from
//! the time of day, so a run reads the same on a terminal, in a pipe and in the log.

mod bar;
mod causes;
mod ci_log;
mod collected;
mod drawn;
mod event;
mod filed;
mod folded;
mod gate_news;
mod json;
mod junit;
mod log;
pub mod log_line;
mod logged;
mod output;
pub mod output_buffer;
mod owed;
mod plain;
mod progress;
mod render_options;
mod row;
mod sink;
mod step_summary;
mod table;
mod tee;
mod terminal;
mod text;
mod timings;
mod with_timings;
mod words;

pub use crate::gates::{Moment, Pending, Sample, SampleVerdict};
pub use crate::terminal::{Ci, Theme, sanitize};
use bar::Bar;
pub use causes::{Cause, Causes, causes};
use ci_log::CiLog;
pub use event::{Event, GroupHead, Note};
pub use filed::{Filed, ReportFiles};
pub use json::Json;
pub use log::LogFile;
pub use log_line::{LogLine, name_of_step, said};
pub use logged::{Logged, read_log};
pub use output::Output;
pub use owed::{OwedHost, WhyOwed, owed_line};
pub use plain::Plain;
pub use render_options::{RenderOptions, Verbosity};
pub use row::{HostRow, RowState};
pub use tee::Tee;
pub use terminal::Terminal;
pub use timings::{OF_HOSTS, OF_PARTS, RunTimings, Tally};
pub use with_timings::WithTimings;
pub use words::{step_name, took};

use crate::named::named;
use crate::targets::Target;
use crate::terminal::Stdout;

/// Anyone who is told what happens. A reporter never fails: what it cannot write, a closed pipe say, is let go.
pub trait Reporter {
    fn event(&mut self, event: &Event);

    /// The events that follow were told before, by an earlier deployer, at that time (RFC 3339, UTC), if it is known;
    /// `None`: they happen now.
    fn replays(&mut self, _at: Option<Option<&str>>) {}

    /// Time has passed and nothing happened: a chance to show that the program is alive. A few times a second is right.
    fn tick(&mut self) {}

    /// No further event is at hand: what is held back to be written in one piece is due.
    fn flush(&mut self) {}

    /// Why nothing more can be written: the reader has gone away, or the disk is full.
    fn broken(&self) -> Option<&std::io::Error> {
        None
    }

    /// Something that the operator should know of this reporter itself, once: a log that cannot be written, say.
    fn warning(&mut self) -> Option<Event> {
        None
    }
}

/// The methods of a [`Reporter`] that leaves them to the one in this field.
macro_rules! left_to {
    ($inner:ident) => {
        fn tick(&mut self) {
            self.$inner.tick();
        }

        fn flush(&mut self) {
            self.$inner.flush();
        }

        fn broken(&self) -> Option<&std::io::Error> {
            self.$inner.broken()
        }

        fn warning(&mut self) -> Option<Event> {
            self.$inner.warning()
        }
    };
}

use left_to;

named! {
    /// In which form events are on standard output: the values of `--format`. `hoist-deploy(1)` says what each is.
    pub enum Format: "format" {
        Text = "text",
        /// One event a line, and nothing else.
        Json = "json",
    }
}

/// The reporter for standard output: JSON lines, or text, live on a terminal and plain elsewhere. `fold` makes one name
/// of many: `web[01-97]`. For the log of a CI system, text has what that system shows beside the lines.
pub fn to_stdout(format: Format, verbosity: Verbosity, fold: fn(&[&Target]) -> String, ci: Ci) -> Box<dyn Reporter> {
    let theme = Theme::of_stdout();
    let look = RenderOptions { theme, verbosity, fold, columns: crate::terminal::columns };
    match format {
        Format::Json => Box::new(Json::new(Stdout)),
        Format::Text if matches!(ci, Ci::Github | Ci::Gitlab) => {
            Box::new(CiLog::new(ci, look, Box::new(Plain::new(look, Stdout)), Stdout))
        }
        Format::Text if theme.live => Box::new(Terminal::new(look)),
        Format::Text => Box::new(Plain::new(look, Stdout)),
    }
}

/// Several names as a list, whole.
#[cfg(test)]
fn comma_list(hosts: &[&Target]) -> String {
    hosts.iter().map(|host| host.to_string()).collect::<Vec<_>>().join(",")
}

/// The reporter of `hoist run`: JSON lines, or the hosts' own lines on the stream that each belongs to. With
/// `fold_output` equal output is shown once, at the end.
pub fn of_command(
    format: Format,
    verbosity: Verbosity,
    fold: fn(&[&Target]) -> String,
    fold_output: bool,
) -> Box<dyn Reporter> {
    let (out, err) = (std::io::stdout(), std::io::stderr());
    match format {
        Format::Json => Box::new(Json::new(out)),
        Format::Text => {
            let looks = [output::look_of(&out, verbosity, fold), output::look_of(&err, verbosity, fold)];
            let bar = looks[1].theme.live.then(|| Bar::new(looks[1], Box::new(drawn::on_stderr)));
            Box::new(Output::new(out, err, looks, fold_output, bar))
        }
    }
}
