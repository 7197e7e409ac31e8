//! YAML and INI files through Python's readers and Hoist's.

use hoist::fuzzing;
use serde_json::{Value, json};

use crate::oracle::oracle;

/// A value of Hoist's as `oracle.py` writes values down.
fn plain(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(keys) => match keys.iter().next() {
            Some((tag, value)) if keys.len() == 1 && tag.starts_with('!') => match tag.as_str() {
                "!int" => json!({ "int": value }),
                "!date" => json!({ "date": value }),
                "!float" => json!({ "float": value.as_str().unwrap().to_lowercase() }),
                _ => json!({ "map": plain(value) }),
            },
            _ => json!({ "map": keys.iter().map(|(key, value)| json!([key, plain(value)])).collect::<Vec<_>>() }),
        },
        Value::Number(number)
            if number.as_f64().is_some_and(|it| it.abs() >= 9007199254740992.0) && !number.is_f64() =>
        {
            json!({ "int": number.to_string() })
        }
        other => other.clone(),
    }
}

/// What Hoist refuses although PyYAML reads it, by its own words; hoist.cfg(5) lists each.
const REFUSED: &[&str] = &[
    "duplicate key",
    "unknown tag",
    "too many digits",
    "nested deeper than 32",
    "an alias refers to a value that contains it",
    "the character U+0085",
    "the character U+2028",
    "the character U+2029",
    "the character U+FEFF",
    "surrogate",
    "simple key expected",
    "quote text that contains ?",
    "cannot start with '-'",
    "may not precede any of",
];

/// Those of the texts that Hoist reads otherwise than PyYAML, for people; empty where there are none.
pub fn yaml_differences(texts: &[String]) -> String {
    let answers = oracle(&json!({"render": [], "templates": {}, "variables": "", "yaml": texts, "ini": []}));
    let mut wrong = String::new();
    for (text, theirs) in texts.iter().zip(answers["yaml"].as_array().unwrap()) {
        let ours = fuzzing::yaml(text).map(|value| plain(&value));
        let same = match (&ours, theirs.get("ok")) {
            (Ok(ours), Some(theirs)) => ours == theirs,
            (Err(_), None) => true,
            (Err(why), Some(_)) => REFUSED.iter().any(|known| why.contains(known)),
            (Ok(_), None) => false,
        };
        if !same {
            wrong += &format!("{text}\n  pyyaml: {theirs}\n  hoist:  {ours:?}\n");
        }
    }
    wrong
}

/// As [`yaml_differences`], of INI files and ConfigParser.
pub fn ini_differences(texts: &[String]) -> String {
    let answers = oracle(&json!({"render": [], "templates": {}, "variables": "", "yaml": [], "ini": texts}));
    let mut wrong = String::new();
    for (text, theirs) in texts.iter().zip(answers["ini"].as_array().unwrap()) {
        let sorted = |value: Value| {
            let mut sections: Vec<(String, Vec<(String, String)>)> = serde_json::from_value(value).unwrap();
            sections.iter_mut().for_each(|(_, items)| items.sort());
            sections
        };
        let ours = fuzzing::ini(text.as_bytes()).map(|sections| sorted(json!(sections)));
        let same = match (&ours, theirs.get("ok")) {
            (Ok(ours), Some(theirs)) => *ours == sorted(theirs.clone()),
            (Err(_), None) => true,
            _ => false,
        };
        if !same {
            wrong += &format!("{text:?}\n  configparser: {theirs}\n  hoist:        {ours:?}\n");
        }
    }
    wrong
}

/// As [`yaml_differences`], of the words of commands and `shlex.split`.
pub fn differences_of_words(texts: &[String]) -> String {
    let asked = json!({"render": [], "templates": {}, "variables": "", "yaml": [], "ini": [], "words": texts});
    let answers = oracle(&asked);
    let theirs = answers["words"].as_array().unwrap().iter().map(|it| it.get("ok").cloned().unwrap_or_default());
    let both = texts.iter().zip(theirs).map(|(text, theirs)| (text, theirs, json!(fuzzing::words(text))));
    both.filter(|(_, theirs, ours)| theirs != ours)
        .map(|(text, theirs, ours)| format!("{text:?}\n  shlex: {theirs}\n  hoist: {ours}\n"))
        .collect()
}
