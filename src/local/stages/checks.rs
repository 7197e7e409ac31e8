//! Running a repository's checks.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Instant;

use crate::files::no_links;
use crate::timings;
use crate::timings::Part;
use crate::wire::{Check, CheckPoint, CheckType, Level, Revision, Stage};

use super::own_checks;
use crate::local::fault::{Fault, plain};
use crate::local::job::Job;
use crate::local::os::files;
use crate::local::os::lines::Lines;
use crate::local::os::process;
use crate::local::os::process::{Exit, Feed};
use crate::local::os::sys;
use crate::local::state::layout::Link;
use crate::local::waiting::Waiting;
use crate::paths;

/// Runs the checks of one point against a revision, in the order of the file; the first that fails ends it.
pub fn run(job: &Job, at: CheckPoint, revision: &Revision) -> Result<(), Fault> {
    match at {
        CheckPoint::Before(Stage::Promote | Stage::RestartService) if job.request.kept => prepare(job, at, revision),
        _ if job.request.kept => run_for_restored(job, at, revision),
        _ => due(job, at).try_for_each(|check| run_one(job, check, revision)),
    }
}

/// As [`run`], on the way back: the checks that the revision was deployed with judge it. Others of the request run as
/// well, since one of them may put right what another has done to this host; where they fail, a warning tells. So does a
/// script that the revision does not have.
pub fn run_for_restored(job: &Job, at: CheckPoint, revision: &Revision) -> Result<(), Fault> {
    let (own, others) = own_checks::split(job, revision);
    let result = due(&own, at).try_for_each(|check| run_one_of(&own, check, revision));
    for check in due(&others, at) {
        if let Err(fault) = run_one_of(&others, check, revision) {
            let short = revision.short();
            job.out.warn(format!(
                "{}; {short} was deployed without this check, so this is only a warning",
                fault.reason()
            ));
        }
    }
    result
}

/// The checks ahead of what brings a revision back. They get it ready, a host out of its pool say, and must not keep it
/// from coming back: neither by failing, nor by taking all the time.
pub fn prepare(job: &Job, at: CheckPoint, revision: &Revision) -> Result<(), Fault> {
    let bounded = Job { deadline: job.deadline.half(u64::MAX), ..job.clone() };
    if let Err(fault) = run_for_restored(&bounded, at, revision) {
        job.out.warn(format!("{}; the rollback continues", fault.reason()));
    }
    job.deadline.check()
}

/// One check on the way back.
fn run_one_of(job: &Job, check: &Check, revision: &Revision) -> Result<(), Fault> {
    let name = &check.name;
    if check.kind == CheckType::Script && script(job, check, revision).is_ok_and(|(path, _)| !path.exists()) {
        job.out.warn(format!("check {name} is skipped: {} has no such script", revision.short()));
        return Ok(());
    }
    run_one(job, check, revision).map_err(|fault| match fault {
        Fault::TimedOut { seconds } => Fault::failed(format!("check {name} did not end within {seconds} s")),
        fault => fault,
    })
}

/// Whether there are any of this point.
pub fn are_due(job: &Job, at: CheckPoint) -> bool {
    due(job, at).next().is_some()
}

fn due(job: &Job, at: CheckPoint) -> impl Iterator<Item = &Check> {
    let for_us = |group: &Option<String>| group.as_ref().is_none_or(|group| *group == job.request.group);
    job.request.checks.iter().filter(move |check| check.at == at && for_us(&check.group))
}

