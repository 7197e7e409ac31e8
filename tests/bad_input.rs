//! Bad input: one clear error that names what is wrong, status 2, and nothing touched.

mod common;

use common::{Project, Ran, address};

/// A project whose hosts would tell if anyone had been there: nobody listens on their port.
struct Untouched {
    project: Project,
    listener: std::net::TcpListener,
}

impl Untouched {
    fn new() -> Untouched {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let project = Project::empty();
        let key = project.path(".git/key");
        let made =
            std::process::Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
        assert!(made.unwrap().success());
        project.write(
            "hoist/hoist.cfg",
            &format!(
                "[global]\ngit_repo: app\ndsh_targets: default\nssh_port: {}\nidentity_file: {}\nlock_dir: {}\n",
                listener.local_addr().unwrap().port(),
                key.display(),
                project.path(".git").display()
            ),
        );
        project.write("hoist/default", "127.0.0.1\n");
        project.commit("one");
        Untouched { project, listener }
    }

    /// Runs a command, and holds it to its promise.
    #[track_caller]
    fn refuses(&self, arguments: &[&str], words: &[&str]) {
        self.holds(self.project.run(arguments), words);
    }

    #[track_caller]
    fn holds(&self, ran: Ran, words: &[&str]) {
        assert_eq!(ran.status, Some(2), "{ran:?}");
        for word in words {
            assert!(ran.err.contains(word), "{word:?} is not in {:?}", ran.err);
        }
        assert!(!ran.err.contains("panicked"), "{}", ran.err);
        let connected = self.listener.accept();
        assert!(connected.is_err(), "a host was connected to");
        assert_eq!(self.project.git(&["tag", "-l"]), "", "a tag was made");
    }
}

#[test]
fn no_repository() {
    let nowhere = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(common::HOIST);
    let output = command.args(["deploy", "--yes"]).current_dir(nowhere.path()).output().unwrap();
    let ran = Ran::of(output).ends(2);
    assert!(ran.err.contains("not a git repository"), "{}", ran.err);
}

#[test]
fn no_configuration() {
    let project = Project::empty();
    project.run(&["deploy", "--yes"]).ends(2).says("hoist/hoist.cfg").says("scap/scap.cfg");
}

#[test]
fn an_unknown_revision() {
    Untouched::new().refuses(&["deploy", "--yes", "-r", "nowhere"], &["\"nowhere\""]);
    Untouched::new().refuses(&["deploy", "--yes", "-r", "--output=/tmp/x"], &["--output=/tmp/x"]);
}

#[test]
fn an_unknown_revision_or_limit_of_init() {
    Untouched::new().refuses(&["deploy", "--init", "-r", "nosuch"], &["\"nosuch\""]);
    Untouched::new().refuses(&["deploy", "--init", "-l", "nosuch"], &["nosuch", "matches none"]);
}

#[test]
fn a_deploy_host_that_is_blocked_deploys_nothing_but_is_made_ready() {
    let it = Untouched::new();
    it.project.configure("block_deployments: True");
    let words = ["blocked by block_deployments", "hoist/hoist.cfg:7 [global]", "-D block_deployments:no"];
    for command in ["deploy", "rollback", "resume", "reconcile"] {
        it.refuses(&[command, "--yes"], &words);
    }
    it.refuses(&["deploy", "--dry-run"], &words);
    it.refuses(&["deploy", "--yes", "-Dblock_deployments:no", "-l", "nobody"], &["matches none"]);
    it.project.run(&["deploy", "--init"]).ends(0);
    it.project.run(&["plan"]).ends(0);
}

#[test]
fn the_beginning_of_two_flags() {
    Untouched::new().refuses(&["deploy", "--yes", "--d"], &["--d is ambiguous: --dry-run or --define"]);
}

#[test]
fn a_missing_target_file() {
    let it = Untouched::new();
    std::fs::remove_file(it.project.path("hoist/default")).unwrap();
    it.refuses(&["deploy", "--yes"], &["default", "hoist/default", "/etc/dsh/group"]);
}

