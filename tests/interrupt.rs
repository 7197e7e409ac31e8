//! Interruption at a terminal: in a stage, at each question, twice, and by the terminal's own end.

mod common;

use std::fs::File;
use std::process::Stdio;

use common::terminal::Terminal;
use common::{Farm, Links, Project, Ran, address};

/// Two groups of a host and two, on which `one` is finalized and `two` is committed.
struct Scene {
    farm: Farm,
    project: Project,
    one: String,
    two: String,
}

impl Scene {
    fn new() -> Scene {
        Scene::on(Farm::up())
    }

    fn on(farm: Farm) -> Scene {
        let project = Project::new(&farm, 1, 2);
        let one = project.git(&["rev-parse", "HEAD"]);
        project.deploy(&[]).ends(0);
        project.write("index.html", "two\n");
        let two = project.commit("two");
        Scene { farm, project, one, two }
    }

    /// A deployment at a terminal, while promote is at work on the first host.
    fn in_promote() -> (Scene, Terminal) {
        let scene = Scene::new();
        scene.slow();
        let terminal = scene.deploy();
        scene.wait_for_promote();
        (scene, terminal)
    }

    /// A deployment at a terminal, at the question after its first group.
    fn asked_to_continue() -> (Scene, Terminal) {
        let scene = Scene::new();
        let terminal = scene.deploy();
        terminal.wait_for("Continue?");
        (scene, terminal)
    }

    /// Promote waits on each host until [`Scene::go`].
    fn slow(&self) {
        self.project.check("waits", "promote", common::WAITS);
    }

    /// The restart of the service hangs where the revision is `two`, until it is repaired; it says so at its end when it is
    /// asked to end. A deployment at a terminal, while the first host's restart hangs.
    fn hanging_restart(self) -> (Scene, Terminal) {
        let script = "if grep -q two /srv/deployment/app/index.html && ! test -e /srv/repaired; then\n\
                      trap 'touch /srv/tidied; exit 1' TERM\necho $$ > /srv/hangs\nwhile :; do sleep 0.1; done\nfi\n";
        self.restart_by(script);
        let terminal = self.deploy();
        common::wait_for("the restart that hangs", || self.farm.srv(&address(0)).join("hangs").exists());
        (self, terminal)
    }

    /// The service is restarted by a script.
    fn restart_by(&self, script: &str) {
        for n in 0..3 {
            std::fs::write(self.farm.srv(&address(n)).join("restart"), script).unwrap();
        }
        self.project.configure("service_name: app\nservice_command: sh /srv/restart {action} {service}");
    }

    fn wait_for_promote(&self) {
        common::wait_for_check(&self.farm, 0);
    }

    fn go(&self) {
        common::go(&self.farm, 3);
    }

    fn deploy(&self) -> Terminal {
        Terminal::run(self.project.hoist(&["deploy"]))
    }

    #[track_caller]
    fn all_on(&self, revision: &str) {
        common::all_on(&self.farm, 3, revision);
    }

    /// The answer to the question about the rollback, after which all hosts run what they ran before.
    #[track_caller]
    fn goes_back(&self, mut terminal: Terminal, answer: &str) {
        terminal.types(answer);
        terminal.ends(1);
        self.all_on(&self.one);
    }

    fn is_promoted(&self) -> bool {
        Links::of(&self.farm, 0).current.as_deref() == Some(self.two.as_str())
    }
}

#[test]
fn ctrl_c_in_a_stage_lets_the_hosts_finish_and_asks_for_the_rollback() {
    let (scene, mut terminal) = Scene::in_promote();
    terminal.types("\x03");
    scene.go();
    terminal.wait_for("interrupted. Roll back 1 host? [Y]es/[n]o");
    assert!(scene.is_promoted(), "it was cut off in its stage");
    terminal.types("\n");
    terminal.ends(1);
    assert!(!scene.farm.srv(&address(1)).join("waiting").exists(), "a new host was started");
    scene.all_on(&scene.one);
}

