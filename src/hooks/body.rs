//! The body of a webhook: a text with variables, whose values are escaped for its content type.

use std::fmt::Write;
use std::str::FromStr;

use crate::named::named;
use crate::placeholders::Placeholders;
use crate::text::meant_or_known;

use super::announcement::Announcement;
use super::variables::{VARIABLES, value};

/// Variables that exist only in bodies.
const MORE: [&str; 4] = ["json", "time", "time_ms", "began_ms"];

named! {
    /// The format of a body, which decides how values of variables are escaped. Each has its `Content-Type`.
    pub enum ContentType: "content_type" => header: &'static str {
        /// A value is the inside of a JSON string.
        Json = "json" => "application/json",
        /// A value is percent-encoded.
        Form = "form" => "application/x-www-form-urlencoded",
        /// A value is not escaped.
        Text = "text" => "text/plain; charset=utf-8",
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Variable {
    Named(&'static str),
    /// The time, this many seconds later.
    Later(u64),
    Json,
    /// Milliseconds since 1970.
    TimeMs,
    BeganMs,
}

fn variable(name: &str) -> Result<Variable, String> {
    if let Some((time, later)) = name.split_once('+')
        && time.trim() == "time"
    {
        let later = later.trim();
        let wrong = || format!("bad duration {later:?} in {{{{ {name} }}}}: write 90s, 30m or 2h");
        let (digits, unit) = later.split_at(later.len().saturating_sub(1));
        let unit = [("s", 1), ("m", 60), ("h", 3600)].into_iter().find(|(word, _)| *word == unit).ok_or_else(wrong)?.1;
        let number: u64 = digits.parse().ok().filter(|number| *number <= 100_000).ok_or_else(wrong)?;
        return Ok(Variable::Later(number * unit));
    }
    match name {
        "json" => return Ok(Variable::Json),
        "time" => return Ok(Variable::Later(0)),
        "time_ms" => return Ok(Variable::TimeMs),
        "began_ms" => return Ok(Variable::BeganMs),
        _ => {}
    }
    let known: Vec<&str> = VARIABLES.into_iter().chain(MORE).collect();
    let unknown = || format!("unknown variable {name:?}{}", meant_or_known(name, "variables", &known));
    VARIABLES.into_iter().find(|known| *known == name).map(Variable::Named).ok_or_else(unknown)
}

/// A body with variables.
#[derive(Debug, Clone, PartialEq)]
pub struct Body(Placeholders<Variable>);

impl FromStr for Body {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Placeholders::parse(text, variable).map(Body)
    }
}

impl Body {
    /// The body for an announcement.
    pub fn fill(&self, announcement: &Announcement, content: ContentType) -> String {
        let encode = |text: String| match content {
            ContentType::Json => {
                let quoted = serde_json::Value::String(text).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
            ContentType::Form => percent_encoded(&text),
            ContentType::Text => text,
        };
        let ms = |time: &str| {
            crate::clock::seconds_between("1970-01-01T00:00:00Z", time).map(|it| format!("{:.0}", it * 1000.0))
        };
        self.0.fill(|variable| match variable {
            Variable::Json if content == ContentType::Json => json(announcement),
            Variable::Json => encode(json(announcement)),
            Variable::Named(name) => encode(value(announcement, name)),
            Variable::Later(0) => encode(announcement.time.clone()),
            Variable::Later(seconds) => encode(later(&announcement.time, *seconds)),
            Variable::TimeMs => encode(ms(&announcement.time).unwrap_or_default()),
            Variable::BeganMs => encode(ms(&announcement.about.began).unwrap_or_default()),
        })
    }
}

/// The announcement as JSON.
pub fn json(announcement: &Announcement) -> String {
    // It is plain data, so this cannot fail.
    let mut object = serde_json::to_value(announcement).unwrap_or_default();
    if let Some(object) = object.as_object_mut() {
        object.insert("text".into(), announcement.text().into());
    }
    object.to_string()
}

fn later(time: &str, seconds: u64) -> String {
    let since = crate::clock::seconds_between("1970-01-01T00:00:00Z", time).unwrap_or_default();
    crate::clock::utc_of(since as u64 + seconds).unwrap_or_default()
}

/// Every byte that is not unreserved (RFC 3986) as `%XX`.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => encoded.push(byte.into()),
            false => drop(write!(encoded, "%{byte:02X}")),
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hooks::EventKind;

    fn sample() -> Announcement {
        let mut sample = Announcement::sample(EventKind::Finished, "page", Some("beta"), ("op", "deploy1"));
        sample.about.message = "a \"quoted\"\nline & more".into();
        sample.time = "2026-11-26T10:00:00.250Z".into();
        sample
    }

    fn fill(text: &str, content: ContentType) -> String {
        text.parse::<Body>().unwrap().fill(&sample(), content)
    }

    #[test]
    fn a_variable_stays_inside_its_string() {
        let body = fill(r#"{"text": "{{ message }}", "at": {{ time_ms }}, "all": {{ json }}}"#, ContentType::Json);
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["text"], "a \"quoted\"\nline & more");
        assert_eq!(body["at"], 1_795_687_200_250_u64);
        assert_eq!((&body["all"]["event"], &body["all"]["test"]), (&"finished".into(), &true.into()));
        assert_eq!(fill("m={{ message }}", ContentType::Form), "m=a%20%22quoted%22%0Aline%20%26%20more");
        assert_eq!(fill("{{ repository }}/{{ environment }}", ContentType::Text), "page/beta");
    }

    #[test]
    fn a_time_may_be_so_much_later() {
        assert_eq!(fill("{{ time + 30m }}", ContentType::Text), "2026-11-26T10:30:00Z");
        for wrong in ["{{ time + 30 }}", "{{ time + -1m }}", "{{ time +  }}", "{{ tiem }}"] {
            assert!(wrong.parse::<Body>().is_err(), "{wrong}");
        }
        assert_eq!("{{ tiem }}".parse::<Body>().unwrap_err(), "unknown variable \"tiem\": did you mean \"time\"?");
    }
}
