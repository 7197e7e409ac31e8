//! `hoist run`: a command on targets.

use std::io::ErrorKind;

use crate::cli::keyboard::Keyboard;
use crate::cli::out::complain;
use crate::cli::show::Show;
use crate::cli::signals::Interrupts;
use crate::cli::values::{flag, hosts};
use crate::config;
use crate::operation::{Command, Hosts, Overrides, Refused, command_line};
use crate::report;
use crate::report::Reporter;
use crate::run::Caller;
use crate::targets::{FailureLimit, Group, Steps, Target, fold};

use super::{ExitCode, command};

/// What can be done about hosts that are at work.
const CAN_ABORT: &str = "wait for them, or [a]bort now: a and Enter leave the command as it is on these hosts, and the \
                         result is shown; ";
const CAN_STOP: &str = "a second Ctrl-C ends hoist at once";

const LAST_WORDS: &str = "hoist run: stopped; running commands may continue on their hosts";

command! {
    /// Run a command on targets, with the groups, limits and outcomes of a deployment.
    #[argh(subcommand, name = "run", help_triggers("-h", "--help"))]
    pub struct Args {
        options {
            /// these hosts instead of groups: a file, - for standard input, or a list of names and ranges
            hosts: "hosts",
            /// the number of hosts at once (default: batch_size)
            batch: "number",
            /// the number of hosts of a group that may fail, or a percentage such as 10% (default: failure_limit)
            failure_limit: "limit",
            /// the sizes of successive subgroups, 1,10%,50%, or all (default: group_size)
            group_size: "sizes",
            /// the time limit of the command on a host (default: stage_timeout)
            timeout: "duration",
        }

        /// show output at the end, and identical output of several hosts once
        #[argh(switch)]
        pub fold: bool,

        /// show only the hosts' output, unless a host fails
        #[argh(switch, short = 'q')]
        pub quiet: bool,
    } with [limit, events, verbose, strict, settings] then {
        /// the command: a single word is passed to the remote shell unchanged, several words are quoted
        #[argh(positional, greedy)]
        pub command: Vec<String>,
    }
}

/// Runs the command.
pub fn run(mut args: Args) -> Result<ExitCode, Refused> {
    args.define_strict();
    if args.fold && args.format != report::Format::Text {
        return Err(Refused::Usage("--fold cannot be combined with --format json".into()));
    }
    let show = Show::new(args.format, args.verbose, args.quiet)?;
    let line = command_line(&args.command);
    if line.trim().is_empty() {
        return Err(Refused::Usage("no command given: write it after the flags, hoist run -- COMMAND".into()));
    }
    let options = args.options()?;
    let limit = flag("--failure-limit", &args.failure_limit, str::parse::<FailureLimit>)?;
    let steps = flag("--group-size", &args.group_size, str::parse::<Steps>)?;
    let overrides = Overrides {
        batch: flag("--batch", &args.batch, |text| config::values::number(text, 1))?,
        timeout: flag("--timeout", &args.timeout, config::values::seconds)?,
        group: &|group: &mut Group| {
            group.limit = limit.unwrap_or(group.limit);
            group.steps = steps.clone().unwrap_or_else(|| group.steps.clone());
        },
    };
    let limit_hosts = args.limit()?;
    let wanted = match args.hosts {
        Some(_) if args.groups.is_some() => {
            return Err(Refused::not_both("--hosts", "--groups"));
        }
        Some(from) => Hosts::Named { targets: hosts(&from)?, from },
        None => Hosts::Groups,
    };
    let command = Command::prepare(&options, line, wanted, limit_hosts.as_deref(), &overrides)?;
    let interrupts = Interrupts::listen(LAST_WORDS)?;
    let names = |hosts: &[&Target]| fold(hosts.iter().copied());
    let mut report = report::of_command(show.format, show.verbosity, names, args.fold);
    Ok(command.run(&mut *report, &mut Operator { interrupts, keyboard: Keyboard, heard: false }))
}

/// Who called, at a terminal or not.
struct Operator {
    interrupts: Interrupts,
    keyboard: Keyboard,
    /// The first interrupt was acknowledged.
    heard: bool,
}

impl Caller for Operator {
    fn stops(&mut self, report: &dyn Reporter) -> bool {
        end_without_a_reader(report);
        self.interrupts.any()
    }

    fn advice(&mut self) -> Option<String> {
        if std::mem::replace(&mut self.heard, true) {
            return None;
        }
        self.keyboard.discard();
        let choices = if self.keyboard.is_there() { CAN_ABORT } else { "" };
        Some(format!("{choices}{CAN_STOP}"))
    }

    fn aborts(&mut self) -> bool {
        self.keyboard.aborts()
    }
}

/// What nobody reads need not be run: with the reader of standard output gone this ends as any filter does, at once
/// and in silence. Anything else that keeps output from being written is told.
fn end_without_a_reader(report: &dyn Reporter) {
    let Some(error) = report.broken() else { return };
    if error.kind() != ErrorKind::BrokenPipe {
        complain(&format!(
            "hoist run: cannot write to standard output: {error}; {}",
            &LAST_WORDS["hoist run: ".len()..]
        ));
    }
    std::process::exit(ExitCode::Interrupted.status().into());
}
