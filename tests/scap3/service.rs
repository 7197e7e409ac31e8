//! Services under a real supervisor: restarted, reloaded, waited for, and brought back.

use crate::common::{Ran, ports};
use crate::fleet::{DeployHost, Target, finalized};

/// A deploy host whose one target is 127.0.0.1, with version 1 of the page live.
struct Scene {
    host: DeployHost,
    one: String,
}

impl Scene {
    fn new(services: &[&str]) -> Scene {
        let host = DeployHost::new();
        host.target(1).furnish(services);
        // The services are what is looked at here.
        let checks = "checks:\n  not-in-production:\n";
        std::fs::write(host.repo().join("scap/environments/production/checks.yaml"), checks).unwrap();
        std::fs::write(host.repo().join("scap/checks.yaml"), checks).unwrap();
        let one = host.commit("1");
        let scene = Scene { host, one };
        scene.deploy(&[]).ends(0);
        scene.target().wait_until_runs(0, "1");
        scene
    }

    fn target(&self) -> Target<'_> {
        self.host.target(1)
    }

    fn deploy(&self, settings: &[&str]) -> Ran {
        let settings = settings.iter().flat_map(|setting| ["-D", setting]);
        let arguments: Vec<&str> =
            ["-v", "-l", "127.0.0.1", "--break-glass", "again"].into_iter().chain(settings).collect();
        self.host.deploy(&arguments)
    }

    /// `service_port`, set to the page's port.
    fn port(&self) -> String {
        format!("service_port:{}", self.host.port)
    }

    #[track_caller]
    fn is_back(&self) {
        assert_eq!(self.target().links(), finalized(&self.one));
        self.target().wait_until_runs(0, "1");
    }
}

#[test]
fn a_service_that_does_not_start_is_rolled_back_and_runs_the_old_version_again() {
    let scene = Scene::new(&["page", "page-worker"]);
    let worker = scene.target().wait_until_runs(1, "1");
    // By its own means runit may see it alive for a moment; it asks this script whether it really is.
    let alive = "exec perl -MIO::Socket::INET -e 'exit !IO::Socket::INET->new(join \":\", @ARGV)' $(cat /srv/address)";
    scene.target().sh(&format!(
        "cd /srv/service/page && echo '#!/bin/sh' >check && chmod 755 check && cat >>check <<'END'\n{alive}\nEND"
    ));
    scene.host.commit("2-broken");
    scene.deploy(&[]).ends(1).says("service page: timeout: ").says("service page: restart failed with exit status 1");
    scene.is_back();
    assert_eq!(scene.target().wait_until_runs(1, "1"), worker, "the worker was reloaded at most");
}

#[test]
fn a_restart_ends_when_the_port_accepts_and_fails_when_nobody_answers_in_time() {
    let scene = Scene::new(&["page", "page-worker"]);
    // It is 3 seconds before this version listens; a check that comes next finds it there.
    let ask = "checks:\n  there:\n    stage: restart_service\n    shell: true\n    command: \
               perl -MIO::Socket::INET -e 'exit !IO::Socket::INET->new(\"127.0.0.1:'$(cut -d' ' -f2 \
               /srv/address)'\")'\n";
    std::fs::write(scene.host.repo().join("scap/checks.yaml"), ask).unwrap();
    let two = scene.host.commit("2-slow");
    let says = format!("port {} accepts connections", scene.host.port);
    scene.deploy(&[&scene.port(), "service_timeout:60"]).ends(0).says(&says);
    assert_eq!(scene.target().links(), finalized(&two));
    scene.target().wait_until_runs(0, "2-slow");

    std::fs::write(scene.host.repo().join("scap/checks.yaml"), "checks:\n").unwrap();
    scene.host.commit("1");
    scene.deploy(&[]).ends(0);
    // Where nobody listens, whatever version is live, the old one is back and its service up, but that the host is well
    // cannot be said.
    let live = scene.target().links();
    scene.host.commit("3");
    let refusing = ports::refusing();
    let nobody = format!("service_port:{}", refusing.number);
    let ran = scene.deploy(&[&nobody, "service_timeout:1"]).ends(3);
    ran.says(&format!("port {} accepted no connection within 1 s", refusing.number));
    assert_eq!(scene.target().links(), live);
    scene.target().wait_until_runs(0, "1");
}

