//! The variables of an announcement, for `{{ name }}` in a body and for the environment of a command.

use super::announcement::{Announcement, Counts};

/// The names, in the order of the manual. In the environment of a command they are in upper case, with the prefix
/// `HOIST_`.
pub const VARIABLES: [&str; 31] = [
    "text",
    "event",
    "id",
    "run",
    "kind",
    "repository",
    "environment",
    "revision",
    "short_revision",
    "previous_revision",
    "origin",
    "source_revision",
    "operator",
    "deploy_host",
    "by",
    "message",
    "break_glass",
    "signed_by",
    "group",
    "groups",
    "hosts",
    "ok",
    "failed",
    "failed_hosts",
    "result",
    "status",
    "verdict",
    "duration_seconds",
    "gate",
    "question",
    "reason",
];

/// The value of a variable; empty if the event has none.
pub fn value(announcement: &Announcement, name: &str) -> String {
    let about = &announcement.about;
    let count = |of: fn(&Counts) -> usize| announcement.counts.as_ref().map(|counts| of(counts).to_string());
    let found = match name {
        "text" => Some(announcement.text()),
        "event" => Some(announcement.event.to_string()),
        "id" => Some(announcement.id.clone()),
        "run" => Some(about.run.clone()),
        "kind" => Some(about.kind.clone()),
        "repository" => Some(about.repository.clone()),
        "environment" => about.environment.clone(),
        "revision" => Some(about.revision.clone()),
        "short_revision" => Some(about.revision.chars().take(12).collect()),
        "previous_revision" => about.previous_revision.clone(),
        "origin" => about.origin.as_ref().map(ToString::to_string),
        "source_revision" => about.origin.as_ref().and_then(|origin| Some(origin.source.as_ref()?.to_string())),
        "operator" => Some(about.operator.clone()),
        "deploy_host" => Some(about.deploy_host.clone()),
        "by" => announcement.by.clone(),
        "message" => Some(about.message.clone()),
        "break_glass" => about.break_glass.clone(),
        "signed_by" => Some(about.signed_by.join(", ")),
        "group" => announcement.group.clone(),
        "groups" => Some(about.groups.iter().map(|group| group.name.as_str()).collect::<Vec<_>>().join(" ")),
        "hosts" => count(|counts| counts.hosts),
        "ok" => count(|counts| counts.ok),
        "failed" => count(|counts| counts.failed),
        "failed_hosts" => Some(announcement.failed_hosts.join(" ")),
        "result" => announcement.result.clone(),
        "status" => announcement.status.map(|status| status.to_string()),
        "verdict" => announcement.verdict.clone(),
        "duration_seconds" => announcement.duration_seconds.map(|seconds| format!("{seconds:.3}")),
        "gate" => announcement.gate.as_ref().map(|gate| gate.name.clone()),
        "question" => announcement.question.clone(),
        "reason" => announcement.reason.clone(),
        _ => None,
    };
    found.unwrap_or_default()
}
