//! The hooks, listed or tried.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::config::Options;
use crate::hooks;
use crate::hooks::{Announcement, EventKind, Hook};
use crate::repo;
use crate::threads;

use super::{Frontend, Refused, load_telling};

/// What came of one sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    pub event: EventKind,
    /// Why it was not sent.
    pub failed: Option<String>,
}

/// A hook, and what came of the samples that it was sent; of none where it was only listed.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedHook {
    pub hook: Hook,
    pub tried: Vec<Tried>,
}

/// The hooks, or just those of these names. With `test` each is sent a marked sample of every event that it is told, and all
/// of them at the same time.
pub fn hooks(
    options: &Options,
    names: &[String],
    test: bool,
    front: &dyn Frontend,
) -> Result<Vec<ListedHook>, Refused> {
    let config = load_telling(options, front)?;
    let hooks = super::chosen("hook", config.hooks()?, |hook| &hook.name, names, front)?;
    if !test {
        return Ok(hooks.into_iter().map(|hook| ListedHook { hook, tried: Vec::new() }).collect());
    }
    let operator = repo::operator();
    let (repository, environment) = (&config.settings.git_repo, config.environment.as_deref());
    let by = (operator.user.as_str(), operator.deploy_host.as_str());
    let samples_of = |hook: &Hook| {
        hook.scope
            .at
            .iter()
            .map(|event| {
                let mut sample = Announcement::sample(*event, repository, environment, by);
                if sample.group.is_some() {
                    sample.group = hook.scope.group.clone().or(sample.group);
                }
                sample
            })
            .collect::<Vec<_>>()
    };
    let try_all = |hook: &Hook, samples: Vec<Announcement>| {
        let tried = samples.into_iter().map(|sample| {
            let failed = hooks::send(hook, &sample).err();
            Tried { event: sample.event, failed }
        });
        tried.collect::<Vec<_>>()
    };
    let hooks: Vec<_> = hooks.iter().map(|hook| (hook, samples_of(hook))).collect();
    Ok(threads::for_each(&hooks, |(hook, samples)| {
        let lost = |_| {
            let failed = Some("it ended without a result".to_owned());
            hook.scope.at.iter().map(|event| Tried { event: *event, failed: failed.clone() }).collect()
        };
        let tried = catch_unwind(AssertUnwindSafe(|| try_all(hook, samples.clone()))).unwrap_or_else(lost);
        ListedHook { hook: (*hook).clone(), tried }
    }))
}
