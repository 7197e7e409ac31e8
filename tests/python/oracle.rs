//! Python, its own readers, and what they make of templates and files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hoist::fuzzing;
use hoist::wire::{ConfigFile, OutputFormat};
use indexmap::IndexMap;
use serde_json::{Value, json};

use super::programs;

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python")
}

/// Where `make deps` puts Python's readers and their own tests.
pub fn suites() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python")
}

pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}; make deps makes it", path.display()))
}

/// The files below a folder, by their path below it.
pub fn files_below(folder: &Path, prefix: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            files_below(&entry.path(), &format!("{name}/"), found);
        } else {
            found.insert(name, read(&entry.path()));
        }
    }
}

/// Runs one of this folder's programs with the Python of `make deps`; gives the JSON that it prints.
pub fn python(program: &str, arguments: &[&str], input: &str) -> Value {
    let interpreter = suites().join("venv/bin/python");
    assert!(interpreter.exists(), "{} is missing: make deps makes it", interpreter.display());
    let output = programs::run(Command::new(interpreter).arg(folder().join(program)).args(arguments), input);
    assert!(output.status.success(), "{program} failed: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What Python makes of templates, YAML files and INI files.
pub fn oracle(asked: &Value) -> Value {
    python("oracle.py", &[], &asked.to_string())
}

/// A template to be rendered by both.
#[derive(Clone)]
pub struct Case {
    /// For messages.
    pub place: String,
    pub template: String,
    pub erb: bool,
    pub yaml: bool,
    /// The templates and variables of its own, for a case that does not go by those of the folder.
    pub own: Option<(BTreeMap<String, String>, String)>,
}

/// What came of a case.
pub type Outcome = Result<String, String>;

fn ours(case: &Case, templates: &BTreeMap<String, String>, variables: &str) -> Outcome {
    let (templates, variables) = case.own.as_ref().map_or((templates, variables), |(own, given)| (own, given));
    let mut templates: IndexMap<String, String> = templates.clone().into_iter().collect();
    templates.insert("the.j2".into(), case.template.clone());
    let format = if case.yaml { OutputFormat::Yaml } else { OutputFormat::Text };
    let (path, template) = ("/etc/x".to_owned(), "the.j2".to_owned());
    let file = ConfigFile { path, template, erb_syntax: case.erb, format, ..ConfigFile::default() };
    fuzzing::render(&templates, &file, variables)
}

/// The variables of a template that Hoist tells to be undefined, where none is set.
pub fn undefined(template: &str) -> Vec<String> {
    let (path, name) = ("/etc/x".to_owned(), "the.j2".to_owned());
    let file = ConfigFile { path, template: name, ..ConfigFile::default() };
    fuzzing::undefined(template, &file)
}

/// Each case with Hoist's answer and Python's.
pub fn both(cases: Vec<Case>) -> Vec<(Case, Outcome, Outcome)> {
    let mut templates = BTreeMap::new();
    files_below(&folder().join("templates"), "", &mut templates);
    let variables = read(&folder().join("vars.yaml"));
    let of = |case: &Case| {
        let mut asked = json!({"template": case.template, "erb": case.erb, "yaml": case.yaml});
        if let Some((templates, variables)) = &case.own {
            asked["templates"] = json!(templates);
            asked["variables"] = json!(variables);
        }
        asked
    };
    let asked = json!({"render": cases.iter().map(of).collect::<Vec<_>>(), "templates": templates,
        "variables": variables, "yaml": [], "ini": []});
    let answers = oracle(&asked)["render"].as_array().unwrap().clone();
    let theirs = answers.into_iter().map(|answer| match answer["ok"].as_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(answer["error"].as_str().unwrap().to_owned()),
    });
    let ours: Vec<_> = cases.iter().map(|case| ours(case, &templates, &variables)).collect();
    cases.into_iter().zip(ours).zip(theirs).map(|((case, ours), theirs)| (case, ours, theirs)).collect()
}

/// What Hoist refuses although Jinja2 renders it, by its own words; hoist.cfg(5) lists each.
const REFUSED: &[&str] = &[
    "the filter random is not supported",
    "the filter urlize is not supported",
    "lipsum is not supported",
    "cannot be printed",
    "a generator cannot be printed",
    "is a method of ",
    "autoescape is not supported",
    "escape it afterwards",
    "more than 38 digits",
    "is internal to Python",
    "written by its name",
    "has a nested field",
    "cannot be *: write the number",
    "uses an attribute: write [key]",
    "pprint of a value that needs more than one line",
    "is not supported for this text",
    "sameas of values that may be different objects",
    "wordwrap of text with a dash",
    "is too large",
    "a power that is a complex number",
    "the text grows beyond",
    "are not supported as sets",
    "a slice cannot be applied",
    "include without context within",
];

/// Those of the cases that Hoist renders otherwise than Jinja2, for people; empty where there are none.
pub fn differences(cases: Vec<Case>) -> String {
    let mut wrong = String::new();
    for (case, ours, theirs) in both(cases) {
        let same = match (&ours, &theirs) {
            (Ok(ours), Ok(theirs)) => ours == theirs,
            (Err(_), Err(_)) => true,
            (Err(why), Ok(_)) => REFUSED.iter().any(|known| why.contains(known)),
            (Ok(_), Err(_)) => false,
        };
        if !same {
            wrong += &format!("{}: {}\n  jinja2: {theirs:?}\n  hoist:  {ours:?}\n", case.place, case.template);
        }
    }
    wrong
}
