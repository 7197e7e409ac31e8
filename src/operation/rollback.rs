//! The end of an unfinished deployment, or the way back from a finished one.

use crate::clock;
use crate::config::{Config, Options};
use crate::deploy;
use crate::deploy::{Choice, Deployed, HostChoice, Kind};
use crate::exit_code::ExitCode;
use crate::invocation::Invocation;
use crate::journal;
use crate::journal::{AtTheEnd, History, Unfinished};
use crate::repo::Repo;
use crate::targets::{Group, Target};
use crate::text::some;
use crate::wire::{Holder, Level, Revision};

use super::elsewhere::count_elsewhere;
use super::locking::lock;
use super::names::misplaced;
use super::past_steps::{StepTried, Undoing};
use super::recorded::{
    begin, look_for_unfinished, refuse_another_environment, refuse_left_behind, refuse_live, refuse_unfinished,
};
use super::repository::is_here;
use super::way_back::{WayBack, Why};
use super::{
    Frontend, Refused, View, announce, interlocks, limit, load, load_telling, past_deployments, previous, reconcile,
    repository, resume, shrinkage, ssh, state_folder, status,
};

/// Where to go back to, and where.
#[derive(Debug, Clone, Default)]
pub struct Back {
    /// The name of a revision; `None`: an unfinished deployment is undone, or else the deployed revision.
    pub to: Option<String>,
    /// A pattern of hosts; `None`: all of them.
    pub limit_hosts: Option<String>,
}

/// What a rollback would do.
#[derive(Debug)]
pub enum Preview {
    /// Undo a deployment that was not finished.
    Unfinished(Box<Unfinished>, Invocation),
    /// Go back to an earlier revision, with what that means for run-once steps.
    Way(Box<WayBack>, Undoing),
}

/// Rolls back, after a question: to the revision that is named; without one, what an unfinished deployment did, or else
/// to the revision before the deployed one.
pub fn rollback(options: &Options, back: &Back, front: &dyn Frontend) -> Result<ExitCode, Refused> {
    front.can_ask()?;
    let mut config = load(options)?;
    config.invocation.limit.clone_from(&back.limit_hosts);
    interlocks::check(&config, front)?;
    let mut holder = deploy::holder("roll back".into())?;
    let _lock = lock(&config, &mut holder, front)?;
    let abandoned = journal::abandoned(&state_folder(&config))?;
    if back.to.is_some() || back.limit_hosts.is_some() {
        refuse_unfinished(options, &config, front)?;
    } else if let Some(unfinished) = journal::unfinished(&state_folder(&config), &config.invocation)? {
        refuse_live(&unfinished)?;
        refuse_another_environment(&config, &unfinished)?;
        unfinished_lines(&unfinished).iter().for_each(|line| front.remark(line));
        front.insist("Undo it on every host that it touched?")?;
        return resume::end(options, AtTheEnd::RollBack, holder, unfinished, front);
    }
    refuse_left_behind(&config)?;
    if let Some(step) = front.steps_answered().first() {
        return Err(Refused::Usage(format!(
            "--step {step}: no deployment is unfinished, so nobody is asked about a step: leave it out; nothing was touched"
        )));
    }
    // Who means to undo the run that just died must not be taken back a revision further.
    if let (Some(run), None) = (abandoned, &back.to) {
        announce::report_dead(options, &config, front);
        journal::close_untouched(&state_folder(&config))?;
        return Err(Refused::new(format!(
            "run {run} ended before it touched anything, so there is nothing to undo: run `{}` again to return to the \
             previous revision",
            config.invocation.on_these_hosts("rollback")
        )));
    }
    shrinkage::keep(&mut config, front)?;
    let repo = repository(&config)?;
    let Look { way, views, history, undoing } = look(&config, &repo, back, front)?;
    if way.is_done() {
        let (short, all) = (way.to.revision.short(), crate::text::hosts(way.size));
        front.nothing_to_do(&format!("nothing to do: {short} is live and finalized on {all}"));
        return Ok(ExitCode::Success);
    }
    way.lines().iter().chain(&undoing.lines()).for_each(|line| front.remark(line));
    if matches!(way.why, Why::Further { called_for: true, .. }) && front.is_unattended() {
        let further = config.invocation.on_these_hosts(&format!("rollback {}", way.to.revision.short()));
        return Err(Refused::new(format!(
            "already rolled back, and nothing was touched; `{further}` goes further back"
        )));
    }
    undoing.insist(front)?;
    front.insist(&way.question())?;
    let revision = way.to.revision.clone();
    if way.is_deployed() {
        let (others, astray): (Vec<View>, Vec<View>) =
            views.into_iter().partition(|view| way.there.contains(&view.target));
        let astray = astray.into_iter().map(|view| View { wanted: Some(revision.clone()), ..view }).collect();
        return reconcile::bring(&config, &repo, astray, others, undoing, options, front);
    }
    let holder = Holder { message: message(&revision), ..holder };
    let (rev, limit_hosts) = (Some(revision.to_string()), back.limit_hosts.clone());
    let hosts = match way.apart.is_empty() {
        true => HostChoice::matching(limit_hosts),
        false => HostChoice::Only(views.iter().map(|view| &view.target).filter(|it| way.is_for(it)).cloned().collect()),
    };
    let choice = Choice { rev, hosts, kind: Kind::Rollback, ..Choice::default() };
    let mut prepared = deploy::prepare(&config, &repo, &choice, &Deployed::default(), &holder)?;
    undoing.plan_into(&mut prepared);
    let warnings = history.warnings.iter().map(|warning| (Level::Warning, warning.clone()));
    prepared.notes.extend(warnings);
    let mut stayed = history.runs.iter().filter(|past| past.stayed());
    let restored = history.deployment_of(&revision).or_else(|| stayed.rfind(|past| past.revision == revision));
    let noted = restored.map(|then| deploy::changed(&then.control_files, &prepared.control_files));
    if let Some(changed) = noted.filter(|changed| !changed.is_empty()) {
        let (short, changed) = (revision.short(), some(&changed, resume::SHOWN));
        let note = format!(
            "control files have changed since {short} was deployed: {changed}; {short} is judged by the checks that it was \
             deployed with; groups and limits are the current ones"
        );
        prepared.notes.push((Level::Info, note));
    }
    prepared.requests.go_back(history.last_asked(), restored.and_then(|past| past.asked.as_deref()));
    let ssh = ssh::prepare(&config, prepared.plan.targets().map(|(_, target)| target))?;
    count_elsewhere(&config, &mut prepared, &views, front)?;
    begin(&config, &repo, &prepared, ssh, options, front)
}