#[test]
fn ctrl_c_at_the_question_to_continue_asks_for_the_rollback_and_no_leaves_the_fleet_mixed() {
    let (scene, mut terminal) = Scene::asked_to_continue();
    terminal.types_and_sees("\x03", "interrupted. Roll back 1 host?");
    terminal.types_and_sees("\u{fc}\n", "please answer y or n");
    terminal.types("n\n");
    terminal.ends(3);
    assert!(scene.is_promoted());
    // It came to an end of its own, so nothing is left to be resumed.
    scene.project.run(&["resume", "--yes"]).ends(2);
}

#[test]
fn ctrl_c_at_the_question_about_the_rollback_ends_with_130_and_the_run_can_be_resumed_or_undone() {
    for (command, status) in [("resume", 1), ("rollback", 1)] {
        let (scene, mut terminal) = Scene::asked_to_continue();
        terminal.types_and_sees("\x03", "Roll back 1 host?");
        terminal.types_and_sees("\x03", "hoist resume");
        terminal.ends(130);
        scene.project.deploy(&[]).ends(6);
        // It was interrupted: to go on with it is to ask about the rollback again.
        scene.project.run(&[command, "--yes"]).ends(status);
        scene.all_on(&scene.one);
    }
}

#[test]
fn a_second_signal_in_a_stage_ends_at_once_and_the_journal_is_good_to_go_on_with() {
    let scene = Scene::new();
    scene.slow();
    for second in ["INT", "TERM"] {
        let deployer = scene.project.hoist(&["deploy", "--yes"]).stdout(std::process::Stdio::null()).spawn().unwrap();
        scene.wait_for_promote();
        common::signal(&deployer, "TERM");
        std::thread::sleep(std::time::Duration::from_millis(300));
        common::signal(&deployer, second);
        let ended = deployer.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(130));
        scene.project.deploy(&[]).ends(6);
        scene.go();
        scene.project.run(&["rollback", "--yes"]).ends(1).says("verified");
        scene.all_on(&scene.one);
        common::hold(&scene.farm, 3);
    }
}

#[test]
fn an_interrupt_ahead_of_a_run_is_told_and_no_signal_leaves_a_command_running() {
    let scene = Scene::new();
    let (note, report) = (scene.farm.path("note"), scene.farm.path("report.xml"));
    // The shell waits for another process, which nothing but its group knows of.
    let line = format!("sleep 600 & echo $! > {}; wait", note.display());
    scene.project.render("/srv/app.conf", "{{ word }}", &[]);
    for (command, key) in [("deploy", "vars_command"), ("deploy", "targets_command"), ("hosts", "targets_command")] {
        for signal in ["TERM", "HUP", "INT", "KILL"] {
            let _ = std::fs::remove_file(&note);
            let key = format!("{key}:{line}");
            let mut arguments = vec![command, "-D", &key];
            if key.starts_with("targets") {
                arguments.extend(["-D", "dsh_targets:"]);
            }
            if command == "deploy" {
                arguments.extend(["--yes", "--junit", report.to_str().unwrap()]);
            }
            let mut hoist = scene.project.hoist(&arguments);
            let child = hoist.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            common::wait_for("the command", || std::fs::read_to_string(&note).is_ok_and(|it| it.ends_with('\n')));
            common::signal(&child, signal);
            let ran = Ran::of(child.wait_with_output().unwrap());
            if command == "deploy" && signal != "KILL" {
                ran.ends(130).says("hoist deploy: interrupted before it touched anything (exit status 130)");
                let report = std::fs::read_to_string(&report).unwrap();
                assert!(report.contains("interrupted before it touched anything"), "{report}");
            }
            let sleep = std::fs::read_to_string(&note).unwrap();
            let sleep = format!("/proc/{}/stat", sleep.trim());
            common::wait_for("the end of what it started", || {
                std::fs::read_to_string(&sleep).map_or(true, |stat| stat.contains(") Z"))
            });
        }
    }
}

