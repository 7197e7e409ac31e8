//! `hoist run` over real SSH: what reaches the host, what is shown, who is visited, and what the status says.

mod common;
#[path = "run/guarded.rs"]
mod guarded;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use common::terminal::Terminal;
use common::{Farm, HOIST, Project, Ran, address, signal, ssh_settings, wait_for};
use serde_json::Value;
use tempfile::TempDir;

/// A folder that belongs to no repository, and the settings that lead to a farm.
struct Nowhere {
    farm: Farm,
    dir: TempDir,
}

impl Nowhere {
    fn on(farm: Farm) -> Nowhere {
        let dir = tempfile::Builder::new().prefix("hoist-run-").tempdir().unwrap();
        let settings = format!("[global]\n{}", ssh_settings(&farm));
        std::fs::write(dir.path().join("global.cfg"), settings).unwrap();
        Nowhere { farm, dir }
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(HOIST);
        command.arg("run").args(arguments).current_dir(self.dir.path()).stdin(Stdio::null());
        command.env_remove("SSH_AUTH_SOCK").env("NO_COLOR", "1").env("USER", "op").env_remove("SUDO_USER");
        command.env("HOIST_GLOBAL_CONFIG", self.dir.path().join("global.cfg"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn connections(&self) -> usize {
        self.farm.log().lines().filter(|line| line.starts_with("Connection from ")).count() - PROBES
    }
}

/// The farm connects to itself once, to see that it answers.
const PROBES: usize = 1;

/// The events of one kind.
fn of_kind(events: &[Value], kind: &str) -> Vec<Value> {
    events.iter().filter(|event| event["event"] == kind).cloned().collect()
}

/// `field` of each.
fn each<'a>(values: &'a [Value], field: &str) -> Vec<&'a str> {
    values.iter().map(|value| value[field].as_str().unwrap()).collect()
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn both_streams_come_apart_each_line_behind_its_hosts_name() {
    let it = Nowhere::on(Farm::up());
    let ran = it.run(&["--hosts", "127.0.0.[1:2]", "--", "echo out; echo err >&2; printf 'no newline'"]).ends(0);
    assert_eq!(
        sorted(&ran.out),
        ["127.0.0.1: no newline", "127.0.0.1: out", "127.0.0.2: no newline", "127.0.0.2: out"]
    );
    let [first, second, end] = sorted(&ran.err)[..] else { panic!("{}", ran.err) };
    assert_eq!((first, second), ("127.0.0.1: err", "127.0.0.2: err"));
    assert!(end.starts_with("hoist run: ok on 2 hosts (exit status 0, "), "{end}");
    let quiet = it.run(&["-q", "--hosts", "127.0.0.1", "echo", "out"]).ends(0);
    assert_eq!((quiet.out.as_str(), quiet.err.as_str()), ("127.0.0.1: out\n", ""));
}

#[test]
fn one_word_is_a_line_for_the_remote_shell_and_several_stay_the_words_they_are() {
    let it = Nowhere::on(Farm::up());
    let run = |words: &[&str]| it.run(&[&["--hosts", "127.0.0.1", "--"], words].concat()).ends(0).out;
    assert_eq!(run(&["echo a b | tr ab xy; x=1; echo $x"]), "127.0.0.1: x y\n127.0.0.1: 1\n");
    let words = ["a  b", "$HOME", "it's", "\"q\"", "*", "", "a\\b", "x;y", "-l", "--", "--help", "~", "!", "`id`"];
    let shown = run(&[&["printf", "<%s>\\n"], &words[..]].concat());
    assert_eq!(shown.lines().collect::<Vec<_>>(), words.map(|word| format!("127.0.0.1: <{word}>")));
}

#[test]
fn what_follows_the_commands_first_word_is_the_commands_own() {
    let it = Nowhere::on(Farm::up());
    let ran = it.run(&["--hosts", "127.0.0.1", "echo", "-q", "--hosts", "x", "--help", "-g"]).ends(0);
    assert_eq!(ran.out, "127.0.0.1: -q --hosts x --help -g\n");
    assert!(ran.err.contains("ok on 1 host"), "{}", ran.err);
}

#[test]
fn a_command_reads_nothing_and_a_host_gets_one_connection_and_keeps_nothing() {
    let it = Nowhere::on(Farm::up());
    it.run(&["--hosts", "127.0.0.[1:2]", "--", "cat; find . | sort"]).ends(0).says("127.0.0.1: .\n");
    assert_eq!(it.connections(), 2);
    for n in 0..2 {
        assert_eq!(std::fs::read_dir(it.farm.home(&address(n))).unwrap().count(), 0, "something was left behind");
    }
}

#[test]
fn three_hundred_hosts_are_visited_once_each() {
    let it = Nowhere::on(Farm::up());
    let list: String = (0..300).map(|n| address(n) + "\n").collect();
    let file = it.write("hosts", &list);
    let line = ["--hosts", &file, "--fold", "--", "echo same; echo x >>visits"];
    // So many at once are reached on purpose only.
    it.run(&line).ends(2).says("would run on 300 hosts, which is more than 100 (run_confirm_above)").says("--yes");
    assert_eq!(it.connections(), 0);
    let ran = it.run(&[&["--yes"], &line[..]].concat()).ends(0);
    assert_eq!(ran.out, "── 127.0.0.[1-200],127.0.1.[1-100] (300 hosts) ──\nsame\n");
    for n in 0..300 {
        assert_eq!(std::fs::read_to_string(it.farm.home(&address(n)).join("visits")).unwrap(), "x\n");
    }
}

/// Each host does what its number says.
const EACH_ITS_OWN: &str = "case $(basename $(dirname ~)) in
    127.0.0.1) exit 3;; 127.0.0.2) exit 255;; 127.0.0.3) kill -TERM $$;; 127.0.0.4) sleep 30;; 127.0.0.5) exit 255;;
    127.0.0.6) p=$$; while [ \"$(cat /proc/$p/comm)\" != sshd ]; do p=$(cut -d' ' -f4 /proc/$p/stat); done; kill -9 $p;;
    *) echo well;;
    esac";

