//! Paths that come from elsewhere, and whether they stay where they are put. These are rules of security: a path that
//! they let through leads to no other folder than the one that it is joined to.

use std::path::{Component, Path, PathBuf};

/// Whether this is the name of a file, and leads nowhere else.
pub fn is_plain_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..")
}

/// Fails for anything but a relative path of plain names.
///
/// # Errors
/// What is wrong with it.
pub fn check_relative(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Err("it is empty");
    }
    if path.chars().any(char::is_control) {
        return Err("it contains a control character");
    }
    if !path.split('/').all(|part| is_plain_name(part.as_bytes())) {
        return Err("no part of it can be empty, `.` or `..`");
    }
    Ok(())
}

/// A relative path of plain names none of which looks like an option: safe below any folder and as an argument.
pub fn is_plain_relative(path: &str) -> bool {
    check_relative(path).is_ok() && !path.split('/').any(|part| part.starts_with('-'))
}

/// An absolute path without `.` and `..`.
pub fn is_plain_absolute(path: &Path) -> bool {
    path.is_absolute()
        && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
        && path.to_str().is_some_and(|text| !text.chars().any(char::is_control))
}

/// Whether a path leads back up.
pub fn leads_up(path: &Path) -> bool {
    path.components().any(|part| part == Component::ParentDir)
}

/// A path whose `.` and `..` are taken out by the names alone: links on the way do not count.
pub fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

/// Whether a relative path leads into a folder of git's own, on file systems without letter case too.
pub fn is_gits_own(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').any(|part| part.eq_ignore_ascii_case(b".git"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_stays_below_the_folder_that_it_is_joined_to() {
        for plain in ["a", "a/b.c", "..a/b..", "a b", ".hidden"] {
            assert!(check_relative(plain).is_ok() && is_plain_relative(plain), "{plain}");
            assert!(is_plain_absolute(Path::new(&format!("/{plain}"))), "{plain}");
        }
        for bad in ["", "/", "/a", "a/", "a//b", ".", "./a", "a/.", "..", "a/../b", "a\nb", "\u{1b}[m"] {
            assert!(check_relative(bad).is_err() && !is_plain_relative(bad), "{bad:?}");
        }
        assert!(check_relative("a/-b").is_ok() && !is_plain_relative("a/-b") && !is_plain_relative("-a"));
        for bad in ["a", "", "/a/../b", "/a\nb"] {
            assert!(!is_plain_absolute(Path::new(bad)), "{bad:?}");
        }
        assert!(leads_up(Path::new("a/../b")) && !leads_up(Path::new("a..b/c")));
    }

    #[test]
    fn gits_own_folder_is_known_in_any_letter_case_and_at_any_depth() {
        assert!([".git", ".GIT/config", "a/.Git/b"].iter().all(|path| is_gits_own(path.as_bytes())));
        assert!(!["a.git", ".gitmodules", "git/x"].iter().any(|path| is_gits_own(path.as_bytes())));
    }
}
