//! A way back, as it is shown before anybody takes it: from what the hosts run to a revision that they have kept.

use std::fmt;

use indexmap::IndexMap;

use crate::clock;
use crate::config::keys;
use crate::invocation::Invocation;
use crate::journal::History;
use crate::repo::Repo;
use crate::targets::{Target, fold};
use crate::text::hosts;
use crate::wire::Revision;

use super::View;

/// Hosts that a command line is spelt out for, at the most.
const NAMED: usize = 5;

/// A revision, with what is known here of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    pub revision: Revision,
    /// The first line of its message; `None`: the commit is not in this repository.
    pub subject: Option<String>,
    /// Who deployed it last, and when that run began (RFC 3339, UTC); `None`: the journals do not tell.
    pub deployed: Option<(String, String)>,
}

impl Described {
    pub fn new(repo: &Repo, history: &History, revision: &Revision) -> Described {
        let deployed = |past: &crate::journal::PastRun| (past.by.to_string(), past.began());
        Described {
            revision: revision.clone(),
            subject: repo.subject(revision),
            deployed: history.deployment_of(revision).map(deployed),
        }
    }
}

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.revision.short())?;
        match &self.subject {
            Some(subject) => write!(f, " \"{subject}\"")?,
            None => write!(f, " (not in this repository)")?,
        }
        match &self.deployed {
            Some((by, at)) => write!(f, ", deployed by {by} {}", clock::ago(at)),
            None => Ok(()),
        }
    }
}

/// Why a rollback leads to a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It was named.
    Named,
    /// It was deployed before the present one.
    Before,
    /// It is what all hosts should run, and a run left the fleet mixed: which one.
    Mixed(String),
    /// It is a step further back than was gone already: what was done, and whether a person called for that.
    Further { done: String, called_for: bool },
}

/// Where a rollback leads, and why; and the targets that it has nothing to do with.
pub type Found = (Revision, Why, Vec<Target>);

/// From what to what a rollback leads, host by host.
#[derive(Debug)]
pub struct WayBack {
    pub to: Described,
    pub why: Why,
    /// What is live, and where. What most hosts run comes first.
    pub from: Vec<(Described, Vec<Target>)>,
    /// Where nothing is live.
    pub empty: Vec<Target>,
    /// Where the revision is live and finalized already, and is what is served.
    pub there: Vec<Target>,
    /// Where it is live, and what stands against serving it.
    pub amiss: Vec<(String, Vec<Target>)>,
    /// Hosts with which it has nothing to do: what it undoes was not deployed to them. They are none of `size`.
    pub apart: Vec<Target>,
    /// Those of them on which nothing is live: new ones, for example.
    apart_empty: Vec<Target>,
    /// What somebody else had deployed to hosts before the deployment that is undone, and not to all of them.
    passed_over: Vec<(Revision, Vec<Target>)>,
    /// Hosts that do not keep the revision.
    pub lacking: Vec<Target>,
    /// Hosts that did not say what they run.
    pub unreachable: Vec<Target>,
    /// How many of them each group has.
    unreachable_in: IndexMap<String, usize>,
    /// All of them.
    pub size: usize,
    /// For the commands that the lines name.
    invocation: Invocation,
}

