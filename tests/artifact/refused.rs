//! Hostile and damaged archives, and directories that cannot be read as they are.

use std::fs;

use super::{RULES, contents, imported, sh, store};

#[test]
fn hostile_and_damaged_archives_are_refused_by_name_and_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let cases = dir.path().join("cases");
    fs::create_dir(&cases).unwrap();
    let maker = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/artifact/hostile.py");
    let list = sh(dir.path(), &format!("python3 {maker} cases"));
    let store = store(dir.path());
    let before = contents(&store);
    let mut wrong = Vec::new();
    for (name, expected) in list.lines().map(|line| line.split_once('\t').unwrap()) {
        match imported(&cases.join(name), &store, &RULES) {
            Err(error) if format!("{error:#}").contains(expected) => {}
            Err(error) => wrong.push(format!("{name}: {error:#}\n    instead of: {expected}")),
            Ok(imported) => wrong.push(format!("{name} is taken: {imported:?}")),
        }
        assert_eq!(contents(&store), before, "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(list.lines().count() > 110);
}

#[test]
fn directories_with_what_git_cannot_hold_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    for (make, expected) in [
        ("mkfifo app/p", r#""p" is a named pipe"#),
        ("python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"app/s\")'", r#""s" is a socket"#),
        ("ln -s /etc/passwd app/l", r#"the link "l", to "/etc/passwd", leads out"#),
        ("mkdir app/d; ln -s ../../x app/d/l", "leads out of the artifact"),
        ("git init -q app", r#"entry ".git" has the name of git's own directory"#),
        ("rm app/a; mkdir app/d", "there is no file in it"),
        ("mkdir -p app/$(printf 'd/%.0s' {1..300})", "is nested in more than 256 directories"),
    ] {
        sh(dir.path(), &format!("rm -rf app; mkdir app; echo a >app/a; {make}"));
        let error = format!("{:#}", imported(&dir.path().join("app"), &store, &RULES).unwrap_err());
        assert!(error.contains(expected), "{make}: {error}");
    }
    // Nobody waits for what might come out of a named pipe.
    sh(dir.path(), "mkfifo pipe");
    let error = imported(&dir.path().join("pipe"), &store, &RULES).unwrap_err();
    assert!(format!("{error:#}").contains("neither a file nor a directory"), "{error:#}");
    let error = imported(&dir.path().join("missing"), &store, &RULES).unwrap_err();
    assert!(format!("{error:#}").contains("No such file"), "{error:#}");
}

#[test]
fn a_directory_that_changes_while_it_is_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let app = dir.path().join("app");
    for (change, expected) in [
        ("echo more >>app/z", r#""z" changed while it was read"#),
        ("echo more >app/a", "changed while it was read"),
        ("echo new >app/b", "changed while it was read"),
        ("rm app/a", "while it was read"),
        ("rm app/z; ln -s a app/z", r#"while it was read"#),
        ("chmod +x app/a", r#""a" changed while it was read"#),
    ] {
        sh(dir.path(), "rm -rf app; mkdir app; echo a >app/a; echo m >app/m; echo z >app/z");
        let calls = std::cell::Cell::new(0);
        // Called ahead of each of the three entries, after the first two have been handed over.
        let meanwhile = || {
            calls.set(calls.get() + 1);
            if calls.get() == 3 {
                sh(dir.path(), change);
            }
            Ok(())
        };
        let error = hoist::artifact::import(&app, &store, &RULES, &meanwhile).unwrap_err();
        assert!(format!("{error:#}").contains(expected), "{change}: {error:#}");
    }
}

#[test]
fn a_full_disk_and_a_caller_that_gives_up_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    sh(dir.path(), "mkdir app; head -c 6000000 /dev/urandom >app/a; echo b >app/b");
    let store = store(dir.path());
    let before = contents(&store);
    let give_up = || anyhow::bail!("no time left");
    let error = hoist::artifact::import(&dir.path().join("app"), &store, &RULES, &give_up).unwrap_err();
    assert_eq!((format!("{error:#}"), contents(&store)), ("no time left".to_owned(), before.clone()));
    let packs = store.join("objects/pack");
    sh(dir.path(), "mount -t tmpfs -o size=1m tmpfs store.git/objects/pack");
    let result = imported(&dir.path().join("app"), &store, &RULES);
    let left = sh(&packs, "ls");
    sh(dir.path(), "umount store.git/objects/pack");
    let error = format!("{:#}", result.unwrap_err());
    assert!(error.contains("the disk is full"), "{error}");
    assert_eq!(left, "");
    // What an import left that was killed goes with the next one.
    sh(&packs, "touch -d '2 hours ago' tmp_pack_abcdef; chmod 444 tmp_pack_abcdef");
    imported(&dir.path().join("app"), &store, &RULES).unwrap();
    assert!(!packs.join("tmp_pack_abcdef").exists());
}
