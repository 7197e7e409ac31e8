//! What `hoist rollback` shows and asks before it acts, on real sshd hosts.

mod common;
#[path = "common/schema.rs"]
mod schema;

use common::terminal::Terminal;
use common::{CACHE, Farm, Links, Project, address};

/// Commits a page with these words, and deploys it.
fn deploy(project: &Project, words: &str, arguments: &[&str]) -> String {
    project.write("index.html", &format!("{words}\n"));
    let revision = project.commit(words);
    project.deploy(arguments).ends(0);
    revision
}

/// A fleet of so many hosts with two revisions deployed to it.
fn with_two(farm: &Farm, canary: usize, default: usize) -> (Project, String, String) {
    let project = Project::new(farm, canary, default);
    let one = deploy(&project, "First page", &[]);
    let two = deploy(&project, "Second page", &[]);
    (project, one, two)
}

/// Deploys a third page that the second host fails a check of, and declines to go back: the fleet is mixed.
fn leave_mixed(farm: &Farm, project: &Project) -> String {
    project.write("hoist/checks.yaml", "checks:\n  bad:\n    stage: promote\n    command: test ! -e /srv/bad\n");
    std::fs::write(farm.srv(&address(1)).join("bad"), "").unwrap();
    project.write("index.html", "three\n");
    let three = project.commit("three");
    let mut declined = answered(project, &["deploy"], &[("Roll back", "n\n")]);
    declined.ends(3);
    let way = format!("`hoist deploy -r {}` goes on, `hoist rollback` goes back", &three[..10]);
    let without_blanks = |text: &str| text.split_whitespace().collect::<String>();
    assert!(without_blanks(&declined.shows()).contains(&without_blanks(&way)), "{}", declined.shows());
    three
}

/// A command at a terminal, and the answers to its questions.
fn answered(project: &Project, arguments: &[&str], answers: &[(&str, &str)]) -> Terminal {
    let mut terminal = Terminal::run(project.hoist(arguments));
    for (question, answer) in answers {
        terminal.wait_for(question);
        terminal.types(answer);
    }
    terminal
}

#[track_caller]
fn all_on(farm: &Farm, hosts: usize, revision: &str) {
    for n in 0..hosts {
        assert_eq!(Links::of(farm, n), Links::finalized(revision), "host {}", address(n));
    }
}

#[test]
fn it_shows_from_what_to_what_it_goes_and_acts_on_a_clear_yes_alone() {
    let farm = Farm::up();
    let (project, one, two) = with_two(&farm, 1, 2);
    let question = format!("Go back from {} to {} on 3 hosts? [y]es/[N]o", &two[..10], &one[..10]);
    for answer in ["\n", "n\n", "\x04"] {
        let mut terminal = Terminal::run(project.hoist(&["rollback"]));
        terminal.wait_for(&question);
        let shown = terminal.unbroken();
        assert!(shown.contains(&format!("from  {} \"Second page\", deployed by op@", &two[..10])), "{shown}");
        assert!(shown.contains(&format!("to    {} \"First page\", deployed by op@", &one[..10])), "{shown}");
        terminal.types(answer);
        terminal.ends(1);
        assert!(terminal.unbroken().contains("nothing was touched"), "{}", terminal.unbroken());
        all_on(&farm, 3, &two);
    }
    let next = "canary is done. Roll back the next group?";
    answered(&project, &["rollback"], &[(&question, "y\n"), (next, "y\n")]).ends(0);
    all_on(&farm, 3, &one);
    let mut nobody = project.hoist(&["rollback"]);
    let ran = common::Ran::of(nobody.stdin(std::process::Stdio::null()).output().unwrap());
    ran.ends(2).says("--yes");
}

#[test]
fn a_no_in_the_middle_of_it_returns_the_hosts_to_what_they_ran_and_says_so() {
    let farm = Farm::up();
    let (project, _, two) = with_two(&farm, 1, 2);
    let stop = "Stop the rollback, and undo it on 1 host? [Y]es/[n]o";
    let answers = [("Go back from", "y\n"), ("Roll back the next group?", "n\n"), (stop, "y\n")];
    answered(&project, &["rollback"], &answers).ends(1);
    all_on(&farm, 3, &two);
}

