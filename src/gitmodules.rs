//! What `.gitmodules` says, read by either side. It comes with the code that is deployed, so nothing in it is trusted.

use std::path::{Path, PathBuf};

use crate::paths;
use crate::url::without_password;

/// One submodule, as `.gitmodules` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Names its repository below `modules/` of the superproject's.
    pub name: String,
    /// Where it stands in the working tree of its superproject.
    pub path: String,
    /// Where it comes from; empty when that is not said.
    pub url: String,
}

impl Module {
    /// The folder of its repository, below its superproject's.
    pub fn git_dir(&self, superproject: &Path) -> PathBuf {
        superproject.join("modules").join(&self.name)
    }

    /// The address of its repository on the server that has its superproject's at `superproject`.
    pub fn on_server(&self, superproject: &str) -> String {
        format!("{superproject}/modules/{}", percent_encoded(&self.name))
    }
}

/// Reads the output of `git config -z --list` on a `.gitmodules`. Entries without a path are left out, as git does.
///
/// # Errors
/// The first name or path that could lead elsewhere than into its own folder.
pub fn parse(listing: &str) -> Result<Vec<Module>, String> {
    let mut modules: Vec<Module> = Vec::new();
    for entry in listing.split('\0').filter(|entry| !entry.is_empty()) {
        let (key, value) = entry.split_once('\n').unwrap_or((entry, ""));
        let Some((name, field)) = key.strip_prefix("submodule.").and_then(|rest| rest.rsplit_once('.')) else {
            continue;
        };
        let place = modules.iter().position(|module| module.name == name).unwrap_or_else(|| {
            modules.push(Module { name: name.to_owned(), path: String::new(), url: String::new() });
            modules.len() - 1
        });
        match field {
            "path" => value.trim_end_matches('/').clone_into(&mut modules[place].path),
            "url" => value.clone_into(&mut modules[place].url),
            _ => {}
        }
    }
    modules.retain(|module| !module.path.is_empty());
    check(&modules)?;
    Ok(modules)
}

fn check(modules: &[Module]) -> Result<(), String> {
    for (place, Module { name, path, .. }) in modules.iter().enumerate() {
        if !is_plain(name) {
            return Err(format!("the submodule name {name:?} could point out of its directory: choose a plain one"));
        }
        if !is_plain(path) || paths::is_gits_own(path.as_bytes()) {
            return Err(format!(
                "the path {path:?} of submodule {name} could point out of its directory: choose a plain one"
            ));
        }
        // What is no text was made of such characters where it was read.
        if [name, path].iter().any(|it| it.contains(char::REPLACEMENT_CHARACTER)) {
            return Err(format!("the name or the path of submodule {name} is not UTF-8: rename it"));
        }
        for other in &modules[place + 1..] {
            let inside = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'));
            if inside(name, &other.name) || inside(&other.name, name) {
                let other = &other.name;
                return Err(format!("the submodules {name} and {other} would contain one another: rename one"));
            }
            if *path == other.path {
                return Err(format!("the submodules {name} and {} have the same path {path}: remove one", other.name));
            }
        }
    }
    Ok(())
}

/// A relative path of plain names, which leads nowhere else and is no option.
fn is_plain(path: &str) -> bool {
    paths::check_relative(path).is_ok() && !path.starts_with('-') && !path.contains('\\')
}

/// The address that a submodule's `url` means, where `base` is its superproject's own.
///
/// # Errors
/// An address that a target must not be sent to: a path, git's `file` protocol, or a remote helper such as `ext::`.
pub fn upstream(url: &str, base: Option<&str>) -> Result<String, String> {
    let resolved = match (url.starts_with("./") || url.starts_with("../"), base) {
        (false, _) => url.to_owned(),
        (true, Some(base)) => beside(base, url).ok_or_else(|| format!("{url:?} points out of {base}"))?,
        (true, None) => return Err(format!("{url:?} is relative, but the repository has no remote origin")),
    };
    let odd = |c: char| c.is_control() || c.is_whitespace();
    let remote = match resolved.split_once("://") {
        Some((scheme, rest)) => ["http", "https", "ssh", "git"].contains(&scheme) && !rest.starts_with(['-', '/']),
        // `user@host:path`
        None => resolved.split_once(':').is_some_and(|(host, path)| {
            !host.is_empty()
                && !host.contains('/')
                && !host.starts_with('-')
                && !path.is_empty()
                && !path.starts_with(':')
        }),
    };
    if !remote || resolved.contains(odd) {
        let shown = without_password(&resolved);
        return Err(format!("{shown:?} is not an address to fetch from: use http, https, ssh or git"));
    }
    Ok(resolved)
}

