//! What a plan shows, compared with what the deployment then does.

use serde_json::Value;

use crate::common::{Links, Project, address};
use crate::schema::Answer;

/// The object of `hoist plan --format json`, which is as the schema says.
fn plan(project: &Project, arguments: &[&str]) -> Value {
    let ran = project.run(&[&["plan", "--format", "json"], arguments].concat()).ends(0);
    let plan: Value = serde_json::from_str(&ran.out).unwrap();
    Answer::named("plan").holds(&plan);
    plan
}

#[test]
fn a_plan_shows_what_the_deployment_then_does_and_says_if_there_is_nothing_to_do() {
    let (farm, project) = Project::on_farm(1, 2);
    project.configure("service_name: web, db=reload\nsoak_time: 1\nverify_service: off\nmin_healthy_time: 0");
    let one = project.commit("configure");
    let first = plan(&project, &[]);
    assert_eq!((&first["changes_something"], &first["duration"]), (&Value::Bool(true), &Value::Null), "{first}");
    assert_eq!(first["rollback"]["not_known"].as_array().unwrap().len(), 3, "{first}");
    assert_eq!(first["hosts"][0]["last_contact"], Value::Null);
    let ran = project.run(&["plan"]).ends(0).says("time        not known: no earlier deployment was like it\n");
    let ran =
        ran.says("services    restart web, reload db on 3 hosts\n").says("soak           1 s after each subgroup");
    ran.says("rollback    to what the probe finds: 127.0.0.[1-3]\n");
    project.run(&["plan", "--detailed-exitcode"]).ends(10);
    project.run(&["plan", "-D", "transfer_limit:1024"]).ends(0).says("; at least ").says(" at transfer_limit\n");
    // The targets have nothing, which is known only if they are asked; and then the size of the pack is known.
    let asked = plan(&project, &["--ask"]);
    assert_eq!((&asked["asked"], &asked["transfer"]["is_estimate"]), (&Value::Bool(true), &Value::Bool(false)));
    assert_eq!(asked["rollback"]["nothing_live_on"].as_array().unwrap().len(), 3, "{asked}");
    assert_eq!(Links::of(&farm, 0), Links::default(), "a plan has touched a host");

    project.deploy(&[]).ends(0);
    project.run(&["plan", "--detailed-exitcode"]).ends(0).says("3 hosts run ").says(" already as last seen: ");
    project
        .run(&["plan", "--detailed-exitcode", "--ask"])
        .ends(0)
        .says("transfer    nothing: all hosts have the revision");
    project.run(&["plan", "--detailed-exitcode", "-r", "nosuch"]).ends(2);

    std::fs::remove_file(project.path("index.html")).unwrap();
    project.write("new.html", "a\nb\n");
    let two = project.commit("Replace the page");
    let next = plan(&project, &["--ask"]);
    let change = &next["changes"][0];
    assert_eq!(change["from"], one.as_str());
    assert_eq!(
        (&change["new"]["count"], &change["new"]["newest"][0]["subject"]),
        (&1.into(), &"Replace the page".into())
    );
    let files = &change["files"];
    let counts =
        ["added", "modified", "deleted", "lines_added", "lines_removed"].map(|key| files[key].as_u64().unwrap());
    assert_eq!(counts, [1, 0, 1, 2, 1], "{files}");
    let transfer = &next["transfer"];
    let each = transfer["largest"].as_u64().unwrap();
    assert!((32..2000).contains(&each) && transfer["bytes"] == 3 * each && transfer["hosts"] == 3, "{transfer}");
    let duration = &next["duration"];
    assert_eq!((&duration["runs"], &duration["soaks"]), (&1.into(), &2.0.into()), "{duration}");
    assert!(duration["typical"].as_f64().unwrap() > 2.0, "{duration}");
    assert_eq!(
        (&next["rollback"]["to"][0]["revision"], &next["hosts"][2]["current"]),
        (&one.as_str().into(), &one.as_str().into())
    );
    let ran = project.run(&["plan"]).ends(0);
    let ran =
        ran.says(&format!("rollback    127.0.0.[1-3] to {}, in the steps of the deployment, 900 s each\n", &one[..10]));
    ran.says("    D index.html\n    A new.html\n")
        .says("about ")
        .says("as the one earlier deployment like it, 2.0 s of it soaking");

    // A host that is down is named, and what it runs is what was last seen.
    farm.set_down(&address(2), true);
    project.run(&["plan", "--ask"]).ends(0).says("1 host could not be asked: 127.0.0.3\n").says("transfer    about ");
    farm.set_down(&address(2), false);
    project.deploy(&["-l", "127.0.0.1"]).ends(0);
    let mixed = plan(&project, &[]);
    let to_do: Vec<bool> = mixed["hosts"].as_array().unwrap().iter().map(|host| host["to_do"] == true).collect();
    assert_eq!((to_do, Links::of(&farm, 0)), (vec![false, true, true], Links::finalized(&two)));
    let run = project.run(&["plan", "-s", "promote"]).ends(0);
    assert!(!run.out.contains("transfer"), "{}", run.out);
}

#[test]
fn a_template_that_changed_may_change_hosts_that_run_the_revision() {
    let (_farm, project) = Project::on_farm(0, 1);
    project.render("/srv/app.conf", "a\n", &[]);
    project.commit("render");
    project.deploy(&[]).ends(0);
    project.run(&["plan", "--detailed-exitcode"]).ends(0);
    project.write("hoist/templates/app.j2", "b\n");
    let line = "config      may change on hosts that run the revision already: hoist/templates/app.j2\n";
    let restored = "stays live, and changed configuration files are restored: 127.0.0.1\n";
    project.run(&["plan", "--detailed-exitcode"]).ends(10).says(line).says(restored);
    // Without the stage nothing is rendered; what an earlier run has rendered goes live.
    let promote = ["plan", "--detailed-exitcode", "-s", "promote,finalize"];
    project.run(&promote).ends(0);
    project.deploy(&["-r", "HEAD", "-s", "config_deploy"]).ends(0);
    project.run(&promote).ends(10).says(line);
    project.deploy(&["-s", "promote,finalize"]).ends(0);
    project.run(&promote).ends(0);
}