#[test]
fn a_rollback_that_the_operator_leaves_as_it_is_says_what_the_hosts_should_run() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 3);
    project.write("hoist/checks.yaml", "checks:\n  bad:\n    stage: promote\n    command: test ! -e /srv/bad\n");
    let (one, two) = (deploy(&project, "one", &[]), deploy(&project, "two", &[]));
    let bad = farm.srv(&address(1)).join("bad");
    let stopped = || {
        std::fs::write(&bad, "").unwrap();
        let mut terminal = answered(&project, &["rollback"], &[("Go back ", "y\n"), ("undo it on 3 hosts?", "n\n")]);
        terminal.ends(3);
        let goes_on = format!("`hoist rollback --to {}` goes on", &one[..10]);
        assert!(terminal.unbroken().contains(&goes_on), "{}", terminal.unbroken());
        std::fs::remove_file(&bad).unwrap();
    };
    stopped();
    project.run(&["history", "-n", "1"]).ends(0).says("stopped, not undone");
    let why = format!("not completed: the rollback to {} by op@", &one[..10]);
    project.run(&["rollback", "--yes"]).ends(0).says(&why);
    all_on(&farm, 3, &one);
    project.run(&["rollback", "--yes", &two]).ends(0);
    stopped();
    project.run(&["reconcile", "--yes"]).ends(0);
    all_on(&farm, 3, &one);
    project.run(&["rollback", "--yes", &two]).ends(0);
    stopped();
    project.git(&["revert", "--no-edit", "HEAD"]);
    project.deploy(&[]).ends(0);
    project.run(&["rollback", "--yes"]).ends(0);
    all_on(&farm, 3, &one);
}

#[test]
fn of_two_people_who_type_it_the_second_is_told_and_goes_no_further_unless_they_say_where() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 2);
    let one = deploy(&project, "one", &[]);
    let two = deploy(&project, "two", &[]);
    let three = deploy(&project, "three", &[]);
    project.run(&["rollback", "--yes"]).ends(0);
    all_on(&farm, 2, &two);
    let done = format!("went back from {} to {} just now", &three[..10], &two[..10]);
    let offer = format!("`hoist rollback {}` goes further back", &one[..10]);
    project.run(&["rollback", "--yes"]).ends(2).says("already rolled back").says(&done).says(&offer);
    all_on(&farm, 2, &two);
    let mut terminal = Terminal::run(project.hoist(&["rollback"]));
    terminal.wait_for(&format!("Go back further, from {} to {} on 2 hosts?", &two[..10], &one[..10]));
    assert!(terminal.unbroken().contains("already rolled back: op@"), "{}", terminal.unbroken());
    terminal.types("\n");
    terminal.ends(1);
    all_on(&farm, 2, &two);
    project.run(&["rollback", "--yes", &one]).ends(0);
    all_on(&farm, 2, &one);
    // Whoever names what is there already has what they want.
    project.run(&["rollback", "--yes", &one[..10]]).ends(0).says("nothing to do");
}

#[test]
fn after_a_deployment_that_was_rolled_back_by_itself_the_question_says_that_this_goes_further_back() {
    let farm = Farm::up();
    let (project, one, two) = with_two(&farm, 0, 2);
    project.write("hoist/checks.yaml", "checks:\n  bad:\n    stage: promote\n    command: test ! -e /srv/bad\n");
    std::fs::write(farm.srv(&address(1)).join("bad"), "").unwrap();
    project.write("index.html", "three\n");
    let three = project.commit("three");
    project.deploy(&[]).ends(1);
    all_on(&farm, 2, &two);
    std::fs::remove_file(farm.srv(&address(1)).join("bad")).unwrap();
    let undone = format!("the deployment of {} by op@", &three[..10]);
    let further = format!("Go back further, from {} to {} on 2 hosts?", &two[..10], &one[..10]);
    answered(&project, &["rollback"], &[(&further, "\n")]).ends(1);
    all_on(&farm, 2, &two);
    // Nobody has called for a rollback yet: this is the first.
    project.run(&["rollback", "--yes"]).ends(0).says("already rolled back").says(&undone).says("was undone");
    all_on(&farm, 2, &one);
    project.run(&["rollback", "--yes"]).ends(2).says("already rolled back");
}