/// Why a way back was gone, where nobody says more.
pub(super) fn message(to: &Revision) -> String {
    format!("roll back to {}", to.short())
}

/// What [`rollback`] would do. It takes no lock and changes nothing on any target.
pub fn rollback_preview(options: &Options, back: &Back, front: &dyn Frontend) -> Result<Preview, Refused> {
    let mut config = load_telling(options, front)?;
    config.invocation.limit.clone_from(&back.limit_hosts);
    let (unfinished, warnings) = journal::open_run(&state_folder(&config));
    warnings.iter().for_each(|warning| front.tell(&format!("warning: {warning}")));
    if let Some(unfinished) = unfinished {
        refuse_live(&unfinished)?;
        if back.to.is_none() && back.limit_hosts.is_none() {
            refuse_another_environment(&config, &unfinished)?;
            let invocation = unfinished.opened.invocation(&config.invocation);
            return Ok(Preview::Unfinished(Box::new(unfinished), invocation));
        }
        look_for_unfinished(&config)?;
    }
    refuse_left_behind(&config)?;
    shrinkage::keep(&mut config, front)?;
    let Look { way, undoing, .. } = look(&config, &repository(&config)?, back, front)?;
    Ok(Preview::Way(Box::new(way), undoing))
}

impl Preview {
    /// For people, a line each.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Preview::Unfinished(unfinished, invocation) => {
                let mut lines = unfinished_lines(unfinished);
                lines.extend(Undoing::of_unfinished(unfinished).preview());
                lines.extend(StepTried::of_unfinished(unfinished).iter().filter_map(|step| step.to_be_told(true)));
                lines.push(format!("`{}` undoes it on every host that it touched", invocation.command("rollback")));
                lines
            }
            Preview::Way(way, _) if way.is_done() => {
                let short = way.to.revision.short();
                vec![format!("nothing to do: {short} is live and finalized on {}", crate::text::hosts(way.size))]
            }
            Preview::Way(way, steps) => way.lines().into_iter().chain(steps.preview()).collect(),
        }
    }

    /// What it means for run-once steps.
    pub fn steps(&self) -> Undoing {
        match self {
            Preview::Unfinished(unfinished, _) => Undoing::of_unfinished(unfinished),
            Preview::Way(way, _) if way.is_done() => Undoing::default(),
            Preview::Way(_, steps) => steps.clone(),
        }
    }

    /// Whether every host can be taken there.
    pub fn is_open(&self) -> bool {
        match self {
            Preview::Unfinished(..) => true,
            Preview::Way(way, _) => way.is_open(),
        }
    }
}

