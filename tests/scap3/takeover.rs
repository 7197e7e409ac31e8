//! Hosts that Scap deployed to: taken over, given back, and half broken.

use crate::fleet::{DeployHost, LIVE, Target, finalized};

/// Two hosts that run version 1 of Scap's, and its revision. The first one is the canary.
fn scapped(host: &DeployHost) -> (Vec<Target<'_>>, String) {
    let targets: Vec<Target> = [1, 3].into_iter().map(|number| host.target(number)).collect();
    let one = host.commit("1");
    for target in &targets {
        target.furnish(&["page", "page-worker"]);
        target.scap(host, &one, "red");
        assert_eq!(target.links(), finalized(&one));
        target.wait_until_runs(0, "1");
    }
    (targets, one)
}

/// Deploys to just these hosts.
const BOTH: [&str; 2] = ["-l", "127.0.0.1,127.0.0.3"];

fn configured(target: &Target) -> String {
    target.sh("cat /srv/etc/page/page.ini")
}

/// The repository of each tree, and the cache, as git sees them.
fn is_whole(target: &Target) {
    target.sh(&format!("cd {LIVE}-cache && for tree in cache revs/*; do git -C $tree fsck --no-dangling; done"));
}

#[test]
fn a_failing_takeover_leaves_scaps_revision_its_links_its_configuration_and_its_service() {
    let host = DeployHost::new();
    let (targets, one) = scapped(&host);
    let before = targets[1].sh(&format!("find {LIVE}-cache {LIVE} /srv/etc -printf '%p %l\n' | sort"));
    host.commit("2-mute");
    host.deploy(&BOTH).ends(1).says("check answers failed").says("1 host was rolled back and verified");
    for target in &targets {
        assert_eq!(target.links(), finalized(&one), "{}", target.address);
        assert_eq!(configured(target), "colour = red, by scap");
        assert_eq!(
            target.sh("readlink /srv/etc/page/page.yaml"),
            format!("../../deployment/service/page-cache/revs/{one}/.git/config-files/srv/etc/page/page.yaml")
        );
        target.wait_until_runs(0, "1");
        // What only the new revision configures is no link any more.
        target.sh("! test -L /srv/etc/page/flags");
        is_whole(target);
    }
    let after =
        targets[1].sh(&format!("find {LIVE}-cache {LIVE} /srv/etc -not -path '*/.hoist*' -printf '%p %l\n' | sort"));
    assert_eq!(after, before, "the host that was never begun on is as it was");
}

#[test]
fn a_host_goes_from_scap_to_hoist_and_back_and_to_hoist_again() {
    let host = DeployHost::new();
    let (targets, one) = scapped(&host);
    // A third host was set up by Hoist: Scap takes that one over, too.
    let fresh = host.target(4);
    fresh.furnish(&["page", "page-worker"]);
    let all = ["-l", "127.0.0.1,127.0.0.3,127.0.0.4"];
    let targets: Vec<Target> = targets.into_iter().chain([fresh]).collect();

    let two = host.commit("2");
    host.deploy(&all).ends(0);
    for target in &targets {
        assert_eq!(target.links(), finalized(&two), "{}", target.address);
        assert_eq!(configured(target).trim(), "colour = blue\ndebug = True");
        target.wait_until_runs(0, "2");
    }
    assert_eq!(targets[0].sh(&format!("ls {LIVE}-cache/revs | wc -l")), "2", "Scap's revision is kept");

    // What is Hoist's own is nothing that anybody needs.
    targets[0].sh(&format!("rm -r {LIVE}-cache/.hoist"));
    let three = host.commit("3");
    for target in &targets {
        target.scap(&host, &three, "black");
        assert_eq!(target.links(), finalized(&three), "{}", target.address);
        assert_eq!(configured(target), "colour = black, by scap");
        target.wait_until_runs(0, "3");
    }
    host.run(&["status", "-l", all[1]]).ends(1).says(&three[..10]);

    // A revision of Hoist's that Scap goes back to, and one that fails on top of that.
    for target in &targets {
        target.scap(&host, &two, "grey");
        assert_eq!(target.links(), finalized(&two), "{}", target.address);
    }
    host.commit("4-broken");
    host.deploy(&all).ends(1);
    for target in &targets {
        assert_eq!(target.links(), finalized(&two), "{}", target.address);
        assert_eq!(configured(target), "colour = grey, by scap");
        target.wait_until_runs(0, "2");
    }

    std::fs::remove_dir_all(host.repo().join("scap/state")).unwrap();
    let five = host.commit("5");
    host.deploy(&all).ends(0);
    for target in &targets {
        assert_eq!(target.links(), finalized(&five), "{}", target.address);
        target.wait_until_runs(0, "5");
        is_whole(target);
    }
    assert_ne!(one, five);
}

