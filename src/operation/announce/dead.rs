//! What a dead deployer left unsaid: announcements that were under way, and its end.

use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, Options};
use crate::exit_code::ExitCode;
use crate::hooks::{About, Announcement, EventKind, Ledger, Outbox, Queued};
use crate::journal;
use crate::journal::{Choice, Fate};
use crate::operation::past_steps::waits_for;
use crate::operation::{Frontend, state_folder};

use super::told;

/// Says what deployers of this environment left unsaid, but for one run that goes on. Call it with the repository's lock
/// held. Gives the ledgers that are complete once all of it is sent.
pub fn catch_up(config: &Config, outbox: &mut Outbox, but: Option<&str>) -> Vec<Arc<Ledger>> {
    let folder = state_folder(config);
    let mut closing = Vec::new();
    for run in Ledger::runs(&folder).into_iter().filter(|run| but != Some(run)) {
        let before = Ledger::read(&folder, &run);
        let about = before.queued.first().map(|first| first.announcement.about.clone()).unwrap_or_default();
        if before.closed || (!before.queued.is_empty() && about.environment != config.environment) {
            continue;
        }
        let fate = journal::fate(&folder, &run);
        if fate == Fate::Live {
            continue;
        }
        // What cannot be written cannot be kept from being said twice.
        let Ok((ledger, before)) = Ledger::open(&folder, &run, &[]) else { continue };
        let ledger = Arc::new(ledger);
        for left in before.left() {
            outbox.send(&left, Some(&ledger));
        }
        let is_over = fate != Fate::Unfinished;
        let missing = match fate {
            Fate::Live => None,
            Fate::Unfinished if before.is_death_announced() => None,
            Fate::Unfinished => {
                let whole = journal::whole_run(&folder, Choice::Run(&run)).ok().flatten();
                let reason =
                    whole.and_then(|it| waits_for(&it.opened.plan, it.records.iter().map(|(_, record)| record)));
                Some(Announcement { reason, ..Announcement::new(EventKind::Unfinished, &about) })
            }
            _ if before.has("finished") || before.queued.is_empty() => None,
            Fate::Ended { verdict, status } => {
                let whole = journal::whole_run(&folder, Choice::Run(&run)).ok().flatten();
                let deed = whole.map_or("deployed", |it| it.opened.plan.deed());
                Some(ended(&about, deed, verdict, status))
            }
            Fate::Unknown => Some(ended(&about, "", journal::UNTOUCHED.to_owned(), ExitCode::Interrupted.status())),
        };
        if let Some(mut announcement) = missing {
            announcement.id = format!("{run}-{}", before.queued.len() + 1);
            let is_end = announcement.event == EventKind::Finished;
            let key = if is_end { "finished".to_owned() } else { announcement.id.clone() };
            let queued = Queued { key, to: outbox.subscribers(&announcement, &before.without), announcement };
            ledger.queue(&queued);
            outbox.send(&queued, Some(&ledger));
        }
        if is_over {
            closing.push(ledger);
        }
    }
    closing
}

/// The end of a run, as its journal has it. `deed`: what it has done if it succeeded.
fn ended(about: &About, deed: &str, verdict: String, status: u8) -> Announcement {
    let result = match status {
        0 => deed,
        3 => "mixed",
        4 => "not_finalized",
        7 => "tolerated",
        130 => "interrupted",
        _ => "failed",
    };
    Announcement {
        result: Some(result.to_owned()),
        status: Some(status),
        verdict: Some(verdict),
        ..Announcement::new(EventKind::Finished, about)
    }
}

/// The same for a command that goes no further: it waits for what it sends, as long as a hook's time limit at most.
pub fn report_dead(options: &Options, config: &Config, front: &dyn Frontend) {
    // The run may be of another environment than the one that was asked for.
    let folder = state_folder(config);
    let environments = Ledger::runs(&folder).into_iter().filter_map(|run| {
        let before = Ledger::read(&folder, &run);
        (!before.closed).then(|| before.queued.first().and_then(|first| first.announcement.about.environment.clone()))
    });
    let mut environments: Vec<Option<String>> = environments.collect();
    environments.sort();
    environments.dedup();
    for environment in environments {
        let mut of = options.clone();
        of.invocation.environment = environment;
        let hooks = Config::load(&of).and_then(|config| Ok((config.hooks()?.0, config)));
        match hooks {
            Err(error) => front.tell(&format!("warning: nothing is announced: {error:#}")),
            Ok((hooks, config)) => {
                let mut outbox = Outbox::new(hooks);
                let closing = catch_up(&config, &mut outbox, None);
                let mut unsent = outbox.finish(Duration::MAX);
                unsent.extend(outbox.give_up());
                closing.iter().for_each(|ledger| ledger.close());
                if let Some(line) = told(&unsent) {
                    front.tell(&format!("warning: {line}"));
                }
            }
        }
    }
}
