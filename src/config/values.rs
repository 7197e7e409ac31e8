//! From the text of a value to its type. Each function's error begins with the value and says what would be right.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock;
use crate::paths;
use crate::targets::{Target, check_user, is_name_character};
use crate::wire::{ServiceName, VerifyService};

use super::keys::MAX_SECONDS;

/// [`MAX_SECONDS`], as people write it.
const LONGEST: &str = "7d";

/// One line of text, without control characters.
pub fn text(value: &str) -> Result<String, String> {
    if value.contains('\n') {
        return Err(format!(
            "{value:?} is more than one line: a line that is indented deeper continues the value above it"
        ));
    }
    match value.chars().find(|c| c.is_control()) {
        Some(bad) => Err(format!("{value:?} contains the control character {bad:?}: remove it")),
        None if value.is_empty() => Err("\"\" is empty: write a value, or remove the key".into()),
        None => Ok(value.to_owned()),
    }
}

/// ConfigParser's booleans.
pub fn boolean(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "yes" | "true" | "on" => Ok(true),
        "0" | "no" | "false" | "off" => Ok(false),
        _ => Err(format!("{value:?} is not a boolean: write yes or no")),
    }
}

/// A whole number of at least `min`.
pub fn number(value: &str, min: usize) -> Result<usize, String> {
    digits(value)
        .and_then(|digits| digits.parse().ok())
        .filter(|number| *number >= min)
        .ok_or_else(|| format!("{value:?} is not a valid number: write a whole number of at least {min}"))
}

/// Plain decimal digits: no sign, no white space.
fn digits(value: &str) -> Option<&str> {
    (!value.is_empty() && value.bytes().all(|b| b.is_ascii_digit())).then_some(value)
}

/// What a duration looks like.
const DURATIONS: &str = "write 90, 90s, 5m or 1h30m";

/// A duration in whole seconds, from a second to [`MAX_SECONDS`]. `60.0` is one too: for Scap these are numbers with a
/// fraction.
pub fn seconds(value: &str) -> Result<Duration, String> {
    let whole = |duration: &Duration| duration.subsec_nanos() == 0;
    up_to_a_week(value)
        .filter(whole)
        .ok_or_else(|| format!("{value:?} is not a duration: {DURATIONS}, in whole seconds, from 1s to {LONGEST}"))
}

/// A duration, up to [`MAX_SECONDS`].
pub fn fraction_of_seconds(value: &str) -> Result<Duration, String> {
    up_to_a_week(value).ok_or_else(|| format!("{value:?} is not a duration: {DURATIONS}, more than 0, up to {LONGEST}"))
}

fn up_to_a_week(value: &str) -> Option<Duration> {
    clock::duration(value).filter(|it| !it.is_zero() && *it <= Duration::from_secs(MAX_SECONDS))
}

/// A duration in whole seconds, or 0.
pub fn seconds_or_off(value: &str) -> Result<Duration, String> {
    match value {
        "0" | "0s" => Ok(Duration::ZERO),
        _ => seconds(value).map_err(|why| format!("{why}, or 0 for off")),
    }
}

/// The name or the address of a host.
pub fn host(value: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    let is_host = !value.is_empty() && value.chars().all(fits);
    is_host.then(|| value.to_owned()).ok_or_else(|| format!("{value:?} is not a host: write a name or an address"))
}

/// A TCP port.
pub fn port(value: &str) -> Result<u16, String> {
    digits(value)
        .and_then(|digits| digits.parse().ok())
        .filter(|port| *port > 0)
        .ok_or_else(|| format!("{value:?} is not a port: write a number from 1 to 65535"))
}

/// A file mode mask, in octal.
pub fn umask(value: &str) -> Result<u32, String> {
    let octal = value.strip_prefix("0o").unwrap_or(value);
    digits(octal)
        .and_then(|octal| u32::from_str_radix(octal, 8).ok())
        .filter(|mask| *mask <= 0o777)
        .ok_or_else(|| format!("{value:?} is not a file mode mask: write an octal number such as 0002"))
}

/// The same as Scap writes it: in decimal (18 is 0022), unless a zero in front says octal.
pub fn scaps_umask(value: &str) -> Result<u32, String> {
    if value.starts_with('0') {
        return umask(value);
    }
    let mask = digits(value).and_then(|digits| digits.parse().ok()).filter(|mask| *mask <= 0o777);
    mask.ok_or_else(|| {
        format!("{value:?} is not a file mode mask: write it in octal with a leading zero, such as 0002")
    })
}

