//! Several operators of one repository: what one of them began any other can end. Users and groups are real, by number.

#[path = "common/mod.rs"]
mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use common::{Farm, Links, Project, Ran, address};

/// The group of the operators; each also has a group of their own.
const OPS: u32 = 4000;
const ALICE: u32 = 4001;
const BOB: u32 = 4002;
/// Whose processes are counted, so that no other test has any of theirs.
const CAROL: u32 = 4003;

/// Waits in promote for as long as there is a file.
const WAITS: &str = "checks:\n  waits:\n    stage: promote\n    shell: true\n    timeout: 120\n    command: \
                     \"touch /srv/in; while test -e /srv/wait; do sleep 0.05; done\"\n";

struct Shared {
    farm: Farm,
    project: Project,
    /// Homes, keys, and the program: this machine's own copy may not be everybody's to run.
    dir: tempfile::TempDir,
    umask: &'static str,
}

fn run(program: &str, arguments: &[&str], path: &Path) {
    let done = Command::new(program).args(arguments).arg(path).status().unwrap();
    assert!(done.success(), "{program} {arguments:?} {}", path.display());
}

fn name(user: u32) -> &'static str {
    match user {
        ALICE => "alice",
        BOB => "bob",
        _ => "carol",
    }
}

impl Shared {
    /// A repository that everybody in the group may write, as `git init --shared` and `chgrp` leave one, with or without
    /// setgid.
    fn new(umask: &'static str, setgid: bool) -> Shared {
        Shared::on(2, umask, setgid)
    }

    fn on(hosts: usize, umask: &'static str, setgid: bool) -> Shared {
        let (farm, project) = Project::on_farm(0, hosts);
        project.write("hoist/checks.yaml", WAITS);
        project.commit("checks");
        let dir = tempfile::tempdir().unwrap();
        for folder in [dir.path(), farm.dir.path()] {
            std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
        }
        common::copy_hoist(&dir.path().join("hoist"));
        for user in [ALICE, BOB, CAROL] {
            let home = dir.path().join(user.to_string());
            std::fs::create_dir(&home).unwrap();
            std::fs::write(home.join(".gitconfig"), "[safe]\n\tdirectory = *\n[pack]\n\tthreads = 1\n").unwrap();
            std::fs::copy(farm.key(), home.join("id")).unwrap();
            run("chown", &["-R", &user.to_string()], &home);
            run("chmod", &["600"], &home.join("id"));
        }
        let shared = Shared { farm, project, dir, umask };
        shared.hand_over();
        if setgid {
            let find = ["-exec", "chmod", "g+s", "{}", "+"];
            let top = shared.project.path("");
            let done = Command::new("find").arg(&top).args(["-type", "d"]).args(find).status().unwrap();
            assert!(done.success());
        }
        shared
    }

    /// What root has committed is the group's.
    fn hand_over(&self) {
        let top = self.project.path("");
        for folder in [".git", "hoist"] {
            let mut find = Command::new("find");
            find.arg(top.join(folder)).args(["-user", "root", "-exec", "chgrp", &OPS.to_string(), "{}", "+"]);
            assert!(find.args(["-exec", "chmod", "g+rwX", "{}", "+"]).status().unwrap().success());
        }
        run("chgrp", &[&OPS.to_string()], &top);
        run("chmod", &["2775"], &top);
    }

    fn commit(&self, words: &str) -> String {
        self.project.write("index.html", &format!("{words}\n"));
        let revision = self.project.commit(words);
        self.hand_over();
        revision
    }

    fn command(&self, user: u32, arguments: &[&str]) -> Command {
        let home = self.dir.path().join(user.to_string());
        let key = format!("identity_file:{}", home.join("id").display());
        let with_key = [arguments, &["-D", &key]].concat();
        let template = self.project.hoist(&[]);
        let mut command = Command::new("setpriv");
        let id = user.to_string();
        command.args(["--reuid", &id, "--regid", &id, "--groups", &OPS.to_string(), "--", "sh", "-c"]);
        command.arg(format!("umask {}; exec \"$0\" \"$@\"", self.umask)).arg(self.dir.path().join("hoist"));
        command.args(with_key).current_dir(self.project.path("")).stdin(Stdio::null());
        common::take_environment(&mut command, &template);
        command.env("USER", name(user)).env("HOME", home);
        command
    }

