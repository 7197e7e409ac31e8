//! What people type, and what they are told: new users, and users of other tools.

mod common;
#[path = "common/schema.rs"]
mod schema;

use std::io::Write;
use std::process::{Command, Stdio};

use common::terminal::Terminal;
use common::{HOIST, Project, Ran};
use schema::Answer;

/// A repository with two groups, an environment, a branch and a tag, whose hosts are nowhere.
fn project() -> Project {
    let project = Project::empty();
    let lines = "git_repo: app\nserver_groups: canary, default\ncanary_dsh_targets: canary\ndsh_targets: targets\n";
    project.write("hoist/hoist.cfg", &format!("[global]\n{lines}ssh_user: deploy\n"));
    project.write("hoist/canary", "web01\n");
    project.write("hoist/targets", "web02\nweb03\nroot@db1:2222\n");
    project.write("hoist/environments/production/hoist.cfg", "[global]\nbatch_size: 7\n");
    project.commit("one");
    project.git(&["branch", "hotfix"]);
    project.git(&["tag", "v1.2"]);
    project
}

/// What the words print on standard error, in one line, and that nothing was done.
#[track_caller]
fn told(project: &Project, words: &str) -> String {
    let words: Vec<&str> = words.split(' ').collect();
    let ran = project.run(&words).ends(2);
    assert_eq!(ran.out, "", "{words:?}");
    ran.err.lines().next().unwrap_or_default().to_owned()
}

/// The answer to each of these command lines.
#[track_caller]
fn answers(project: &Project, answers: &[(&str, &str)]) {
    for (words, says) in answers {
        assert_eq!(told(project, words), *says, "{words}");
    }
}

#[test]
fn words_of_other_tools_are_answered_with_what_they_are_called_here() {
    let project = project();
    let others = [
        // Capistrano
        ("restart", "hoist: unknown command \"restart\": `hoist deploy --service-restart` restarts the services"),
        ("releases", "hoist: unknown command \"releases\": `hoist history` shows the last deployments"),
        ("revert", "hoist: unknown command \"revert\": `hoist rollback` returns to the previous revision"),
        (
            "deploy:check",
            "hoist: unknown command \"deploy:check\": `hoist check-config` shows all mistakes in the configuration",
        ),
        (
            "production deploy",
            "hoist: unknown command \"production\": it is the name of an environment: use `hoist deploy -e production`",
        ),
        // kubectl
        ("exec web01 ls", "hoist: unknown command \"exec\": `hoist run -- COMMAND` runs a command on the hosts"),
        ("logs", "hoist: unknown command \"logs\": `hoist log` shows the log of a deployment"),
        ("apply -f x", "hoist: unknown command \"apply\": `hoist deploy -r REVISION` deploys a revision"),
        ("rollout undo", "hoist: unknown command \"rollout\": `hoist rollback` returns to the previous revision"),
        ("rollout status", "hoist: unknown command \"rollout\": `hoist status` shows what every host runs"),
        ("rollout history", "hoist: unknown command \"rollout\": `hoist history` shows the last deployments"),
        (
            "rollout restart",
            "hoist: unknown command \"rollout\": `hoist deploy --service-restart` restarts the services",
        ),
        ("status --output json", "hoist status: unknown flag --output: --json prints JSON"),
        // Ansible
        (
            "ping",
            "hoist: unknown command \"ping\": `hoist status` asks every host, and `hoist run -- true` logs in to each",
        ),
        ("inventory", "hoist: unknown command \"inventory\": `hoist hosts` shows the groups and their hosts"),
        ("deploy --check", "hoist deploy: unknown flag --check: --dry-run shows what would change"),
        ("deploy -n", "hoist deploy: unknown flag -n: --dry-run shows what would change"),
        ("deploy --tags fetch", "hoist deploy: unknown flag --tags: -s STAGES runs single stages"),
        (
            "deploy --forks 5",
            "hoist deploy: unknown flag --forks: -D batch_size=NUMBER sets the number of hosts at \
             once",
        ),
        (
            "deploy --serial 5",
            "hoist deploy: unknown flag --serial: -D group_size=NUMBER sets how many hosts of a group are deployed \
             together",
        ),
        (
            "run --serial 5",
            "hoist run: unknown flag --serial: --group-size SIZES sets how many hosts of a group run the command \
             together",
        ),
        (
            "deploy --rollback",
            "hoist deploy: unknown flag --rollback: `hoist rollback` returns to the previous revision",
        ),
        (
            "deploy --skip-checks",
            "hoist deploy: unknown flag --skip-checks: -D perform_checks=no deploys without checks",
        ),
        ("run --forks 5", "hoist run: unknown flag --forks: --batch NUMBER sets the number of hosts at once"),
        (
            "plan v1.2",
            "hoist plan: unexpected argument \"v1.2\"; give a revision with -r, hosts with -l, groups with -g",
        ),
        ("version 2", "hoist version: unexpected argument \"2\""),
        ("unlock --limit web01", "hoist unlock: unknown flag --limit"),
        // Scap and git
        ("deploy-log", "hoist: unknown command \"deploy-log\": `hoist log` shows the log of a deployment"),
        ("deploy --branch main", "hoist deploy: unknown flag --branch: -r REVISION takes any branch, tag or commit"),
    ];
    answers(&project, &others);
    // Ansible's flag is the beginning of the one here.
    project.run(&["plan", "--limit", "web01"]).ends(0).says("group canary: 1 host");
}

