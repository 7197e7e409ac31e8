//! A run as spans, in the JSON form of OpenTelemetry's protocol (OTLP 1.x).
//!
//! The run is the root; each step on a group or subgroup and each run-once step is a span below it, and each host's part
//! of a step a span below that.
//! Ids are derived from the run's id and from what a span is, so that two writings of one run are equal.

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::deploy::Kind;
use crate::deploy::health::Health;
use crate::once::OnceEnd;
use crate::report::name_of_step;
use crate::wire::limits::cut;

use super::{CallSpan, HostSpan, LookSpan, Millis, OnceSpan, SpanEnd, Timeline};

/// The longest attribute, in bytes.
const LONGEST: usize = 4 << 10;

/// What OTLP calls a span that is neither of a server nor of a client.
const INTERNAL: u8 = 1;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Span {
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    name: String,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<Value>,
    status: Value,
}

/// How a span ended.
enum Status<'a> {
    Unset,
    Ok,
    Error(&'a str),
}

impl Status<'_> {
    fn json(&self) -> Value {
        match self {
            Status::Unset => json!({}),
            Status::Ok => json!({ "code": 1 }),
            Status::Error(message) => json!({ "code": 2, "message": cut(message, LONGEST) }),
        }
    }
}

/// Writes a run as one `ExportTraceServiceRequest`.
pub fn trace(timeline: &Timeline) -> Value {
    let plan = timeline.plan();
    let resource = attributes(&[
        ("service.name", "hoist".into()),
        ("service.version", timeline.opened.version.as_str().into()),
        ("host.name", plan.by.deploy_host.as_str().into()),
    ]);
    let writer = Writer::new(timeline);
    let calls = timeline.calls.iter().enumerate().map(|(place, call)| writer.call(place, call));
    let looks = timeline.looks.iter().enumerate().map(|(place, look)| writer.look(place, look));
    let once = timeline.once.iter().enumerate().map(|(place, once)| writer.once(place, once));
    let hosts = timeline.spans.iter().map(|span| writer.host(span));
    let spans: Vec<Span> = std::iter::once(writer.root()).chain(calls).chain(looks).chain(once).chain(hosts).collect();
    let scope = json!({ "name": "hoist", "version": env!("CARGO_PKG_VERSION") });
    json!({ "resourceSpans": [{
        "resource": { "attributes": resource },
        "scopeSpans": [{ "scope": scope, "spans": spans }],
    }] })
}

struct Writer<'a> {
    timeline: &'a Timeline,
    trace: String,
    root: String,
}

