//! The test suites of Jinja2, PyYAML and CPython's configparser themselves: whatever they read, Hoist reads the same, or
//! refuses it in words that hoist.cfg(5) has.

use std::collections::BTreeMap;

use crate::files::{ini_differences, yaml_differences};
use crate::oracle::{Case, differences, python, suites};

#[test]
fn every_template_of_jinja2_s_own_tests_that_needs_nothing_but_itself_renders_the_same() {
    let folder = suites().join("jinja2");
    let recorded = python("record.py", &["jinja2", folder.to_str().unwrap()], "");
    let case = |(number, case): (usize, &serde_json::Value)| {
        let text = |name: &str| case[name].as_str().unwrap().to_owned();
        let templates: BTreeMap<String, String> = serde_json::from_value(case["templates"].clone()).unwrap();
        let own = Some((templates, text("variables")));
        Case { place: format!("case {number}"), template: text("template"), erb: false, yaml: false, own }
    };
    let cases: Vec<Case> = recorded.as_array().unwrap().iter().enumerate().map(case).collect();
    assert!(cases.len() > 380, "{}", cases.len());
    let wrong = differences(cases);
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_file_of_pyyaml_s_test_data_reads_the_same() {
    let folder = suites().join("pyyaml/tests/legacy_tests/data");
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        // What is not UTF-8 is for readers of other encodings.
        texts.extend(String::from_utf8(std::fs::read(entry.path()).unwrap()));
    }
    assert!(texts.len() > 500, "{}", texts.len());
    let wrong = yaml_differences(&texts);
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_file_of_python_s_tests_of_configparser_reads_the_same() {
    let texts: Vec<String> = serde_json::from_value(python("record.py", &["configparser"], "")).unwrap();
    assert!(texts.len() > 50, "{}", texts.len());
    let wrong = ini_differences(&texts);
    assert!(wrong.is_empty(), "{wrong}");
}
