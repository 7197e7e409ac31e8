//! Small words that several reporters use.

use crate::fleet::Step;
pub use crate::text::{counted, hosts};
use crate::wire::Level;

/// The step's name for people.
pub fn step_name(step: Step) -> &'static str {
    match step {
        Step::Probe => "probe",
        Step::Hold => "lock",
        Step::Run(stage) => stage.name(),
        Step::Release => "unlock",
        Step::Command => "command",
    }
}

/// What stands before a remark of this level.
pub fn heading(level: Level) -> &'static str {
    match level {
        Level::Debug | Level::Info => "",
        Level::Warning => "warning: ",
        Level::Error => "error: ",
    }
}

/// A time that something took: `0.4 s`, `12 s`, `2 min 05 s`, `3 h 20 min`, `2 d 5 h`.
pub fn took(seconds: f64) -> String {
    if seconds < 9.95 {
        return format!("{:.1} s", seconds.max(0.0));
    }
    let whole = seconds.round() as u64;
    match (whole / 60, whole / 3600) {
        (0, _) => format!("{whole} s"),
        (minutes, 0) => format!("{minutes} min {:02} s", whole % 60),
        (minutes, hours @ ..48) => format!("{hours} h {:02} min", minutes % 60),
        (_, hours) => format!("{} d {} h", hours / 24, hours % 24),
    }
}

/// What a host waits for: `check answers, 12 of 120 s`.
pub fn waiting(what: &str, seconds: u64, limit: u64) -> String {
    format!("{what}, {seconds} of {limit} s")
}

/// A soak that begins: `canary1: soak for 10 min 00 s`.
pub fn soak(label: &str, seconds: u64) -> String {
    format!("{label}: soaking for {}", took(seconds as f64))
}

/// What is said of a group with too many failures.
pub fn limit_exceeded(group: &str, failed: usize, limit: &str) -> String {
    format!("{group}: {} failed, more than the failure limit ({limit})", hosts(failed))
}

/// What is said of a group without any room left.
pub fn used_up(group: &str, most: &str, names: &str, count: usize) -> String {
    let verb = if count == 1 { "is" } else { "are" };
    format!("max_unavailable of {group} ({most}) is used up: {names} {verb} out of service")
}

/// How a gate halted a run.
pub fn gate_failed(gate: &str, reason: &str, inconclusive: bool) -> String {
    let how = if inconclusive { "is inconclusive" } else { "failed" };
    format!("gate {gate} {how}: {reason}")
}

/// A run-once step, or undoing it, and where: `step migrate on db1`.
pub fn once(name: &str, on: &str, undo: bool) -> String {
    format!("{}step {name} on {on}", if undo { "undo of " } else { "" })
}

/// What an interrupt meets: `interrupted: no more hosts are started; waiting for promote on web01 (12 s so far,
/// 120 s at most)`.
pub fn stopping(step: Step, names: &str, count: usize, stops: bool, (seconds, limit): (u64, u64)) -> String {
    let step = step_name(step);
    let first = match stops {
        true => "interrupted: no more hosts are started".to_owned(),
        false => format!("interrupted, but {step} continues to its end"),
    };
    match count {
        0 => format!("{first}; waiting for {step}"),
        _ => format!("{first}; waiting for {step} on {names} ({seconds} s so far, {limit} s at most)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_counts_read_as_people_say_them() {
        assert_eq!((hosts(0), hosts(1), hosts(2)), ("0 hosts".into(), "1 host".into(), "2 hosts".into()));
        let said: Vec<_> = [0.04, 9.94, 9.96, 59.4, 59.6, 125.0, -1.0, f64::NAN].map(took).into();
        assert_eq!(said, ["0.0 s", "9.9 s", "10 s", "59 s", "1 min 00 s", "2 min 05 s", "0.0 s", "0 s"]);
        let said: Vec<_> = [3599.0, 3600.0, 12_045.0, 190_800.0].map(took).into();
        assert_eq!(said, ["59 min 59 s", "1 h 00 min", "3 h 20 min", "2 d 5 h"]);
    }
}
