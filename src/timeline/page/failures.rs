//! What failed, on which hosts, and what these said: equal causes once.

use std::collections::HashMap;

use crate::fleet::{HostId, Step};
use crate::report::{causes, name_of_step};
use crate::text::{counted, hosts};
use crate::wire::limits::cut;

use super::super::{HostSpan, SpanEnd, Timeline};
use super::markup::Markup;
use super::{folded, section};

/// Causes that are shown.
const MOST: usize = 40;

/// Different outputs that are shown of one cause.
const OUTPUTS: usize = 4;

/// The longest output, in bytes.
const OUTPUT: usize = 16 << 10;

/// What tells causes apart beside their words: the step, the kind of the fault, and how often it was tried.
type Key = (&'static str, &'static str, u32);

/// Writes the failures, if there are any. Of a step that was tried several times, the last failure stands for all.
pub fn write(page: &mut Markup, timeline: &Timeline) {
    let mut last: HashMap<(HostId, Step), &HostSpan> = HashMap::new();
    for span in timeline.spans.iter().filter(|span| span.how.is_bad()) {
        last.insert((span.host, span.step), span);
    }
    let mut failed: Vec<(&HostSpan, String)> = last
        .into_values()
        .filter_map(|span| match &span.how {
            SpanEnd::Failed(fault) => Some((span, fault.to_string())),
            _ => None,
        })
        .collect();
    failed.sort_by_key(|(span, _)| (span.end, span.host));
    if failed.is_empty() {
        return;
    }
    let key = |span: &HostSpan| -> Key { (name_of_step(span.step), span.how.kind(), span.attempt) };
    let found = causes(failed.iter().map(|(span, text)| (key(span), text, timeline.name(span.host))));
    section(page, "Failures", |section| {
        for cause in found.iter().take(MOST) {
            let (step, kind, attempt) = cause.key;
            let of_cause = |span: &&HostSpan| key(span) == cause.key && cause.hosts.contains(timeline.name(span.host));
            let spans = failed.iter().map(|(span, _)| *span).filter(of_cause);
            section.element("article", &[("class", &"failure")], |article| {
                article.element("h3", &[], |heading| {
                    let again = if attempt > 0 { format!(", in attempt {}", attempt + 1) } else { String::new() };
                    heading.text(&format!("{step}: {kind} on {}{again} ", folded(&cause.hosts)));
                    heading.plain("small", &hosts(cause.hosts.len()));
                });
                article.element("p", &[("class", &"reason")], |reason| reason.lines(&cut(&cause.text, OUTPUT)));
                write_outputs(article, timeline, spans);
            });
        }
        if found.len() > MOST {
            let more = counted(found.len() - MOST, "other cause");
            section.plain("p", &format!("{more} are left out here; `hoist log` has them."));
        }
    });
}

fn write_outputs<'a>(page: &mut Markup, timeline: &'a Timeline, spans: impl Iterator<Item = &'a HostSpan>) {
    let text = |span: &HostSpan| span.tail.iter().map(|line| line.message.as_str()).collect::<Vec<_>>().join("\n");
    let outputs =
        causes(spans.filter(|span| !span.tail.is_empty()).map(|span| ((), text(span), timeline.name(span.host))));
    for output in outputs.iter().take(OUTPUTS) {
        page.of_class("p", "small", &format!("Last lines of {}:", folded(&output.hosts)));
        page.element("pre", &[], |pre| pre.lines(&cut(&output.text, OUTPUT)));
    }
    if outputs.len() > OUTPUTS {
        let more = counted(outputs.len() - OUTPUTS, "other output");
        page.of_class("p", "small", &format!("{more} are left out here; `hoist log` has them."));
    }
}
