//! Who announces a run: what it has queued is in a ledger, and on its way.

use std::cell::RefCell;
use std::collections::HashSet;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::deploy::{Kind, Plan, Verdict};
use crate::fleet_state::FleetState;
use crate::hooks::{About, Announcement, EventKind, GroupSize, Ledger, Outbox, Queued, Written};
use crate::operation::{Frontend, Refused, state_folder};
use crate::report::{Event, Reporter};
use crate::wire::StartedBy;

use super::watched::Watched;
use super::{dead, told};

/// The end of a run waits so long before it says that it waits.
const SHORT: Duration = Duration::from_secs(1);

/// Announces one run. It is a reporter of the run, and shared with its operator.
#[derive(Clone)]
pub struct Announcer(pub(super) Option<Rc<RefCell<State>>>);

pub(super) struct State {
    outbox: Outbox,
    ledger: Option<Arc<Ledger>>,
    /// Ledgers of earlier runs that are complete once everything is sent.
    closing: Vec<Arc<Ledger>>,
    pub about: About,
    /// What was announced, by this deployer or an earlier one of the run.
    told: HashSet<String>,
    without: Vec<String>,
    queued: usize,
    trouble: Option<String>,
    pub watched: Watched,
}

impl Announcer {
    /// Of a run that announces nothing.
    pub fn silent() -> Announcer {
        Announcer(None)
    }

    /// Of a run that begins. Whom a required hook does not let begin is refused.
    ///
    /// # Errors
    /// The configuration of the hooks, or a required hook that failed.
    pub fn start(config: &Config, plan: &Plan, front: &dyn Frontend) -> Result<Announcer, Refused> {
        let (hooks, _) = config.hooks()?;
        if plan.kind == Kind::DryRun || hooks.is_empty() {
            return Ok(Announcer::silent());
        }
        let mut outbox = Outbox::new(hooks);
        let folder = state_folder(config);
        crate::journal::make_folder(&folder)?;
        let closing = dead::catch_up(config, &mut outbox, None);
        let about = about(config, plan, front.command() == "reconcile");
        let (mut state, _) = State::open(outbox, closing, about, plan, config);
        let started = Announcement::new(EventKind::Started, &state.about);
        // The way back is open, whoever does not answer.
        let lenient = plan.break_glass.is_some() || plan.kind == Kind::Rollback;
        state.begin(started, lenient, front)?;
        Ok(state.shared())
    }

    /// Of a run that another deployer began. Nothing that is wrong with the hooks keeps it from its end: that is told.
    /// `waits`: what somebody has to say first.
    pub fn resume(
        config: &Config,
        plan: &Plan,
        by: &StartedBy,
        (undoes, waits): (bool, Option<String>),
        front: &dyn Frontend,
    ) -> Announcer {
        let hooks = match config.hooks() {
            Ok((hooks, _)) => hooks,
            Err(error) => {
                front.tell(&format!("warning: nothing is announced: {error:#}"));
                return Announcer::silent();
            }
        };
        if hooks.is_empty() {
            return Announcer::silent();
        }
        let mut outbox = Outbox::new(hooks);
        let closing = dead::catch_up(config, &mut outbox, Some(plan.run.as_str()));
        let (mut state, before) = State::open(outbox, closing, about(config, plan, false), plan, config);
        if let Some(first) = before.queued.first() {
            state.about = first.announcement.about.clone();
        }
        for left in before.left() {
            state.outbox.send(&left, state.ledger.as_ref());
        }
        if !before.is_death_announced() {
            let reason = waits;
            state.announce(None, Announcement { reason, ..Announcement::new(EventKind::Unfinished, &state.about) });
        }
        let does = if undoes { "rolls back what was not finished" } else { "goes on with what was not finished" };
        let resumed = Announcement {
            by: Some(by.to_string()),
            reason: Some(does.to_owned()),
            ..Announcement::new(EventKind::Resumed, &state.about)
        };
        state.announce(None, resumed);
        state.shared()
    }

