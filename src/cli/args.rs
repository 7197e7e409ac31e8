//! The command line, as typed: what argh reads, and nothing is decided here.

use argh::{ArgsInfo, FromArgs};

use crate::report;

/// Declares the flags of a command: its own, then those of the sets behind `with`, which stand here once for all
/// commands, then its positional arguments behind `then`. argh has no way to share flags between commands.
macro_rules! command {
    ($(#[$meta:meta])* pub struct $name:ident { $($own:tt)* } with [$($shared:ident),*] $(then { $($last:tt)* })?) => {
        command!(@add [$(#[$meta])* pub struct $name] [$($own)*] [$($shared)*] [$($($last)*)?]);
    };
    (@add $head:tt $fields:tt [settings $($rest:ident)*] $last:tt) => {
        command!(@add $head $fields [config environment define $($rest)*] $last);
    };
    (@add $head:tt $fields:tt [output $($rest:ident)*] $last:tt) => {
        command!(@add $head $fields [events verbose quiet $($rest)*] $last);
    };
    (@add $head:tt [$($fields:tt)*] [limit $($rest:ident)*] $last:tt) => {
        command!(@add $head [$($fields)*
            /// just these targets: names, globs, ranges web[01:20], !negated, ~regex
            #[argh(option, short = 'l', arg_name = "limit")]
            pub limit_hosts: Option<String>,
        ] [$($rest)*] $last);
    };
    (@add $head:tt [$($fields:tt)*] [stages $($rest:ident)*] $last:tt) => {
        command!(@add $head [$($fields)*
            /// just these stages, comma-separated: fetch, config_deploy, promote, finalize
            #[argh(option, short = 's', arg_name = "stages")]
            pub stages: Option<String>,
        ] [$($rest)*] $last);
    };
    (@add $head:tt [$($fields:tt)*] [yes $($rest:ident)*] $last:tt) => {
        command!(@add $head [$($fields)*
            /// answer every question with yes; needed where there is no terminal
            #[argh(switch, short = 'y')]
            pub yes: bool,
        ] [$($rest)*] $last);
    };
    (@add $head:tt [$($fields:tt)*] [events $($rest:ident)*] $last:tt) => {
        command!(@add $head [$($fields)*
            /// how events are shown: text, or another format of hoist-deploy(1), such as json
            #[argh(option, arg_name = "format", default = "report::Format::Text")]
            pub format: report::Format,
        ] [$($rest)*] $last);
    };
    (@add $head:tt [$($fields:tt)*] [answer $($rest:ident)*] $last:tt) => {
        command!(@add $head [$($fields)*
            /// text, or json: one object
            #[argh(option, arg_name = "format", default = "Format::Text")]
            pub format: Format,
        ] [$($rest)*] $last);
    };
    (@add $head:tt [$($fields:tt)*] [verbose $($rest:ident)*] $last:tt) => {
        command!(@add $head [$($fields)*
            /// also show what is only of interest when something is odd
            #[argh(switch, short = 'v')]
            pub verbose: bool,
        ] [$($rest)*] $last);
    };
    (@add $head:tt [$($fields:tt)*] [quiet $($rest:ident)*] $last:tt) => {
        command!(@add $head [$($fields)*
            /// show warnings, errors and the end only
            #[argh(switch, short = 'q')]
            pub quiet: bool,
        ] [$($rest)*] $last);
    };
    (@add $head:tt [$($fields:tt)*] [config $($rest:ident)*] $last:tt) => {
        command!(@add $head [$($fields)*
            /// read this file in place of the repository's hoist.cfg
            #[argh(option, short = 'c', arg_name = "file")]
            pub config: Option<String>,
        ] [$($rest)*] $last);
    };
    (@add $head:tt [$($fields:tt)*] [environment $($rest:ident)*] $last:tt) => {
        command!(@add $head [$($fields)*
            /// the environment
            #[argh(option, short = 'e', arg_name = "environment")]
            pub environment: Option<String>,
        ] [$($rest)*] $last);
    };
    (@add $head:tt [$($fields:tt)*] [define $($rest:ident)*] $last:tt) => {
        command!(@add $head [$($fields)*
            /// set a configuration key, over every file; may be repeated
            #[argh(option, short = 'D', arg_name = "key:value")]
            pub define: Vec<String>,
        ] [$($rest)*] $last);
    };
    (@add [$($head:tt)*] [$($fields:tt)*] [] [$($last:tt)*]) => {
        #[derive(Debug, FromArgs, ArgsInfo)]
        $($head)* { $($fields)* $($last)* }
    };
}

/// Deploys a git revision to groups of hosts over SSH, stage by stage.
#[derive(Debug, FromArgs, ArgsInfo)]
#[argh(
    name = "hoist",
    help_triggers("-h", "--help"),
    note = "Every command has a manual page: hoist(1), hoist-deploy(1), hoist-status(1), hoist-run(1), hoist-plan(1), hoist-deploy-local(1), hoist.cfg(5)."
)]
pub struct Hoist {
    #[argh(subcommand)]
    pub command: Command,
}

#[derive(Debug, FromArgs, ArgsInfo)]
#[argh(subcommand)]
pub enum Command {
    Deploy(Deploy),
    Resume(Resume),
    Rollback(Rollback),
    Status(Status),
    Reconcile(Reconcile),
    Run(Run),
    Plan(Plan),
    Config(Config),
    CheckConfig(CheckConfig),
    Log(Log),
    Lock(Lock),
    Unlock(Unlock),
    DeployLocal(DeployLocal),
    Completion(Completion),
    Version(Version),
}

impl Command {
    /// The word that calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Command::Deploy(_) => "deploy",
            Command::Resume(_) => "resume",
            Command::Rollback(_) => "rollback",
            Command::Status(_) => "status",
            Command::Reconcile(_) => "reconcile",
            Command::Run(_) => "run",
            Command::Plan(_) => "plan",
            Command::Config(_) => "config",
            Command::CheckConfig(_) => "check-config",
            Command::Log(_) => "log",
            Command::Lock(_) => "lock",
            Command::Unlock(_) => "unlock",
            Command::DeployLocal(_) => "deploy-local",
            Command::Completion(_) => "completion",
            Command::Version(_) => "version",
        }
    }
}

