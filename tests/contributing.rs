//! What CONTRIBUTING.md, README.md and SECURITY.md name is there, and the promised Rust version is the same everywhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands between backticks, fences left out.
fn quoted(text: &str) -> Vec<String> {
    let prose: String = text.split("```").step_by(2).collect();
    prose.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The paths that a document names: they begin with a folder of the project, or are files of its root.
fn paths(text: &str) -> BTreeSet<String> {
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let ours = |name: &String| {
        let first = name.split('/').next().unwrap_or_default();
        let of_root = !name.contains('/') && [".md", ".toml", ".lock"].iter().any(|end| name.ends_with(end));
        of_root || (name.contains('/') && !first.is_empty() && root().join(first).is_dir())
    };
    quoted(text).into_iter().chain(links.map(str::to_owned)).filter(ours).collect()
}

#[test]
fn every_file_that_a_page_at_the_root_names_is_there() {
    for page in ["CONTRIBUTING.md", "SECURITY.md", "README.md", "DESIGN.md"] {
        for path in paths(&read(page)) {
            // NAME stands for what is to be added: the folder has to be there.
            let wanted = if path.contains("NAME") { path.rsplit_once('/').unwrap().0 } else { &path };
            assert!(root().join(wanted).exists(), "{page} names {path}, which is not there");
        }
    }
    assert!(paths(&read("CONTRIBUTING.md")).len() > 10);
}

#[test]
fn no_change_of_a_common_kind_takes_more_files_than_promised() {
    let text = read("CONTRIBUTING.md");
    for (kind, most) in [("A configuration key", 4), ("A stage", 6), ("A reporter format", 3), ("A command", 4)] {
        let head = format!("### {kind}: ");
        let (_, rest) = text.split_once(&head).unwrap_or_else(|| panic!("CONTRIBUTING.md lacks {head:?}"));
        let list = rest.split("\n#").next().unwrap();
        let said: usize = list.split(' ').next().unwrap().parse().unwrap();
        let listed = list.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()) && line.contains(". "));
        assert_eq!(listed.count(), said, "{kind}: the list is not as long as its heading says");
        assert!(said <= most, "{kind} takes {said} files, and {most} are promised");
    }
}

/// The text of all Rust files below a folder.
fn code_below(folder: &Path) -> String {
    let mut text = String::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        match path.is_dir() {
            true => text += &code_below(&path),
            false if path.extension().is_some_and(|end| end == "rs") => text += &fs::read_to_string(path).unwrap(),
            false => {}
        }
    }
    text
}

#[test]
fn every_setting_is_used_and_every_stage_is_run_by_a_test() {
    let code = code_below(&root().join("src"));
    let settings = read("src/config/settings.rs");
    let rows = settings.lines().filter(|line| line.starts_with("        ") && line.contains(" = "));
    let fields = rows.filter_map(|line| line.trim().split_once(": ")).map(|(field, _)| field);
    let fields: Vec<&str> = fields.filter(|field| field.chars().all(|c| c.is_ascii_lowercase() || c == '_')).collect();
    assert!(fields.len() > 60, "{fields:?}");
    for field in fields {
        let used = code
            .match_indices(&format!(".{field}"))
            .any(|(at, it)| !code[at + it.len()..].starts_with(|next: char| next.is_alphanumeric() || next == '_'));
        assert!(used, "{field} is a setting of src/config/settings.rs that no module uses");
    }
    let tests = code_below(&root().join("tests/local"));
    for stage in hoist::wire::Stage::ALL {
        let wanted = format!("Stage::{stage:?}");
        assert!(tests.contains(&wanted), "no test in tests/local runs the stage {stage}: {wanted} is nowhere there");
    }
}

#[test]
fn every_test_program_is_in_the_table_of_contributing_md_and_every_one_there_exists() {
    let text = read("CONTRIBUTING.md");
    let table = text.lines().skip_while(|line| *line != "| --- | --- |").skip(1).take_while(|line| !line.is_empty());
    let programs = table.filter_map(|row| row.split('|').nth(2)).flat_map(quoted);
    let named: BTreeSet<String> = programs.filter(|name| !name.contains(' ')).collect();
    let mut known = BTreeSet::new();
    for entry in fs::read_dir(root().join("tests")).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        match name.strip_suffix(".rs") {
            Some(program) => known.insert(program.to_owned()),
            None => entry.path().join("main.rs").exists() && known.insert(name),
        };
    }
    let lacking: Vec<_> = known.difference(&named).collect();
    assert!(lacking.is_empty(), "the table of tests in CONTRIBUTING.md lacks what tests/ has: {lacking:?}");
    let excess: Vec<_> = named.difference(&known).collect();
    assert!(excess.is_empty(), "the table of tests in CONTRIBUTING.md has what tests/ lacks: {excess:?}");
}

#[test]
fn every_key_that_security_md_names_is_a_key() {
    let known: BTreeSet<&str> = hoist::config::keys::KEYS.iter().map(|key| key.name).collect();
    let of_key = |c: char| c.is_ascii_lowercase() || c == '_';
    let named = quoted(&read("SECURITY.md")).into_iter().filter(|it| it.contains('_') && it.chars().all(of_key));
    let named: Vec<String> = named.collect();
    assert!(named.len() > 10, "{named:?}");
    for key in named {
        assert!(known.contains(key.as_str()), "SECURITY.md names {key}, which is no key of the configuration");
    }
}

#[test]
fn every_task_that_a_page_names_is_in_the_makefile() {
    let makefile = read("Makefile");
    for page in ["CONTRIBUTING.md", "README.md", "SECURITY.md", "DESIGN.md", ".ci/run", "Cargo.toml", "deny.toml"] {
        let text = read(page);
        let after = |mark: &'static str| text.split(mark).skip(1).collect::<Vec<_>>();
        for rest in [after("`make "), after("\nmake "), after("(make ")].concat() {
            let task = rest.split(|c: char| !c.is_ascii_lowercase()).next().unwrap_or_default();
            assert!(makefile.contains(&format!("\n{task}: ")), "{page} names `make {task}`, which is not there");
        }
    }
}

#[test]
fn the_promised_rust_version_is_the_same_everywhere_and_ci_builds_with_it() {
    let manifest = read("Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")).expect("a rust-version");
    let version = version.trim_end_matches('"');
    assert!(read("README.md").contains(&format!("Rust toolchain ({version} or later)")), "README.md: not {version}");
    assert!(read("CONTRIBUTING.md").contains(&format!("Rust {version} or later")), "CONTRIBUTING.md: not {version}");
    assert!(read("tools/needs.sh").contains(&format!("Rust {version} or later")), "needs.sh: not {version}");
    assert!(read(".ci/run").lines().any(|line| line == "make oldest"), "CI does not build with Rust {version}");
    assert!(read("Makefile").contains("s/^rust-version = "), "the Makefile does not take the version from Cargo.toml");
}

#[test]
fn what_only_tests_may_see_is_in_no_build_to_ship() {
    let gate = "#[cfg(feature = \"test-access\")]\n#[doc(hidden)]\npub mod fuzzing;";
    assert!(read("src/lib.rs").contains(gate), "src/lib.rs: fuzzing is open to everybody");
    let manifest = read("Cargo.toml");
    assert!(!manifest.contains("\ndefault = "), "Cargo.toml: a default feature is in every build");
    let before = manifest.split("\n[dev-dependencies]").next().unwrap();
    assert_eq!(before.matches("test-access").count(), 1, "Cargo.toml: something but the tests switches test-access on");
}
