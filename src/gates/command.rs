//! A command on the deploy host.

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

/// Of what it prints, as much is kept.
const KEPT: usize = 64 << 10;

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
        true => subprocess::shell(line),
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
    command.current_dir(folder);
    let limits = Limits { until: Instant::now() + timeout, is_over: &|| stop.is_over(), kill_leftovers: true };
    let (mut out, mut err) = (String::new(), String::new());
    let ended = subprocess::run(&mut command, &limits, &mut |stream, line| {
        let text = if stream == Stream::Stdout { &mut out } else { &mut err };
        if text.len() + line.len() < KEPT {
            text.push_str(&line);
            text.push('\n');
        }
    });
    match ended {
        Err(error) => {
            let program = command.get_program().to_string_lossy();
            Reading::NoAnswer(format!("cannot run {program}: {}", super::client::plain(&error)))
        }
        Ok(None) => Reading::NoAnswer(format!("the command did not end within {} s", timeout.as_secs_f64())),
        Ok(Some(status)) => judge(status, shell, &out, &err, require),
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
        let gone =
            ask(("/nonexistent x", false, Path::new("/")), None, &subject, Duration::from_secs(60), &Stop::never());
        assert!(matches!(gone, Reading::NoAnswer(why) if why.starts_with("cannot run /nonexistent: No such file")));
    }

    #[test]
    fn a_command_that_hangs_is_no_answer_and_one_that_floods_is_judged_by_its_status() {
        let subject = Subject::default();
        let limit = Duration::from_millis(1500);
        let hung = ask(("sleep 600", true, Path::new("/")), None, &subject, limit, &Stop::never());
        assert!(matches!(hung, Reading::NoAnswer(why) if why.contains("did not end within 1.5 s")));
        assert_eq!(run("head -c 10000000 /dev/zero; exit 0", None), Reading::Good { value: Some("0".into()) });
    }
}