impl WayBack {
    pub fn new(
        repo: &Repo,
        history: &History,
        invocation: &Invocation,
        (to, why, apart): Found,
        views: &[View],
    ) -> WayBack {
        let (others, views): (Vec<&View>, Vec<&View>) = views.iter().partition(|view| apart.contains(&view.target));
        let apart_empty = others.iter().filter(|view| view.was_read() && view.live().is_none());
        let to = &to;
        let names = |which: &dyn Fn(&View) -> bool| -> Vec<Target> {
            views.iter().filter(|view| which(view)).map(|view| view.target.clone()).collect()
        };
        let live = views.iter().filter(|view| view.was_read());
        let mut from = by_revision(live.filter_map(|view| Some((view.live()?.clone(), view.target.clone()))));
        from.sort_by_key(|(_, targets)| std::cmp::Reverse(targets.len()));
        let unnamed = matches!(why, Why::Before | Why::Further { .. });
        let found = history.passed_over(views.iter().map(|view| &view.target).filter(|_| unnamed));
        let passed_over = by_revision(found.into_iter().filter(|(revision, _)| revision != to));
        let mut unreachable_in: IndexMap<String, usize> = IndexMap::new();
        for view in views.iter().filter(|view| !view.was_read()) {
            *unreachable_in.entry(view.group.clone()).or_default() += 1;
        }
        let described = |(revision, targets)| (Described::new(repo, history, &revision), targets);
        WayBack {
            to: Described::new(repo, history, to),
            why,
            from: from.into_iter().map(described).collect(),
            empty: names(&|view| view.was_read() && view.live().is_none()),
            there: names(&|view| view.was_read() && view.serves(to)),
            amiss: amiss(&views, to),
            apart_empty: apart_empty.map(|view| view.target.clone()).collect(),
            apart,
            passed_over,
            lacking: names(&|view| view.was_read() && !view.kept().contains(to)),
            unreachable: names(&|view| !view.was_read()),
            unreachable_in,
            size: views.len(),
            invocation: invocation.clone(),
        }
    }

    /// Whether every host runs the revision already.
    pub fn is_done(&self) -> bool {
        self.there.len() == self.size
    }

    /// Whether every host can be taken there.
    pub fn is_open(&self) -> bool {
        self.lacking.is_empty() && self.unreachable.is_empty()
    }

    /// Whether the revision is deployed to the hosts that do not run it: a failed run left the fleet mixed, and there are
    /// hosts that have to be sent the revision.
    pub fn is_deployed(&self) -> bool {
        matches!(self.why, Why::Mixed(_)) && !self.lacking.is_empty()
    }

    /// Whether the revision is live on every host that answers, finalized or not.
    fn is_live_everywhere(&self) -> bool {
        self.empty.is_empty() && self.from.iter().all(|(what, _)| what.revision == self.to.revision)
    }

    /// Whether it has something to do with a host.
    pub fn is_for(&self, target: &Target) -> bool {
        !self.apart.contains(target)
    }

    /// Whether such a deployment has this host.
    pub fn is_brought(&self, target: &Target) -> bool {
        !self.there.contains(target) && !self.unreachable.contains(target)
    }

