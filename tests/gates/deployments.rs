//! Deployments that are watched by a real Prometheus and a real Alertmanager.

use crate::common::{Farm, Project, all_on};
use crate::monitoring::{BEHAVIOUR, Monitoring, is_untouched};
use crate::schema::Answer;

/// A service that errs never, and takes 200 ms.
const WELL: &str = "0 0.2\n";

/// Hosts on which a revision is live that behaves well, who watches them, and the settings of the deployments to come.
fn watched(canary: usize, default: usize, settings: &str) -> (Farm, Project, Monitoring) {
    let farm = Farm::up();
    let project = Project::new(&farm, canary, default);
    project.write(BEHAVIOUR, WELL);
    project.commit("well");
    project.deploy(&[]).ends(0);
    let monitoring = Monitoring::start(&farm, canary + default);
    project.configure(settings);
    (farm, project, monitoring)
}

fn release(project: &Project, behaviour: &str) -> String {
    project.write(BEHAVIOUR, behaviour);
    project.commit(behaviour.trim())
}

/// Writes `gates.yaml` with one gate that asks a server at a port, and what else there is to say of it.
fn write_gate(project: &Project, name: &str, kind: &str, port: u16, more: &str) {
    let gate = format!("type: {kind}\n    url: http://127.0.0.1:{port}\n    {more}");
    project.write("hoist/gates.yaml", &format!("gates:\n  {name}:\n    {gate}\n"));
}

/// A gate on the share of errors.
fn watch_errors(project: &Project, monitoring: &Monitoring) {
    let query = monitoring.share_of_errors();
    let more = format!(
        "when: soak\n    query: '{query}'\n    require: '< 0.01'\n    interval: 1\n    delay: 8\n    within: 13"
    );
    write_gate(project, "errors", "prometheus", monitoring.prometheus_port, &more);
}

#[test]
fn errors_are_caught_on_the_canary_and_a_prometheus_that_is_gone_is_no_pass() {
    let (farm, project, mut monitoring) = watched(1, 2, "soak_time: 12");
    watch_errors(&project, &monitoring);

    // A good one goes through, and every group was looked at.
    let good = release(&project, "0.001 0.2\n");
    let ran = project.deploy(&["--format", "json"]).ends(0);
    all_on(&farm, 3, &good);
    let samples: Vec<_> = ran.events().into_iter().filter(|event| event["event"] == "gate").collect();
    for group in ["canary", "default"] {
        let of_group = samples.iter().filter(|event| event["group"] == group && event["verdict"] == "pass");
        assert!(of_group.clone().all(|event| event["moment"] == "soak" && event["value"].is_string()));
        assert!(of_group.count() >= 2, "{samples:?}");
    }

    // One with 5 % of errors passes every stage and check, and goes no further than the canary.
    release(&project, "0.05 0.2\n");
    let ran = project.deploy(&["--format", "json"]).ends(1);
    let events = ran.events();
    let failed = events.iter().find(|event| event["event"] == "gate_failed").unwrap();
    assert_eq!((&failed["gate"], &failed["group"]), (&"errors".into(), &"canary".into()), "{failed}");
    assert!(failed["reason"].as_str().unwrap().contains("is not < 0.01"), "{failed}");
    assert!(events.iter().all(|event| event["event"] != "subgroup" || event["group"] == "canary"), "{events:?}");
    assert!(events.iter().all(|event| event["event"] != "host_ended" || event["outcome"] == "ok"), "{events:?}");
    (0..3).for_each(|n| is_untouched(&farm, n, &good));
    project.run(&["log", "-l"]).ends(0).says("gate errors failed: 0.0");

    // What it would have said of both can be asked afterwards.
    let past = project.run(&["gates", "--backtest", "-n", "2", "--soak", "12s", "--format", "json"]).ends(0);
    let past = past.events().remove(0);
    Answer::named("gates_backtest").holds(&past);
    let verdict = |n: usize| past["deployments"][n]["gates"][0]["verdict"].clone();
    assert_eq!((verdict(0), verdict(1)), ("pass".into(), "fail".into()), "{past:#}");
    project.run(&["gates", "--backtest"]).ends(0).says("is not < 0.01");

    // In an emergency it is passed over, and whoever looks sees why.
    let forced = project.git(&["rev-parse", "HEAD"]);
    project.deploy(&["--break-glass", "the old one is worse"]).ends(0);
    all_on(&farm, 3, &forced);
    project.run(&["history", "-n", "1"]).ends(0).says("[break glass: the old one is worse]");

    // Without Prometheus nobody can tell, and that is no pass.
    monitoring.stop_prometheus();
    release(&project, "0.001 0.2\n");
    project.deploy(&[]).ends(1).says("gate errors is inconclusive: ").says("Connection refused");
    all_on(&farm, 3, &forced);
    monitoring.start_prometheus();
    let good = release(&project, "0 0.2\n");
    project.deploy(&["-D", "default_soak_time:1", "-D", "canary_soak_time:9"]).ends(0);
    all_on(&farm, 3, &good);
}