#[test]
fn every_way_to_end_is_told_apart_and_counts() {
    let it = Nowhere::on(Farm::up());
    let hosts = "127.0.0.[1:7],127.0.0.[8:9]:1";
    let run = |flags: &[&str]| it.run(&[&["--hosts", hosts, "--timeout", "3"], flags, &["--", EACH_ITS_OWN]].concat());
    run(&["--strict", "--failure-limit", "8"]).ends(7);
    let events = run(&["--format", "json", "--failure-limit", "8"]).ends(0).events();
    let mut ended = of_kind(&events, "host_ended");
    ended.sort_by_key(|event| event["host"].as_str().unwrap().to_owned());
    let outcomes = ["failed", "failed", "killed", "timed_out", "failed", "lost", "ok", "unreachable", "unreachable"];
    assert_eq!(each(&ended, "outcome"), outcomes);
    assert_eq!((&ended[0]["status"], &ended[1]["status"]), (&3.into(), &255.into()));
    assert_eq!((&ended[2]["signal"], &ended[3]["seconds"]), (&"TERM".into(), &3.into()));
    let last = events.last().unwrap();
    let rows = last["rows"].as_array().unwrap();
    let states = ["failed", "failed", "killed", "timed_out", "failed", "lost", "ok", "unreachable", "unreachable"];
    assert_eq!((each(rows, "state"), each(rows, "group")), (states.to_vec(), vec!["hosts"; 9]));
    assert!(rows.iter().all(|row| (row["state"] == "ok") == row["ok"].as_bool().unwrap()));

    // One host more than may.
    let ran = run(&["--failure-limit", "7"]).ends(1);
    assert_eq!(ran.out, "127.0.0.7: well\n");
    for line in [
        "ok on 1 of 9 hosts; 8 failed, more than the failure limit of hosts (7) (exit status 1, ",
        "\n  127.0.0.1: failed: exit status 3\n",
        "\n  127.0.0.[2,5]: failed: exit status 255\n",
        "\n  127.0.0.3: killed: signal TERM\n",
        "\n  127.0.0.4: timed out: after 3 s\n",
        "\n  127.0.0.6: lost: ",
        // Told once for both, though each reason names its host.
        "\n  127.0.0.[8-9]:1: unreachable: cannot connect to HOST port 1 (HOST): connection refused",
    ] {
        assert!(ran.err.contains(line), "{line:?} is not in\n{}", ran.err);
    }
}

