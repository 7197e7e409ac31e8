//! What the hosts write down of their services, and that no more of a group were out of service at once than may be (R13).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The file in which all hosts note, in one order, when a service goes down and is up again, and when a host is drained
/// and put back.
pub struct Trace {
    path: PathBuf,
    /// How many hosts of each group may be out, as a percentage of it.
    percent: usize,
    /// Where the run under way began.
    begin: usize,
}

/// What the trace said at a moment.
#[derive(Debug, Default, Clone)]
struct Out {
    down: BTreeSet<String>,
    drained: BTreeSet<String>,
}

impl Out {
    fn take(&mut self, line: &str) {
        let (word, host) = line.split_once(' ').unwrap();
        // A target behind a proxy has a port in its name.
        let host = host.split(':').next().unwrap();
        match word {
            "down" => drop(self.down.insert(host.to_owned())),
            "up" => drop(self.down.remove(host)),
            "drain" => drop(self.drained.insert(host.to_owned())),
            "undrain" => drop(self.drained.remove(host)),
            _ => panic!("{line:?} in the trace"),
        }
    }
}

impl Trace {
    pub fn new(farm: &Path) -> Trace {
        Trace { path: farm.join("trace"), percent: 67, begin: 0 }
    }

    /// How many hosts of each group may be out from now on.
    pub fn allow(&mut self, percent: usize) {
        self.percent = percent;
    }

    /// `max_unavailable`, as it is allowed.
    pub fn setting(&self) -> String {
        format!("max_unavailable: {}%", self.percent)
    }

    /// A line of shell by which a host notes something.
    pub fn note(&self, word: &str, host: &str) -> String {
        format!("echo {word} {host} >> {}", self.path.display())
    }

    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// A new run begins. What an earlier one has left broken it takes as it finds it; who is drained it knows.
    pub fn begin(&mut self) {
        self.begin = self.lines().len();
    }

    /// Who is drained now.
    pub fn drained(&self) -> BTreeSet<String> {
        let mut out = Out::default();
        self.lines().iter().for_each(|line| out.take(line));
        out.drained
    }

    /// At no moment of the run were more hosts of a group out than may be.
    #[track_caller]
    pub fn is_within_budget(&self, groups: &[&[String]]) {
        let lines = self.lines();
        let (before, run) = lines.split_at(self.begin.min(lines.len()));
        let mut out = Out::default();
        before.iter().for_each(|line| out.take(line));
        out.down.clear();
        for (index, line) in run.iter().enumerate() {
            let was_out = out.clone();
            out.take(line);
            for group in groups {
                let count = |out: &Out| {
                    group.iter().filter(|host| out.down.contains(*host) || out.drained.contains(*host)).count()
                };
                let most = (group.len() * self.percent / 100).max(1);
                let (now, then) = (count(&out), count(&was_out));
                assert!(
                    now <= most || now <= then,
                    "{now} hosts are out, of {most} that may be: {:#?}",
                    &run[..=index]
                );
            }
        }
    }
}
