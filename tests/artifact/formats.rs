//! Archives of other programs, and what becomes of them.

use std::path::Path;

use hoist::wire::ArtifactRules;

use super::{RULES, imported, sh, store};

/// Files with all that a git tree can hold.
const MAKE: &str = r#"mkdir -p app/bin app/lib/deep "app/with space" app/über
    printf '#!/bin/sh\n' >app/bin/run; chmod 755 app/bin/run
    ln app/bin/run app/bin/same
    printf 'a\r\nb\n$Id$\n' >app/lib/crlf.txt; printf '* text=auto eol=lf ident\n' >app/.gitattributes
    head -c 300000 /dev/urandom >app/lib/deep/random; head -c 100000 /dev/zero >app/lib/zeros; : >app/lib/empty
    ln -s ../lib/deep/random app/bin/link; ln -P app/bin/link app/lib/also; ln -s nowhere app/dangling; ln -s lib app/folder
    echo x >"app/with space/a \"quoted\" name"; echo y >app/über/größe; echo z >app/"$(printf 'a%.0s' {1..180})"
    echo s >'app/back\slash'; chmod 600 app/lib/empty; chmod 4755 app/lib/zeros; mkdir -p app/tmp/a app/tmp/b"#;

/// The trees of archives, each of which a line of shell makes.
fn trees(dir: &Path, makers: &[(&str, &str)]) -> Vec<String> {
    let store = store(dir);
    let tree = |(make, name): &(&str, &str)| {
        sh(dir, make);
        imported(&dir.join(name), &store, &RULES).unwrap_or_else(|error| panic!("{make}: {error:#}")).tree
    };
    makers.iter().map(tree).collect()
}

#[test]
fn a_directory_and_every_archive_of_it_are_one_tree() {
    let dir = tempfile::tempdir().unwrap();
    sh(dir.path(), MAKE);
    let makers = [
        ("true", "app"),
        ("tar -C app -cf gnu.tar .", "gnu.tar"),
        ("tar -C app --format=pax -czf pax.tgz .", "pax.tgz"),
        ("tar -C app --format=pax -V 'release 1' -cf label-pax.tar .", "label-pax.tar"),
        ("tar -C app --format=oldgnu -cf - . | zstd -q >old.tar.zst", "old.tar.zst"),
        ("cd app; ls -A | sort -r | tar --format=gnu --mtime=@1 --owner=7 -cf ../reverse.tar -T -", "reverse.tar"),
        ("tar -C app -cf - . | zstd -q -19 --long=26 >strong.tar.zst", "strong.tar.zst"),
        ("split -n 3 gnu.tar part.; for i in part.*; do zstd -q -c $i; done >frames.tar.zst", "frames.tar.zst"),
        ("for i in part.*; do gzip -c $i; done >members.tar.gz", "members.tar.gz"),
        (
            "python3 -c 'import tarfile; t = tarfile.open(\"py.tar\", \"w\", format=tarfile.PAX_FORMAT); t.add(\"app\", arcname=\".\"); t.close()'",
            "py.tar",
        ),
    ];
    let trees = trees(dir.path(), &makers);
    let first = trees[0].clone();
    assert!(trees.iter().all(|tree| *tree == first), "{makers:#?} {trees:#?}");
    // Git's own view of the directory, with its filters off.
    let git = r#"export GIT_DIR=$PWD/judge.git GIT_WORK_TREE=$PWD/app; git init -q; printf '* -text -ident\n' >$GIT_DIR/info/attributes
        git add -A; git write-tree"#;
    assert_eq!(sh(dir.path(), git).trim(), first);
}

#[test]
fn a_zip_archive_is_the_same_tree_as_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    sh(dir.path(), &format!("{MAKE}; rm 'app/back\\slash'"));
    let makers = [
        ("true", "app"),
        ("cd app; zip -qry ../info.zip .", "info.zip"),
        ("cd app; zip -qry0 ../stored.zip .", "stored.zip"),
        ("cd app; find . | sort -r | zip -qy ../reverse.zip -@", "reverse.zip"),
        ("cd app; zip -qry ../comment.zip .; echo a comment PK | zip -z ../comment.zip >/dev/null", "comment.zip"),
        ("cp -a app plain; find plain -type l -delete; cd plain; zip -qr - . | cat >../piped.zip", "piped.zip"),
        ("true", "plain"),
    ];
    let trees = trees(dir.path(), &makers);
    let [first, rest @ .., piped, plain] = &trees[..] else { panic!("{trees:#?}") };
    assert!(rest.iter().all(|tree| tree == first), "{trees:#?}");
    assert_eq!(piped, plain, "sizes and checksums behind the content");
}