#[test]
fn the_steps_of_the_manual_move_a_fleet_and_only_the_deployments_among_them_change_a_host() {
    let host = DeployHost::new();
    let (targets, one) = scapped(&host);
    std::fs::write(host.repo().join("scap/two"), "127.0.0.1\n127.0.0.3\n").unwrap();
    let all = "cd /srv && find deployment etc -printf '%p %l %T@\n' | sort";
    let before: Vec<String> = targets.iter().map(|target| target.sh(all)).collect();
    let two = host.commit("2");
    let fleet = ["-D", "server_groups:canary, default", "-D", "dsh_targets:two"];
    let run = |arguments: &[&str]| host.run(&[arguments, &fleet].concat());

    run(&["config"]).ends(0).says("scap/scap.cfg:").says("/etc/scap.cfg:");
    run(&["plan"]).ends(0).says(&two[..10]);
    run(&["status"]).ends(0).says(&one[..10]);
    run(&["deploy", "--dry-run"]).ends(0).says("-colour = red, by scap").says("+colour = blue");
    let after: Vec<String> = targets.iter().map(|target| target.sh(all)).collect();
    assert_eq!(after, before);

    run(&["deploy", "--yes", "-l", "127.0.0.1"]).ends(0);
    assert_eq!((targets[0].links(), targets[1].links()), (finalized(&two), finalized(&one)));
    run(&["deploy", "--yes"]).ends(0);
    assert!(targets.iter().all(|target| target.links() == finalized(&two)));
    let tags = host.git(&["tag", "-l"]);
    assert!(tags.lines().all(|tag| tag.starts_with("scap/sync/")) && tags.lines().count() == 2, "{tags}");

    run(&["rollback", "--yes", "--to", &one]).ends(0);
    for target in &targets {
        assert_eq!(target.links(), finalized(&one));
        assert_eq!(configured(target), "colour = red, by scap");
        target.wait_until_runs(0, "1");
    }
}

#[test]
fn half_broken_hosts_of_scaps_are_taken_over() {
    let host = DeployHost::new();
    let one = host.commit("1");
    let two = host.commit("2");
    let three = host.commit("3");
    let cache = format!("{LIVE}-cache");
    // What is done to a host that runs the second revision, and had the first one before.
    let harms = [
        ("leftover .in-progress", format!("ln -s {cache}/revs/{one} {cache}/.in-progress")),
        ("dangling current", format!("ln -sfn {cache}/revs/{} {cache}/current", "0".repeat(40))),
        ("no .done", format!("rm {cache}/.done")),
        (".done of a removed revision", format!("rm -rf {cache}/revs/{one}; ln -sfn {cache}/revs/{one} {cache}/.done")),
        (
            "stale locks",
            format!(
                "cd {cache}/cache/.git && touch index.lock packed-refs.lock HEAD.lock config.lock shallow.lock; \
                 touch {cache}/revs/{two}/.git/index.lock"
            ),
        ),
        ("trees of another owner", format!("chown -R 65534:65534 {cache}")),
        ("a real directory", format!("rm {LIVE} && cp -a {cache}/revs/{two} {LIVE} && echo x >{LIVE}/precious")),
        ("no cache", format!("mv {cache}/cache {cache}/revs/../gone")),
        (
            "a bare cache",
            format!(
                "cd {cache} && mv cache/.git bare && rm -r cache && mv bare cache && git -C cache config core.bare true"
            ),
        ),
        (
            "half a clone",
            format!("cd {cache}/cache/.git && rm -r refs && rm -f packed-refs && touch objects/pack/tmp_pack_x"),
        ),
        (
            "damaged objects",
            format!(
                "cd {cache}/cache/.git/objects && find . -type f ! -name '*.idx' -exec chmod u+w {{}} + && \
                 find . -type f ! -name '*.idx' -exec truncate -s 40 {{}} +"
            ),
        ),
        (
            "half a checkout of the new revision",
            format!(
                "git clone -q --no-checkout {cache}/cache {cache}/revs/{three} && touch {cache}/revs/{three}/.git/index.lock"
            ),
        ),
        ("an empty folder for the new revision", format!("mkdir {cache}/revs/{three}")),
        ("no link for the service", format!("rm {LIVE}")),
        ("a path by way of current", format!("ln -sfn page-cache/current {LIVE}")),
        ("relative links", format!("cd {cache} && ln -sfn revs/{two} current && ln -sfn revs/{two} .done")),
    ];
    let hosts: String = (20..).zip(&harms).map(|(number, _)| format!("127.0.0.{number}\n")).collect();
    std::fs::write(host.repo().join("scap/canaries"), hosts).unwrap();
    let targets: Vec<Target> = (20..).zip(&harms).map(|(number, _)| host.target(number)).collect();
    for (target, (_, harm)) in targets.iter().zip(&harms) {
        target.furnish(&[]);
        let scap = |revision: &str| host.scap(revision, "red");
        target.sh(&format!("{} && {} && {harm}", scap(&one), scap(&two)));
    }
    // No service here; and where no check fails, all of them go through.
    let settings = ["-D", "service_name:", "-D", "perform_checks:no", "-D", "canary_group_size:all"];
    let canary = ["-D", "server_groups:canary"];
    host.deploy(&[&settings[..], &canary].concat()).ends(0);
    for (target, (name, _)) in targets.iter().zip(&harms) {
        assert_eq!(target.links(), finalized(&three), "{name}");
        let told = target.sh(&format!("cd {LIVE} && git -c safe.directory='*' rev-parse HEAD && cat version"));
        assert_eq!(told, format!("{three}\n3"), "{name}");
    }
    assert_eq!(targets[6].sh("cat /srv/deployment/service/page.before-hoist-*/precious"), "x");
    // And Scap can have them back.
    let four = host.commit("4");
    for (target, (name, _)) in targets.iter().zip(&harms) {
        if *name != "a bare cache" {
            target.sh(&format!("git config --global safe.directory '*' && {}", host.scap(&four, "red")));
            assert_eq!(target.links(), finalized(&four), "{name}");
        }
    }
}

