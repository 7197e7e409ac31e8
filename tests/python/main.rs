//! What was written for Python reads the same here. Templates render byte for byte as jinja2 renders them: each one of
//! `lines/` (one a line) and of `blocks/` (one below each `===`) goes through both. `yaml.txt` and `ini.txt` go through
//! PyYAML and ConfigParser.
//!
//! What Hoist does not do, it refuses: such templates stand in `refused.txt`, and jinja2 renders them.

mod files;
mod matrix;
mod oracle;
mod patterns;
#[path = "../common/programs.rs"]
mod programs;
mod suites;

use std::collections::BTreeMap;

use files::{differences_of_words, ini_differences, yaml_differences};
use oracle::{Case, both, differences, files_below, folder, read};

/// One template a line.
fn lines(name: &str, text: &str) -> Vec<Case> {
    let case = |(number, line): (usize, &str)| Case {
        place: format!("{name}:{}", number + 1),
        template: line.to_owned(),
        erb: false,
        yaml: false,
        own: None,
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
            own: None,
        }
    };
    blocks.map(case).collect()
}

/// The cases of both folders.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (folder_name, split) in [("lines", lines as fn(&str, &str) -> Vec<Case>), ("blocks", blocks)] {
        let mut found = BTreeMap::new();
        files_below(&folder().join(folder_name), "", &mut found);
        found.iter().for_each(|(name, text)| cases.extend(split(name, text)));
    }
    cases
}

#[test]
fn every_template_renders_byte_for_byte_as_jinja2_renders_it_or_fails_as_it_does() {
    let cases = cases();
    assert!(cases.len() > 300, "{}", cases.len());
    let wrong = differences(cases);
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn what_hoist_cannot_render_as_jinja2_does_is_refused_with_template_and_line() {
    let text = read(&folder().join("refused.txt"));
    let mut wrong = String::new();
    for (case, ours, theirs) in both(lines("refused.txt", &text)) {
        match (&ours, &theirs) {
            // Nothing of the variables is told.
            (Err(why), Ok(_)) if why.starts_with("/etc/x: template the.j2 line 1: ") => {
                assert!(!why.contains("8080") && !why.contains("eqiad"), "{why}");
            }
            _ => wrong += &format!("{}: {}\n  jinja2: {theirs:?}\n  hoist:  {ours:?}\n", case.place, case.template),
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn no_variable_is_told_to_be_undefined_that_jinja2_does_not_look_for() {
    let texts: Vec<String> = cases().into_iter().filter(|it| !it.erb).map(|it| it.template).collect();
    let asked = serde_json::json!({"undeclared": texts, "render": [], "templates": {}, "variables": "", "yaml": [],
        "ini": []});
    let answers = oracle::oracle(&asked)["undeclared"].as_array().unwrap().clone();
    let (mut told, mut wrong) = (0, String::new());
    for (text, theirs) in texts.iter().zip(answers) {
        let Some(theirs) = theirs["ok"].as_array() else { continue };
        for name in oracle::undefined(text) {
            told += 1;
            if theirs.iter().all(|known| known.as_str() != Some(&name)) {
                wrong += &format!("{name}: {text}\n");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(told > 300, "{told}");
}

/// The texts of a file of cases, one a line, with `\n` and the like for what no line can hold.
fn texts(name: &str) -> Vec<String> {
    let unescape = |line: &str| line.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t");
    read(&folder().join(name)).lines().filter(|line| !line.is_empty()).map(unescape).collect()
}

#[test]
fn yaml_has_the_values_that_pyyaml_gives_it_or_is_refused() {
    let texts = texts("yaml.txt");
    let wrong = yaml_differences(&texts);
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn commands_have_the_words_that_shlex_gives_them() {
    let texts = texts("words.txt");
    assert!(texts.len() > 20);
    let wrong = differences_of_words(&texts);
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn ini_files_have_the_keys_and_values_that_configparser_gives_them_or_are_refused() {
    let texts = texts("ini.txt");
    let wrong = ini_differences(&texts);
    assert!(wrong.is_empty(), "{wrong}");
}
