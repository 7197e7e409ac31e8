//! Files and definitions, laid over each other: the later wins, and each value remembers where it came from.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::wire::Level;

use super::{Note, ini};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    File {
        name: String,
        line: usize,
        section: String,
    },
    /// `-D key:value`.
    Define,
    /// An option of the command line of its own, `-e` say.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { name, line, section } => write!(f, "{name}:{line} [{section}]"),
            Origin::Define => f.write_str("command line (-D)"),
            Origin::Flag(flag) => write!(f, "command line ({flag})"),
        }
    }
}

/// A value as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub value: String,
    pub origin: Origin,
}

/// Every key that is set, with the value that counts.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    pub entries: BTreeMap<String, Entry>,
    pub notes: Vec<Note>,
}

impl Layers {
    /// Lays a file over what is there: its section `global`, then the sections that are suffixes of `host`, from the
    /// shortest to the longest. `host` is asked only when a section might be one.
    pub fn absorb(&mut self, file: ini::File, host: &impl std::ops::Deref<Target = String>) {
        self.notes.extend(file.notes.iter().map(|note| (Level::Warning, note.clone())));
        let mut applied: Vec<&String> = file.sections.keys().filter(|section| *section == "global").collect();
        let others = || file.sections.keys().filter(|section| *section != "global" && *section != ini::DEFAULT);
        if others().next().is_some() {
            for suffix in suffixes(host) {
                applied.extend(others().filter(|section| section.eq_ignore_ascii_case(&suffix)));
            }
        }
        for section in others().filter(|section| !applied.contains(section)) {
            self.notes.push(match section.trim().eq_ignore_ascii_case("global") {
                true => (Level::Warning, format!("{}: section [{section}] is passed over: write [global]", file.name)),
                false => (Level::Debug, format!("{}: section [{section}] is not for this host", file.name)),
            });
        }
        for section in applied {
            for (of, item) in file.items(section) {
                let origin = Origin::File { name: file.name.clone(), line: item.line, section: of.to_owned() };
                self.entries.insert(item.key.clone(), Entry { value: item.value.trim().to_owned(), origin });
            }
        }
    }

    /// Lays the `-D key:value` definitions over what is there; the last of several counts.
    ///
    /// # Errors
    /// When one lacks its colon or its key.
    pub fn define(&mut self, defines: &[String]) -> Result<()> {
        for define in defines {
            let Some((key, value)) = define.split_once(':').filter(|(key, _)| !key.trim().is_empty()) else {
                bail!("-D wants key:value, and {define:?} is not that");
            };
            let entry = Entry { value: value.trim().to_owned(), origin: Origin::Define };
            self.entries.insert(key.trim().to_lowercase(), entry);
        }
        Ok(())
    }

    /// What `key` is set to, and where.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }
}

/// Every suffix of a fully qualified name, from the shortest to the name itself, in lower case.
fn suffixes(host: &str) -> Vec<String> {
    let host = host.trim_matches('.').to_lowercase();
    let labels: Vec<&str> = host.split('.').filter(|label| !label.is_empty()).collect();
    (0..labels.len()).rev().map(|first| labels[first..].join(".")).collect()
}

/// This host's fully qualified name, looked up when it is first needed: the lookup may have to wait for a name server.
pub fn this_host() -> LazyCell<String> {
    LazyCell::new(|| {
        let nodename = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
        if nodename.contains('.') {
            return nodename;
        }
        qualified().unwrap_or(nodename)
    })
}

/// What `hostname -f` says. It is given five seconds: a resolver that is down must not hold the command up for long.
fn qualified() -> Option<String> {
    let mut command = Command::new("hostname");
    command.arg("-f").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let deadline = Instant::now() + Duration::from_secs(5);
    while child.try_wait().ok()?.is_none() {
        if Instant::now() >= deadline {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut name = String::new();
    child.stdout.take()?.read_to_string(&mut name).ok()?;
    let name = name.trim();
    (child.wait().ok()?.success() && !name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layered(text: &str, host: &str) -> Layers {
        let mut layers = Layers::default();
        layers.absorb(ini::parse(text.as_bytes(), "x.cfg").unwrap(), &Box::new(host.to_owned()));
        layers
    }

    const FILE: &str = "[deploy1.eqiad.wmnet]\nc: host\n\
                        [WMNET]\na: tld\nb: tld\nc: tld\n[eqiad.wmnet]\nb: site\nc: site\n\
                        [other.wmnet]\na: other\n[global]\na: global\nb: global\nc: global\nd: global\n";

    #[test]
    fn sections_apply_from_the_shortest_suffix_of_the_host_to_the_longest() {
        let value = |layers: &Layers| ["a", "b", "c", "d"].map(|key| layers.get(key).unwrap().value.clone());
        assert_eq!(value(&layered(FILE, "deploy1.eqiad.wmnet")), ["tld", "site", "host", "global"]);
        assert_eq!(value(&layered(FILE, "Deploy2.EQIAD.wmnet")), ["tld", "site", "site", "global"]);
        assert_eq!(value(&layered(FILE, "xeqiad.wmnet")), ["tld", "tld", "tld", "global"]);
        assert_eq!(value(&layered(FILE, "deploy1")), ["global"; 4]);
    }

    #[test]
    fn a_value_remembers_file_line_and_section() {
        let layers = layered(FILE, "deploy1.eqiad.wmnet");
        assert_eq!(layers.get("a").unwrap().origin.to_string(), "x.cfg:4 [WMNET]");
        assert_eq!(layers.get("d").unwrap().origin.to_string(), "x.cfg:16 [global]");
    }

    #[test]
    fn a_definition_beats_every_file_and_the_last_one_counts() {
        let mut layers = layered("[global]\na: b\n", "x");
        layers.define(&["A: c:d".into(), "e:".into(), "a:f:g".into()]).unwrap();
        assert_eq!(layers.get("a").unwrap().value, "f:g");
        assert_eq!(layers.get("a").unwrap().origin.to_string(), "command line (-D)");
        assert_eq!(layers.get("e").unwrap().value, "");
        for bad in ["a", "", ":b", "a=b", " :b"] {
            assert!(layers.define(&[bad.into()]).unwrap_err().to_string().contains("-D wants key:value"), "{bad:?}");
        }
    }

    #[test]
    fn the_hosts_name_is_found_and_has_no_white_space() {
        let host = this_host();
        assert!(!host.is_empty() && !host.contains(char::is_whitespace), "{:?}", *host);
    }
}