/// Names that are unusual, and fine on Linux.
const ODD: &str = r#"mkdir -p odd/CON odd/a. 'odd/...'
    for name in A a "$(printf 'new\nline')" "$(printf 'tab\tand \033[2J')" -rf ..x x.. ab:c 'a ' 'b.' ' ' .gitx '*' 'CON/aux' 'a./b' '.../c' '%2e%2e' '~' é É
    do printf '%s' "$name" >"odd/$name"; done; ln -s A odd/l; chmod 6755 odd/A"#;

#[test]
fn names_that_look_odd_are_taken_as_tar_and_zip_write_them() {
    let dir = tempfile::tempdir().unwrap();
    sh(dir.path(), ODD);
    let python = r#"python3 - <<'END'
import os, stat, zipfile
with zipfile.ZipFile("large.zip", "w") as archive:
    for at, _, names in os.walk("odd"):
        for path in (os.path.join(at, name) for name in names):
            info = zipfile.ZipInfo(os.path.relpath(path, "odd"))
            info.create_system, info.external_attr = 3, os.lstat(path).st_mode << 16
            data = os.readlink(path).encode() if os.path.islink(path) else open(path, "rb").read()
            with archive.open(info, "w", force_zip64=True) as file:
                file.write(data)
END"#;
    let makers = [
        ("true", "odd"),
        ("tar -C odd -cf gnu.tar .", "gnu.tar"),
        ("tar -C odd --format=pax -cf pax.tar .", "pax.tar"),
        ("cd odd; zip -qry ../info.zip .", "info.zip"),
        ("cd odd; zip -fz -qry ../forced.zip .", "forced.zip"),
        (python, "large.zip"),
        ("printf x >\"$(printf 'odd/\\377\\376')\"; tar -cf bytes.tar -C odd .", "odd"),
        ("true", "bytes.tar"),
    ];
    let trees = trees(dir.path(), &makers);
    let [first, rest @ .., odd, bytes] = &trees[..] else { panic!("{trees:#?}") };
    for ((make, _), tree) in makers[1..].iter().zip(rest) {
        assert_eq!(tree, first, "{make}");
    }
    assert_eq!(odd, bytes, "a name that is not UTF-8");
}