/// Programs that keep large files out of git.
pub fn binary_managers(value: &str) -> Result<Vec<String>, String> {
    let names = list(value).into_iter().map(|name| match name {
        "git-lfs" | "git-fat" => Ok(name.to_owned()),
        _ => Err(format!("{name:?} is not a supported program: write git-lfs, git-fat, or both separated by a comma")),
    });
    names.collect()
}

/// One of `words`.
pub fn choice(value: &str, words: &[&str]) -> Result<String, String> {
    if words.contains(&value) {
        return Ok(value.to_owned());
    }
    Err(format!("{value:?} is not a choice: write {}", words.join(" or ")))
}

/// A path from the root, without `..`.
pub fn absolute(value: &str) -> Result<PathBuf, String> {
    let value = text(value)?;
    let path = Path::new(&value);
    if !path.is_absolute() || paths::leads_up(path) {
        return Err(format!("{value:?} is not an absolute path: begin with /, without `..`"));
    }
    Ok(path.to_owned())
}

/// Absolute paths, or such below `~/`, separated by commas; `home` is what `~` stands for.
pub fn paths(value: &str, home: Option<&Path>) -> Result<Vec<PathBuf>, String> {
    let list = list(value);
    if list.is_empty() {
        return Err(format!("{value:?} contains no path: write paths separated by commas"));
    }
    let expand = |path: &str| match path.strip_prefix("~/") {
        Some(rest) => match home {
            Some(home) => Ok(home.join(rest)),
            None => Err(format!("{path:?} needs HOME, which is unset: write an absolute path")),
        },
        None if path.starts_with('/') => text(path).map(PathBuf::from),
        None => Err(format!("{path:?} is not an absolute path and does not begin with ~/")),
    };
    list.into_iter().map(expand).collect()
}

/// `none`, or one path as [`paths`] has them.
pub fn path_or_none(value: &str, home: Option<&Path>) -> Result<Option<PathBuf>, String> {
    if value == "none" {
        return Ok(None);
    }
    match paths(value, home)?.as_slice() {
        [path] => Ok(Some(path.clone())),
        _ => Err(format!("{value:?} contains more than one file: write one, or none")),
    }
}

/// `none`, or jump hosts separated by commas.
pub fn hops(value: &str) -> Result<Vec<Target>, String> {
    if value == "none" {
        return Ok(Vec::new());
    }
    match Target::hops(value) {
        Ok(hops) if hops.iter().any(|hop| hop.host == "none") => {
            Err(format!("{value:?} contains both jump hosts and none: write either"))
        }
        hops => hops.map_err(|why| format!("{value:?} is not a list of jump hosts: {why}")),
    }
}

