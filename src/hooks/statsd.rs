//! Announcements as statsd metrics.

use super::announcement::{Announcement, EventKind};

/// The lines for statsd: a counter for each event, and at the end the result and the duration.
pub fn metrics(announcement: &Announcement, prefix: &str) -> Vec<String> {
    let repository = part(&announcement.about.repository);
    let base = match &announcement.about.environment {
        Some(environment) => format!("{prefix}.{repository}.{}", part(environment)),
        None => format!("{prefix}.{repository}"),
    };
    let base = if announcement.test { format!("{base}.test") } else { base };
    let mut lines = vec![format!("{base}.{}:1|c", announcement.event)];
    if announcement.event == EventKind::Finished {
        lines.extend(announcement.result.as_ref().map(|result| format!("{base}.result.{}:1|c", part(result))));
        lines
            .extend(announcement.duration_seconds.map(|seconds| format!("{base}.duration:{:.0}|ms", seconds * 1000.0)));
    }
    lines
}

/// A name without the characters that are special in statsd.
fn part(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}
