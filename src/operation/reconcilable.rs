//! What keeps a reconcile from beginning: it is not on record what is wanted, or this is not the place to bring it from.

use crate::config::Config;
use crate::journal;
use crate::journal::PastRun;
use crate::repo::Repo;
use crate::targets::{Target, fold};
use crate::text::quoted;
use crate::wire::Revision;

use super::repository::is_here;
use super::standing::{Standing, most};
use super::{Refused, View, memory, past_deployments, state_folder};

/// Revisions, and the targets that are to be brought there.
pub type WantedOn = Vec<(Revision, Vec<Target>)>;

/// Fails where it was lost what the targets should run, or was never settled. It is not taken from the journals: they do
/// not tell which targets missed something.
pub fn refuse_without_memory(config: &Config) -> Result<(), Refused> {
    if !memory(config)?.is_empty() {
        return Ok(());
    }
    let history = past_deployments(config)?;
    let Some(last) = history.runs.iter().rfind(|past| past.settles()) else {
        return match history.runs.iter().any(PastRun::stayed) {
            false => Ok(()),
            true => Err(Refused::new(format!(
                "no deployment from here has succeeded yet, so it is not on record what the targets should run: `{}` \
                 shows what they run, and `{}` deploys to all of them",
                config.invocation.command("status"),
                config.invocation.command("deploy")
            ))),
        };
    };
    let (short, state) = (last.revision.short(), state_folder(config).join("fleet.json"));
    Err(Refused::new(format!(
        "it is not on record any more what the targets should run, since {} is missing or was damaged: `{}` brings {short}, \
         which was deployed last from here, to all of them",
        state.display(),
        config.invocation.command(&format!("deploy -r {short}"))
    )))
}

/// Fails where what is wanted of hosts was deployed to them in another environment: the configuration of this one is not
/// theirs.
pub fn refuse_of_another_environment(
    config: &Config,
    wanted: &WantedOn,
    limit_hosts: Option<&str>,
) -> Result<(), Refused> {
    let (groups, _) = config.groups(None)?;
    let everyone: Vec<&Target> = groups.iter().flat_map(|group| &group.targets).collect();
    for (revision, targets) in wanted {
        let deployed =
            journal::environments_of(&state_folder(config), (&config.settings.git_repo, revision), targets, &everyone);
        let Some((other, on)) = deployed.into_iter().find(|(environment, _)| *environment != config.environment) else {
            continue;
        };
        let there = other.as_ref().map_or("without an environment".to_owned(), |name| format!("in environment {name}"));
        let reconcile = config.invocation.in_environment(other).limited_to(limit_hosts).on_these_hosts("reconcile");
        let (on, short) = (fold(&on), revision.short());
        return Err(Refused::new(format!(
            "{on}: {short}, which is wanted there, was deployed {there}, with the configuration files of that: `{reconcile}` \
             brings it there; nothing was touched"
        )));
    }
    Ok(())
}

/// The revision that is finalized on all of several hosts, though another one is wanted on each; or on most of them, if
/// none of the journals here `is_known` to name it: hosts may have been put back by hand to what was deployed from here.
pub fn deployed_elsewhere(views: &[View], is_known: impl Fn(&Revision) -> bool) -> Option<(Revision, &'static str)> {
    fn finalized(view: &View) -> Option<&Revision> {
        let state = view.known.state.as_ref()?;
        // One that is drained, or whose links lead astray, has drifted with the right revision.
        let other = view.wanted.as_ref().is_some_and(|wanted| state.done.as_ref() != Some(wanted));
        let other = other && view.standing == Standing::Drifted && state.current == state.done;
        state.done.as_ref().filter(|_| other)
    }
    let read: Vec<&View> = views.iter().filter(|view| view.was_read()).collect();
    let all_answered = read.len() == views.len();
    let revision = most(read.iter().copied().filter_map(finalized))?;
    let count = read.iter().filter(|view| finalized(view) == Some(&revision)).count();
    if read.len() < 2 {
        return None;
    }
    if count == read.len() {
        return Some((revision, if all_answered { "all hosts" } else { "all hosts that answered" }));
    }
    let most = if all_answered { "most hosts" } else { "most hosts that answered" };
    (count * 2 > read.len() && !is_known(&revision)).then_some((revision, most))
}

/// Which of these revisions this repository has not, and what helps.
pub fn gone(config: &Config, repo: &Repo, wanted: &WantedOn) -> Result<Option<String>, Refused> {
    let mut gone: Vec<&(Revision, Vec<Target>)> = Vec::new();
    for one in wanted {
        if !is_here(repo, &one.0)? {
            gone.push(one);
        }
    }
    if gone.is_empty() {
        return Ok(None);
    }
    let one = |(revision, on): &&(Revision, Vec<Target>)| {
        format!("{}: {}, which is wanted there, is not in this repository any more", fold(on), revision.short())
    };
    let names: Vec<String> = gone.iter().flat_map(|(_, on)| on).map(ToString::to_string).collect();
    let others = match gone.len() == wanted.len() {
        true => String::new(),
        false => {
            let without: Vec<String> = names.iter().map(|name| format!("!{name}")).collect();
            let command = config.invocation.command(&format!("reconcile -l {}", quoted(&without.join(","))));
            format!("; `{command}` brings the others to theirs")
        }
    };
    let deploy = config.invocation.command(&format!("deploy -r REVISION -l {}", quoted(&names.join(","))));
    let all = gone.iter().map(one).collect::<Vec<_>>().join("; ");
    Ok(Some(format!("{all}: fetch it, or deploy another revision with `{deploy}`{others}; nothing was touched")))
}