    /// From what to what, and what stands in the way. A line each.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        match &self.why {
            Why::Named | Why::Before => {}
            Why::Mixed(run) if self.is_live_everywhere() => lines.push(format!("not completed: {run}")),
            Why::Mixed(run) => lines.push(format!("the fleet is mixed: {run}")),
            Why::Further { done, .. } => lines.push(format!("already rolled back: {done}")),
        }
        lines.extend(self.from.iter().map(|(what, on)| format!("from  {what}; on {}", self.on(on))));
        if !self.empty.is_empty() {
            lines.push(format!("from  nothing; on {}", self.on(&self.empty)));
        }
        let kept = self.size - self.lacking.len() - self.unreachable.len();
        lines.push(format!("to    {}; kept on {kept} of {}", self.to, hosts(self.size)));
        let short = self.to.revision.short();
        if !self.there.is_empty() {
            lines.push(format!("already on {short}: {}", fold(&self.there)));
        }
        lines.extend(self.amiss.iter().map(|(why, on)| format!("live on {}, but {why}", fold(on))));
        if !self.lacking.is_empty() {
            let missing = fold(&self.lacking);
            let only = match self.lacking.len() == self.size {
                true => String::new(),
                false => format!(" -l {}", pattern(&self.lacking, "")),
            };
            let deploy = self.invocation.command(&format!("deploy -r {short}{only}"));
            lines.push(format!("not kept on {missing}: `{deploy}` deploys it there"));
        }
        lines.extend(self.passed_over.iter().map(|(revision, on)| {
            format!("not gone back to {}, which somebody else had deployed before to {}", revision.short(), fold(on))
        }));
        let left = |hosts: &[&Target], why: &str| match hosts {
            [] => None,
            [it] => Some(format!("left as it is, since {why}: {it}")),
            _ => Some(format!("left as they are, since {why}: {}", fold(hosts.iter().copied()))),
        };
        let (empty, live): (Vec<&Target>, Vec<&Target>) =
            self.apart.iter().partition(|target| self.apart_empty.contains(target));
        lines.extend(left(&live, "what is undone was not deployed there"));
        lines.extend(left(&empty, "nothing is live there"));
        if !self.unreachable.is_empty() {
            let others = pattern(&self.unreachable, "!");
            let limits = self.limits();
            lines.push(format!(
                "unreachable: {}; `{limits}` goes back without {them}, and `{}` takes {them} back later; `-l {others}` leaves \
                 {them} out",
                fold(&self.unreachable),
                self.invocation.command("reconcile"),
                them = if self.unreachable.len() == 1 { "it" } else { "them" }
            ));
        }
        lines
    }

    /// The flags by which a rollback tolerates those that are unreachable.
    fn limits(&self) -> String {
        let of = |(group, count): (&String, &usize)| format!("-D {}:{count}", keys::of_group(group, "failure_limit"));
        self.unreachable_in.iter().map(of).collect::<Vec<_>>().join(" ")
    }

    /// What the operator is asked.
    pub fn question(&self) -> String {
        let short = self.to.revision.short();
        let all = self.size - self.unreachable.len();
        let going = hosts(all - self.there.len());
        let from: Vec<&str> =
            self.from.iter().map(|(what, _)| what.revision.short()).filter(|it| *it != short).collect();
        match (&self.why, from.as_slice()) {
            (Why::Mixed(_), _) => format!("Bring all {} to {short}?", hosts(all)),
            (Why::Further { .. }, [from]) => format!("Go back further, from {from} to {short} on {going}?"),
            (_, [from]) => format!("Go back from {from} to {short} on {going}?"),
            (Why::Further { .. }, _) => format!("Go back further, to {short} on {going}?"),
            _ => format!("Go back to {short} on {going}?"),
        }
    }

    fn on(&self, targets: &[Target]) -> String {
        match targets.len() {
            all if all == self.size => hosts(all),
            some => format!("{} ({})", hosts(some), fold(targets)),
        }
    }
}

/// The hosts on which a revision is live, and something stands against serving it: what, and where.
fn amiss(views: &[&View], revision: &Revision) -> Vec<(String, Vec<Target>)> {
    let mut amiss: Vec<(String, Vec<Target>)> = Vec::new();
    for view in views.iter().filter(|view| view.was_read() && view.live() == Some(revision)) {
        let Some(unfit) = view.unfit() else { continue };
        match amiss.iter_mut().find(|(why, _)| why == unfit) {
            Some((_, on)) => on.push(view.target.clone()),
            None => amiss.push((unfit.to_owned(), vec![view.target.clone()])),
        }
    }
    amiss
}

/// The targets of each revision, in the order in which they come.
fn by_revision(pairs: impl Iterator<Item = (Revision, Target)>) -> Vec<(Revision, Vec<Target>)> {
    let mut found: IndexMap<Revision, Vec<Target>> = IndexMap::new();
    for (revision, target) in pairs {
        found.entry(revision).or_default().push(target);
    }
    found.into_iter().collect()
}

/// Hosts for `-l`, each with `sign` ahead of it; a word in their place where there are many.
fn pattern(targets: &[Target], sign: &str) -> String {
    if targets.len() > NAMED {
        return "HOSTS".into();
    }
    let names: Vec<String> = targets.iter().map(|target| format!("{sign}{target}")).collect();
    format!("'{}'", names.join(","))
}
