//! Files and definitions, laid over each other section by section; each value remembers where it came from.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::problem::Problem;
use crate::text::did_you_mean;
use crate::url::{is_masked, to_fill_in};
use crate::wire::Level;

use super::ini;
use super::problems::Problems;

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
pub struct ConfigEntry {
    pub value: String,
    pub origin: Origin,
}

impl ConfigEntry {
    /// A mistake in the value of `key`, which this is.
    pub fn mistake(&self, key: &str, why: &str) -> Problem {
        match &self.origin {
            Origin::File { name, line, section } => Problem::at(name, *line, format!("{key} in [{section}]: {why}")),
            origin => Problem::new(format!("{key} on the {origin}: {why}")),
        }
        .about(key)
    }

    /// A remark on `key`, which this is the value of.
    pub fn remark(&self, level: Level, key: &str, why: &str) -> Problem {
        match &self.origin {
            Origin::File { name, line, .. } => Problem::at(name, *line, why),
            origin => Problem::new(format!("{origin}: {why}")),
        }
        .about(key)
        .remark(level)
    }
}

/// Every key that is set, with the value that counts.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// The later over the earlier.
    files: Vec<ini::File>,
    pub entries: BTreeMap<String, ConfigEntry>,
    /// The repository is laid out for Scap, so what the command line says is meant as Scap means it.
    pub scaps: bool,
}

impl Layers {
    /// Nothing yet, for a repository that is Scap's or not.
    pub fn of_scaps(scaps: bool) -> Layers {
        Layers { scaps, ..Layers::default() }
    }

    /// Lays a file over those that are there. The files become one, section by section, before the sections are
    /// applied: `global`, then the sections that are suffixes of `host`, from the shortest to the longest. So a site's
    /// section of a lower file beats `global` of a higher one. `host` is asked only when a section might be one.
    ///
    /// Definitions come after the last file. Gives remarks on sections that are not applied.
    pub fn absorb(&mut self, file: ini::File, host: &impl std::ops::Deref<Target = String>, problems: &mut Problems) {
        let others: Vec<&String> = file.sections.keys().filter(|section| is_site(section)).collect();
        let here = if others.is_empty() { Vec::new() } else { suffixes(host) };
        for section in others {
            let (level, why) = match section.trim().eq_ignore_ascii_case("global") {
                true => (Level::Warning, "is ignored: write [global]".to_owned()),
                false if here.iter().any(|suffix| section.eq_ignore_ascii_case(suffix)) => continue,
                false => {
                    let meant = did_you_mean(section, [GLOBAL, ini::DEFAULT]);
                    let level = if meant.is_empty() { Level::Debug } else { Level::Warning };
                    (level, format!("is not for this host{meant}"))
                }
            };
            let why = format!("{}: section [{section}] {why}", file.name);
            problems.push(Problem::of_file(&file.name, why).remark(level));
        }
        self.files.push(file);
        self.merge(host);
    }

    fn merge(&mut self, host: &impl std::ops::Deref<Target = String>) {
        self.entries.clear();
        self.apply(|section| section == GLOBAL);
        if self.files.iter().flat_map(|file| file.sections.keys()).any(|section| is_site(section)) {
            for suffix in suffixes(host) {
                self.apply(|section| is_site(section) && section.eq_ignore_ascii_case(&suffix));
            }
        }
    }

    /// Applies one section of all files: what `[DEFAULT]` gives to it, and over that its own keys.
    fn apply(&mut self, is_meant: impl Fn(&str) -> bool) {
        if !self.files.iter().flat_map(|file| file.sections.keys()).any(|section| is_meant(section)) {
            return;
        }
        for default in [true, false] {
            for file in &self.files {
                let wanted = |section: &str| if default { section == ini::DEFAULT } else { is_meant(section) };
                for (section, items) in file.sections.iter().filter(|(section, _)| wanted(section)) {
                    for item in items {
                        let origin =
                            Origin::File { name: file.name.clone(), line: item.line, section: section.clone() };
                        let value = item.value.trim().to_owned();
                        self.entries.insert(item.key.clone(), ConfigEntry { value, origin });
                    }
                }
            }
        }
    }