#[test]
fn a_command_whose_channel_the_server_closed_is_lost_and_one_that_says_nothing_is_not() {
    let it = Nowhere::on(Farm::up_with(&[("FARM_SSHD_OPTS", "ChannelTimeout session:*=2s")]));
    let silent = "case $(basename $(dirname ~)) in 127.0.0.1) sleep 60;; 127.0.0.3) exit 4;; esac";
    let ran = it.run(&["--hosts", "127.0.0.[1:3]", "--timeout", "50", "--format", "json", "--", silent]).ends(1);
    let mut ended = of_kind(&ran.events(), "host_ended");
    ended.sort_by_key(|event| event["host"].as_str().unwrap().to_owned());
    assert_eq!(each(&ended, "outcome"), ["lost", "ok", "failed"], "{ran:?}");
    assert!(ended[0]["reason"].as_str().unwrap().contains("closed the channel"), "{ended:?}");
}

#[test]
fn beyond_the_limit_nobody_else_begins_and_the_others_are_named() {
    let it = Nowhere::on(Farm::up());
    let run = |flags: &[&str]| {
        let ran =
            it.run(&[&["--hosts", "127.0.0.[1:6]", "--batch", "1"], flags, &["--", "echo x >>visits; false"]].concat());
        let there = |n: &usize| std::fs::remove_file(it.farm.home(&address(*n)).join("visits")).is_ok();
        (ran, (0..6).filter(there).collect::<Vec<_>>())
    };
    let (ran, visited) = run(&[]);
    assert_eq!(visited, [0]);
    let ran = ran.ends(1).says("failure limit of hosts (0); 5 not attempted");
    assert!(ran.err.ends_with("  127.0.0.1: failed: exit status 1\n  127.0.0.[2-6]: not attempted\n"), "{}", ran.err);
    let (ran, visited) = run(&["--failure-limit", "34%"]);
    assert_eq!(visited, [0, 1, 2]);
    ran.ends(1).says("(34% of 6 = 2); 3 not attempted");
    let (ran, visited) = run(&["-D", "failure_limit:1"]);
    assert_eq!(visited, [0, 1]);
    ran.ends(1);
    let (ran, visited) = run(&["-D", "failure_limit:1", "--failure-limit", "100%"]);
    assert_eq!(visited, [0, 1, 2, 3, 4, 5]);
    ran.ends(0).says("ok on 0 of 6 hosts; 6 failed within the limits");
}

#[test]
fn a_flag_wins_over_a_definition_and_subgroups_run_one_after_the_other() {
    let it = Nowhere::on(Farm::up());
    // How many are under way at the most, as the deployer tells it.
    let most = |flags: &[&str]| {
        let line = [&["--hosts", "127.0.0.[1:6]", "--format", "json"], flags, &["--", "sleep", "0.2"]].concat();
        let (mut now, mut most) = (0, 0);
        for event in it.run(&line).ends(0).events() {
            match event["event"].as_str().unwrap() {
                "host_started" => now += 1,
                "host_ended" => now -= 1,
                _ => {}
            }
            most = most.max(now);
        }
        most
    };
    assert_eq!(most(&[]), 6);
    assert_eq!(most(&["-D", "batch_size:2"]), 2);
    assert_eq!(most(&["-D", "batch_size:2", "--batch", "1"]), 1);
    assert_eq!(most(&["--group-size", "3"]), 3);

    let line = ["--hosts", "127.0.0.[1:5]", "--group-size", "2", "--format", "json", "--", "true"];
    let events = it.run(&line).ends(0).events();
    assert_eq!(each(&of_kind(&events, "subgroup"), "label"), ["hosts1", "hosts2", "hosts3"]);
}

