//! An instant query to Prometheus, or to another server with the same HTTP API.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::client;
use super::gate::Endpoint;
use super::http::{is_nan, judged};
use super::reading::Reading;
use super::require::Require;
use super::template::{Subject, Template, percent_encoded};

/// One series of a result.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its labels, in the order of the result.
    pub labels: Vec<(String, String)>,
    /// As written by Prometheus; it may be NaN.
    pub value: String,
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    data: Option<Data>,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Value,
}

#[derive(Deserialize)]
struct OneSeries {
    metric: serde_json::Map<String, Value>,
    value: (f64, String),
}

/// The result of a query, now or at a time in seconds since 1970.
///
/// # Errors
/// Why there is no answer.
pub fn query(
    endpoint: &Endpoint,
    query: &Template,
    subject: &Subject,
    time: Option<f64>,
    timeout: Duration,
) -> Result<Vec<Series>, String> {
    let base = endpoint.url.in_url(subject);
    let mut url = format!("{}/api/v1/query?query=", base.trim_end_matches('/'));
    url += &percent_encoded(&query.in_query(subject));
    if let Some(time) = time {
        url += &format!("&time={time:.3}");
    }
    let answer = client::get(endpoint, &url, timeout).map_err(client::Failure::into_text)?;
    let status = answer.status;
    match serde_json::from_str::<Answer>(&answer.body) {
        Ok(Answer { status, data: Some(data), .. }) if status == "success" => series(data),
        Ok(Answer { error: Some(error), .. }) => Err(format!("error from Prometheus: {}", client::excerpt(&error))),
        _ => Err(format!("not a response of Prometheus (HTTP status {status}): {}", answer.excerpt())),
    }
}

fn series(data: Data) -> Result<Vec<Series>, String> {
    let broken = |error: serde_json::Error| format!("cannot read the response of Prometheus: {error}");
    match data.result_type.as_str() {
        "scalar" => {
            let (_, value) = serde_json::from_value::<(f64, String)>(data.result).map_err(broken)?;
            Ok(vec![Series { labels: Vec::new(), value }])
        }
        "vector" => {
            let all: Vec<OneSeries> = serde_json::from_value(data.result).map_err(broken)?;
            let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
            Ok(all
                .into_iter()
                .map(|OneSeries { metric, value: (_, value) }| Series {
                    labels: metric.into_iter().map(|(name, label)| (name, text(label))).collect(),
                    value,
                })
                .collect())
        }
        other => Err(format!("the query returned a {other}: write one that returns a scalar or an instant vector")),
    }
}

/// Runs the query, and applies the requirement to every series that has a number.
pub fn ask(
    endpoint: &Endpoint,
    template: &Template,
    require: &Require,
    subject: &Subject,
    time: Option<f64>,
    timeout: Duration,
) -> Reading {
    match query(endpoint, template, subject, time, timeout) {
        Ok(series) => judge(series, require),
        Err(why) => Reading::NoAnswer(why),
    }
}

fn judge(mut series: Vec<Series>, require: &Require) -> Reading {
    if series.is_empty() {
        return Reading::NoData("the query returned no series".into());
    }
    series.retain(|series| !is_nan(&series.value));
    let several = series.len() > 1;
    let first = |held: Option<bool>| series.iter().position(|series| require.holds(&series.value) == held);
    let worst = first(None).or_else(|| first(Some(false))).unwrap_or(0);
    let Some(series) = series.get(worst) else {
        return Reading::NoData("the query returned NaN".into());
    };
    match judged(series.value.clone(), require) {
        Reading::Bad { value, reason } if several => {
            Reading::Bad { value, reason: format!("{reason} for {}", shown(&series.labels)) }
        }
        reading => reading,
    }
}

/// Labels in Prometheus' notation.
fn shown(labels: &[(String, String)]) -> String {
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    client::excerpt(&format!("{{{}}}", labels.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: &str, require: &str) -> Reading {
        let answer: Answer = serde_json::from_str(answer).unwrap();
        match series(answer.data.unwrap()) {
            Ok(series) => judge(series, &require.parse().unwrap()),
            Err(why) => Reading::NoAnswer(why),
        }
    }

    fn vector(values: &[(&str, &str)]) -> String {
        let series: Vec<String> = values
            .iter()
            .map(|(instance, value)| format!(r#"{{"metric":{{"instance":"{instance}"}},"value":[1.5,"{value}"]}}"#))
            .collect();
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}}}}"#, series.join(","))
    }

    #[test]
    fn every_series_has_to_be_as_required_and_the_one_that_is_not_is_named() {
        let good = |value: &str| Reading::Good { value: Some(value.into()) };
        assert_eq!(read(&vector(&[("a", "0.001")]), "< 0.01"), good("0.001"));
        assert_eq!(
            read(&vector(&[("a", "0"), ("b", "0.2")]), "< 0.01"),
            Reading::Bad { value: Some("0.2".into()), reason: "0.2 is not < 0.01 for {instance=\"b\"}".into() }
        );
        let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[1.5,"3"]}}"#;
        assert_eq!(read(scalar, ">= 3"), good("3"));
        assert_eq!(read(scalar, "> 3"), Reading::Bad { value: Some("3".into()), reason: "3 is not > 3".into() });
        assert_eq!(read(&vector(&[("a", "+Inf")]), "> 3"), good("+Inf"));
    }

    #[test]
    fn nothing_and_nan_are_no_data() {
        assert!(matches!(read(&vector(&[]), "< 1"), Reading::NoData(_)));
        assert!(matches!(read(&vector(&[("a", "NaN"), ("b", "NaN")]), "< 1"), Reading::NoData(_)));
        assert!(matches!(read(&vector(&[("a", "NaN"), ("b", "3")]), "< 1"), Reading::Bad { .. }));
        let matrix = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
        // Something that is not a number at all is not a valid response.
        assert!(matches!(read(&vector(&[("a", "0"), ("b", "x")]), "< 1"), Reading::NoAnswer(_)));
        assert!(matches!(read(matrix, "< 1"), Reading::NoAnswer(why) if why.contains("returned a matrix")));
    }
}
