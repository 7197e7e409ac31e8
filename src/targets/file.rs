//! Target files, in the format that dsh has made common.

use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::paths;
use crate::problem::Problem;
use crate::text::counted;
use crate::wire::Level;

use super::Target;
use super::list::parse_list;

/// Where target files are looked for when the repository has none of that name.
pub const SYSTEM_FOLDER: &str = "/etc/dsh/group";

/// A target file that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetFile {
    pub path: PathBuf,
    /// In the order of the file; a target that stands twice is there twice.
    pub targets: Vec<Target>,
    /// The lines that hold no host's name, and remarks on those that were passed over.
    pub problems: Vec<Problem>,
}

/// Reads the target file `name`: an absolute path as such, anything else from the first of `folders` that has it.
/// `shown` turns paths into what messages call them; `check` refuses a file before it is read.
///
/// A line holds one host, its first word; blank lines, and what follows a `#`, are passed over. So are an indented line, as
/// dsh and Scap do it, and further words, but with a remark.
///
/// # Errors
/// When there is no such file (with the places that were looked at), or none that can be read.
pub fn read_target_file(
    name: &str,
    folders: &[PathBuf],
    shown: &dyn Fn(&Path) -> String,
    check: &dyn Fn(&Path) -> Result<(), Problem>,
) -> Result<TargetFile, Problem> {
    let wanted = Path::new(name);
    if paths::leads_up(wanted) {
        return Err(Problem::new(format!("bad name of a target file {name:?}: it must not contain `..`")));
    }
    if !wanted.components().any(|part| matches!(part, Component::Normal(_))) {
        return Err(Problem::new(format!("bad name of a target file {name:?}: name a file")));
    }
    // Joining an absolute path gives that path, but then the folders are no places that were looked at.
    let places: Vec<PathBuf> = match wanted.is_absolute() {
        true => vec![wanted.to_owned()],
        false => folders.iter().map(|folder| folder.join(wanted)).collect(),
    };
    let Some(path) = places.iter().find(|path| path.symlink_metadata().is_ok()) else {
        let looked_for = places.iter().map(|path| shown(path)).collect();
        return Err(Problem::new(format!("no target file {name:?}")).looked_for(looked_for));
    };
    check(path)?;
    let label = shown(path);
    let (targets, problems) = parse(&read(path, &label)?, &label, Indented::IsPassedOver);
    Ok(TargetFile { path: path.clone(), targets, problems })
}

/// Reads the file at `path`, which messages call `label`. Here an indented line is a host like others.
///
/// # Errors
/// When it cannot be read, or holds a bad name.
pub fn read_targets(path: &Path, label: &str) -> Result<Vec<Target>, Problem> {
    parse_targets(&read(path, label)?, label)
}

/// Reads hosts, one a line, indented or not; messages call the text `label`.
///
/// # Errors
/// When it is no text, or holds a bad name.
pub fn parse_targets(bytes: &[u8], label: &str) -> Result<Vec<Target>, Problem> {
    let (targets, problems) = parse(bytes, label, Indented::IsAHost);
    problems.into_iter().next().map_or(Ok(targets), Err)
}

fn read(path: &Path, label: &str) -> Result<Vec<u8>, Problem> {
    if path.is_dir() {
        return Err(Problem::of_file(label, format!("{label} is a directory: name a file")));
    }
    fs::read(path).map_err(|error| Problem::cannot_read(label, &error))
}

/// What a line is that begins with white space.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Indented {
    IsAHost,
    IsPassedOver,
}

fn parse(bytes: &[u8], label: &str, indented: Indented) -> (Vec<Target>, Vec<Problem>) {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let (mut targets, mut problems) = (Vec::new(), Vec::new());
    for (index, line) in lines(bytes).enumerate() {
        let number = index + 1;
        let Ok(line) = std::str::from_utf8(line) else {
            problems.push(Problem::not_utf8(label, number));
            continue;
        };
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let (Some(word), second) = (words.next(), words.next()) else { continue };
        if indented == Indented::IsPassedOver && line.starts_with(char::is_whitespace) {
            let why = format!("{word:?} is ignored because its line is indented: remove the indentation");
            problems.push(Problem::at(label, number, why).remark(Level::Warning));
            continue;
        }
        match word.parse::<Target>() {
            Ok(target) => {
                targets.push(target);
                if let Some(second) = second.filter(|_| indented == Indented::IsPassedOver) {
                    let why = format!(
                        "{second:?} is ignored, because a line holds one host: write a second one on a line of its own, \
                         and a comment behind #"
                    );
                    problems.push(Problem::at(label, number, why).remark(Level::Warning));
                }
            }
            Err(why) => problems.push(Problem::at(label, number, several(word).unwrap_or(why))),
        }
    }
    (targets, problems)
}

/// Lines that end with a line feed, a carriage return, or both, as for Python.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = |(at, byte): (usize, &u8)| {
        let before_line_feed = bytes.get(at + 1) == Some(&b'\n');
        (*byte == b'\n' || (*byte == b'\r' && !before_line_feed)).then_some(at)
    };
    let ends = bytes.iter().enumerate().filter_map(ends).chain([bytes.len()]);
    let mut begin = 0;
    ends.map(move |end| {
        let line = &bytes[begin..end];
        begin = end + 1;
        line.strip_suffix(b"\r").unwrap_or(line)
    })
}