/// A repository whose groups are `canary` (two hosts) and `default` (three), without a `git_repo`.
fn project(farm: &Farm) -> Project {
    let project = Project::new(farm, 2, 3);
    let file = project.path("hoist/hoist.cfg");
    let text = std::fs::read_to_string(&file).unwrap().replace("git_repo: app\n", "");
    std::fs::write(file, text).unwrap();
    project
}

#[test]
fn in_a_repository_the_groups_have_their_turn_in_their_order() {
    let farm = Farm::up();
    let project = project(&farm);
    let hosts = |flags: &[&str]| {
        let line = [&["run", "--format", "json", "--batch", "1"], flags, &["true"]].concat();
        let events = project.run(&line).ends(0).events();
        let started = of_kind(&events, "host_started");
        each(&started, "host").iter().map(|host| host.rsplit('.').next().unwrap().to_owned()).collect::<String>()
    };
    assert_eq!(hosts(&[]), "12345");
    assert_eq!(hosts(&["-g", "default,canary"]), "12345");
    assert_eq!(hosts(&["-g", "default"]), "345");
    assert_eq!(hosts(&["-l", "127.0.0.[2:3]"]), "23");
    assert_eq!(hosts(&["-g", "canary", "-l", "127.0.0.[2:3]"]), "2");
    assert_eq!(hosts(&["--hosts", "127.0.0.[7:8],127.0.0.1", "-l", "!127.0.0.8"]), "71");

    project
        .run(&["run", "-g", "nosuch", "true"])
        .ends(2)
        .says("unknown group \"nosuch\"; the groups are canary, default");
    project.run(&["run", "-g", ",", "true"]).ends(2).says("--groups: \",\" names no group");
    project.run(&["run", "-l", "web1", "true"]).ends(2).says("matches none of the 5 targets");
    project
        .run(&["run", "-g", "canary", "-l", "127.0.0.4", "true"])
        .ends(2)
        .says("127.0.0.4 in canary matches none of the");
    // What wants the repository's name still does.
    project.run(&["plan"]).ends(2).says("git_repo is not set");
}

#[test]
fn a_group_that_fails_keeps_the_command_from_the_groups_behind_it() {
    let farm = Farm::up();
    let project = project(&farm);
    project.configure("canary_failure_limit: 50%");
    let fail = "case $(basename $(dirname ~)) in 127.0.0.1) false;; esac";
    project.run(&["run", "--", fail]).ends(0).says("ok on 4 of 5 hosts; 1 failed within the limits");
    let events = project.run(&["run", "--format", "json", "--failure-limit", "0", "--", fail]).ends(1).events();
    assert_eq!(each(&of_kind(&events, "limit_exceeded"), "group"), ["canary"]);
    let rows = events.last().unwrap()["rows"].as_array().unwrap().clone();
    assert_eq!(each(&rows, "state"), ["failed", "ok", "not_attempted", "not_attempted", "not_attempted"]);
}

