//! What was written for Python reads the same here. Templates render byte for byte as jinja2 renders them: each one of
//! `lines/` (one a line) and of `blocks/` (one below each `===`) goes through both. `yaml.txt` and `ini.txt` go through
//! PyYAML and ConfigParser.
//!
//! What Hoist does not do, it refuses: such templates stand in `refused.txt`, and jinja2 renders them.

mod patterns;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hoist::fuzzing;
use hoist::wire::{ConfigFile, OutputFormat};
use indexmap::IndexMap;
use serde_json::{Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files below a folder, by their path below it.
fn files(folder: &Path, prefix: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            files(&entry.path(), &format!("{name}/"), found);
        } else {
            found.insert(name, read(&entry.path()));
        }
    }
}

/// What Python makes of it.
fn oracle(asked: &Value) -> Value {
    let mut python = Command::new("python3")
        .arg(folder().join("oracle.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 can be run: make deps installs it, with its jinja2 and yaml");
    python.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "python3 failed: make deps installs its jinja2 and yaml");
    serde_json::from_slice(&output.stdout).unwrap()
}

struct Case {
    place: String,
    template: String,
    erb: bool,
    yaml: bool,
}

/// One template a line.
fn lines(name: &str, text: &str) -> Vec<Case> {
    let case = |(number, line): (usize, &str)| Case {
        place: format!("{name}:{}", number + 1),
        template: line.to_owned(),
        erb: false,
        yaml: false,
    };
    text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with("## ")).map(case).collect()
}

/// One template below each line `=== what it shows`.
fn blocks(name: &str, text: &str) -> Vec<Case> {
    let blocks = text.strip_prefix("=== ").expect("a file of blocks begins with one").split("\n=== ");
    let case = |block: &str| {
        let (title, template) = block.split_once('\n').unwrap();
        Case {
            place: format!("{name}: {title}"),
            template: format!("{template}\n"),
            erb: title.contains("(erb)"),
            yaml: title.contains("(yaml)"),
        }
    };
    blocks.map(case).collect()
}

fn ours(case: &Case, templates: &BTreeMap<String, String>, variables: &str) -> Result<String, String> {
    let mut templates: IndexMap<String, String> = templates.clone().into_iter().collect();
    templates.insert("the.j2".into(), case.template.clone());
    let format = if case.yaml { OutputFormat::Yaml } else { OutputFormat::Text };
    let (path, template) = ("/etc/x".to_owned(), "the.j2".to_owned());
    let file = ConfigFile { path, template, remote_vars: None, erb_syntax: case.erb, format };
    fuzzing::render(&templates, &file, variables)
}

/// What came of a case.
type Outcome = Result<String, String>;

/// Each case with Hoist's answer and Python's.
fn both(cases: Vec<Case>) -> Vec<(Case, Outcome, Outcome)> {
    let mut templates = BTreeMap::new();
    files(&folder().join("templates"), "", &mut templates);
    let variables = read(&folder().join("vars.yaml"));
    let of = |case: &Case| json!({"template": case.template, "erb": case.erb, "yaml": case.yaml});
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

/// The cases of both folders.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (folder_name, split) in [("lines", lines as fn(&str, &str) -> Vec<Case>), ("blocks", blocks)] {
        let mut found = BTreeMap::new();
        files(&folder().join(folder_name), "", &mut found);
        found.iter().for_each(|(name, text)| cases.extend(split(name, text)));
    }
    cases
}

#[test]
fn every_template_renders_byte_for_byte_as_jinja2_renders_it_or_fails_as_it_does() {
    let cases = cases();
    assert!(cases.len() > 300, "{}", cases.len());
    let mut wrong = String::new();
    for (case, ours, theirs) in both(cases) {
        let same = match (&ours, &theirs) {
            (Ok(ours), Ok(theirs)) => ours == theirs,
            (Err(_), Err(_)) => true,
            _ => false,
        };
        if !same {
            wrong += &format!("{}: {}\n  jinja2: {theirs:?}\n  hoist:  {ours:?}\n", case.place, case.template);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn what_hoist_cannot_render_as_jinja2_does_is_refused_with_template_and_line() {
    let text = read(&folder().join("refused.txt"));
    for (case, ours, theirs) in both(lines("refused.txt", &text)) {
        assert!(theirs.is_ok(), "{}: jinja2 refuses it too: {theirs:?}", case.place);
        let why = ours.expect_err(&case.template);
        assert!(why.starts_with("/etc/x: template the.j2 line 1: "), "{}: {why}", case.template);
        // Nothing of the variables is told.
        assert!(!why.contains("8080") && !why.contains("eqiad"), "{why}");
    }
}

/// The texts of a file of cases, one a line, with `\n` and the like for what no line can hold.
fn texts(name: &str) -> Vec<String> {
    let unescape = |line: &str| line.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t");
    read(&folder().join(name)).lines().filter(|line| !line.is_empty()).map(unescape).collect()
}

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

#[test]
fn yaml_has_the_values_that_pyyaml_gives_it_or_is_refused() {
    let texts = texts("yaml.txt");
    let answers = oracle(&json!({"render": [], "templates": {}, "variables": "", "yaml": texts, "ini": []}));
    let mut wrong = String::new();
    for (text, theirs) in texts.iter().zip(answers["yaml"].as_array().unwrap()) {
        let ours = fuzzing::yaml(text).map(|value| plain(&value));
        // Hoist may refuse more than PyYAML does: a key that stands twice, a tag of YAML's rarer types.
        let rare =
            ["!!binary", "!!set", "!custom", "a: 1\na: 2", "1: one\ntrue:", "9999999999999999999999999999999999999999"];
        let same = match (&ours, theirs.get("ok")) {
            (Ok(ours), Some(theirs)) => ours == theirs,
            (Err(_), None) => true,
            (Err(_), Some(_)) => rare.iter().any(|rare| text.contains(rare)),
            // A tab at the start of a line, which PyYAML refuses, is a blank.
            (Ok(_), None) => text.starts_with('\t'),
        };
        if !same {
            wrong += &format!("{text}\n  pyyaml: {theirs}\n  hoist:  {ours:?}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn ini_files_have_the_keys_and_values_that_configparser_gives_them_or_are_refused() {
    let texts = texts("ini.txt");
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
    assert!(wrong.is_empty(), "{wrong}");
}