/// A check with all its tries. What a try says is shown as it comes; where further tries may follow, with `-v` only, but
/// for the last one.
fn run_one(job: &Job, check: &Check, revision: &Revision) -> Result<(), Fault> {
    let _timed = timings::during(Part::Checks);
    let (name, tries) = (&check.name, check.tries);
    let began = Instant::now();
    let until = job.deadline.within(check.longest());
    let _told = Waiting::start(&job.out, format!("check {name}"), check.longest().min(job.deadline.left()));
    let mut number = 0;
    loop {
        number += 1;
        let used_up = tries.retries.map_or(tries.within.is_none(), |retries| number > retries);
        // The last try by the clock is known as such only afterwards: its lines are kept until then.
        let mut said = Vec::new();
        let mut say = |line: String| match used_up && number == 1 {
            true => job.out.line(Level::Info, line),
            false => said.push(line),
        };
        let tried = try_once(job, check, revision, until, &mut say);
        let next = Instant::now() + tries.interval;
        let again = matches!(tried, Err(Fault::Failed { .. })) && !used_up && next < until;
        let level = if again { Level::Debug } else { Level::Info };
        said.into_iter().for_each(|line| job.out.line(level, line));
        let Err(fault) = tried else { return Ok(()) };
        if !again {
            return Err(match fault {
                Fault::Failed { reason, .. } if number > 1 => {
                    Fault::failed(format!("{reason}; {number} tries in {} s", began.elapsed().as_secs()))
                }
                fault => fault,
            });
        }
        job.out.debug(format!("{}; trying again", fault.reason()));
        thread::sleep(next.saturating_duration_since(Instant::now()));
        job.deadline.check()?;
    }
}

fn try_once(
    job: &Job,
    check: &Check,
    revision: &Revision,
    until: Instant,
    say: &mut dyn FnMut(String),
) -> Result<(), Fault> {
    job.deadline.check()?;
    let name = &check.name;
    let mut command =
        command(job, check, revision).map_err(|reason| Fault::failed(format!("check {name}: {reason}")))?;
    let tree = job.layout.rev(revision);
    // Scap runs them beside the trees.
    let folder = if job.request.header.control_dir == "scap" { job.layout.root() } else { tree.as_path() };
    command.current_dir(if folder.is_dir() { folder } else { Path::new("/") });
    for (key, value) in surroundings(job, &tree) {
        command.env(format!("SCAP_{key}"), &value).env(format!("HOIST_{key}"), &value);
    }
    // A check whose stage was killed has nobody left to keep its time limit.
    sys::die_with_parent(&mut command);
    job.out.debug(format!("check {name}: started"));
    let mut lines = Lines::new();
    let mut say = |line: String| say(format!("check {name}: {line}"));
    let own = job.deadline.within(check.timeout);
    let allowed = check.tries.within.filter(|_| until < own).unwrap_or(check.timeout);
    let until = until.min(own);
    let exit =
        process::run(&mut command, Feed::Nothing, until, &mut |stream, piece| lines.take(stream, piece, &mut say));
    lines.finish(&mut say);
    match exit {
        Ok(exit) if exit.is_ok() => Ok(()),
        Ok(Exit::TimedOut) if job.deadline.passed() => Err(Fault::TimedOut { seconds: job.deadline.seconds }),
        Ok(exit) => {
            let how = match exit {
                Exit::TimedOut => format!("timed out after {} s", allowed.as_secs_f64()),
                exit => exit.reason(check.timeout.as_secs()),
            };
            Err(Fault::failed(format!("check {name} {how}{}", lines.last_words())))
        }
        Err(error) => {
            let program = command.get_program().to_string_lossy();
            Err(Fault::failed(format!("check {name}: cannot run {program}: {}", plain(&error))))
        }
    }
}

