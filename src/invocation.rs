//! The commands that messages name for people to type.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::text::quoted;
use crate::url;

/// Settings that say how one run is told of and judged, not what it deploys: no other command needs them.
const OF_ONE_RUN: [&str; 2] = ["strict", "timings"];

/// Settings of an operator's own access to hosts.
const OF_ACCESS: [&str; 5] = ["ssh_user", "identity_file", "known_hosts", "ssh_auth_sock", "ssh_config"];

/// Commands about the locks and the records of the deploy host, and the settings that say which ones these are. No other
/// setting concerns them.
const OF_THIS_HOST: [&str; 5] = ["history", "lock", "log", "report", "stats"];
const WHICH_REPOSITORY: [&str; 4] = ["environment", "git_repo", "lock_dir", "lock_file"];

/// The flags of a command line that say which repository, configuration and hosts it is about. A command that a message
/// names has them too: whoever copies it must get to the same deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invocation {
    /// `-C`: where the command was called, as seen from where it was typed.
    #[serde(skip)]
    pub folder: Option<PathBuf>,
    /// `-c`: takes the place of the repository's own configuration file.
    #[serde(skip)]
    pub config_file: Option<PathBuf>,
    /// `-e`.
    #[serde(skip)]
    pub environment: Option<String>,
    /// `-D`, `key:value`, in order; the last of several counts.
    #[serde(skip)]
    pub defines: Vec<String>,
    /// `-l`. It is kept with a run: whoever resumes the run does not give it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
}

impl Invocation {
    /// The line to type for a command and its own words: `rollback --list` becomes `hoist rollback -e staging --list`.
    pub fn command(&self, words: &str) -> String {
        let (name, rest) = words.split_once(' ').unwrap_or((words, ""));
        let mut line = format!("hoist {name}");
        let mut flag = |flag: &str, value: &str| line.push_str(&format!(" {flag} {}", quoted(value)));
        if let Some(folder) = &self.folder {
            flag("-C", &folder.to_string_lossy());
        }
        if let Some(file) = &self.config_file {
            flag("-c", &file.to_string_lossy());
        }
        if let Some(environment) = &self.environment {
            flag("-e", environment);
        }
        for define in self.defines.iter().filter(|define| concerns(name, define)) {
            flag("-D", &url::masked_define(define));
        }
        if rest.is_empty() { line } else { format!("{line} {rest}") }
    }

    /// The same, for the hosts that the command was limited to.
    pub fn on_these_hosts(&self, words: &str) -> String {
        match &self.limit {
            Some(limit) => self.command(&format!("{words} -l {}", quoted(limit))),
            None => self.command(words),
        }
    }

    /// The settings of somebody's run as they are for who calls this command: with the access to hosts that was given here in
    /// place of that one's, whose keys only that one may read.
    pub fn with_own_access(&self, defines: &[String]) -> Vec<String> {
        let own = self.defines.iter().filter(|define| OF_ACCESS.contains(&key_of(define).as_str()));
        let is_given = |key: String| own.clone().any(|define| key_of(define) == key);
        defines.iter().filter(|define| !is_given(key_of(define))).chain(own.clone()).cloned().collect()
    }

    /// The same in this environment, or in none.
    pub fn in_environment(&self, environment: Option<String>) -> Invocation {
        Invocation { environment, ..self.clone() }
    }

    /// The same for these hosts.
    pub fn limited_to(&self, limit: Option<&str>) -> Invocation {
        Invocation { limit: limit.map(str::to_owned), ..self.clone() }
    }
}

/// The key of a setting that is given by `-D`.
fn key_of(define: &str) -> String {
    url::key_and_value(define).map(|(key, _)| key).unwrap_or_default()
}

/// Whether a setting has to do with a command.
fn concerns(command: &str, define: &str) -> bool {
    let key = key_of(define);
    let is_wanted = !OF_THIS_HOST.contains(&command) || WHICH_REPOSITORY.contains(&key.as_str());
    is_wanted && !OF_ONE_RUN.contains(&key.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ends_somebody_elses_run_is_told_to_use_the_keys_that_they_gave() {
        let run = ["identity_file:/home/alice/id", "batch_size:3", "ssh_user=alice"].map(str::to_owned);
        let here = |defines: &[&str]| {
            let defines = defines.iter().map(|&define| define.to_owned()).collect();
            Invocation { defines, ..Invocation::default() }.with_own_access(&run)
        };
        assert_eq!(here(&[]), run);
        assert_eq!(here(&["strict:yes"]), run);
        let bobs = here(&["identity_file=/home/bob/id", "batch_size:5", "known_hosts:/home/bob/known"]);
        assert_eq!(
            bobs,
            ["batch_size:3", "ssh_user=alice", "identity_file=/home/bob/id", "known_hosts:/home/bob/known"]
        );
    }

    #[test]
    fn a_command_to_type_has_the_flags_that_this_one_had() {
        let plain = Invocation::default();
        assert_eq!(plain.command("rollback --list"), "hoist rollback --list");
        assert_eq!(plain.on_these_hosts("status"), "hoist status");
        let full = Invocation {
            folder: Some("../my app".into()),
            config_file: Some("other.cfg".into()),
            environment: Some("staging".into()),
            defines: vec!["ssh_user:deploy".into(), "failure_limit=10%".into()],
            limit: Some("web*,!web3".into()),
        };
        let flags = "-C '../my app' -c other.cfg -e staging -D ssh_user:deploy -D 'failure_limit=10%'";
        assert_eq!(full.command("resume"), format!("hoist resume {flags}"));
        let hosts = full.on_these_hosts("rollback --to abc");
        let words = shlex::split(&hosts).unwrap();
        assert_eq!(words[..3], ["hoist", "rollback", "-C"]);
        assert_eq!(words[words.len() - 2..], ["-l", "web*,!web3"], "{hosts}");
    }

    #[test]
    fn a_command_to_type_has_only_the_settings_that_have_to_do_with_it() {
        let defines = ["timings:yes", "Strict=yes", "git_repo:app", "lock_dir:/run/x", "batch_size:2"];
        let said = Invocation { defines: defines.map(str::to_owned).into(), ..Invocation::default() };
        let which = "-D git_repo:app -D lock_dir:/run/x";
        assert_eq!(said.command("deploy -r abc"), format!("hoist deploy {which} -D batch_size:2 -r abc"));
        for (words, rest) in [("lock --end", " --end"), ("history", ""), ("log -v", " -v")] {
            let name = words.split(' ').next().unwrap();
            assert_eq!(said.command(words), format!("hoist {name} {which}{rest}"));
        }
    }

    #[test]
    fn a_command_to_type_shows_no_password() {
        let defines = vec!["git_server:https://me:s3cret@git/x".into(), "http_proxy=me:s3cret@p:1".into()];
        let line = Invocation { defines, ..Invocation::default() }.command("resume");
        assert!(!line.contains("s3cret") && line.contains("git_server:https://…@git/x"), "{line}");
        let defines = vec!["ssh_user:me@host".into()];
        assert!(Invocation { defines, ..Invocation::default() }.command("resume").contains("ssh_user:me@host"));
    }
}
