//! The architecture, held to the source: layers look down only, and no two files import each other.
//!
//! A room is a folder or a file right below `src/`. [`LAYERS`] lists them from the top floor down. The `mod.rs` of a
//! folder is its front door: that it uses the files behind it, and they what it holds for all of them, is no circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

/// The rooms, each of which may import the ones that stand below it in this list, and no other.
const LAYERS: [&str; 47] = [
    "main",
    "for_targets",
    "cli",
    "operation",
    "timeline",
    "fleet_state",
    "journal",
    "run",
    "deploy",
    "logs",
    "fuzzing",
    "report",
    "local",
    "fleet",
    "config",
    "hooks",
    "artifact",
    "gates",
    "repo",
    "locks",
    "inventory",
    "scap_state",
    "jinja",
    "yaml",
    "gitmodules",
    "files",
    "subprocess",
    "threads",
    "procfs",
    "terminal",
    "once",
    "targets",
    "problem",
    "invocation",
    "wire",
    "timings",
    "calendar",
    "clock",
    "exit_code",
    "named",
    "text",
    "placeholders",
    "paths",
    "glob",
    "url",
    "tcp",
    "lib",
];

/// Pairs of rooms that must not see each other although one stands above the other: what runs on a target knows
/// nothing of who deploys to it.
const APART: [(&str, &str); 4] = [("local", "fleet"), ("local", "config"), ("local", "repo"), ("local", "locks")];

/// One source file: its path below `src/`, and its text.
type Source = (String, String);

#[test]
fn layers_look_down_only() {
    let found = upward(&sources());
    assert!(found.is_empty(), "imports against the layers:\n{}", found.join("\n"));
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let found = circles(&sources());
    assert!(found.is_empty(), "circles of imports:\n{}", found.join("\n"));
}

#[test]
fn a_planted_upward_import_is_found() {
    for planted in ["use crate::cli::argv;", "use crate::{cli::argv, clock};", "fn f() { crate::cli::main(vec![]) }"] {
        let mut sources = sources();
        plant(&mut sources, "wire/names.rs", planted);
        let found = upward(&sources);
        assert_eq!(found, ["wire/names.rs imports cli, which stands above wire"], "{planted}");
    }
    let mut sources = sources();
    plant(&mut sources, "local/probe.rs", "use crate::fleet::Outcome;");
    assert_eq!(upward(&sources), ["local/probe.rs imports fleet; local and fleet stand apart"]);
}

#[test]
fn a_planted_circle_is_found() {
    let mut sources = sources();
    plant(&mut sources, "targets/limit.rs", "use super::group::Group;");
    let found = circles(&sources);
    assert!(
        found.iter().any(|circle| circle.contains("targets/limit.rs") && circle.contains("targets/group.rs")),
        "{found:?}"
    );
}

#[test]
fn every_room_has_its_place_among_the_layers() {
    let rooms: BTreeSet<String> = sources().iter().map(|(path, _)| room(path)).collect();
    let listed: BTreeSet<String> = LAYERS.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(rooms, listed);
}

/// A file that nobody declares is not compiled, and no compiler says so.
#[test]
fn every_file_is_declared_by_the_module_above_it() {
    let sources = sources();
    let found: Vec<String> = sources.iter().filter_map(|(path, _)| undeclared(path, &sources)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    let planted = [sources, vec![("cli/commands/planted_by_a_test.rs".to_owned(), String::new())]].concat();
    let found: Vec<String> = planted.iter().filter_map(|(path, _)| undeclared(path, &planted)).collect();
    assert_eq!(
        found,
        [
            "src/cli/commands/planted_by_a_test.rs is not compiled: src/cli/commands/mod.rs lacks `mod planted_by_a_test;`"
        ]
    );
}

fn undeclared(path: &str, sources: &[Source]) -> Option<String> {
    let module = path.trim_end_matches(".rs").trim_end_matches("/mod");
    if matches!(module, "lib" | "main" | "for_targets") {
        return None;
    }
    let (above, name) = match module.rsplit_once('/') {
        Some((folder, name)) => (vec![format!("{folder}/mod.rs"), format!("{folder}.rs")], name),
        None => (vec!["lib.rs".to_owned()], module),
    };
    let (above, text) = sources.iter().find(|(path, _)| above.contains(path))?;
    let declared = text.lines().any(|line| line.trim_end_matches(';').ends_with(&format!("mod {name}")));
    (!declared).then(|| format!("src/{path} is not compiled: src/{above} lacks `mod {name};`"))
}

fn plant(sources: &mut [Source], path: &str, line: &str) {
    let (_, text) = sources.iter_mut().find(|(name, _)| name == path).expect(path);
    text.push_str(line);
}

/// All files below `src/` but for those of tests, without comments and the tests at their ends.
fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    collect(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), "", &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, prefix: &str, found: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        let of_tests = name.ends_with("tests.rs") || name.ends_with("testing.rs") || name.ends_with("/tests");
        if of_tests {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), &format!("{name}/"), found);
        } else if name.ends_with(".rs") {
            found.push((name, code(&std::fs::read_to_string(entry.path()).unwrap())));
        }
    }
}

