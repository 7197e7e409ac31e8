//! A report as other programs read it: html5lib, and OpenTelemetry's classes.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::programs;

/// What is in a report of a format.
pub fn read(format: &str, report: &str) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/python/venv/bin/python");
    let arguments = [root.join("tests/report/read.py").into_os_string(), format.into()];
    let output = programs::run(Command::new(python).args(arguments), report);
    assert!(output.status.success(), "the {format} is not valid: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The texts of an array.
pub fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect()
}