fn unfinished_lines(unfinished: &Unfinished) -> Vec<String> {
    let began = clock::rfc3339_of_run(unfinished.opened.plan.run.as_str()).unwrap_or_default();
    vec![format!("{unfinished} {} is not finished", clock::ago(&began))]
}

/// What was found before anything is done.
struct Look {
    way: WayBack,
    views: Vec<View>,
    history: History,
    undoing: Undoing,
}

/// What is said of a word that is no revision, and names something else.
fn misnamed(config: &Config, word: &str) -> Option<Refused> {
    let (what, flag) = misplaced(config, word)?;
    let invocation = match flag {
        "-e" => &Invocation { environment: None, ..config.invocation.clone() },
        _ => &config.invocation,
    };
    let back = invocation.command(&format!("rollback {flag} {word}"));
    Some(Refused::Usage(format!(
        "{word:?} is the name of {what}, but this argument is the revision: to go back there, \
                                 run `{back}`"
    )))
}

/// The configuration with the folder that was deployed to: the current one may name another, in which the targets have
/// nothing yet.
pub(super) fn where_undone(config: &Config, history: &History) -> Config {
    let mut config = config.clone();
    if let Some(asked) = history.last_asked() {
        config.settings.git_deploy_dir = asked.deploy_dir().to_owned();
    }
    config
}

/// Asks the targets what they run, and finds the way back.
fn look(config: &Config, repo: &Repo, back: &Back, front: &dyn Frontend) -> Result<Look, Refused> {
    let named = back.to.as_deref().map(|name| previous::named(config, repo, name));
    // A mistake is told before anybody is asked, unless targets may know better.
    let unknown_here = matches!(&named, Some(Err(_))) && back.to.as_deref().is_some_and(previous::is_prefix);
    let named = match (named, &back.to) {
        (Some(Err(refused)), Some(word)) if !unknown_here => return Err(misnamed(config, word).unwrap_or(refused)),
        (named, _) => named.and_then(Result::ok),
    };
    let (groups, _) = config.groups(limit(back.limit_hosts.as_deref())?.as_ref())?;
    let history = past_deployments(config)?;
    let views = status::ask(&where_undone(config, &history), groups.clone(), status::Asking::default(), front)?;
    let found = match (named, &back.to) {
        (Some(revision), _) => {
            Ok((previous::as_kept(repo, revision, back.to.as_deref(), &views), Why::Named, Vec::new()))
        }
        (None, Some(prefix)) => {
            previous::kept_by(config, &views, prefix).map(|revision| (revision, Why::Named, Vec::new()))
        }
        (None, None) => previous::find(config, repo, &history, &views),
    };
    // A journal that was passed over may be why.
    let found = found.map_err(|refused| refused.with(&history.warnings))?;
    if config.settings.config_deploy && history.was_only_fetched(&found.0) {
        let short = found.0.short();
        let deploy = config.invocation.on_these_hosts(&format!("deploy -r {short}"));
        return Err(Refused::new(format!(
            "{short} was only fetched, and never live, so it has no configuration files: `{deploy}` deploys it"
        )));
    }
    let way = WayBack::new(repo, &history, &config.invocation, found, &views);
    let keep = |groups: &mut Vec<Group>, is_kept: &dyn Fn(&Target) -> bool| {
        groups.iter_mut().for_each(|group| group.targets.retain(is_kept));
        groups.retain(|group| !group.targets.is_empty());
    };
    let mut groups = groups;
    keep(&mut groups, &|target| way.is_for(target));
    let mut taking_part = groups.clone();
    if way.is_deployed() {
        keep(&mut taking_part, &|target| way.is_brought(target));
    }
    let undoing = Undoing::of(&history, &groups, &way.to.revision, &config.invocation)
        .within(&taking_part, back.limit_hosts.is_some());
    // The hosts may keep what this repository has not; the command that the way names deploys from here.
    if !way.lacking.is_empty() && !is_here(repo, &way.to.revision)? {
        front.tell(&format!(
            "warning: {} is not in this repository: fetch it before it is deployed",
            way.to.revision.short()
        ));
    }
    Ok(Look { way, views, history, undoing })
}
