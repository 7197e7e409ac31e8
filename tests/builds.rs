//! `build_command`: what it makes of a commit is deployed, and it is made once.

mod common;
#[path = "common/schema.rs"]
mod schema;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::{Farm, Links, Project, Ran, address, all_on, signal, wait_for};

/// A repository that is built, with two hosts, and a place for temporary files.
struct Built {
    farm: Farm,
    project: Project,
    tmp: tempfile::TempDir,
}

/// Counts a run, and says where it is.
const COUNTS: &str = "echo run >>\"$RUNS\"; pwd >>\"$RUNS.places\"";

impl Built {
    fn up() -> Built {
        let farm = Farm::up();
        let project = Project::new(&farm, 0, 2);
        project.write("src/main.txt", "one\n");
        project.write(
            "build.sh",
            &format!(
                "set -e\n{COUNTS}\necho compiling; echo careful >&2\ntest -z \"$(git status --porcelain)\"\n\
             test \"$(git rev-parse HEAD)\" = \"$HOIST_REVISION\"\nmkdir -p dist/bin\n\
             cat src/main.txt >dist/main.txt\necho \"flavour $FLAVOUR\" >>dist/main.txt\n\
             printf '#!/bin/sh\\n' >dist/bin/run; chmod 700 dist/bin/run\n"
            ),
        );
        project.configure("build_command: sh build.sh\nbuild_output: dist\nbuild_inputs: FLAVOUR");
        project.commit("one");
        Built { farm, project, tmp: tempfile::tempdir().unwrap() }
    }