#[test]
fn what_is_checked_out_is_what_tar_extracts_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    sh(
        dir.path(),
        &format!("{MAKE}; tar -C app -czf app.tgz .; rm -rf app; mkdir extracted; tar -C extracted -xzf app.tgz"),
    );
    let store = store(dir.path());
    let found = imported(&dir.path().join("app.tgz"), &store, &RULES).unwrap();
    let sum = sh(dir.path(), "sha256sum app.tgz");
    assert_eq!(found.sha256.as_deref(), sum.split_whitespace().next());
    let (files, links) =
        (sh(dir.path(), "find extracted -type f | wc -l"), sh(dir.path(), "find extracted -type l | wc -l"));
    assert_eq!(
        (found.summary.files.to_string(), found.summary.links.to_string()),
        (files.trim().into(), links.trim().into())
    );
    let checkout = format!(
        "mkdir live; printf '* -text -ident\\n' >store.git/info/attributes
         git --git-dir=store.git --work-tree=live -c core.bare=false checkout -q {} -- .
         rmdir extracted/tmp/* extracted/tmp; diff -r --no-dereference extracted live
         diff <(cd extracted; find . -type f -perm -100 | sort) <(cd live; find . -type f -perm -100 | sort)",
        found.commit
    );
    sh(dir.path(), &checkout);
    assert_eq!(
        found.summary.remarks(),
        [
            "2 empty directories: tmp/a and 1 more; git keeps no directories, so they are not deployed",
            "1 setuid or setgid file: lib/zeros; these bits are not deployed",
            "1 file that only its owner may read: lib/empty; only the executable bit of a mode is deployed, so others may read them",
        ]
    );
}

#[test]
fn the_same_content_is_the_same_commit_everywhere_and_is_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    sh(dir.path(), MAKE);
    let one = store(dir.path());
    sh(dir.path(), "mkdir other; cp -a app other/app; touch -d @5 other/app/bin/run");
    let other = store(&dir.path().join("other"));
    let first = imported(&dir.path().join("app"), &one, &RULES).unwrap();
    assert_eq!(imported(&dir.path().join("other/app"), &other, &RULES).unwrap().commit, first.commit);
    sh(&one, &format!("git update-ref refs/keep {}", first.commit));
    let text = sh(&one, &format!("git cat-file commit {}", first.commit));
    assert_eq!(text, hoist::wire::artifact_commit(&first.tree), "the revision that deployments know it by");
    let size = |of: &Path| sh(of, "du -s --apparent-size objects | cut -f1").trim().parse::<u64>().unwrap();
    let before = size(&one);
    sh(dir.path(), "echo changed >>app/lib/crlf.txt");
    let second = imported(&dir.path().join("app"), &one, &RULES).unwrap();
    assert_ne!(second.tree, first.tree);
    let grown = size(&one) - before;
    assert!(grown < before / 10, "{grown} KiB for one small file; {before} KiB at first");
}

#[test]
fn leading_names_are_removed_if_the_rules_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let makers = [
        ("mkdir -p app/lib; echo a >app/a; echo b >app/lib/b; ln app/a app/lib/c; ln -s ../a app/lib/l; ls app", "app"),
        ("mkdir x; cp -a app x/app-1.4; tar -C x --sort=name -cf top.tar app-1.4", "top.tar"),
    ];
    let trees = trees(dir.path(), &makers);
    assert_ne!(trees[0], trees[1], "a leading directory is content");
    let store = dir.path().join("store.git");
    let rules = |strip_components| ArtifactRules { strip_components, ..RULES };
    let stripped = imported(&dir.path().join("top.tar"), &store, &rules(1)).unwrap();
    assert_eq!(stripped.tree, trees[0]);
    let error = imported(&dir.path().join("top.tar"), &store, &rules(2)).unwrap_err().to_string();
    assert!(
        error.contains("entry \"app-1.4/a\" has 2 names in its path, and artifact_strip_components removes 2"),
        "{error}"
    );
}

#[test]
fn links_that_lead_out_are_taken_if_the_rules_say_so() {
    let dir = tempfile::tempdir().unwrap();
    sh(dir.path(), "mkdir app; ln -s /usr/bin/python3 app/python; ln -s ../../up app/up");
    let store = store(dir.path());
    let rules = ArtifactRules { outside_links: true, ..RULES };
    let found = imported(&dir.path().join("app"), &store, &rules).unwrap();
    let listing = sh(&store, &format!("git ls-tree {}; git cat-file blob {}:python", found.tree, found.tree));
    assert!(listing.contains("120000") && listing.ends_with("/usr/bin/python3"), "{listing}");
}

/// Archives at the limits of their formats, which hold the same in each format.
const LIMITS: &str = r#"import io, os, subprocess, tarfile, zipfile

def file(name, data, **pax):
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.pax_headers = len(data), 0o644, pax
    return info, io.BytesIO(data)

names = [f"d{number % 300}/{number}" for number in range(65_600)]
with zipfile.ZipFile("many.zip", "w") as archive:
    for name in names:
        archive.writestr(zipfile.ZipInfo(name), b"")
with tarfile.open("many.tar", "w") as archive:
    for name in names:
        archive.addfile(*file(name, b""))

deepest = "d/" * 255 + "x"
long = "/".join(["n" * 255] * 12)
for kind, format in [("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT)]:
    with tarfile.open(f"long-{kind}.tar", "w", format=format) as archive:
        archive.addfile(*file(deepest, b"deep"))
        archive.addfile(*file(long, b"long", **{"SCHILY.xattr.user.x": "v" * 1_000_000} if kind == "pax" else {}))
        link = tarfile.TarInfo("l")
        link.type, link.linkname = tarfile.SYMTYPE, long
        archive.addfile(link)
        hard = tarfile.TarInfo("h")
        hard.type, hard.linkname = tarfile.LNKTYPE, long
        archive.addfile(hard)
with zipfile.ZipFile("long.zip", "w") as archive:
    for name, data, mode in [(deepest, "deep", 0o100644), (long, "long", 0o100644), ("l", long, 0o120777), ("h", "long", 0o100644)]:
        info = zipfile.ZipInfo(name)
        info.create_system, info.external_attr = 3, mode << 16
        archive.writestr(info, data)
data = open("long-gnu.tar", "rb").read()
pack = lambda data: subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout
skipped = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
with open("skipped.tar.zst", "wb") as out:
    out.write(skipped + pack(data[:1000]) + skipped + pack(b"") + pack(data[1000:]) + skipped)
"#;

#[test]
fn archives_at_the_limits_of_their_formats_are_read_whole() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("limits.py"), LIMITS).unwrap();
    let makers = [
        ("python3 limits.py", "many.tar"),
        ("true", "many.zip"),
        ("mkdir long; tar -C long -xf long-gnu.tar", "long"),
        ("true", "long-gnu.tar"),
        ("true", "long-pax.tar"),
        ("true", "long.zip"),
        ("true", "skipped.tar.zst"),
    ];
    let trees = trees(dir.path(), &makers);
    let (many, long) = trees.split_at(2);
    assert!(many.iter().all(|tree| *tree == many[0]), "more entries than 16 bits count: {many:?}");
    assert!(long.iter().all(|tree| *tree == long[0]), "the longest names: {long:?}");
    let count = format!("git --git-dir=store.git ls-tree -r {} | wc -l", many[0]);
    assert_eq!(sh(dir.path(), &count).trim(), "65600");
}