    /// The first value, of any section of any file, those that are not for this host included, of which `is_meant` holds.
    pub fn any_section(&self, is_meant: impl Fn(&ini::Item) -> bool) -> Option<Origin> {
        let all = self.files.iter().flat_map(|file| file.sections.iter().map(move |(name, items)| (file, name, items)));
        all.into_iter().find_map(|(file, section, items)| {
            let item = items.iter().find(|item| is_meant(item))?;
            Some(Origin::File { name: file.name.clone(), line: item.line, section: section.clone() })
        })
    }

    /// Lays the `-D key:value` definitions over what is there; the last of several counts.
    ///
    /// # Errors
    /// When one lacks its colon or its key.
    pub fn define(&mut self, defines: &[String]) -> Result<(), Problem> {
        for define in defines {
            let Some((key, value)) = define.split_once([':', '=']).filter(|(key, _)| !key.trim().is_empty()) else {
                return Err(Problem::new(format!("-D needs key:value or key=value, and {define:?} is neither")));
            };
            let key = key.trim().to_lowercase();
            if is_masked(define) {
                let again = to_fill_in(define);
                return Err(Problem::new(format!(
                    "the … in -D {define} stands for what is not shown: write -D {again}"
                )));
            }
            let entry = ConfigEntry { value: value.trim().to_owned(), origin: Origin::Define };
            self.entries.insert(key, entry);
        }
        Ok(())
    }

    /// Notes what the command line, or a file of the repository, says of keys that are for this host to say: `host` are
    /// the entries of the host's own file. Those that are in it stay.
    pub fn protect(&mut self, keys: &[&str], host: &BTreeMap<String, ConfigEntry>, problems: &mut Problems) {
        for key in keys {
            let Some(entry) = self.entries.get(*key) else { continue };
            if entry.origin == Origin::Define {
                problems.push(entry.mistake(key, "it can be set in files only: a command could lift it otherwise"));
            }
            let Some(own) = host.get(*key).filter(|own| own.value != entry.value) else { continue };
            if entry.origin != Origin::Define {
                let why = format!("{} sets it for this host, and it cannot be changed here: remove it", own.origin);
                problems.push(entry.mistake(key, &why));
            }
            self.entries.insert((*key).to_owned(), own.clone());
        }
    }

    /// The names of the files, as messages show them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| file.name.as_str())
    }

    /// What `key` is set to, and where.
    pub fn get(&self, key: &str) -> Option<&ConfigEntry> {
        self.entries.get(key)
    }
}

const GLOBAL: &str = "global";

/// Whether a section may be one that some hosts apply.
fn is_site(section: &str) -> bool {
    section != GLOBAL && section != ini::DEFAULT
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
        let file = ini::parse(text.as_bytes(), "x.cfg").unwrap();
        layers.absorb(file, &Box::new(host.to_owned()), &mut Problems::default());
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
        layers.define(&["A: c:d".into(), "e:".into(), "a:f=g".into()]).unwrap();
        assert_eq!(layers.get("a").unwrap().value, "f=g");
        assert_eq!(layers.get("a").unwrap().origin.to_string(), "command line (-D)");
        assert_eq!(layers.get("e").unwrap().value, "");
        for bad in ["a", "", ":b", "=b", " :b"] {
            assert!(layers.define(&[bad.into()]).unwrap_err().to_string().contains("-D needs key:value"), "{bad:?}");
        }
    }

    #[test]
    fn the_hosts_name_is_found_and_has_no_white_space() {
        let host = this_host();
        assert!(!host.is_empty() && !host.contains(char::is_whitespace), "{:?}", *host);
    }
}