#[test]
fn services_that_are_masked_or_not_there_are_passed_over_and_are_failures_without_require_valid_service() {
    let scene = Scene::new(&["page", "page-worker"]);
    scene.target().sh("touch /srv/service/page-worker/masked");
    let worker = scene.target().wait_until_runs(1, "1");
    let names = "service_name:nowhere, page-worker, page=restart";
    scene.host.commit("2");
    scene
        .deploy(&[names])
        .ends(0)
        .says("service nowhere is skipped: this host does not have it")
        .says("service page-worker is skipped: it is masked on this host");
    scene.target().wait_until_runs(0, "2");
    assert_eq!(scene.target().says(1), Some(("1".to_owned(), worker)), "nobody told the worker");
    scene.host.commit("3");
    scene
        .deploy(&[names, "require_valid_service:no"])
        .ends(1)
        .says("service nowhere does not exist on this host")
        .says("service page-worker is masked on this host")
        .says("nothing was touched");
    scene
        .deploy(&["service_name:page-worker", "require_valid_service:no"])
        .ends(1)
        .says("service page-worker is masked on this host")
        .says("nothing was touched");
}

#[test]
fn a_service_restart_deploys_nothing_and_touches_no_link() {
    let scene = Scene::new(&["page", "page-worker"]);
    let target = scene.target();
    let all = "cd /srv && find deployment etc -not -path '*/.hoist*' -printf '%p %l %T@\n' | sort";
    let (links, files) = (target.links(), target.sh(all));
    let (page, worker) = (target.wait_until_runs(0, "1"), target.wait_until_runs(1, "1"));
    scene.host.commit("2");
    scene.host.deploy(&["-l", "127.0.0.1", "--service-restart"]).ends(0);
    assert_ne!(target.wait_until_runs(0, "1"), page, "it was restarted");
    assert_eq!(target.wait_until_runs(1, "1"), worker, "it was reloaded");
    assert_eq!((target.links(), target.sh(all)), (links, files));
}

#[test]
fn a_service_that_runit_starts_again_and_again_is_a_failed_promote() {
    let scene = Scene::new(&["page", "page-worker"]);
    // It listens, and ends a moment after runit saw it come up.
    scene.host.commit("2-short");
    for verify in [&[][..], &["verify_service:strict"]] {
        scene.deploy(verify).ends(1).says("service page: after the restart ");
        scene.is_back();
    }
    scene.deploy(&["verify_service:warn"]).ends(0).says("service page: after the restart ");
    scene.host.commit("3-short");
    let ran = scene.deploy(&["verify_service:off"]).ends(0);
    assert!(!ran.out.contains("after the restart"), "{}", ran.out);
}

#[test]
fn a_service_has_to_stay_up_for_as_long_as_min_healthy_time_says() {
    let scene = Scene::new(&["page", "page-worker"]);
    scene.host.commit("2-brief");
    scene.deploy(&["min_healthy_time:6"]).ends(1).says("service page: after the restart ");
    scene.is_back();
}

#[test]
fn a_status_shows_what_runit_runs_and_marks_what_is_not_what_is_live() {
    let scene = Scene::new(&["page", "page-worker"]);
    let target = scene.target();
    let runs =
        "sed -i 's,^exec /srv/deployment,cd /srv/deployment/service/page; exec /srv/deployment,' /srv/service/*/run";
    target.sh(&format!("{runs} && sv restart /srv/service/page /srv/service/page-worker"));
    target.wait_until_runs(1, "1");
    let short = |revision: &str| revision[..10].to_owned();
    let (one, two) = (short(&scene.one), short(&scene.host.commit("2")));
    scene.deploy(&["service_name:", "service_port:"]).ends(0);
    // The links lead to the new revision, and nobody has told the services.
    let status = scene.host.run(&["status", "127.0.0.1"]);
    status.ends(1).says("running").says("service page (process ").says(&format!("still uses {one}"));
    // The page is restarted. The worker reloads where it is.
    let ran = scene.host.run(&["deploy", "--yes", "-l", "127.0.0.1", "--service-restart"]).ends(0);
    ran.says("service page-worker: after the reload process ")
        .says(&format!("still has its working directory in {one}, but {two}"));
    let status = scene.host.run(&["status", "127.0.0.1"]).ends(1);
    assert!(!status.out.contains("service page ("), "{}", status.out);
    status.says("service page-worker (process ");
    // A supervisor that is told to do nothing replaces nothing.
    target.sh("sed -i 's/^case $1 in/[ $1 != restart ] || exit 0\\n&/' /srv/bin/systemctl");
    scene.host.commit("3");
    scene.deploy(&[]).ends(3).says("it was not restarted");
}