#[test]
fn hosts_come_from_a_file_from_standard_input_or_from_a_list() {
    let it = Nowhere::on(Farm::up());
    let file = it.write("web", "# ours\n127.0.0.1 extra\nroot@127.0.0.2\n127.0.0.1\n");
    let hosts = |hosts: &str| {
        let ran = it.run(&["-q", "--batch", "1", "--hosts", hosts, "echo"]).ends(0);
        ran.out.replace(": \n", " ")
    };
    assert_eq!(hosts(&file), "127.0.0.1 root@127.0.0.2 ");
    assert_eq!(hosts("web"), "127.0.0.1 root@127.0.0.2 ");
    assert_eq!(hosts("./web"), "127.0.0.1 root@127.0.0.2 ");
    assert_eq!(hosts("127.0.0.2,127.0.0.[1:2]"), "127.0.0.2 127.0.0.1 ");
    // With its comma it is a host, which nobody knows.
    it.run(&["--hosts", "web,", "true"]).ends(1).says("cannot resolve web");

    let mut child =
        it.command(&["-q", "--hosts", "-", "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"127.0.0.1\n").unwrap();
    assert_eq!(Ran::of(child.wait_with_output().unwrap()).ends(0).out, "");
}

#[test]
fn a_mistake_is_named_with_its_place_and_nothing_is_run() {
    let it = Nowhere::on(Farm::up());
    let bad = it.write("bad", "127.0.0.1\n\n-oProxyCommand=x\n");
    let garbage = it.write("garbage", b"127.0.0.1\n\xff\xfe\n");
    let empty = it.write("empty", "# nobody\n\n");
    for (line, why) in [
        (vec!["--hosts", &bad, "true"], format!("{bad}:3: bad host name \"-oProxyCommand=x\"")),
        (vec!["--hosts", &garbage, "true"], format!("{garbage}:2: not UTF-8")),
        (vec!["--hosts", &empty, "true"], format!("{empty:?} contains no host")),
        (vec!["--hosts", "/nowhere/hosts", "true"], "cannot read /nowhere/hosts".into()),
        (vec!["--hosts", ".", "true"], "bad host name \".\"".into()),
        (vec!["--hosts", "./", "true"], "./ is a directory".into()),
        (vec!["--hosts", "-", "true"], "\"-\" contains no host".into()),
        (vec!["--hosts", "127.0.0.1,we b*", "true"], "bad host name \"b*\"".into()),
        (vec!["--hosts", "127.0.0.[2:1]", "true"], "runs backwards".into()),
        (vec!["--hosts", "127.0.0.1", "-l", "x", "true"], "x matches none of the 1 host".into()),
        (vec!["--hosts", "127.0.0.1", "-g", "x", "true"], "--hosts and --groups cannot be combined".into()),
        (vec!["--hosts", "127.0.0.1"], "no command".into()),
        (vec!["--hosts", "127.0.0.1", "--", " "], "no command".into()),
        (vec!["true"], "name hosts with --hosts".into()),
        (vec!["--hosts", "127.0.0.1", "--batch", "0", "true"], "--batch: \"0\" is not a valid number".into()),
        (vec!["--hosts", "127.0.0.1", "--timeout", "1.5", "true"], "--timeout: \"1.5\" is not a duration".into()),
        (
            vec!["--hosts", "127.0.0.1", "--failure-limit", "0.2", "true"],
            "--failure-limit: \"0.2\" is a fraction".into(),
        ),
        (vec!["--hosts", "127.0.0.1", "--group-size", "none", "true"], "--group-size: \"none\"".into()),
        (vec!["--hosts", "127.0.0.1", "-D", "ssh_port:x", "true"], "ssh_port on the command line (-D)".into()),
        (vec!["--hosts", "127.0.0.1", "-e", "x", "true"], "has no directory".into()),
        (vec!["--hosts", "127.0.0.1", "--fold", "--format", "json", "true"], "--fold cannot be combined".into()),
        (vec!["--hosts", "127.0.0.1", "--config", "/nowhere.cfg", "true"], "cannot read /nowhere.cfg".into()),
    ] {
        let ran = it.run(&line).ends(2);
        assert!(ran.err.contains(&why) && ran.out.is_empty(), "{line:?}: {}", ran.err);
    }
    assert_eq!(it.connections(), 0);
}

#[test]
fn definitions_alone_lead_to_a_host_and_so_does_a_configuration_file_of_no_repository() {
    let it = Nowhere::on(Farm::up());
    it.write("global.cfg", "[global]\n");
    let (port, key) = (format!("ssh_port:{}", it.farm.port), format!("identity_file:{}", it.farm.key().display()));
    let known = format!("known_hosts:{}", it.farm.known_hosts().display());
    let line = ["-D", "ssh_user:root", "-D", &port, "-D", &key, "-D", &known, "--hosts", "127.0.0.1", "echo", "hello"];
    assert_eq!(it.run(&line).ends(0).out, "127.0.0.1: hello\n");

    it.write("targets", "127.0.0.3\n127.0.0.4\n");
    let keys = [port, key, known].map(|define| define.replacen(':', ": ", 1)).join("\n");
    let file = it.write("fleet.cfg", format!("[global]\nssh_user: root\n{keys}\ndsh_targets: targets\n"));
    let ran = it.run(&["--config", &file, "--batch", "1", "echo", "hello"]).ends(0);
    assert_eq!(ran.out, "127.0.0.3: hello\n127.0.0.4: hello\n");
}

#[test]
fn folded_output_is_shown_once_for_all_hosts_where_it_and_the_end_are_the_same() {
    let it = Nowhere::on(Farm::up());
    let command = "echo one; case $(basename $(dirname ~)) in
        127.0.0.2) echo two;; 127.0.0.4) exit 4;; 127.0.0.5) echo odd >&2;; 127.0.0.7) echo odd >&2;;
        127.0.0.8) exec head -c 3000000 /dev/zero | tr '\\0' '\\n';; esac";
    let ran = it.run(&["--hosts", "127.0.0.[1:8]", "--failure-limit", "1", "--fold", "--", command]).ends(0);
    let (blocks, long) = ran.out.split_once("── 127.0.0.8 (1 host) ──\none\n").unwrap();
    assert_eq!(
        blocks,
        "── 127.0.0.[1,3,6] (3 hosts) ──\none\n── 127.0.0.2 (1 host) ──\none\ntwo\n\
         ── 127.0.0.4 (1 host): exit status 4 ──\none\n── 127.0.0.[5,7] (2 hosts) ──\none\n"
    );
    assert!(ran.err.contains("127.0.0.[5,7]: odd\n"), "{}", ran.err);
    let kept = 1024 * 1024 - "one\n".len();
    assert_eq!(long, "\n".repeat(kept));
    assert!(ran.err.contains(&format!("127.0.0.8: {} more lines were dropped", 3_000_000 - kept)), "{}", ran.err);
}

