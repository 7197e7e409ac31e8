//! What a target's shell is given: the scripts that start Hoist there, and store it where it is missing.
//!
//! The first command on a session is a small script for the target's `/bin/sh`. It checks that the target has this
//! exact build, in a folder that nobody else can write to, and executes it in its own place, so that `deploy-local`
//! reads the probe's request, which was already sent. If the build is missing, the script says so, drops that request,
//! and evaluates another script, a line: it stores the build, which follows that line, and goes on as the first one does.
//! Then the request is sent once more. Later commands use the path that is printed before Hoist is executed.
//!
//! An upload is checked by the checksum and the size of what was compressed; one that is not compressed is hashed. The file
//! `ok` beside the build records the size, inode and ctime of the file that was checked; the ctime cannot be set by users. A
//! file that differs from the record is hashed before it is run. Hashing megabytes for each connection would cost a target
//! more than everything else about a connection.
//!
//! The first script contains no single quotes, newlines and exclamation marks, so that `exec /bin/sh -c '…'` has the same
//! meaning in sh, csh and fish. The user's login shell may be any of them. The second one is a single line.

use std::hash::{BuildHasher, Hasher, RandomState};

use super::own_build::{OwnBuild, ToSend, Unpackers, machine};

/// Builds that a target has not run for this many days are removed.
const KEPT_DAYS: u32 = 30;

/// What the first script prints before it executes Hoist, or instead of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marker {
    /// It executes the program at this path.
    At(String),
    /// This build is missing.
    Missing(Unpackers),
    /// The build cannot run there; with a fragment for the operator.
    Unfit(String),
}

impl Marker {
    /// Parses a line of the script; `None` for any other line.
    pub fn parse(line: &str) -> Option<Marker> {
        let rest = line.strip_prefix("hoist-bootstrap: ")?;
        let (word, value) = rest.split_once(' ').unwrap_or((rest, ""));
        Some(match word {
            "at" => Marker::At(value.to_owned()),
            "missing" => Marker::Missing(Unpackers::parse(value)),
            "machine" => Marker::Unfit(format!(
                "target is {value}, this hoist is {}: set remote_binary to a build for it",
                machine()
            )),
            "unsafe" => Marker::Unfit(format!(
                "hoist is not run from ~/.cache on the target: {value}; fix that, or set remote_binary"
            )),
            _ => Marker::Unfit(format!("cannot copy hoist to the target: {value}; fix that, or set remote_binary")),
        })
    }
}

/// The command line that runs a program's `deploy-local`.
pub fn run_command(path: &str) -> String {
    format!("exec {} deploy-local", shell_word(path))
}

/// Quotes a word for a POSIX shell. Simple words are not quoted, so that they work in any other shell too.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,@%=:".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A command line for any login shell that has `/bin/sh` execute a script.
pub(super) fn script(text: &str) -> String {
    debug_assert!(!text.contains(['\'', '\n', '!']), "not safe in every login shell: {text}");
    format!("exec /bin/sh -c '{text}'")
}