#[test]
fn a_run_that_only_fetched_or_rendered_is_nothing_that_was_undone() {
    let farm = Farm::up();
    let (project, one, _) = with_two(&farm, 0, 2);
    project.render("/srv/etc/a.conf", "colour = red\n", &[]);
    project.write("index.html", "Third page\n");
    let three = project.commit("Third page");
    project.deploy(&["-s", "fetch"]).ends(0).says(&format!("{} fetched on 2 of 2 hosts, not promoted", &three[..10]));
    let without = ["-s", "config_deploy", "-r", &three, "-D", "config_deploy:no"];
    project.deploy(&without).ends(0).says("probed on 2 of 2 hosts, not promoted");
    project.deploy(&["-s", "config_deploy", "-r", &three]).ends(0).says("configured on 2 of 2 hosts, not promoted");
    let ran = project.run(&["history", "-n", "3", "--format", "json"]).ends(0);
    let history: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let results = [0, 1, 2].map(|n| history["deployments"][n]["result"].clone());
    assert_eq!(results, ["configured", "probed", "fetched"]);

    let preview = project.run(&["rollback", "--dry-run", "--format", "json"]).ends(0);
    let preview: serde_json::Value = serde_json::from_str(&preview.out).unwrap();
    assert_eq!(preview["way_back"]["why"], "before", "{preview}");
    project.run(&["rollback", "--yes"]).ends(0);
    all_on(&farm, 2, &one);
    let stats = project.run(&["stats", "--format", "json"]).ends(0);
    let stats: serde_json::Value = serde_json::from_str(&stats.out).unwrap();
    let numbers = ["deployments", "failed", "rolled_back_later"].map(|key| stats[key].as_u64().unwrap());
    assert_eq!(numbers, [2, 0, 1], "{stats}");
    assert_eq!(stats["left_out"]["other"], 2, "{stats}");

    // Nor does a fetch hide that somebody has gone back already.
    project.deploy(&["-s", "fetch", "-r", &three]).ends(0);
    project.run(&["rollback", "--yes"]).ends(2).says("already rolled back");
}

#[test]
fn a_fleet_that_a_failed_run_left_mixed_is_brought_to_what_is_wanted_and_no_further_back() {
    let farm = Farm::up();
    let (project, _, two) = with_two(&farm, 0, 3);
    let three = leave_mixed(&farm, &project);
    project.run(&["history", "-n", "1"]).ends(0).says("stopped, not rolled back");
    // It stays mixed, whatever is fetched.
    project.deploy(&["-s", "fetch"]).ends(0);
    let mut terminal = Terminal::run(project.hoist(&["rollback"]));
    terminal.wait_for(&format!("Bring all 3 hosts to {}? [y]es/[N]o", &two[..10]));
    let failed = format!("the fleet is mixed: the deployment of {} by op@", &three[..10]);
    assert!(terminal.unbroken().contains(&failed), "{}", terminal.unbroken());
    terminal.types("y\n");
    terminal.ends(0);
    all_on(&farm, 3, &two);
}

#[test]
fn a_mixed_fleet_with_a_host_that_was_installed_anew_is_deployed_to_where_going_back_is_not_enough() {
    let farm = Farm::up();
    let (project, _, two) = with_two(&farm, 0, 3);
    leave_mixed(&farm, &project);
    std::fs::remove_file(farm.srv(&address(1)).join("bad")).unwrap();
    std::fs::remove_dir_all(farm.srv(&address(2)).join(CACHE)).unwrap();
    project.run(&["rollback", "--yes"]).ends(0).says("the fleet is mixed").says("not kept on 127.0.0.3");
    all_on(&farm, 3, &two);
}