#[test]
fn whatever_a_host_says_is_safe_to_look_at_and_none_of_it_is_lost() {
    let it = Nowhere::on(Farm::up());
    let bytes = r"\033[2J\033]0;x\007\000\377\302\233\r\n\342\200\256txt\nGr\303\274\303\237e\r\n";
    let print = format!("printf '{bytes}'; printf '{bytes}' >&2");
    for format in ["text", "json"] {
        let ran = it.run(&["--format", format, "--hosts", "127.0.0.1", "--", &print]).ends(0);
        let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!ran.out.contains(bad) && !ran.err.contains(bad), "{ran:?}");
    }
    let ran = it.run(&["--hosts", "127.0.0.1", "--", &print]).ends(0);
    let first = "127.0.0.1: \\x1b[2J\\x1b]0;x\\x07\\x00\u{fffd}\\x9b\n127.0.0.1: \\u{202e}txt\n127.0.0.1: Grüße\n";
    assert_eq!(ran.out, first);
    assert!(ran.err.starts_with(first), "{}", ran.err);
    // A line without an end comes in pieces.
    let ran = it.run(&["-q", "--hosts", "127.0.0.1", "--", "head -c 300000 /dev/zero | tr '\\0' x"]).ends(0);
    let lengths: Vec<usize> = ran.out.lines().map(|line| line.len() - "127.0.0.1: ".len()).collect();
    assert_eq!(lengths, [65536, 65536, 65536, 65536, 300000 - 4 * 65536]);
}

