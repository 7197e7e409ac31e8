//! The command line: the words, the terminal and the signals. `commands` has a file for each command.

mod ahead;
pub mod argv;
mod commands;
mod complete;
mod console;
mod flags;
mod keyboard;
mod lock_hold;
mod other_tools;
mod render;
mod show;
mod signals;
mod values;
mod version;

use std::ffi::OsString;

use argh::{ArgsInfo, FromArgs};

use crate::exit_code::ExitCode;
use crate::operation::Refused;
use crate::terminal as out;

use argv::Parsed;
use commands::Command;

/// Deploys a git revision to groups of hosts over SSH, stage by stage.
#[derive(Debug, FromArgs, ArgsInfo)]
#[argh(
    name = "hoist",
    help_triggers("-h", "--help"),
    note = "hoist help COMMAND shows the flags of a command. Every command also has -h, and -C DIR, which runs it in \
            that directory.",
    note = "Every command but completion and version has a manual page: hoist(1), hoist-deploy(1), hoist-status(1), hoist-run(1), hoist-plan(1), \
            hoist-deploy-local(1), hoist.cfg(5)."
)]
pub struct Hoist {
    #[argh(subcommand)]
    pub command: Command,
}

/// Runs the program on the words after its name.
pub fn main(words: Vec<OsString>) -> ExitCode {
    run(words, &Build { run: Command::run, complete: complete::complete, environments: complete::environments })
}

/// The same for the build that is copied to targets. It has only the commands that are needed there, since all that they
/// do not call is left out of it.
pub fn main_for_targets(words: Vec<OsString>) -> ExitCode {
    let run_some = |command| match command {
        Command::DeployLocal(args) => commands::deploy_local::run_on_target(args),
        Command::Version(args) => commands::version::run(args),
        command => Err(Refused::new(format!(
            "this copy of hoist is for targets, and has no {}: install hoist",
            command.name()
        ))),
    };
    run(words, &Build { run: run_some, complete: |_| String::new(), environments: |_| Vec::new() })
}

/// What a build has.
struct Build {
    run: fn(Command) -> Result<ExitCode, Refused>,
    complete: fn(&[String]) -> String,
    environments: argv::Environments,
}

fn run(words: Vec<OsString>, build: &Build) -> ExitCode {
    out::tell_panics();
    out::log_to_stderr();
    signals::survive_file_size_limit();
    out::Ci::of_environment().guard();
    let command = match argv::parse(words, build.environments) {
        Ok(Parsed::Command(hoist, folders)) => {
            if let Err(why) = flags::enter(&folders) {
                out::complain_line(&format!("hoist: {why}"));
                return ExitCode::Usage;
            }
            hoist.command
        }
        Ok(Parsed::Complete(words)) => {
            out::answer(&(build.complete)(&words));
            return after_answer("hoist", true, ExitCode::Success);
        }
        Ok(Parsed::Say(text)) => {
            out::answer(&text);
            return after_answer("hoist", true, ExitCode::Success);
        }
        Err(argv::UsageError(complaint)) => {
            out::complain(&complaint);
            return ExitCode::Usage;
        }
    };
    let (name, only_answers) = (command.name(), command.only_answers());
    let code = (build.run)(command).unwrap_or_else(|refused| {
        match &refused {
            Refused::Usage(why) => out::complain(&argv::complaint(name, why)),
            Refused::Because(_, why) => out::complain(&format!("hoist {name}: {why}")),
            Refused::Told(..) => {}
        }
        refused.code()
    });
    after_answer(&format!("hoist {name}"), only_answers, code)
}

/// Says so if an answer could not be written. A command that does nothing else has then failed; the status of any other
/// says what it did.
fn after_answer(name: &str, only_answers: bool, code: ExitCode) -> ExitCode {
    let Some(why) = out::lost_answer() else { return code };
    out::complain_line(&format!("{name}: cannot write to standard output: {why}"));
    if only_answers { ExitCode::Usage } else { code }
}