#[test]
fn a_slip_of_the_finger_is_answered_with_what_was_meant() {
    let project = project();
    for (words, unknown, meant) in [
        ("depoly", "hoist: unknown command \"depoly\"", "deploy"),
        ("hlep", "hoist: unknown command \"hlep\"", "help"),
        ("help stauts", "hoist: unknown command \"stauts\"", "status"),
        ("deploy --dry-rnu", "hoist deploy: unknown flag --dry-rnu", "--dry-run"),
        ("plan -g canry", "hoist plan: unknown group \"canry\"", "canary"),
        ("plan -l @defualt", "hoist plan: unknown group \"defualt\"", "default"),
        ("plan -l wbe01", "hoist plan: wbe01 matches none of the 4 targets", "web01"),
        ("plan -l canarry", "hoist plan: canarry matches none of the 4 targets", "canary"),
        ("plan -s fetch,promot", "hoist plan: --stages: unknown stage \"promot\"", "promote"),
        ("config bacth_size", "hoist config: unknown key \"bacth_size\"", "batch_size"),
    ] {
        assert_eq!(told(&project, words), format!("{unknown}: did you mean {meant:?}?"), "{words}");
    }
    let far = [
        ("plan -g nosuch", "hoist plan: unknown group \"nosuch\"; the groups are canary, default"),
        ("config xyzzy", "hoist config: unknown key \"xyzzy\"; `hoist config` shows all keys"),
        ("gates nosuch", "hoist gates: unknown gate \"nosuch\"; there are no gates"),
        ("hooks nosuch", "hoist hooks: unknown hook \"nosuch\"; there are no hooks"),
        ("--version --format yaml", "hoist: --format: unknown format \"yaml\"; the formats are text, json"),
        ("plan --format yaml", "hoist plan: --format: unknown format \"yaml\"; the formats are text, json"),
    ];
    answers(&project, &far);
    let line = told(&project, "plan -e prodution");
    assert!(line.ends_with("has no directory hoist/environments/prodution: did you mean \"production\"?"), "{line}");
    project.run(&["plan", "-D", "bacth_size=3"]).ends(0).says("did you mean \"batch_size\"?");
}

