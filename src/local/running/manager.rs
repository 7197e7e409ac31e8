//! Asking whoever manages a service how it is. Nothing is changed by that.

use std::time::{Duration, Instant};

use crate::local::os::process::Exit;
use crate::local::os::sys;
use crate::local::stages::service_command::{command, is_default, question};
use crate::wire::{Service, VerifyService};

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// What systemd is asked for.
const PROPERTIES: &str = "--property=LoadState,ActiveState,SubState,Result,Type,MainPID,NRestarts,InvocationID,\
                          ControlGroup,ExecMainCode,ExecMainStatus";

/// Managers that answer `status` and change nothing by that.
const SUPERVISORS: [&str; 6] = ["sv", "service", "supervisorctl", "rc-service", "initctl", "monit"];

/// Folders of the system's own programs.
const SYSTEM: [&str; 6] = ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];

/// Whether a service is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Up {
    Yes,
    /// It is starting, and may be up in a moment.
    NotYet,
    /// It ended, and its supervisor is about to start it again.
    BetweenStarts,
    No,
}

/// What a manager says of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub up: Up,
    /// In the manager's own words.
    pub words: String,
    pub start: Start,
    /// The control group of all its processes.
    pub cgroup: Option<String>,
    /// Whether a reload may bring another main process.
    pub may_change_process: bool,
}

/// What tells one start of a service from another, as far as its manager says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The main process, where there is one.
    pub pid: Option<u32>,
    /// How often it was restarted without being asked to.
    pub restarts: Option<u64>,
    /// Differs from one start of the unit to the next.
    pub invocation: Option<String>,
}

/// How a service's manager is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manager {
    Systemd,
    /// By the action `status`.
    Status,
}

/// Who manages the services; `None`: nobody who is known to answer without doing anything.
fn manager(service: &Service) -> Option<Manager> {
    if is_default(&service.command) {
        return Some(Manager::Systemd);
    }
    let words = crate::text::words(&service.command)?;
    let program = words.iter().find(|word| *word != "sudo" && !word.starts_with('-'))?;
    let (folder, name) = program.rsplit_once('/').map_or(("", program.as_str()), |(folder, name)| (folder, name));
    let has_action = words.iter().any(|word| word.contains("{action}"));
    match name {
        _ if !has_action => None,
        "systemctl" => Some(Manager::Systemd),
        _ if SUPERVISORS.contains(&name) && (folder.is_empty() || SYSTEM.contains(&folder)) => Some(Manager::Status),
        // Whoever asks for the look vouches for the action.
        _ => matches!(service.verify, Some(VerifyService::Strict | VerifyService::Warn)).then_some(Manager::Status),
    }
}

/// What the manager says of a service now; an error says why it is not known.
pub fn ask(service: &Service, name: &str, until: Instant) -> Result<Seen, String> {
    let until = until.min(Instant::now() + ANSWER);
    let manager = manager(service).ok_or("service_command is not known to answer without changing anything")?;
    if manager == Manager::Systemd
        && let Ok((Exit::Status(0), said)) = put(service, name, "show", until)
        && let Some(seen) = of_systemd(&said)
    {
        return Ok(seen);
    }
    let (exit, said) = put(service, name, "status", until)?;
    of_status(exit, &said).map(disbelieve).ok_or_else(|| {
        let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing");
        format!("the answer to the action status is not understood: {last}")
    })
}

fn put(service: &Service, name: &str, action: &str, until: Instant) -> Result<(Exit, String), String> {
    let mut command = command(&service.command, name, action).map_err(|fault| fault.reason())?;
    if action == "show" {
        command.arg(PROPERTIES);
    }
    question(&mut command, until)
}