#[test]
fn a_bad_limit_names_file_line_section_key_and_value() {
    let it = Untouched::new();
    it.project.configure("failure_limit: 0.2");
    it.refuses(&["deploy", "--yes"], &["hoist/hoist.cfg:7", "[global]", "failure_limit", "\"0.2\"", "20%"]);
    it.project.configure("failure_limit: 120%");
    it.refuses(&["deploy", "--yes"], &["hoist/hoist.cfg:7", "120%"]);
}

#[test]
fn a_pipe_or_a_device_in_the_place_of_a_file_is_not_waited_for() {
    for file in ["hoist/checks.yaml", "hoist/default", "hoist/config-files.yaml", "hoist/hoist.cfg"] {
        let untouched = Untouched::new();
        untouched.project.configure("config_deploy: True");
        let path = untouched.project.path(file);
        let _ = std::fs::remove_file(&path);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        // A configuration that is no file is none.
        let words = if file == "hoist/hoist.cfg" { "no configuration" } else { "is not a regular file" };
        untouched.project.run(&["check-config"]).ends(2).says(words);
        untouched.refuses(&["deploy", "--yes"], &[words]);
    }
    let untouched = Untouched::new();
    let pipe = untouched.project.path(".git/pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (arguments, name) in [
        (["plan", "-c", pipe.to_str().unwrap()], pipe.to_str().unwrap()),
        (["plan", "-c", "/dev/zero"], "/dev/zero"),
        (["plan", "-D", "dsh_targets:/dev/zero"], "/dev/zero"),
        // What a shell makes of `<(...)` where it has no file's name.
        (["plan", "-c", "/proc/self/fd/0"], "/proc/self/fd/0"),
    ] {
        let mut command = untouched.project.hoist(&arguments);
        let ran = Ran::of(command.stdin(std::process::Stdio::piped()).output().unwrap());
        untouched.holds(ran, &[&format!("{name} is not a regular file")]);
    }
}

#[test]
fn a_revision_of_which_the_repository_lacks_a_part() {
    let untouched = Untouched::new();
    let project = &untouched.project;
    project.write("lost.txt", "lost\n");
    project.commit("lost");
    let blob = project.git(&["rev-parse", "HEAD:lost.txt"]);
    std::fs::remove_file(project.path(".git/objects").join(&blob[..2]).join(&blob[2..])).unwrap();
    untouched.refuses(&["deploy", "--yes"], &["the content of lost.txt in ", "`git fetch --refetch`", "`git fsck`"]);
}

#[test]
fn a_bad_host_name_names_its_file_and_line() {
    for bad in ["-oProxyCommand=touch", "web;id", "web..org", "web:0"] {
        let it = Untouched::new();
        it.project.write("hoist/default", &format!("# hosts\n127.0.0.1\n{bad}\n"));
        it.refuses(&["deploy", "--yes"], &["hoist/default:3", bad]);
    }
}

#[test]
fn a_bad_pattern() {
    Untouched::new().refuses(&["deploy", "--yes", "-l", "web[01:"], &["--limit-hosts", "web[01:"]);
    Untouched::new().refuses(&["deploy", "--yes", "-l", "~("], &["--limit-hosts"]);
    Untouched::new().refuses(&["deploy", "--yes", "-l", "other*"], &["other*", "matches none"]);
}

#[test]
fn groups_without_targets() {
    let it = Untouched::new();
    it.project.write("hoist/default", "# nobody\n");
    it.refuses(&["deploy", "--yes"], &["no targets"]);
    let it = Untouched::new();
    it.project.configure("server_groups: canary, default");
    it.refuses(&["deploy", "--yes"], &["group canary has no target file", "canary_dsh_targets"]);
}

#[test]
fn an_unreadable_key() {
    let it = Untouched::new();
    it.project.configure("identity_file: /nowhere/id_ed25519");
    it.refuses(&["deploy", "--yes"], &["/nowhere/id_ed25519"]);
    let it = Untouched::new();
    it.project.write(".git/key", "not a key\n");
    it.refuses(&["deploy", "--yes"], &[".git/key"]);
}

#[test]
fn no_agent_and_no_key() {
    let it = Untouched::new();
    let path = it.project.path("hoist/hoist.cfg");
    let text = std::fs::read_to_string(&path).unwrap().replace("identity_file", "# identity_file");
    std::fs::write(path, text).unwrap();
    let home = tempfile::tempdir().unwrap();
    let output = it.project.hoist(&["deploy", "--yes"]).env("HOME", home.path()).output().unwrap();
    it.holds(Ran::of(output), &["agent", "key"]);
}

