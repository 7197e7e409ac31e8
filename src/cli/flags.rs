//! Flags that several commands have, written once.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::config::Options;
use crate::invocation::Invocation;
use crate::operation::Refused;

/// The word that asks for help. argh has no room for a command of this name.
pub const HELP: &str = "help";

/// Commands whose first plain word begins somebody else's command line: what looks like a flag there is none of theirs.
pub const WRAPS: [&str; 1] = ["run"];

/// Declares the flags of a command: its own, then those of the sets behind `with`, which stand here once for all
/// commands, then its positional arguments behind `then`. Flags that take any text may stand first, in `options`, each
/// with its short form, if it has one, and what its value is called in the help; then those that take nothing, in
/// `switches`. argh has no way to share flags between commands.
macro_rules! command {
    (
        $(#[$meta:meta])* pub struct $name:ident {
            options { $($options:tt)* }
            switches { $($(#[$doc:meta])* $field:ident $(($short:tt))?,)* }
            $($own:tt)*
        } with $($rest:tt)*
    ) => {
        command! {
            $(#[$meta])* pub struct $name {
                options { $($options)* }
                $($(#[$doc])* #[argh(switch $(, short = $short)?)] pub $field: bool,)*
                $($own)*
            } with $($rest)*
        }
    };
    (
        $(#[$meta:meta])* pub struct $name:ident {
            options { $($(#[$doc:meta])* $field:ident $(($short:tt))?: $value:tt,)* }
            $($own:tt)*
        } with $($rest:tt)*
    ) => {
        command! {
            $(#[$meta])* pub struct $name {
                $($(#[$doc])* #[argh(option $(, short = $short)?, arg_name = $value)] pub $field: Option<String>,)*
                $($own)*
            } with $($rest)*
        }
    };
    ($(#[$meta:meta])* pub struct $name:ident { $($own:tt)* } with [$($shared:ident),*] $(then { $($last:tt)* })?) => {
        command!(@add [$(#[$meta])* pub struct $name] [$($own)*] [$($shared)*] [$($($last)*)?]);
        $(command!(@read $name $shared);)*
    };
    (@read $name:ident settings) => {
        impl $name {
            /// What the flags say of the configuration.
            pub(in crate::cli) fn options(&self) -> Result<crate::config::Options, crate::operation::Refused> {
                crate::cli::flags::options(self.config.as_deref(), &self.define, self.environment.as_deref())
            }
        }
    };
    (@read $name:ident output) => {
        impl $name {
            /// The operator's side of a command, and the reports on it.
            pub(in crate::cli) fn console(
                &self,
                command: &'static str,
            ) -> Result<crate::cli::console::Console, crate::operation::Refused> {
                let show = crate::cli::show::Show::new(self.format, self.verbose, self.quiet)?;
                crate::cli::console::Console::new(command, show, self.yes)
                    .reporting(self.ci, self.junit.as_ref().map(std::path::PathBuf::from))
            }
        }
    };
    (@read $name:ident limit) => {
        impl $name {
            /// Which targets the flags limit the command to, as one pattern.
            pub(in crate::cli) fn limit(&self) -> Result<Option<String>, crate::operation::Refused> {
                crate::targets::limit_to(self.limit_hosts.as_deref(), self.groups.as_deref())
                    .map_err(crate::operation::Refused::new)
            }
        }
    };
    (@read $name:ident strict) => {
        impl $name {
            /// Has `--strict` and `--timings` stand with the settings, and each of `more` that is given: as definitions they are in the
            /// journal too, and hold for whoever resumes the run.
            pub(in crate::cli) fn define_flags(&mut self, more: &[(bool, &str)]) -> &Self {
                let own = [(self.strict, "strict:yes"), (self.timings, "timings:yes")];
                let all = [&own, more].concat();
                let given = all.into_iter().filter(|(is_given, _)| *is_given);
                self.define.extend(given.map(|(_, definition)| definition.to_owned()));
                self
            }
        }
    };
    (@read $name:ident wait) => {
        impl $name {
            /// What the flags say of the configuration, and of waiting for a lock.
            pub(in crate::cli) fn options_and_wait(&self) -> Result<crate::config::Options, crate::operation::Refused> {
                let time = crate::cli::values::flag("--wait", &self.wait, crate::cli::values::duration)?;
                let patience = time.map(|time| crate::config::Patience { time, says: "--wait" });
                Ok(crate::config::Options { patience, ..self.options()? })
            }
        }
    };
    (@read $name:ident $other:ident) => {};
    (@add $head:tt $fields:tt [settings $($rest:ident)*] $last:tt) => {
        command!(@add $head $fields [config environment define $($rest)*] $last);
    };
    (@add $head:tt $fields:tt [output $($rest:ident)*] $last:tt) => {
        command!(@add $head $fields [events verbose quiet ci junit $($rest)*] $last);
    };
    (@add $head:tt $fields:tt [$flag:ident $($rest:ident)*] $last:tt) => {
        $crate::cli::flags::shared!($flag => $head $fields [$($rest)*] $last);
    };
    (@with [$($new:tt)*] $head:tt [$($fields:tt)*] $rest:tt $last:tt) => {
        command!(@add $head [$($fields)* $($new)*] $rest $last);
    };
    (@add [$($head:tt)*] [$($fields:tt)*] [] [$($last:tt)*]) => {
        #[derive(Debug, argh::FromArgs, argh::ArgsInfo)]
        $($head)* { $($fields)* $($last)* }
    };
}
pub(in crate::cli) use command;

/// The flags that several commands have, each set of them by its name: it is handed on to `command!`.
macro_rules! shared {
    (limit => $($to:tt)*) => {
        $crate::cli::flags::command!(@with [
            /// only these targets: names, groups, globs, ranges web[01:20], !negated, ~regex
            #[argh(option, short = 'l', arg_name = "limit")]
            pub limit_hosts: Option<String>,

            /// only these groups, separated by commas
            #[argh(option, short = 'g', arg_name = "groups")]
            pub groups: Option<String>,
        ] $($to)*);
    };
    (stages => $($to:tt)*) => {
        $crate::cli::flags::command!(@with [
            /// only these stages, separated by commas: fetch, config_deploy, promote, finalize
            #[argh(option, short = 's', arg_name = "stages")]
            pub stages: Option<String>,
        ] $($to)*);
    };
    (yes => $($to:tt)*) => {
        $crate::cli::flags::command!(@with [
            /// answer every question with yes; required without a terminal
            #[argh(switch, short = 'y')]
            pub yes: bool,
        ] $($to)*);
    };
    (step => $($to:tt)*) => {
        $crate::cli::flags::command!(@with [
            /// whether a run-once step ran, if that is not known: name=done or name=not-done
            #[argh(option, arg_name = "answer")]
            pub step: Option<String>,
        ] $($to)*);
    };
    (strict => $($to:tt)*) => {
        $crate::cli::flags::command!(@with [
            /// exit with 7, not 0, if hosts failed within the limits
            #[argh(switch)]
            pub strict: bool,
        ] $($to)*);
    };
    (timings => $($to:tt)*) => {
        $crate::cli::flags::command!(@with [
            /// measure where the time of each host goes, and show it at the end
            #[argh(switch)]
            pub timings: bool,
        ] $($to)*);
    };
    (wait => $($to:tt)*) => {
        $crate::cli::flags::command!(@with [
            /// wait so long for a lock that somebody else holds: 90s, 30m (default: lock_timeout)
            #[argh(option, arg_name = "duration")]
            pub wait: Option<String>,
        ] $($to)*);
    };
    (events => $($to:tt)*) => {
        $crate::cli::flags::command!(@with [
            /// the output format: text, or another format of hoist-deploy(1), such as json
            #[argh(option, arg_name = "format", default = "crate::report::Format::Text")]
            pub format: crate::report::Format,
        ] $($to)*);
    };
    (answer => $($to:tt)*) => {
        $crate::cli::flags::command!(@with [
            /// text, or json: one object
            #[argh(option, arg_name = "format", default = "crate::cli::show::Format::Text")]
            pub format: crate::cli::show::Format,
        ] $($to)*);
    };
    (verbose => $($to:tt)*) => {
        $crate::cli::flags::command!(@with [
            /// show more details
            #[argh(switch, short = 'v')]
            pub verbose: bool,
        ] $($to)*);
    };
    (quiet => $($to:tt)*) => {
        $crate::cli::flags::command!(@with [
            /// show only warnings, errors and the result
            #[argh(switch, short = 'q')]
            pub quiet: bool,
        ] $($to)*);
    };
    (ci => $($to:tt)*) => {
        $crate::cli::flags::command!(@with [
            /// the CI system to write for: github, gitlab, jenkins, or none (default: the one that runs the command)
            #[argh(option, arg_name = "system")]
            pub ci: Option<crate::terminal::Ci>,
        ] $($to)*);
    };
    (junit => $($to:tt)*) => {
        $crate::cli::flags::command!(@with [
            /// write the result as JUnit XML to this file
            #[argh(option, arg_name = "file")]
            pub junit: Option<String>,
        ] $($to)*);
    };
    (config => $($to:tt)*) => {
        $crate::cli::flags::command!(@with [
            /// read this file instead of the repository's hoist.cfg
            #[argh(option, short = 'c', arg_name = "file")]
            pub config: Option<String>,
        ] $($to)*);
    };
    (environment => $($to:tt)*) => {
        $crate::cli::flags::command!(@with [
            /// the environment to use
            #[argh(option, short = 'e', arg_name = "environment")]
            pub environment: Option<String>,
        ] $($to)*);
    };
    (define => $($to:tt)*) => {
        $crate::cli::flags::command!(@with [
            /// set a configuration key, overriding all files; can be repeated
            #[argh(option, short = 'D', arg_name = "key:value")]
            pub define: Vec<String>,
        ] $($to)*);
    };
}
pub(in crate::cli) use shared;

/// Where `-C` led, as it was typed. The process has one working directory, and this is its name.
static FOLDER: OnceLock<PathBuf> = OnceLock::new();

/// Changes to the folders of `-C`, each of which is seen from the one before.
///
/// # Errors
/// One that cannot be changed to.
pub fn enter(folders: &[PathBuf]) -> Result<(), String> {
    for folder in folders {
        std::env::set_current_dir(folder).map_err(|error| format!("-C: cannot change to {folder:?}: {error}"))?;
    }
    if !folders.is_empty() {
        let _ = FOLDER.set(folders.iter().collect());
    }
    Ok(())
}

/// What the command line and the environment say of the configuration.
pub fn options(file: Option<&str>, defines: &[String], environment: Option<&str>) -> Result<Options, Refused> {
    if file == Some("") {
        return Err(Refused::Usage("--config: the name of the file is missing".into()));
    }
    let global_file = global_file();
    if let Some(file) = &global_file {
        let cannot = |error| Refused::new(format!("HOIST_GLOBAL_CONFIG: cannot read {}: {error}", file.display()));
        std::fs::metadata(file).map_err(cannot)?;
    }
    Ok(Options {
        start: working_directory()?,
        global_file,
        repo_optional: false,
        patience: None,
        offline: false,
        invocation: Invocation {
            folder: FOLDER.get().cloned(),
            config_file: file.map(Into::into),
            environment: environment.map(str::to_owned),
            defines: defines.to_vec(),
            limit: None,
        },
    })
}

/// The file in place of the host's own configuration, if the environment names one.
pub fn global_file() -> Option<PathBuf> {
    std::env::var_os("HOIST_GLOBAL_CONFIG").filter(|name| !name.is_empty()).map(Into::into)
}

fn working_directory() -> Result<PathBuf, Refused> {
    std::env::current_dir().map_err(|error| match error.kind() {
        ErrorKind::NotFound => Refused::new(
            "the working directory no longer exists: change to another one (or run `cd .` if it was created again)",
        ),
        _ => Refused::new(format!("cannot determine the working directory: {error}")),
    })
}