#[test]
fn a_part_of_the_fleet_goes_back_by_itself_and_the_rest_can_follow() {
    let farm = Farm::up();
    let (project, one, two) = with_two(&farm, 0, 3);
    project.run(&["rollback", "--yes", "-l", "127.0.0.2"]).ends(0).says("1 of 1 host");
    assert_eq!(Links::of(&farm, 1), Links::finalized(&one));
    assert_eq!(Links::of(&farm, 0), Links::finalized(&two));
    // What is offered next is about the same hosts.
    let again = project.run(&["rollback", "--yes", "-l", "127.0.0.2"]).ends(2);
    again.says("`hoist rollback --list -l 127.0.0.2` shows");
    project.run(&["status"]).ends(1).says("skew: the hosts of default run different revisions");
    project.run(&["rollback", "--yes"]).ends(0).says("already on").says("3 of 3 hosts");
    all_on(&farm, 3, &one);
    // A revision that one host got by itself is taken back from that one, and the others stay where they are.
    let three = deploy(&project, "three", &["-l", "127.0.0.1", "--break-glass", "two is in it"]);
    project.run(&["rollback", "--yes"]).ends(0).says(&three[..10]);
    all_on(&farm, 3, &one);
}

#[test]
fn it_lists_what_the_hosts_keep_with_who_deployed_it_and_where_it_is_live() {
    let farm = Farm::up();
    let (project, one, two) = with_two(&farm, 0, 2);
    std::fs::remove_dir_all(farm.srv(&address(1)).join(CACHE).join("revs").join(&one)).unwrap();
    let ran = project.run(&["rollback", "--list"]).ends(0);
    let rows: Vec<Vec<&str>> = ran.out.lines().map(|line| line.split("  ").map(str::trim).collect()).collect();
    let row = |revision: &str| ran.out.lines().find(|line| line.starts_with(&revision[..10])).unwrap().to_owned();
    assert!(rows[0].contains(&"revision") && rows[1][0] == &two[..10], "{}", ran.out);
    assert!(row(&two).contains("2 of 2 hosts") && row(&two).contains("Second page"), "{}", ran.out);
    assert!(row(&one).contains("1 of 2 hosts") && row(&one).contains("First page"), "{}", ran.out);
    let ran = project.run(&["rollback", "--list", "--format", "json"]).ends(0);
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    schema::Answer::named("rollback_list").holds(&json);
    assert_eq!(json["revisions"][0]["revision"], two.as_str());
    assert_eq!(json["revisions"][0]["live_on"], serde_json::json!(["127.0.0.1", "127.0.0.2"]));
    assert_eq!(json["revisions"][1]["kept_on"], serde_json::json!(["127.0.0.1"]));
    assert!(json["revisions"][1]["deployed_by"].as_str().unwrap().starts_with("op@"), "{json}");
    project.run(&["rollback", "--list", &one]).ends(2).says("--list");
    project.run(&["rollback", "--to", &one, &two]).ends(2).says("the revision is given twice");
}

#[test]
fn a_dry_run_says_from_what_to_what_and_names_the_hosts_that_cannot_go_there_and_touches_nothing() {
    let farm = Farm::up();
    let (project, one, two) = with_two(&farm, 0, 3);
    project.run(&["rollback", "--dry-run"]).ends(0).says(&format!("to    {}", &one[..10])).says("kept on 3 of 3 hosts");
    std::fs::remove_dir_all(farm.srv(&address(1)).join(CACHE).join("revs").join(&one)).unwrap();
    let bring = format!("`hoist deploy -r {} -l '127.0.0.2'`", &one[..10]);
    project.run(&["rollback", "--dry-run"]).ends(1).says("not kept on 127.0.0.2").says(&bring);
    let leave = "unreachable: 127.0.0.9:1; `-D failure_limit:1` goes back without it, and `hoist reconcile` takes it back \
                 later; `-l '!127.0.0.9:1'` leaves it out";
    project.write("hoist/default", "127.0.0.1\n127.0.0.2\n127.0.0.3\n127.0.0.9:1\n");
    project.run(&["rollback", "--dry-run"]).ends(1).says(leave);
    project.write("hoist/default", "127.0.0.1\n127.0.0.2\n127.0.0.3\n");
    let ran = project.run(&["rollback", "--dry-run", "--format", "json", &one]).ends(1);
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    schema::Answer::named("rollback_preview").holds(&json);
    assert_eq!(json["way_back"]["to"]["subject"], "First page");
    assert_eq!(json["way_back"]["from"][0]["revision"], two.as_str());
    assert_eq!(json["way_back"]["not_kept_on"], serde_json::json!(["127.0.0.2"]));
    all_on(&farm, 3, &two);
}