#[test]
fn a_run_that_is_stopped_at_the_probe_has_touched_nothing_and_no_command_but_the_second_rollback_leads_further_back() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 1);
    let revisions = ["one", "two"].map(|words| {
        project.write("index.html", words);
        let revision = project.commit(words);
        project.deploy(&[]).ends(0);
        revision
    });
    let is_live = |revision: &str| assert_eq!(Links::of(&farm, 0), Links::finalized(revision));
    // It takes connections, and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.9:0").unwrap();
    let hosts = project.path("hoist/default");
    let list = std::fs::read_to_string(&hosts).unwrap();
    std::fs::write(&hosts, format!("{list}{}\n", silent.local_addr().unwrap())).unwrap();
    project.write("index.html", "three");
    project.commit("three");
    let mut hoist = project.hoist(&["deploy", "--yes", "-D", "connect_timeout:100"]);
    let child = hoist.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _held = silent.accept().unwrap();
    for _ in 0..2 {
        common::signal(&child, "INT");
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    let ran = Ran::of(child.wait_with_output().unwrap()).ends(130).says("hoist: stopped; nothing was touched");
    assert!(!ran.err.contains("hoist resume") && !ran.err.contains("running stages"), "{}", ran.err);
    std::fs::write(&hosts, list).unwrap();
    project.run(&["resume", "--yes"]).ends(2).says("nothing to resume");
    project.run(&["reconcile", "--yes"]).ends(0);
    project.run(&["status"]).ends(0);
    project.run(&["rollback", "--dry-run"]);
    project.run(&["rollback", "--yes"]).ends(2).says("ended before it touched anything, so there is nothing to undo");
    is_live(&revisions[1]);
    project.run(&["rollback", "--yes"]).ends(0);
    is_live(&revisions[0]);
}

