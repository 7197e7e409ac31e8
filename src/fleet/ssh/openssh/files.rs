//! Whether OpenSSH's configuration is the same for every host, so that it can be read once for all of them.
//!
//! The configuration itself comes from `ssh -G`. The files are only searched for anything that could differ between
//! hosts. In case of doubt, hosts are considered different.

use std::path::{Path, PathBuf};

/// How deep `Include` may nest; OpenSSH's own limit.
const DEEPEST: usize = 16;
const SYSTEM: &str = "/etc/ssh/ssh_config";

/// Whether the files that `ssh` reads (the one that is named, or the user's and the system's), with all that they
/// include, say the same of every host.
pub fn same_for_all(named: Option<&Path>, home: Option<&Path>) -> bool {
    let folder = home.map(|home| home.join(".ssh"));
    let own = named.map(Path::to_owned).or_else(|| Some(folder.as_ref()?.join("config")));
    let same_own = own.is_none_or(|file| same_in(&file, folder.as_deref(), home, 0));
    same_own && (named.is_some() || same_in(Path::new(SYSTEM), Some(Path::new("/etc/ssh")), home, 0))
}

/// `folder` is what an `Include` without a leading `/` starts from.
fn same_in(file: &Path, folder: Option<&Path>, home: Option<&Path>, depth: usize) -> bool {
    if depth > DEEPEST {
        return false;
    }
    let text = match std::fs::read(file) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => return error.kind() == std::io::ErrorKind::NotFound,
    };
    text.lines().all(|line| same_line(line, folder, home, depth))
}

fn same_line(line: &str, folder: Option<&Path>, home: Option<&Path>, depth: usize) -> bool {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return true;
    }
    // Tokens such as %h stand for something of the host; a quoted or continued word is not worth understanding here.
    if line.contains(['%', '"', '\'', '\\']) {
        return false;
    }
    let (option, value) = line.split_once(|c: char| c.is_whitespace() || c == '=').unwrap_or((line, ""));
    let value = value.trim_start_matches(|c: char| c.is_whitespace() || c == '=');
    match option.to_ascii_lowercase().as_str() {
        "host" => value.trim() == "*",
        "match" => false,
        // A name is looked up, or made longer, for each host.
        "canonicalizehostname" => value.trim().eq_ignore_ascii_case("no"),
        "include" => value.split_whitespace().all(|pattern| {
            let Some(files) = included(pattern, folder, home) else { return false };
            files.iter().all(|file| same_in(file, folder, home, depth + 1))
        }),
        _ => true,
    }
}

/// The files that a pattern of `Include` names; `None` where that is beyond this reader.
fn included(pattern: &str, folder: Option<&Path>, home: Option<&Path>) -> Option<Vec<PathBuf>> {
    let path = match pattern.strip_prefix("~/") {
        Some(rest) => home?.join(rest),
        None if pattern.starts_with('~') => return None,
        None => folder?.join(pattern),
    };
    let (above, last) = (path.parent()?, path.file_name()?.to_str()?);
    if above.to_str()?.contains(['*', '?', '[', '$']) || last.contains(['[', '$', '#']) {
        return None;
    }
    if !last.contains(['*', '?']) {
        return Some(vec![path]);
    }
    let entries = match std::fs::read_dir(above) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Some(Vec::new()),
        Err(_) => return None,
    };
    // More than the pattern names does no harm: it is one reason more to ask for each host.
    Some(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(text: &str) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let (file, home) = (dir.path().join("config"), dir.path().join("home"));
        std::fs::create_dir_all(home.join(".ssh/conf.d")).unwrap();
        std::fs::write(home.join(".ssh/conf.d/plain"), "User deploy\n").unwrap();
        std::fs::write(home.join(".ssh/one"), "Host web1\n  Port 2222\n").unwrap();
        std::fs::write(home.join(".ssh/loop"), "Include loop\n").unwrap();
        std::fs::write(&file, text).unwrap();
        same_for_all(Some(&file), Some(&home))
    }

    #[test]
    fn a_configuration_for_every_host_alike_is_told_from_one_with_hosts_of_its_own() {
        for text in [
            "",
            "User deploy\n# Host web1\nHost *\n  Port=2222\n",
            "Include conf.d/*\nInclude ~/.ssh/conf.d/plain\nInclude nothing/*.conf",
            "Include /nothing/there",
        ] {
            assert!(same(text), "{text:?}");
        }
        for text in [
            "Host web1\n",
            "host=web1",
            "Host * !web1",
            "Match all",
            "HostName %h.example.org",
            "Include one",
            "Include ~/.ssh/*",
            "Include ~/.ssh/o*",
            "Include loop",
            "Include ~other/config",
            "Include \"one\"",
            "CanonicalizeHostname yes",
        ] {
            assert!(!same(text), "{text:?}");
        }
    }
}
