//! The source code, DESIGN.md, and what only one module may do.

use super::*;

#[test]
fn the_map_of_design_md_is_true() {
    let design = read("DESIGN.md");
    let map = design.split("```").nth(1).expect("DESIGN.md begins with a map in a fence");
    let mut named = BTreeSet::new();
    let mut folders: Vec<&str> = Vec::new();
    for line in map.lines().filter(|line| !line.trim().is_empty() && *line != "text") {
        let name = line.split_whitespace().next().unwrap();
        // What is indented lies in the folder above it.
        folders.truncate((line.len() - line.trim_start().len()) / 2);
        named.insert(format!("{}{name}", folders.concat()));
        folders.push(if name.ends_with('/') { name } else { "" });
    }
    for name in &named {
        let path = root().join(name);
        assert!(path.exists(), "the map has {name}, and the tree has not");
        assert_eq!(path.is_dir(), name.ends_with('/'), "{name}: folders end in a slash, files do not");
    }
    // All of src/, and of the root the folders.
    for entry in fs::read_dir(root().join("src")).unwrap().map(Result::unwrap) {
        let slash = if entry.path().is_dir() { "/" } else { "" };
        let name = format!("src/{}{slash}", entry.file_name().to_str().unwrap());
        assert!(named.contains(&name), "the map lacks {name}");
    }
    let built = ["target", "dist"];
    for entry in fs::read_dir(root()).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir()) {
        let name = entry.file_name().into_string().unwrap();
        let ours = !name.starts_with('.') && !built.contains(&name.as_str());
        assert!(!ours || named.contains(&format!("{name}/")), "the map lacks {name}/");
    }
}

#[test]
fn every_dependency_has_its_reason_in_design_md_and_none_there_is_gone() {
    let manifest = read("Cargo.toml");
    let mut within = false;
    let mut known = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            within = line == "[dependencies]" || line == "[dev-dependencies]";
        } else if let Some((name, _)) = line.split_once(" = ").filter(|(name, _)| within && *name != "hoist") {
            // Hoist is its own development dependency: Cargo.toml says why.
            known.insert(name.to_owned());
        }
    }
    let design = read("DESIGN.md");
    let section = design.lines().skip_while(|line| *line != "## Dependencies");
    let table = section.skip_while(|line| *line != "| --- | --- |").skip(1).take_while(|line| !line.is_empty());
    let crates = table.filter_map(|line| line.trim_start_matches("| ").split_once(" |"));
    let documented: BTreeSet<String> =
        crates.flat_map(|(names, _)| names.split(", ").map(str::to_owned).collect::<Vec<_>>()).collect();
    same("DESIGN.md's table of dependencies", &documented, "Cargo.toml", &known);
}

#[test]
fn the_story_names_no_rule_that_design_md_does_not_state() {
    let design = read("DESIGN.md");
    for number in 1..=16 {
        let head = format!("- **R{number} ");
        assert_eq!(design.matches(&head).count(), 1, "{head}");
    }
    let story = read("src/deploy/story.rs");
    let numbers = story.match_indices(['R']).filter_map(|(at, _)| {
        let digits: String = story[at + 1..].chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().ok()
    });
    let numbers: BTreeSet<u32> = numbers.collect();
    assert!(numbers.len() > 3 && numbers.iter().all(|number| (1..=16).contains(number)), "{numbers:?}");
}

/// Every file of `src/`, without comments and its tests.
fn sources() -> Vec<(String, String)> {
    let mut folders = vec![root().join("src")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            // Tests may print.
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let code = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<String>();
            found.push((path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned(), code));
        }
    }
    found
}

/// Whatever an operator should know is an event, which the terminal, the log and JSON have alike.
#[test]
fn the_log_of_the_program_is_for_developers_alone() {
    let marks = ["log::warn", "log::error", "log::info", "use log::{"];
    for (path, code) in sources() {
        for mark in marks {
            assert!(!code.contains(mark), "{path} has {mark}: make it an event, or log::debug!");
        }
    }
}

/// Text is made safe where it is written, and by nobody who hands it there.
#[test]
fn nobody_makes_text_safe_for_a_terminal_but_the_door() {
    let may = [
        // Into files and pages, and of a target's own lines.
        "src/local/out.rs",
        "src/report/junit.rs",
        "src/report/log.rs",
        "src/report/step_summary.rs",
        // A reporter's sink, and what hands the name on.
        "src/report/mod.rs",
        "src/report/sink.rs",
    ];
    let found = sources().into_iter().filter(|(_, code)| code.contains("sanitize")).map(|(path, _)| path);
    let found: BTreeSet<String> = found.filter(|path| !path.starts_with("src/terminal/")).collect();
    assert_eq!(found, may.map(str::to_owned).into_iter().collect());
}

/// What opens a standard stream, and the files that may: each has its reason.
#[test]
fn nothing_is_written_to_a_terminal_but_through_the_door_that_makes_it_safe() {
    let may = [
        // The door.
        "src/terminal/mod.rs",
        "src/terminal/style.rs",
        // They give the streams to a reporter's sink, which is the same door.
        "src/report/mod.rs",
        "src/report/terminal.rs",
        // The protocol on a target, and lines for a person there, by `local::out`.
        "src/cli/commands/deploy_local.rs",
        "src/local/mod.rs",
        // They look whether there is a terminal, or a reader.
        "src/cli/signals.rs",
        "src/cli/commands/log.rs",
    ];
    let marks = ["print!(", "println!(", "dbg!(", "io::stdout", "io::stderr", "/dev/tty", "/dev/stdout", "/dev/stderr"];
    let found: BTreeSet<String> =
        sources().into_iter().filter(|(_, code)| marks.iter().any(|mark| code.contains(mark))).map(|it| it.0).collect();
    assert_eq!(found, may.map(str::to_owned).into_iter().collect());
}