/// The most memory that a process has had, in MiB.
fn peak(child: &Child) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
}

#[test]
fn hosts_that_flood_wait_for_the_reader_and_end_in_silence_when_it_goes_away() {
    let it = Nowhere::on(Farm::up());
    let flood = "i=0; while :; do i=$((i+1)); [ $((i % 100)) = 0 ] && echo $i >lines; head -c 10000 /dev/zero | tr \
                 '\\0' x; echo; done";
    let mut child = it.spawn(&["--hosts", "127.0.0.[1:4]", "--", flood]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let lines = || std::fs::read_to_string(it.farm.home("127.0.0.1").join("lines")).unwrap_or_default();
    // Nobody reads, so at last nothing moves: between two looks a second apart.
    wait_for("the flood to stop", || {
        let before = lines();
        std::thread::sleep(std::time::Duration::from_secs(1));
        !before.is_empty() && before == lines()
    });
    assert!(peak(&child) < 200, "{} MiB", peak(&child));
    drop(out);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(130), ""));
}

#[test]
fn a_definition_of_an_unknown_key_is_warned_of() {
    let it = Nowhere::on(Farm::up());
    let ran = it.run(&["-q", "-D", "failure_limt:2", "--hosts", "127.0.0.1", "--", "true"]).ends(0);
    ran.says("unknown key \"failure_limt\" is ignored: did you mean \"failure_limit\"?");
}

#[test]
fn output_that_cannot_be_written_is_told() {
    let it = Nowhere::on(Farm::up());
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for format in ["text", "json"] {
        let mut command = it.command(&["--format", format, "--hosts", "127.0.0.1", "--", "echo x; sleep 20"]);
        let output = command.stdout(full()).output().unwrap();
        Ran::of(output).ends(130).says("cannot write to standard output: No space left on device");
    }
    // What is shown at the end alone, too; and nobody is told where nobody reads.
    let folded = || it.command(&["--fold", "--hosts", "127.0.0.1", "--", "echo x"]);
    let output = folded().stdout(full()).output().unwrap();
    let ran = Ran::of(output).ends(130).says("cannot write to standard output: No space left on device");
    assert!(!ran.err.contains("stopped"), "{}", ran.err);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ran = Ran::of(folded().stdout(writer).output().unwrap()).ends(130);
    assert!(!ran.err.contains("cannot write"), "{}", ran.err);
    // The last line says how the command ends.
    for ran in [ran.err, Ran::of(folded().stdout(full()).output().unwrap()).ends(130).err] {
        assert!(ran.contains("ok on 1 host; not all output was written (exit status 130, "), "{ran}");
        assert!(!ran.contains("exit status 0"), "{ran}");
    }
}

#[test]
fn an_interrupt_waits_for_those_under_way_and_a_second_one_does_not() {
    let it = Nowhere::on(Farm::up());
    let begun = |n: usize| it.farm.home(&address(n)).join("begun").exists();
    let line = [
        "--hosts",
        "127.0.0.[1:4]",
        "--batch",
        "2",
        "--",
        "touch begun; while ! [ -e go ]; do sleep 0.1; done; echo done",
    ];
    let child = it.spawn(&line);
    wait_for("two hosts", || begun(0) && begun(1));
    signal(&child, "INT");
    std::thread::sleep(std::time::Duration::from_millis(500));
    for n in 0..2 {
        std::fs::write(it.farm.home(&address(n)).join("go"), "").unwrap();
    }
    let ran = Ran::of(child.wait_with_output().unwrap()).ends(130);
    assert_eq!(sorted(&ran.out), ["127.0.0.1: done", "127.0.0.2: done"]);
    let ran = ran.says("no more hosts are started").says("interrupted: ok on 2 of 4 hosts; 2 not attempted");
    assert!(ran.err.ends_with("  127.0.0.[3-4]: not attempted\n"), "{}", ran.err);
    assert!(!begun(2) && !begun(3));

    for n in 0..2 {
        std::fs::remove_file(it.farm.home(&address(n)).join("go")).unwrap();
        std::fs::remove_file(it.farm.home(&address(n)).join("begun")).unwrap();
    }
    let mut child = it.spawn(&line);
    wait_for("two hosts", || begun(0) && begun(1));
    signal(&child, "INT");
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    err.read_line(&mut said).unwrap();
    assert!(said.contains("waiting for command on 127.0.0.[1-2]"), "{said}");
    said.clear();
    err.read_line(&mut said).unwrap();
    assert!(said.contains("a second Ctrl-C ends hoist at once"), "{said}");
    signal(&child, "INT");
    err.read_to_string(&mut said).unwrap();
    let status = child.wait().unwrap();
    assert_eq!((status.code(), status.signal()), (Some(130), None));
    assert!(said.ends_with("stopped; running commands may continue on their hosts\n"), "{said}");
}

