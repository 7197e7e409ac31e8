//! The deployments before this moment, as journals and tags of the repository tell of them.

use crate::config::Options;
use crate::deploy;
use crate::deploy::{Kind, Plan};
use crate::journal;
use crate::journal::Past;
use crate::repo::{Repo, Tagged, Tags};
use crate::wire::Revision;

use super::{Frontend, Refused, load, state_folder};

/// One deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployed {
    /// RFC 3339, in UTC.
    pub when: String,
    pub who: String,
    /// `None`: only a tag tells of it.
    pub kind: Option<Kind>,
    pub revision: Revision,
    /// How it ended, in a word or two.
    pub result: String,
    /// The exit status that it ended with, where it did.
    pub status: Option<u8>,
    /// The sentence that it ended with, where it did.
    pub verdict: Option<String>,
    pub message: String,
    pub environment: Option<String>,
    pub run: Option<String>,
    pub tag: Option<String>,
}

/// The last `most` deployments, the newest first. Journals tell of the newest; of those whose journals are gone, the
/// tags that they left do. Of an environment, only if `options` names it, and then of no other.
pub fn history(options: &Options, most: usize, front: &dyn Frontend) -> Result<Vec<Deployed>, Refused> {
    let config = load(options)?;
    let (past, warnings) = journal::past(&state_folder(&config))?;
    for warning in warnings {
        front.tell(&format!("warning: {warning}"));
    }
    let oldest = past.first().map(|past| past.when());
    let repo = Repo::open(&config.top)?;
    let tags = Tags::new(&repo, &config.control_name).all()?;
    // A tag is made after its run's journal: one from before the first journal is of a run whose journal is gone.
    let tags = tags.into_iter().filter(|tag| oldest.as_ref().is_none_or(|oldest| tag.when < *oldest));
    let wanted = |deployed: &Deployed| config.environment.is_none() || deployed.environment == config.environment;
    let mut all: Vec<Deployed> = past.into_iter().map(of_journal).chain(tags.map(of_tag)).filter(wanted).collect();
    all.sort_by(|a, b| (&b.when, &b.tag).cmp(&(&a.when, &a.tag)));
    all.truncate(most);
    Ok(all)
}

fn of_journal(past: Past) -> Deployed {
    let Plan { kind, revision, message, .. } = &past.opened.plan;
    // What is said anyway, as revision and result.
    let message = match kind {
        Kind::Rollback if *message == super::rollback::message(revision) => String::new(),
        _ => message.clone(),
    };
    Deployed {
        when: past.when(),
        who: past.opened.plan.by.to_string(),
        kind: Some(past.opened.plan.kind),
        result: result(&past).to_owned(),
        status: past.status,
        verdict: past.verdict,
        environment: past.opened.environment,
        run: Some(past.opened.plan.run.to_string()),
        tag: None,
        revision: past.opened.plan.revision,
        message,
    }
}

/// A tag is made just before the first host is touched, and so does not tell how the deployment ended.
fn of_tag(tag: Tagged) -> Deployed {
    Deployed {
        when: tag.when,
        who: tag.who,
        kind: None,
        revision: tag.revision,
        result: "not recorded".to_owned(),
        status: None,
        verdict: None,
        message: tag.message,
        environment: None,
        run: None,
        tag: Some(tag.name),
    }
}

fn result(past: &Past) -> &'static str {
    match (past.status, past.opened.plan.kind) {
        (None, _) if past.live => "under way",
        (None, _) => "unfinished",
        (Some(0 | 7), Kind::Deploy) => "deployed",
        (Some(0 | 7), Kind::Rollback) => "rolled back to",
        (Some(0 | 7), Kind::ServiceRestart) => "restarted",
        (Some(1), Kind::Deploy | Kind::Rollback) => "failed, rolled back",
        (Some(3), _) => deploy::what_is_wrong(past.verdict.as_deref().unwrap_or_default()),
        (Some(4), _) => "not finalized",
        (Some(130), _) => "interrupted",
        (Some(0 | 7), Kind::DryRun) => "ok",
        (Some(_), _) => "failed",
    }
}