    /// Has the announcements say what most hosts run, once that is known.
    pub fn observe(&self, previous: impl Fn() -> Option<String> + 'static) {
        self.with(|state| state.watched.previous = Some(Box::new(previous)));
    }

    /// Queues that the run has locked the repository.
    pub fn locked(&self, reason: &str) {
        self.with(|state| {
            let by = Some(format!("{}@{}", state.about.operator, state.about.deploy_host));
            let reason = Some(reason.to_owned());
            let locked = Announcement { by, reason, ..Announcement::new(EventKind::Locked, &state.about) };
            state.announce(Some("locked".into()), locked);
        });
    }

    /// Queues what is to be said of the run's end.
    pub fn end(&self, verdict: &Verdict, plan: &Plan) {
        self.with(|state| state.end(verdict, plan));
    }

    /// Waits a moment for what is on its way, and says for whom more than that would be needed.
    pub fn still_waits(&self) -> Option<String> {
        self.with(|state| {
            let failed = state.outbox.finish(SHORT);
            state.outbox.keep(failed);
            let busy = state.outbox.is_busy();
            busy.then(|| format!("waiting for hooks: {}", state.outbox.busy_hooks().join(", ")))
        })
        .flatten()
    }

    /// Waits for the rest, no longer than the time limit of a hook, gives up on what is still on its way, and says what was
    /// not sent.
    pub fn settle(&self) -> Vec<String> {
        self.with(State::settle).unwrap_or_default()
    }

    pub(super) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> Option<T> {
        self.0.as_ref().map(|state| act(&mut state.borrow_mut()))
    }
}

impl Reporter for Announcer {
    fn event(&mut self, event: &Event) {
        self.with(|state| state.event(event));
    }
}

impl State {
    fn open(outbox: Outbox, closing: Vec<Arc<Ledger>>, about: About, plan: &Plan, config: &Config) -> (State, Written) {
        let without = config.forgone_hooks().to_vec();
        let opened = Ledger::open(&state_folder(config), plan.run.as_str(), &without);
        let (ledger, before, trouble) = match opened {
            Ok((ledger, before)) => (Some(Arc::new(ledger)), before, None),
            Err(error) => (None, Written::default(), Some(format!("what is announced is not kept: {error}"))),
        };
        let state = State {
            outbox,
            ledger,
            closing,
            about,
            told: before.queued.iter().map(|queued| queued.key.clone()).collect(),
            without: if before.queued.is_empty() { without } else { before.without.clone() },
            queued: before.queued.len(),
            trouble,
            watched: Watched::of(plan),
        };
        (state, before)
    }

    fn shared(self) -> Announcer {
        Announcer(Some(Rc::new(RefCell::new(self))))
    }

    /// What is to be sent, by whom it wants. `None`: it was announced before.
    fn prepare(&mut self, key: Option<String>, mut announcement: Announcement) -> Option<Queued> {
        self.queued += 1;
        announcement.id = format!("{}-{}", self.about.run, self.queued);
        let key = key.unwrap_or_else(|| announcement.id.clone());
        if !self.told.insert(key.clone()) {
            return None;
        }
        let to = self.outbox.subscribers(&announcement, &self.without);
        Some(Queued { key, to, announcement })
    }

    /// Queues an announcement, unless the same was announced before. It waits for nobody.
    pub fn announce(&mut self, key: Option<String>, announcement: Announcement) {
        if let Some(queued) = self.prepare(key, announcement) {
            self.send(&queued);
        }
    }

    fn send(&mut self, queued: &Queued) {
        if let Some(ledger) = &self.ledger {
            ledger.queue(queued);
        }
        self.outbox.send(queued, self.ledger.as_ref());
    }

