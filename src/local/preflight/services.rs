//! Whether the services are there, and whether this user may restart them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::procfs::user_name;
use crate::wire::{CheckPoint, Service, ServiceName, Stage};

use super::Look;
use super::programs::{self, Program};
use crate::local::os::files;
use crate::local::os::process;
use crate::local::os::process::Exit;
use crate::local::stages::service_command::{self, MASKED, NO_SUCH_UNIT, Permission, is_default};

/// Where systemd looks for units.
const UNITS: [&str; 5] = [
    "/etc/systemd/system",
    "/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/usr/local/lib/systemd/system",
    "/run/systemd/system",
];

/// Where a configuration file may bring a rule for sudo.
const SUDOERS: &str = "/etc/sudoers.d";

/// What is said of a service that this host cannot restart.
enum Verdict {
    Fine,
    /// It is skipped here, so nobody needs the right to restart it.
    Skipped,
    Missing(String),
}

/// Why the command for a service would not run.
enum Hindrance {
    /// It is not there, and a check may install it.
    NoProgram,
    /// No rule of sudo's is for it. A check runs as the same user, and gives itself no rules.
    Denied,
    /// Sudo did not say.
    NotKnown,
}

/// Looks at every service of the run.
pub fn look(look: &mut Look) {
    if !look.runs(Stage::RestartService) {
        return;
    }
    let service = &look.wanted.service;
    // What runs right before the restart, to drain the host for instance, installs no service.
    let is_sure = !look.may_change_before(CheckPoint::Before(Stage::RestartService));
    let secondary = service.secondary_file.is_absolute() && service.secondary_file.exists();
    for name in &service.names {
        match exists(look, service, name) {
            Verdict::Skipped => continue,
            Verdict::Missing(why) => look.note(is_sure, None, why),
            Verdict::Fine => {}
        }
        let actions: &[&str] =
            if secondary && name.disable_secondary { &["stop", "disable"] } else { &[name.action.as_str()] };
        for action in actions {
            if let Err((why, message)) = allowed(look, service, name, action) {
                let is_sure = match why {
                    Hindrance::NoProgram => is_sure,
                    Hindrance::Denied => !look.is_configured(Path::new(SUDOERS)),
                    Hindrance::NotKnown => false,
                };
                look.note(is_sure, None, message);
            }
        }
    }
}

/// Whether the service is there. Only systemctl is known to answer that and to change nothing.
fn exists(look: &Look, service: &Service, name: &ServiceName) -> Verdict {
    let unit = &name.name;
    if brings_unit(look, unit) {
        return Verdict::Fine;
    }
    let ask = |action: &str| {
        let mut command = systemctl(&service.command, unit, action)?;
        service_command::question(&mut command, look.until).ok()
    };
    match ask("status") {
        Some((Exit::Status(NO_SUCH_UNIT), said)) if said.contains("could not be found") => {
            if service.require_valid {
                return Verdict::Skipped;
            }
            return Verdict::Missing(format!(
                "service {unit} does not exist on this host: install it, or set require_valid_service to skip it on \
                 such hosts"
            ));
        }
        Some(_) => {}
        None => return Verdict::Fine,
    }
    match ask("is-enabled") {
        Some((_, said)) if said.lines().any(|line| MASKED.contains(&line.trim())) => {
            if service.require_valid {
                return Verdict::Skipped;
            }
            Verdict::Missing(format!("service {unit} is masked on this host: run `systemctl unmask {unit}` there"))
        }
        _ => Verdict::Fine,
    }
}

/// Whether the run itself brings the unit's file: as a configuration file, or by a link into the tree.
fn brings_unit(look: &Look, unit: &str) -> bool {
    let stem = unit.split_once('@').map_or(unit, |(template, _)| template);
    let names = [unit.to_owned(), format!("{unit}.service"), format!("{stem}@.service")];
    let mut files = UNITS.iter().flat_map(|folder| names.iter().map(|name| Path::new(folder).join(name)));
    files.any(|file| {
        let leads_into_tree = |target: PathBuf| look.is_of_revision(&files::parent(&file).join(target));
        look.is_configured(&file) || std::fs::read_link(&file).is_ok_and(leads_into_tree)
    })
}

/// The same command as a question, asked without sudo; `None` where it is not known to be one.
fn systemctl(template: &str, unit: &str, action: &str) -> Option<Command> {
    if is_default(template) {
        return service_command::command(template, unit, action).ok();
    }
    let words = crate::text::words(template)?;
    let at = words.iter().position(|word| word.rsplit('/').next() == Some("systemctl"))?;
    // Another user's manager, or another machine's, is asked by nobody else.
    let [program, given, wanted] = &words[at..] else { return None };
    let is_plain = given == "{action}" && wanted.contains("{service}") && words[..at].iter().all(|it| it != "-u");
    is_plain.then(|| {
        let mut command = process::command(program);
        command.args([action, &wanted.replace("{service}", unit)]).current_dir("/");
        command
    })
}

/// Whether this user can run the command of an action.
fn allowed(look: &Look, service: &Service, name: &ServiceName, action: &str) -> Result<(), (Hindrance, String)> {
    let unit = &name.name;
    let command = service_command::command(&service.command, unit, action)
        .map_err(|fault| (Hindrance::NoProgram, fault.reason()))?;
    let program = command.get_program().to_string_lossy().into_owned();
    match programs::find(look, &program) {
        Program::Missing(why) => return Err((Hindrance::NoProgram, format!("service {unit}: {why}"))),
        Program::Unknown => return Ok(()),
        Program::Found => {}
    }
    if program.rsplit('/').next() != Some("sudo") {
        return Ok(());
    }
    let first = service_command::permission(&command, look.until);
    let second = || match service_command::scaps(&service.command, unit, action) {
        Some(scaps) => service_command::permission(&scaps, look.until),
        None => Permission::Denied,
    };
    if first == Permission::Granted || second() == Permission::Granted {
        return Ok(());
    }
    let shown: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).filter(|word| word != "-n").collect();
    let (shown, user) = (shown.join(" "), user_name(rustix::process::geteuid().as_raw()));
    match first {
        Permission::Unknown(why) => Err((
            Hindrance::NotKnown,
            format!("service {unit}: cannot determine whether {user} may run `sudo {shown}`: {why}"),
        )),
        Permission::NeedsTerminal => Err((
            Hindrance::Denied,
            format!(
                "service {unit}: sudo wants a terminal for `sudo {shown}` (requiretty), and Hoist gives it none: add \
                 `Defaults:{user} !requiretty` to sudoers"
            ),
        )),
        _ => Err((
            Hindrance::Denied,
            format!(
                "service {unit}: {user} may not run `sudo {shown}` without a password: add a NOPASSWD rule for it to \
                 sudoers"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_systemctl_is_asked_for_a_unit() {
        let asked = |template| systemctl(template, "app", "status").map(|it| it.get_program().to_owned());
        assert_eq!(asked("").unwrap(), "systemctl");
        assert_eq!(asked("/usr/bin/systemctl {action} {service}.service").unwrap(), "/usr/bin/systemctl");
        assert_eq!(asked("sudo -n systemctl {action} {service}").unwrap(), "systemctl");
        for other in [
            "/srv/restart {service}",
            "sv {action} {service}",
            "systemctl restart {service}",
            "systemctl --user {action} {service}",
            "sudo -u app systemctl {action} {service}",
        ] {
            assert_eq!(asked(other), None, "{other}");
        }
    }
}