command! {
    /// Deploy a revision to every group of targets, then finalize it, or roll it back.
    #[argh(subcommand, name = "deploy", help_triggers("-h", "--help"))]
    pub struct Deploy {
        /// the revision to deploy; any name that git knows (default: git_rev, that is HEAD)
        #[argh(option, short = 'r', arg_name = "revision")]
        pub rev: Option<String>,

        /// do the work even where the revision is live already
        #[argh(switch, short = 'f')]
        pub force: bool,

        /// show what each configuration file would change on each target; touches nothing
        #[argh(switch)]
        pub dry_run: bool,

        /// say nothing of announcements that Scap's keys ask for, and that hoist does not make
        #[argh(switch)]
        pub no_log_message: bool,

        /// only restart the services; deploys nothing
        #[argh(switch)]
        pub service_restart: bool,

        /// only prepare the repository for deployments
        #[argh(switch, short = 'i')]
        pub init: bool,

        /// log in with the operator's own agent and keys, whatever ssh_auth_sock and keyholder_key say
        #[argh(switch)]
        pub no_shared_authsock: bool,
    } with [limit, stages, yes, output, settings] then {
        /// why; goes to logs, tags and locks
        #[argh(positional, greedy)]
        pub message: Vec<String>,
    }
}

command! {
    /// Go on with a deployment whose deployer died or was stopped, from where it was.
    #[argh(subcommand, name = "resume", help_triggers("-h", "--help"))]
    pub struct Resume {
    } with [yes, output, settings]
}

