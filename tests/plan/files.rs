//! Plan files: what they fix, and why one is refused.

use serde_json::Value;

use crate::common::{Project, Ran, address, all_on};

/// Writes a plan of what is committed to a file outside of the repository's history, and gives its path.
pub fn written(project: &Project, arguments: &[&str]) -> String {
    let path = project.path(".git/plan.json").display().to_string();
    project.run(&[&["plan", "-o", &path], arguments].concat()).ends(0).says("note: the plan is in ");
    path
}

/// `hoist deploy --plan`, which has to be refused with these words.
#[track_caller]
pub fn refused(project: &Project, plan: &str, words: &str) -> Ran {
    project.deploy(&["--plan", plan]).ends(2).says(words)
}

#[test]
fn a_plan_file_is_deployed_exactly_and_is_refused_with_each_thing_that_has_changed() {
    let (farm, project, one) = Project::deployed(1, 2);
    project.write("hoist/gates.yaml", "gates:\n  up: {type: command, command: 'true', when: [before]}\n");
    project.configure("group_size: 1");
    project.write("index.html", "two\n");
    let two = project.commit("Second page");
    let plan = written(&project, &["-l", "canary,127.0.0.2", "-D", "batch_size:7"]);
    let file: Value = serde_json::from_str(&std::fs::read_to_string(&plan).unwrap()).unwrap();
    assert_eq!((&file["revision"], &file["settings"]["batch_size"]), (&two.as_str().into(), &"7".into()), "{file}");
    assert_eq!((&file["live"]["127.0.0.1"], &file["gates"][0]["gate"]), (&one.as_str().into(), &"up".into()), "{file}");

    // What is committed later is not part of it, and what it fixes must not change.
    project.write("index.html", "three\n");
    project.commit("Third page");
    project.configure("group_size: 2\nfailure_limit: 1");
    project.write("hoist/gates.yaml", "gates:\n  up: {type: command, command: 'true', when: [subgroup]}\n");
    project.write("hoist/hooks.yaml", "hooks:\n  tell: {type: command, command: 'true', on: [finished]}\n");
    project.write("hoist/canary", &format!("{}\n{}\n", address(0), address(7)));
    let ran = refused(&project, &plan, "plan.json is out of date, nothing was touched")
        .says("group canary: 1 host came: 127.0.0.8\n");
    let ran =
        ran.says("- group_size: it was \"1\", and is \"2\"\n").says("- failure_limit: it was \"0\", and is \"1\"\n");
    let ran = ran.says("- hoist/gates.yaml: its contents\n").says("- hoist/hooks.yaml: it is new\n");
    ran.says(&format!("make a new plan with `hoist plan -D batch_size:7 -r {} -o ", &two[..10]))
        .says(" -l 'canary,127.0.0.2'`");
    project.git(&["checkout", "-q", "HEAD", "hoist"]);
    std::fs::remove_file(project.path("hoist/hooks.yaml")).unwrap();
    project.write("hoist/canary", "");
    refused(&project, &plan, "group canary: 1 host went: 127.0.0.1\n");
    project.git(&["checkout", "-q", "HEAD", "hoist"]);
    all_on(&farm, 3, &one);

    let ran = project.deploy(&["--plan", &plan, "--strict", "as planned"]).ends(0);
    ran.says(&format!("{} deployed and finalized on 2 of 2 hosts", &two[..10]));
    all_on(&farm, 2, &two);
    assert_eq!(crate::common::Links::of(&farm, 2), crate::common::Links::finalized(&one), "it was not in the plan");
    // It is deployed once: the fleet is not what it was made for.
    refused(&project, &plan, &format!("- 127.0.0.[1-2] run {}, and ran {}\n", &two[..10], &one[..10]));

    // Somebody else deploys between, and only the targets know.
    let plan = written(&project, &["--ask"]);
    let other = Project::clone_of(&project);
    std::fs::copy(project.path("hoist/hoist.cfg"), other.path("hoist/hoist.cfg")).unwrap();
    other.deploy(&["-r", &one, "-l", "127.0.0.1"]).ends(0);
    refused(&project, &plan, &format!("- 127.0.0.1 runs {}, and ran {}\n", &one[..10], &two[..10]));
}