impl<'a> Writer<'a> {
    fn new(timeline: &'a Timeline) -> Writer<'a> {
        let run = timeline.plan().run.as_str();
        Writer { timeline, trace: hex(run, "trace", 16), root: hex(run, "run", 8) }
    }

    fn id(&self, what: &str) -> String {
        hex(self.timeline.plan().run.as_str(), what, 8)
    }

    fn span(&self, id: String, name: String, (start, end): (Millis, Millis), status: &Status) -> Span {
        Span {
            trace_id: self.trace.clone(),
            span_id: id,
            parent_span_id: Some(self.root.clone()),
            name,
            kind: INTERNAL,
            start_time_unix_nano: nanos(start),
            end_time_unix_nano: nanos(end.max(start)),
            attributes: Vec::new(),
            events: Vec::new(),
            status: status.json(),
        }
    }

    fn root(&self) -> Span {
        let Timeline { opened, began, ended, verdict, happenings, .. } = self.timeline;
        let plan = &opened.plan;
        let (status, outcome) = match verdict {
            None => (Status::Unset, None),
            Some((_, 0 | 7)) => (Status::Ok, Some("succeeded")),
            Some((text, _)) => (Status::Error(text), Some("failed")),
        };
        let kind = match plan.kind {
            Kind::Deploy => "deploy",
            Kind::Rollback => "rollback",
            Kind::ServiceRestart => "restart services",
            Kind::DryRun => "dry run",
        };
        let mut all: Vec<(&str, Value)> = vec![
            ("deployment.id", plan.run.as_str().into()),
            ("deployment.name", plan.repo.as_str().into()),
            ("vcs.ref.head.revision", plan.revision.as_str().into()),
            ("hoist.kind", kind.into()),
            ("hoist.operator", plan.by.user.as_str().into()),
            ("hoist.message", plan.message.as_str().into()),
            ("hoist.hosts", plan.size().into()),
            ("hoist.ended", verdict.is_some().into()),
        ];
        all.extend(outcome.map(|outcome| ("deployment.status", outcome.into())));
        all.extend(verdict.as_ref().map(|(_, status)| ("hoist.exit_status", (*status).into())));
        all.extend(opened.environment.as_deref().map(|name| ("deployment.environment.name", name.into())));
        let events = happenings.iter().map(|it| {
            let names: Vec<String> = it.hosts.iter().map(|host| self.timeline.name(*host).to_string()).collect();
            let mut about = vec![("hoist.level", json!(it.level))];
            if !names.is_empty() {
                about.push(("hoist.hosts", names.join(",").into()));
            }
            event(it.at, &it.text, &about)
        });
        let span = self.span(self.root.clone(), format!("{kind} {}", plan.repo), (*began, *ended), &status);
        Span { parent_span_id: None, attributes: attributes(&all), events: events.collect(), ..span }
    }

    fn call(&self, place: usize, call: &CallSpan) -> Span {
        let step = name_of_step(call.step);
        let name = if call.label.is_empty() { step.to_owned() } else { format!("{} {step}", call.label) };
        let hosts = || self.timeline.spans.iter().filter(|span| span.call == Some(place));
        let failed = hosts().filter(|span| span.how.is_bad()).count();
        let status = if call.end.is_some() { Status::Ok } else { Status::Unset };
        let times = (call.start, call.end.unwrap_or(self.timeline.ended));
        let about = attributes(&[
            ("hoist.step", step.into()),
            ("hoist.group", call.group.as_str().into()),
            ("hoist.subgroup", call.label.as_str().into()),
            ("hoist.attempt", (call.attempt + 1).into()),
            ("hoist.failed_hosts", failed.into()),
        ]);
        Span { attributes: about, ..self.span(self.call_id(place), name, times, &status) }
    }

    fn call_id(&self, place: usize) -> String {
        self.id(&format!("call {place}"))
    }

    fn look(&self, place: usize, look: &LookSpan) -> Span {
        let what = if look.is_soak { "soak" } else { "gates" };
        let name = if look.label.is_empty() { what.to_owned() } else { format!("{} {what}", look.label) };
        let events = look.samples.iter().map(|(at, sample)| {
            let about = [
                ("hoist.gate", sample.gate.as_str().into()),
                ("hoist.verdict", sample.verdict.name().into()),
                ("hoist.value", sample.value.as_deref().unwrap_or_default().into()),
                ("hoist.reason", sample.reason.as_str().into()),
            ];
            event(*at, "gate", &about)
        });
        let status = match &look.health {
            None => Status::Unset,
            Some(Health::Pass) => Status::Ok,
            Some(Health::Fail { reason, .. } | Health::Inconclusive { reason, .. }) => Status::Error(reason),
        };
        let times = (look.start, look.end.unwrap_or(self.timeline.ended));
        let about = [("hoist.moment", look.moment.name().into()), ("hoist.group", look.group.as_str().into())];
        let span = self.span(self.id(&format!("look {place}")), name, times, &status);
        Span { attributes: attributes(&about), events: events.collect(), ..span }
    }

    fn once(&self, place: usize, once: &OnceSpan) -> Span {
        let said;
        let (status, outcome) = match &once.end {
            None => (Status::Unset, "not ended"),
            Some((_, OnceEnd::Done)) => (Status::Ok, "done"),
            Some((_, end)) => {
                said = end.to_string();
                let outcome = match end {
                    OnceEnd::Unknown { .. } => "unknown",
                    OnceEnd::NotBegun { .. } => "not begun",
                    OnceEnd::Failed { .. } | OnceEnd::Done => "failed",
                };
                (Status::Error(&said), outcome)
            }
        };
        let end = once.end.as_ref().map_or(self.timeline.ended, |(at, _)| *at);
        let host = once
            .host
            .map_or_else(|| self.timeline.plan().by.deploy_host.clone(), |host| self.timeline.name(host).to_string());
        let about = [
            ("host.name", host.into()),
            ("hoist.step", "once".into()),
            ("hoist.once.name", once.name.as_str().into()),
            ("hoist.once.undo", once.undo.into()),
            ("hoist.outcome", outcome.into()),
        ];
        let span = self.span(self.id(&format!("once {place}")), once.title.clone(), (once.start, end), &status);
        Span { attributes: attributes(&about), ..span }
    }

    fn host(&self, span: &HostSpan) -> Span {
        let HostSpan { host, step, call, attempt, start, end, how, tail, timings } = span;
        let target = self.timeline.name(*host);
        let step = name_of_step(*step);
        let said;
        let status = match how {
            SpanEnd::Ok => Status::Ok,
            SpanEnd::Cut | SpanEnd::Open => Status::Unset,
            SpanEnd::Failed(fault) => {
                said = fault.to_string();
                Status::Error(&said)
            }
        };
        let mut about = attributes(&[
            ("host.name", target.to_string().into()),
            ("hoist.step", step.into()),
            ("hoist.attempt", (attempt + 1).into()),
            ("hoist.outcome", how.kind().into()),
        ]);
        for (part, time) in timings.iter().flat_map(|timings| timings.parts.iter()) {
            about.extend(attributes(&[(&format!("hoist.seconds.{part}"), time.as_secs_f64().into())]));
        }
        let lines: Vec<&str> = tail.iter().map(|line| line.message.as_str()).collect();
        let output = (!lines.is_empty()).then(|| event(*end, "output", &[("hoist.output", lines.join("\n").into())]));
        // A step that was cut off has the same place as the one that took it up.
        let id = self.id(&format!("host {host} {step} {attempt} {call:?} {}", if call.is_none() { *start } else { 0 }));
        let parent = call.map_or_else(|| self.root.clone(), |place| self.call_id(place));
        Span {
            parent_span_id: Some(parent),
            attributes: about,
            events: output.into_iter().collect(),
            ..self.span(id, step.to_owned(), (*start, *end), &status)
        }
    }
}

/// The beginning of a digest, in hexadecimal digits. No id may be all zeros, and none is.
fn hex(run: &str, what: &str, bytes: usize) -> String {
    let digest = Sha256::digest(format!("hoist\0{run}\0{what}"));
    digest.iter().take(bytes).map(|byte| format!("{byte:02x}")).collect()
}

fn nanos(at: Millis) -> String {
    (i128::from(at.max(0)) * 1_000_000).to_string()
}

fn event(at: Millis, name: &str, about: &[(&str, Value)]) -> Value {
    json!({ "timeUnixNano": nanos(at), "name": cut(name, LONGEST), "attributes": attributes(about) })
}

/// Attributes in OTLP's form, which names the type of each value.
fn attributes(all: &[(&str, Value)]) -> Vec<Value> {
    let typed = |value: &Value| match value {
        Value::Bool(flag) => json!({ "boolValue": flag }),
        Value::Number(number) if number.is_f64() => json!({ "doubleValue": number }),
        // As protobuf's JSON has 64 bits.
        Value::Number(number) => json!({ "intValue": number.to_string() }),
        Value::String(text) => json!({ "stringValue": cut(text, LONGEST) }),
        other => json!({ "stringValue": other.to_string() }),
    };
    all.iter().map(|(key, value)| json!({ "key": key, "value": typed(value) })).collect()
}