command! {
    /// Go back: undo an unfinished deployment, or take every target to the revision before the deployed one.
    #[argh(subcommand, name = "rollback", help_triggers("-h", "--help"))]
    pub struct Rollback {
        /// the revision to go back to, which targets have kept (default: the one deployed before)
        #[argh(option, arg_name = "revision")]
        pub to: Option<String>,
    } with [yes, output, settings]
}

command! {
    /// Show for every target what it runs, what it should run, and when it last answered.
    #[argh(subcommand, name = "status", help_triggers("-h", "--help"))]
    pub struct Status {
        /// ask no target: show what is remembered
        #[argh(switch)]
        pub offline: bool,

        /// have every target look whether the live revision has all its files
        #[argh(switch)]
        pub verify: bool,
    } with [limit, answer, settings]
}

command! {
    /// Bring the targets that a deployment went through without to the revision that they missed.
    #[argh(subcommand, name = "reconcile", help_triggers("-h", "--help"))]
    pub struct Reconcile {
    } with [limit, yes, output, settings]
}

command! {
    /// Run a command on targets, with the groups, limits and outcomes of a deployment.
    #[argh(subcommand, name = "run", help_triggers("-h", "--help"))]
    pub struct Run {
        /// just these groups, comma-separated
        #[argh(option, short = 'g', arg_name = "groups")]
        pub groups: Option<String>,

        /// these hosts in place of groups: a file, - for standard input, or a list of names and ranges
        #[argh(option, arg_name = "hosts")]
        pub hosts: Option<String>,

        /// so many hosts at once (default: batch_size)
        #[argh(option, arg_name = "number")]
        pub batch: Option<String>,

        /// so many hosts of a group may fail, or their share, 10% (default: failure_limit)
        #[argh(option, arg_name = "limit")]
        pub failure_limit: Option<String>,

        /// so many hosts in a subgroup, or all; subgroups run one after the other (default: group_size)
        #[argh(option, arg_name = "number")]
        pub group_size: Option<String>,

        /// so long may the command take on a host (default: stage_timeout)
        #[argh(option, arg_name = "seconds")]
        pub timeout: Option<String>,

        /// show output at the end, equal output of several hosts once
        #[argh(switch)]
        pub fold: bool,

        /// show the hosts' output only, as long as all is well
        #[argh(switch, short = 'q')]
        pub quiet: bool,
    } with [limit, events, verbose, settings] then {
        /// the command: one word is a line for the remote shell, several are kept as words
        #[argh(positional, greedy)]
        pub command: Vec<String>,
    }
}

command! {
    /// Show what a deployment would do; connects nowhere and touches nothing.
    #[argh(subcommand, name = "plan", help_triggers("-h", "--help"))]
    pub struct Plan {
        /// the revision (default: git_rev, that is HEAD)
        #[argh(option, short = 'r', arg_name = "revision")]
        pub rev: Option<String>,
    } with [limit, stages, answer, settings]
}

command! {
    /// Print every effective configuration value, and the file, line and section that it came from.
    #[argh(subcommand, name = "config", help_triggers("-h", "--help"))]
    pub struct Config {
        /// text, or json: one object a key
        #[argh(option, arg_name = "format", default = "Format::Text")]
        pub format: Format,
    } with [settings]
}

command! {
    /// Read everything that a deployment would read, and show every mistake in it; connects nowhere.
    #[argh(subcommand, name = "check-config", help_triggers("-h", "--help"))]
    pub struct CheckConfig {
        /// also show remarks that are only of interest when something is odd
        #[argh(switch, short = 'v')]
        pub verbose: bool,

        /// this environment alone (default: the repository as it stands, and each of its environments)
        #[argh(option, short = 'e', arg_name = "environment")]
        pub environment: Option<String>,
    } with [answer, config, define]
}

