//! A report as other programs read it: html5lib, and OpenTelemetry's classes.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// What is in a report of a format.
pub fn read(format: &str, report: &str) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/python/venv/bin/python");
    let mut reader = Command::new(&python)
        .args([root.join("tests/report/read.py").as_os_str(), format.as_ref()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}: run `make deps`", python.display()));
    let mut stdin = reader.stdin.take().unwrap();
    let report = report.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(report.as_bytes()));
    let output = reader.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "the {format} is not valid: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The texts of an array.
pub fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect()
}
