//! The commands. Each is a file that has its flags, calls the module that does the work, and shows the answer; and a line
//! in the table below.

pub mod check_config;
pub mod completion;
pub mod config;
pub mod deploy;
pub mod deploy_local;
pub mod gates;
pub mod history;
pub mod hooks;
pub mod hosts;
pub mod init;
pub mod lock;
pub mod log;
pub mod plan;
pub mod reconcile;
pub mod report;
pub mod resume;
pub mod rollback;
pub mod run;
pub mod stats;
pub mod status;
pub mod unlock;
pub mod version;

use argh::{ArgsInfo, FromArgs, SubCommand};

// What most of them use, they take from here.
use crate::cli::console::Console;
use crate::cli::flags::command;
use crate::exit_code::ExitCode;
use crate::operation;
use crate::operation::Refused;

/// Declares the commands, each by the module that has its `Args` and its `run`.
macro_rules! commands {
    ($($name:ident in $module:ident,)*) => {
        /// A command, as typed.
        #[derive(Debug, FromArgs, ArgsInfo)]
        #[argh(subcommand)]
        pub enum Command {
            $($name($module::Args),)*
        }

        impl Command {
            /// The word that calls it.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Command::$name(_) => <$module::Args as SubCommand>::COMMAND.name,)*
                }
            }

            /// Runs it.
            pub fn run(self) -> Result<ExitCode, Refused> {
                match self {
                    $(Command::$name(args) => $module::run(args),)*
                }
            }
        }
    };
}

impl Command {
    /// Whether its answer is all that it is for.
    pub fn only_answers(&self) -> bool {
        use Command::*;
        match self {
            Deploy(args) => args.dry_run,
            Rollback(args) => args.list || args.dry_run,
            Reconcile(args) => args.dry_run,
            Hooks(args) => !args.test,
            Resume(_) | Run(_) | Init(_) | Lock(_) | Unlock(_) | DeployLocal(_) => false,
            Status(_) | History(_) | Stats(_) | Report(_) | Gates(_) | Hosts(_) | Plan(_) | Config(_)
            | CheckConfig(_) | Log(_) | Completion(_) | Version(_) => true,
        }
    }
}

// In the order of `hoist --help` and hoist(1).
commands! {
    Deploy in deploy,
    Resume in resume,
    Rollback in rollback,
    Status in status,
    Reconcile in reconcile,
    History in history,
    Stats in stats,
    Report in report,
    Gates in gates,
    Hooks in hooks,
    Run in run,
    Init in init,
    Hosts in hosts,
    Plan in plan,
    Config in config,
    CheckConfig in check_config,
    Log in log,
    Lock in lock,
    Unlock in unlock,
    DeployLocal in deploy_local,
    Completion in completion,
    Version in version,
}