command! {
    /// Show the log of a deployment, or follow it while it is written.
    #[argh(subcommand, name = "log", help_triggers("-h", "--help"))]
    pub struct Log {
        /// show the newest log from its beginning, and end
        #[argh(switch, short = 'l')]
        pub latest: bool,

        /// show this log from its beginning, and end
        #[argh(option, short = 'f', arg_name = "file")]
        pub file: Option<String>,

        /// text, or json: one object a line, as the log has it
        #[argh(option, arg_name = "format", default = "Format::Text")]
        pub format: Format,
    } with [verbose, settings] then {
        /// just the lines for which this holds: host == web-* level >= WARNING msg ~ "regex"
        #[argh(positional)]
        pub expression: Vec<String>,
    }
}

command! {
    /// Keep deployments out until the lock is ended: by Enter, by Ctrl-C, or by --end from elsewhere.
    #[argh(subcommand, name = "lock", help_triggers("-h", "--help"))]
    pub struct Lock {
        /// keep out deployments of every repository on this host
        #[argh(switch)]
        pub all: bool,

        /// end the lock that stands, whichever terminal holds it
        #[argh(switch)]
        pub end: bool,

        /// let the lock go by itself after this long: 90s, 30m, 2h, 1d
        #[argh(option, arg_name = "duration")]
        pub time: Option<String>,

        /// hold the lock in the background, and return
        #[argh(switch)]
        pub detach: bool,
    } with [settings] then {
        /// why; whoever is kept out is told
        #[argh(positional, greedy)]
        pub reason: Vec<String>,
    }
}

command! {
    /// Show whose locks are on targets, and clear those that are dead.
    #[argh(subcommand, name = "unlock", help_triggers("-h", "--help"))]
    pub struct Unlock {
        /// every target of the configuration
        #[argh(switch)]
        pub all: bool,

        /// clear without asking; needed where there is no terminal
        #[argh(switch, short = 'y')]
        pub yes: bool,
    } with [settings] then {
        /// these targets: names, globs, ranges web[01:20], !negated, ~regex
        #[argh(positional)]
        pub host: Vec<String>,
    }
}

/// The target's side: runs one stage, on a request from the deployer or by hand.
#[derive(Debug, FromArgs, ArgsInfo)]
#[argh(subcommand, name = "deploy-local", help_triggers("-h", "--help"))]
pub struct DeployLocal {
    /// the repository's name: one stage of it by hand, or without a stage, what the fleet should run.
    /// Without a name a request is read from standard input
    #[argh(option, short = 'r', arg_name = "repository")]
    pub repo: Option<String>,

    /// where this host keeps repositories (default: /srv/deployment)
    #[argh(option, arg_name = "directory", default = "\"/srv/deployment\".into()")]
    pub deploy_dir: String,

    /// take the request from this file in place of the last one that this host saw
    #[argh(option, arg_name = "file")]
    pub request: Option<String>,

    /// ask this git server in place of git_server of the global configuration; without a stage
    #[argh(option, arg_name = "url")]
    pub server: Option<String>,

    /// the group that this host belongs to; without a stage
    #[argh(option, short = 'g', arg_name = "group")]
    pub group: Option<String>,

    /// do the work even where it seems done already
    #[argh(switch, short = 'f')]
    pub force: bool,

    /// fetch, config_deploy, promote, restart_service, finalize, rollback or config_diff
    #[argh(positional)]
    pub stage: Option<String>,
}

/// Print a completion script for a shell.
#[derive(Debug, FromArgs, ArgsInfo)]
#[argh(subcommand, name = "completion", help_triggers("-h", "--help"))]
pub struct Completion {
    /// bash, zsh, fish or nushell
    #[argh(positional)]
    pub shell: String,
}

/// Print the version.
#[derive(Debug, FromArgs, ArgsInfo)]
#[argh(subcommand, name = "version", help_triggers("-h", "--help"))]
pub struct Version {}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Format::Text),
            "json" => Ok(Format::Json),
            _ => Err(format!("{text:?} is no format: text or json")),
        }
    }
}
