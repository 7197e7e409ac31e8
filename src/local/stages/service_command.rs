//! The command that restarts a service, and whether sudo's rules let this user run it.

use std::process::Command;
use std::time::Instant;

use crate::local::fault::Fault;
use crate::local::os::process;
use crate::local::os::process::{Exit, Feed};
use crate::local::os::sys;

/// The command that is meant when none is set. Only this one is run through sudo by a user who is not root.
const DEFAULT: &str = "systemctl {action} {service}";

/// What `systemctl status` exits with for a unit that does not exist (systemctl(1), from the LSB).
pub const NO_SUCH_UNIT: i32 = 4;

/// What `systemctl is-enabled` says of a unit that is not to be started.
pub const MASKED: [&str; 2] = ["masked", "masked-runtime"];

/// Actions that change nothing.
const QUESTIONS: [&str; 3] = ["status", "is-enabled", "show"];

/// How much of what a question is answered with is looked at, in bytes.
const ANSWER: usize = 16 << 10;

/// Whether a template is the default one.
pub fn is_default(template: &str) -> bool {
    matches!(template.trim(), "" | DEFAULT)
}

/// The command of a template for an action. The default one goes through sudo for a user who is not root.
pub fn command(template: &str, service: &str, action: &str) -> Result<Command, Fault> {
    if [service, action].iter().any(|word| word.is_empty() || word.starts_with('-')) {
        return Err(Fault::failed(format!("service_name: {service:?} with {action:?} is not a service to restart")));
    }
    let default = is_default(template);
    let template = if default { DEFAULT } else { template.trim() };
    let words = crate::text::words(template).filter(|words| !words.is_empty());
    let Some(mut words) = words else {
        return Err(Fault::failed(format!("service_command {template:?} has an unbalanced quote; correct it")));
    };
    for word in &mut words {
        *word = word.replace("{action}", action).replace("{service}", service);
    }
    // To ask takes no rights, and a rule of sudo's may be for nothing but the restart.
    if default && !QUESTIONS.contains(&action) && !sys::is_root() {
        words.splice(0..0, ["sudo".to_owned(), "-n".to_owned()]);
    }
    let mut command = process::command(&words[0]);
    command.args(&words[1..]).current_dir("/");
    Ok(command)
}

/// Scap's command for the same, where the default one would go through sudo: the rules on targets of Scap's are for this
/// command, word by word.
pub fn scaps(template: &str, service: &str, action: &str) -> Option<Command> {
    let by_sudo = is_default(template) && !QUESTIONS.contains(&action) && !sys::is_root();
    by_sudo.then(|| {
        let mut command = process::command("sudo");
        command.args(["-n", "/usr/sbin/service", service, action]).current_dir("/");
        command
    })
}

/// Whether sudo's rules are for the second of two commands that both go through sudo, and not for the first.
pub fn is_only_allowed(first: &Command, second: &Command, until: Instant) -> bool {
    permission(first, until) != Permission::Granted && permission(second, until) == Permission::Granted
}

/// What sudo says of a command that goes through it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permission {
    Granted,
    Denied,
    /// Its rules want a terminal (`requiretty`), which no command of Hoist's has.
    NeedsTerminal,
    /// There is no such answer; the text says why.
    Unknown(String),
}

/// Asks sudo whether its rules let this user run a command `sudo …`. Nothing is run by that.
pub fn permission(command: &Command, until: Instant) -> Permission {
    let mut ask = process::command("sudo");
    ask.args(["-n", "-l"]).args(command.get_args()).current_dir("/");
    match question(&mut ask, until) {
        Ok((Exit::Status(0), _)) => Permission::Granted,
        Ok((Exit::Status(1), said)) if said.contains("must have a tty") => Permission::NeedsTerminal,
        Ok((Exit::Status(1), said)) if is_denial(&said) => Permission::Denied,
        Ok((Exit::TimedOut, _)) => Permission::Unknown("`sudo -l` did not answer in time".to_owned()),
        Ok((exit, said)) => {
            let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
            Permission::Unknown(format!("`sudo -l` {}: {last}", exit.reason(0)))
        }
        Err(why) => Permission::Unknown(why),
    }
}

/// Whether sudo said no, and not that it could not be asked. It is silent on a command that no rule is for.
fn is_denial(said: &str) -> bool {
    const WORDS: [&str; 5] = [
        "password is required",
        "may not run sudo",
        "not allowed to",
        "not in the sudoers file",
        "a terminal is required",
    ];
    let mut lines = said.lines().filter(|line| !line.trim().is_empty() && !line.contains("unable to resolve host"));
    lines.all(|line| WORDS.iter().any(|words| line.contains(words)))
}

/// Runs a command that only asks: its end and what it said, in English.
pub fn question(command: &mut Command, until: Instant) -> Result<(Exit, String), String> {
    let mut said = Vec::new();
    let mut take = |_, piece: &[u8]| {
        if said.len() < ANSWER {
            said.extend_from_slice(piece);
        }
    };
    let exit = process::run(command.env("LC_ALL", "C"), Feed::Nothing, until, &mut take);
    let program = command.get_program().to_string_lossy();
    let exit = exit.map_err(|error| format!("cannot run {program}: {error}"))?;
    Ok((exit, String::from_utf8_lossy(&said).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(template: &str, service: &str, action: &str) -> Vec<String> {
        let command = command(template, service, action).unwrap();
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        words.map(|word| word.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn names_stay_single_words_whatever_they_hold() {
        let got = words("svc '{action} it' {service}", "a; rm -rf {action}", "restart");
        assert_eq!(got, ["svc", "restart it", "a; rm -rf {action}"]);
        assert!(command(DEFAULT, "-x", "restart").is_err());
        assert!(command("svc '{action}", "x", "restart").is_err());
    }

    #[test]
    fn the_default_command_is_meant_when_none_is_set() {
        let got = words("", "app", "reload");
        let default: &[&str] = if sys::is_root() { &[] } else { &["sudo", "-n"] };
        assert_eq!(got, [default, &["systemctl", "reload", "app"][..]].concat());
        assert_eq!(words("", "app", "status"), ["systemctl", "status", "app"], "a question takes no rights");
    }

    #[test]
    fn a_sudo_that_says_no_is_told_from_one_that_cannot_be_asked() {
        for no in [
            "",
            "sudo: a password is required\n",
            "sudo: unable to resolve host web1: Name or service not known\nsudo: a password is required\n",
            "Sorry, user deploy may not run sudo on web1.\n",
        ] {
            assert!(is_denial(no), "{no}");
        }
        for unknown in
            ["sudo: unrecognized option '-l'\n", "sudo: /etc/sudoers is world writable\n", "sudo: no such rule\n"]
        {
            assert!(!is_denial(unknown), "{unknown}");
        }
    }
}