#[test]
fn the_first_ctrl_c_says_who_is_waited_for_and_an_abort_waits_for_them_no_longer() {
    let it = Nowhere::on(Farm::up());
    let begun = |n: usize| it.farm.home(&address(n)).join("begun").exists();
    let line = ["--hosts", "127.0.0.[1:3]", "--batch", "2", "--", "touch begun; echo said; exec sleep 600"];
    let mut terminal = Terminal::run(it.command(&line));
    wait_for("two hosts", || begun(0) && begun(1));
    terminal.wait_for("127.0.0.2: said");
    // What was typed before it was shown is no answer.
    terminal.types("a\n");
    terminal.types_and_sees("\x03", "waiting for command on 127.0.0.[1-2]");
    terminal.wait_for("a second Ctrl-C ends hoist at once");
    assert!(!terminal.shows().contains("aborting"), "{}", terminal.shows());
    terminal.types("a\n");
    terminal.ends(130);
    let shown = terminal.shows();
    assert!(shown.contains("aborted by the operator; the command may still run there"), "{shown}");
    assert!(shown.contains("interrupted: ok on 0 of 3 hosts; 2 failed; 1 not attempted"), "{shown}");
    assert!(!begun(2));
}

#[test]
fn events_tell_all_of_it_in_order() {
    let it = Nowhere::on(Farm::up());
    let line = ["--format", "json", "--hosts", "127.0.0.1", "--", "echo out; echo err >&2; exit 7"];
    let events = it.run(&line).ends(1).events();
    let kinds = each(&events, "event");
    assert_eq!((kinds[0], kinds[1], kinds[2], kinds[3]), ("command", "subgroup", "step_started", "host_started"));
    assert_eq!(kinds[6..], ["host_ended", "step_ended", "limit_exceeded", "ended"]);
    assert_eq!(events[0]["command"], "echo out; echo err >&2; exit 7");
    assert_eq!(events[0]["user"], "op");
    let mut lines = of_kind(&events, "host_line");
    lines.sort_by_key(|line| line["level"].as_str().unwrap().to_owned());
    assert_eq!((each(&lines, "level"), each(&lines, "message")), (vec!["info", "warning"], vec!["out", "err"]));
    assert_eq!(events[6]["step"], "command");
    assert_eq!((&events[6]["outcome"], &events[6]["status"]), (&"failed".into(), &7.into()));
    assert_eq!(events[6]["tail"].as_array().unwrap().len(), 2);
    assert_eq!(events[9]["status"], 1);
}

#[test]
fn help_and_completions_have_the_command() {
    let it = Nowhere::on(Farm::up());
    let help = it.run(&["--help"]).ends(0);
    for flag in ["--hosts", "--failure-limit", "--fold", "--batch", "--timeout", "--group-size"] {
        assert!(help.out.contains(flag), "{flag} is not in\n{}", help.out);
    }
    let proposed = Ran::of(Command::new(HOIST).args(["complete", "run", "--f"]).output().unwrap()).ends(0);
    assert!(proposed.out.contains("--fold"), "{}", proposed.out);
}
