//! `hoist history` and `hoist stats`: what journals and tags tell of past runs.

mod common;
#[path = "common/schema.rs"]
mod schema;

use std::time::{Duration, Instant};

use common::terminal::Terminal;
use common::{Farm, Project, WAITS, address, go, hold, kill_at_check};
use schema::Answer;
use serde_json::Value;

/// The object that a command answers with, as the schema has it.
#[track_caller]
fn json(project: &Project, answer: &'static str, words: &[&str]) -> Value {
    let said = project.run(&[words, &["--json"]].concat()).ends(0).out;
    let value = serde_json::from_str(&said).unwrap();
    Answer::named(answer).holds(&value);
    value
}

/// The deployments that `hoist history` shows with these flags, each with its result.
#[track_caller]
fn results(project: &Project, flags: &[&str]) -> Vec<String> {
    let shown = json(project, "history", &[&["history"], flags].concat());
    let deployments = shown["deployments"].as_array().unwrap();
    let word = |it: &Value| format!("{} {}", it["message"].as_str().unwrap(), it["result"].as_str().unwrap());
    deployments.iter().map(|it| word(it).trim().to_owned()).collect()
}

#[test]
fn every_run_is_told_with_its_end_and_what_failed_and_can_be_looked_for() {
    let farm = Farm::up();
    let project = Project::new(&farm, 1, 2);
    project.run(&["history"]).ends(0).says("no deployments yet");
    project
        .run(&["history", "nosuch"])
        .ends(2)
        .says("unknown host \"nosuch\": no journal on this deploy host names it");
    let one = project.commit("one");
    project.deploy(&["first page"]).ends(0);
    project
        .run(&["history", "--timings"])
        .ends(2)
        .says("did not measure where the time went: --timings has a run do so");
    project.run(&["history", "--timings", "19990101"]).ends(2).says("hoist history");
    project.check("well", "promote", "test ! -e /srv/bad || { echo out of luck; exit 3; }");
    std::fs::write(farm.srv(&address(2)).join("bad"), "").unwrap();
    let two = project.commit("two");
    project.deploy(&["a bad page"]).ends(1);
    project.commit_again();
    project.write("hoist/gates.yaml", "gates: {errors: {when: before, command: 'sh -c \"echo 0.3; exit 1\"'}}\n");
    project.hoist(&["deploy", "--yes", "gated"]).env("USER", "eve").output().unwrap();
    std::fs::remove_file(project.path("hoist/gates.yaml")).unwrap();
    std::fs::remove_file(farm.srv(&address(2)).join("bad")).unwrap();
    project.check("wait", "promote", WAITS);
    let three = project.commit("three");
    kill_at_check(&farm, &project, &["deploy", "--yes", "--timings", "killed"], 3);
    assert_eq!(results(&project, &["-n", "1"]), ["killed unfinished"]);
    // It has shown none of it itself, but the journal has what each step took.
    let timings = json(&project, "history_timings", &["history", "--timings"]);
    let run = timings["run"].as_str().unwrap().to_owned();
    let of_group = |timings: &Value, at: usize| timings["groups"][at]["hosts"].as_u64();
    assert_eq!((of_group(&timings, 0), of_group(&timings, 1)), (Some(1), Some(2)), "{timings}");
    project.run(&["history", "--timings", &run, "-n", "1"]).ends(2).says("--timings is of one run");
    hold(&farm, 3);
    go(&farm, 3);
    let resumed = project.run(&["resume", "--yes", "--timings"]).ends(0).out;
    project.run(&["rollback", "--yes", &one]).ends(0);
    let told = project.run(&["history", "--timings", &run[..run.len() - 1]]).ends(0).out;
    assert!(told.lines().count() > 10, "{told}");
    assert!(told.lines().all(|line| resumed.contains(line.trim())), "{told}\nand\n{resumed}");

    let all = [
        "rolled back to",
        "killed deployed",
        "gated failed, nothing touched",
        "a bad page failed, rolled back",
        "first page deployed",
    ];
    assert_eq!(results(&project, &[]), all);
    let shown = json(&project, "history", &["history"]);
    let of = |at: usize| &shown["deployments"][at];
    let groups = serde_json::json!([{"name": "canary", "hosts": 1}, {"name": "default", "hosts": 2}]);
    assert_eq!((&of(3)["groups"], &of(3)["status"], &of(3)["revision"]), (&groups, &1.into(), &two.as_str().into()));
    let failed = of(3)["failed"].as_array().unwrap();
    assert_eq!((failed.len(), &failed[0]["step"]), (1, &"promote".into()), "{failed:?}");
    assert_eq!(failed[0]["hosts"], serde_json::json!([address(2)]), "{failed:?}");
    assert!(failed[0]["reason"].as_str().unwrap().contains("out of luck"), "{failed:?}");
    assert!(of(3)["seconds"].as_f64().unwrap() > 0.0 && of(3)["ended"].as_str() > of(3)["when"].as_str());
    assert!(of(2)["gate"].as_str().unwrap().starts_with("gate errors failed: "), "{}", of(2));
    // A run and its tag are told once.
    for at in [0, 1, 3, 4] {
        assert!(of(at)["tag"].as_str().is_some_and(|tag| tag.starts_with("hoist/sync/")), "{}", of(at));
    }
    let text = project.run(&["history"]).ends(0).out;
    assert!(text.lines().next().unwrap().ends_with("message"), "{text}");
    let bad = text.lines().find(|line| line.contains("a bad page")).unwrap();
    assert!(bad.contains("canary,default") && bad.contains(&format!("failed: {} (promote: ", address(2))), "{bad}");

    // What is looked for.
    assert_eq!(results(&project, &["-n", "2"]), all[..2]);
    assert_eq!(results(&project, &["--result", "ok"]), [all[0], all[1], all[4]]);
    assert_eq!(results(&project, &["--result", "failed"]), all[2..4]);
    assert_eq!(results(&project, &["--result", "failed, rolled back"]), [all[3]]);
    assert_eq!(results(&project, &["--result", "failed-rolled-back,rolled-back-to"]), [all[0], all[3]]);
    assert_eq!(results(&project, &["--operator", "eve"]), [all[2]]);
    assert_eq!(results(&project, &["--operator", "op@*", "--result", "deployed"]), [all[1], all[4]]);
    assert_eq!(results(&project, &["--since", "1d"]), all);
    assert_eq!(results(&project, &["--until", "1d"]), [""; 0]);
    let begin = of(2)["when"].as_str().unwrap();
    assert_eq!(results(&project, &["--since", begin]), all[..3]);
    assert_eq!(results(&project, &["--until", begin]), all[3..]);
    assert_eq!(results(&project, &["--host", &address(1)]).len(), 5);
    project.run(&["history", "--until", "1d"]).ends(0).says("no deployment matches");
    for (flags, why) in [
        (["--since", "soon"], "--since: \"soon\" is no time: write an age such as 2d"),
        (["--result", "deplyed"], "--result: unknown result \"deplyed\": did you mean \"deployed\"?"),
        (["--result", "good"], "the results are ok, deployed, rolled-back-to"),
        (["--host", "web*"], "unknown host \"web*\": no journal"),
        (["-n", "0"], "--number"),
    ] {
        project.run(&[&["history"][..], &flags].concat()).ends(2).says(why);
    }
    project.run(&["history", "--since", "1d", "--until", "2d"]).ends(2).says("--until is not after --since");
    project.run(&["history", "web1", "-n", "2"]).ends(2).says("`--host web1` shows the deployments of a host");

    // What a host ran, since when.
    let stays = |host: &str| -> Vec<(String, String)> {
        let shown = json(&project, "host_history", &["history", host]);
        assert!(shown["hosts"][0]["last_seen"].is_string() && shown["hosts"].as_array().unwrap().len() == 1, "{shown}");
        let stays = shown["hosts"][0]["revisions"].as_array().unwrap();
        stays
            .iter()
            .map(|it| (it["how"].as_str().unwrap().into(), it["revision"].as_str().unwrap_or("").into()))
            .collect()
    };
    let stay = |how: &str, revision: &str| (how.to_owned(), revision.to_owned());
    let since_first = [stay("deployed", &one), stay("found", "")];
    let both = [stay("rolled back to", &one), stay("deployed", &three)];
    let canary = [stay("rolled back", &one), stay("deployed", &two)];
    assert_eq!(stays(&address(0)), [&both[..], &canary, &since_first].concat());
    assert_eq!(stays(&address(2)), [&both[..], &canary, &since_first].concat());
    // Somebody changes it by hand: it is found, and not told to be a run's doing.
    let cache = farm.srv(&address(0)).join(common::CACHE);
    std::fs::remove_file(cache.join("current")).unwrap();
    std::os::unix::fs::symlink(format!("revs/{three}"), cache.join("current")).unwrap();
    project.run(&["status"]);
    assert_eq!(stays(&address(0))[..2], [stay("found", &three), stay("rolled back to", &one)]);
    let text = project.run(&["history", &address(0)]).ends(0).out;
    assert!(text.lines().nth(2).unwrap().starts_with("before 20"), "{text}");

    // The figures of these runs: three deployments, of which one failed and one was undone.
    let stats = json(&project, "stats", &["stats"]);
    assert_eq!(
        (&stats["deployments"], &stats["failed"], &stats["rolled_back_later"]),
        (&3.into(), &1.into(), &1.into())
    );
    assert_eq!((&stats["per_week"], &stats["rollback_seconds"]["n"]), (&Value::Null, &2.into()), "{stats}");
    assert_eq!(stats["left_out"], serde_json::json!({"untouched": 1, "not_ended": 0, "other": 0}));
    // What was found out after the deployer's death has no time.
    let promote = stats["stages"].as_array().unwrap().iter().find(|it| it["stage"] == "promote").unwrap();
    assert!(promote["seconds"]["n"].as_u64().is_some_and(|n| (8..=9).contains(&n)), "{stats}");
    assert_eq!(stats["hosts"].as_array().unwrap().len(), 3, "{stats}");
    let text = project.run(&["stats"]).ends(0).out;
    for said in [
        "3 deployments from ",
        "no rate: ",
        "failed or rolled back: 2 of 3 (67%; 1 of them by hoist rollback)",
        "(2 rollbacks)",
        "no good deployment yet after the failure of ",
        "not counted: 1 run that ended before any host was touched",
    ] {
        assert!(text.contains(said), "{said}:\n{text}");
    }
    project.run(&["stats", "--until", "1d"]).ends(0).says("no deployments");

    // The journals are gone: tags tell what they can.
    std::fs::remove_dir_all(project.path("hoist/state")).unwrap();
    let old = results(&project, &[]);
    assert!(
        old[0].ends_with("not recorded")
            && old[1..] == ["killed", "killed", "a bad page", "first page"].map(|it| format!("{it} not recorded")),
        "{old:?}"
    );
    assert_eq!(results(&project, &["--result", "not-recorded", "--operator", "op"]).len(), 5);
    assert_eq!(results(&project, &["--result", "ok"]), [""; 0]);
}