/// A file's text up to its tests, without comments.
fn code(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line });
    lines.map(|line| format!("{line}\n")).collect()
}

fn room(path: &str) -> String {
    path.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned()
}

fn upward(sources: &[Source]) -> Vec<String> {
    let house = House::of(sources);
    let place = |room: &str| LAYERS.iter().position(|&name| name == room).unwrap_or(usize::MAX);
    let mut found = BTreeSet::new();
    for (path, _) in sources {
        let here = room(path);
        for other in house.imports(path) {
            let there = room(&other);
            // lib.rs is the list of rooms, and main.rs calls what it lists.
            if there == here || there == "lib" || here == "lib" {
                continue;
            }
            if place(&there) < place(&here) {
                found.insert(format!("{path} imports {there}, which stands above {here}"));
            }
            if APART.iter().any(|&(one, two)| (one, two) == (&here, &there) || (two, one) == (&here, &there)) {
                found.insert(format!("{path} imports {there}; {here} and {there} stand apart"));
            }
        }
    }
    found.into_iter().collect()
}

/// Groups of files that import each other, each as one line.
fn circles(sources: &[Source]) -> Vec<String> {
    let house = House::of(sources);
    let behind = |path: &str, other: &str| path.strip_suffix("mod.rs").is_some_and(|folder| other.starts_with(folder));
    let taken = |path: &str| house.imports(path).into_iter().filter(|other| !behind(path, other)).collect();
    let imports: BTreeMap<&str, BTreeSet<String>> =
        sources.iter().map(|(path, _)| (path.as_str(), taken(path))).collect();
    let reachable = |start: &str| {
        let mut seen = BTreeSet::new();
        let mut next: Vec<String> = imports[start].iter().cloned().collect();
        while let Some(path) = next.pop() {
            if let Some(imports) = imports.get(path.as_str()).filter(|_| seen.insert(path.clone())) {
                next.extend(imports.iter().cloned());
            }
        }
        seen
    };
    let reach: BTreeMap<&str, BTreeSet<String>> = imports.keys().map(|path| (*path, reachable(path))).collect();
    let mut found = BTreeSet::new();
    for (path, seen) in &reach {
        let circle: Vec<&str> = seen
            .iter()
            .map(String::as_str)
            .filter(|other| reach.get(other).is_some_and(|back| back.contains(*path)))
            .collect();
        if !circle.is_empty() {
            found.insert(circle.join(", "));
        }
    }
    found.into_iter().collect()
}

/// Which module stands in which file.
struct House<'a> {
    /// By module path, `["fleet", "ssh"]`.
    modules: BTreeMap<Vec<String>, (&'a str, &'a str)>,
    paths: BTreeMap<&'a str, Vec<String>>,
}

