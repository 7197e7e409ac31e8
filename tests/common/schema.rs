//! `schema/output.json`, which JSON output is held to.

use serde_json::{Value, json};

/// The schema as it is published.
pub fn schema() -> Value {
    let text = include_str!("../../schema/output.json");
    serde_json::from_str(text).unwrap()
}

/// The name of one answer in the schema, and what judges it.
pub struct Answer(&'static str, jsonschema::Validator);

impl Answer {
    /// One of the schema's definitions: `status`, `event` …
    pub fn named(name: &'static str) -> Answer {
        let mut schema = schema();
        let whole = schema.as_object_mut().unwrap();
        whole.remove("anyOf");
        whole.insert("$ref".into(), json!(format!("#/$defs/{name}")));
        Answer(name, jsonschema::validator_for(&schema).unwrap())
    }

    /// Fails the test unless a value is as the schema says.
    #[track_caller]
    pub fn holds(&self, value: &Value) {
        let errors: Vec<String> =
            self.1.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "no {} of schema/output.json:\n{value}\n{}", self.0, errors.join("\n"));
    }
}
