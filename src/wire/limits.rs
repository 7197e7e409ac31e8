//! How long what travels, and what is kept of it, may be. What is longer is cut, and says so; so no target, and no
//! operator, can make the other side hold or write without end, nor make a line that the other side cannot read.

use std::borrow::Cow;

use super::{Facts, Fault, Holder, Lease, LeaseStands, Outcome, Recorded, State, TargetEvent};

/// The operator's message, in bytes. It stands in every lock and every request.
pub const MESSAGE: usize = 4 << 10;
/// A user's or a host's name, a time, a version.
pub const NAME: usize = 255;
/// Why something failed, and a path.
pub const REASON: usize = 4 << 10;
/// What later stages of a run would fail at on one host.
pub const FINDINGS: usize = 100;
/// A line of output.
pub const LINE: usize = 8 << 10;
/// A line of output in a host's last words, which journals and results keep.
pub const TAIL_LINE: usize = 1 << 10;
/// The difference of one configuration file. In JSON it may be six times as long, which is still less than a line of the
/// protocol may be.
pub const DIFF: usize = 128 << 10;
/// A line of the protocol.
pub const PROTOCOL_LINE: usize = 1 << 20;
/// The output of one host in one step; what comes beyond is counted.
pub const HOST_OUTPUT: usize = 4 << 20;
/// The output of all hosts of a run.
pub const RUN_OUTPUT: usize = 128 << 20;

/// What a line of output takes where it is kept: in JSON a control character is six bytes, and every line is a record.
pub fn weight(line: &str) -> usize {
    let controls = line.bytes().filter(|byte| *byte < 0x20 || *byte == 0x7f).count();
    line.len() + 5 * controls + 64
}

/// A line of output as it is shown and kept.
pub fn cut_line(mut line: String, most: usize) -> String {
    const REMARK: &str = "… [line cut]";
    if line.len() > most {
        line.truncate(boundary(&line, most.saturating_sub(REMARK.len())));
        line.push_str(REMARK);
    }
    line
}

/// The text, or as much of its beginning as fits into `most` bytes together with a remark on what is left out.
pub fn cut(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    let remark = |end: usize| format!("… [{} more bytes]", text.len() - end);
    // The remark is longest where nothing is kept.
    let end = boundary(text, most.saturating_sub(remark(0).len()));
    Cow::Owned(format!("{}{}", &text[..end], remark(end)))
}

/// The end of the last character that ends within `most` bytes.
pub fn boundary(text: &str, most: usize) -> usize {
    (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0)
}

fn shorten(text: &mut String, most: usize) {
    if let Cow::Owned(short) = cut(text, most) {
        *text = short;
    }
}

impl Holder {
    /// With nothing in it longer than it may be.
    pub fn bounded(mut self) -> Holder {
        for name in [&mut self.user, &mut self.host, &mut self.since] {
            shorten(name, NAME);
        }
        shorten(&mut self.message, MESSAGE);
        self
    }
}

impl Fault {
    /// With nothing in it longer than it may be.
    pub fn bounded(mut self) -> Fault {
        match &mut self {
            Fault::Failed { reason, .. }
            | Fault::ChecksFailed { reason }
            | Fault::CacheBroken { reason }
            | Fault::Unreachable { reason }
            | Fault::Lost { reason }
            | Fault::Killed { signal: reason } => shorten(reason, REASON),
            Fault::Locked { by } => **by = by.as_ref().clone().bounded(),
            Fault::TimedOut { .. } | Fault::MovedOn { .. } => {}
        }
        self
    }
}