#[test]
fn a_definition_without_a_value() {
    Untouched::new().refuses(&["deploy", "--yes", "-D"], &["--define needs a value", "hoist deploy --help"]);
    Untouched::new().refuses(&["deploy", "--yes", "-D", "batch_size"], &["key:value"]);
    Untouched::new().refuses(&["deploy", "--yes", "-D", "batch_size:many"], &["batch_size", "many"]);
}

#[test]
fn an_unknown_stage() {
    Untouched::new().refuses(&["deploy", "--yes", "-s", "fetch,launch"], &["launch", "fetch, config_deploy, promote"]);
    let it = Untouched::new();
    it.project.write("hoist/checks.yaml", "checks:\n  a:\n    stage: launch\n    command: true\n");
    it.refuses(&["deploy", "--yes"], &["hoist/checks.yaml:3", "launch"]);
}

#[test]
fn fault_10_no_terminal_is_not_taken_for_a_yes() {
    Untouched::new().refuses(&["deploy"], &["not a terminal", "--yes"]);
}

#[test]
fn an_unknown_flag_or_command() {
    Untouched::new().refuses(&["deploy", "--yes", "--no-such"], &["--no-such", "hoist deploy --help"]);
    Untouched::new().refuses(&["launch"], &["launch", "hoist --help"]);
    Untouched::new().refuses(&[], &["hoist --help"]);
}

#[test]
fn a_check_script_that_is_not_committed() {
    let it = Untouched::new();
    it.project
        .write("hoist/checks.yaml", "checks:\n  depool:\n    type: script\n    before: promote\n    command: depool\n");
    it.project.write("hoist/scripts/depool", "#!/bin/sh\n");
    it.refuses(&["deploy", "--yes"], &["depool", "commit the script"]);
}

#[test]
fn a_template_that_is_missing() {
    let it = Untouched::new();
    it.project.write_configuration(&[("config-files.yaml", "/etc/app.conf:\n  template: app.conf.j2\n")]);
    it.refuses(&["deploy", "--yes"], &["hoist/config-files.yaml", "app.conf.j2"]);
}

#[test]
fn the_plan_and_the_configuration_are_refused_for_the_same_reasons() {
    let it = Untouched::new();
    it.project.configure("batch_size: 0");
    for command in ["plan", "config", "deploy"] {
        it.refuses(&[command], &["hoist/hoist.cfg:7", "batch_size", "\"0\""]);
    }
}

#[test]
fn a_host_without_room_for_the_revision_is_refused_before_anything_is_touched() {
    let (farm, project) = Project::on_farm(0, 2);
    let small = farm.srv(&address(1));
    let mount = |arguments: &[&str]| {
        let done = std::process::Command::new(arguments[0]).args(&arguments[1..]).arg(&small).status().unwrap();
        assert!(done.success(), "{arguments:?}");
    };
    mount(&["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs"]);
    project.write("large", &"x".repeat(3 << 20));
    project.commit("large");
    let large = project.deploy(&[]);
    mount(&["umount"]);
    mount(&["mount", "-t", "tmpfs", "-o", "nr_inodes=20", "tmpfs"]);
    (0..40).for_each(|n| project.write(&format!("many/{n}"), ""));
    std::fs::remove_file(project.path("large")).unwrap();
    project.commit("many");
    let many = project.deploy(&[]);
    mount(&["umount"]);
    large.ends(1).says("127.0.0.2").says("disk too full").says("nothing was touched");
    many.ends(1).says("127.0.0.2").says("too few inodes").says("nothing was touched");
    assert!(!farm.srv(&address(0)).join("deployment").exists());
}

#[test]
fn a_working_directory_that_was_removed_is_named_as_that() {
    let folder = tempfile::tempdir().unwrap();
    let script = "mkdir gone && cd gone && rmdir ../gone && exec \"$0\" deploy --yes";
    let output =
        std::process::Command::new("sh").args(["-c", script, common::HOIST]).current_dir(folder.path()).output();
    let ran = common::Ran::of(output.unwrap()).ends(2).says("the working directory no longer exists");
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
}
