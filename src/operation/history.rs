//! The deployments before this moment, as journals and tags of the repository tell of them.

use std::collections::{HashMap, HashSet};

use crate::clock;
use crate::config::{Config, Options};
use crate::deploy;
use crate::deploy::{Kind, Plan};
use crate::fleet::Step;
use crate::hooks::GroupSize;
use crate::journal;
use crate::journal::{Past, PastJournal, PastTime, Unreadable};
use crate::repo::{Tagged, Tags};
use crate::report::causes;
use crate::targets::Target;
use crate::wire::{Origin, Revision};

use super::past_runs::{NOT_RECORDED, Wanted, tell_left_out, unknown_host};
use super::past_steps::StepTried;
use super::{Frontend, Refused, load_for_journals, repository, state_folder};

/// One deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployed {
    pub about: RunAbout,
    pub revision: Revision,
    /// How the revision was made; `None` of a commit.
    pub origin: Option<Origin>,
    /// `None`: only a tag tells of it.
    pub plan: Option<DeployedPlan>,
    /// Its run-once steps, as far as they began.
    pub steps: Vec<StepTried>,
    pub end: DeployedEnd,
    pub tag: Option<String>,
}

/// Which run it was, when it began, who ran it, where, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct RunAbout {
    /// `None`: it is not recorded.
    pub run: Option<String>,
    /// When it began: RFC 3339, in UTC.
    pub when: String,
    pub who: String,
    pub environment: Option<String>,
    pub message: String,
}

impl RunAbout {
    /// As a journal has it.
    pub(super) fn of(past: &Past) -> RunAbout {
        let plan = &past.opened.plan;
        RunAbout {
            run: Some(plan.run.to_string()),
            when: past.when(),
            who: plan.by.to_string(),
            environment: past.opened.environment.clone(),
            message: plan.message.clone(),
        }
    }
}

/// What a deployment was to do.
#[derive(Debug, Clone, PartialEq)]
pub struct DeployedPlan {
    pub kind: Kind,
    /// Its groups with their sizes.
    pub groups: Vec<GroupSize>,
}

/// How a deployment ended, as far as it has, and as far as that is known.
#[derive(Debug, Clone, PartialEq)]
pub struct DeployedEnd {
    /// In a word or two.
    pub result: &'static str,
    /// The exit status.
    pub status: Option<u8>,
    /// In a sentence.
    pub verdict: Option<String>,
    /// Who ended it, if that is not who began it.
    pub by: Option<String>,
    pub time: PastTime,
    pub causes: FailureCauses,
}

/// What a deployment failed for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FailureCauses {
    /// What failed on hosts.
    pub hosts: Vec<FailedHosts>,
    /// The gate that halted it, and why.
    pub gate: Option<String>,
}

/// Hosts that failed for one reason.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedHosts {
    pub hosts: Vec<Target>,
    pub step: Step,
    pub reason: String,
}

/// The last `most` deployments that are wanted, the newest first. Journals tell of them; of those whose journals are gone,
/// the tags that they left. Of an environment, only if `options` names it, and then of no other.
///
/// # Errors
/// The configuration, folders that cannot be read, and a host of which no journal tells.
pub fn history(
    options: &Options,
    most: Option<usize>,
    wanted: &Wanted,
    front: &dyn Frontend,
) -> Result<Vec<Deployed>, Refused> {
    let config = load_for_journals(options, front)?;
    let most = most.unwrap_or(usize::MAX);
    let (folder, mut unreadable) = (state_folder(&config), Unreadable::default());
    let mut journals = journal::past(&folder)?.into_iter();
    let mut tags = FreeTags::of(&config)?;
    let fits = |it: &Deployed| {
        let is_of_environment = config.environment.is_none() || it.about.environment == config.environment;
        // Of one that only a tag tells of, nobody knows the hosts.
        let has_host = wanted.host.is_none() || it.plan.is_some();
        let is_wanted =
            wanted.spans(clock::unix_seconds(&it.about.when)) && wanted.has_result(it.end.result, it.end.status);
        is_of_environment
            && has_host
            && is_wanted
            && (wanted.is_by(&it.about.who) || it.end.by.as_deref().is_some_and(|by| wanted.is_by(by)))
    };
    let mut knows_host = wanted.host.is_none();
    let mut all: Vec<Deployed> = Vec::new();
    while all.len() < most || !knows_host {
        let Some(journal) = journals.next() else { break };
        let orphans = tags.newer_than(&journal);
        if knows_host && orphans.is_empty() && !wanted.spans(journal.began()) {
            continue;
        }
        let past = match journal.read() {
            Ok(past) => past,
            Err(error) => {
                unreadable.add(error);
                None
            }
        };
        knows_host |= past.as_ref().is_some_and(|past| wanted.names_host_of(past));
        let is_own = |tag: &Tagged| past.as_ref().is_some_and(|past| left(tag, past));
        let (own, orphans): (Vec<_>, Vec<_>) = orphans.into_iter().partition(is_own);
        let own = tags.by_run.remove(journal.run()).or(own.into_iter().next());
        let told = match past {
            Some(past) if !wanted.includes_host_of(&past) => None,
            Some(past) => Some(of_journal(past, own)),
            None => own.map(of_tag),
        };
        all.extend(orphans.into_iter().map(of_tag).chain(told).filter(&fits));
    }
    tell_left_out(unreadable, &folder, front);
    if !knows_host {
        return Err(unknown_host(wanted.host.as_deref().unwrap_or_default(), &config));
    }
    if all.len() < most {
        all.extend(tags.rest().map(of_tag).filter(fits));
    }
    all.truncate(most);
    Ok(all)
}

