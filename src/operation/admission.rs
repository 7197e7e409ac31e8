//! Whether a deployment may begin now: the times that the configuration allows.

use crate::calendar::{Barred, Schedule};
use crate::clock;
use crate::config::{Config, Note};
use crate::deploy::{Kind, Plan};
use crate::wire::{Level, Stage};

use super::Refused;

/// Refuses a run that may not begin now. Gives remarks on what it may begin in spite of, because of `--break-glass`.
///
/// Only what makes another revision live is refused: the way back is always open, and so is what a deployment does
/// ahead of it.
pub fn check(config: &Config, plan: &Plan) -> Result<Vec<Note>, Refused> {
    let Some(barred) = barred(config, plan) else { return Ok(Vec::new()) };
    let why = describe(config, &barred);
    match &plan.break_glass {
        Some(_) => Ok(vec![(Level::Warning, format!("deployed all the same (--break-glass): {why}"))]),
        None => Err(Refused::new(format!(
            "{why}; nothing was touched; in an emergency, give the reason with --break-glass"
        ))),
    }
}

/// What a deployment would be told if it began now; for `hoist plan`.
pub fn preview(config: &Config, plan: &Plan) -> Vec<Note> {
    let refused = |barred| format!("a deployment would be refused now: {}", describe(config, &barred));
    barred(config, plan).map(|barred| (Level::Info, refused(barred))).into_iter().collect()
}

fn barred(config: &Config, plan: &Plan) -> Option<Barred> {
    let promotes = plan.kind == Kind::Deploy && plan.stages.iter().any(|stage| stage.stage == Stage::Promote);
    let (windows, freeze) = (config.settings.deploy_windows.as_ref(), config.settings.freeze.as_ref());
    promotes.then(|| Schedule { windows, freeze }.barred()).flatten()
}

/// `no deployment window is open (hoist/hoist.cfg:4 [global]); the next one opens on 2026-11-30 09:00 CET`.
fn describe(config: &Config, barred: &Barred) -> String {
    let why = match &barred.freeze {
        Some(freeze) => format!("deployments are frozen: {freeze} (freeze, {})", config.place_of("freeze")),
        None => format!("no deployment window is open (deploy_windows, {})", config.place_of("deploy_windows")),
    };
    let then = match &barred.until {
        Some(until) => format!("deployments are allowed again on {}", clock::local_with_zone(until)),
        None => "deployments are not allowed in the next nine years".to_owned(),
    };
    format!("{why}; {then}")
}