/// The beginning of the first script, and what both have in common: where the build belongs, how a folder is checked, and
/// the two ways to go on.
///
/// `own MODE PATH` holds for a path of the user's that is a folder (`d`) or a file (`-`) which neither its group nor
/// others may write to, as `ls -ldn` shows it. `safe` returns only for such a folder, and `real` if it is no link.
/// `missing` and `go` do not return. What `go` starts has the umask of the login: it starts stages.
fn preamble(sha256: &str) -> String {
    [
        // The output of a start-up file of the login shell may not end with a newline.
        r#"say() { echo; echo "hoist-bootstrap: $*"; }"#,
        r#"fail() { say "$@"; exit 0; }"#,
        r#"own() { k=$1; set -- $(ls -ldn "$2" 2>/dev/null); case "$1" in "$k"????-??-*) [ "$3" = "$(id -u)" ];; *) false;; esac; }"#,
        r#"real() { if [ -h "$1" ]; then fail unsafe "$1 is a symbolic link"; fi; }"#,
        // Only ~/.cache may be a symbolic link: the link itself is in the home of the user.
        r#"safe() { own d "$1" && return; real "$1"; p=${1%/.}; set -- $(ls -ldn "$1"); [ "$3" = "$(id -u)" ] || fail unsafe "$p belongs to another user"; fail unsafe "others can write to $p"; }"#,
        r#"[ -n "$HOME" ] || fail error the user has no HOME"#,
        r#"c=$HOME/.cache; b=$c/hoist"#,
        &format!(r#"d=$b/{sha256}; f=$d/hoist"#),
        r#"sum() { set -- $(sha256sum); echo "$1"; }"#,
        r#"command -v sha256sum >/dev/null 2>&1 || fail error sha256sum is not installed"#,
        // What comes ahead of the upload's script is the request.
        r#"missing() { w=; for p in zstd gzip; do command -v $p >/dev/null 2>&1 && w="$w $p"; done; say missing$w; while IFS= read -r w; do case "$w" in ": hoist-upload;"*) eval "$w";; esac; done; exit 0; }"#,
        r#"go() { { echo > "$d/used"; } 2>/dev/null; say at "$f"; exec "$f" deploy-local; }"#,
    ]
    .join("; ")
}

/// The first command of a session.
pub(super) fn start_script(sha256: &str) -> String {
    let machine = machine();
    [
        preamble(sha256),
        // Only kernels before 6.1 have to be asked by a process.
        r#"m=; { read -r m < /proc/sys/kernel/arch; } 2>/dev/null"#.into(),
        format!(r#"[ "$m" = {machine} ] || {{ m=$(uname -sm); [ "$m" = "Linux {machine}" ] || fail machine "$m"; }}"#),
        // One `stat` of everything that matters: seven words each, the first for a folder that certainly belongs to this
        // user.
        r#"n=; { read -r n < "$d/ok"; } 2>/dev/null"#.into(),
        r#"set -- $(stat -c "%A %u %s %i %z" /proc/self/. "$c/." "$b" "$d" "$f" 2>/dev/null)"#.into(),
        r#"i="${31} ${32} ${33} ${34}""#.into(),
        r#"case "$#:$8${15}${22}${29}:$9 ${16} ${23} ${30}:$i" in 35:d????-??-?d????-??-?d????-??-?-????-??-?:"$2 $2 $2 $2:$n") go;; esac"#.into(),
        // Something differs from the record, or there is none: check each thing separately.
        r#"[ -e "$f" ] || missing"#.into(),
        r#"safe "$c/."; safe "$b"; safe "$d""#.into(),
        r#"own - "$f" || missing"#.into(),
        format!(r#"[ "$(sum < "$f")" = {sha256} ] || missing"#),
        // Record the state from before the hash: after a change in between, the record does not match.
        r#"{ echo "$i" > "$d/ok"; } 2>/dev/null"#.into(),
        "go".into(),
    ]
    .join("; ")
}

/// What the first command evaluates where Hoist is missing, and whose words it uses.
///
/// To start a process costs a small target as much as to write a megabyte, so there are few: nothing is looked for that
/// cannot be there. What follows the build on the standard input is for Hoist, so that no more than it may be read.
///
/// # Errors
/// A fragment for the operator: this build cannot be read.
pub(super) fn upload_script(build: &OwnBuild, to_send: &ToSend) -> Result<String, String> {
    let (sha256, bytes, unpack) = (build.sha256()?, build.bytes(), to_send.unpack);
    let (sent, random) = (to_send.content.bytes, RandomState::new().build_hasher().finish());
    let mut lines = vec![
        ": hoist-upload; u=$(umask); umask 077".into(),
        // Whether there are other builds, and leftovers of interrupted uploads of this one.
        r#"set -- "$b"/*; o=$*; n=; [ -d "$d" ] && n=1"#.into(),
        // Print the error message of a command as one line.
        "set -f".into(),
        r#"[ -n "$n" ] || { real "$b"; e=$(mkdir -p "$d" 2>&1) || fail error cannot make "$d": $e; }"#.into(),
        // Two words for each, the first for a folder that certainly belongs to this user.
        r#"set -- $(stat -c "%A %u" /proc/self/. "$c/." "$b" "$d" 2>/dev/null)"#.into(),
        // If it does not hold, check each, for the one to be named.
        r#"case "$#:$3$5$7:$4 $6 $8" in 8:d????-??-?d????-??-?d????-??-?:"$2 $2 $2") ;; *) safe "$c/."; safe "$b"; safe "$d";; esac"#.into(),
        // Remove them.
        format!(
            r#"[ "$o" = "$d" ] || [ "$o" = "$b/*" ] || (cd "$b" && for o in $(find . -mindepth 1 -maxdepth 1 -type d -name "[0-9a-f]*" -not -name "* *" -mtime +{KEPT_DAYS} 2>/dev/null); do [ -n "$(find "$o/used" -mtime -{KEPT_DAYS} 2>/dev/null)" ] || rm -rf "$o"; done)"#
        ),
        r#"[ -z "$n" ] || find "$d" -name ".new.*" -mtime +1 -exec rm -f {} + 2>/dev/null"#.into(),
        // Other hosts may have the same home.
        format!(r#"t=$d/.new.{random:016x}"#),
        format!(r#"e=$({{ head -c {sent} | {unpack} > "$t"; }} 2>&1) || {{ rm -f "$t"; fail error cannot write to "$d": $e; }}"#),
    ];
    lines.push(if to_send.is_checked {
        format!(
            r#"n=$(stat -c %s "$t"); [ "$n" = {bytes} ] || {{ rm -f "$t"; fail error {unpack} wrote "$n" of {bytes} bytes; }}"#
        )
    } else {
        format!(r#"[ "$(sum < "$t")" = {sha256} ] || {{ rm -f "$t"; fail error it was damaged on the way; }}"#)
    });
    lines.extend([
        r#"e=$({ chmod 700 "$t" && mv -f "$t" "$f"; } 2>&1) || { rm -f "$t"; fail error cannot write to "$d": $e; }"#
            .into(),
        // It was just checked, so that its first run does not have to read it once more.
        r#"set -- $(stat -c "%s %i %z" "$f"); { echo "$1 $2 $3 $4" > "$d/ok"; } 2>/dev/null"#.into(),
        r#"umask "$u"; go"#.into(),
    ]);
    Ok(lines.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
    use std::path::{Path, PathBuf};
    use std::process::{Command, Stdio};

    /// A home, and a "build" that tells that it ran and what it was asked.
    fn build(dir: &Path) -> (PathBuf, OwnBuild) {
        let (home, program) = (dir.join("a home"), dir.join("program"));
        std::fs::create_dir(&home).unwrap();
        std::fs::write(&program, "#!/bin/sh\necho ran $*\ncat\n").unwrap();
        (home, OwnBuild::open(&program).unwrap())
    }

    const NOTHING: Unpackers = Unpackers { zstd: false, gzip: false };
    const GZIP: Unpackers = Unpackers { zstd: false, gzip: true };
    const MISSING: &str = "\nhoist-bootstrap: missing zstd gzip\n";
    const RAN: &str = "ran deploy-local\nthe request\n";

    fn start(own: &OwnBuild) -> String {
        script(&start_script(own.sha256().unwrap()))
    }

    /// The first command on a target where the build is missing, whatever is there.
    fn missing(own: &OwnBuild) -> String {
        script(&format!("{}; missing", preamble(own.sha256().unwrap())))
    }

    /// What is sent to a target that has these programs.
    fn content(own: &OwnBuild, unpackers: Unpackers) -> Vec<u8> {
        let pack = own.to_send(unpackers).unwrap().content;
        let mut bytes = vec![0; usize::try_from(pack.bytes).unwrap()];
        pack.file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    /// What a command prints that says that the build is missing, and is then sent this as the build, and the request.
    fn given(command: &str, home: &Path, own: &OwnBuild, unpackers: Unpackers, content: &[u8]) -> String {
        let to_send = own.to_send(unpackers).unwrap();
        let mut input = format!("exit 97\nthe request\n{}\n", upload_script(own, &to_send).unwrap()).into_bytes();
        input.extend(content);
        if content.len() as u64 == to_send.content.bytes {
            input.extend(b"the request\n");
        }
        let file = home.with_file_name("input");
        std::fs::write(&file, input).unwrap();
        // A pipe, as sshd's is: what one program has read is there for no other.
        run(&format!("cat {} | {command}", shell_word(file.to_str().unwrap())), home, Path::new("/dev/null"))
    }

    /// The build is sent as it is.
    fn upload(home: &Path, own: &OwnBuild) -> String {
        given(&missing(own), home, own, NOTHING, &content(own, NOTHING))
    }

    /// What is printed where a build was missing, and is now in this home.
    fn stored(home: &Path, own: &OwnBuild) -> String {
        format!("{MISSING}\nhoist-bootstrap: at {}\n{RAN}", folder_of(home, own).join("hoist").display())
    }

    fn folder_of(home: &Path, own: &OwnBuild) -> PathBuf {
        home.join(".cache/hoist").join(own.sha256().unwrap())
    }

    fn run(command: &str, home: &Path, input: &Path) -> String {
        let output = Command::new("sh")
            .args(["-c", command])
            .env("HOME", home)
            .stdin(Stdio::from(File::open(input).unwrap()))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn a_build_is_missing_then_stored_and_run_with_its_input_untouched() {
        let dir = tempfile::tempdir().unwrap();
        let (home, own) = build(dir.path());
        let request = dir.path().join("request");
        std::fs::write(&request, "the request\n").unwrap();
        // Nobody sends anything after that.
        assert_eq!(run(&start(&own), &home, Path::new("/dev/null")), MISSING);
        assert_eq!(run(&start(&own), &home, &request), MISSING);
        assert_eq!(given(&start(&own), &home, &own, NOTHING, &content(&own, NOTHING)), stored(&home, &own));
        // What reads a part of the request ahead of it gets nothing else evaluated.
        let reading = format!("(read -r first; {})", missing(&own));
        assert_eq!(given(&reading, &home, &own, NOTHING, &content(&own, NOTHING)), stored(&home, &own));
        let path = folder_of(&home, &own).join("hoist");
        let said = run(&start(&own), &home, &request);
        assert_eq!(said, format!("\nhoist-bootstrap: at {}\n{RAN}", path.display()));
        let marker = Marker::parse(said.lines().nth(1).unwrap());
        assert_eq!(marker, Some(Marker::At(path.to_str().unwrap().into())));
        assert_eq!(run(&run_command(path.to_str().unwrap()), &home, &request), RAN);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o700, 0o700));
    }

    #[test]
    fn what_is_started_has_the_umask_of_the_login_and_others_have_no_access_to_what_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let (home, program) = (dir.path().join("home"), dir.path().join("program"));
        std::fs::create_dir(&home).unwrap();
        std::fs::write(&program, "#!/bin/sh\necho umask $(umask)\n").unwrap();
        let own = OwnBuild::open(&program).unwrap();
        for _ in ["it is missing", "it is there"] {
            let said = given(&format!("(umask 002; {})", start(&own)), &home, &own, NOTHING, &content(&own, NOTHING));
            assert!(said.ends_with("umask 0002\n"), "{said}");
        }
        let folder = folder_of(&home, &own);
        for path in [home.join(".cache"), home.join(".cache/hoist"), folder] {
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700, "{}", path.display());
        }
    }

    #[test]
    fn a_build_is_sent_compressed_where_the_target_can_unpack_it() {
        let dir = tempfile::tempdir().unwrap();
        let (home, own) = build(dir.path());
        let bytes = content(&own, GZIP);
        // Half of it, what is no such thing, and one whose content is another than its checksum is of.
        let mut changed = bytes.clone();
        let checksum = changed.len() - 8;
        changed[checksum] ^= 1;
        for (sent, why) in [
            (&bytes[..bytes.len() / 2], "unexpected end of file"),
            (&b"no gzip"[..], "not in gzip format"),
            (&changed, "crc error"),
        ] {
            let said = given(&start(&own), &home, &own, GZIP, sent);
            assert!(said.contains("error cannot write to ") && said.contains(why), "{said}");
        }
        assert_eq!(std::fs::read_dir(folder_of(&home, &own)).unwrap().count(), 0);
        assert_eq!(given(&start(&own), &home, &own, GZIP, &bytes), stored(&home, &own));
        assert!(run(&start(&own), &home, Path::new("/dev/null")).ends_with("ran deploy-local\n"));
        for (said, zstd, gzip) in
            [("missing zstd gzip", true, true), ("missing gzip", false, true), ("missing", false, false)]
        {
            let unpackers = Unpackers { zstd, gzip };
            assert_eq!(Marker::parse(&format!("hoist-bootstrap: {said}")), Some(Marker::Missing(unpackers)));
        }
    }

    #[test]
    fn an_upload_to_a_new_target_starts_few_processes() {
        let dir = tempfile::tempdir().unwrap();
        let (home, own) = build(dir.path());
        let calls = dir.path().join("calls");
        let traced = format!(
            "strace -f -qq -e trace=execve -o {} {}",
            shell_word(calls.to_str().unwrap()),
            start(&own).trim_start_matches("exec ")
        );
        assert_eq!(given(&traced, &home, &own, GZIP, &content(&own, GZIP)), stored(&home, &own));
        let calls = std::fs::read_to_string(calls).unwrap();
        // sh, stat, mkdir, stat, head, gzip, stat, chmod, mv, stat, and the build, which has `cat`; before Linux 6.1 also
        // uname.
        let uname = usize::from(!Path::new("/proc/sys/kernel/arch").exists());
        assert_eq!(calls.lines().filter(|call| call.ends_with(" = 0")).count(), 12 + uname, "{calls}");
    }

    #[test]
    fn a_build_that_others_could_change_or_that_is_damaged_is_not_run() {
        let dir = tempfile::tempdir().unwrap();
        let (home, own) = build(dir.path());
        let null = Path::new("/dev/null");
        upload(&home, &own);
        let folder = folder_of(&home, &own);
        let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        for loose in [&folder, &home.join(".cache/hoist"), &home.join(".cache")] {
            mode(loose, 0o770);
            let refused = format!("\nhoist-bootstrap: unsafe others can write to {}\n", loose.display());
            assert_eq!(run(&start(&own), &home, null), refused);
            assert_eq!(upload(&home, &own), format!("{MISSING}{refused}"));
            mode(loose, 0o700);
        }
        mode(&folder.join("hoist"), 0o722);
        assert_eq!(run(&start(&own), &home, null), MISSING);
        mode(&folder.join("hoist"), 0o700);
        std::fs::write(folder.join("hoist"), "#!/bin/sh\necho another\n").unwrap();
        assert_eq!(run(&start(&own), &home, null), MISSING);
        let said = given(&start(&own), &home, &own, NOTHING, b"#!/bin/sh\necho a third\n");
        assert_eq!(said, format!("{MISSING}\nhoist-bootstrap: error it was damaged on the way\n"));
        let left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| ["hoist", "ok", "used"].map(Into::into).contains(name)), "{left:?}");
    }

    #[test]
    fn a_folder_that_is_a_link_or_another_users_is_named_with_the_reason_and_nothing_is_made_there() {
        let dir = tempfile::tempdir().unwrap();
        let (home, own) = build(dir.path());
        let (cache, elsewhere) = (home.join(".cache"), dir.path().join("elsewhere"));
        std::fs::create_dir_all(&elsewhere).unwrap();
        std::fs::create_dir(&cache).unwrap();
        std::os::unix::fs::symlink(&elsewhere, cache.join("hoist")).unwrap();
        let link = format!("\nhoist-bootstrap: unsafe {} is a symbolic link\n", cache.join("hoist").display());
        assert_eq!(upload(&home, &own), format!("{MISSING}{link}"));
        assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
        let build = elsewhere.join(own.sha256().unwrap());
        std::fs::create_dir(&build).unwrap();
        std::fs::write(build.join("hoist"), "").unwrap();
        assert_eq!(run(&start(&own), &home, Path::new("/dev/null")), link);
        std::fs::remove_file(cache.join("hoist")).unwrap();
        // Whose it is only root can change.
        if std::fs::metadata(&cache).unwrap().uid() != 0 {
            return;
        }
        std::os::unix::fs::chown(&cache, Some(12345), None).unwrap();
        let theirs = format!("\nhoist-bootstrap: unsafe {} belongs to another user\n", cache.display());
        assert_eq!(upload(&home, &own), format!("{MISSING}{theirs}"));
    }

    #[test]
    fn a_build_of_another_size_is_not_kept_though_its_checksum_holds() {
        let dir = tempfile::tempdir().unwrap();
        let (home, own) = build(dir.path());
        // What is sent is right, and something else is unpacked.
        let bin = dir.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        std::fs::write(bin.join("gzip"), "#!/bin/sh\ncat >/dev/null; echo another\n").unwrap();
        std::fs::set_permissions(bin.join("gzip"), PermissionsExt::from_mode(0o755)).unwrap();
        let lying = format!("(PATH={}:$PATH; {})", bin.display(), missing(&own));
        let refused = format!("{MISSING}\nhoist-bootstrap: error gzip -dc wrote 8 of {} bytes\n", own.bytes());
        assert_eq!(given(&lying, &home, &own, GZIP, &content(&own, GZIP)), refused);
        assert_eq!(std::fs::read_dir(folder_of(&home, &own)).unwrap().count(), 0);
        // Another host that has the same home may have stored it meanwhile.
        upload(&home, &own);
        assert_eq!(given(&lying, &home, &own, GZIP, &content(&own, GZIP)), refused);
        assert!(run(&start(&own), &home, Path::new("/dev/null")).ends_with("ran deploy-local\n"));
    }

    #[test]
    fn an_upload_that_cannot_be_written_says_what_the_system_said_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (home, program) = (dir.path().join("home"), dir.path().join("program"));
        std::fs::create_dir(&home).unwrap();
        std::fs::write(&program, vec![b'#'; 1 << 20]).unwrap();
        let own = OwnBuild::open(&program).unwrap();
        // Files of 64 KiB at the most.
        let limited = format!("(trap \"\" XFSZ; ulimit -f 128; {})", start(&own));
        let said = given(&limited, &home, &own, NOTHING, &content(&own, NOTHING));
        assert!(
            said.contains("error cannot write to ") && said.contains(": cat: ") && said.contains("File too large"),
            "{said}"
        );
        let folder = folder_of(&home, &own);
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
        // A file stands where the folder belongs.
        std::fs::remove_dir_all(home.join(".cache")).unwrap();
        std::fs::write(home.join(".cache"), "").unwrap();
        let said = upload(&home, &own);
        assert!(said.contains("error cannot make ") && said.trim_end().ends_with("Not a directory"), "{said}");
    }

    #[test]
    fn a_build_is_hashed_once_and_again_when_its_file_was_touched_in_any_way() {
        let dir = tempfile::tempdir().unwrap();
        let (home, own) = build(dir.path());
        let (null, bin, log) = (Path::new("/dev/null"), dir.path().join("bin"), dir.path().join("log"));
        std::fs::create_dir(&bin).unwrap();
        let counting = format!("#!/bin/sh\necho x >> {}\nexec /usr/bin/sha256sum\n", log.display());
        std::fs::write(bin.join("sha256sum"), counting).unwrap();
        std::fs::set_permissions(bin.join("sha256sum"), PermissionsExt::from_mode(0o755)).unwrap();
        upload(&home, &own);
        let start = format!("PATH={}:$PATH; export PATH; {}", bin.display(), start(&own));
        let hashed = || std::fs::read_to_string(&log).map_or(0, |text| text.lines().count());
        for _ in 0..3 {
            assert!(run(&start, &home, null).contains("ran deploy-local"));
        }
        assert_eq!(hashed(), 0, "the upload has hashed it");
        let ok = folder_of(&home, &own).join("ok");
        std::fs::remove_file(&ok).unwrap();
        for _ in 0..3 {
            assert!(run(&start, &home, null).contains("ran deploy-local"));
        }
        assert_eq!(hashed(), 1);
        // The same size, and the old time of change set back as far as anybody can.
        let file = folder_of(&home, &own).join("hoist");
        let old = std::fs::metadata(&file).unwrap().modified().unwrap();
        let text = std::fs::read_to_string(&file).unwrap().replace("ran", "RAN");
        std::fs::write(&file, text).unwrap();
        File::options().write(true).open(&file).unwrap().set_modified(old).unwrap();
        assert_eq!(run(&start, &home, null), MISSING);
        assert_eq!(hashed(), 2);
    }

    #[test]
    fn builds_that_nobody_ran_for_a_month_are_removed_at_an_upload() {
        let dir = tempfile::tempdir().unwrap();
        let (home, own) = build(dir.path());
        let (old, young) = (home.join(".cache/hoist/0ld"), home.join(".cache/hoist/0new"));
        let (strange, used) = (home.join(".cache/hoist/.other"), home.join(".cache/hoist/0used"));
        for folder in [&old, &young, &strange, &used] {
            std::fs::create_dir_all(folder.join("x")).unwrap();
        }
        std::fs::write(used.join("used"), "").unwrap();
        for folder in [&old, &strange, &used] {
            assert!(Command::new("touch").args(["-d", "40 days ago"]).arg(folder).status().unwrap().success());
        }
        assert_eq!(upload(&home, &own), stored(&home, &own));
        let there = [&old, &young, &strange, &used].map(|folder| folder.exists());
        assert_eq!(there, [false, true, true, true]);
    }

    #[test]
    fn another_machine_is_told_with_what_to_do_about_it() {
        let Some(Marker::Unfit(why)) = Marker::parse("hoist-bootstrap: machine Linux riscv64") else { panic!() };
        assert!(why.starts_with("target is Linux riscv64, this hoist is") && why.contains("remote_binary"), "{why}");
        assert_eq!(Marker::parse("{\"event\":\"held\"}"), None);
    }

    #[test]
    fn words_come_through_a_shell_unchanged() {
        for word in ["/usr/bin/hoist", "/home/o'brien/a b/$(id)`x`\"\\", "", "*", "~x", "ä!"] {
            let output = Command::new("sh").args(["-c", &format!("printf %s {}", shell_word(word))]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
        assert_eq!(shell_word("/usr/bin/hoist"), "/usr/bin/hoist");
    }
}
