//! What the stages of a run would fail at on this target, found out at the probe: nothing is changed by the look.
//!
//! Only what is sure is an error. What a check or a configuration file of the run may put right before it is needed is a
//! warning, and what the revision brings along is not judged at all.

mod neighbours;
mod places;
mod programs;
mod services;
mod shared;
mod trees;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::wire::{
    Check, CheckPoint, CheckType, Finding, Header, Level, Preflight, ProbedDeployment, Revision, SharedPaths, Stage,
};

use super::os::deadline::Deadline;
use super::state::config_files;
use super::state::layout::Layout;

/// How long all questions to other programs may take. A host that is slow to answer is not kept from its deployment.
const PATIENCE: Duration = Duration::from_secs(20);

/// Places that one message names.
const SHOWN: usize = 2;

/// Programs that look at something and change nothing.
const ONLY_LOOKS: [&str; 20] = [
    "[", "cat", "curl", "dig", "echo", "egrep", "false", "grep", "host", "id", "logger", "ls", "nc", "pgrep", "ping",
    "sleep", "ss", "stat", "test", "true",
];

/// What a run of this header, which deploys `revision`, would fail at here.
pub fn findings(
    layout: &Layout,
    (deployment, wanted): (&ProbedDeployment, &Preflight),
    header: &Header,
    deadline: Deadline,
) -> Vec<Finding> {
    let until = deadline.half(u64::MAX).within(PATIENCE);
    let (revision, shared) = (&deployment.revision, &deployment.extras.shared);
    let is_scaps = header.control_dir == "scap";
    let mut look = Look { layout, revision, shared, wanted, until, is_scaps, found: Vec::new() };
    neighbours::look(&mut look);
    places::look(&mut look);
    trees::look(&mut look);
    shared::look(&mut look, deadline);
    services::look(&mut look);
    programs::look(&mut look);
    look.found
}

/// Why a run that promotes cannot, if it needs what an earlier run was to render. A run without fetch that lacks its tree,
/// too, is told so by the deployer.
pub fn missing_stage(layout: &Layout, (deployment, wanted): (&ProbedDeployment, &Preflight)) -> Option<String> {
    let runs = |stage| wanted.stages.contains(&stage);
    if !runs(Stage::Promote) || runs(Stage::ConfigDeploy) {
        return None;
    }
    let mut linked = wanted.config_files.iter().map(|file| &file.path).filter(|path| path.starts_with('/'));
    linked.find_map(|path| config_files::lacks(layout, &deployment.revision, path))
}

/// One look at a target.
struct Look<'a> {
    layout: &'a Layout,
    /// What is deployed.
    revision: &'a Revision,
    /// What all revisions are to share.
    shared: &'a SharedPaths,
    wanted: &'a Preflight,
    /// For what has to be asked of other programs.
    until: Instant,
    /// Whether the repository was made for Scap.
    is_scaps: bool,
    found: Vec<Finding>,
}

impl Look<'_> {
    /// Notes what a stage would fail at: an error when it is sure, else a warning.
    fn note(&mut self, is_sure: bool, group: Option<&str>, message: String) {
        let level = if is_sure { Level::Error } else { Level::Warning };
        self.found.push(Finding { level, group: group.map(str::to_owned), message });
    }

    /// Whether the run has a stage.
    fn runs(&self, stage: Stage) -> bool {
        self.wanted.stages.contains(&stage)
    }

    /// Whether the revision brings what is at a path.
    fn is_of_revision(&self, path: &Path) -> bool {
        let ours = [self.layout.live(), self.layout.root()];
        let real = path.ancestors().find_map(|place| place.canonicalize().ok());
        let leads_there = |real: &PathBuf| self.layout.root().canonicalize().is_ok_and(|root| real.starts_with(root));
        ours.iter().any(|ours| path.starts_with(ours)) || real.as_ref().is_some_and(leads_there)
    }

    /// Whether a configuration file of the run goes to a place, or into it.
    fn is_configured(&self, place: &Path) -> bool {
        self.wanted.config_files.iter().any(|file| Path::new(&file.path).starts_with(place))
    }

    /// Whether a check that runs before a point of the run may change the host by then.
    fn may_change_before(&self, at: CheckPoint) -> bool {
        let checks = self.wanted.checks.iter();
        checks.filter(|check| moment(check.at) < moment(at)).any(changes_hosts)
    }
}

/// The place of a point in the order of a run.
fn moment(at: CheckPoint) -> (usize, bool) {
    match at {
        CheckPoint::Before(stage) => (stage as usize, false),
        CheckPoint::After(stage) => (stage as usize, true),
    }
}

/// Whether a check may do more than look. Of a script, and of a line that only a shell can read, nobody knows.
fn changes_hosts(check: &Check) -> bool {
    let line = check.command.as_str();
    let words = match check.kind {
        CheckType::Nrpe => return false,
        CheckType::Script => return true,
        CheckType::Command if check.shell && line.contains([';', '|', '&', '>', '`', '$', '(', '\n']) => return true,
        CheckType::Command => crate::text::words(line).unwrap_or_default(),
    };
    let program = words.first().map(|first| first.rsplit('/').next().unwrap_or_default()).unwrap_or_default();
    let only_looks = ONLY_LOOKS.contains(&program) || program.starts_with("check_");
    let writes_a_file = |word: &String| match word.strip_prefix('-') {
        Some(long) if long.starts_with('-') => long.starts_with("-output") || long.starts_with("-remote-name"),
        Some(short) => short.contains(['o', 'O']),
        None => false,
    };
    let keeps = program == "curl" && words.iter().any(writes_a_file) && !words.iter().any(|word| word == "/dev/null");
    !only_looks || keeps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{CHECK_TIMEOUT, Tries};

    #[test]
    fn a_check_that_only_looks_changes_no_host() {
        let check = |kind, shell, command: &str| Check {
            name: "c".to_owned(),
            kind,
            at: CheckPoint::After(Stage::Fetch),
            group: None,
            timeout: CHECK_TIMEOUT,
            tries: Tries::default(),
            command: command.to_owned(),
            shell,
        };
        for looks in
            ["curl -Ss localhost:80", "curl -so /dev/null localhost", "/usr/lib/nagios/plugins/check_http -H a"]
        {
            assert!(!changes_hosts(&check(CheckType::Command, false, looks)), "{looks}");
        }
        for changes in ["curl -o /usr/local/bin/x http://a/x", "apt-get install x", "sudo true", "/usr/local/bin/setup"]
        {
            assert!(changes_hosts(&check(CheckType::Command, false, changes)), "{changes}");
        }
        assert!(changes_hosts(&check(CheckType::Command, true, "test -e x || make x")));
        assert!(!changes_hosts(&check(CheckType::Command, true, "test -e x")));
        assert!(changes_hosts(&check(CheckType::Script, false, "build")));
        assert!(!changes_hosts(&check(CheckType::Nrpe, false, "load")));
    }
}