    fn run(&self, user: u32, arguments: &[&str]) -> Ran {
        Ran::of(self.command(user, arguments).output().unwrap())
    }

    /// A deployment that its deployer does not live to see the end of.
    fn killed_in_promote(&self, user: u32) {
        let srv = |n| self.farm.srv(&address(n));
        for n in 0..2 {
            let _ = std::fs::remove_file(srv(n).join("in"));
            std::fs::write(srv(n).join("wait"), "").unwrap();
        }
        let mut deployer =
            self.command(user, &["deploy", "--yes", "--break-glass", "again"]).stdout(Stdio::null()).spawn().unwrap();
        common::wait_for("promote on both hosts", || (0..2).all(|n| srv(n).join("in").exists()));
        deployer.kill().unwrap();
        deployer.wait().unwrap();
        (0..2).for_each(|n| std::fs::remove_file(srv(n).join("wait")).unwrap());
    }

    fn all_on(&self, revision: &str) {
        for n in 0..2 {
            assert_eq!(Links::of(&self.farm, n), Links::finalized(revision), "host {}", address(n));
        }
    }

    fn state(&self) -> PathBuf {
        self.project.path("hoist/state")
    }
}

#[test]
fn an_operator_who_may_start_few_processes_deploys_with_fewer_threads() {
    let shared = Shared::on(40, "022", true);
    let deploys_with = |processes: usize| {
        shared.commit(&format!("with {processes}"));
        let command = shared.command(CAROL, &["deploy", "--yes", "--break-glass", "try it", "-D", "batch_size:40"]);
        let mut limited = Command::new("prlimit");
        limited.arg(format!("--nproc={processes}")).arg(command.get_program()).args(command.get_args());
        limited.current_dir(shared.project.path("")).stdin(Stdio::null());
        common::take_environment(&mut limited, &command);
        Ran::of(limited.output().unwrap())
    };
    for enough in [24, 12] {
        deploys_with(enough).ends(0).says("finalized on 40 of 40 hosts");
    }
    // With hardly any, git's own threads may be one too many. Then it says so, and undoes what it did.
    for few in [7, 6, 5, 4] {
        let ran = deploys_with(few);
        assert!(
            matches!(ran.status, Some(0..=2)) && !format!("{}{}", ran.out, ran.err).contains("internal error"),
            "{few}: {ran:#?}"
        );
        if ran.status != Some(0) {
            ran.says("Resource temporarily unavailable");
        }
    }
    shared.run(CAROL, &["deploy", "--yes", "--break-glass", "all may be started again"]).ends(0);
}

