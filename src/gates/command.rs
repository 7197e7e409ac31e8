//! A command on the deploy host.

use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use rustix::process::{Pid, Signal, kill_process_group};

use super::client::excerpt;
use super::http::judged;
use super::reading::Reading;
use super::require::Require;
use super::stop::Stop;
use super::template::Subject;

/// Of what it prints, as much is kept.
const KEPT: u64 = 64 << 10;
/// How often to see whether it has ended.
const GLANCE: Duration = Duration::from_millis(20);
/// Something that it started may keep its output open.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Runs it, and judges its exit status, or the number that it prints. The variables are in its environment, behind
/// `HOIST_`.
pub fn ask(
    (line, shell, folder): (&str, bool, &Path),
    require: Option<&Require>,
    subject: &Subject,
    timeout: Duration,
    stop: &Stop,
) -> Reading {
    let mut command = match shell {
        true => {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", line]);
            command
        }
        false => {
            let words = crate::text::words(line).unwrap_or_default();
            let Some((program, arguments)) = words.split_first() else {
                return Reading::NoAnswer(format!("{line:?} is not a command"));
            };
            let mut command = Command::new(program);
            command.args(arguments);
            command
        }
    };
    for (name, value) in subject.environment() {
        command.env(format!("HOIST_{name}"), value);
    }
    // A group of its own, so that what it has started can be ended with it, and an interrupt is Hoist's alone.
    command.current_dir(folder).process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    crate::procfs::die_with_parent(&mut command);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let program = command.get_program().to_string_lossy();
            return Reading::NoAnswer(format!("cannot run {program}: {}", super::client::plain(&error)));
        }
    };
    let outputs = (gather(child.stdout.take()), gather(child.stderr.take()));
    let ended = wait(&mut child, timeout, stop);
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
    let (out, err) = (outputs.0.text(), outputs.1.text());
    match ended {
        None => Reading::NoAnswer(format!("the command did not end within {} s", timeout.as_secs_f64())),
        Some(status) => judge(status, shell, &out, &err, require),
    }
}

fn judge(status: ExitStatus, shell: bool, out: &str, err: &str, require: Option<&Require>) -> Reading {
    let last_words = match [err, out].iter().find_map(|text| text.lines().rev().find(|line| !line.trim().is_empty())) {
        Some(line) => format!(": {}", excerpt(line)),
        None => String::new(),
    };
    let Some(code) = status.code() else {
        let signal = status.signal().unwrap_or_default();
        return Reading::NoAnswer(format!("the command was killed by signal {signal}{last_words}"));
    };
    let failed = format!("exit status {code}{last_words}");
    match require {
        // So a shell says that it found no such program, or could not run it.
        _ if shell && (code == 126 || code == 127) => Reading::NoAnswer(failed),
        None if code == 0 => Reading::Good { value: Some("0".into()) },
        None => Reading::Bad { value: Some(code.to_string()), reason: failed },
        // It could not measure.
        Some(_) if code != 0 => Reading::NoAnswer(failed),
        Some(_) if out.trim().is_empty() => Reading::NoData("the command printed nothing".into()),
        Some(require) => judged(out.trim().to_owned(), require),
    }
}

/// How it ended; `None` when it did not in time, or nobody waits for it any more.
fn wait(child: &mut Child, timeout: Duration, stop: &Stop) -> Option<ExitStatus> {
    let until = Instant::now() + timeout;
    while Instant::now() < until {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if stop.wait(GLANCE) => return None,
            Ok(None) => {}
            Err(_) => return None,
        }
    }
    None
}

/// What is read from one of its outputs.
struct Gathered(Receiver<Vec<u8>>);

fn gather(output: Option<impl Read + Send + 'static>) -> Gathered {
    let (sender, receiver) = bounded(1);
    thread::spawn(move || {
        let mut kept = Vec::new();
        if let Some(mut output) = output {
            let _ = output.by_ref().take(KEPT).read_to_end(&mut kept);
            let _ = sender.send(kept);
            // It may go on talking, and must not wait for a reader.
            let _ = std::io::copy(&mut output, &mut std::io::sink());
        }
    });
    Gathered(receiver)
}

impl Gathered {
    fn text(self) -> String {
        String::from_utf8_lossy(&self.0.recv_timeout(LAST_WORDS).unwrap_or_default()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str, require: Option<&str>) -> Reading {
        let require = require.map(|text| text.parse().unwrap());
        let subject = Subject { group: "canary".into(), ..Subject::default() };
        ask((line, true, Path::new("/")), require.as_ref(), &subject, Duration::from_secs(60), &Stop::never())
    }

    #[test]
    fn a_command_passes_by_its_status_or_by_the_number_that_it_prints() {
        assert_eq!(run("exit 0", None), Reading::Good { value: Some("0".into()) });
        let failed = Reading::Bad { value: Some("3".into()), reason: "exit status 3: too slow".into() };
        assert_eq!(run("echo nothing; echo too slow >&2; exit 3", None), failed);
        assert_eq!(run("echo 0.5", Some("< 1")), Reading::Good { value: Some("0.5".into()) });
        assert_eq!(run("echo 2", Some("< 1")), Reading::Bad { value: Some("2".into()), reason: "2 is not < 1".into() });
        assert_eq!(run("echo $HOIST_GROUP", Some("== canary")), Reading::Good { value: Some("canary".into()) });
    }

    #[test]
    fn what_could_not_measure_is_no_answer() {
        for (line, require) in [("exit 1", Some("< 1")), ("/nonexistent", None), ("kill -9 $$", None)] {
            assert!(matches!(run(line, require), Reading::NoAnswer(_)), "{line}: {:?}", run(line, require));
        }
        for line in ["true", "echo fast"] {
            assert!(matches!(run(line, Some("< 1")), Reading::NoData(_)), "{line}");
        }
        let subject = Subject::default();
        let gone =
            ask(("/nonexistent x", false, Path::new("/")), None, &subject, Duration::from_secs(60), &Stop::never());
        assert!(matches!(gone, Reading::NoAnswer(why) if why.starts_with("cannot run /nonexistent: No such file")));
    }

    #[test]
    fn a_command_that_hangs_or_floods_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let line = format!("sleep 600 & echo $! > {}/pid; wait", folder.path().display());
        let subject = Subject::default();
        let hung = ask((&line, true, Path::new("/")), None, &subject, Duration::from_millis(1500), &Stop::never());
        assert!(matches!(hung, Reading::NoAnswer(why) if why.contains("did not end within 1.5 s")));
        let pid: i32 = std::fs::read_to_string(folder.path().join("pid")).unwrap().trim().parse().unwrap();
        let gone = || std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z"));
        let until = Instant::now() + Duration::from_secs(60);
        while !gone() {
            assert!(Instant::now() < until, "process {pid} lives on");
            thread::sleep(GLANCE);
        }
        assert_eq!(run("head -c 10000000 /dev/zero; exit 0", None), Reading::Good { value: Some("0".into()) });
    }
}