#[test]
fn a_file_that_is_no_plan_of_this_repository_is_refused_in_one_sentence() {
    let project = Project::empty();
    project
        .write("hoist/hoist.cfg", "[global]\ngit_repo: app\ndsh_targets: all\nhttp_proxy: http://me:s3cret@proxy:1\n");
    project.write("hoist/all", "web1\nweb2\n");
    project.commit("one");
    let plan = written(&project, &[]);
    let text = std::fs::read_to_string(&plan).unwrap();
    assert!(!text.contains("s3cret") && text.contains("@proxy:1 (#"), "{text}");
    let with = |text: &[u8], words: &str| {
        std::fs::write(&plan, text).unwrap();
        let ran = refused(&project, &plan, words);
        assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    };
    let edited = text.replace("web2", "web3");
    with(edited.as_bytes(), "plan.json was edited: its digest is not that of its contents; make a new plan with");
    with(text.replacen("\"asked\": false", "\"asked\": false, \"more\": 1", 1).as_bytes(), "was edited");
    with(&text.as_bytes()[..text.len() / 2], "plan.json is damaged (EOF while parsing");
    with(b"", "plan.json is no plan of Hoist's (EOF");
    with(b"\xff\x00", "is no plan of Hoist's");
    with(b"[1]", "it has no number \"hoist_plan\"");
    with(b"{\"kind\":\"terraform\"}", "it has no number \"hoist_plan\"");
    with(b"{\"hoist_plan\": 2, \"hoist\": \"9.1\"}", "was written by a newer Hoist (9.1, format 2; this is ");
    with(b"{\"hoist_plan\": 1, \"digest\": 5}", "was edited");
    with("[".repeat(100_000).as_bytes(), "is no plan of Hoist's (recursion limit");
    std::fs::File::create(&plan).unwrap().set_len(65 << 20).unwrap();
    refused(&project, &plan, "is longer than 64 MiB, so it is no plan of Hoist's");
    refused(&project, ".", ". is not a regular file");
    std::process::Command::new("mkfifo").arg(project.path("pipe")).status().unwrap();
    refused(&project, "pipe", "pipe is not a regular file");
    std::fs::remove_file(project.path("pipe")).unwrap();
    refused(&project, "nosuch", "cannot read the plan nosuch: No such file");

    std::fs::write(&plan, &text).unwrap();
    project.configure("git_repo: other");
    refused(&project, &plan, "is a plan of app, and this repository is other");
    for flags in
        [&["-r", "HEAD"][..], &["-s", "fetch"], &["-D", "a:b"], &["-l", "web1"], &["--break-glass", "x"], &["-f"]]
    {
        let ran = project.deploy(&[&["--plan", &plan], flags].concat()).ends(2);
        ran.says("cannot be combined with --plan");
    }
    project.deploy(&["--signature", "x"]).ends(2).says("name it with --plan");
    project.run(&["plan", "-o", "/nosuch/plan"]).ends(2).says("cannot write /nosuch/plan: No such file");
}

#[test]
fn a_plan_is_refused_if_a_host_is_reached_in_another_way_or_counted_elsewhere() {
    let project = Project::empty();
    let key = project.path(".git/key").display().to_string();
    let made = std::process::Command::new("ssh-keygen").args(["-qt", "ed25519", "-N", "", "-f", &key]).status();
    assert!(made.unwrap().success());
    let lines = format!("max_unavailable: 1\nmax_unavailable_by: zone\nssh_config: none\nidentity_file: {key}\n");
    project.write("hoist/hoist.cfg", &format!("[global]\ngit_repo: app\ntargets_command: cat .git/list\n{lines}"));
    project.commit("one");
    let list = |address: &str, user: &str, zone: &str, rack: &str| {
        let labels = format!("{{\"zone\": \"{zone}\", \"rack\": \"{rack}\"}}");
        let host = format!("\"address\": \"{address}\", \"user\": \"{user}\", \"labels\": {labels}");
        project.write(".git/list", &format!("[{{\"name\": \"web1\", {host}}}, \"web2\"]"));
    };
    list("127.0.0.99", "deploy", "a", "r1");
    let plan = written(&project, &[]);
    let file: Value = serde_json::from_str(&std::fs::read_to_string(&plan).unwrap()).unwrap();
    let web1 = serde_json::json!({"address": "127.0.0.99", "user": "deploy", "labels": {"zone": "a"}});
    assert_eq!(file["reached"], serde_json::json!({"web1": web1}), "{file}");
    list("127.0.0.98", "root", "b", "r1");
    refused(&project, &plan, "plan.json is out of date, nothing was touched")
        .says("- web1: its address was \"127.0.0.99\", and is \"127.0.0.98\"\n")
        .says("- web1: its user was \"deploy\", and is \"root\"\n")
        .says("- web1: its label zone was \"a\", and is \"b\"\n");
    project.write(".git/list", "[\"web1\", {\"name\": \"web2\", \"port\": 2222}]");
    refused(&project, &plan, "- web1: its address was \"127.0.0.99\", and is not set\n")
        .says("- web2: its port was not set, and is \"2222\"\n");
    // Nothing depends on the rack.
    list("127.0.0.99", "deploy", "a", "r2");
    let ran = project.deploy(&["--plan", &plan]);
    assert!(!ran.err.contains("is out of date"), "{}", ran.err);
}
