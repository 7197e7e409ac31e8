//! The processes of a service, and which revisions' trees they use: their working directories, programs, roots and mapped
//! files, as `/proc` shows them (proc(5)).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::manager::Seen;
use crate::local::os::sys;
use crate::local::state::layout::Layout;
use crate::wire::Revision;

/// One use of a tree by a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    pub pid: u32,
    /// `working directory`
    pub what: &'static str,
    /// The name of the tree below `revs/`.
    pub tree: String,
}

/// What a look at processes found.
#[derive(Debug, Default)]
pub struct Found {
    pub uses: Vec<Use>,
    pub processes: usize,
    /// Those of which this user may not see that.
    pub hidden: usize,
}

/// Looks at all processes of a service.
pub fn look(layout: &Layout, seen: &Seen) -> Found {
    let Ok(revs) = fs::canonicalize(layout.revs()) else { return Found::default() };
    let mut found = Found::default();
    for pid in members(seen) {
        match uses(pid, &revs) {
            Some(uses) => found.uses.extend(uses),
            // It may have ended meanwhile.
            None if !sys::is_alive(pid) => continue,
            None => found.hidden += 1,
        }
        found.processes += 1;
    }
    found
}

/// The main process with all below it, and whatever else is in the unit's control group.
fn members(seen: &Seen) -> BTreeSet<u32> {
    let mut members = BTreeSet::new();
    if let Some(pid) = seen.start.pid {
        members.insert(pid);
        members.extend(sys::below(&BTreeSet::from([pid])));
    }
    if let Some(cgroup) = &seen.cgroup {
        members.extend(sys::process_ids().filter(|pid| is_in(*pid, cgroup)));
    }
    members
}

/// Whether a process is in a control group of systemd's, or below it. There is a line for each hierarchy: version 2 has
/// the number 0 and no name, version 1 the name of systemd's (cgroups(7)).
fn is_in(pid: u32, cgroup: &str) -> bool {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    text.lines().any(|line| is_line_of(line, cgroup))
}

fn is_line_of(line: &str, cgroup: &str) -> bool {
    let mut fields = line.splitn(3, ':');
    let (Some(number), Some(names), Some(path)) = (fields.next(), fields.next(), fields.next()) else { return false };
    let is_systemds = names == "name=systemd" || (number == "0" && names.is_empty());
    let is_below = path.strip_prefix(cgroup).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    is_systemds && is_below
}

/// The trees that a process uses, each once; `None` where that cannot be seen.
fn uses(pid: u32, revs: &Path) -> Option<Vec<Use>> {
    let proc = Path::new("/proc").join(pid.to_string());
    let link = |name: &str| fs::read_link(proc.join(name)).ok();
    // A process of the kernel has no program.
    let (cwd, root, exe) = (link("cwd")?, link("root")?, link("exe"));
    let maps = fs::read(proc.join("maps")).unwrap_or_default();
    let maps = String::from_utf8_lossy(&maps);
    let mut uses: Vec<Use> = Vec::new();
    let mut note = |what, path: &Path| {
        if let Some(tree) = tree_of(path, revs)
            && !uses.iter().any(|known| known.tree == tree)
        {
            uses.push(Use { pid, what, tree });
        }
    };
    note("working directory", &cwd);
    note("root directory", &root);
    if let Some(exe) = exe {
        note("program", &exe);
    }
    maps.lines().filter_map(mapped_file).for_each(|path| note("mapped file", Path::new(path)));
    Some(uses)
}

/// The file of a line of `maps`, which is the sixth field and may hold blanks.
fn mapped_file(line: &str) -> Option<&str> {
    line.find('/').map(|at| &line[at..])
}

/// The folder below `revs` that a path leads into.
fn tree_of(path: &Path, revs: &Path) -> Option<String> {
    let below = path.strip_prefix(revs).ok()?.components().next()?;
    // The kernel's mark of a folder that is gone.
    Some(below.as_os_str().to_string_lossy().trim_end_matches(" (deleted)").to_owned())
}

/// The revisions among trees.
pub fn revisions(uses: &[Use]) -> BTreeSet<Revision> {
    uses.iter().filter_map(|it| it.tree.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_in_the_unit_of_its_own_line_and_in_no_other() {
        for line in ["0::/system.slice/page.service", "1:name=systemd:/system.slice/page.service/worker"] {
            assert!(is_line_of(line, "/system.slice/page.service"), "{line}");
        }
        for line in ["4:memory:/system.slice/page.service", "0::/system.slice/page.service2", "0::/", "junk"] {
            assert!(!is_line_of(line, "/system.slice/page.service"), "{line}");
        }
    }

    #[test]
    fn paths_lead_into_trees_also_where_these_are_gone() {
        let tree = |path: &str| tree_of(Path::new(path), Path::new("/srv/app-cache/revs"));
        assert_eq!(tree("/srv/app-cache/revs/abc/bin/app").as_deref(), Some("abc"));
        assert_eq!(tree("/srv/app-cache/revs/abc (deleted)").as_deref(), Some("abc"));
        assert_eq!(tree("/srv/app-cache/revs"), None);
        assert_eq!(tree("/srv/app-cache/revs2/abc"), None);
        let line = "7f1c 7f1d r-xp 00000000 fe:00 77   /srv/app-cache/revs/abc/a file (deleted)";
        assert_eq!(mapped_file(line), Some("/srv/app-cache/revs/abc/a file (deleted)"));
        assert_eq!(mapped_file("7f1c 7f1d rw-p 00000000 00:00 0 [heap]"), None);
    }
}