#[test]
fn flags_that_contradict_or_lack_something_are_answered_with_what_is_wrong() {
    let project = project();
    let wrong = [
        ("plan -l db1 -g canary", "hoist plan: db1 in canary matches none of the 4 targets"),
        ("status db1 -g canary", "hoist status: db1 in canary matches none of the 4 targets"),
        ("unlock web01 --all", "hoist unlock: hosts and --all cannot be combined"),
        ("unlock", "hoist unlock: name hosts, or use --all"),
        ("log -n -3", "hoist log: --lines: \"-3\" is not a valid number: write a whole number of at least 0"),
        ("plan -r v1.2 --rev hotfix", "hoist plan: --rev is given twice"),
        ("deploy -y --junit=", "hoist deploy: --junit: the name of the file is missing"),
        ("plan --config=", "hoist plan: --config: the name of the file is missing"),
        ("deploy -i -s fetch", "hoist deploy: --stages and --init cannot be combined"),
        (
            "rollback --list --at-once",
            "hoist rollback: --list cannot be combined with a revision, --dry-run or --at-once",
        ),
        ("run --batch 257 -- true", "hoist run: --batch: 257 is too many: at most 256 hosts are reached at once"),
    ];
    answers(&project, &wrong);
    let global = |file: &str| Ran::of(project.hoist(&["hosts"]).env("HOIST_GLOBAL_CONFIG", file).output().unwrap());
    global("/nosuch.cfg").ends(2).says("HOIST_GLOBAL_CONFIG: cannot read /nosuch.cfg: No such file");
    global("").ends(0).says("web01");
}

#[test]
fn a_definition_of_an_unknown_key_is_warned_of_by_every_command() {
    let project = project();
    for words in [
        "hosts",
        "plan",
        "config batch_size",
        "check-config",
        "status --offline",
        "history",
        "history web01",
        "history --timings",
        "stats",
        "report --format trace",
        "gates",
        "gates --backtest",
        "hooks",
        "log",
        "lock --end",
        "deploy --init",
        "rollback --dry-run",
        "reconcile --dry-run",
    ] {
        let words: Vec<&str> = words.split(' ').chain(["-D", "failure_limt:2"]).collect();
        let ran = project.run(&words);
        let told = format!("{}{}", ran.out, ran.err);
        let warning = "unknown key \"failure_limt\" is ignored: did you mean \"failure_limit\"?";
        assert_eq!(told.matches(warning).count(), 1, "{words:?}: {told}");
    }
}

#[test]
fn a_word_that_is_a_revision_is_refused_as_a_message_and_both_ways_out_are_shown() {
    let project = project();
    for word in ["hotfix", "v1.2", "HEAD~0", &project.git(&["rev-parse", "HEAD"])[..8]] {
        let ran = project.run(&["deploy", "--yes", word]).ends(2);
        assert_eq!(
            ran.err.lines().next().unwrap(),
            format!(
                "hoist deploy: {word:?} is the name of a revision, but this argument is the message: to deploy it, \
                 run `hoist deploy -r {word}`; if it is the message, run `hoist deploy -m {word}`"
            )
        );
    }
    // With a revision, as a message by name, or with more words it is a message.
    for words in [&["-r", "HEAD", "hotfix"][..], &["-m", "hotfix"], &["hotfix", "again"], &["nothing"]] {
        let ran = project.run(&[&["deploy", "--dry-run", "-D", "ssh_config=none"], words].concat());
        assert!(!ran.err.contains("is the name of"), "{ran:?}");
    }
    project.run(&["deploy", "-m", "one", "two"]).ends(2).says("the message is given twice");
}

