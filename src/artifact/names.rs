//! The names of an artifact's entries: whether they stay within it, and whether git can hold them.

/// The longest name of a file on Linux, in bytes.
const LONGEST_NAME: usize = 255;
/// The longest path, in bytes: the system's 4096, less room for the directory that the tree is checked out in.
const LONGEST_PATH: usize = 3072;
/// How many directories may be nested.
const DEEPEST: usize = 256;
/// How many bytes of a name messages show.
const SHOWN: usize = 200;

/// The parts of a path, `.` and repeated slashes left out.
///
/// # Errors
/// Why the entry is refused: its path is absolute, leads upward, is too long, or is one that git does not check out.
pub fn parts(path: &[u8]) -> Result<Vec<&[u8]>, String> {
    if path.first() == Some(&b'/') {
        return Err("has an absolute path".to_owned());
    }
    if path.len() > LONGEST_PATH {
        return Err(format!("has a path of {} bytes; at most {LONGEST_PATH} are possible", path.len()));
    }
    let parts: Vec<&[u8]> =
        path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".".as_slice()).collect();
    if parts.len() > DEEPEST {
        return Err(format!("is nested in more than {DEEPEST} directories"));
    }
    parts.iter().try_for_each(|part| judge(part))?;
    Ok(parts)
}

fn judge(part: &[u8]) -> Result<(), String> {
    if part == b".." {
        return Err("leads upward with \"..\"".to_owned());
    }
    if part.contains(&0) {
        return Err("has a NUL byte in its name".to_owned());
    }
    if part.len() > LONGEST_NAME {
        return Err(format!("has a name of {} bytes; at most {LONGEST_NAME} are possible", part.len()));
    }
    if is_git_directory(part) {
        return Err("has the name of git's own directory, which git does not check out".to_owned());
    }
    Ok(())
}

/// Whether a file system takes this for `.git`. Windows ignores case and what follows a colon, dots and spaces at the
/// end, and has `git~1`; macOS ignores some characters. Git refuses all of them on every system.
pub fn is_git_directory(part: &[u8]) -> bool {
    let piece = |piece: &[u8]| {
        let lower = piece.to_ascii_lowercase();
        [b".git".as_slice(), b"git~1"].iter().any(|name| {
            lower.strip_prefix(*name).is_some_and(|rest| {
                let rest = rest.split(|byte| *byte == b':').next().unwrap_or_default();
                rest.iter().all(|byte| matches!(byte, b'.' | b' '))
            })
        })
    };
    part.split(|byte| *byte == b'\\').any(piece) || visible(part).eq_ignore_ascii_case(".git")
}

/// Whether git refuses a symbolic link of this name, because it would read what the link leads to.
pub fn is_git_file(part: &[u8]) -> bool {
    let lower = String::from_utf8_lossy(part).to_ascii_lowercase();
    let short = lower.split_once('~').is_some_and(|(name, _)| name == "gitmod" || "gi7eba".starts_with(name));
    short || lower.starts_with(".gitmodules") || visible(part).eq_ignore_ascii_case(".gitmodules")
}

/// A name without the characters that HFS+ ignores.
fn visible(part: &[u8]) -> String {
    let ignored = |c: &char| matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    std::str::from_utf8(part).unwrap_or_default().chars().filter(|c| !ignored(c)).collect()
}

/// A path in quotation marks, for messages.
pub fn shown(path: &[u8]) -> String {
    let cut = &path[..path.len().min(SHOWN)];
    let end = if cut.len() < path.len() { "…" } else { "" };
    format!("{:?}{end}", String::from_utf8_lossy(cut))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    const CANDIDATES: [&str; 34] = [
        ".git",
        ".GIT",
        ".Git",
        ".git ",
        ".git.",
        ".git. .",
        ".git...",
        "git~1",
        "GIT~1",
        "git~2",
        "git~1 ",
        "git~1.x",
        ".git:x",
        ".git::$INDEX_ALLOCATION",
        "git~1:x",
        ".g\u{200c}it",
        ".git\u{feff}",
        "\u{206a}.GiT",
        ".gi\u{130}t",
        "a\\.git",
        "a\\.git\\b",
        ".git\\config",
        "a\\git~1",
        ".gitx",
        ".gitignore",
        ".gitmodules",
        "..git",
        ".git~1",
        "x.git",
        "git",
        ".git-",
        ".git .x",
        "a\\b",
        "...",
    ];

    /// Whether git itself takes an entry of this mode and path into an index.
    fn git_takes(repo: &std::path::Path, mode: &str, path: &str) -> bool {
        let git = |args: &[&str]| {
            let mut command = Command::new("git");
            command.arg("-C").arg(repo).args(["-c", "core.protectHFS=true", "-c", "core.protectNTFS=true"]).args(args);
            command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
        };
        if !repo.join(".git").exists() {
            assert!(git(&["init", "-q"]));
        }
        let entry = format!("{mode},e69de29bb2d1d6434b8b29ae775ad8c2e48c5391,{path}");
        git(&["update-index", "--add", "--cacheinfo", &entry])
    }

    #[test]
    fn the_names_that_git_refuses_are_refused() {
        let repo = tempfile::tempdir().unwrap();
        for name in CANDIDATES {
            assert_eq!(!is_git_directory(name.as_bytes()), git_takes(repo.path(), "100644", name), "{name:?}");
        }
    }

    #[test]
    fn no_link_is_taken_that_git_refuses() {
        let repo = tempfile::tempdir().unwrap();
        let names = [
            ".gitmodules",
            ".GitModules",
            "gitmod~1",
            "GITMOD~4",
            "gi7eba~1",
            "GI7EB~01",
            "gi7~123",
            ".gitmodules ",
            ".gitmodules:x",
        ];
        for name in names.into_iter().chain([".git\u{200d}modules"]) {
            assert!(is_git_file(name.as_bytes()), "{name:?}");
            let _ = git_takes(repo.path(), "120000", name);
        }
        for name in ["gitmodules", "gitmod", "gi7eba", "a~1", ".gitattributes", "lib~1"] {
            assert!(!is_git_file(name.as_bytes()) && git_takes(repo.path(), "120000", name), "{name:?}");
        }
    }

    #[test]
    fn a_path_is_taken_apart_and_one_that_leads_out_is_refused() {
        assert_eq!(parts(b"./a//b/./c/").unwrap(), [b"a", b"b", b"c"]);
        assert!(parts(b"./").unwrap().is_empty() && parts(b"a\\x2db/ ...").is_ok());
        let long = [b'a'; 256];
        let deep = b"a/".repeat(300);
        for (path, why) in [
            (&b"/etc/passwd"[..], "absolute"),
            (b"a/../../b", "upward"),
            (b"..", "upward"),
            (b"a\0b", "NUL"),
            (b"a/.GIT/hooks", "git's own"),
            (&long, "256 bytes"),
            (&deep, "nested"),
            (&b"ab/".repeat(2000), "6000 bytes"),
        ] {
            let error = parts(path).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
