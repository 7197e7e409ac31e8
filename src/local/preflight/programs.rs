//! The programs that a run needs here: git, and those that checks name.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::wire::{Check, CheckPoint, CheckType, Stage};

use super::{Look, changes_hosts, moment};
use crate::local::fault::plain;
use crate::local::os::process;
use crate::local::stages::checks;

/// What is known of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    Found,
    /// The revision brings it, or where it is depends on the check's surroundings.
    Unknown,
    /// One fragment that names it.
    Missing(String),
}

/// Looks for what the stages run.
pub fn look(look: &mut Look) {
    git(look);
    of_checks(look);
}

/// The fetch calls it first. A check before that may install it.
fn git(look: &mut Look) {
    if !look.runs(Stage::Fetch) {
        return;
    }
    if let Program::Missing(why) = find(look, "git") {
        look.note(!look.may_change_before(CheckPoint::After(Stage::Fetch)), None, format!("{why}: install it"));
    }
}

/// Looks at what each check runs, in the order in which they run.
fn of_checks(look: &mut Look) {
    let mut checks: Vec<&Check> = look.wanted.checks.iter().collect();
    checks.sort_by_key(|check| moment(check.at));
    let mut may_have_changed = false;
    for check in checks {
        let runnable = runnable(look, check);
        // One that cannot be started changes nothing.
        let counts = changes_hosts(check) && (runnable.is_ok() || may_have_changed);
        if let Err(why) = runnable {
            let is_sure = !look.is_scaps && !may_have_changed;
            look.note(is_sure, check.group.as_deref(), format!("check {}: {why}", check.name));
        }
        may_have_changed |= counts;
    }
}

/// Fails with the reason why a check's command cannot even be started.
fn runnable(look: &Look, check: &Check) -> Result<(), String> {
    let line = match check.kind {
        CheckType::Script => return script(look, check),
        CheckType::Command => check.command.clone(),
        CheckType::Nrpe => {
            let dir = &look.wanted.nrpe_dir;
            if look.is_of_revision(dir) || look.is_configured(dir) {
                return Ok(());
            }
            checks::nrpe(dir, check.command.trim())?
        }
    };
    // What a shell makes of its line only the shell knows.
    let words = if check.shell { None } else { crate::text::words(&line) };
    match words.and_then(|words| words.into_iter().next()) {
        Some(program) => found(look, &program),
        None => Ok(()),
    }
}

/// A script is the revision's own; what it begins with may name a program of this host.
fn script(look: &Look, check: &Check) -> Result<(), String> {
    let heads = look.wanted.scripts.iter().filter(|head| head.check == check.name);
    for line in heads.filter_map(|head| head.line.strip_prefix("#!")) {
        let mut words = line.split_whitespace();
        let Some(interpreter) = words.next() else { continue };
        found(look, interpreter)?;
        if interpreter.rsplit('/').next() == Some("env")
            && let Some(program) = words.next().filter(|word| !word.starts_with('-') && !word.contains('='))
        {
            found(look, program)?;
        }
    }
    Ok(())
}

fn found(look: &Look, program: &str) -> Result<(), String> {
    match find(look, program) {
        Program::Found | Program::Unknown => Ok(()),
        Program::Missing(why) => Err(why),
    }
}

/// Looks for a program as the stages do.
pub fn find(look: &Look, program: &str) -> Program {
    if program.contains('/') {
        let path = Path::new(program);
        return match path.is_absolute() && !look.is_of_revision(path) {
            true => executable(path).map_or_else(Program::Missing, |()| Program::Found),
            // It is looked for from the revision's tree.
            false => Program::Unknown,
        };
    }
    let folders = process::folders_of_programs();
    let folders: Vec<PathBuf> = folders.split(':').map(PathBuf::from).collect();
    if folders.iter().any(|folder| executable(&folder.join(program)).is_ok()) {
        return Program::Found;
    }
    if folders.iter().any(|folder| !folder.is_absolute() || look.is_of_revision(folder)) {
        return Program::Unknown;
    }
    Program::Missing(format!("{program} is not installed on this host, or not in PATH"))
}

fn executable(path: &Path) -> Result<(), String> {
    let shown = path.display();
    match path.metadata() {
        Ok(found) if found.is_file() && access(path, Access::EXEC_OK).is_ok() => Ok(()),
        Ok(found) if found.is_file() => Err(format!("{shown} is not executable")),
        Ok(_) => Err(format!("{shown} is not a file")),
        Err(error) => Err(format!("cannot run {shown}: {}", plain(&error))),
    }
}
