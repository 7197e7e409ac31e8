//! The commands: each reads its flags, calls the module that does the work, and ends with one exit status.

pub mod args;
pub mod argv;
mod before;
mod check_config;
mod config;
mod console;
mod deploy;
mod deploy_local;
mod fresh;
mod interlocks;
mod lock;
mod log;
pub mod observe;
mod plan;
mod publish;
mod reconcile;
mod resume;
mod rollback;
mod run;
mod session;
mod signals;
mod ssh;
mod status;
mod status_text;
mod unlock;
mod wait;

use std::io::ErrorKind;
use std::path::PathBuf;

use argh::ArgsInfo;

use crate::config::{Config, Options};
use crate::exit_code::ExitCode;
use crate::terminal as out;
use crate::text::counted as plural;

use args::Command;
use argv::Parsed;

/// Runs the program on the words after its name.
pub fn main(words: Vec<std::ffi::OsString>) -> ExitCode {
    out::tell_panics();
    out::log_to_stderr();
    let command = match argv::parse(words) {
        Ok(Parsed::Command(hoist)) => hoist.command,
        Ok(Parsed::Say(text)) => {
            out::answer(&text);
            return ExitCode::Success;
        }
        Err(argv::UsageError(complaint)) => {
            out::complain(&complaint);
            return ExitCode::Usage;
        }
    };
    let name = command.name();
    run(command).unwrap_or_else(|Refused(why)| {
        out::complain(&format!("hoist {name}: {why}"));
        ExitCode::Usage
    })
}

fn run(command: Command) -> Result<ExitCode, Refused> {
    match command {
        Command::Deploy(args) => deploy::run(args),
        Command::Resume(args) => resume::run(args),
        Command::Rollback(args) => rollback::run(args),
        Command::Status(args) => status::run(args),
        Command::Reconcile(args) => reconcile::run(args),
        Command::Run(args) => run::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Config(args) => config::run(args),
        Command::Log(args) => log::run(args),
        Command::Lock(args) => lock::run(args),
        Command::CheckConfig(args) => check_config::run(args),
        Command::Unlock(args) => unlock::run(args),
        Command::DeployLocal(args) => deploy_local::run(args),
        Command::Completion(args) => completion(&args),
        Command::Version(_) => {
            out::answer(&argv::version());
            Ok(ExitCode::Success)
        }
    }
}

/// A usage or configuration error: nothing was touched.
#[derive(Debug)]
struct Refused(String);

impl Refused {
    /// An error in the use of a command, which its help would have told of.
    fn usage(command: &str, why: &str) -> Refused {
        Refused(format!("{why}\nsee `hoist {command} --help`"))
    }
}

impl<E: Into<anyhow::Error>> From<E> for Refused {
    fn from(error: E) -> Refused {
        Refused(format!("{:#}", error.into()))
    }
}

/// The configuration of the repository that the command was called in.
fn load(file: Option<&str>, defines: &[String], environment: Option<&str>) -> Result<Config, Refused> {
    let config = Config::load(&options(file, defines, environment)?)?;
    // What this host writes, journals, logs and tags, is for the operators that targets' files are for, whatever the
    // shell of whoever calls it says.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(config.settings.umask));
    Ok(config)
}

/// What the command line and the environment say of the configuration.
fn options(file: Option<&str>, defines: &[String], environment: Option<&str>) -> Result<Options, Refused> {
    Ok(Options {
        start: working_directory()?,
        config_file: file.map(Into::into),
        defines: defines.to_vec(),
        environment: environment.map(str::to_owned),
        global_file: std::env::var_os("HOIST_GLOBAL_CONFIG").map(Into::into),
        repo_optional: false,
    })
}

fn working_directory() -> Result<PathBuf, Refused> {
    std::env::current_dir().map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            let why =
                "the working directory does not exist any more: change to one that does (`cd .`, if it was made anew)";
            Refused(why.to_owned())
        }
        _ => Refused(format!("cannot find out the working directory: {error}")),
    })
}

fn completion(args: &args::Completion) -> Result<ExitCode, Refused> {
    use argh_complete::Generator;
    let hoist = args::Hoist::get_args_info();
    let script = match args.shell.as_str() {
        "bash" => argh_complete::bash::Bash::generate("hoist", &hoist),
        "zsh" => argh_complete::zsh::Zsh::generate("hoist", &hoist),
        "fish" => argh_complete::fish::Fish::generate("hoist", &hoist),
        "nushell" => argh_complete::nushell::Nushell::generate("hoist", &hoist),
        other => {
            return Err(Refused::usage("completion", &format!("{other:?}: there are bash, zsh, fish and nushell")));
        }
    };
    out::answer(&script);
    Ok(ExitCode::Success)
}
