//! R16: what a verdict says of run-once steps.

use crate::exit_code::ExitCode;
use crate::fleet::HostId;
use crate::once::OnceEnd;

use super::plan::Plan;
use super::ran::{Ran, Steps};
use super::verdict::{End, Verdict};

/// What is left of a step of a run that went back.
struct Left {
    text: Option<String>,
    /// Whether somebody has to look after it.
    is_wrong: bool,
}

impl Verdict {
    /// The same, with the steps that are not as the hosts are: done and not undone, or nobody knows.
    pub(super) fn with_steps(self, end: End, steps: &Steps, plan: &Plan) -> Verdict {
        if let End::Undecided { goes_back } = end {
            return self.undecided(steps, plan, goes_back);
        }
        if end.is_untouched() {
            return self;
        }
        let left = |ran: &Ran| match (plan.steps[ran.index].undoes.is_some(), end == End::Done) {
            (true, is_done) => self.not_undone(ran, plan, is_done),
            (false, true) => None,
            (false, false) => self.left(ran, plan),
        };
        let left: Vec<Left> = steps.0.iter().filter_map(left).collect();
        let mut text = self.text.clone();
        if steps.0.iter().any(|ran| !matches!(ran.end, OnceEnd::NotBegun { .. })) {
            // No host was touched, but a step ran.
            text = text.replace("; nothing was touched", "; no host was changed");
        }
        if text != self.text {
            let undone = steps.0.iter().filter(|ran| ran.end == OnceEnd::Done && ran.undone == Some(OnceEnd::Done));
            undone.for_each(|ran| text += &format!("; step {} was undone", plan.steps[ran.index].name));
        }
        left.iter().filter_map(|left| left.text.as_ref()).for_each(|more| text += &format!("; {more}"));
        let code = match self.code {
            ExitCode::Success | ExitCode::Tolerated | ExitCode::NotFinalized | ExitCode::Failed
                if left.iter().any(|left| left.is_wrong) =>
            {
                ExitCode::Mixed
            }
            code => code,
        };
        Verdict { text, code, ..self }
    }

    /// Names the step that nobody says anything of, and the flags that do.
    fn undecided(self, steps: &Steps, plan: &Plan, goes_back: bool) -> Verdict {
        let unknown = |end: &OnceEnd| match end {
            OnceEnd::Unknown { reason } => Some(reason.clone()),
            _ => None,
        };
        let open = steps.0.iter().rev().find_map(|ran| {
            let undone = ran.undone.as_ref().and_then(unknown).map(|reason| (ran, true, reason));
            undone.or_else(|| Some((ran, false, unknown(&ran.end)?)))
        });
        let Some((ran, undo, reason)) = open else { return self };
        let step = &plan.steps[ran.index];
        let what = format!("{} on {}", step.title(undo), self.place(ran.host));
        let text = format!("stopped: it is not known whether {what} ran ({reason}); the run stays unfinished");
        let key = step.key(undo);
        let typed = |command: &str, is: &str| plan.invocation.command(&format!("{command} --step {key}={is}"));
        let way_out = if goes_back {
            let [done, not_done] = step.meanings_on_the_way_back(undo);
            format!(
                "the run is on its way back: `{}` says that it ran, and {done}; `{}` says that it did not, and {not_done}; \
                 `hoist resume` does the same",
                typed("rollback", "done"),
                typed("rollback", "not-done"),
            )
        } else {
            format!(
                "if it ran, continue with `{}`; if it did not, `{}` runs it; `hoist rollback` takes the same flag",
                typed("resume", "done"),
                typed("resume", "not-done"),
            )
        };
        let ways_out = vec![way_out];
        Verdict { text, ways_out, ..self }
    }

    fn place(&self, host: Option<HostId>) -> String {
        let row = host.and_then(|host| self.rows.get(host.index()));
        row.map_or_else(|| "the deploy host".to_owned(), |row| row.host.to_string())
    }

    /// What is left of a step of an earlier run, which this one was to undo. `went_back`: the hosts did.
    fn not_undone(&self, ran: &Ran, plan: &Plan, went_back: bool) -> Option<Left> {
        let what = format!("step {} on {}", plan.steps[ran.index].name, self.place(ran.host));
        let (text, is_wrong) = match &ran.end {
            OnceEnd::Done if went_back => return None,
            OnceEnd::Done => (format!("{what} stays undone"), false),
            OnceEnd::NotBegun { .. } if !went_back => return None,
            OnceEnd::Unknown { .. } => (format!("it is not known whether {what} was undone"), true),
            end => (format!("{what} was not undone ({end})"), went_back),
        };
        Some(Left { text: Some(text), is_wrong })
    }

    /// `None`: nothing is left of it.
    fn left(&self, ran: &Ran, plan: &Plan) -> Option<Left> {
        let step = &plan.steps[ran.index];
        let what = format!("{} on {}", step.title(false), self.place(ran.host));
        let (text, is_wrong) = match (&ran.end, &ran.undone) {
            (OnceEnd::NotBegun { .. }, _) | (OnceEnd::Done, Some(OnceEnd::Done)) => return None,
            // What halted the run says so.
            (OnceEnd::Failed { .. }, _) => return Some(Left { text: None, is_wrong: false }),
            (OnceEnd::Unknown { .. }, _) => (format!("it is not known whether {what} ran"), true),
            (OnceEnd::Done, Some(OnceEnd::Unknown { .. })) => {
                (format!("it is not known whether {what} was undone"), true)
            }
            (OnceEnd::Done, Some(end)) => (format!("{what} was not undone ({end})"), true),
            (OnceEnd::Done, None) if step.bars_rollback() => (format!("{what} is done, and irreversible"), true),
            (OnceEnd::Done, None) if step.undo.is_some() => (format!("{what} was not undone"), true),
            (OnceEnd::Done, None) => (format!("{what} stays done: it has no undo"), false),
        };
        Some(Left { text: Some(text), is_wrong })
    }
}