/// What is said of several hosts on a line, as other tools take them.
fn several(word: &str) -> Option<String> {
    let hosts = parse_list(word).ok()?;
    let (first, last) = (hosts.first()?, hosts.last()?);
    Some(format!(
        "{word:?} names {}, and a target file has one per line: write {first} to {last}, each on a line of its own",
        counted(hosts.len(), "host")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &[u8]) -> Vec<String> {
        parse(text, "canary", Indented::IsPassedOver).0.iter().map(Target::to_string).collect()
    }

    #[test]
    fn a_line_ends_however_any_system_ends_it() {
        for text in ["web1\nweb2\n", "web1\rweb2\r", "web1\r\nweb2\r\n", "web1\r\rweb2", "\nweb1\r\n\rweb2"] {
            assert_eq!(names(text.as_bytes()), ["web1", "web2"], "{text:?}");
        }
        let (_, problems) = parse(b"web1\r\nweb2\r\n-\r\n", "canary", Indented::IsPassedOver);
        assert_eq!(problems[0].line, Some(3));
    }

    fn read(name: &str, folders: &[PathBuf]) -> Result<TargetFile, String> {
        read_target_file(name, folders, &|path| path.display().to_string(), &|_| Ok(()))
            .map_err(|problem| problem.to_string())
    }

    #[test]
    fn a_line_holds_one_host_and_comments_are_passed_over() {
        let text =
            b"\xef\xbb\xbf# all\r\nweb2\n\nweb1.example.org\t# the old one\r\nroot@db1:2222 extra\n#x\nweb3#y\nweb2";
        assert_eq!(names(text), ["web2", "web1.example.org", "root@db1:2222", "web3", "web2"]);
        assert!(names(b"").is_empty());
    }

    #[test]
    fn an_indented_line_of_a_target_file_is_no_target_and_is_named() {
        let text = b"web1\n  web2\n\tweb 3\n   # nothing\n \n";
        let (targets, problems) = parse(text, "canary", Indented::IsPassedOver);
        assert_eq!(targets, ["web1".parse().unwrap()]);
        assert!(problems.iter().all(|problem| problem.severity == Level::Warning));
        let notes: Vec<String> = problems.iter().map(Problem::to_string).collect();
        let why = "is ignored because its line is indented: remove the indentation";
        assert_eq!(notes, [format!("canary:2: \"web2\" {why}"), format!("canary:3: \"web\" {why}")]);
        let text = b"web1\n  web2\n\tweb3\n   # nothing\n \n";
        assert_eq!(parse_targets(text, "hosts").unwrap().len(), 3, "a list of the operator's own is no target file");
    }

    #[test]
    fn a_second_host_on_a_line_is_no_target_and_is_named() {
        let (targets, problems) = parse(b"web1 # old\nweb2 web3 web4\n", "canary", Indented::IsPassedOver);
        assert_eq!(targets, ["web1".parse().unwrap(), "web2".parse().unwrap()]);
        let notes: Vec<String> = problems.iter().map(Problem::to_string).collect();
        assert!(notes[0].starts_with("canary:2: \"web3\" is ignored, because a line holds one host"), "{notes:?}");
        assert_eq!((notes.len(), problems[0].severity), (1, Level::Warning));
        assert_eq!(parse_targets(b"web2 web3\n", "hosts").unwrap().len(), 1, "what follows is passed over");
    }

    #[test]
    fn a_bad_host_name_is_named_with_its_line() {
        let fails = |text: &[u8]| parse(text, "canary", Indented::IsAHost).1[0].to_string();
        assert!(fails(b"web1\n-oProxyCommand=x\n").starts_with("canary:2: bad host name"));
        assert!(fails(b"web1\n\n# ok\nweb,2\n").starts_with("canary:4: "));
        assert!(fails(b"web1\n\xff\n").starts_with("canary:2: not UTF-8"));
    }

    #[test]
    fn a_range_is_no_host_and_the_message_says_what_to_write() {
        for (range, ends) in [
            (
                "web[01:04]",
                "4 hosts, and a target file has one per line: write web01 to web04, each on a line of its own",
            ),
            ("db[a:d].example.org", "write dba.example.org to dbd.example.org"),
            ("root@web[01-04]:2222", "write root@web01:2222 to root@web04:2222"),
            ("web1,web2", "names 2 hosts"),
        ] {
            let found = parse(format!("web0\n{range}\n").as_bytes(), "canary", Indented::IsAHost).1[0].to_string();
            assert!(found.starts_with(&format!("canary:2: {range:?} names")) && found.contains(ends), "{found}");
        }
    }

    #[test]
    fn the_first_folder_that_has_the_file_wins_and_an_absolute_path_is_taken_as_such() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folders = [one.path().to_owned(), two.path().to_owned()];
        fs::write(two.path().join("canary"), "two\n").unwrap();
        assert_eq!(read("canary", &folders).unwrap().path, two.path().join("canary"));
        fs::write(one.path().join("canary"), "one\n").unwrap();
        assert_eq!(read("canary", &folders).unwrap().targets, ["one".parse().unwrap()]);
        let absolute = two.path().join("canary").display().to_string();
        assert_eq!(read(&absolute, &folders[..1]).unwrap().targets, ["two".parse().unwrap()]);
    }

    #[test]
    fn a_missing_file_is_told_with_every_place_that_was_looked_at() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folders = [one.path().to_owned(), two.path().to_owned()];
        let error = read("canary", &folders).unwrap_err();
        for folder in &folders {
            assert!(error.contains(&folder.join("canary").display().to_string()), "{error}");
        }
        assert!(!read("/nowhere/canary", &folders).unwrap_err().contains(&folders[0].display().to_string()));
    }

    #[test]
    fn what_is_no_file_of_this_repository_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("broken")).unwrap();
        let folders = [folder.path().join("sub"), folder.path().to_owned()];
        assert!(read("../sub", &folders).unwrap_err().contains("`..`"));
        assert!(read("", &folders).is_err());
        assert!(read(".", &folders).is_err());
        assert!(read("sub", &folders).unwrap_err().contains("is a directory"));
        assert!(read("broken", &folders).unwrap_err().contains("cannot read"));
    }
}
