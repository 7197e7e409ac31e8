//! What listeners hear of deployments that succeed, are rolled back, or are asked about.

use serde_json::Value;

use crate::common::terminal::Terminal;
use crate::common::{Project, address, all_on, locked, signal};
use crate::listeners::{Manner, Web, fake_sendmail, local, tcp, udp, word};
use crate::schema::Answer;

/// Everything that a deployment announces.
const ALL: &str =
    "[started, group, gate, question, halted, rolled_back, reconciled, finished, unfinished, resumed, locked]";

/// What a command hook has written, a line of JSON for each event.
fn written(project: &Project) -> Vec<Value> {
    let text = std::fs::read_to_string(project.path(".git/told")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_kind_of_listener_hears_of_every_event_once_and_in_order() {
    let (farm, project) = Project::on_farm(1, 2);
    let folder = project.path(".git");
    let (slack, plain) = (Web::start(Manner::Well), Web::start(Manner::Well));
    let (statsd_port, statsd) = udp();
    let (syslog, journald) = (local(&folder.join("log")), local(&folder.join("journal")));
    let sendmail = fake_sendmail(&folder);
    std::fs::write(folder.join("key"), "k3y\n").unwrap();
    std::fs::write(folder.join("token"), "s3cret\n").unwrap();
    std::fs::write(folder.join("url"), slack.url()).unwrap();
    let (git, mail) = (folder.display(), sendmail.display());
    project.write(
        "hoist/hooks.yaml",
        &format!(
            "hooks:\n  plain: {{type: webhook, on: {ALL}, url: '{}', hmac_secret_file: {git}/key, header_files: \
             {{X-Token: {git}/token}}}}\n  slack:\n    type: webhook\n    on: started, finished\n    url_file: {git}/url\n    body: \
             '{{\"text\": \"{{{{ text }}}}\", \"at\": {{{{ time_ms }}}}}}'\n  script: {{on: {ALL}, shell: true, command: 'cat >> {git}/told; \
             echo \"$HOIST_EVENT $HOIST_REVISION $HOIST_RESULT\" >> {git}/variables'}}\n  canary: {{on: group, \
             group: canary, shell: true, command: 'echo $HOIST_GROUP >> {git}/canary'}}\n  metrics: {{type: statsd, on: {ALL}, \
             host: 127.0.0.1, port: {statsd_port}}}\n  log: {{type: syslog, on: {ALL}, socket: {git}/log}}\n  entries: {{type: \
             journald, on: {ALL}, socket: {git}/journal}}\n  mail: {{type: mail, on: 'halted, finished', to: \
             [ops@example.org, dev@example.org], from: hoist@example.org, sendmail: {mail}}}\n",
            plain.url()
        ),
    );
    let one = project.commit("one");
    project.run(&["check-config"]).ends(0).says("8 hooks");
    let ran = project.deploy(&["-m", "the \"first\" one"]).ends(0);
    assert!(!ran.err.contains("not told"), "{}", ran.err);
    all_on(&farm, 3, &one);
    let success = ["started", "group canary", "group default", "finished deployed"];
    assert_eq!(plain.told(), success);
    assert_eq!(written(&project).iter().map(word).collect::<Vec<_>>(), success);
    for announcement in written(&project) {
        Answer::named("announcement").holds(&announcement);
        assert_eq!((&announcement["repository"], &announcement["revision"]), (&"app".into(), &one.clone().into()));
        assert_eq!((&announcement["operator"], &announcement["message"]), (&"op".into(), &"the \"first\" one".into()));
    }
    let end = &written(&project)[3];
    assert_eq!(end["counts"], serde_json::json!({"hosts": 3, "ok": 3, "failed": 0}), "{end}");
    assert_eq!((&end["status"], &end["kind"]), (&0.into(), &"deploy".into()));
    // The signature is of just what was sent; the secrets are nowhere else.
    let request = &plain.requests()[0];
    let signed = std::process::Command::new("sh")
        .args(["-c", "printf %s \"$1\" | openssl dgst -sha256 -hmac k3y -r | cut -d' ' -f1", "-", &request.body])
        .output()
        .unwrap();
    let signature = format!("sha256={}", String::from_utf8(signed.stdout).unwrap().trim());
    assert_eq!(request.header("x-hoist-signature"), Some(signature.as_str()));
    assert_eq!((request.header("x-token"), request.header("x-hoist-event")), (Some("s3cret"), Some("started")));
    let log = project.run(&["log", "-l"]).ends(0);
    let state: String = std::fs::read_dir(project.path("hoist/state"))
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok())
        .collect();
    assert!(!(log.out + &ran.out + &ran.err + &state).contains("s3cret"));
    let bodies: Vec<Value> = slack.requests().iter().map(|request| request.json()).collect();
    assert!(bodies[0]["text"].as_str().unwrap().ends_with(&format!("deploys app {}: the \"first\" one", &one[..12])));
    assert!(bodies[1]["at"].as_u64() >= bodies[0]["at"].as_u64() && bodies.len() == 2, "{bodies:?}");
    assert_eq!(std::fs::read_to_string(folder.join("canary")).unwrap(), "canary\n");
    let variables = std::fs::read_to_string(folder.join("variables")).unwrap();
    assert!(variables.ends_with(&format!("finished {one} deployed\n")), "{variables}");
    let metrics = statsd.wait_for(6);
    assert_eq!(
        metrics[..5],
        [
            "hoist.app.started:1|c",
            "hoist.app.group:1|c",
            "hoist.app.group:1|c",
            "hoist.app.finished:1|c",
            "hoist.app.result.deployed:1|c"
        ]
    );
    assert!(metrics[5].starts_with("hoist.app.duration:") && metrics[5].ends_with("|ms"), "{metrics:?}");
    let lines = syslog.wait_for(4);
    assert!(lines[0].starts_with("<14>hoist[") && lines[0].contains("]: op@"), "{lines:?}");
    let entries = journald.wait_for(4);
    assert!(entries[3].contains("MESSAGE\n") && entries[3].contains("HOIST_EVENT\n"), "{entries:?}");
    let mails = std::fs::read_to_string(folder.join("mails")).unwrap();
    assert!(mails.starts_with(
        "ARGUMENTS -i -t\nFrom: hoist@example.org\nTo: ops@example.org, dev@example.org\nSubject: [hoist] app "
    ));

    // The second group fails: back it goes, and that is what they hear.
    project
        .write("hoist/checks.yaml", "checks: {well: {stage: promote, shell: true, command: 'test ! -e /srv/bad'}}\n");
    let two = project.commit("two");
    let bad = farm.srv(&address(1)).join("bad");
    std::fs::write(&bad, "").unwrap();
    let before = plain.told().len();
    project.deploy(&[]).ends(1);
    all_on(&farm, 3, &one);
    let back = ["started", "group canary", "halted default", "rolled_back rolled_back", "finished rolled_back"];
    assert_eq!(plain.told()[before..], back);
    let announced = plain.requests()[before..].iter().map(|request| request.json()).collect::<Vec<_>>();
    assert_eq!(announced[4]["counts"]["hosts"], 3, "{}", announced[4]);
    assert!(announced.iter().all(|it| it["revision"] == two.as_str()), "{announced:?}");
    assert!(announced[3..].iter().all(|it| it["previous_revision"] == one.as_str()), "{announced:?}");
    assert_eq!(announced[4]["status"], 1);
    let ids: std::collections::HashSet<_> =
        plain.requests().iter().map(|request| request.json()["id"].to_string()).collect();
    assert_eq!(ids.len(), plain.requests().len());

    // The reason for passing over gates is in every announcement.
    std::fs::remove_file(bad).unwrap();
    project.commit("three");
    let before = plain.requests().len();
    project.deploy(&["--break-glass", "it burns"]).ends(0);
    let announced = plain.requests()[before..].iter().map(|request| request.json()).collect::<Vec<_>>();
    assert!(announced.iter().all(|it| it["break_glass"] == "it burns"), "{announced:?}");
    assert!(
        announced.iter().all(|it| it["text"].as_str().unwrap().contains("[break glass: it burns]")),
        "{announced:?}"
    );

    // What was only fetched is not told as a deployment.
    project.commit("four");
    project.deploy(&["-s", "fetch"]).ends(0);
    assert_eq!(plain.told().last().unwrap(), "finished fetched", "{:?}", plain.told());

    // A lock is told while it stands, and so is a sample of everything.
    let before = plain.told().len();
    let mut lock = locked(project.hoist(&["lock", "let", "it", "rest"]), "is locked");
    crate::listeners::until("the word of the lock", || plain.told().len() > before);
    signal(&lock, "INT");
    assert!(lock.wait().unwrap().success());
    let of_lock = plain.requests().last().unwrap().json();
    assert_eq!((&of_lock["event"], &of_lock["reason"]), (&"locked".into(), &"let it rest".into()), "{of_lock}");

    let before = plain.told().len();
    let tried = project.run(&["hooks", "--test", "--format", "json"]).ends(0).events().remove(0);
    Answer::named("hooks").holds(&tried);
    assert!(tried["hooks"].as_array().unwrap().iter().all(|hook| !hook["samples"].as_array().unwrap().is_empty()));
    let samples = plain.requests()[before..].iter().map(|request| request.json()).collect::<Vec<_>>();
    assert_eq!(samples.len(), 11);
    assert!(
        samples.iter().all(|it| it["test"] == true && it["text"].as_str().unwrap().starts_with("TEST")),
        "{samples:?}"
    );
    std::fs::remove_file(folder.join("key")).unwrap();
    let failed = project.run(&["hooks", "--test", "plain"]).ends(1);
    assert!(failed.out.contains("failed  plain (started)") && failed.out.contains("/key"), "{}", failed.out);
    let listed = project.run(&["hooks"]).ends(0).says("slack").says("statsd");
    assert!(!listed.out.contains("/hook"), "an address may be a secret:\n{}", listed.out);
}

#[test]
fn a_repository_of_scaps_announces_as_scap_does() {
    let (_farm, project) = Project::on_farm(1, 1);
    let (irc_port, irc) = tcp();
    let ((statsd_port, statsd), (log_port, log)) = (udp(), udp());
    project.configure(&format!(
        "tcpircbot_host: 127.0.0.1\ntcpircbot_port: {irc_port}\nstatsd_host: 127.0.0.1\nstatsd_port: {statsd_port}\n\
         udp2log_host: 127.0.0.1\nudp2log_port: {log_port}"
    ));
    let one = project.commit("one");
    let short = &one[..7];
    project.deploy(&["Fix", "the", "page"]).ends(0);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let who = format!("!log op@{}", host.trim());
    let lines = irc.wait_for(2);
    assert_eq!(lines[0], format!("{who} Started deploy [app@{short}]: Fix the page"));
    let end = lines[1].strip_prefix(&format!("{who} Finished deploy [app@{short}]: Fix the page (duration: ")).unwrap();
    let time: Vec<&str> = end.strip_suffix("s)").unwrap().split("m ").collect();
    assert!(time.iter().all(|part| part.len() == 2 && part.parse::<u8>().is_ok()) && time.len() == 2, "{end}");
    let timing = statsd.wait_for(1).remove(0);
    let value = timing.strip_prefix(&format!("scap.deploy__app_{short}_:")).unwrap().strip_suffix("|ms").unwrap();
    assert!(value.parse::<u64>().is_ok(), "{timing}");
    let records = log.wait_for(2);
    let record: Value = serde_json::from_str(records[0].strip_prefix("scap ").unwrap().trim_end()).unwrap();
    assert_eq!(record["message"], format!("Started deploy [app@{short}]: Fix the page"));
    assert_eq!((&record["labels"]["channel"], &record["user"]["name"]), (&"scap.announce".into(), &"op".into()));

    // Without a message, and to nobody with --no-log-message; the others are told all the same.
    project.deploy(&["--force"]).ends(0);
    assert_eq!(irc.wait_for(4)[2], format!("{who} Started deploy [app@{short}]: (no justification provided)"));
    project.deploy(&["--force", "--no-log-message", "quietly"]).ends(0);
    project.deploy(&["--service-restart", "-D", "service_name:page", "again"]).ends(0);
    let lines = irc.wait_for(5);
    assert_eq!(lines[4], format!("{who} Started restart [app@{short}]: again"));
    assert_eq!((lines.len(), log.wait_for(7).len()), (5, 7));

    // The system's own log has the same records: here that of a deploy host whose /dev is another one.
    let dev = project.path(".git/dev");
    std::fs::create_dir(&dev).unwrap();
    let syslog = local(&dev.join("log"));
    let with_own_dev = "for file in null zero random urandom tty; do touch \"$0/$file\"; mount --bind /dev/$file \
                        \"$0/$file\"; done; mount --rbind \"$0\" /dev; exec \"$@\"";
    let mut deployer = std::process::Command::new("unshare");
    deployer.args(["-m", "sh", "-c", with_own_dev]).arg(&dev).arg(crate::common::HOIST);
    deployer
        .args(["deploy", "--yes", "--force", "-D", "use_syslog:True", "to", "syslog"])
        .current_dir(project.path(""));
    crate::common::take_environment(&mut deployer, &project.hoist(&[]));
    crate::common::Ran::of(deployer.output().unwrap()).ends(0);
    let records = syslog.wait_for(2);
    assert!(records[0].contains(&format!("Started deploy [app@{short}]: to syslog")), "{records:?}");
    assert!(records[1].contains(&format!("Finished deploy [app@{short}]: to syslog (duration: ")), "{records:?}");
    assert_eq!(log.wait_for(9)[7..].iter().filter(|record| record.contains("to syslog")).count(), 2);
}

#[test]
fn gates_questions_and_reconciled_hosts_are_announced() {
    let (farm, project) = Project::on_farm(1, 1);
    let web = Web::start(Manner::Well);
    project.write("hoist/hooks.yaml", &format!("hooks: {{web: {{type: webhook, on: {ALL}, url: '{}'}}}}\n", web.url()));
    project.write("hoist/gates.yaml", "gates: {well: {when: subgroup, command: 'true'}}\n");
    let one = project.commit("one");
    // Who is told of a question can look for the person who has to answer it.
    let mut terminal = Terminal::run(project.at_a_terminal("deploy one"));
    terminal.wait_for("Continue?");
    crate::listeners::until("the question", || web.told().len() == 4);
    let asked = ["started", "gate canary", "group canary", "question"];
    assert_eq!(web.told(), asked);
    assert!(web.requests()[3].json()["question"].as_str().unwrap().contains("canary deploy successful. Continue?"));
    assert_eq!(web.requests()[1].json()["gate"]["verdict"], "pass");
    terminal.types("y\n");
    terminal.ends(0);
    assert_eq!(web.told()[4..], ["gate default", "group default", "finished deployed"]);
    all_on(&farm, 2, &one);

    let two = project.commit("two");
    farm.set_down(&address(1), true);
    project.deploy(&["-D", "failure_limit:1"]).ends(0);
    farm.set_down(&address(1), false);
    let before = web.told().len();
    project.run(&["reconcile", "--yes"]).ends(0);
    all_on(&farm, 2, &two);
    let told = web.told()[before..].to_vec();
    assert_eq!(told, ["started", "gate default", "group default", "reconciled deployed", "finished deployed"]);
    let about = web.requests().last().unwrap().json();
    assert_eq!((&about["kind"], &about["revision"]), (&"reconcile".into(), &two.as_str().into()), "{about}");

    // A run-once step halts a deployment, whether it fails or nobody knows how it ended.
    for (command, why) in [("exit 3", "failed: exit status 3"), ("kill -9 $$", "killed by signal 9")] {
        let step = format!("steps: {{s: {{command: '{command}', on: deploy-host, when: before}}}}\n");
        project.write("hoist/steps.yaml", &step);
        project.commit(why);
        let before = web.told().len();
        assert_ne!(project.deploy(&[]).status, Some(0));
        assert_eq!(web.told()[before..][..2], ["started", "halted"]);
        let reason = web.requests()[before + 1].json()["reason"].as_str().unwrap().to_owned();
        assert!(reason.contains("step s on the deploy host") && reason.contains(why), "{reason}");
    }
}