    /// The first announcement: to the required hooks one by one, then to the others.
    fn begin(&mut self, started: Announcement, lenient: bool, front: &dyn Frontend) -> Result<(), Refused> {
        let Some(queued) = self.prepare(Some("started".into()), started) else { return Ok(()) };
        let is_required = |name: &String| self.outbox.hooks().any(|hook| hook.name == *name && hook.required);
        let (required, others): (Vec<String>, Vec<String>) = queued.to.iter().cloned().partition(is_required);
        let mut was_told: Vec<String> = Vec::new();
        for name in &required {
            let one = Queued { to: vec![name.clone()], ..queued.clone() };
            if let Some(ledger) = &self.ledger {
                ledger.queue(&one);
            }
            let Err(why) = self.outbox.send_and_wait(name, &one, self.ledger.as_ref()) else {
                was_told.push(name.clone());
                continue;
            };
            if lenient {
                front.tell(&format!("warning: hook {name} failed and is passed over: {why}"));
                continue;
            }
            let why = format!("hook {name} does not let the deployment begin: {why}; nothing was touched");
            self.refuse(&was_told, &why);
            return Err(Refused::new(why));
        }
        if !others.is_empty() || required.is_empty() {
            self.send(&Queued { to: others, ..queued });
        }
        Ok(())
    }

    /// Tells those who were told of the start that there is none.
    fn refuse(&mut self, was_told: &[String], why: &str) {
        let refused = Announcement {
            result: Some("refused".into()),
            status: Some(crate::exit_code::ExitCode::Usage.status()),
            verdict: Some(why.to_owned()),
            ..Announcement::new(EventKind::Finished, &self.about)
        };
        if let Some(mut queued) = self.prepare(Some("finished".into()), refused) {
            queued.to.retain(|name| was_told.contains(name));
            self.send(&queued);
        }
        self.settle();
    }

    fn settle(&mut self) -> Vec<String> {
        let mut unsent = self.outbox.finish(Duration::MAX);
        unsent.extend(self.outbox.give_up());
        let ledgers = self.ledger.iter().chain(&self.closing);
        let mut lines: Vec<String> = self.trouble.take().into_iter().collect();
        for ledger in ledgers {
            ledger.close();
            lines.extend(ledger.trouble());
        }
        told(&unsent).into_iter().chain(lines).collect()
    }
}

/// What is the same in all announcements of a run.
fn about(config: &Config, plan: &Plan, reconciles: bool) -> About {
    let kind = match plan.kind {
        Kind::Deploy | Kind::DryRun if reconciles => "reconcile",
        Kind::Deploy | Kind::DryRun => "deploy",
        Kind::Rollback => "rollback",
        Kind::ServiceRestart => "service_restart",
    };
    let groups = plan.groups.iter();
    About {
        run: plan.run.to_string(),
        kind: kind.to_owned(),
        repository: plan.repo.clone(),
        environment: config.environment.clone(),
        revision: plan.revision.to_string(),
        origin: plan.origin.clone(),
        previous_revision: last_seen(&state_folder(config), plan),
        operator: plan.by.user.clone(),
        deploy_host: plan.by.deploy_host.clone(),
        message: plan.message.clone(),
        break_glass: plan.break_glass.clone(),
        signed_by: plan.signed_by.clone(),
        groups: groups.map(|group| GroupSize { name: group.name.clone(), hosts: group.targets.len() }).collect(),
        began: crate::clock::rfc3339_utc(),
    }
}

/// The revision that most targets were last seen with, but for the plan's own.
fn last_seen(folder: &Path, plan: &Plan) -> Option<String> {
    let memory = FleetState::load(folder, &plan.repo).ok()?;
    let mut counts: Vec<(String, usize)> = Vec::new();
    for (_, target) in plan.targets() {
        let live = memory.of(target).and_then(|known| known.state.as_ref()?.current.clone());
        let Some(live) = live.filter(|live| *live != plan.revision).map(|live| live.to_string()) else { continue };
        match counts.iter_mut().find(|(revision, _)| *revision == live) {
            Some((_, count)) => *count += 1,
            None => counts.push((live, 1)),
        }
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(revision, _)| revision)
}