/// What stands between commas and line ends, without empty parts.
pub fn list(value: &str) -> Vec<&str> {
    value.split([',', '\n']).map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// A name of letters, digits, `.`, `_` and `-`; it is safe as a file name and as an argument.
pub fn name(value: &str) -> Result<String, String> {
    let plain = paths::is_plain_name(value.as_bytes()) && !value.starts_with('-');
    if !plain || !value.chars().all(is_name_character) {
        return Err(format!("{value:?} is not a name: use letters, digits, '.', '_' and '-'"));
    }
    Ok(value.to_owned())
}

/// Names, separated by commas; none when empty.
pub fn names(value: &str) -> Result<Vec<String>, String> {
    list(value).into_iter().map(name).collect()
}

/// A user's name, as targets may carry one.
pub fn user(value: &str) -> Result<String, String> {
    match check_user(value) {
        Ok(()) => Ok(value.to_owned()),
        Err(why) => Err(format!("{value:?} is not a user's name: {why}")),
    }
}

/// The names of groups, in order.
pub fn groups(value: &str) -> Result<Vec<String>, String> {
    let mut groups: Vec<String> = Vec::new();
    for group in list(value) {
        let group = name(group)?;
        // Keys are made of a group's name and know no letter case: groups that differ in it alone share their keys.
        if groups.iter().any(|before| before.eq_ignore_ascii_case(&group)) {
            return Err(format!("{value:?} contains group {group:?} twice: name each group once"));
        }
        groups.push(group);
    }
    if groups.is_empty() {
        return Err(format!("{value:?} contains no group: write names of groups, separated by commas"));
    }
    Ok(groups)
}

/// The repository's name: a relative path of plain names.
pub fn repo(value: &str) -> Result<String, String> {
    let fit = |c: char| c.is_ascii_alphanumeric() || "._-+@~".contains(c);
    if !paths::is_plain_relative(value) || !value.chars().all(|c| fit(c) || c == '/') {
        return Err(format!("{value:?} is not a repository's name: write names separated by /, without `..`"));
    }
    Ok(value.to_owned())
}

/// Text that is handed to git or ssh as an argument, so it must not look like an option.
pub fn argument(value: &str) -> Result<String, String> {
    let value = text(value)?;
    if value.starts_with('-') {
        return Err(format!("{value:?} begins with '-' and would be taken for an option"));
    }
    Ok(value)
}

/// `name`, `name=restart` or `name=reload`, separated by commas; `:disable-secondary` may follow the action.
pub fn services(value: &str) -> Result<Vec<ServiceName>, String> {
    let mut services: Vec<ServiceName> = Vec::new();
    for entry in list(value) {
        let (name, action) = match entry.split_once('=') {
            Some((name, action)) => (name.trim(), action.trim()),
            None => (entry, "restart"),
        };
        let (action, disable_secondary) = match action.split_once(':') {
            Some((action, "disable-secondary")) => (action.trim_end(), true),
            _ => (action, false),
        };
        let fit = |c: char| c.is_ascii_alphanumeric() || "@._:-".contains(c);
        if name.is_empty() || name.starts_with('-') || !name.chars().all(fit) {
            return Err(format!("{name:?} is not a service's name: use letters, digits, '@', '.', '_', ':' and '-'"));
        }
        if !matches!(action, "restart" | "reload") {
            return Err(format!(
                "{entry:?} has the unknown action {action:?}: write {name}=reload or {name}=restart, optionally \
                 followed by :disable-secondary"
            ));
        }
        if services.iter().any(|before| before.name == name) {
            return Err(format!("{value:?} contains service {name:?} twice: name each service once"));
        }
        services.push(ServiceName { name: name.to_owned(), action: action.to_owned(), disable_secondary });
    }
    if services.is_empty() {
        return Err(format!("{value:?} contains no service: write names separated by commas, or remove the key"));
    }
    Ok(services)
}

/// A command for a shell, of one line or several, with blank lines between them.
pub fn shell(value: &str) -> Result<String, String> {
    if value.is_empty() {
        return text(value);
    }
    value.split('\n').filter(|line| !line.is_empty()).try_for_each(|line| text(line).map(drop))?;
    Ok(value.to_owned())
}

/// What to do with a service that does not run what it should.
pub fn verify_service(value: &str) -> Result<VerifyService, String> {
    Ok(match choice(value, &["strict", "warn", "off"])?.as_str() {
        "warn" => VerifyService::Warn,
        "off" => VerifyService::Off,
        _ => VerifyService::Strict,
    })
}

/// The command that restarts a service.
pub fn service_command(value: &str) -> Result<String, String> {
    let value = text(value)?;
    if !value.contains("{service}") {
        return Err(format!("{value:?} does not contain {{service}}: write it in the place of the service's name"));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_config_parsers_in_any_case() {
        assert!(["1", "yes", "TRUE", "On"].into_iter().all(|word| boolean(word) == Ok(true)));
        assert!(["0", "No", "false", "OFF"].into_iter().all(|word| boolean(word) == Ok(false)));
        assert!(["", "y", "2", "ja"].into_iter().all(|word| boolean(word).is_err()));
    }

    #[test]
    fn a_command_for_a_shell_may_have_blank_lines_and_is_not_empty() {
        assert_eq!(shell("true\necho a\n\necho b"), Ok("true\necho a\n\necho b".to_owned()));
        assert!(shell("").unwrap_err().contains("is empty"));
        assert!(shell("a\n\nb\tc").unwrap_err().contains("control character"));
    }

    #[test]
    fn a_duration_is_a_number_of_seconds_or_has_units() {
        for (text, expected) in [
            ("90", 90),
            ("60.0", 60),
            ("604800", MAX_SECONDS),
            ("90s", 90),
            ("5m", 300),
            ("1.5m", 90),
            ("1h30m", 5400),
            ("1h 30m", 5400),
            ("5 minutes", 300),
            ("2d", 172_800),
            (LONGEST, MAX_SECONDS),
        ] {
            assert_eq!(seconds(text), Ok(Duration::from_secs(expected)), "{text}");
        }
        for bad in [
            "0",
            "0s",
            "-1",
            "-5m",
            "+5m",
            "1.5",
            "500ms",
            ".",
            "0.0",
            "1.0.0",
            "10x",
            "604801",
            "8d",
            "1mo",
            "1y",
            "m",
            "",
            " ",
            "99999999999999999999",
            "99999999999999999999d",
            "+3",
            "5m ago",
            "30m1h",
            "\u{0663}s",
            "1e3",
            "inf",
        ] {
            let error = seconds(bad).unwrap_err();
            assert_eq!(
                error,
                format!("{bad:?} is not a duration: {DURATIONS}, in whole seconds, from 1s to {LONGEST}")
            );
        }
        assert_eq!(seconds_or_off("0"), Ok(Duration::ZERO));
        assert_eq!(seconds_or_off("0s"), Ok(Duration::ZERO));
        assert_eq!(seconds_or_off("5m"), Ok(Duration::from_secs(300)));
        assert!(seconds_or_off("off").unwrap_err().ends_with(", or 0 for off"));
    }

    #[test]
    fn a_mask_is_octal() {
        assert_eq!((umask("0002"), umask("22"), umask("0o027")), (Ok(2), Ok(0o22), Ok(0o27)));
        assert!(["8", "1000", "", "-2", "u=rwx"].into_iter().all(|bad| umask(bad).is_err()));
    }

    #[test]
    fn a_repository_stays_below_the_deploy_directory() {
        assert_eq!(repo("mediawiki/services/x").as_deref(), Ok("mediawiki/services/x"));
        for bad in ["", "/etc", "../x", "a/../b", "a//b", "a/", "-x", "a/-x", "a b", "a\nb", "."] {
            assert!(repo(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_service_may_be_disabled_on_secondary_targets() {
        let read = services("a, b=restart:disable-secondary, c=reload:disable-secondary").unwrap();
        let marks: Vec<_> = read.iter().map(|it| (it.action.as_str(), it.disable_secondary)).collect();
        assert_eq!(marks, [("restart", false), ("restart", true), ("reload", true)]);
        for bad in ["a=restart:", "a=restart:disable", "a=:disable-secondary", "a=disable-secondary"] {
            assert!(services(bad).unwrap_err().contains(":disable-secondary"), "{bad}");
        }
    }

    #[test]
    fn a_mask_of_scaps_is_decimal_unless_a_zero_says_octal() {
        assert_eq!((scaps_umask("18"), scaps_umask("2"), scaps_umask("22")), (Ok(0o022), Ok(0o002), Ok(0o026)));
        assert_eq!((scaps_umask("0022"), scaps_umask("0"), scaps_umask("0o22")), (Ok(0o022), Ok(0), Ok(0o022)));
        assert!(["512", "-1", "", "x", "08"].into_iter().all(|bad| scaps_umask(bad).is_err()));
        assert!(umask("18").is_err() && umask("22") == Ok(0o022));
    }

    #[test]
    fn some_durations_may_have_a_fraction() {
        assert_eq!(fraction_of_seconds("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(fraction_of_seconds("120"), Ok(Duration::from_secs(120)));
        assert_eq!(fraction_of_seconds("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(fraction_of_seconds("1m"), Ok(Duration::from_secs(60)));
        for bad in ["0", "0.0", "-1", "inf", "nan", "1e3", "", ".", "604801", "1.2.3", "5x", "0s"] {
            assert!(fraction_of_seconds(bad).unwrap_err().contains("is not a duration"), "{bad}");
        }
    }

    #[test]
    fn services_are_restarted_unless_they_say_reload() {
        let names = services("nginx=reload, foo@bar.service,php=restart").unwrap();
        let pairs: Vec<_> = names.iter().map(|s| (s.name.as_str(), s.action.as_str())).collect();
        assert_eq!(pairs, [("nginx", "reload"), ("foo@bar.service", "restart"), ("php", "restart")]);
        for bad in ["-x", "a b", "a=stop", "a,a", ",", "a;b", "=reload", "$(x)"] {
            assert!(services(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_group_is_named_once_whatever_its_letter_case() {
        assert_eq!(groups("canary, default,").unwrap(), ["canary", "default"]);
        for bad in ["a,b,a", "a,A", "", ",", "a b", "-a", "..", "a/b"] {
            assert!(groups(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_word_none_stands_for_no_file_and_no_jump_host() {
        assert_eq!((path_or_none("none", None), hops("none")), (Ok(None), Ok(vec![])));
        assert_eq!(path_or_none("/a", None), Ok(Some("/a".into())));
        assert!(["/a,/b", "a", ""].into_iter().all(|bad| path_or_none(bad, None).is_err()));
        assert_eq!(hops("me@b1:22,b2").unwrap().len(), 2);
        assert!(["none,b1", "b1,none", "b1,", "b 1"].into_iter().all(|bad| hops(bad).is_err()));
    }

    #[test]
    fn a_tilde_stands_for_the_home_directory() {
        let home = Path::new("/home/me");
        assert_eq!(paths("~/.ssh/a, /b", Some(home)).unwrap(), [PathBuf::from("/home/me/.ssh/a"), PathBuf::from("/b")]);
        assert!(paths("~/a", None).unwrap_err().contains("HOME"));
        assert!(["a", "~you/a", ""].into_iter().all(|bad| paths(bad, Some(home)).is_err()));
    }
}