#[test]
fn the_time_that_a_run_took_is_without_the_questions_before_it() {
    let (_farm, project, _) = Project::deployed(0, 1);
    project.commit("two");
    project.deploy(&[]).ends(0);
    let (began, thought) = (Instant::now(), Duration::from_secs(3));
    let mut terminal = Terminal::run(project.hoist(&["rollback"]));
    terminal.wait_for("[y]es/[N]o");
    std::thread::sleep(thought);
    terminal.types("y\n");
    terminal.ends(0);
    let whole = began.elapsed();
    let shown = json(&project, "history", &["history", "-n", "1"]);
    let stats = json(&project, "stats", &["stats"]);
    for took in [&shown["deployments"][0]["seconds"], &stats["rollback_seconds"]["median"]] {
        let took = took.as_f64().unwrap();
        assert!(took > 0.0 && took <= (whole - thought).as_secs_f64(), "{took} of {whole:?}");
    }
}

#[test]
fn runs_of_all_environments_are_told_and_tags_of_runs_without_a_journal_between_them() {
    let project = Project::on_farm(0, 1);
    let (_farm, project) = project;
    project.write("hoist/environments/beta/hoist.cfg", "[global]\n");
    project.deploy(&["plain"]).ends(0);
    project.commit("two");
    project.deploy(&["-e", "beta", "to beta"]).ends(0);
    project.commit("three");
    project.deploy(&["the last"]).ends(0);
    let all = ["the last deployed", "to beta deployed", "plain deployed"];
    assert_eq!(results(&project, &[]), all);
    assert_eq!(results(&project, &["-e", "beta"]), all[1..2]);
    // Whose journal is gone is told by its tag, in its place, and of its environment.
    let journals = project.path("hoist/state");
    let of_beta = std::fs::read_dir(&journals).unwrap().map(|it| it.unwrap().path()).find(|path| {
        path.extension().is_some_and(|it| it == "journal")
            && std::fs::read_to_string(path).unwrap().contains("\"environment\":\"beta\"")
    });
    std::fs::remove_file(of_beta.unwrap()).unwrap();
    assert_eq!(results(&project, &[]), [all[0], "to beta not recorded", all[2]]);
    assert_eq!(results(&project, &["-e", "beta"]), ["to beta not recorded"]);
    let shown = json(&project, "history", &["history", "-e", "beta"]);
    let told = &shown["deployments"][0];
    assert!(told["run"].is_string() && told["groups"].is_null() && told["kind"].is_null(), "{told}");
    assert!(told["who"].as_str().unwrap().starts_with("op@"), "{told}");
    // A tag of somebody else's, as of Scap, is told as one.
    project.git(&["tag", "-a", "-m", "by hand", "hoist/sync/2026-01-01/0001", "HEAD~1"]);
    assert_eq!(results(&project, &["-n", "1"]), ["by hand not recorded"]);
}