impl TargetEvent {
    /// With nothing in it longer than it may be, whatever the target says.
    pub fn bounded(mut self) -> TargetEvent {
        match &mut self {
            TargetEvent::Facts(facts) => bound_facts(facts),
            TargetEvent::Held => {}
            TargetEvent::Line(line) => line.message = cut_line(std::mem::take(&mut line.message), LINE),
            TargetEvent::Diff { file, diff } => {
                shorten(file, REASON);
                shorten(diff, DIFF);
            }
            TargetEvent::Recorded(recorded) => match recorded {
                Recorded::Nothing | Recorded::Running => {}
                Recorded::Ended { outcome, state } => {
                    bound_outcome(outcome);
                    bound_state(state);
                }
                Recorded::Died { state } => bound_state(state),
            },
            TargetEvent::Ended { outcome, state } => {
                bound_outcome(outcome);
                state.iter_mut().for_each(bound_state);
            }
            TargetEvent::Waiting { what, .. } => shorten(what, NAME),
            TargetEvent::Wanted { .. } | TargetEvent::Timings { .. } => {}
            TargetEvent::Exited { signal, .. } => signal.iter_mut().for_each(|signal| shorten(signal, NAME)),
            TargetEvent::Alive | TargetEvent::Piece { .. } => {}
        }
        self
    }
}

fn bound_outcome(outcome: &mut Outcome) {
    *outcome = std::mem::replace(outcome, Ok(())).map_err(|fault| fault.from_target().bounded());
}

fn bound_state(state: &mut State) {
    state.stray_links.iter_mut().for_each(|path| shorten(path, REASON));
    if let Some(drained) = &mut state.drained {
        shorten(&mut drained.since, NAME);
        drained.reason.iter_mut().for_each(|reason| shorten(reason, REASON));
    }
}

fn bound_facts(facts: &mut Facts) {
    shorten(&mut facts.version, NAME);
    bound_state(&mut facts.state);
    facts.locked = facts.locked.take().map(Holder::bounded);
    facts.newest = facts.newest.take().map(|newest| Box::new(newest.bounded()));
    for text in facts.stranger.iter_mut().chain(&mut facts.place).chain(&mut facts.missing_stage) {
        shorten(text, REASON);
    }
    if let Some(lease) = &mut facts.lease {
        bound_lease(lease);
    }
    facts.running.truncate(FINDINGS);
    for service in &mut facts.running {
        shorten(&mut service.name, NAME);
        shorten(&mut service.state, NAME);
        service.revisions.truncate(FINDINGS);
    }
    facts.findings.truncate(FINDINGS);
    facts.findings.iter_mut().for_each(|finding| shorten(&mut finding.message, REASON));
}

fn bound_lease(lease: &mut Lease) {
    shorten(&mut lease.since, NAME);
    match &mut lease.stands {
        LeaseStands::Open | LeaseStands::Missed => {}
        LeaseStands::RollingBack { at } | LeaseStands::RolledBack { at } => shorten(at, NAME),
        LeaseStands::RollbackFailed { at, reason } => {
            shorten(at, NAME);
            shorten(reason, REASON);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters_and_says_what_is_left_out() {
        assert!(matches!(cut("short", 5), Cow::Borrowed("short")));
        for most in [30, 31, 32, 33] {
            let long = "é€𝄞".repeat(1000);
            let short = cut(&long, most);
            assert!(short.len() <= most, "{short}");
            let (kept, rest) = short.split_once("… [").unwrap();
            assert_eq!(rest, format!("{} more bytes]", long.len() - kept.len()));
            assert!(long.starts_with(kept));
        }
    }

    #[test]
    fn a_target_cannot_say_what_only_the_deployer_can_know() {
        let lost = Fault::Lost { reason: "r".repeat(1 << 20) };
        let unreachable = Fault::Unreachable { reason: "r".into() };
        for fault in [lost, unreachable, Fault::Killed { signal: "KILL".into() }] {
            let event = TargetEvent::Ended { outcome: Err(fault), state: None };
            let TargetEvent::Ended { outcome: Err(Fault::Failed { reason, status: None }), .. } = event.bounded()
            else {
                panic!("it is believed");
            };
            assert!(reason.contains("invalid answer") && reason.len() <= REASON, "{reason}");
        }
    }

    #[test]
    fn the_longest_difference_fits_into_a_line_of_the_protocol() {
        let diff = TargetEvent::Diff { file: "\x01".repeat(1 << 20), diff: "\x01".repeat(1 << 20) }.bounded();
        assert!(serde_json::to_string(&diff).unwrap().len() < PROTOCOL_LINE);
    }
}