#[test]
fn what_one_operator_began_another_ends_whatever_their_umask() {
    for (umask, setgid) in [("022", true), ("002", false), ("077", true)] {
        let shared = Shared::new(umask, setgid);
        let one = shared.project.git(&["rev-parse", "HEAD"]);
        shared.run(ALICE, &["deploy", "--yes"]).ends(0);
        let two = shared.commit("two");
        shared.run(BOB, &["deploy", "--yes"]).ends(0);
        shared.all_on(&two);
        shared.run(ALICE, &["rollback", "--yes"]).ends(0);
        shared.all_on(&one);

        let three = shared.commit("three");
        for (user, other, command, status, ends_on) in
            [(ALICE, BOB, "rollback", 1, &one), (BOB, ALICE, "resume", 0, &three)]
        {
            shared.killed_in_promote(user);
            shared.run(other, &["status"]).ends(1).says("is not finished");
            shared.run(other, &["deploy", "--yes"]).ends(6);
            let ran = shared.run(other, &[command, "--yes"]).ends(status);
            assert!(!ran.err.contains("enied"), "{ran:#?}");
            shared.all_on(ends_on);
            shared.run(user, &["status"]).ends(0);
            let (began, ended) = (name(user), name(other));
            shared.run(user, &["log", "-l"]).ends(0).says(&format!("{command} by {ended}@"));
            let last = ["history", "-n", "1", "--format", "json"];
            let json = |words: &[&str]| {
                let shown: Value = serde_json::from_str(&shared.run(user, words).ends(0).out).unwrap();
                shown["deployments"][0].clone()
            };
            let run = json(&last);
            for (who, key) in [(began, "who"), (ended, "ended_by")] {
                assert!(run[key].as_str().unwrap().starts_with(&format!("{who}@")), "{run}");
                assert_eq!(json(&[&last[..], &["--operator", who]].concat())["run"], run["run"], "{who}");
            }
            shared.run(user, &["history", "-n", "1"]).ends(0).says(&format!("ended by {ended}@"));
            shared.run(user, &["reconcile", "--yes"]).ends(0);
        }
        shared.run(ALICE, &["lock", "--detach", "--time", "60s", "release"]).ends(0);
        shared.run(BOB, &["deploy", "--yes"]).ends(5).says("alice").says("release");
        shared.run(ALICE, &["lock", "--end"]).ends(0);
        shared.run(BOB, &["lock", "--detach", "--time", "60s"]).ends(0);
        shared.run(BOB, &["lock", "--end"]).ends(0);
        // The group, and nobody else.
        for entry in std::fs::read_dir(shared.state()).unwrap().map(Result::unwrap) {
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            let name = entry.file_name().into_string().unwrap();
            assert!(name == ".gitignore" || mode == 0o660, "{name} has mode {mode:o}");
        }
    }
}

#[test]
fn the_key_umask_decides_who_may_read_and_write() {
    let shared = Shared::new("002", true);
    shared.run(ALICE, &["deploy", "--yes", "-D", "umask:0077"]).ends(0);
    let journal = std::fs::read_dir(shared.state()).unwrap().map(|it| it.unwrap().path());
    let journal = journal.into_iter().find(|path| path.extension().is_some_and(|it| it == "journal")).unwrap();
    assert_eq!(std::fs::metadata(journal).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn where_permissions_forbid_it_the_owner_and_the_cure_are_named() {
    let shared = Shared::new("022", true);
    shared.run(ALICE, &["deploy", "--yes"]).ends(0);
    let cure = "chmod -R g+rwX";
    let two = shared.commit("two");
    run("chmod", &["755"], &shared.state());
    shared.run(BOB, &["deploy", "--yes"]).ends(2).says("belongs to 4001").says(cure);
    run("chmod", &["2775"], &shared.state());
    // As the first builds left them.
    shared.killed_in_promote(ALICE);
    let journals = || std::fs::read_dir(shared.state()).unwrap().map(|it| it.unwrap().path());
    let newest = journals().filter(|path| path.extension().is_some_and(|it| it == "journal")).max().unwrap();
    run("chmod", &["640"], &newest);
    shared.run(BOB, &["status"]).ends(1).says("is not finished");
    shared.run(BOB, &["resume", "--yes"]).ends(2).says("belongs to 4001").says("mode 0640").says(cure);
    run("chmod", &["600"], &newest);
    shared.run(BOB, &["deploy", "--yes"]).ends(2).says("belongs to 4001").says(cure);
    shared.run(BOB, &["status"]).says("belongs to 4001");
    run("chmod", &["-R", "g+rwX"], &shared.state());
    shared.run(BOB, &["resume", "--yes"]).ends(0);
    shared.all_on(&two);
    // However many journals there are, it is told once.
    journals()
        .filter(|path| path.extension().is_some_and(|it| it == "journal"))
        .for_each(|path| run("chmod", &["600"], &path));
    for command in [&["status", "--offline"][..], &["history"], &["history", "127.0.0.1"], &["stats"]] {
        let ran = shared.run(BOB, command);
        let told = ran.err.lines().filter(|line| line.contains("belongs to 4001")).collect::<Vec<_>>();
        let [line] = told[..] else { panic!("{command:?}: {}", ran.err) };
        assert!(line.contains("cannot read 2 journals in ") && line.contains(cure), "{command:?}: {line}");
    }
    shared.run(BOB, &["report", "--format", "trace"]).ends(2).says("belongs to 4001").says("mode 0600").says(cure);
}