/// The tags of deployments that were not told of yet.
struct FreeTags {
    /// Those of runs that have a journal, the last one of each.
    by_run: HashMap<String, Tagged>,
    /// The others, the newest last.
    others: Vec<Tagged>,
}

impl FreeTags {
    fn of(config: &Config) -> Result<FreeTags, Refused> {
        let repo = repository(config)?;
        let mut tags = Tags::new(&repo, &config.control_name).all()?;
        tags.sort_by(|a, b| moment(a).total_cmp(&moment(b)).then_with(|| a.name.cmp(&b.name)));
        let folder = state_folder(config);
        let has_journal: HashSet<String> =
            journal::past(&folder)?.iter().map(|journal| journal.run().to_owned()).collect();
        let (known, others): (Vec<_>, _) =
            tags.into_iter().partition(|tag| tag.run.as_ref().is_some_and(|(run, _)| has_journal.contains(run)));
        let by_run = known.into_iter().filter_map(|tag| Some((tag.run.clone()?.0, tag))).collect();
        Ok(FreeTags { by_run, others })
    }

    /// Takes those that were made after a run began, the newest first.
    fn newer_than(&mut self, journal: &PastJournal) -> Vec<Tagged> {
        let began = journal.began().unwrap_or_default();
        let is_newer = |tag: &Tagged| moment(tag) > began;
        let first = self.others.iter().rposition(|tag| !is_newer(tag)).map_or(0, |at| at + 1);
        self.others.drain(first..).rev().collect()
    }

    fn rest(self) -> impl Iterator<Item = Tagged> {
        self.others.into_iter().rev()
    }
}

/// When a tag was made, in seconds since 1970. Git's times are in whole seconds: it counts as made at the end of its
/// second, unless it names its run, whose id begins with the time.
fn moment(tag: &Tagged) -> f64 {
    let of_run = tag.run.as_ref().and_then(|(run, _)| clock::unix_seconds(&clock::rfc3339_of_run(run)?));
    of_run.or_else(|| Some(clock::unix_seconds(&tag.when)? + 1.0)).unwrap_or_default()
}

/// Whether a tag that names no run is one that this run has left.
fn left(tag: &Tagged, past: &Past) -> bool {
    let in_time = |ended: &str| clock::seconds_between(ended, &tag.when).is_some_and(|after| after <= 1.0);
    tag.run.is_none() && Some(&tag.revision) == past.opened.plan.commit() && past.ended().is_none_or(in_time)
}

fn of_journal(past: Past, tag: Option<Tagged>) -> Deployed {
    let Plan { kind, revision, message, groups, .. } = &past.opened.plan;
    // What is said anyway, as revision and result.
    let message = match kind {
        Kind::Rollback if *message == super::rollback::message(revision) => String::new(),
        _ => message.clone(),
    };
    let groups = groups.iter().map(|group| GroupSize { name: group.name.clone(), hosts: group.targets.len() });
    let failures = past.failures().into_iter().map(|(target, step, fault)| (step, fault.to_string(), target));
    let failed = causes(failures).into_iter().map(|cause| FailedHosts {
        hosts: cause.hosts,
        step: cause.key,
        reason: cause.text,
    });
    Deployed {
        about: RunAbout { message, ..RunAbout::of(&past) },
        revision: revision.clone(),
        origin: past.opened.plan.origin.as_deref().cloned(),
        plan: Some(DeployedPlan { kind: *kind, groups: groups.collect() }),
        steps: StepTried::all(&past.opened.plan, &past.once),
        end: DeployedEnd {
            result: result(&past),
            status: past.status(),
            time: PastTime { ended: past.ended().map(str::to_owned), seconds: past.seconds() },
            causes: FailureCauses { hosts: failed.collect(), gate: past.gate.as_ref().map(ToString::to_string) },
            by: past.end.as_ref().and_then(|end| end.by.as_ref()).map(ToString::to_string),
            verdict: past.end.map(|end| end.verdict),
        },
        tag: tag.map(|tag| tag.name),
    }
}

fn of_tag(tag: Tagged) -> Deployed {
    let (run, environment) = tag.run.unzip();
    Deployed {
        about: RunAbout { run, when: tag.when, who: tag.who, environment: environment.flatten(), message: tag.message },
        revision: tag.revision,
        origin: None,
        plan: None,
        steps: Vec::new(),
        end: DeployedEnd {
            result: NOT_RECORDED,
            status: None,
            verdict: None,
            by: None,
            time: PastTime::default(),
            causes: FailureCauses::default(),
        },
        tag: Some(tag.name),
    }
}

/// How a run ended, in a word or two.
fn result(past: &Past) -> &'static str {
    let verdict = past.end.as_ref().map_or("", |end| &end.verdict);
    match (past.status(), past.opened.plan.kind) {
        (None, _) if past.live => "under way",
        (None, _) => "unfinished",
        (Some(0 | 7), Kind::Deploy | Kind::ServiceRestart) => past.opened.plan.deed(),
        (Some(0 | 7), Kind::Rollback) => "rolled back to",
        (Some(0 | 7), Kind::DryRun) => "ok",
        (Some(130), _) => "interrupted",
        (Some(5), _) => "locked",
        (Some(_), _) if !past.touched() => "failed, nothing touched",
        (Some(1), _) => deploy::how_it_failed(verdict),
        (Some(3), _) => deploy::what_is_wrong(verdict),
        (Some(4), _) => "not finalized",
        (Some(_), _) => "failed",
    }
}
