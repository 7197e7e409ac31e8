//! Licences and sources of the dependencies, held to deny.toml with no tool but cargo.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use spdx::{Expression, ParseMode};

/// The texts of a list in deny.toml.
fn list_in_deny_toml(key: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml")).unwrap();
    let (_, rest) = text.split_once(&format!("\n{key} = [")).unwrap_or_else(|| panic!("deny.toml has no list {key}"));
    let (list, _) = rest.split_once(']').unwrap();
    let found: BTreeSet<String> = list.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    assert!(!found.is_empty(), "deny.toml: {key} is empty");
    found
}

/// The packages that a build on this machine takes, those of the tests too, Hoist itself among them.
fn packages() -> Vec<Value> {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", &platform])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = answer["packages"].as_array().unwrap().clone();
    assert!(packages.len() > 50, "{} packages only", packages.len());
    packages
}

/// What a package's licence asks for that is not allowed; nothing if all is well.
fn objection(licence: Option<&str>, allowed: &BTreeSet<String>) -> Option<String> {
    let Some(licence) = licence else { return Some("names no licence".into()) };
    let expression = match Expression::parse_mode(licence, ParseMode::LAX) {
        Ok(expression) => expression,
        Err(error) => return Some(format!("{licence:?} cannot be read: {error}")),
    };
    let holds = expression.evaluate(|wanted| allowed.contains(&wanted.to_string()));
    (!holds).then(|| format!("{licence} is not allowed"))
}

#[test]
fn every_dependency_has_a_licence_that_deny_toml_allows() {
    let allowed = list_in_deny_toml("allow");
    let objections: Vec<String> = packages()
        .iter()
        .filter_map(|package| {
            let why = objection(package["license"].as_str(), &allowed)?;
            Some(format!("{} {}: {why}", package["name"], package["version"]))
        })
        .collect();
    assert!(objections.is_empty(), "licences against deny.toml:\n{}", objections.join("\n"));
}

#[test]
fn no_licence_is_allowed_that_no_dependency_needs() {
    let allowed = list_in_deny_toml("allow");
    let packages = packages();
    for licence in &allowed {
        let without: BTreeSet<String> = allowed.iter().filter(|other| *other != licence).cloned().collect();
        let named = |package: &Value| package["license"].as_str().is_some_and(|text| text.contains(licence.as_str()));
        let needed = packages.iter().any(|it| objection(it["license"].as_str(), &without).is_some() || named(it));
        assert!(needed, "deny.toml allows {licence}, and nothing needs it");
    }
}

#[test]
fn every_dependency_comes_from_a_registry_that_deny_toml_allows() {
    let allowed = list_in_deny_toml("allow-registry");
    for package in packages() {
        let source = package["source"].as_str();
        let ours = source.is_none() && package["name"] == "hoist";
        let known = source.and_then(|it| it.strip_prefix("registry+")).is_some_and(|it| allowed.contains(it));
        assert!(ours || known, "{} comes from {source:?}", package["name"]);
    }
}

#[test]
fn every_crate_that_is_linked_is_in_the_list_of_the_packages_with_the_text_of_its_licence() {
    let output = |command: &mut Command| {
        let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let list = output(Command::new("python3").arg("tools/third_party.py"));
    let (parts, texts) = list.split_once("\n------").unwrap();
    let tree = ["tree", "--locked", "--offline", "-e", "normal", "--prefix", "none", "--format", "{p}"];
    let tree = output(Command::new(env!("CARGO")).args(tree));
    let linked: BTreeSet<&str> =
        tree.lines().filter_map(|line| line.split_once(" (").map_or(Some(line), |_| None)).collect();
    assert!(linked.len() > 50, "{tree}");
    for package in linked {
        let named = package.replacen(" v", " ", 1);
        let line =
            parts.lines().find(|line| line.starts_with(&named)).unwrap_or_else(|| panic!("{named} is not listed"));
        assert!(line.contains("; text "), "{line}");
    }
    for (library, words) in [("OpenSSL", "Apache License"), ("libssh2", "Sara Golemon"), ("zlib", "Jean-loup Gailly")] {
        assert!(parts.contains(&format!(", with {library}: ")) && texts.contains(words), "{library}");
    }
    // Each text once.
    assert_eq!(texts.matches("Sara Golemon").count(), 1);
}

#[test]
fn a_licence_that_is_not_allowed_is_found() {
    let allowed = list_in_deny_toml("allow");
    let found = |licence: &str| objection(Some(licence), &allowed);
    for good in ["MIT", "MIT/Apache-2.0", "GPL-3.0-only OR MIT", "(MIT OR GPL-2.0-only) AND Zlib"] {
        assert_eq!(found(good), None, "{good}");
    }
    for bad in ["GPL-3.0-only", "MIT AND GPL-3.0-only", "Apache-2.0 WITH LLVM-exception", "MIT OR", "my own"] {
        assert!(found(bad).is_some(), "{bad}");
    }
    assert!(objection(None, &allowed).is_some());
}