/// The answer of `systemctl show` (systemctl(1), org.freedesktop.systemd1(5)).
fn of_systemd(said: &str) -> Option<Seen> {
    let value = |key: &str| said.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).map(str::trim);
    let filled = |key: &str| value(key).filter(|it| !it.is_empty()).map(str::to_owned);
    let (active, sub) = (value("ActiveState")?, value("SubState").unwrap_or_default());
    let result = filled("Result").unwrap_or_else(|| "success".to_owned());
    let is_oneshot = value("Type") == Some("oneshot");
    let up = match active {
        "active" | "reloading" => Up::Yes,
        // It has done its work.
        "inactive" if is_oneshot && result == "success" => Up::Yes,
        "activating" if !sub.starts_with("auto-restart") => Up::NotYet,
        _ => Up::No,
    };
    let mut words = format!("{active} ({sub})");
    if value("LoadState") == Some("not-found") {
        words = "not known to systemd".to_owned();
    } else if up == Up::No && result != "success" {
        // CLD_EXITED, CLD_KILLED, CLD_DUMPED
        let how = match value("ExecMainCode") {
            Some("1") => filled("ExecMainStatus").map(|it| format!(", exit status {it}")),
            Some("2" | "3") => filled("ExecMainStatus").map(|it| format!(", signal {it}")),
            _ => None,
        };
        words = format!("{words}, result {result}{}", how.unwrap_or_default());
    }
    Some(Seen {
        up,
        words,
        start: Start {
            pid: filled("MainPID").and_then(|pid| pid.parse().ok()).filter(|pid| *pid != 0),
            restarts: filled("NRestarts").and_then(|count| count.parse().ok()),
            invocation: filled("InvocationID"),
        },
        cgroup: filled("ControlGroup").filter(|it| it.len() > 1),
        may_change_process: matches!(value("Type"), Some("forking" | "notify")),
    })
}

/// Words of an answer to `status` that stand for a service that is down. An answer is in lower case here.
const DOWN: [&str; 12] = [
    "down:",
    "not running",
    "stopped",
    "fatal",
    "exited",
    "backoff",
    "crashed",
    "stop/waiting",
    "active: inactive",
    "active: failed",
    "is dead",
    "want down",
];

/// The answer to `status`, in the words of runit, s6, supervisord, OpenRC, upstart, or a script of System V.
fn of_status(exit: Exit, said: &str) -> Option<Seen> {
    let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    // A logger's state may stand behind the service's own.
    let lower = said.split("; run: log:").next().unwrap_or_default().to_lowercase();
    if lower.contains("usage:") {
        return None;
    }
    let pid = process_in(&lower);
    let is_down = || DOWN.iter().any(|word| lower.contains(word));
    let up = match exit {
        // runsv waits for a second between two starts, after a process that began before the restart too.
        Exit::Status(_) if pid.is_none() && lower.starts_with("down:") && lower.contains("want up") => {
            Up::BetweenStarts
        }
        // LSB: dead, dead with a lock file, not running.
        Exit::Status(0) if pid.is_none() && is_down() => Up::No,
        Exit::Status(0) => Up::Yes,
        Exit::Status(_) if is_down() => Up::No,
        // `sv status` of a service that is up and wanted down.
        _ => return None,
    };
    let words = if first.is_empty() { "up".to_owned() } else { first.to_owned() };
    let pid = pid.filter(|_| up == Up::Yes);
    let start = Start { pid, restarts: None, invocation: None };
    Some(Seen { up, words, start, cgroup: None, may_change_process: false })
}

/// A script that only tries a signal takes a process for alive that has ended, as long as nobody has asked how.
fn disbelieve(seen: Seen) -> Seen {
    match seen.start.pid.filter(|pid| sys::is_zombie(*pid)) {
        None => seen,
        Some(pid) => Seen {
            up: Up::BetweenStarts,
            words: format!("{}, but process {pid} has ended", seen.words),
            start: Start { pid: None, ..seen.start },
            ..seen
        },
    }
}

