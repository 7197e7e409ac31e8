//! An announcement: an event of a deployment, as hooks get it.

use serde::{Deserialize, Serialize};

use crate::named::named;
use crate::text::counted;
use crate::wire::{Level, Origin};

named! {
    /// What happened: the values of `on:`, in the order of the manual. Each has the level of its entry in a log.
    pub enum EventKind: "event" => level: Level {
        /// A deployment begins; nothing was touched yet.
        Started = "started" => Level::Info,
        /// A group has passed its stages.
        Group = "group" => Level::Info,
        /// The result of a gate has changed.
        Gate = "gate" => Level::Info,
        /// The operator is asked a question.
        Question = "question" => Level::Info,
        /// The deployment was halted.
        Halted = "halted" => Level::Warning,
        /// A rollback has ended.
        RolledBack = "rolled_back" => Level::Warning,
        /// `hoist reconcile` has brought hosts to what they should run.
        Reconciled = "reconciled" => Level::Info,
        /// The deployment has ended, with any result: its last announcement.
        Finished = "finished" => Level::Info,
        /// The deployer died.
        Unfinished = "unfinished" => Level::Warning,
        /// An unfinished deployment is resumed or rolled back.
        Resumed = "resumed" => Level::Info,
        /// `hoist lock` keeps deployments out, or the lock after a rollback does.
        Locked = "locked" => Level::Info,
    }
}

/// A group of the deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSize {
    pub name: String,
    pub hosts: usize,
}

/// How many hosts are ok.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub hosts: usize,
    pub ok: usize,
    pub failed: usize,
}

/// The result of a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateSample {
    pub name: String,
    /// `pass`, `fail` or `inconclusive`.
    pub verdict: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What all announcements of a deployment have in common.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Empty if the announcement is about no deployment.
    pub run: String,
    /// `deploy`, `rollback`, `service_restart`, `reconcile` or `lock`.
    pub kind: String,
    pub repository: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    pub revision: String,
    /// How the revision was made, if it is no commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Box<Origin>>,
    /// The revision that most hosts ran before it, or were last seen running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_revision: Option<String>,
    /// Who started it.
    pub operator: String,
    pub deploy_host: String,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<String>,
    /// Who signed the plan that is deployed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed_by: Vec<String>,
    pub groups: Vec<GroupSize>,
    /// RFC 3339, in UTC.
    pub began: String,
}

