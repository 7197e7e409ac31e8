//! The run-once steps of past runs: in a line, and as objects of JSON.

use serde::Serialize;

use crate::once::OnceEnd;
use crate::operation::StepTried;

/// `steps: migrate, purge (failed: exit status 1), undo of migrate`; `None`: there are none.
pub fn line(steps: &[StepTried]) -> Option<String> {
    let one = |step: &StepTried| {
        let undo = if step.undo { "undo of " } else { "" };
        let how = match &step.end {
            Some(OnceEnd::Done) => String::new(),
            Some(end) => format!(" ({end})"),
            None => " (its end is not on record)".to_owned(),
        };
        format!("{undo}{}{how}", step.name)
    };
    let steps: Vec<String> = steps.iter().map(one).collect();
    (!steps.is_empty()).then(|| format!("steps: {}", steps.join(", ")))
}

/// One step.
#[derive(Serialize)]
pub struct StepAnswer<'a> {
    step: &'a str,
    undo: bool,
    on: &'a str,
    #[serde(flatten)]
    end: Option<&'a OnceEnd>,
}

impl StepAnswer<'_> {
    fn of(tried: &StepTried) -> StepAnswer<'_> {
        let StepTried { name, undo, on, end, .. } = tried;
        StepAnswer { step: name, undo: *undo, on, end: end.as_ref() }
    }
}

/// The steps for programs.
pub fn json(steps: &[StepTried]) -> Vec<StepAnswer<'_>> {
    steps.iter().map(StepAnswer::of).collect()
}
