//! Runs the command of a gate or hook on the deploy host.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use crate::subprocess;
use crate::subprocess::{Limits, Stream};

use super::client::excerpt;
use super::http::judged;
use super::reading::Reading;
use super::require::Require;
use super::stop::Stop;
use super::template::Subject;

/// How much of the output is kept.
const KEPT: usize = 64 << 10;

/// What to run, and how.
#[derive(Debug, Clone, Copy)]
pub struct CommandLine<'a> {
    pub line: &'a str,
    /// A command line for `/bin/sh`.
    pub shell: bool,
    /// The working directory.
    pub folder: &'a Path,
}

/// How a command ended, and the beginning of its output.
#[derive(Debug)]
pub struct Ran {
    status: ExitStatus,
    out: String,
    err: String,
}

impl Ran {
    /// Whether its exit status is 0.
    ///
    /// # Errors
    /// How it ended, with the last line that it printed.
    pub fn ended_well(&self) -> Result<(), String> {
        match (self.status.code(), self.status.signal()) {
            (Some(0), _) => Ok(()),
            (Some(code), _) => Err(format!("exit status {code}{}", self.last_words())),
            (None, signal) => Err(format!("killed by signal {}{}", signal.unwrap_or_default(), self.last_words())),
        }
    }

    /// The last line that it printed, for messages.
    fn last_words(&self) -> String {
        let last = |text: &str| text.lines().rev().find(|line| !line.trim().is_empty()).map(excerpt);
        [&self.err, &self.out].iter().find_map(|text| last(text)).map(|line| format!(": {line}")).unwrap_or_default()
    }
}

/// Runs the command, and evaluates its exit status or the number that it prints. The variables are in its environment,
/// with the prefix `HOIST_`.
pub fn ask(
    command: CommandLine,
    require: Option<&Require>,
    subject: &Subject,
    timeout: Duration,
    stop: &Stop,
) -> Reading {
    match run(command, subject.environment(), None, timeout, stop) {
        Err(why) => Reading::NoAnswer(why),
        Ok(ran) => judge(&ran, command.shell, require),
    }
}

/// Runs a command to its end, with these variables in its environment (prefix `HOIST_`) and `input` on its standard
/// input. Processes that it started are killed when it ends.
///
/// # Errors
/// It could not be run, or did not end in time.
pub fn run<'v>(
    CommandLine { line, shell, folder }: CommandLine,
    variables: impl IntoIterator<Item = (&'v str, String)>,
    input: Option<Vec<u8>>,
    timeout: Duration,
    stop: &Stop,
) -> Result<Ran, String> {
    let mut command = match shell {
        true => subprocess::shell(line),
        false => {
            let words = crate::text::words(line).unwrap_or_default();
            let (program, arguments) = words.split_first().ok_or_else(|| format!("{line:?} is not a command"))?;
            let mut command = Command::new(program);
            command.args(arguments);
            command
        }
    };
    for (name, value) in variables {
        // An environment variable cannot contain a NUL.
        command.env(format!("HOIST_{name}"), value.replace('\0', ""));
    }
    command.current_dir(folder);
    let limits = Limits { until: Instant::now() + timeout, is_over: &|| stop.is_over(), kill_leftovers: true };
    let (mut out, mut err) = (String::new(), String::new());
    let ended = subprocess::run_with_input(&mut command, input, &limits, &mut |stream, line| {
        let text = if stream == Stream::Stdout { &mut out } else { &mut err };
        if text.len() + line.len() < KEPT {
            text.push_str(&line);
            text.push('\n');
        }
    });
    match ended {
        Err(error) => {
            let program = command.get_program().to_string_lossy();
            Err(format!("cannot run {program}: {}", crate::text::plain(&error)))
        }
        Ok(None) => Err(format!("the command did not end within {} s", timeout.as_secs_f64())),
        Ok(Some(status)) => Ok(Ran { status, out, err }),
    }
}

fn judge(ran: &Ran, shell: bool, require: Option<&Require>) -> Reading {
    let (status, out, last_words) = (ran.status, &ran.out, ran.last_words());
    let Some(code) = status.code() else {
        let signal = status.signal().unwrap_or_default();
        return Reading::NoAnswer(format!("the command was killed by signal {signal}{last_words}"));
    };
    let failed = format!("exit status {code}{last_words}");
    match require {
        // With these statuses a shell reports a program that was not found or could not be run.
        _ if shell && (code == 126 || code == 127) => Reading::NoAnswer(failed),
        None if code == 0 => Reading::Good { value: Some("0".into()) },
        None => Reading::Bad { value: Some(code.to_string()), reason: failed },
        // The command reports that it could not measure.
        Some(_) if code != 0 => Reading::NoAnswer(failed),
        Some(_) if out.trim().is_empty() => Reading::NoData("the command printed nothing".into()),
        Some(require) => judged(out.trim().to_owned(), require),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str, shell: bool) -> CommandLine<'_> {
        CommandLine { line, shell, folder: Path::new("/") }
    }

    fn run(line: &str, require: Option<&str>) -> Reading {
        let require = require.map(|text| text.parse().unwrap());
        let subject = Subject { group: "canary".into(), ..Subject::default() };
        ask(of(line, true), require.as_ref(), &subject, Duration::from_secs(60), &Stop::never())
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
        let measured = Some("< 1");
        for (line, require) in
            [("exit 1", measured), ("/nonexistent", None), ("kill -9 $$", None), ("echo fast", measured)]
        {
            assert!(matches!(run(line, require), Reading::NoAnswer(_)), "{line}: {:?}", run(line, require));
        }
        for line in ["true", "echo NaN"] {
            assert!(matches!(run(line, Some("< 1")), Reading::NoData(_)), "{line}");
        }
        let subject = Subject::default();
        let gone = ask(of("/nonexistent x", false), None, &subject, Duration::from_secs(60), &Stop::never());
        assert!(matches!(gone, Reading::NoAnswer(why) if why.starts_with("cannot run /nonexistent: No such file")));
    }

    #[test]
    fn a_command_that_hangs_is_no_answer_and_one_that_floods_is_judged_by_its_status() {
        let subject = Subject::default();
        let limit = Duration::from_millis(1500);
        let hung = ask(of("sleep 600", true), None, &subject, limit, &Stop::never());
        assert!(matches!(hung, Reading::NoAnswer(why) if why.contains("did not end within 1.5 s")));
        assert_eq!(run("head -c 10000000 /dev/zero; exit 0", None), Reading::Good { value: Some("0".into()) });
    }
}
