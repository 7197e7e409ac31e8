//! Bringing every host of the lists to what is wanted of it.

use crate::config::{Config, Options};
use crate::deploy;
use crate::deploy::{Choice, Deployed, HostChoice};
use crate::exit_code::ExitCode;
use crate::journal::History;
use crate::repo::Repo;
use crate::report::{HostRow, RowState};
use crate::targets::{Group, Target, fold};
use crate::text::{counted, hosts};
use crate::wire::{Confirmation, Drained, Revision};

use super::elsewhere::count_elsewhere;
use super::locking::lock;
use super::past_steps::Undoing;
use super::reconcilable::{WantedOn, deployed_elsewhere, gone, refuse_of_another_environment, refuse_without_memory};
use super::recorded::{begin, look_for_unfinished, refuse_unfinished};
use super::repository::is_here;
use super::standing::Standing;
use super::status::Asking;
use super::way_back::Described;
use super::{
    Frontend, Refused, View, interlocks, limit, load, load_telling, memory, past_deployments, repository, shrinkage,
    ssh, status,
};

/// What a reconcile would do.
#[derive(Debug)]
pub struct ReconcilePreview {
    /// The revisions that would be deployed, each with its hosts.
    pub to: Vec<(Described, Vec<Target>)>,
    pub hosts: Vec<AstrayHost>,
    pub in_sync: Vec<Target>,
    /// Hosts that are left out.
    pub unreachable: Vec<Target>,
    /// Hosts of which it is not known what they should run: they are left out, too.
    pub unclear: Vec<Target>,
    /// Why it would be refused: a revision that is wanted is not in this repository any more.
    pub gone: Option<String>,
    lines: Vec<String>,
}

/// A host that does not run what it should, or not as it should.
#[derive(Debug)]
pub struct AstrayHost {
    pub host: Target,
    pub standing: Standing,
    /// As last read.
    pub live: Option<Revision>,
    pub wanted: Option<Revision>,
    /// What is wrong, if the right revision is live.
    pub why: Option<String>,
}

impl ReconcilePreview {
    /// For people, a line each.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Whether no host would be left out.
    pub fn is_open(&self) -> bool {
        self.unreachable.is_empty() && self.unclear.is_empty()
    }
}

/// What [`reconcile`] would do. It takes no lock and changes nothing on any target.
pub fn reconcile_preview(
    options: &Options,
    limit_hosts: Option<&str>,
    front: &dyn Frontend,
) -> Result<ReconcilePreview, Refused> {
    let config = load_telling(options, front)?;
    interlocks::check(&config, front)?;
    let repo = repository(&config)?;
    let (groups, _) = config.groups(limit(limit_hosts)?.as_ref())?;
    look_for_unfinished(&config)?;
    refuse_without_memory(&config)?;
    let (in_sync, astray, history) = match memory(&config)?.is_empty() {
        true => Default::default(),
        false => look(&config, &repo, groups, limit_hosts, Asking::default(), front)?,
    };
    let (wanted, unclear) = wanted(astray.iter().filter(|view| view.may_be_brought()));
    refuse_of_another_environment(&config, &wanted, limit_hosts)?;
    let lines = if memory(&config)?.is_empty() {
        vec![nothing_deployed(&config)]
    } else if astray.is_empty() {
        vec![nothing_to_do(&in_sync)]
    } else {
        lines(&astray).into_iter().chain(leads(&wanted, &repo, &history)).collect()
    };
    let names = |views: &mut dyn Iterator<Item = &View>| views.map(|view| view.target.clone()).collect();
    let astray_host = |view: &View| AstrayHost {
        host: view.target.clone(),
        standing: view.standing,
        live: view.live().cloned(),
        wanted: view.wanted.clone(),
        why: runs_what_it_should(view).then(|| what_is_astray(view)),
    };
    Ok(ReconcilePreview {
        to: wanted.iter().map(|(to, on)| (Described::new(&repo, &history, to), on.clone())).collect(),
        hosts: astray.iter().map(astray_host).collect(),
        in_sync: names(&mut in_sync.iter()),
        unreachable: names(&mut astray.iter().filter(|view| !view.may_be_brought())),
        unclear,
        gone: gone(&config, &repo, &wanted)?,
        lines,
    })
}

