//! Commands that watch the service: hosts that are drained, gates, sleeps, a budget, and a question.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::common::terminal::Terminal;
use super::common::{CACHE, Farm, Project, Ran, address, signal, wait_for};
use super::{each, of_kind};

const HOSTS: usize = 4;

/// Hosts that run a first revision. Each writes what happens to it into `/srv/events`, and into one file for all of them,
/// and waits for as long as there is a file `/srv/pause-WORD`.
struct Scene {
    farm: Farm,
    project: Project,
}

impl Scene {
    fn new(place: &str) -> Scene {
        let (farm, project) = Project::on_farm(0, HOSTS);
        // What is /srv on a host has a path of its own on this machine.
        let all = farm.path("all").display().to_string();
        let srv = match place {
            "target" => "/srv".to_owned(),
            _ => format!("{}/$HOIST_HOST/srv", farm.path("hosts").display()),
        };
        let happens = |word: &str| {
            format!(
                "echo {word} >> {srv}/events; echo {word} $HOIST_HOST >> {all}; while test -e {srv}/pause-{word}; do \
                 sleep 0.05; done"
            )
        };
        let (drain, undrain) = (happens("drain"), happens("undrain"));
        project.configure(&format!("drain_on: {place}\ndrain: {drain}\nundrain: {undrain}"));
        project.configure("reconnect_timeout: 5\nconnect_timeout: 3");
        project.check("well", "promote", "test ! -e /srv/sick");
        project.commit("a service");
        project.deploy(&[]).ends(0);
        let scene = Scene { farm, project };
        scene.forget();
        scene
    }

    fn srv(&self, n: usize, name: &str) -> PathBuf {
        self.farm.srv(&address(n)).join(name)
    }

    /// Forgets what has happened so far.
    fn forget(&self) {
        let _ = std::fs::remove_file(self.farm.path("all"));
        (0..HOSTS).for_each(|n| drop(std::fs::remove_file(self.srv(n, "events"))));
    }