#[test]
fn hangups_count_once_however_many_come_and_roll_back() {
    let scene = Scene::new();
    scene.slow();
    let deployer = scene.project.hoist(&["deploy", "--yes"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    scene.wait_for_promote();
    for _ in 0..3 {
        common::signal(&deployer, "HUP");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    scene.go();
    assert_eq!(deployer.wait_with_output().unwrap().status.code(), Some(1));
    scene.all_on(&scene.one);
}

#[test]
fn a_terminal_that_is_gone_at_a_question_is_an_interrupt_and_no_answer() {
    for at in ["Continue?", "Roll back 1 host?"] {
        let (scene, mut terminal) = Scene::asked_to_continue();
        if at != "Continue?" {
            terminal.types("n\n");
            terminal.wait_for(at);
        }
        terminal.hang_up();
        terminal.ends(130);
        assert!(scene.is_promoted(), "nobody has said that it goes back");
        scene.project.deploy(&[]).ends(6);
        scene.project.run(&["rollback", "--yes"]).ends(1).says("verified");
        scene.all_on(&scene.one);
    }
}

#[test]
fn a_terminal_that_is_gone_in_a_stage_is_an_interrupt_and_the_rollback_waits_for_whoever_comes() {
    let (scene, mut terminal) = Scene::in_promote();
    terminal.hang_up();
    scene.go();
    terminal.ends(130);
    assert!(scene.is_promoted(), "it was cut off in its stage");
    let terminal = Terminal::run(scene.project.hoist(&["resume"]));
    terminal.wait_for("interrupted. Roll back 1 host? [Y]es/[n]o");
    scene.goes_back(terminal, "\n");
}

#[test]
fn the_end_of_input_at_a_question_is_an_interrupt_too() {
    let (scene, mut terminal) = Scene::asked_to_continue();
    terminal.types_and_sees("\x04", "interrupted. Roll back 1 host?");
    scene.goes_back(terminal, "y\n");
}

#[test]
fn the_first_ctrl_c_says_at_once_who_is_waited_for_and_an_abort_ends_the_hanging_service_there() {
    let (scene, mut terminal) = Scene::new().hanging_restart();
    terminal.types("\x03");
    terminal.wait_for("interrupted: no more hosts are started; waiting for promote on 127.0.0.1 (");
    terminal.wait_for("[a]bort now");
    terminal.wait_for("a second Ctrl-C ends hoist at once");
    assert!(!terminal.shows().contains("Roll back"), "it did not wait for the host");
    terminal.types("a\n");
    terminal.wait_for("aborting promote on 127.0.0.1");
    terminal.wait_for("promote failed: aborted by the operator");
    terminal.wait_for("interrupted. Roll back 1 host? [Y]es/[n]o");
    let srv = scene.farm.srv(&address(0));
    assert!(srv.join("tidied").exists(), "the restart was not asked to end before it was killed");
    let restart = std::fs::read_to_string(srv.join("hangs")).unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{}", restart.trim())).exists(), "the restart goes on");
    terminal.types("\n");
    terminal.ends(1);
    assert!(terminal.shows().contains("rolled back"), "{}", terminal.shows());
    scene.all_on(&scene.one);
    assert!(!scene.farm.srv(&address(1)).join("hangs").exists(), "a new host was started");
}

#[test]
fn a_stage_is_aborted_where_a_session_has_one_channel_and_nobody_keeps_the_lock_beside_it() {
    let scene = Scene::on(Farm::up_with(&[("FARM_SSHD_OPTS", "MaxSessions 1")]));
    let (scene, mut terminal) = scene.hanging_restart();
    terminal.types_and_sees("\x03", "[a]bort now");
    terminal.types("a\n");
    terminal.wait_for("promote failed: aborted by the operator");
    terminal.wait_for("Roll back 1 host?");
    scene.goes_back(terminal, "y\n");
}

#[test]
fn what_was_aborted_is_named_with_its_state_where_nobody_wants_it_back() {
    let (scene, mut terminal) = Scene::new().hanging_restart();
    terminal.types_and_sees("\x03", "[a]bort now");
    terminal.types("wait\na\n");
    terminal.answers("Roll back 1 host?", "n");
    terminal.ends(3);
    let log = newest_log(&scene.project);
    assert!(log.contains(r#""event":"stopping","step":{"run":"promote"},"hosts":["127.0.0.1"],"stops":true"#), "{log}");
    assert!(log.contains(r#""event":"aborting","step":{"run":"promote"},"hosts":["127.0.0.1"]"#), "{log}");
    assert!(scene.is_promoted());
    (0..3).for_each(|n| std::fs::write(scene.farm.srv(&address(n)).join("repaired"), "").unwrap());
    scene.project.deploy(&[]).ends(0);
    scene.all_on(&scene.two);
}

#[test]
fn an_interrupt_of_a_rollback_is_acknowledged_and_cuts_nothing_short() {
    let scene = Scene::new();
    let script = "grep -q two /srv/deployment/app/index.html && exit 1\ntouch /srv/waiting\n\
                  while ! test -e /srv/go; do sleep 0.1; done\n";
    scene.restart_by(script);
    let mut terminal = scene.deploy();
    terminal.wait_for("failure limit of canary exceeded. Roll back 1 host? [Y]es/[n]o");
    // Not even an interrupt is an answer.
    terminal.types("\x04");
    let asked = |terminal: &Terminal| terminal.shows().matches("Roll back 1 host? [y]es/[n]o").count();
    common::wait_for("the question without a default", || asked(&terminal) == 1);
    terminal.types("\n");
    common::wait_for("the question once more", || asked(&terminal) == 2);
    terminal.types("y\n");
    scene.wait_for_promote();
    terminal.types("\x03");
    terminal.wait_for("interrupted, but rollback continues to its end; waiting for rollback on 127.0.0.1");
    assert!(!terminal.shows().contains("[a]bort"), "a rollback is not aborted");
    scene.go();
    terminal.ends(1);
    scene.all_on(&scene.one);
}

#[test]
fn the_first_ctrl_c_at_the_question_about_the_rollback_answers_nothing() {
    let scene = Scene::new();
    scene.project.write("hoist/checks.yaml", "checks:\n  bad:\n    stage: promote\n    command: 'false'\n");
    let mut terminal = scene.deploy();
    terminal.wait_for("failure limit of canary exceeded. Roll back 1 host? [Y]es/[n]o");
    terminal.types("\x03");
    terminal.wait_for("please answer y or n; a second Ctrl-C ends hoist at once");
    terminal.answers("Roll back 1 host? [y]es/[n]o", "n");
    terminal.ends(3);
    assert!(scene.is_promoted());
}

#[test]
fn a_second_ctrl_c_at_a_question_does_not_say_that_stages_continue() {
    let (scene, mut terminal) = Scene::asked_to_continue();
    terminal.types_and_sees("\x03", "interrupted. Roll back 1 host?");
    terminal.types_and_sees("\x03", "hoist: stopped; the hosts stay as they are");
    terminal.wait_for("continue with `hoist resume`, or undo with `hoist rollback`");
    terminal.ends(130);
    assert!(!terminal.shows().contains("running stages"), "{}", terminal.shows());
    assert!(scene.is_promoted());
}

#[test]
fn what_was_typed_before_a_question_is_no_answer_to_it() {
    let scene = Scene::new();
    scene.slow();
    let mut terminal = scene.deploy();
    scene.wait_for_promote();
    terminal.types("c\ny\n\ny");
    scene.go();
    terminal.wait_for("input that was typed before this question was discarded");
    terminal.answers("Continue?", "");
    terminal.wait_for("please answer y, n or c");
    assert!(!scene.farm.srv(&address(1)).join("waiting").exists(), "nobody has said that it goes on");
    // The answer, and an Enter too many, which may be followed by others.
    terminal.types("n\n\n");
    let asked = |terminal: &Terminal| terminal.shows().matches("Roll back 1 host? [y]es/[n]o").count();
    common::wait_for("the question without a default", || asked(&terminal) == 1);
    terminal.types("\n");
    common::wait_for("the question once more", || asked(&terminal) == 2);
    assert!(scene.is_promoted(), "nobody has said that it goes back");
    scene.goes_back(terminal, "y\n");
}

#[test]
fn what_a_resumed_run_tells_once_more_has_its_own_times_and_is_marked() {
    for format in ["text", "json"] {
        let (scene, mut terminal) = Scene::asked_to_continue();
        terminal.types("\x03");
        terminal.wait_for("Roll back 1 host?");
        terminal.types("\x03");
        terminal.ends(130);
        let log = newest_log(&scene.project);
        let last: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
        let then = last["time"].as_str().unwrap();
        let resumed = scene.project.run(&["resume", "--yes", "--format", format]).ends(1);
        if format == "text" {
            let marked: Vec<&str> = resumed.out.lines().filter(|line| line.contains("(replayed)")).collect();
            assert!(marked.iter().any(|line| line.ends_with("(replayed) promote: 1 ok, 0 failed")), "{}", resumed.out);
            assert!(marked.iter().any(|line| line.contains("(replayed) interrupted")), "{}", resumed.out);
            assert!(!marked.iter().any(|line| line.contains("rollback")), "{}", resumed.out);
            continue;
        }
        let events = resumed.out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        for event in events {
            let again = event["replayed"] == true;
            assert_eq!(again, event["time"].as_str().unwrap() <= then, "{event}");
            match (event["event"].as_str().unwrap(), event["step"]["run"].as_str()) {
                ("host_ended", Some("promote")) | ("interrupted", _) => assert!(again, "{event}"),
                ("started" | "ended", _) | (_, Some("rollback")) => assert!(!again, "{event}"),
                ("step_ended", Some("promote")) => assert!(event["seconds"].as_f64() > Some(0.0), "{event}"),
                _ => {}
            }
        }
    }
}

#[test]
fn the_screen_is_left_with_its_echo_and_its_cursor() {
    let (scene, mut terminal) = Scene::in_promote();
    let settings = |terminal: &Terminal| settings_of(terminal.master.as_ref().unwrap());
    let before = settings(&terminal);
    terminal.types("\x03");
    std::thread::sleep(std::time::Duration::from_millis(500));
    terminal.types("\x03");
    terminal.ends(130);
    terminal.wait_for("hoist rollback");
    assert_eq!(settings(&terminal), before, "the terminal's settings were changed");
    let shown = terminal.shows();
    assert_eq!(shown.matches("\x1b[?25l").count(), shown.matches("\x1b[?25h").count(), "the cursor is hidden");
    scene.go();
}

#[test]
fn a_terminal_outside_of_tmux_and_screen_is_refused_where_the_key_asks_for_one() {
    let scene = Scene::new();
    scene.project.configure("require_terminal_multiplexer: yes");
    let deploy = |inside: Option<&str>| {
        let mut command = scene.project.hoist(&["deploy", "--yes"]);
        command.env_remove("TMUX").env_remove("STY");
        inside.map(|name| command.env(name, "/tmp/tmux-0/default,1,0"));
        Terminal::run(command)
    };
    let mut terminal = deploy(None);
    terminal.wait_for("run hoist deploy in tmux or screen, which keep it running if this terminal is lost");
    terminal.ends(2);
    scene.all_on(&scene.one);
    deploy(Some("TMUX")).ends(0);
    scene.all_on(&scene.two);
    deploy(Some("STY")).ends(0);
    // Without a terminal there is none that could go away.
    scene.project.deploy(&[]).ends(0);
}

#[test]
fn a_repository_of_scaps_asks_for_a_message_at_a_terminal_as_scap_does() {
    let scene = Scene::new();
    std::fs::rename(scene.project.path("hoist"), scene.project.path("scap")).unwrap();
    std::fs::rename(scene.project.path("scap/hoist.cfg"), scene.project.path("scap/scap.cfg")).unwrap();
    let file = scene.project.path("scap/scap.cfg");
    let lock = format!("lock_file: {}\n", scene.project.path(".git/scap.lock").display());
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + &lock).unwrap();
    scene.project.commit("as Scap has it");
    let mut terminal = scene.deploy();
    terminal.wait_for("Why is this deployed?");
    terminal.types_and_sees("a new page\n", "Continue?");
    terminal.types("c\n");
    terminal.ends(0);
    let subjects = scene.project.git(&["for-each-ref", "--format=%(contents:subject)", "refs/tags/scap/sync"]);
    assert_eq!(subjects, "a new page");
}

/// The flags of a terminal: input, output, control, local.
fn settings_of(terminal: &File) -> [u32; 4] {
    use std::os::fd::AsRawFd;
    // SAFETY: an all-zero structure is a valid one, and the call fills it.
    let mut settings: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open for as long as `terminal` is borrowed.
    let got = unsafe { libc::tcgetattr(terminal.as_raw_fd(), &mut settings) };
    assert_eq!(got, 0);
    [settings.c_iflag, settings.c_oflag, settings.c_cflag, settings.c_lflag]
}

/// The log of the newest run, as it stands.
fn newest_log(project: &Project) -> String {
    let logs = std::fs::read_dir(project.path("hoist/log")).unwrap().map(|entry| entry.unwrap().path());
    let newest = logs.filter(|path| path.extension().is_some_and(|it| it == "log")).max().unwrap();
    std::fs::read_to_string(newest).unwrap()
}

#[test]
fn an_interrupt_while_hoist_is_copied_stops_the_copies() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 2);
    project.configure("remote_binary:");
    project.commit("a change");
    // It would take hours.
    let mut hoist = project.hoist(&["deploy", "--yes", "-D", "transfer_limit:1024"]);
    let child = hoist.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let copies = || {
        let builds = (0..2).flat_map(|n| std::fs::read_dir(farm.home(&address(n)).join(".cache/hoist")));
        builds.flatten().flat_map(|build| std::fs::read_dir(build.unwrap().path()).unwrap()).count()
    };
    common::wait_for("the copies to begin", || copies() > 0);
    common::signal(&child, "INT");
    let ran =
        Ran::of(child.wait_with_output().unwrap()).ends(130).says("not deployed: interrupted; nothing was touched");
    ran.says("interrupted while hoist was copied to the target");
    common::wait_for("what was copied to be removed", || copies() == 0);
}