/// Brings the targets that match `limit_hosts` to what is wanted of them: those that a deployment went through without,
/// that run something else, that were installed anew, and that were added to the lists. What they run is asked first.
pub fn reconcile(options: &Options, limit_hosts: Option<&str>, front: &dyn Frontend) -> Result<ExitCode, Refused> {
    let config = load(options)?;
    interlocks::check(&config, front)?;
    let repo = repository(&config)?;
    let (groups, _) = config.groups(limit(limit_hosts)?.as_ref())?;
    let _lock = lock(&config, &mut deploy::holder("reconcile".into())?, front)?;
    refuse_unfinished(options, &config, front)?;
    refuse_without_memory(&config)?;
    // Without it nobody knows what is wanted.
    if memory(&config)?.is_empty() {
        front.nothing_to_do(&nothing_deployed(&config));
        return Ok(ExitCode::Success);
    }
    if limit_hosts.is_none() {
        shrinkage::check(&config, front)?;
    }
    let asking = Asking { confirm: true, ..Asking::default() };
    let (in_sync, astray, history) = look(&config, &repo, groups, limit_hosts, asking, front)?;
    if let Some(confirmed) = confirmed_now(&in_sync) {
        front.remark(&confirmed);
    }
    if astray.is_empty() {
        let done = nothing_to_do(&in_sync);
        return match unconfirmed(&in_sync) {
            None => {
                front.nothing_to_do(&done);
                Ok(ExitCode::Success)
            }
            Some((why, rows)) => {
                front.answer(&done);
                Err(failed(front, ExitCode::Failed, why, rows))
            }
        };
    }
    let (wanted, _) = wanted(astray.iter().filter(|view| view.may_be_brought()));
    refuse_of_another_environment(&config, &wanted, limit_hosts)?;
    front.can_ask()?;
    lines(&astray).iter().chain(&leads(&wanted, &repo, &history)).for_each(|line| front.remark(line));
    refuse_gone(&config, &repo, &wanted, &astray, front)?;
    if !wanted.is_empty() {
        front.insist(&question(&wanted))?;
    }
    bring(&config, &repo, astray, in_sync, Undoing::default(), options, front)
}

/// The end of a command that did not do its work on these hosts, which no run of it told.
fn failed(front: &dyn Frontend, code: ExitCode, why: String, rows: Vec<HostRow>) -> Refused {
    front.ends(&why, code, rows);
    Refused::Because(code, why)
}

/// The row of a host on which no run worked.
fn row(view: &View, state: RowState, reason: String) -> HostRow {
    HostRow {
        host: view.target.clone(),
        group: view.group.clone(),
        state,
        stage: None,
        ok: false,
        current: view.live().cloned(),
        reason: Some(reason),
        cause: None,
    }
}

/// Asks the targets, and tells those that are as wanted from the others. With them comes what was deployed before.
///
/// # Errors
/// Somebody else has deployed to them since.
fn look(
    config: &Config,
    repo: &Repo,
    groups: Vec<Group>,
    limit_hosts: Option<&str>,
    asking: Asking,
    front: &dyn Frontend,
) -> Result<(Vec<View>, Vec<View>, History), Refused> {
    let views = status::ask(config, groups, asking, front)?;
    let history = past_deployments(config)?;
    let is_known = |revision: &Revision| history.runs.iter().any(|past| past.revision == *revision);
    if let (None, Some((other, share))) = (limit_hosts, deployed_elsewhere(&views, is_known)) {
        let short = other.short();
        let fetch = if is_here(repo, &other)? { "" } else { "it is not in this repository; fetch it first, then " };
        return Err(Refused::new(format!(
            "{share} run {short}, which is finalized and is not what was deployed last from here, so somebody else \
             has deployed since: {fetch}`{}` makes it the wanted revision; with `-l`, reconcile brings hosts to the old one",
            config.invocation.command(&format!("deploy -r {short}"))
        )));
    }
    let (in_sync, astray) = views.into_iter().partition(is_as_wanted);
    Ok((in_sync, astray, history))
}