#[test]
fn an_alert_that_fires_stops_a_deployment_unless_it_is_silenced() {
    let (farm, project, monitoring) = watched(1, 1, "soak_time: 25");
    let url = format!("http://127.0.0.1:{}", monitoring.alertmanager_port);
    let more = "when: before, soak\n    matchers: ['severity=\"page\"', 'service=~\"page|api\"']\n    interval: 1";
    write_gate(&project, "alerts", "alertmanager", monitoring.alertmanager_port, more);
    let well = project.git(&["rev-parse", "HEAD"]);
    let bad = release(&project, "0.05 0.2\n");
    project.deploy(&[]).ends(1).says("gate alerts failed: 1 alert is firing: PageErrors");
    (0..2).for_each(|n| is_untouched(&farm, n, &well));

    let silence = std::process::Command::new("amtool")
        .args(["silence", "add", "--alertmanager.url", &url, "--author=test", "--comment=known", "severity=page"])
        .output()
        .unwrap();
    assert!(silence.status.success(), "{silence:?}");
    // By its end, the soak of the first group alone would have been long enough for the alert.
    project.deploy(&["-D", "canary_soak_time:15", "-D", "soak_time:1"]).ends(0);
    all_on(&farm, 2, &bad);
}

#[test]
fn a_comparison_of_the_canaries_with_the_hosts_on_the_old_revision_catches_one_that_is_slower() {
    let (farm, project, monitoring) = watched(2, 2, "canary_soak_time: 22\ngroup_soak_time: 3");
    let ratio = "sum by (instance) (rate(seconds_total[3s])) / sum by (instance) (rate(requests_total[3s]))";
    let more = format!(
        "when: soak\n    query: '{ratio}'\n    worse: higher\n    interval: 3\n    delay: 6\n    samples: 8\n    difference: 10%"
    );
    write_gate(&project, "slower", "compare", monitoring.prometheus_port, &more);
    let equal = release(&project, "0.001 0.2\n");
    // Once nobody is on the old revision, that is told, and is no pass.
    let ran = project.deploy(&["--format", "json"]).ends(0);
    all_on(&farm, 4, &equal);
    let samples: Vec<_> = ran.events().into_iter().filter(|event| event["event"] == "gate").collect();
    let of = |group: &str, verdict: &str| {
        samples.iter().filter(|event| event["group"] == group && event["verdict"] == verdict).count()
    };
    assert!(of("canary", "pass") >= 2 && of("canary", "skipped") == 0, "{samples:#?}");
    assert_eq!((of("default", "pass"), of("default", "skipped")), (0, 1), "{samples:#?}");
    release(&project, "0 0.26\n");
    project.deploy(&[]).ends(1).says("gate slower failed: the median of new hosts, 0.2").says("is higher than 0.");
    (0..4).for_each(|n| is_untouched(&farm, n, &equal));
}
