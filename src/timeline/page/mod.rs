//! The page: one file of HTML that loads nothing, runs no script, and reads on a telephone and on paper.

mod build_output;
mod canvas;
mod chart;
mod failures;
mod lane;
mod markup;
mod tables;
mod timings;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::clock;
use crate::deploy;
use crate::deploy::Kind;
use crate::journal::Progress;
use crate::report::took;
use crate::targets::{Target, fold};
use crate::text::counted;

use super::{Millis, Timeline};
use markup::Markup;

/// The style sheet. The page allows this one and no other.
const STYLE: &str = include_str!("style.css");

/// The longest folded name that stands beside a lane, in characters.
const LONGEST_NAME: usize = 60;

/// Writes a run as a page.
pub fn html(timeline: &Timeline) -> String {
    let plan = timeline.plan();
    let title = format!("{} {}: {}", plan.repo, plan.revision.short(), result(timeline).0);
    let mut page = Markup::default();
    page.literal("<!DOCTYPE html>\n");
    page.element("html", &[("lang", &"en")], |html| {
        html.element("head", &[], |head| write_head(head, &title));
        html.newline();
        html.element("body", &[], |body| write_body(body, timeline));
    });
    page.newline();
    page.finish()
}

fn write_head(head: &mut Markup, title: &str) {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'");
    head.element("meta", &[("charset", &"utf-8")], |_| ());
    head.element("meta", &[("http-equiv", &"Content-Security-Policy"), ("content", &policy)], |_| ());
    for (name, content) in [
        ("viewport", "width=device-width, initial-scale=1"),
        ("color-scheme", "light dark"),
        ("referrer", "no-referrer"),
        ("robots", "noindex"),
        ("generator", concat!("hoist ", env!("CARGO_PKG_VERSION"))),
    ] {
        head.element("meta", &[("name", &name), ("content", &content)], |_| ());
    }
    head.plain("title", title);
    head.element("style", &[], |style| style.literal(STYLE));
}

fn write_body(body: &mut Markup, timeline: &Timeline) {
    body.element("header", &[], |header| write_header(header, timeline));
    body.newline();
    body.element("main", &[], |main| {
        failures::write(main, timeline);
        chart::write(main, timeline);
        tables::write_hosts(main, timeline);
        tables::write_happenings(main, timeline);
        tables::write_gates(main, timeline);
        timings::write(main, timeline);
        tables::write_plan(main, timeline);
        build_output::write(main, timeline);
        tables::write_commits(main, timeline);
    });
    body.newline();
    body.element("footer", &[], |footer| {
        let now = clock::local_with_zone(&clock::rfc3339_utc());
        footer.plain("p", &format!("Written by hoist {} on {now}.", env!("CARGO_PKG_VERSION")));
    });
}

fn write_header(header: &mut Markup, timeline: &Timeline) {
    let plan = timeline.plan();
    let (word, class) = result(timeline);
    header.element("h1", &[], |h1| {
        h1.text(&format!("{} {} ", plan.repo, plan.revision.short()));
        h1.element("span", &[("class", &format!("badge {class}"))], |badge| badge.text(word));
    });
    if !plan.message.is_empty() {
        header.element("p", &[("class", &"message")], |p| p.lines(&plan.message));
    }
    if let Some((verdict, status)) = &timeline.verdict {
        header.element("p", &[("class", &"verdict")], |p| p.lines(&format!("{verdict} (exit status {status})")));
    }
    for note in notes(timeline) {
        header.of_class("p", "note", &note);
    }
    header.element("dl", &[("class", &"facts")], |list| {
        for (name, value) in facts(timeline) {
            list.element("div", &[], |pair| {
                pair.plain("dt", name);
                pair.plain("dd", &value);
            });
        }
    });
}

fn facts(timeline: &Timeline) -> Vec<(&'static str, String)> {
    let plan = timeline.plan();
    let kind = match plan.kind {
        Kind::Deploy => "deployment",
        Kind::Rollback => "rollback",
        Kind::ServiceRestart => "restart of services",
        Kind::DryRun => "dry run",
    };
    let mut facts = vec![
        ("kind", kind.to_owned()),
        ("by", plan.by.to_string()),
        ("began", local(timeline.began)),
        ("took", took((timeline.ended - timeline.began) as f64 / 1000.0)),
        ("hosts", format!("{} in {}", plan.size(), counted(plan.groups.len(), "group"))),
    ];
    facts.extend(timeline.opened.environment.clone().map(|environment| ("environment", environment)));
    facts.push(("revision", plan.revision.to_string()));
    if let Some(origin) = &plan.origin {
        let made = format!("{} on {}", origin.by, clock::local_with_zone(&origin.at));
        facts.extend([("origin", origin.to_string()), ("made by", made)]);
        facts.extend(origin.source.as_ref().map(|source| ("source", source.to_string())));
        facts.extend(origin.sha256.clone().map(|digest| ("sha256", digest)));
    }
    facts.push(("run", plan.run.to_string()));
    facts
}

/// What whoever reads the page has to know of it.
fn notes(timeline: &Timeline) -> Vec<String> {
    let until = local(timeline.ended);
    let state = match timeline.progress {
        Progress::Ended => None,
        Progress::UnderWay => Some(format!("This run is under way. The page shows what was known on {until}.")),
        Progress::Unfinished => Some(format!(
            "This run has not ended: its deployer was killed or cut off, and nobody has gone on with it. The page shows \
             what its journal has, which ends {} after the beginning; what hosts did after that is not known here.",
            took((timeline.ended - timeline.began) as f64 / 1000.0)
        )),
    };
    state.into_iter().chain(timeline.lacks.iter().cloned()).collect()
}

/// How a run ended, in a word or two, and the class of that.
fn result(timeline: &Timeline) -> (&'static str, &'static str) {
    match (&timeline.verdict, timeline.progress) {
        (_, Progress::UnderWay) => ("under way", "open"),
        (None, _) => ("unfinished", "open"),
        (Some((_, 0)), _) => ("successful", "good"),
        (Some((verdict, 1)), _) => (deploy::how_it_failed(verdict), "bad"),
        (Some((verdict, 3)), _) => (deploy::what_is_wrong(verdict), "bad"),
        (Some((_, 4)), _) => ("not finalized everywhere", "bad"),
        (Some((_, 7)), _) => ("successful, hosts failed", "open"),
        (Some((_, 130)), _) => ("interrupted", "open"),
        (Some(_), _) => ("failed", "bad"),
    }
}

/// A moment for people: with its zone, since the page travels.
fn local(moment: Millis) -> String {
    clock::utc_of_millis(moment).map(|time| clock::local_with_zone(&time)).unwrap_or_default()
}

/// The time of day.
fn time_of_day(moment: Millis) -> String {
    clock::hms_at(moment as f64 / 1000.0).unwrap_or_default()
}

/// A section with its heading; none where there is nothing in it.
fn section(page: &mut Markup, heading: &str, content: impl FnOnce(&mut Markup)) {
    page.element("section", &[], |section| {
        section.plain("h2", heading);
        content(section);
    });
    page.newline();
}

/// The folded name of hosts, cut where it is long: the whole list stands elsewhere.
fn folded<'a>(hosts: impl IntoIterator<Item = &'a Target>) -> String {
    let name = fold(hosts);
    match name.char_indices().nth(LONGEST_NAME) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name,
    }
}