fn nothing_deployed(config: &Config) -> String {
    format!("nothing was deployed from here yet: use `{}`", config.invocation.command("deploy"))
}

fn nothing_to_do(in_sync: &[View]) -> String {
    format!("nothing to do: {} in sync", are(in_sync.len()))
}

/// Where each of these revisions is brought, a line for each.
fn leads(wanted: &WantedOn, repo: &Repo, history: &History) -> Vec<String> {
    let lead = |(revision, targets): &(Revision, Vec<Target>)| {
        let to = Described::new(repo, history, revision);
        format!("to    {to}; on {} ({})", hosts(targets.len()), fold(targets))
    };
    wanted.iter().map(lead).collect()
}

/// Whether nothing is to be deployed to a target.
fn is_as_wanted(view: &View) -> bool {
    view.standing == Standing::InSync && view.unfit().is_none()
}

/// Which targets may serve again since they were asked just now: they were started since, or were never confirmed.
fn confirmed_now(views: &[View]) -> Option<String> {
    let is_new = |view: &&View| view.confirmation() == Some(&Confirmation::Given);
    let targets: Vec<&Target> = views.iter().filter(is_new).map(|view| &view.target).collect();
    (!targets.is_empty()).then(|| format!("confirmed {}: {}", hosts(targets.len()), fold(targets)))
}

/// Why targets that are in sync could not be confirmed, and their rows.
fn unconfirmed(views: &[View]) -> Option<(String, Vec<HostRow>)> {
    let (mut lines, mut rows) = (Vec::new(), Vec::new());
    for view in views {
        let Some(Confirmation::Failed { reason }) = view.confirmation() else { continue };
        lines.push(format!("{} could not be confirmed: {reason}", view.target));
        rows.push(row(view, RowState::Refused, format!("could not be confirmed: {reason}")));
    }
    (!lines.is_empty()).then(|| (lines.join("\n"), rows))
}

/// Deploys to each of these targets what is wanted of it: a deployment for each revision. Those that did not say what they run
/// are left out and named. `others` were asked as well, and are left alone. The first deployment runs the steps of `undoing`.
pub fn bring(
    config: &Config,
    repo: &Repo,
    views: Vec<View>,
    others: Vec<View>,
    mut undoing: Undoing,
    options: &Options,
    front: &dyn Frontend,
) -> Result<ExitCode, Refused> {
    let (wanted, unclear) = wanted(views.iter().filter(|view| view.may_be_brought()));
    refuse_gone(config, repo, &wanted, &views, front)?;
    let mut left = Left::of(config, &views, &unclear, &others);
    let idle: Vec<HostRow> = views.iter().map(|view| row(view, RowState::NotAttempted, String::new())).collect();
    let rows_of = |targets: &[Target]| idle.iter().filter(|row| targets.contains(&row.host)).cloned().collect();
    let mut seen: Vec<View> = views.into_iter().chain(others).collect();
    let (mut end, mut last, mut stopped) = (ExitCode::Success, None, None);
    for (revision, targets) in &wanted {
        if let Some(code) = stopped {
            left.waits(rows_of(targets), code);
            continue;
        }
        let on = (revision, targets.as_slice());
        let undoing = std::mem::take(&mut undoing);
        match bring_to(config, repo, on, &mut seen, undoing, options, front) {
            Ok(code) => {
                last = Some(code);
                match code {
                    ExitCode::Success => {}
                    ExitCode::Tolerated => end = code,
                    _ => stopped = Some(code),
                }
            }
            // Only the first can be refused with nothing touched.
            Err(refused) if last.is_none() => return Err(refused),
            Err(refused) => {
                let code = if refused.code() == ExitCode::Usage { ExitCode::Failed } else { refused.code() };
                left.are_idle(rows_of(targets), refused.to_string());
                stopped = Some(code);
            }
        }
    }
    if left.is_empty() {
        let code = stopped.unwrap_or(end);
        if last != Some(code) {
            front.ends("hosts of an earlier deployment failed within the failure limit", code, Vec::new());
        }
        return Ok(code);
    }
    let touched = if wanted.is_empty() { "; nothing was touched" } else { "" };
    let Left { lines, rows } = left;
    Err(failed(front, stopped.unwrap_or(ExitCode::Failed), lines.join("\n") + touched, rows))
}