    fn hoist(&self, arguments: &[&str]) -> Command {
        let mut command = self.project.hoist(arguments);
        // As in a hook of git: nothing of that is for the build.
        command.env("TMPDIR", self.tmp.path()).env("RUNS", self.runs_file()).env("GIT_INDEX_FILE", "/nonexistent");
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.hoist(arguments).output().unwrap())
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        self.hoist(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn deploy(&self, arguments: &[&str]) -> Ran {
        self.run(&[&["deploy", "--yes"], arguments].concat())
    }

    fn runs_file(&self) -> PathBuf {
        self.project.path(".git/runs")
    }

    /// How often something was built.
    fn runs(&self) -> usize {
        fs::read_to_string(self.runs_file()).unwrap_or_default().lines().count()
    }

    fn live(&self, path: &str) -> String {
        let place = self.farm.srv(&address(1)).join(common::CACHE).join("current").join(path);
        fs::read_to_string(&place).unwrap_or_else(|error| panic!("{}: {error}", place.display()))
    }

    /// The revision on the first host.
    fn current(&self) -> String {
        Links::of(&self.farm, 0).current.unwrap()
    }

    /// Whether no build has left a file behind.
    fn is_tidy(&self) -> bool {
        fs::read_dir(self.tmp.path()).unwrap().next().is_none()
    }

    fn is_untouched(&self) {
        assert!(!self.farm.srv(&address(0)).join(common::CACHE).exists(), "a host was touched");
        let journals = fs::read_dir(self.project.path("hoist/state")).into_iter().flatten().flatten();
        let journals: Vec<_> = journals
            .map(|it| it.file_name())
            .filter(|it| Path::new(it).extension().is_some_and(|it| it == "journal"))
            .collect();
        assert!(journals.is_empty(), "{journals:?}");
    }
}

#[test]
fn each_commit_is_built_once_and_its_output_is_deployed() {
    let built = Built::up();
    let (farm, project) = (&built.farm, &built.project);
    let first = project.git(&["rev-parse", "HEAD"]);
    let named = format!("dist, built from {}", &first[..10]);
    // A plan builds what it is about; the deployment uses that.
    built.run(&["plan"]).ends(0).says(&named).says("build_command: compiling");
    built.is_untouched();
    built.deploy(&[]).ends(0).says(&format!("{named}: already built by op@")).says(" is dist, built from");
    assert_eq!(built.runs(), 1);
    let one = built.current();
    assert_ne!(one, first);
    all_on(farm, 2, &one);
    assert_eq!(built.live("main.txt"), "one\nflavour \n");
    assert_eq!(built.live("bin/run"), "#!/bin/sh\n");
    assert!(!farm.srv(&address(0)).join(common::CACHE).join("current/build.sh").exists());
    built.run(&["status", "--verify"]).ends(0).says(&named);
    built.deploy(&[]).ends(0).says("is already live");

    // A new commit is built, and its output is told and logged.
    let git = project.path(".git");
    let git = git.display();
    project.write(
        "hoist/hooks.yaml",
        &format!(
            "hooks:\n  script: {{on: [started, finished], shell: true, command: 'cat >>{git}/told; echo \
             $HOIST_SOURCE_REVISION >>{git}/sources'}}\n"
        ),
    );
    project.write("build.sh", &(fs::read_to_string(project.path("build.sh")).unwrap() + "echo '<b>not bold</b>'\n"));
    project.write("src/main.txt", "two\n");
    let second = project.commit("two");
    let events = built.deploy(&["--format", "json"]).ends(0).events();
    let of = |name: &str| events.iter().filter(|it| it["event"] == name).cloned().collect::<Vec<_>>();
    let lines: Vec<_> = of("once_line").iter().map(|it| (it["level"].clone(), it["message"].clone())).collect();
    assert!(lines.contains(&("info".into(), "compiling".into())), "{lines:?}");
    assert!(lines.contains(&("warning".into(), "careful".into())), "{lines:?}");
    assert_eq!(
        (of("once_started")[0]["name"].as_str(), of("once_ended")[0]["end"].as_str()),
        (Some("build_command"), Some("done"))
    );
    let started = &of("started")[0];
    assert_eq!((&started["origin"]["kind"], &started["origin"]["source"]), (&"build".into(), &second.as_str().into()));
    let log = project.path(&format!("hoist/log/hoist-{}.log", started["run"].as_str().unwrap()));
    assert!(fs::read_to_string(log).unwrap().contains("compiling"));
    // Whoever is told of it, or reads its report, learns what it was made of.
    let told = fs::read_to_string(project.path(".git/told")).unwrap();
    let told: Vec<serde_json::Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for announcement in &told {
        schema::Answer::named("announcement").holds(announcement);
        let origin = &announcement["origin"];
        assert_eq!((&origin["source"], &origin["user"]), (&second.as_str().into(), &"op".into()), "{announcement}");
    }
    assert!(told[0]["text"].as_str().unwrap().contains(&format!(" (dist, built from {})", &second[..10])), "{told:?}");
    assert_eq!(fs::read_to_string(project.path(".git/sources")).unwrap(), format!("{second}\n").repeat(told.len()));
    let report = built.run(&["report"]).ends(0).out;
    for text in ["<dt>source</dt>", &second, "build_command: done after ", "compiling\n", "&lt;b&gt;not bold&lt;/b&gt;"]
    {
        assert!(report.contains(text), "{text} is not in {report}");
    }
    let two = built.current();
    assert_eq!((built.runs(), built.live("main.txt").as_str()), (2, "two\nflavour \n"));

    // What counts as input is built anew, and only that.
    Ran::of(built.hoist(&["deploy", "--yes"]).env("FLAVOUR", "mint").output().unwrap()).ends(0);
    assert_eq!((built.runs(), built.live("main.txt").as_str()), (3, "two\nflavour mint\n"));
    Ran::of(built.hoist(&["deploy", "--yes"]).env("COLOUR", "red").output().unwrap()).ends(0);
    assert_eq!((built.runs(), built.current()), (3, two.clone()));

    // The way back, by commits and without them, needs no build.
    project.write("build.sh", "exit 1\n");
    project.commit("cannot be built");
    built.run(&["rollback", "--yes", &first]).ends(0).says(&named);
    all_on(farm, 2, &one);
    built.deploy(&["-r", &second]).ends(2).says("was rolled back");
    built.deploy(&["-r", &second, "--break-glass", "again"]).ends(0);
    all_on(farm, 2, &two);
    fs::remove_file(farm.srv(&address(1)).join(common::CACHE).join("current")).unwrap();
    built.run(&["reconcile", "--yes"]).ends(0);
    all_on(farm, 2, &two);
    // What another command makes is another build; the same files are the same revision.
    let other = "-Dbuild_command:git show HEAD~1:build.sh >b.sh; mkdir dist; echo two >dist/main.txt; echo 'flavour ' >>dist/main.txt; mkdir dist/bin; echo '#!/bin/sh' >dist/bin/run; chmod +x dist/bin/run";
    built.deploy(&[other]).ends(0).says(&format!("{} is already live", &two[..10]));
    assert_eq!(built.runs(), 3);
    let places = fs::read_to_string(project.path(".git/runs.places")).unwrap();
    assert!(places.lines().all(|place| Path::new(place).starts_with(built.tmp.path())), "{places}");
    assert!(built.is_tidy());

    // A directory of the repository is where the command runs.
    project.write("web/make.sh", &format!("{COUNTS}; mkdir out && cp ../src/main.txt out/\n"));
    project.commit("a part");
    built.deploy(&["-Dsubdir:web", "-Dbuild_command:sh make.sh", "-Dbuild_output:out"]).ends(0).says("out, built from");
    assert_eq!(built.live("main.txt"), "two\n");

    // What is wanted of hosts is a commit, from before anything was built.
    built.deploy(&["-Dbuild_command:"]).ends(0);
    let commit = project.git(&["rev-parse", "HEAD"]);
    all_on(farm, 2, &commit);
    fs::remove_file(farm.srv(&address(1)).join(common::CACHE).join("current")).unwrap();
    built.run(&["reconcile", "--yes"]).ends(0);
    all_on(farm, 2, &commit);
    assert_eq!(built.runs(), 4);
}

#[test]
fn a_checkout_has_submodules_and_large_files_and_is_as_on_targets() {
    let built = Built::up();
    let (project, lib) = (&built.project, Project::empty());
    lib.write("lib.txt", "lib\n");
    lib.commit("lib");
    project.git(&["submodule", "-q", "add", lib.path("").to_str().unwrap(), "deps/lib"]);
    let content = "large content\n";
    let oid = "2a6bb5cad8eaa4f8a1b1f5d9a9c4b7e0b8c1d4f3a7e6c5b4a3928170f6e5d4c3";
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {}\n", content.len());
    project.write("large.bin", &pointer);
    project.write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n*.dos eol=crlf\n");
    project.write("a.dos", "a\n");
    let stored = format!(".git/lfs/objects/{}/{}/{oid}", &oid[..2], &oid[2..4]);
    project.write(&stored, content);
    project.write("hoist/scripts/x", "");
    project.commit("parts");
    project.git(&["config", "core.autocrlf", "true"]);
    let all = "-Dbuild_command:mkdir dist && cp deps/lib/lib.txt large.bin a.dos src/main.txt dist && \
               git -C deps/lib rev-parse HEAD >dist/head && git log --format=%s >dist/log";
    let parts = ["-Dgit_submodules:yes", "-Dgit_binary_manager:git-lfs"];
    built.deploy(&[all, parts[0], parts[1]]).ends(0);
    let live = ["lib.txt", "large.bin", "a.dos", "main.txt", "head", "log"].map(|name| built.live(name));
    let head = lib.git(&["rev-parse", "HEAD"]) + "\n";
    assert_eq!(live, ["lib\n", content, "a\r\n", "one\n", &head, "parts\none\none\n"]);
    let none = "-Dbuild_command:mkdir dist && ls -A deps/lib >dist/lib && cp large.bin dist";
    built.deploy(&[none]).ends(0);
    assert_eq!((built.live("lib"), built.live("large.bin")), (String::new(), pointer));
    fs::remove_file(project.path(&stored)).unwrap();
    built.deploy(&["-Dbuild_command:mkdir dist", parts[1]]).ends(2).says("git-lfs has no content for large.bin");
    assert!(built.is_tidy());
}

#[test]
fn a_build_that_fails_touches_nothing_and_leaves_nothing() {
    let built = Built::up();
    for (command, words) in [
        ("echo boom; exit 3", "`echo boom; exit 3` failed: exit status 3\n"),
        ("kill -9 $$", "failed: killed by signal 9"),
        ("true", "made no directory dist (build_output)"),
        ("mkdir -p dist/empty", "build_output: dist: there is no file in it"),
        ("ln -s /etc dist", "leads out of the checkout, to /etc"),
        ("echo x >dist", "build_output: dist is a file"),
        ("mkdir dist; mkfifo dist/pipe", "build_output: dist: \"pipe\" is a named pipe"),
        ("mkdir -p a/b; touch a/b/c; chmod 500 a/b a; read line && exit 0", "failed: exit status 1"),
        ("sleep 600 & echo $! >\"$RUNS.pid\"; yes", "failed: not over after 1s (build_timeout), and killed"),
    ] {
        let command = format!("-Dbuild_command:{command}");
        let ran = built.deploy(&[&command, "-Dbuild_timeout:1"]).ends(2);
        ran.says(words).says("nothing was touched: build_command (command line (-D))");
        built.is_untouched();
        assert!(built.is_tidy(), "{command}");
    }
    let sleeper = fs::read_to_string(built.project.path(".git/runs.pid")).unwrap();
    let gone = || fs::read_to_string(format!("/proc/{}/stat", sleeper.trim())).map_or(true, |it| it.contains(") Z"));
    wait_for("the end of what the build started", gone);
    for (keys, words) in [
        (&["-Dbuild_output:"][..], "set build_output to the directory that the command writes"),
        (&["-Dbuild_output:../x"], "build_output"),
        (&["-Dbuild_inputs:A-B"], "\"A-B\" is no name of an environment variable"),
        (&["-Dgit_fat:yes"], "git_fat cannot be combined with build_command"),
        (&["-Dsubdir:nope"], "has no directory nope"),
        (&["--stages", "promote"], "is not built"),
        (&["-Dfreeze:2020-01-01..2099-01-01"], "frozen"),
    ] {
        built.deploy(keys).ends(2).says(words);
    }
    assert_eq!(built.runs(), 0, "nothing was built for what cannot be deployed");
    let directory = built.project.path("src");
    built.deploy(&["--artifact", directory.to_str().unwrap()]).ends(0);
    assert_eq!((built.runs(), built.live("main.txt").as_str()), (0, "one\n"));
}

#[test]
fn a_directory_that_cannot_be_removed_after_the_build_is_named() {
    let built = Built::up();
    let command =
        "-Dbuild_command:mkdir -p dist keep && cp src/main.txt dist && mount -t tmpfs none keep && pwd >\"$RUNS.dir\"";
    let ran = built.deploy(&[command]).ends(0);
    let folder = fs::read_to_string(built.project.path(".git/runs.dir")).unwrap();
    let folder = std::path::Path::new(folder.trim());
    let unmounted = std::process::Command::new("umount").arg(folder.join("keep")).status().unwrap();
    let whole = folder.ancestors().find(|it| it.file_name().unwrap().to_str().unwrap().starts_with("hoist-build-"));
    let whole = whole.unwrap();
    fs::remove_dir_all(whole).unwrap();
    assert!(unmounted.success());
    ran.says(&format!("warning: the directory of the build could not be removed: remove {}", whole.display()));
}

#[test]
fn a_build_dies_with_its_deployer_and_two_deployers_build_once() {
    let built = Built::up();
    let (waiting, go) = (built.project.path(".git/runs"), built.project.path(".git/go"));
    let waits = "-Dbuild_command:sh build.sh; (while ! test -e \"$RUNS/../go\" && ! test -e \"${RUNS%runs}go\"; do sleep 0.1; done)";
    for (name, status) in [("KILL", None), ("INT", Some(130))] {
        let mut deployer = built.spawn(&["deploy", "--yes", waits]);
        wait_for("the build", || waiting.exists() && built.runs() == 1);
        signal(&deployer, name);
        assert_eq!(deployer.wait().unwrap().code(), status);
        wait_for("the end of the build", || built.is_tidy());
        fs::remove_file(&waiting).unwrap();
    }
    built.is_untouched();
    // A directory of a build whose guard was killed too, after a crash of the host, say.
    fs::create_dir_all(built.tmp.path().join("hoist-build-gone/tree")).unwrap();
    let patient = ["deploy", "--yes", waits, "-Dlock_timeout:100"];
    let one = built.spawn(&patient);
    wait_for("the build", || built.runs() == 1);
    let other = built.spawn(&patient);
    let plan = built.spawn(&["plan", waits]);
    fs::write(go, "").unwrap();
    for child in [one, other, plan] {
        Ran::of(child.wait_with_output().unwrap()).ends(0);
    }
    assert_eq!((built.runs(), built.is_tidy()), (1, true));
    all_on(&built.farm, 2, &built.current());
}