    fn events(&self, n: usize) -> Vec<String> {
        let text = std::fs::read_to_string(self.srv(n, "events")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The most hosts that were drained at once, as they themselves had it.
    fn most_drained(&self) -> usize {
        let (mut now, mut most) = (0, 0);
        for line in std::fs::read_to_string(self.farm.path("all")).unwrap_or_default().lines() {
            match line.split(' ').next() {
                Some("drain") => now += 1,
                Some("undrain") => now -= 1,
                _ => {}
            }
            most = most.max(now);
        }
        most
    }

    fn is_on_record(&self, n: usize) -> bool {
        self.srv(n, CACHE).join(".hoist/drained.json").exists()
    }

    fn run(&self, flags: &[&str], command: &str) -> Ran {
        self.project.run(&[&["run"], flags, &["--", command]].concat())
    }

    /// Starts a drained command, and waits until the first host is at a moment.
    fn start_up_to(&self, word: &str) -> Child {
        std::fs::write(self.srv(0, &format!("pause-{word}")), "").unwrap();
        let mut command = self.project.hoist(&["run", "--drain", "-l", &address(0), "--", COMMAND]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for(word, || self.events(0).last().is_some_and(|last| last == word));
        child
    }

    fn go_on(&self, word: &str) {
        std::fs::remove_file(self.srv(0, &format!("pause-{word}"))).unwrap();
    }
}

/// The command, which leaves a mark like those of a drain.
const COMMAND: &str =
    "echo restarted; echo command >> /srv/events; while test -e /srv/pause-command; do sleep 0.05; done";

const WHOLE: [&str; 3] = ["drain", "command", "undrain"];

#[test]
fn a_rolling_restart_drains_each_host_and_keeps_to_the_budget() {
    let scene = Scene::new("target");
    let ran = scene.run(&["--drain", "--group-size", "1,all", "--max-unavailable", "50%", "--sleep", "1s"], COMMAND);
    let ran = ran.ends(0).says("default1: soaking for 1.0 s").says("ok on 4 hosts");
    assert_eq!(ran.out.lines().filter(|line| line.ends_with(": restarted")).count(), HOSTS, "{}", ran.out);
    assert_eq!(ran.out.lines().count(), HOSTS, "standard output is the command's: {}", ran.out);
    for n in 0..HOSTS {
        assert_eq!((scene.events(n), scene.is_on_record(n)), (WHOLE.map(str::to_owned).to_vec(), false));
    }
    assert!((1..=2).contains(&scene.most_drained()), "{} were drained at once", scene.most_drained());
    scene.project.run(&["status"]).ends(0);
    scene.project.run(&["log"]).ends(0).says("restarted");

    // A host whose command fails and that is well is put back, and keeps its place in the budget.
    scene.forget();
    let fails = format!("{COMMAND}; test ! -e /srv/broken || exit 9");
    std::fs::write(scene.srv(1, "broken"), "").unwrap();
    let flags = ["--drain", "--max-unavailable", "1", "--failure-limit", "3", "--format", "json"];
    let ran = scene.run(&flags, &fails).ends(1);
    let events = ran.events();
    assert_eq!(each(&of_kind(&events, "capacity_used_up"), "group"), ["default"]);
    let failed = of_kind(&events, "host_ended").into_iter().find(|it| it["outcome"] == "failed").unwrap();
    assert_eq!((failed["step"].as_str(), failed["status"].as_i64()), (Some("command"), Some(9)), "{failed}");
    let rows = events.last().unwrap()["rows"].as_array().unwrap().clone();
    assert_eq!(each(&rows, "state"), ["ok", "failed", "not_attempted", "not_attempted"]);
    assert_eq!((scene.events(1), scene.is_on_record(1)), (WHOLE.map(str::to_owned).to_vec(), false));
    assert_eq!((scene.most_drained(), scene.events(2)), (1, Vec::<String>::new()));

    // One that is not well stays drained, and is named until it is put back.
    scene.forget();
    let sickens = "touch /srv/sick";
    let flags = ["--drain", "-l", "127.0.0.1"];
    let ran = scene.run(&flags, sickens).ends(3);
    let ran = ran.says("the host stays drained: check well failed").says("1 host is still drained: 127.0.0.1");
    assert!(ran.err.contains("drained since 20"), "{}", ran.err);
    scene.project.run(&["status"]).ends(1).says("drained since 20");
    scene.project.run(&["status", "--offline"]).ends(1).says("drained since 20");
    // It takes room meanwhile, from a command that is run elsewhere too.
    let elsewhere = ["-l", "127.0.0.2", "--max-unavailable", "1"];
    scene.run(&elsewhere, "true").ends(1).says("is used up: 127.0.0.1 is out of service; nothing was touched");
    let drains = [&["--drain"], &elsewhere[..]].concat();
    scene.run(&drains, "true").ends(1).says("is used up: 127.0.0.1 is out of service; nothing was touched");
    scene
        .run(&["--drain", "-l", "127.0.0.2", "--max-unavailable", "2"], "true")
        .ends(0)
        .says("127.0.0.1 is out of service and counts against max_unavailable of default, though not part of this run");
    std::fs::remove_file(scene.srv(0, "sick")).unwrap();
    scene.run(&flags, "true").ends(0);
    assert!(!scene.is_on_record(0));
    scene.project.run(&["status"]).ends(0);
}

#[test]
fn whatever_dies_while_a_host_is_drained_it_is_put_back_or_named() {
    for place in ["target", "deploy_host"] {
        let scene = Scene::new(place);
        for moment in WHOLE {
            // The deployer.
            scene.forget();
            let mut deployer = scene.start_up_to(moment);
            deployer.kill().unwrap();
            deployer.wait().unwrap();
            let when = format!("{moment} on {place}");
            scene.go_on(moment);
            if place == "target" {
                wait_for("the target to go on by itself", || !scene.is_on_record(0));
                assert_eq!(scene.events(0), WHOLE, "{when}");
            } else {
                // Nobody is there who could undrain it: it is named, and the next run puts it back.
                let lock = scene.srv(0, CACHE).join(".hoist/stage.lock");
                wait_for("the end of the stage", || {
                    !Command::new("flock").arg("-n").arg(&lock).arg("true").status().is_ok_and(|it| !it.success())
                });
                if scene.is_on_record(0) {
                    scene.project.run(&["status"]).ends(1).says("drained since 20");
                    scene.run(&["--drain", "-l", &address(0)], "true").ends(0);
                }
            }
            assert!(!scene.is_on_record(0), "{when}");
            assert_eq!(scene.events(0).last().map(String::as_str), Some("undrain"), "{when}");

            // The stage on the target: the deployer puts the host back.
            scene.forget();
            let deployer = scene.start_up_to(moment);
            let note = std::fs::read_to_string(scene.srv(0, CACHE).join(".hoist/stage.lock")).unwrap();
            let note: serde_json::Value = serde_json::from_str(&note).unwrap();
            kill(&note["process"].to_string());
            scene.go_on(moment);
            Ran::of(deployer.wait_with_output().unwrap()).ends(1).says("1 failed");
            assert!(!scene.is_on_record(0), "{when}");
            assert_eq!(scene.events(0).last().map(String::as_str), Some("undrain"), "{when}");
        }
    }
}

/// Ends a process of the farm, by its id.
fn kill(pid: &str) {
    assert!(pid.parse::<u32>().unwrap() > 1, "{pid}");
    Command::new("kill").args(["-KILL", pid]).status().unwrap();
}

#[test]
fn gates_sleeps_and_the_question_halt_a_command_where_they_should() {
    let (farm, project) = Project::on_farm(0, HOSTS);
    let marks = farm.path("marks");
    std::fs::create_dir(&marks).unwrap();
    let command = format!("touch {}/$(basename $(dirname ~))", marks.display());
    let visited = || std::fs::read_dir(&marks).unwrap().count();
    let run = |flags: &[&str]| {
        std::fs::read_dir(&marks).unwrap().for_each(|mark| std::fs::remove_file(mark.unwrap().path()).unwrap());
        project.run(&[&["run"], flags, &["--", &command]].concat())
    };
    for (flags, why) in [
        (vec!["--gates"], "there are no gates to ask: write gates.yaml"),
        (vec!["--drain"], "the targets of group default cannot be drained: set drain and undrain"),
        (vec!["--drain", "--hosts", "127.0.0.1"], "--hosts and --drain cannot be combined"),
        (vec!["--sleep", "soon"], "--sleep: \"soon\" is not a duration"),
        (vec!["--max-unavailable", "0"], "--max-unavailable: \"0\" is no host at all"),
    ] {
        run(&flags).ends(2).says(why);
        assert_eq!(visited(), 0, "{flags:?}");
    }

    // A gate that fails once two hosts have had their turn.
    let count = format!("ls {} | wc -l", marks.display());
    let gate = |at: &str| {
        format!(
            "gates:\n  visits:\n    type: command\n    command: {count}\n    shell: true\n    require: \"< 2\"\n    when: {at}\n"
        )
    };
    project.write("hoist/gates.yaml", &gate("subgroup"));
    let flags = ["--gates", "--group-size", "1"];
    let ran = run(&flags).ends(1).says("stopped (gate visits failed: ").says("ok on 2 of 4 hosts; 2 not attempted");
    assert!(ran.err.ends_with("  127.0.0.[3-4]: not attempted\n"), "{}", ran.err);
    assert_eq!(visited(), 2);
    let events = run(&[&["--format", "json"], &flags[..]].concat()).ends(1).events();
    assert_eq!(each(&of_kind(&events, "gate"), "verdict"), ["pass", "fail"]);
    assert_eq!(each(&of_kind(&events, "gate_failed"), "moment"), ["subgroup"]);
    run(&["-D", "run_gates:yes", "--group-size", "1"]).ends(1).says("gate visits failed");
    // During a soak it is asked only where there is one.
    project.write("hoist/gates.yaml", &gate("soak"));
    run(&flags).ends(2).says("no gate would be asked (visits)").says("--sleep");
    run(&[&["--sleep", "1s"], &flags[..]].concat()).ends(1).says("ok on 2 of 4 hosts");
    // What nobody can tell is no pass, and nobody is there to say that it is no matter.
    project.write("hoist/gates.yaml", &gate("before").replace("command: ls ", "within: 1\n    command: exit 9; ls "));
    run(&flags).ends(1).says("stopped (gate visits ").says("ok on 0 of 4 hosts; 4 not attempted");

    // An interrupt is heeded in the middle of a sleep.
    let mut sleeper = project.hoist(&["run", "--group-size", "1", "--sleep", "2h", "--", "touch slept"]);
    let sleeper = sleeper.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the first host", || farm.home(&address(0)).join("slept").exists());
    std::thread::sleep(std::time::Duration::from_millis(300));
    signal(&sleeper, "INT");
    let ran = Ran::of(sleeper.wait_with_output().unwrap()).ends(130);
    ran.says("interrupted: ok on 1 of 4 hosts; 3 not attempted");

    // The question of whoever reaches many hosts at once.
    project.configure("run_confirm_above: 3");
    run(&[]).ends(2).says("would run on 4 hosts, which is more than 3 (run_confirm_above)");
    run(&["--batch", "4"]).ends(0);
    run(&["-l", "!127.0.0.4"]).ends(0);
    for (answer, status) in [("n\n", 1), ("y\n", 0)] {
        let mut terminal = Terminal::run(project.at_a_terminal("run -- true"));
        terminal.wait_for("Run `true` on 4 hosts, 4 at once? [y]es/[N]o");
        terminal.types(answer);
        terminal.ends(status);
    }
}