/// One of these deployments. `seen`: how hosts are, without those of this or an earlier one, whose state has to be asked anew
/// once it is over.
fn bring_to(
    config: &Config,
    repo: &Repo,
    (revision, targets): (&Revision, &[Target]),
    seen: &mut Vec<View>,
    undoing: Undoing,
    options: &Options,
    front: &dyn Frontend,
) -> Result<ExitCode, Refused> {
    let holder = deploy::holder(message(targets.len(), revision))?;
    let (rev, hosts) = (Some(revision.to_string()), HostChoice::Only(targets.to_vec()));
    let choice = Choice { rev, hosts, ..Choice::default() };
    let mut prepared = deploy::prepare(config, repo, &choice, &Deployed::default(), &holder)?;
    undoing.plan_into(&mut prepared);
    count_elsewhere(config, &mut prepared, seen, front)?;
    seen.retain(|view| !targets.contains(&view.target));
    let ssh = ssh::prepare(config, prepared.plan.targets().map(|(_, target)| target))?;
    begin(config, repo, &prepared, ssh, options, front)
}

/// The hosts that the command leaves as they are though they are not as they should be: why, for people and for programs.
struct Left {
    lines: Vec<String>,
    rows: Vec<HostRow>,
}

impl Left {
    /// Those that did not say what they run, those of which it is not known what they should run, and those that could not
    /// be confirmed.
    fn of(config: &Config, views: &[View], unclear: &[Target], others: &[View]) -> Left {
        let mut left = Left { lines: Vec::new(), rows: Vec::new() };
        let away: Vec<&View> = views.iter().filter(|view| !view.may_be_brought()).collect();
        let reason = |view: &View| {
            let trouble = view.inquiry.as_ref().and_then(|it| it.trouble.clone());
            let drained = view.drained().map(Drained::as_last_seen);
            trouble.into_iter().chain(drained).collect::<Vec<_>>().join("; ")
        };
        left.rows.extend(away.iter().map(|view| row(view, RowState::Unreachable, reason(view))));
        if !away.is_empty() {
            let (are, names) = (are(away.len()), fold(away.iter().map(|view| &view.target)));
            left.lines.push(format!("{are} unreachable and left out: {names}"));
        }
        let unclear: Vec<&View> = views.iter().filter(|view| unclear.contains(&view.target)).collect();
        let not_known = || "it is not known which revision it should run".to_owned();
        left.rows.extend(unclear.iter().map(|view| row(view, RowState::NotAttempted, not_known())));
        if !unclear.is_empty() {
            // What helps where the hosts of a fleet should run different revisions, or none.
            let deploy = config.invocation.command("deploy -r REVISION -l HOSTS");
            let names = fold(unclear.iter().map(|view| &view.target));
            left.lines.push(format!("it is not known which revision {names} should run: deploy one with `{deploy}`"));
        }
        if let Some((why, rows)) = unconfirmed(others) {
            left.lines.push(why);
            left.rows.extend(rows);
        }
        left
    }

    /// These hosts were to be brought to their revision after a deployment that ended so.
    fn waits(&mut self, rows: Vec<HostRow>, code: ExitCode) {
        let why =
            format!("not attempted, since an earlier deployment of this command ended with status {}", code.status());
        self.are_idle(rows, why);
    }

    /// The deployment to these hosts did not begin.
    fn are_idle(&mut self, rows: Vec<HostRow>, why: String) {
        self.lines.push(format!("{}: {why}", fold(rows.iter().map(|row| &row.host))));
        self.rows.extend(rows.into_iter().map(|row| HostRow { reason: Some(why.clone()), ..row }));
    }

    fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// Fails before anything is touched where a revision that is wanted cannot be brought anywhere any more.
fn refuse_gone(
    config: &Config,
    repo: &Repo,
    wanted: &WantedOn,
    views: &[View],
    front: &dyn Frontend,
) -> Result<(), Refused> {
    let Some(why) = gone(config, repo, wanted)? else { return Ok(()) };
    let mut rows = Vec::new();
    for (revision, targets) in wanted {
        if is_here(repo, revision)? {
            continue;
        }
        let reason = || format!("{}, which it should run, is not in this repository any more", revision.short());
        let its = views.iter().filter(|view| targets.contains(&view.target));
        rows.extend(its.map(|view| row(view, RowState::NotAttempted, reason())));
    }
    Err(failed(front, ExitCode::Usage, why, rows))
}

/// The message of a run that brings hosts to a revision.
pub fn message(count: usize, revision: &Revision) -> String {
    format!("reconcile {} with {}", counted(count, "host"), revision.short())
}

/// What is wanted of these; and those of which that cannot be told.
fn wanted<'a>(views: impl Iterator<Item = &'a View>) -> (WantedOn, Vec<Target>) {
    let mut wanted = WantedOn::new();
    let mut unclear = Vec::new();
    for View { target, wanted: revision, .. } in views {
        let Some(revision) = revision else {
            unclear.push(target.clone());
            continue;
        };
        match wanted.iter_mut().find(|(other, _)| other == revision) {
            Some((_, targets)) => targets.push(target.clone()),
            None => wanted.push((revision.clone(), vec![target.clone()])),
        }
    }
    (wanted, unclear)
}

/// What the operator is asked.
fn question(wanted: &WantedOn) -> String {
    let one =
        |(revision, targets): &(Revision, Vec<Target>)| format!("{} to {}", hosts(targets.len()), revision.short());
    format!("Bring {}?", wanted.iter().map(one).collect::<Vec<_>>().join(", and "))
}

/// What is to be done where, a line for each word and revision.
fn lines(views: &[View]) -> Vec<String> {
    let mut folded: Vec<(String, Vec<&Target>)> = Vec::new();
    for view in views {
        let short = |revision: Option<&Revision>| revision.map_or("nothing", Revision::short).to_owned();
        let wanted = view.wanted.as_ref().map_or("?", Revision::short);
        let standing = view.standing.name();
        let what = if view.standing == Standing::Unreachable {
            let drained = view.drained().map_or("", |_| "; last seen drained");
            format!("{standing}, should run {wanted}{drained}")
        } else if runs_what_it_should(view) {
            format!("{standing}: {wanted} is live, but {}", what_is_astray(view))
        } else {
            format!("{standing}: {} is live, should be {wanted}", short(view.live()))
        };
        match folded.iter_mut().find(|(other, _)| *other == what) {
            Some((_, targets)) => targets.push(&view.target),
            None => folded.push((what, vec![&view.target])),
        }
    }
    folded.into_iter().map(|(what, targets)| format!("{}: {what}", fold(targets))).collect()
}

/// Whether a target said that the right revision is live.
fn runs_what_it_should(view: &View) -> bool {
    view.was_read() && view.live().is_some() && view.live() == view.wanted.as_ref()
}

/// What is wrong with a target that has the right revision live. Without times and reasons, so that hosts fold; `hoist
/// status` has them.
fn what_is_astray(view: &View) -> String {
    let state = view.known.state.as_ref();
    match state.and_then(|state| state.stray_links.first()) {
        _ if view.drained().is_some() => "drained".to_owned(),
        None if view.unfit().is_some() => view.unfit().unwrap_or_default().to_owned(),
        Some(link) => format!("{link} does not point into it"),
        None if state.is_some_and(|state| state.done != state.current) => "not finalized".to_owned(),
        None => "a deployment was completed without it".to_owned(),
    }
}

/// `1 host is`, `2 hosts are`.
fn are(count: usize) -> String {
    format!("{} {}", counted(count, "host"), if count == 1 { "is" } else { "are" })
}