impl<'a> House<'a> {
    fn of(sources: &'a [Source]) -> House<'a> {
        let mut modules = BTreeMap::new();
        let mut paths = BTreeMap::new();
        for (path, text) in sources {
            let mut module: Vec<String> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
            if module.last().is_some_and(|last| last == "mod") || matches!(path.as_str(), "lib.rs" | "main.rs") {
                module.pop();
            }
            if path != "main.rs" {
                modules.insert(module.clone(), (path.as_str(), text.as_str()));
            }
            paths.insert(path.as_str(), module);
        }
        House { modules, paths }
    }

    /// The files that a file takes names from.
    fn imports(&self, path: &str) -> BTreeSet<String> {
        let module = &self.paths[path];
        let text = self.modules.get(module).map_or("", |(_, text)| *text);
        let mut found = BTreeSet::new();
        for name in names(text) {
            let mut absolute: Vec<String> = module.clone();
            let mut rest = name.as_slice();
            match rest[0].as_str() {
                "crate" => {
                    absolute.clear();
                    rest = &rest[1..];
                }
                "super" | "self" => {
                    while rest.first().is_some_and(|word| word == "super" || word == "self") {
                        if rest[0] == "super" {
                            absolute.pop();
                        }
                        rest = &rest[1..];
                    }
                }
                // A child of this module, or a name of another crate.
                _ => {
                    absolute.push(rest[0].clone());
                    if !self.modules.contains_key(&absolute) {
                        continue;
                    }
                    rest = &rest[1..];
                }
            }
            absolute.extend(rest.iter().cloned());
            found.extend(self.home(&absolute, 0).filter(|home| *home != path).map(str::to_owned));
        }
        found
    }

    /// The file in which a name stands, behind whatever hands it on.
    fn home(&self, name: &[String], depth: usize) -> Option<&'a str> {
        let length = (0..=name.len()).rev().find(|length| self.modules.contains_key(&name[..*length]))?;
        let (path, text) = self.modules[&name[..length]];
        let Some(item) = name.get(length) else { return Some(path) };
        if depth < 8 {
            for handed in used(text, true) {
                if handed.last() == Some(item) {
                    let mut absolute = name[..length].to_vec();
                    let rest = match handed[0].as_str() {
                        "crate" => {
                            absolute.clear();
                            &handed[1..]
                        }
                        "self" => &handed[1..],
                        "super" => {
                            absolute.pop();
                            &handed[1..]
                        }
                        _ => &handed[..],
                    };
                    absolute.extend(rest.iter().cloned());
                    if absolute[..] != name[..]
                        && self.modules.keys().any(|module| absolute.starts_with(module) && !module.is_empty())
                    {
                        return self.home(&absolute, depth + 1);
                    }
                }
            }
        }
        Some(path)
    }
}

static USE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?m)^\s*(pub(?:\([^)]*\))? )?use ([^;]*);").unwrap());
static PATH: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b[a-z_]+(?:::[A-Za-z_]\w*)+").unwrap());
static ALIAS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r" as \w+").unwrap());

/// All paths that a text names: in `use` declarations, and in full elsewhere.
fn names(text: &str) -> Vec<Vec<String>> {
    let mut found = used(text, false);
    let elsewhere = USE.replace_all(text, "");
    for name in PATH.find_iter(&elsewhere) {
        found.push(name.as_str().split("::").map(str::to_owned).collect());
    }
    found
}

/// What `use` declarations bring in, one path each; those that hand it on only, if wanted.
fn used(text: &str, handed_on: bool) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for tree in USE.captures_iter(text).filter(|tree| !handed_on || tree.get(1).is_some()) {
        let mut rest = ALIAS.replace_all(&tree[2], "").into_owned();
        rest.retain(|c| !c.is_whitespace());
        spread(&rest, &[], &mut found);
    }
    found
}

/// Spreads `a::{b, c::{d, self}}` into its paths.
fn spread(tree: &str, before: &[String], found: &mut Vec<Vec<String>>) {
    let Some((head, group)) = tree.split_once('{') else {
        let mut path = before.to_vec();
        path.extend(tree.split("::").filter(|word| !word.is_empty() && *word != "*").map(str::to_owned));
        if path.len() > before.len() && path.last().is_some_and(|last| last == "self") && path.len() > 1 {
            path.pop();
        }
        if !path.is_empty() {
            found.push(path);
        }
        return;
    };
    let mut path = before.to_vec();
    path.extend(head.split("::").filter(|word| !word.is_empty()).map(str::to_owned));
    let (mut depth, mut item) = (0, String::new());
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => spread(&std::mem::take(&mut item), &path, found),
            _ => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                item.push(c);
            }
        }
    }
    if !item.is_empty() {
        spread(&item, &path, found);
    }
}
