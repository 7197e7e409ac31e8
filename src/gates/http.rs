//! Checks a web page: its status, its text, a value in its JSON.

use std::time::Duration;

use serde_json::Value;

use super::client;
use super::gate::{Endpoint, Statuses};
use super::reading::Reading;
use super::require::{Require, number};
use super::template::Subject;

/// Requests the page and checks it. If the service does not respond, the sample is bad.
pub fn ask(
    endpoint: &Endpoint,
    (statuses, body, json): (&Statuses, Option<&str>, Option<&(String, Require)>),
    subject: &Subject,
    timeout: Duration,
) -> Reading {
    let answer = match client::get(endpoint, &endpoint.url.in_url(subject), timeout) {
        Ok(answer) => answer,
        Err(client::Failure::Setup(why)) => return Reading::NoAnswer(why),
        Err(client::Failure::Silent(why)) => return Reading::Bad { value: None, reason: why },
    };
    let status = answer.status.to_string();
    if !statuses.contain(answer.status) {
        let said = answer.excerpt();
        let said = if said.is_empty() { said } else { format!(": {said}") };
        return Reading::Bad { reason: format!("HTTP status {status}{said}"), value: Some(status) };
    }
    if let Some(wanted) = body.filter(|wanted| !answer.body.contains(wanted)) {
        let reason = format!("the response does not contain {wanted:?}: {}", answer.excerpt());
        return Reading::Bad { value: Some(status), reason };
    }
    match json {
        Some((pointer, require)) => of_json(&answer.body, pointer, require),
        None => Reading::Good { value: Some(status) },
    }
}

/// Evaluates the value at a JSON pointer.
fn of_json(body: &str, pointer: &str, require: &Require) -> Reading {
    let Ok(root) = serde_json::from_str::<Value>(body) else {
        return Reading::NoAnswer(format!("the response is not JSON: {}", client::excerpt(body)));
    };
    let value = match root.pointer(pointer) {
        None | Some(Value::Null) => return Reading::NoData(format!("the response has no value at {pointer:?}")),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(value)) => value.to_string(),
        Some(Value::Number(value)) => value.to_string(),
        Some(Value::Array(_) | Value::Object(_)) => {
            return Reading::NoAnswer(format!("the value at {pointer:?} in the response is neither a number nor text"));
        }
    };
    judged(value, require)
}

/// Evaluates a value.
pub(super) fn judged(value: String, require: &Require) -> Reading {
    match require.holds(&value) {
        Some(true) => Reading::Good { value: Some(value) },
        Some(false) => Reading::Bad { reason: format!("{} is not {require}", shown(&value)), value: Some(value) },
        None if is_nan(&value) => Reading::NoData("the value is NaN".into()),
        // An unreadable value is not a missing one, which some gates treat as good.
        None => Reading::NoAnswer(format!("{} is not a number", shown(&value))),
    }
}

/// Whether it is NaN.
pub(super) fn is_nan(value: &str) -> bool {
    value.trim().parse::<f64>().is_ok_and(f64::is_nan)
}

fn shown(value: &str) -> String {
    if number(value).is_some() { value.to_owned() } else { format!("{:?}", client::excerpt(value)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(body: &str, pointer: &str, require: &str) -> Reading {
        of_json(body, pointer, &require.parse().unwrap())
    }

    #[test]
    fn a_json_pointer_gives_the_value_that_is_required() {
        let body = r#"{"queue": {"length": 7, "lag": "0.5"}, "a/b": [{"ok": true}], "state": "green", "none": null}"#;
        let good = |value: &str| Reading::Good { value: Some(value.into()) };
        assert_eq!(at(body, "/queue/length", "< 10"), good("7"));
        assert_eq!(at(body, "/queue/lag", "< 1"), good("0.5"));
        assert_eq!(at(body, "/a~1b/0/ok", "== true"), good("true"));
        assert_eq!(at(body, "/state", "== green"), good("green"));
        let bad = Reading::Bad { value: Some("7".into()), reason: "7 is not < 5".into() };
        assert_eq!(at(body, "/queue/length", "< 5"), bad);
        for pointer in ["/none", "/x"] {
            assert!(matches!(at(body, pointer, "< 1"), Reading::NoData(_)), "{pointer}");
        }
        // An unexpected page is treated as no answer, not as one without a value.
        for pointer in ["/queue", "/state"] {
            assert!(matches!(at(body, pointer, "< 1"), Reading::NoAnswer(_)), "{pointer}");
        }
        assert!(matches!(at("<html>", "/x", "< 1"), Reading::NoAnswer(why) if why.contains("not JSON")));
    }
}