#[test]
fn an_unfinished_deployment_is_shown_and_undone_after_a_question() {
    let farm = Farm::up();
    let (project, _, two) = with_two(&farm, 0, 2);
    project.write(
        "hoist/checks.yaml",
        "checks:\n  waits:\n    stage: promote\n    shell: true\n    command: \"touch /srv/waiting; while ! test -e \
         /srv/go; do sleep 0.1; done\"\n",
    );
    let three = project.commit("three");
    let mut deployer = project.hoist(&["deploy", "--yes"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    let waiting = farm.srv(&address(0)).join("waiting");
    common::wait_for("promote on the first host", || waiting.exists());
    deployer.kill().unwrap();
    deployer.wait().unwrap();
    (0..2).for_each(|n| std::fs::write(farm.srv(&address(n)).join("go"), "").unwrap());
    let unfinished = format!("the deployment of {} that op@", &three[..10]);
    project.run(&["rollback", "--dry-run"]).ends(0).says(&unfinished).says("undoes it");
    project.run(&["rollback", "--yes", "-l", "127.0.0.1"]).ends(6).says("hoist resume");
    let mut terminal = Terminal::run(project.hoist(&["rollback"]));
    terminal.answers("Undo it on every host that it touched? [y]es/[N]o", "n");
    terminal.ends(1);
    project.run(&["rollback", "--yes"]).ends(1).says("verified");
    all_on(&farm, 2, &two);
    // Whoever else meant to undo it is not taken further back.
    project.run(&["rollback", "--yes"]).ends(2).says("already rolled back");
    all_on(&farm, 2, &two);
}

#[test]
fn an_unfinished_deployment_is_named_with_its_environment_and_ended_in_no_other() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 2);
    for environment in ["staging", "other"] {
        project.write(&format!("hoist/environments/{environment}/hoist.cfg"), "[global]\nbatch_size: 7\n");
    }
    project.check("waits", "promote", common::WAITS);
    let one = project.commit("one");
    common::kill_at_checks(&farm, &project, &["deploy", "--yes", "-e", "staging", "-D", "umask:2"], 2, 2);

    let unfinished = format!("the deployment of {} to environment staging that op@", &one[..10]);
    let (resume, rollback) = ("`hoist resume -e staging -D umask:2`", "`hoist rollback -e staging -D umask:2`");
    for words in [&["deploy", "--yes"][..], &["resume", "--yes", "-e", "other"], &["rollback", "--yes", "-e", "other"]]
    {
        project.run(words).ends(6).says(&unfinished).says(resume).says(rollback);
    }
    project.run(&["status"]).ends(1).says(&unfinished).says(resume);
    let refused = format!("warning: a deployment would be refused: {unfinished}");
    project.run(&["plan"]).ends(0).says(&refused).says(resume).says(rollback);
    project.run(&["rollback", "--dry-run"]).ends(0).says(rollback);
    // What it says at its end is about the same environment, whoever ends it.
    let ran = project.run(&["rollback", "--yes"]).ends(3);
    ran.says(
        "nothing was live there before: deploy a revision that works there by `hoist deploy -e staging -D umask:2 -r \
         REVISION -l 127.0.0.1,127.0.0.2`",
    );
}

#[test]
fn what_was_deployed_in_another_environment_is_not_put_down_to_somebody_else() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 2);
    project.write("hoist/environments/beta/hoist.cfg", "[global]\nbatch_size: 7\n");
    let one = deploy(&project, "one", &[]);
    let two = deploy(&project, "two", &["-e", "beta"]);
    let ran = project.run(&["rollback", "--yes"]).ends(2);
    ran.says(&format!("{} was deployed in environment beta to 127.0.0.[1-2], and not here", &two[..10]))
        .says("`hoist rollback -e beta` undoes that");
    let never = project.run(&["rollback", "--yes", "-e", "beta", "-D", "x:1"]).ends(0);
    never.says(&one[..10]);
    all_on(&farm, 2, &one);
}
