//! Scap's own `deploy-local` on this target. One whose `scap deploy` was killed works on, and promotes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::procfs;
use crate::wire::ScapProcess;

use super::layout::Layout;
use crate::local::os::files;

/// More of a command is not told.
const SHOWN: usize = 200;

/// The command of Scap's that works on targets.
const DEPLOYS: &str = "deploy-local";

/// The process of Scap's that works on this repository, if there is one.
pub fn at_work(layout: &Layout) -> Option<ScapProcess> {
    let mut pids =
        fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.find_map(|pid| {
        let line = procfs::read(format!("/proc/{pid}/cmdline")).ok()?;
        // A host may have thousands of processes, which are told apart without taking each line to pieces.
        line.split(|byte| *byte == 0).find(|word| *word == DEPLOYS.as_bytes())?;
        let words: Vec<String> = line.split(|byte| *byte == 0).map(|it| String::from_utf8_lossy(it).into()).collect();
        let begin = deploys(&words, layout.repo()).filter(|_| is_here(pid, layout))?;
        let command: String = words[begin..].join(" ").trim().chars().filter(|c| !c.is_control()).take(SHOWN).collect();
        Some(ScapProcess { pid, command })
    })
}

/// Where the command begins, if these are the words of a `scap deploy-local` of the repository: an interpreter may stand
/// ahead.
fn deploys(words: &[String], repo: &str) -> Option<usize> {
    let is_scap = |word: &String| Path::new(word).file_name().is_some_and(|name| name == "scap");
    let begin = words.iter().take(3).position(is_scap)?;
    let rest = &words[begin + 1..];
    let at = rest.iter().position(|word| word == DEPLOYS)?;
    let rest = &rest[at + 1..];
    let named = |pair: &[String]| matches!(pair[0].as_str(), "--repo" | "-r") && pair[1] == repo;
    let joined = |word: &String| word.strip_prefix("--repo=") == Some(repo);
    (rest.windows(2).any(named) || rest.iter().any(joined)).then_some(begin)
}

/// Whether a process sees the same files as this one. Where that cannot be known it counts as here; a container's process
/// works on files of its own.
fn is_here(pid: u32, layout: &Layout) -> bool {
    // On a new host there are but the folders above.
    let mut place = layout.root();
    while !place.exists() {
        place = files::parent(place);
    }
    let Ok(own) = fs::metadata(place) else { return true };
    let theirs = Path::new("/proc").join(pid.to_string()).join("root").join(place.strip_prefix("/").unwrap_or(place));
    match fs::metadata(theirs) {
        Ok(theirs) => (own.dev(), own.ino()) == (theirs.dev(), theirs.ino()),
        Err(error) => error.kind() == std::io::ErrorKind::PermissionDenied,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_deploy_local_of_this_repository_is_known_however_it_is_called() {
        let deploys = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            super::deploys(&words, "service/page").is_some()
        };
        assert!(deploys("/usr/bin/python3 /usr/bin/scap deploy-local -v --repo service/page -g default promote"));
        assert!(deploys("scap deploy-local --repo=service/page fetch"));
        assert!(deploys("/usr/bin/scap deploy-local -r service/page promote --refresh-config"));
        assert!(!deploys("/usr/bin/scap deploy-local -v --repo service/other promote"));
        assert!(!deploys("hoist deploy-local --repo service/page"));
        assert!(!deploys("grep scap deploy-local --repo service/pages"));
        assert!(!deploys("scap deploy --repo service/page"));
    }
}