/// One announcement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Announcement {
    pub event: EventKind,
    /// The run and a number. It stays the same if the announcement is sent again.
    pub id: String,
    /// RFC 3339, in UTC.
    pub time: String,
    /// A sample by `hoist hooks --test`; it did not happen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub test: bool,
    #[serde(flatten)]
    pub about: About,
    /// Who resumes it, or locks: `alice@deploy1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_hosts: Vec<String>,
    /// The result in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// The exit status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u8>,
    /// The result in one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateSample>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// The reason for a halt, a lock or a resumption, or what an unfinished deployment waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Announcement {
    /// An event of a deployment, now, with only the fields that every announcement has.
    pub fn new(event: EventKind, about: &About) -> Announcement {
        Announcement {
            event,
            id: String::new(),
            time: crate::clock::rfc3339_utc(),
            test: false,
            about: about.clone(),
            by: None,
            group: None,
            counts: None,
            failed_hosts: Vec::new(),
            result: None,
            status: None,
            verdict: None,
            duration_seconds: None,
            gate: None,
            question: None,
            reason: None,
        }
    }

    /// The deployment for people: `page 4f2a1b3c5d6e (production)`.
    fn what(&self) -> String {
        let About { repository, revision, environment, .. } = &self.about;
        let short = revision.get(..12).unwrap_or(revision);
        let revision = if short.is_empty() { String::new() } else { format!(" {short}") };
        let environment = environment.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        format!("{repository}{revision}{environment}")
    }

    /// The event in one sentence.
    pub fn text(&self) -> String {
        let what = self.what();
        let About { operator, deploy_host, message, break_glass, kind, .. } = &self.about;
        let or_nothing = |text: &Option<String>| text.clone().unwrap_or_default();
        let by = self.by.clone().unwrap_or_else(|| format!("{operator}@{deploy_host}"));
        let colon = |text: &str| if text.is_empty() { String::new() } else { format!(": {text}") };
        let took = self.duration_seconds.map(|seconds| format!(" (took {seconds:.0} s)")).unwrap_or_default();
        let verdict = or_nothing(&self.verdict);
        let mut text = match self.event {
            EventKind::Started => {
                let does = match kind.as_str() {
                    "rollback" => "rolls back to",
                    "service_restart" => "restarts the services of",
                    "reconcile" => "reconciles hosts with",
                    _ => "deploys",
                };
                let signed = &self.about.signed_by;
                let signed =
                    if signed.is_empty() { String::new() } else { format!(" [signed by {}]", signed.join(", ")) };
                let origin = self.about.origin.as_ref().map(|origin| format!(" ({origin})")).unwrap_or_default();
                format!("{by} {does} {what}{origin}{}{signed}", colon(message))
            }
            EventKind::Group => {
                let Counts { hosts, ok, .. } = self.counts.unwrap_or(Counts { hosts: 0, ok: 0, failed: 0 });
                let group = or_nothing(&self.group);
                format!("{what}: group {group} is through, {ok} of {} ok", counted(hosts, "host"))
            }
            EventKind::Question => format!("{what} waits for an answer: {}", or_nothing(&self.question)),
            EventKind::Halted => format!("{what} is halted{}", colon(&or_nothing(&self.reason))),
            EventKind::RolledBack => format!("{what} was rolled back{}", colon(&verdict)),
            EventKind::Reconciled => format!("{what} was reconciled{}", colon(&verdict)),
            EventKind::Finished => format!("{what} is over: {verdict}{took}"),
            EventKind::Unfinished => match &self.reason {
                Some(reason) => format!("{what} is not finished: {reason}"),
                None => format!("{what} is not finished: the deployment that {operator}@{deploy_host} began has died"),
            },
            EventKind::Resumed => format!("{by} {}: {what}", or_nothing(&self.reason)),
            EventKind::Locked => format!("{by} has locked {what}{}", colon(&or_nothing(&self.reason))),
            EventKind::Gate => match &self.gate {
                Some(GateSample { name, verdict, value, reason }) => {
                    let why = if reason.is_empty() { value.as_deref().unwrap_or_default() } else { reason };
                    let of = self.group.as_ref().map(|group| format!(" of {group}")).unwrap_or_default();
                    format!(
                        "{what}: gate {name}{of}: {verdict}{}",
                        if why.is_empty() { String::new() } else { format!(", {why}") }
                    )
                }
                None => what,
            },
        };
        if let Some(reason) = break_glass.as_ref().filter(|reason| !text.contains(&format!("[break glass: {reason}]")))
        {
            text += &format!(" [break glass: {reason}]");
        }
        if self.test { format!("TEST, nothing has happened: {text}") } else { text }
    }

    /// A sample of an event, marked as one.
    pub fn sample(event: EventKind, repository: &str, environment: Option<&str>, by: (&str, &str)) -> Announcement {
        let now = crate::clock::rfc3339_utc();
        let about = About {
            run: "test".into(),
            kind: "deploy".into(),
            repository: repository.to_owned(),
            environment: environment.map(str::to_owned),
            revision: "0".repeat(40),
            origin: None,
            previous_revision: Some("1".repeat(40)),
            operator: by.0.to_owned(),
            deploy_host: by.1.to_owned(),
            message: "test of the hooks".into(),
            break_glass: None,
            signed_by: Vec::new(),
            groups: vec![GroupSize { name: "canary".into(), hosts: 1 }, GroupSize { name: "default".into(), hosts: 2 }],
            began: now,
        };
        let ends = matches!(event, EventKind::Finished | EventKind::RolledBack | EventKind::Reconciled);
        let result = if event == EventKind::RolledBack { "rolled_back" } else { "deployed" };
        Announcement {
            id: format!("test-{event}"),
            test: true,
            by: matches!(event, EventKind::Resumed | EventKind::Locked).then(|| format!("{}@{}", by.0, by.1)),
            group: matches!(event, EventKind::Group | EventKind::Gate).then(|| "canary".to_owned()),
            counts: (ends || event == EventKind::Group).then_some(Counts { hosts: 3, ok: 3, failed: 0 }),
            result: ends.then(|| result.to_owned()),
            status: ends.then_some(u8::from(event == EventKind::RolledBack)),
            verdict: ends.then(|| format!("sample of {event}")),
            duration_seconds: ends.then_some(1.0),
            gate: (event == EventKind::Gate).then(|| GateSample {
                name: "errors".into(),
                verdict: "pass".into(),
                value: Some("0.001".into()),
                reason: String::new(),
            }),
            question: (event == EventKind::Question).then(|| "Continue? [y]es/[n]o".to_owned()),
            reason: match event {
                EventKind::Halted => Some("sample of a reason".into()),
                EventKind::Locked => Some("sample of a lock".into()),
                EventKind::Resumed => Some("resumes".into()),
                _ => None,
            },
            ..Announcement::new(event, &about)
        }
    }
}
