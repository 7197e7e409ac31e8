//! Firing alerts, from version 2 of Alertmanager's API.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::client;
use super::gate::Endpoint;
use super::reading::Reading;
use super::template::{Subject, Template, percent_encoded};
use crate::text::{counted, some};

/// The maximum number of alerts that a reason names.
const NAMED: usize = 3;

#[derive(Deserialize)]
struct Alert {
    labels: BTreeMap<String, String>,
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    state: String,
    #[serde(default)]
    silenced_by: Vec<String>,
    #[serde(default)]
    inhibited_by: Vec<String>,
}

impl Alert {
    /// Whether it is active. A new alert is `unprocessed` until it was compared with the silences.
    fn fires(&self) -> bool {
        self.status.state == "active" && self.status.silenced_by.is_empty() && self.status.inhibited_by.is_empty()
    }

    fn name(&self) -> String {
        self.labels.get("alertname").cloned().unwrap_or_else(|| "an alert without a name".to_owned())
    }
}

/// Passes if no alert that matches all `matchers` is firing.
pub fn ask(endpoint: &Endpoint, matchers: &[Template], subject: &Subject, timeout: Duration) -> Reading {
    let base = endpoint.url.in_url(subject);
    let mut url = format!("{}/api/v2/alerts?active=true&silenced=false&inhibited=false", base.trim_end_matches('/'));
    for matcher in matchers {
        url += &format!("&filter={}", percent_encoded(&matcher.in_query(subject)));
    }
    let answer = match client::get(endpoint, &url, timeout) {
        Ok(answer) => answer,
        Err(failure) => return Reading::NoAnswer(failure.into_text()),
    };
    if answer.status != 200 {
        return Reading::NoAnswer(format!("Alertmanager returned HTTP status {}: {}", answer.status, answer.excerpt()));
    }
    match serde_json::from_str::<Vec<Alert>>(&answer.body) {
        Ok(alerts) => judge(&alerts),
        Err(_) => Reading::NoAnswer(format!("not a response of Alertmanager: {}", answer.excerpt())),
    }
}

fn judge(alerts: &[Alert]) -> Reading {
    let firing: Vec<&Alert> = alerts.iter().filter(|alert| alert.fires()).collect();
    let value = Some(firing.len().to_string());
    if firing.is_empty() {
        return Reading::Good { value };
    }
    let mut names: Vec<String> = firing.iter().map(|alert| alert.name()).collect();
    names.sort();
    names.dedup();
    let verb = if firing.len() == 1 { "is firing" } else { "are firing" };
    Reading::Bad { value, reason: format!("{} {verb}: {}", counted(firing.len(), "alert"), some(&names, NAMED)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_that_are_silenced_inhibited_or_not_looked_at_yet_do_not_count() {
        let alert = |name: &str, status: &str| format!(r#"{{"labels":{{"alertname":"{name}"}},"status":{status}}}"#);
        let read =
            |alerts: &[String]| judge(&serde_json::from_str::<Vec<Alert>>(&format!("[{}]", alerts.join(","))).unwrap());
        let active = r#"{"state":"active","silencedBy":[],"inhibitedBy":[]}"#;
        let quiet = [
            alert("a", r#"{"state":"suppressed","silencedBy":["x"],"inhibitedBy":[]}"#),
            alert("b", r#"{"state":"unprocessed","silencedBy":[],"inhibitedBy":[]}"#),
        ];
        assert_eq!(read(&quiet), Reading::Good { value: Some("0".into()) });
        let loud = [alert("b", active), alert("a", active), alert("b", active)];
        assert_eq!(read(&loud), Reading::Bad { value: Some("3".into()), reason: "3 alerts are firing: a, b".into() });
    }
}