#[test]
fn a_half_broken_host_of_scaps_is_told_of_when_its_takeover_fails() {
    let host = DeployHost::new();
    let one = host.commit("1");
    let two = host.commit("2");
    let cache = format!("{LIVE}-cache");
    let on_two = (finalized(&two), "2", "black");
    let harms = [
        // Where nothing is live, a rollback goes to what is finalized.
        (format!("ln -sfn {cache}/revs/{} {cache}/current", "0".repeat(40)), on_two.clone()),
        // What is live is what a rollback goes to, finalized or not.
        (
            format!("ln -sfn {cache}/revs/{one} {cache}/current; ln -sfn {cache}/revs/{one} {LIVE}"),
            (format!("{one} {two} - {one}"), "1", "red"),
        ),
        (format!("touch {cache}/revs/{two}/.git/index.lock"), on_two.clone()),
        (format!("chown -R 65534:65534 {cache}"), on_two),
    ];
    let hosts: String = (20..).zip(&harms).map(|(number, _)| format!("127.0.0.{number}\n")).collect();
    std::fs::write(host.repo().join("scap/environments/beta/beta-hosts"), hosts).unwrap();
    let targets: Vec<Target> = (20..).zip(&harms).map(|(number, _)| host.target(number)).collect();
    for (target, (harm, _)) in targets.iter().zip(&harms) {
        target.furnish(&[]);
        target.sh(&format!("{} && {} && {harm}", host.scap(&one, "red"), host.scap(&two, "black")));
    }
    host.commit("3");
    let settings = ["-e", "beta", "-D", "git_server:"];
    let failing = "checks:\n  answers:\n  fails:\n    stage: promote\n    shell: true\n    command: \
                   test $(cat $SCAP_FINAL_PATH/version) != 3\n  not-in-production:\n";
    std::fs::write(host.repo().join("scap/environments/beta/checks.yaml"), failing).unwrap();
    host.deploy(&settings).ends(1).says("check fails failed with exit status 1");
    for (target, (harm, (links, version, colour))) in targets.iter().zip(&harms) {
        assert_eq!(target.links(), *links, "{harm}");
        assert_eq!(target.sh(&format!("cat {LIVE}/version")), *version, "{harm}");
        assert_eq!(configured(target), format!("colour = {colour}, by scap"), "{harm}");
    }
    // Without anything that is live or finalized there is nothing to go back to: the host is left and named.
    for target in &targets[..1] {
        target.sh(&format!("rm {cache}/.done {cache}/current"));
    }
    let ran = host.deploy(&[&settings[..], &["--break-glass", "again"]].concat()).ends(3);
    ran.says("left as it is").says("127.0.0.20");
    assert!(targets.iter().zip(&harms).skip(1).all(|(target, (_, (links, ..)))| target.links() == *links));
}
