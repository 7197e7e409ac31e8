//! The operator's OpenSSH configuration, as OpenSSH itself reads it: the output of `ssh -G` for a host.
//!
//! `ssh -G` prints every option, including defaults. Its output without any configuration is subtracted, so that
//! OpenSSH's defaults do not replace Hoist's. An option that is set to its default is treated as unset.

mod files;
mod known_hosts_command;
mod options;
mod run;
mod tokens;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

pub use known_hosts_command::{KeyQuestion, KnownHostsCommand};
pub use options::{OPTIONS, Use};
pub use tokens::Tokens;

/// A host name that no configuration mentions.
const NOBODY: &str = "hoist-asks.invalid";

/// What the configuration sets for one host: options in lower case, each with its values in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostConfig(BTreeMap<String, Vec<String>>);

impl HostConfig {
    /// The first value of an option that is set.
    pub fn get(&self, option: &str) -> Option<&str> {
        self.all(option).first().map(String::as_str)
    }

    /// All of its values; none if it is not set.
    pub fn all(&self, option: &str) -> &[String] {
        self.0.get(option).map_or(&[], Vec::as_slice)
    }

    /// The options that Hoist honours, on one line.
    fn shown(&self) -> String {
        let honoured = |name: &String| {
            OPTIONS.iter().any(|(option, usage)| *usage == Use::Honoured && option.eq_ignore_ascii_case(name))
        };
        let parts = self.0.iter().filter(|(name, _)| honoured(name));
        parts.map(|(name, values)| format!("{name} {}", values.join(" "))).collect::<Vec<_>>().join("; ")
    }
}

/// Reads the configuration.
#[derive(Debug)]
pub struct ConfigReader {
    /// `ssh -F`; `None`: the user's and the system's.
    file: Option<PathBuf>,
    /// The output of OpenSSH without any configuration.
    defaults: HostConfig,
    /// The configuration of all hosts, if it is the same for all.
    shared: Option<HostConfig>,
}

impl ConfigReader {
    /// `None`: there is no OpenSSH client, and no file was named.
    ///
    /// # Errors
    /// A file that was named and cannot be read; an `ssh` that does not answer; a configuration that it finds wrong; an
    /// option for all hosts that is not honoured.
    pub fn open(file: Option<PathBuf>, home: Option<&Path>) -> anyhow::Result<Option<ConfigReader>> {
        let Some(plain) = run::ssh(&["-F", "none", "-T", "-G", "--", NOBODY])? else {
            return match file {
                Some(file) => bail!(
                    "ssh_config: {} cannot be read without OpenSSH's client: install ssh, or set ssh_config to none",
                    file.display()
                ),
                None => Ok(None),
            };
        };
        let mut reader = ConfigReader { file, defaults: parse(&plain), shared: None };
        if files::same_for_all(reader.file.as_deref(), home) {
            let answer = reader.read(NOBODY, None, None)?;
            check(&answer).with_context(|| "OpenSSH's configuration of all hosts")?;
            log::debug!("OpenSSH's configuration says the same of all hosts: {}", answer.shown());
            reader.shared = Some(answer);
        }
        Ok(Some(reader))
    }

    /// What the configuration sets for `host`, when it is called with this user and port.
    ///
    /// # Errors
    /// See [`ConfigReader::open`]; each names the host.
    pub fn ask(&self, host: &str, user: Option<&str>, port: Option<u16>) -> anyhow::Result<HostConfig> {
        if let Some(answer) = &self.shared {
            return Ok(answer.clone());
        }
        let answer = self.read(host, user, port)?;
        check(&answer).with_context(|| format!("OpenSSH's configuration of {host}"))?;
        log::debug!("OpenSSH's configuration of {host}: {}", answer.shown());
        Ok(answer)
    }

    /// Whether the configuration of one host is that of every host.
    pub fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    fn read(&self, host: &str, user: Option<&str>, port: Option<u16>) -> anyhow::Result<HostConfig> {
        let (port, file) = (port.map(|port| port.to_string()), self.file.as_ref().map(|file| file.as_os_str()));
        let mut arguments: Vec<&std::ffi::OsStr> = Vec::new();
        for (flag, value) in [("-F", file), ("-l", user.map(AsRef::as_ref)), ("-p", port.as_deref().map(AsRef::as_ref))]
        {
            if let Some(value) = value {
                arguments.extend([flag.as_ref(), value]);
            }
        }
        arguments.extend(["-T", "-G", "--", host].map(AsRef::<std::ffi::OsStr>::as_ref));
        let said = run::ssh(&arguments)
            .with_context(|| {
                format!(
                    "OpenSSH's configuration of {host} cannot be read with ssh -G (set ssh_config to none to ignore the \
                     configuration)"
                )
            })?
            .context("ssh is gone")?;
        let mut answer = parse(&said);
        answer.0.retain(|option, values| match option.as_str() {
            // What was asked for is not what is set.
            "host" => false,
            "hostname" => values.first().is_none_or(|name| !name.eq_ignore_ascii_case(host)),
            // Who is named may be named for a reason, be it whom OpenSSH would have taken anyway.
            "user" => user.is_none(),
            "port" if port.is_some() => false,
            _ => self.defaults.all(option) != values.as_slice(),
        });
        Ok(answer)
    }
}

/// `option value` lines.
fn parse(text: &str) -> HostConfig {
    let mut answer = HostConfig::default();
    for line in text.lines() {
        let (option, value) = line.split_once(' ').unwrap_or((line, ""));
        if !option.is_empty() {
            answer.0.entry(option.to_ascii_lowercase()).or_default().push(value.trim().to_owned());
        }
    }
    answer
}

/// Refuses options that are set but would be ignored.
fn check(answer: &HostConfig) -> anyhow::Result<()> {
    for (option, values) in &answer.0 {
        for value in values {
            if let Some((name, why)) = options::refusal(option, value) {
                bail!(
                    "{name} {value} {why}: remove it for the deployment's hosts, or set ssh_config to none or to a \
                     file without it"
                );
            }
        }
    }
    Ok(())
}