#[test]
fn what_may_change_is_told_by_what_each_host_has_whatever_was_deployed_to_others_or_rolled_back_since() {
    let (_farm, project) = Project::on_farm(0, 2);
    project.render("/srv/app.conf", "{{ x }}\n", &[]);
    let vars = |x: u8| project.write("hoist/vars.yaml", &format!("x: {x}\n"));
    vars(1);
    project.write("hoist/environments/beta/vars.yaml", "x: 9\n");
    let one = project.commit("render");
    project.deploy(&[]).ends(0);
    let ends = |status: i32, more: &[&str]| {
        project.run(&[&["plan", "--detailed-exitcode", "-r", &one], more].concat()).ends(status)
    };
    let line = |what: &str| format!("config      may change on hosts that run the revision already: {what}\n");
    ends(0, &[]);
    // Others have it from a deployment to some hosts.
    vars(2);
    project.deploy(&["-r", &one, "-l", "127.0.0.1"]).ends(0);
    for more in [&[][..], &["--ask"], &["-l", "127.0.0.2"]] {
        ends(10, more).says(&line("hoist/vars.yaml"));
    }
    ends(0, &["-l", "127.0.0.1"]);
    project.deploy(&["-r", &one]).ends(0);
    ends(0, &[]);
    // A rollback renders nothing: hosts have what was rendered when the revision was deployed.
    project.configure("shared_dirs: log");
    project.deploy(&["-r", &one]).ends(0);
    vars(3);
    project.write("index.html", "two\n");
    project.commit("two");
    project.deploy(&[]).ends(0);
    project.run(&["rollback", "--yes"]).ends(0);
    ends(10, &[]).says(&line("hoist/vars.yaml"));
    project.deploy(&["-r", &one]).ends(0);
    ends(0, &[]);
    // In another environment other files are rendered.
    ends(10, &["-e", "beta"]).says("hoist/environments/beta/vars.yaml");
    project.deploy(&["-r", &one, "-e", "beta", "-l", "127.0.0.2"]).ends(0);
    ends(10, &[]).says("hoist/environments/beta/vars.yaml");
    ends(0, &["-l", "127.0.0.1"]);
    ends(10, &["-e", "beta"]);
    ends(0, &["-e", "beta", "-l", "127.0.0.2"]);
}

#[test]
fn a_key_that_makes_another_thing_of_the_revision_may_change_hosts_that_run_it() {
    let (farm, project) = Project::on_farm(0, 1);
    project.render("/srv/app.conf", "a\n", &[]);
    project.commit("render");
    project.deploy(&[]).ends(0);
    let says = |define: &str, status: i32| project.run(&["plan", "--detailed-exitcode", "-D", define]).ends(status);
    let line = |key: &str| format!("config      may change on hosts that run the revision already: {key}\n");
    says("failure_limit:1", 0);
    says("shared_dirs:log", 10).says(&line("shared_dirs"));
    says("config_deploy:no", 10).says(&line("config_deploy"));
    // It does, and then there is nothing more to do.
    let link = farm.srv(&address(0)).join("app.conf");
    assert!(link.is_symlink());
    project.deploy(&["-r", "HEAD", "-D", "config_deploy:no"]).ends(0);
    assert!(!link.is_symlink());
    says("config_deploy:no", 0);
}

#[test]
fn a_host_on_which_the_revision_is_only_to_be_finalized_counts_among_no_restarts() {
    let (_farm, project) = Project::on_farm(0, 2);
    project.configure("service_name: web\nservice_command: /bin/true {action} {service}");
    project.commit("one");
    project.deploy(&["-s", "fetch,promote"]).ends(0);
    for asking in [&["plan", "--detailed-exitcode"][..], &["plan", "--detailed-exitcode", "--ask"]] {
        project.run(asking).ends(10).says("services    restart web on 0 hosts\n").says("not finalized");
    }
}

#[test]
fn a_host_that_has_the_revision_and_does_not_serve_it_has_something_to_do() {
    let (farm, project) = Project::on_farm(0, 2);
    let one = project.commit("one");
    project.deploy(&[]).ends(0);
    let live = farm.srv(&address(1)).join("deployment/app");
    std::fs::remove_file(&live).unwrap();
    std::os::unix::fs::symlink("/srv/elsewhere", &live).unwrap();
    let wrong = format!("/srv/deployment/app does not point to {}", &one[..10]);
    let ran = project.run(&["plan", "--ask", "--detailed-exitcode"]).ends(10);
    ran.says(&format!("1 host with {}, but {wrong}: 127.0.0.2\n", &one[..10])).says(" already: 127.0.0.1\n");
    let hosts = plan(&project, &["--ask"])["hosts"].clone();
    assert_eq!((&hosts[0]["to_do"], &hosts[1]["to_do"]), (&false.into(), &true.into()), "{hosts}");
    // To go back there is something to do as well, and then it is done.
    let back = ["rollback", "--yes", "--to", &one[..10]];
    project.run(&back).ends(0).says(&format!("live on 127.0.0.2, but {wrong}\n"));
    project.run(&back).ends(0).says("nothing to do");
    project.run(&["plan", "--ask", "--detailed-exitcode"]).ends(0);
}
