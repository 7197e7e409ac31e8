//! What a power cut may take: a name that counts leads to content that is on the disk, and what a stage answers has come
//! to the disk before the answer. Seen by the order of system calls.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use hoist::wire::{Fetch, Stage, StageRequest};

use crate::harness::*;

/// After a power cut it may be the one before: no answer speaks of it.
const MAY_BE_LOST: &str = "last-request.json";

/// The next index of a tree that is there: git makes a new one of the tree where it is damaged.
const REBUILT: &str = "hoist-index.next";

/// Calls that change names, and those that make them last.
const CALLS: &str = "trace=openat,write,fsync,fdatasync,syncfs,rename,renameat,renameat2,symlinkat,unlinkat";

/// The lines of strace(1), of which one whose call was interrupted by another process is whole again, at its end.
fn whole_lines(trace: &str) -> Vec<String> {
    let mut begun = BTreeMap::<&str, &str>::new();
    let mut lines = Vec::new();
    for line in trace.lines() {
        let Some((process, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        if let Some(start) = call.strip_suffix("<unfinished ...>") {
            begun.insert(process, start.trim_end());
        } else if let Some((_, end)) = call.strip_prefix("<... ").and_then(|call| call.split_once(" resumed>")) {
            let start = begun.remove(process).expect("a call that is resumed has begun");
            lines.push(format!("{process} {start}{end}"));
        } else {
            lines.push(line.to_owned());
        }
    }
    lines
}

/// A line of strace(1) without its process: the call, and what stands in its parentheses.
fn parsed(line: &str) -> Option<(&str, &str)> {
    let (_, call) = line.split_once(' ')?;
    let (name, rest) = call.trim_start().split_once('(')?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    (!result.starts_with('-')).then_some((name, arguments))
}

/// The path that strace(1) shows behind a descriptor: `3</srv>`.
fn described(text: &str) -> Option<PathBuf> {
    Some(text.split_once('<')?.1.split_once('>')?.0.into())
}

/// The paths in arguments: names, each in the folder that is open before it.
fn named(arguments: &str) -> Vec<PathBuf> {
    let mut folder = PathBuf::new();
    let mut paths = Vec::new();
    for argument in arguments.split(", ") {
        if let Some(name) = argument.strip_prefix('"') {
            paths.push(folder.join(name.split('"').next().unwrap_or_default()));
        } else if let Some(found) = described(argument) {
            folder = found;
        }
    }
    paths
}

/// Whether a place is one in which something is prepared: it is renamed as a whole, or removed by the next stage.
fn has_no_name_yet(path: &Path) -> bool {
    let path = path.to_string_lossy();
    [".hoist-tmp", ".tmp-", "/cache.beside-"].iter().any(|part| path.contains(part))
}

/// What was not on the disk when something counted on it.
fn faults(trace: &str, root: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    // Files with content that is not synced, and folders with names that are not, each with what was done there.
    let (mut contents, mut names) = (BTreeMap::<PathBuf, String>::new(), BTreeMap::<PathBuf, String>::new());
    for line in &whole_lines(trace) {
        let Some((call, arguments)) = parsed(line) else { continue };
        match call {
            "fsync" | "fdatasync" => {
                let path = described(arguments).unwrap();
                contents.remove(&path);
                names.remove(&path);
            }
            "syncfs" => {
                contents.clear();
                names.clear();
            }
            "write" if arguments.contains("\"event\":\"ended\"") || arguments.contains("\\\"ended\\\"") => {
                faults.extend(names.values().map(|what| format!("answered before a sync: {what}")));
            }
            "write" => {
                let path = described(arguments).filter(|path| path.starts_with(root));
                contents.extend(path.map(|path| (path, line.to_owned())));
            }
            "rename" | "renameat" | "renameat2" => {
                let [from, to] = named(arguments).try_into().unwrap();
                let moved = |path: &PathBuf| path.starts_with(&from);
                let early: Vec<PathBuf> = contents.keys().filter(|path| moved(path)).cloned().collect();
                for path in early {
                    let what = contents.remove(&path).unwrap();
                    if has_no_name_yet(&to) {
                        contents.insert(to.join(path.strip_prefix(&from).unwrap()).components().collect(), what);
                    } else if !path.ends_with(REBUILT) {
                        faults.push(format!("{} before a sync: {line}", path.display()));
                    }
                }
                names.retain(|path, _| !moved(path));
                for path in [from, to].iter().filter(|path| path.starts_with(root) && !path.ends_with(MAY_BE_LOST)) {
                    if !has_no_name_yet(path) {
                        names.insert(path.parent().unwrap().to_owned(), line.to_owned());
                    }
                }
            }
            "unlinkat" => {
                for path in named(arguments).iter().filter(|path| path.starts_with(root)) {
                    names.insert(path.parent().unwrap().to_owned(), line.to_owned());
                }
            }
            _ => {}
        }
    }
    faults
}

#[test]
fn a_trace_in_which_something_is_not_synced_is_seen_as_such() {
    let written = "7  write(3</r/.a.hoist-tmp>, \"text\", 4) = 4\n";
    let synced = "7  fsync(3</r/.a.hoist-tmp> <unfinished ...>\n8  write(1</dev/null>, \"x\", 1) = 1\n\
                  7  <... fsync resumed>) = 0\n";
    let renamed = "7  renameat(4</r>, \".a.hoist-tmp\", 4</r>, \"a\") = 0\n";
    let folder = "7  fsync(4</r>) = 0\n";
    let answered = "7  write(1</dev/null>, \"{\\\"event\\\":\\\"ended\\\"}\", 17) = 17\n";
    let count = |calls: &[&str]| faults(&calls.concat(), Path::new("/r")).len();
    assert_eq!(count(&[written, synced, renamed, folder, answered]), 0);
    assert_eq!(count(&[written, renamed, folder, answered]), 1, "the content");
    assert_eq!(count(&[written, synced, renamed, answered]), 1, "the name");
    assert_eq!(count(&[written, synced, renamed, "7  fsync(4</r>) = -1 EIO (error)\n", answered]), 1, "it failed");
}

#[test]
fn no_name_counts_before_its_content_is_on_the_disk_and_no_answer_before_what_it_answers_for() {
    let target = Target::new();
    let log = target.dir.path().join("trace");
    for round in 1..4 {
        let revision = target.commit(&[("a", &round.to_string()), ("b", "same")]);
        let mut request = target.request(&format!("r{round}"), &revision);
        request.config_files = Some(vec![config_file(&target.etc("app.conf"), "t"), config_file("inside", "t")]);
        request.templates.insert("t".to_owned(), format!("of {round}"));
        let pack = target.pack(&revision, &[]);
        let fetch = Fetch { pack_bytes: Some(pack.len() as u64), ..Default::default() };
        for stage in [Stage::Fetch, Stage::ConfigDeploy, Stage::Promote, Stage::Finalize] {
            let fetch = (stage == Stage::Fetch).then(|| fetch.clone());
            let asked = asked(&StageRequest { fetch, ..request.clone() }, stage, 0);
            let mut command = Command::new("strace");
            // Calls of several threads are told one at a time.
            command.args(["-f", "-qq", "-y", "-s", "300", "--seccomp-bpf", "-e", CALLS, "-o"]).arg(&log);
            command.args([HOIST, "deploy-local"]);
            let mut child = spawn_by(command, &asked);
            let _ = child.stdin.take().unwrap().write_all(if stage == Stage::Fetch { &pack } else { b"" });
            reply(child).ok();
            let trace = fs::read_to_string(&log).unwrap();
            assert!(trace.contains("fsync(") && trace.contains("rename"), "{trace}");
            assert!(trace.contains("ended"), "{stage}: the answer is not in the trace");
            let faults = faults(&trace, &target.root());
            assert!(faults.is_empty(), "{stage} of round {round}: {faults:#?}");
        }
    }
}