/// The process of `(pid 12)`, `pid 12`, `pid: 12`, `process 12`, in lower case.
fn process_in(said: &str) -> Option<u32> {
    let after = |word: &str| {
        let mut places = said.match_indices(word);
        places.find_map(|(at, _)| {
            let is_word = said[..at].chars().next_back().is_none_or(|before| !before.is_alphanumeric());
            let rest = said[at + word.len()..].trim_start_matches([' ', ':', '=', '\t']);
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            is_word.then(|| digits.parse().ok()).flatten().filter(|pid| *pid != 0)
        })
    };
    after("pid").or_else(|| after("process"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNING: &str = "Type=notify\nResult=success\nNRestarts=0\nMainPID=812\nExecMainCode=0\nExecMainStatus=0\n\
                           ControlGroup=/system.slice/page.service\nLoadState=loaded\nActiveState=active\n\
                           SubState=running\nInvocationID=8d1f0c5e9f4b4d6f8a0b8e5f6c7d8e9f\n";

    #[test]
    fn the_answer_of_systemd_is_read_as_it_was_recorded() {
        let seen = of_systemd(RUNNING).unwrap();
        assert_eq!((seen.up, seen.start.pid, seen.start.restarts), (Up::Yes, Some(812), Some(0)));
        assert_eq!(seen.cgroup.as_deref(), Some("/system.slice/page.service"));
        assert_eq!(seen.words, "active (running)");
        let with = |changes: &[(&str, &str)]| {
            let text = changes.iter().fold(RUNNING.to_owned(), |text, (from, to)| text.replace(from, to));
            of_systemd(&text).unwrap()
        };
        let failed = with(&[
            ("ActiveState=active", "ActiveState=failed"),
            ("SubState=running", "SubState=failed"),
            ("Result=success", "Result=exit-code"),
            ("ExecMainCode=0", "ExecMainCode=1"),
            ("ExecMainStatus=0", "ExecMainStatus=3"),
            ("MainPID=812", "MainPID=0"),
        ]);
        assert_eq!((failed.up, failed.start.pid), (Up::No, None));
        assert_eq!(failed.words, "failed (failed), result exit-code, exit status 3");
        // Between two starts of a unit that dies.
        let again =
            with(&[("ActiveState=active", "ActiveState=activating"), ("SubState=running", "SubState=auto-restart")]);
        assert_eq!(again.up, Up::No);
        let slow = with(&[("ActiveState=active", "ActiveState=activating"), ("SubState=running", "SubState=start")]);
        assert_eq!(slow.up, Up::NotYet);
        let once = with(&[("Type=notify", "Type=oneshot"), ("ActiveState=active", "ActiveState=inactive")]);
        assert_eq!(once.up, Up::Yes, "a oneshot unit has done its work");
        assert_eq!(with(&[("ActiveState=active", "ActiveState=inactive")]).up, Up::No);
        assert_eq!(of_systemd("Failed to connect to bus\n"), None);
    }

    #[test]
    fn the_answers_of_other_supervisors_are_understood() {
        let status = |code, said: &str| of_status(Exit::Status(code), said).map(|seen| (seen.up, seen.start.pid));
        for (said, pid) in [
            ("run: page: (pid 1234) 5s; run: log: (pid 99) 100s\n", 1234),
            ("run: /srv/service/page: (pid 7) 0s\n", 7),
            ("up (pid 88) 3 seconds\n", 88),
            ("page                             RUNNING   pid 4711, uptime 0:01:02\n", 4711),
            ("page start/running, process 321\n", 321),
            (" * page is running, pid 55\n", 55),
            ("● page.service - A page\n   Active: active (running)\n Main PID: 812 (page)\n", 812),
        ] {
            assert_eq!(status(0, said), Some((Up::Yes, Some(pid))), "{said}");
        }
        assert_eq!(status(0, "page is running.\n"), Some((Up::Yes, None)));
        let between = "down: page: 1s, normally up, want up; run: log: (pid 99) 100s\n";
        assert_eq!(status(0, between), Some((Up::BetweenStarts, None)));
        for (code, said) in [
            (0, "down: page: 1s, normally up; run: log: (pid 99) 100s\n"),
            (3, "page is not running ... failed!\n"),
            (3, "page   FATAL     Exited too quickly (process log may have details)\n"),
            (3, " * status: crashed\n"),
            (0, "page stop/waiting\n"),
        ] {
            assert_eq!(status(code, said).map(|(up, _)| up), Some(Up::No), "{said}");
        }
        for (code, said) in [
            (1, "Usage: /etc/init.d/page {start|stop|restart}\n"),
            (1, "sudo: a password is required\n"),
            (
                1,
                "System has not been booted with systemd as init system (PID 1). Can't operate.\nFailed to connect to bus: Host is down\n",
            ),
        ] {
            assert_eq!(status(code, said), None, "{said}");
        }
    }

    #[test]
    fn only_a_manager_that_is_known_is_asked_unless_somebody_wants_it() {
        let asked =
            |command: &str, verify| manager(&Service { command: command.to_owned(), verify, ..Service::default() });
        assert_eq!(asked("", None), Some(Manager::Systemd));
        assert_eq!(asked("sudo -n /usr/bin/systemctl {action} {service}", None), Some(Manager::Systemd));
        assert_eq!(asked("sv -w 20 {action} /etc/service/{service}", None), Some(Manager::Status));
        let own = "/srv/bin/service {action} {service}";
        assert_eq!(asked(own, None), None);
        assert_eq!(asked(own, Some(VerifyService::Strict)), Some(Manager::Status));
        assert_eq!(asked("/srv/restart {service}", Some(VerifyService::Strict)), None, "it would restart");
    }
}
