//! Scap 3's announcements of a deployment, to the receivers in its configuration: the same text at the same moments.

use serde_json::json;

use super::announcement::{About, Announcement, EventKind};
use super::sockets::one_line;

/// The deployment in Scap's notation: `deploy [page@4f2a1b3] (production)`.
fn display_name(about: &About) -> String {
    let does = if about.kind == "service_restart" { "restart" } else { "deploy" };
    let short = about.revision.get(..7).unwrap_or(&about.revision);
    let environment = about.environment.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    format!("{does} [{}@{short}]{environment}", about.repository)
}

/// The results of what succeeded.
const SUCCEEDED: [&str; 5] = ["deployed", "fetched", "configured", "probed", "tolerated"];

/// The text of an announcement. Scap announces the start and the end, but not the end of a restart. If a deployment did
/// not succeed, the result is appended; Scap does not do that.
pub fn line(announcement: &Announcement) -> Option<String> {
    let about = &announcement.about;
    let name = display_name(about);
    let message = if about.message.is_empty() { "(no justification provided)" } else { &about.message };
    let duration = || {
        let seconds = announcement.duration_seconds.unwrap_or_default() as u64;
        format!("(duration: {:02}m {:02}s)", seconds / 60, seconds % 60)
    };
    let test = if announcement.test { "TEST: " } else { "" };
    let line = match (announcement.event, announcement.result.as_deref()) {
        (EventKind::Started, _) => format!("Started {name}: {message}"),
        (EventKind::Finished, _) if about.kind == "service_restart" => return None,
        (EventKind::Finished, Some("interrupted")) => format!("deploy aborted: {message} {}", duration()),
        (EventKind::Finished, result) => {
            let result = result.filter(|result| !SUCCEEDED.contains(result));
            let result = result.map(|result| format!(": {}", result.replace('_', " "))).unwrap_or_default();
            format!("Finished {name}: {message} {}{result}", duration())
        }
        _ => return None,
    };
    Some(one_line(&format!("{test}{line}")))
}

/// The text for tcpircbot, which relays it to an IRC channel as a log entry.
pub fn irc_line(announcement: &Announcement) -> Option<String> {
    let About { operator, deploy_host, .. } = &announcement.about;
    line(announcement).map(|line| format!("!log {operator}@{deploy_host} {line}"))
}

/// The duration, for statsd.
pub fn timing(announcement: &Announcement) -> Vec<String> {
    let (EventKind::Finished, Some(seconds)) = (announcement.event, announcement.duration_seconds) else {
        return Vec::new();
    };
    let name = display_name(&announcement.about).to_lowercase();
    let name: String = name.chars().map(|c| if c.is_alphanumeric() || c == '_' { c } else { '_' }).collect();
    vec![format!("scap.{name}:{:.0}|ms", seconds * 1000.0)]
}

/// The text as a record for Logstash.
pub fn record(announcement: &Announcement) -> Option<String> {
    let message = line(announcement)?;
    let About { operator, deploy_host, .. } = &announcement.about;
    // Scap writes whole seconds.
    let (seconds, _) = announcement.time.split_once('.').unwrap_or((announcement.time.trim_end_matches('Z'), ""));
    let record = json!({
        "ecs": {"version": "1.7.0"},
        "@timestamp": format!("{seconds}Z"),
        "host": {"name": deploy_host},
        "labels": {"channel": "scap.announce"},
        "log": {"level": "INFO", "logger": "scap.announce"},
        "process": {"executable": "hoist", "pid": std::process::id()},
        "service": {"type": "scap"},
        "message": message,
        "user": {"name": operator},
    });
    Some(record.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(result: &str, seconds: f64) -> Announcement {
        let mut sample = Announcement::sample(EventKind::Finished, "page/deploy", Some("beta"), ("op", "deploy1"));
        sample.about.revision = "4f2a1b3c".repeat(5);
        (sample.test, sample.result, sample.duration_seconds) = (false, Some(result.into()), Some(seconds));
        sample
    }

    #[test]
    fn the_lines_are_scaps() {
        let end = finished("deployed", 125.9);
        let expected =
            "!log op@deploy1 Finished deploy [page/deploy@4f2a1b3] (beta): test of the hooks (duration: 02m 05s)";
        assert_eq!(irc_line(&end).unwrap(), expected);
        assert_eq!(timing(&end), ["scap.deploy__page_deploy_4f2a1b3___beta_:125900|ms"]);
        let mut start = Announcement { event: EventKind::Started, ..end.clone() };
        start.about.message.clear();
        start.about.environment = None;
        assert_eq!(line(&start).unwrap(), "Started deploy [page/deploy@4f2a1b3]: (no justification provided)");
        assert!(line(&finished("rolled_back", 1.0)).unwrap().ends_with("(duration: 00m 01s): rolled back"));
        assert_eq!(
            line(&finished("interrupted", 1.0)).unwrap(),
            "deploy aborted: test of the hooks (duration: 00m 01s)"
        );
        let mut restart = start.clone();
        restart.about.kind = "service_restart".into();
        assert!(line(&restart).unwrap().starts_with("Started restart [page/deploy@4f2a1b3]: "));
        assert_eq!(line(&Announcement { event: EventKind::Finished, ..restart }), None);
        assert_eq!(line(&Announcement { event: EventKind::Group, ..end }), None);
    }
}