#[test]
fn a_word_that_is_a_group_a_host_or_an_environment_is_refused_as_a_message_and_as_a_revision() {
    let project = project();
    let groups = ["canary", "default"].map(|group| (group, "-g", "a group"));
    let hosts = ["web02", "root@db1:2222"].map(|host| (host, "-l", "a host"));
    let environments = ["production"].map(|environment| (environment, "-e", "an environment"));
    for (word, flag, what) in groups.into_iter().chain(hosts).chain(environments) {
        let message = format!(
            "hoist deploy: {word:?} is the name of {what}, but this argument is the message: to \
                               deploy there, run "
        );
        let line = told(&project, &format!("deploy --yes {word}"));
        let ways = format!("`hoist deploy {flag} {word}`; if it is the message, run `hoist deploy -m {word}`");
        assert_eq!(line, message.clone() + &ways);
        let line = told(&project, &format!("deploy --yes -r v1.2 {word}"));
        let ways =
            format!("`hoist deploy -r v1.2 {flag} {word}`; if it is the message, run `hoist deploy -r v1.2 -m {word}`");
        assert_eq!(line, message + &ways);
        let line = told(&project, &format!("rollback --yes {word}"));
        let back = format!("this argument is the revision: to go back there, run `hoist rollback {flag} {word}`");
        assert_eq!(line, format!("hoist rollback: {word:?} is the name of {what}, but {back}"));
    }
    // What is named so can be typed so.
    project.run(&["hosts", "--names", "-l", "root@db1:2222"]).ends(0).says("db1");
    project.run(&["status", "--offline", "root@db1:2222"]).ends(1).says("root@db1:2222");
    let ran = project.run(&["deploy", "--dry-run", "-D", "ssh_config=none", "-m", "canary"]);
    assert!(!ran.err.contains("is the name of"), "{ran:?}");
}

#[test]
fn a_command_that_a_message_names_has_the_flags_of_the_one_that_it_answers() {
    let project = project();
    let folder = project.path("");
    let folder = folder.to_str().unwrap().trim_end_matches('/');
    let flags = format!("-C {folder} -e production -D batch_size:3");
    let elsewhere = |words: &str| {
        let mut command = project.hoist(&words.split(' ').collect::<Vec<_>>());
        Ran::of(command.current_dir("/").output().unwrap())
    };
    for (words, named) in [
        (format!("deploy --yes {flags} hotfix"), format!("`hoist deploy {flags} -r hotfix`")),
        (format!("deploy --init {flags}"), format!("`hoist plan {flags}`")),
        (format!("config {flags} nosuchthing"), format!("`hoist config {flags}`")),
        (format!("reconcile --yes {flags}"), format!("`hoist deploy {flags}`")),
        (
            format!("deploy --yes {flags} production"),
            format!("`hoist deploy -C {folder} -D batch_size:3 -e production`"),
        ),
        (format!("-C {folder}/.. status -C nosuch"), "\"nosuch\"".into()),
    ] {
        elsewhere(&words).says(&named);
    }
    std::fs::rename(project.path("hoist"), project.path("gone")).unwrap();
    elsewhere(&format!("plan {flags}")).ends(2).says(&format!("`hoist init -C {folder}` writes a first one"));
    std::fs::rename(project.path("gone"), project.path("hoist")).unwrap();
    elsewhere(&format!("init -C {folder}")).ends(2).says(&format!("`hoist check-config -C {folder}`"));
}