/// What a check finds in its environment, behind `SCAP_` and `HOIST_`.
fn surroundings(job: &Job, tree: &Path) -> [(&'static str, PathBuf); 5] {
    let layout = &job.layout;
    [
        ("FINAL_PATH", layout.live().to_owned()),
        ("REV_PATH", tree.to_owned()),
        ("CURRENT_REV_DIR", layout.resolved(Link::Current)),
        ("DONE_REV_DIR", layout.resolved(Link::Done)),
        ("REVS_DIR", layout.revs()),
    ]
}

fn command(job: &Job, check: &Check, revision: &Revision) -> Result<Command, String> {
    match check.kind {
        CheckType::Command => line_command(&check.command, check.shell),
        CheckType::Nrpe => line_command(&nrpe(&job.request.nrpe_dir, check.command.trim())?, check.shell),
        CheckType::Script => {
            let (path, args) = script(job, check, revision)?;
            let mut command = process::command(&path.to_string_lossy());
            command.args(args);
            Ok(command)
        }
    }
}

fn line_command(line: &str, shell: bool) -> Result<Command, String> {
    if shell {
        let mut command = process::command("/bin/sh");
        command.args(["-c", line]);
        return Ok(command);
    }
    let words = words(line)?;
    let mut command = process::command(&words[0]);
    command.args(&words[1..]);
    Ok(command)
}

/// At least one word.
fn words(line: &str) -> Result<Vec<String>, String> {
    match crate::text::words(line) {
        Some(words) if !words.is_empty() => Ok(words),
        Some(_) => Err("its command is empty".to_owned()),
        None => Err(format!("its command {line:?} has an unbalanced quote; set shell: true if it is a shell's")),
    }
}

/// A script of the revision, the environment's own before the repository's, and its arguments.
fn script(job: &Job, check: &Check, revision: &Revision) -> Result<(PathBuf, Vec<String>), String> {
    let mut words = words(&check.command)?;
    let args = words.split_off(1);
    let name = words.remove(0);
    let plain_folder = |name: &str| paths::is_plain_relative(name) && !name.contains('/');
    if !paths::is_plain_relative(&name) {
        return Err(format!("{name:?} is not the name of a script"));
    }
    if !plain_folder(&job.request.header.control_dir) {
        return Err(format!("{:?} is not a directory of the repository", job.request.header.control_dir));
    }
    let control = job.layout.rev(revision).join(&job.request.header.control_dir);
    if let Some(environment) = &job.request.environment {
        if !plain_folder(environment) {
            return Err(format!("{environment:?} is not the name of an environment"));
        }
        let own = control.join("environments").join(environment).join("scripts").join(&name);
        if own.exists() {
            return stays_within(&job.layout.rev(revision), own).map(|path| (path, args));
        }
    }
    stays_within(&job.layout.rev(revision), control.join("scripts").join(name)).map(|path| (path, args))
}

/// Fails for a script that is a link out of its revision. One that is not there is told when it is run.
fn stays_within(tree: &Path, script: PathBuf) -> Result<PathBuf, String> {
    match (script.canonicalize(), tree.canonicalize()) {
        (Ok(real), Ok(tree)) if !real.starts_with(&tree) => {
            Err(format!("{} is a link out of the revision, to {}", script.display(), real.display()))
        }
        _ => Ok(script),
    }
}

/// The command line that the monitoring's files have for a name. If there are several, the last one counts, as for NRPE and
/// for Scap.
pub fn nrpe(dir: &Path, name: &str) -> Result<String, String> {
    let mut found = None;
    for file in files::names(dir).into_iter().filter(|file| file.ends_with(".cfg")) {
        let text = no_links::read_other(&dir.join(file)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        found = text.lines().filter_map(|line| definition(line, name)).next_back().map(str::to_owned).or(found);
    }
    found.ok_or_else(|| format!("no file in {} defines the nrpe command {name:?}", dir.display()))
}

/// The command of `command[NAME]=COMMAND`.
fn definition<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (head, command) = line.trim().split_once('=')?;
    let found = head.trim().strip_prefix("command[")?.strip_suffix(']')?.trim();
    (found == name).then(|| command.trim()).filter(|command| !command.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_nrpe_command_is_found_by_its_name_in_the_cfg_files_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.cfg"), "# command[load]=/bin/false\ncommand[loads]=/bin/false\n").unwrap();
        std::fs::write(dir.path().join("b.cfg"), " command[load] = /bin/check -w 1=2\n").unwrap();
        std::fs::write(dir.path().join("c.txt"), "command[other]=/bin/true\n").unwrap();
        assert_eq!(nrpe(dir.path(), "load").unwrap(), "/bin/check -w 1=2");
        assert!(nrpe(dir.path(), "other").unwrap_err().contains("\"other\""));
        std::fs::write(dir.path().join("b2.cfg"), "command[load]=/bin/old\ncommand[load]=/bin/new\ncommand[load]=\n")
            .unwrap();
        assert_eq!(nrpe(dir.path(), "load").unwrap(), "/bin/new", "the last definition counts");
        assert!(nrpe(Path::new("/nowhere"), "load").is_err());
    }

    #[test]
    fn an_unbalanced_quote_is_told_and_an_empty_command_too() {
        assert!(line_command("echo 'a", false).unwrap_err().contains("unbalanced"));
        assert!(line_command("  ", false).unwrap_err().contains("empty"));
        assert_eq!(line_command("a 'b c'", false).unwrap().get_args().count(), 1);
        assert!(line_command("echo 'a", true).is_ok(), "a shell tells of its own errors");
    }
}