/// The address that `relative` leads to from `base`.
fn beside(base: &str, relative: &str) -> Option<String> {
    let mut base = base.trim_end_matches('/').to_owned();
    let mut rest = relative;
    loop {
        if let Some(after) = rest.strip_prefix("./") {
            rest = after;
        } else if let Some(after) = rest.strip_prefix("../") {
            rest = after;
            let start = base.find("://").map_or(0, |at| at + 3);
            let cut = base[start..].rfind(['/', ':'])? + start;
            let separator = base[cut..].chars().next()?;
            base.truncate(cut);
            if separator == ':' {
                return (!rest.starts_with("../")).then(|| format!("{base}:{rest}"));
            }
        } else {
            return Some(format!("{base}/{rest}"));
        }
    }
}

fn percent_encoded(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/+@,=".contains(&byte);
    path.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(modules: &[(&str, &str)]) -> String {
        modules
            .iter()
            .map(|(name, path)| format!("submodule.{name}.path\n{path}\0submodule.{name}.url\n../x.git\0"))
            .collect()
    }

    #[test]
    fn names_paths_and_addresses_are_read_and_the_rest_is_passed_over() {
        let text = "submodule.libs/a.b.path\nvendor/a/\0submodule.libs/a.b.url\nhttps://h/a.git\0\
                    submodule.libs/a.b.update\n!touch x\0core.bare\ntrue\0submodule.pathless.url\nx\0";
        let expected = Module { name: "libs/a.b".into(), path: "vendor/a".into(), url: "https://h/a.git".into() };
        assert_eq!(parse(text).unwrap(), std::slice::from_ref(&expected));
        assert_eq!(expected.git_dir(Path::new("/r/.git")), Path::new("/r/.git/modules/libs/a.b"));
        let spaced = Module { name: "a b#c".into(), ..expected };
        assert_eq!(spaced.on_server("http://s/app/.git"), "http://s/app/.git/modules/a%20b%23c");
    }

    #[test]
    fn a_name_or_path_that_leads_elsewhere_is_refused() {
        for bad in ["../x", "a/../../b", "/etc", "a//b", "./a", "-x", "a\\..\\b", "a\u{1b}b"] {
            assert!(parse(&listing(&[(bad, "fine")])).is_err(), "name {bad:?}");
            assert!(parse(&listing(&[("fine", bad)])).is_err(), "path {bad:?}");
        }
        for bad in [".git", ".git/hooks", "a/.GIT/b"] {
            assert!(parse(&listing(&[("fine", bad)])).is_err(), "path {bad:?}");
        }
        assert!(parse(&listing(&[("a", "x"), ("a/modules/b", "y")])).is_err());
        assert!(parse(&listing(&[("a", "x"), ("b", "x")])).is_err());
        assert!(parse(&listing(&[("a", "x"), ("ab", "x/y"), ("a..b", "..x")])).is_ok());
    }

    #[test]
    fn only_addresses_of_servers_are_fetched_from() {
        for url in ["https://h/x.git", "http://h:8080/x", "ssh://git@h/x", "git://h/x", "git@h:group/x.git", "h:x"] {
            assert_eq!(upstream(url, None).unwrap(), url);
        }
        let bad = [
            "file:///etc",
            "/srv/x",
            "x",
            "ext::sh -c id",
            "ext::x",
            "fd::7",
            "--upload-pack=x",
            "-x:y",
            "ssh://-oProxy/x",
            "https:///x",
            "",
            "http://h/a b",
            "ftp://h/x",
            "../x",
        ];
        for url in bad {
            assert!(upstream(url, None).is_err(), "{url:?}");
        }
        assert!(!upstream("file://me:secret@h/x", None).unwrap_err().contains("secret"));
    }

    #[test]
    fn a_relative_address_leads_on_from_the_superprojects() {
        let from = |base: &str, url: &str| upstream(url, Some(base));
        assert_eq!(from("https://h/group/app.git", "../lib.git").unwrap(), "https://h/group/lib.git");
        assert_eq!(from("https://h/group/app.git/", "./lib").unwrap(), "https://h/group/app.git/lib");
        assert_eq!(from("git@h:group/app.git", "../../other/lib").unwrap(), "git@h:other/lib");
        assert_eq!(from("git@h:app.git", "../lib").unwrap(), "git@h:lib");
        assert!(from("https://h/app.git", "../../../lib").is_err());
        assert!(from("/srv/app", "../lib").is_err());
    }
}
