//! The calls on the fleet that a deployment makes.

use std::time::Duration;

use crate::fleet::{Call, Step};

use super::plan::{GroupId, Plan, StagePlan};

/// Time limit of one host for the probe, for its lock, and for releasing it.
pub const CONTACT_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) fn contact_call(plan: &Plan, step: Step) -> Call {
    Call::contact(step, plan.probe_batch, CONTACT_TIMEOUT)
}

pub(super) fn stage_call(plan: &Plan, group: GroupId, stage: &StagePlan, force: bool) -> Call {
    Call {
        step: Step::Run(stage.stage),
        group: plan.group(group).name.clone(),
        batch: stage.batch,
        room: None,
        timeout: stage.timeout,
        force,
        recover: false,
    }
}