#[test]
fn groups_are_chosen_by_flag_or_by_name_and_a_host_of_the_same_name_wins() {
    let project = project();
    let hosts = |words: &[&str]| {
        project.run(&[&["hosts", "--names"], words].concat()).ends(0).out.lines().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(hosts(&["-g", "canary"]), "web01");
    assert_eq!(hosts(&["--groups=default,canary"]), "web01 web02 web03 db1");
    assert_eq!(hosts(&["-l", "canary"]), "web01");
    assert_eq!(hosts(&["-l", "@canary,db1"]), "web01 db1");
    assert_eq!(hosts(&["-l", "!default"]), "web01");
    assert_eq!(hosts(&["-g", "default", "-l", "web*"]), "web02 web03");
    project.run(&["deploy", "-g", "canary", "--init"]).ends(0).says("1 targets in 1 groups");
    project.run(&["plan", "-g", "default"]).ends(0).says("group default: 3 hosts");
    project.run(&["reconcile", "-g", "nosuch"]).ends(2).says("unknown group \"nosuch\"");
    project.run(&["rollback", "--yes", "-g", "nosuch"]).ends(2).says("unknown group \"nosuch\"");
    project.run(&["status", "--offline", "canary"]).says("web01").ends(1);
    project.run(&["status", "--offline", "db1", "canary"]).says("canary").says("db1").ends(1);
    project.run(&["status", "web01", "-l", "web02"]).ends(2).says("hosts are given twice");
    project.write("hoist/targets", "web02\ncanary\n");
    let ran = project.run(&["hosts", "--names", "-l", "canary"]).ends(0);
    assert_eq!(ran.out, "canary\n");
    assert!(ran.err.contains("canary is the name of a host and of a group: the host is meant; @canary"), "{}", ran.err);
    assert_eq!(hosts(&["-l", "@canary"]), "web01");
}

#[test]
fn the_folder_the_format_and_the_help_may_be_asked_for_before_and_behind_the_command() {
    let project = project();
    let there = project.path("");
    let elsewhere = |words: &[&str]| {
        let mut command = project.hoist(words);
        Ran::of(command.current_dir("/").output().unwrap())
    };
    let there = there.to_str().unwrap();
    for words in [&["-C", there, "hosts"][..], &["hosts", "-C", there], &["-C", "/", "-C", there, "hosts"]] {
        elsewhere(words).ends(0).says("canary (1 host)");
    }
    elsewhere(&["-C", there, "plan", "-C", "hoist", "-c", "hoist.cfg"]).ends(0).says("group canary: 1 host");
    elsewhere(&["hosts"]).ends(2).says("not a git repository");
    elsewhere(&["-C", "/nosuch", "hosts"]).ends(2).says("cannot change to \"/nosuch\"");
    elsewhere(&["-C"]).ends(2).says("-C needs a value");
    // What most commands have may stand ahead of the command as well.
    let json = elsewhere(&["--json", "-D", "batch_size:3", "-C", there, "hosts"]).ends(0);
    assert!(serde_json::from_str::<serde_json::Value>(&json.out).is_ok(), "{json:?}");
    elsewhere(&["-C", there, "-D", "batch_size:3", "config", "batch_size"]).ends(0).says("3");
    elsewhere(&["-C", there, "--environment=nosuch", "plan"]).ends(2).says("nosuch");
    elsewhere(&["--json", "-v", "version"]).ends(2).says("hoist version: unknown flag -v");
    // The command that a word is meant for has them as well.
    let environment = ["-C", there, "-c", "my hoist.cfg", "--define=batch_size:3", "-v", "production", "deploy"];
    let deploy = format!("`hoist deploy -C {there} -c 'my hoist.cfg' -e production -D batch_size:3`");
    elsewhere(&environment).ends(2).says(&deploy);
    elsewhere(&["--rev", "x", "plan"]).ends(2).says("unknown flag \"--rev\" before the command");
    elsewhere(&["-D"]).ends(2).says("a command is missing");
    for command in ["hosts", "plan", "history", "check-config"] {
        let json = project.run(&[command, "--json"]).ends(0).out;
        assert_eq!(json, project.run(&[command, "--format", "json"]).ends(0).out);
        assert!(serde_json::from_str::<serde_json::Value>(&json).unwrap().is_object(), "{json}");
    }
    let whole = project.run(&["--help"]).ends(0).out;
    for words in [&["help"][..], &["-h"], &["help", "--help"], &["help", "help"]] {
        assert_eq!(project.run(words).ends(0).out, whole);
    }
    let plan = project.run(&["plan", "--help"]).ends(0).out;
    for words in [&["help", "plan"][..], &["plan", "-h"]] {
        assert_eq!(project.run(words).ends(0).out, plan);
    }
}

#[test]
fn one_key_prints_its_value_alone() {
    let project = project();
    let value = |words: &[&str]| project.run(&[&["config"], words].concat()).ends(0).out;
    assert_eq!(value(&["ssh_user"]), "deploy\n");
    assert_eq!(value(&["SSH_USER"]), "deploy\n");
    assert_eq!(value(&["batch_size"]), "80\n");
    assert_eq!(value(&["batch_size", "-e", "production"]), "7\n");
    assert_eq!(value(&["batch_size", "-D", "batch_size=9"]), "9\n");
    assert_eq!(value(&["canary_failure_limit", "-D", "failure_limit=10%"]), "10%\n");
    assert_eq!(value(&["ssh_user", "--json"]).matches('{').count(), 1);
    let ran = project.run(&["config", "identity_file"]).ends(1);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", "hoist config: identity_file is not set\n"));
    assert!(value(&["identity_file", "--json"]).contains(r#""value":null"#));
    // A value may be any word.
    assert_eq!(value(&["service_name", "-D", "service_name:unset"]), "unset\n");
    assert!(value(&["service_name", "-D", "service_name:unset", "--json"]).contains(r#""value":"unset""#));
    // There is no such group, so nothing applies to it.
    let slip = project.run(&["config", "canry_failure_limit"]).ends(2);
    slip.says("unknown key \"canry_failure_limit\": did you mean \"canary_failure_limit\"?");
    project.run(&["config", "other_soak_time"]).ends(2).says("unknown key \"other_soak_time\"");
}

#[test]
fn hosts_are_shown_by_group_with_user_and_port_where_they_are_set() {
    let project = project();
    let ran = project.run(&["hosts"]).ends(0);
    let lines =
        "canary (1 host)\n  web01  user deploy\ndefault (3 hosts)\n  web02  user deploy\n  web03  user deploy\n";
    assert_eq!(ran.out, format!("{lines}  db1    user root  port 2222\n"));
    let json: serde_json::Value = serde_json::from_str(&project.run(&["hosts", "--json"]).ends(0).out).unwrap();
    Answer::named("hosts").holds(&json);
    let db1 = serde_json::json!({
        "host": "db1", "address": null, "user": "root", "port": 2222, "labels": {}, "groups": [],
    });
    assert_eq!(json["groups"][1]["hosts"][2], db1);
}

#[test]
fn the_version_names_the_commit_that_was_built() {
    let said = Ran::of(Command::new(HOIST).arg("--version").output().unwrap()).ends(0).out;
    let git = |words: &[&str]| {
        let output = Command::new("git").args(words).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    // A source archive is no checkout: tests/install has what a build of one says.
    if git(&["rev-parse", "--show-toplevel"]) == env!("CARGO_MANIFEST_DIR") {
        let commit = git(&["rev-parse", "--short=12", "HEAD"]);
        let clean = git(&["status", "--porcelain", "--", "src", "Cargo.toml", "Cargo.lock", "build.rs"]).is_empty();
        let mark = if clean { "" } else { "-dirty" };
        assert_eq!(said, format!("hoist {} ({commit}{mark})\n", env!("CARGO_PKG_VERSION")));
    }
    let says = |words: &[&str]| Ran::of(Command::new(HOIST).args(words).output().unwrap()).ends(0).out;
    assert_eq!((says(&["plan", "-V"]), says(&["version"])), (said.clone(), said.clone()));
    let spellings: [&[&str]; 7] = [
        &["version", "--json"],
        &["--json", "version"],
        &["version", "--format=json"],
        &["--version", "--json"],
        &["--json", "-V"],
        &["--version", "--format", "json"],
        &["plan", "--version", "--json"],
    ];
    for words in spellings {
        let json: serde_json::Value = serde_json::from_str(&says(words)).unwrap();
        Answer::named("version").holds(&json);
        let commit = json["commit"].as_str().map(|commit| format!(" ({commit})")).unwrap_or_default();
        assert_eq!(said, format!("hoist {}{commit}\n", json["version"].as_str().unwrap()), "{words:?}");
    }
}

#[test]
fn a_first_configuration_comes_from_flags_and_nothing_is_overwritten() {
    let project = Project::empty();
    let init = ["init", "--hosts", "web[01:03]", "--canaries", "web01", "--repo", "web/page", "--user", "deploy"];
    let ran = project.run(&[&init[..], &["--service", "page", "--check", "curl -f 'localhost: 80'"]].concat()).ends(0);
    let next = "next:\n  git add hoist && git commit -m 'Configure Hoist'\n  hoist plan\n";
    let files = "hoist/hoist.cfg, hoist/targets, hoist/canary, hoist/checks.yaml";
    assert_eq!(ran.out, format!("written: {files}\n{next}"));
    project.run(&["check-config"]).ends(0);
    project.commit("configured");
    project.run(&["plan"]).ends(0).says("group canary: 1 host").says("group default: 2 hosts").says("web/page");
    let before = std::fs::read(project.path("hoist/hoist.cfg")).unwrap();
    project.run(&init).ends(2).says("hoist/hoist.cfg already exists");
    assert_eq!(std::fs::read(project.path("hoist/hoist.cfg")).unwrap(), before);
}

#[test]
fn a_first_configuration_with_a_mistake_leaves_nothing_behind() {
    for (arguments, says) in [
        (&["--hosts", "web[3:1]"][..], "backwards"),
        (&["--hosts", "web1", "--canaries", "web1"], "every host is a canary"),
        (&["--hosts", " "], "no hosts are given"),
        (&["--hosts", "web1", "--repo", "../x"], "git_repo"),
        (&["--hosts", "web1", "--repo", "a\nssh_user: b"], "control character"),
        (&["--hosts", "web1", "--user", "a b"], "ssh_user"),
        (&["--hosts", "web1", "--service", "a/b"], "service_name"),
        (&[], "standard input is not a terminal"),
    ] {
        let project = Project::empty();
        let ran = project.run(&[&["init"], arguments].concat()).ends(2).says(says);
        assert!(!project.path("hoist").exists(), "{ran:?}");
    }
    let project = Project::empty();
    project.write("hoist/targets", "mine\n");
    project.run(&["init", "--hosts", "web1"]).ends(2).says("hoist/targets already exists");
    assert_eq!(std::fs::read_dir(project.path("hoist")).unwrap().count(), 1);
    project.write("scap/scap.cfg", "[global]\n");
    project.run(&["init", "--hosts", "web1"]).ends(2).says("scap/scap.cfg already exists");
}

#[test]
fn a_first_configuration_comes_from_answers_at_a_terminal() {
    let project = Project::empty();
    let mut terminal = Terminal::run(project.hoist(&["init"]));
    for (question, answer) in [
        ("Name of the repository on the hosts [", "page"),
        ("Hosts to deploy to", "web[9:1]"),
        ("backwards", "web1 web2"),
        ("deploy to first (canaries) [none]:", ""),
        ("User to log in as [same as ssh]:", ""),
        ("Service to restart after a revision goes live [none]:", "page"),
        ("Command that checks the service on a host [none]:", "systemctl is-active page"),
    ] {
        terminal.wait_for(question);
        terminal.master.as_mut().unwrap().write_all(format!("{answer}\n").as_bytes()).unwrap();
    }
    terminal.wait_for("hoist plan");
    assert!(terminal.child.wait().unwrap().success());
    assert_eq!(std::fs::read_to_string(project.path("hoist/targets")).unwrap(), "# One host per line.\nweb1\nweb2\n");
    project.run(&["config", "service_name"]).ends(0).says("page");
    project.run(&["check-config"]).ends(0);
}

/// What `hoist complete` proposes for the words, the last of them unfinished.
fn proposed(project: &Project, line: &str) -> Vec<String> {
    let words: Vec<&str> = ["complete"].into_iter().chain(line.split(' ')).collect();
    let ran = project.run(&words).ends(0);
    assert_eq!(ran.err, "", "{line}");
    ran.out.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

#[test]
fn completion_knows_commands_flags_hosts_groups_revisions_stages_environments_and_keys() {
    let project = project();
    project.git(&["branch", "$(touch${IFS}pwned)"]);
    for (line, expected) in [
        ("depl", "deploy"),
        ("help sta", "status stats"),
        ("deploy --dr", "--dry-run"),
        ("deploy -l web0", "web01 web02 web03"),
        ("deploy -l web01,can", "web01,canary"),
        ("deploy --limit-hosts=d", "--limit-hosts=db1 --limit-hosts=default"),
        ("plan -g ", "canary default"),
        ("plan -vr hot", "hotfix"),
        ("deploy -r v", "v1.2"),
        ("deploy -s fetch,pro", "fetch,promote"),
        ("deploy -e ", "production"),
        ("plan -D batch_s", "batch_size="),
        ("config ssh_us", "ssh_user"),
        ("plan --format ", "text json"),
        ("history --host d", "db1"),
        ("history web0", "web01 web02 web03"),
        ("history can", ""),
        ("history --result ok,under", "ok,under-way"),
        ("status ca", "canary"),
        ("unlock db", "db1"),
        ("completion f", "fish"),
        ("run make -", ""),
        ("nosuch ", ""),
    ] {
        assert_eq!(proposed(&project, line).join(" "), expected, "{line}");
    }
    assert!(!proposed(&project, "deploy -r ").iter().any(|name| name.contains('$')), "a shell would run it");
    // Where there is nothing to know, nothing is said.
    let nowhere = Project::empty();
    for line in ["deploy -l ", "deploy -r ", "config nosuch", "plan -e ", "-C /nosuch status "] {
        assert_eq!(proposed(&nowhere, line), [""; 0], "{line}");
    }
    let there = project.path("");
    assert_eq!(proposed(&nowhere, &format!("-C {} status web0", there.display())), ["web01", "web02", "web03"]);
}

/// What a shell says to a script in the repository, with the program on its path.
fn shell(project: &Project, shell: &[&str], script: &str) -> String {
    let folder = std::path::Path::new(HOIST).parent().unwrap();
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).current_dir(project.path("")).env("HOME", project.path(".git"));
    command.env("PATH", format!("{}:{}", folder.display(), std::env::var("PATH").unwrap()));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}; run make deps", shell[0]));
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let ran = Ran::of(child.wait_with_output().unwrap()).ends(0);
    assert_eq!(ran.err, "");
    ran.out
}

#[test]
fn bash_asks_the_program_and_cuts_what_it_has_typed_already() {
    let project = project();
    let complete = |line: &str| {
        let script = format!(
            "source <(hoist completion bash)\nCOMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}\n_hoist hoist\n\
             printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        shell(&project, &["bash"], &script).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete("hoist depl"), ["deploy"]);
    assert_eq!(complete("hoist status web0"), ["web01", "web02", "web03"]);
    assert_eq!(complete("sudo -u x hoist plan --groups=can"), ["canary"]);
    assert_eq!(complete("hoist deploy -e "), ["production"]);
}

#[test]
fn fish_asks_the_program() {
    let project = project();
    let script = "hoist completion fish | source\ncomplete -C 'hoist plan -g ca'\ncomplete -C 'hoist stat'\n";
    let said = shell(&project, &["fish", "--no-config"], script);
    let words: Vec<&str> = said.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(words, ["canary", "stats", "status"]);
}

#[test]
fn zsh_asks_the_program() {
    let project = project();
    // The completion system is for a terminal: what the function would add is shown in place of that.
    let script = "compdef() { }\nsource <(hoist completion zsh)\n\
                  compadd() { while [[ $1 != -a ]]; do shift; done; print -l -- ${(P)2}; }\n_files() { print files; }\n\
                  words=(hoist plan -g ca) CURRENT=4; _hoist\nwords=(hoist plan -D ssh_us) CURRENT=4; _hoist\n\
                  words=(hoist plan -c '') CURRENT=4; _hoist\n";
    assert_eq!(shell(&project, &["zsh", "-f"], script), "canary\nssh_user=\nfiles\n");
}

#[test]
fn completion_of_a_rollback_offers_what_was_deployed_with_its_subject() {
    let (_farm, project, one) = Project::deployed(0, 1);
    project.write("index.html", "two\n");
    let two = project.commit("Second\tpage");
    project.deploy(&[]).ends(0);
    for line in ["rollback ", "rollback --to "] {
        let short = [&two[..10], &one[..10]];
        assert_eq!(proposed(&project, line)[..2], short, "{line}");
    }
    let said = project.run(&["complete", "rollback", &two[..4]]).ends(0).out;
    assert_eq!(said, format!("{}\tSecond page\n", &two[..10]));
}
