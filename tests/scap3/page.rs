//! The whole of a repository of Scap's, deployed as it stands.

use crate::fleet::{DeployHost, LIVE, finalized};

#[test]
fn a_repository_of_scaps_deploys_unedited_and_goes_back() {
    let host = DeployHost::new();
    let targets = [1, 2, 3, 4, 5].map(|number| host.target(number));
    // The last one has no worker.
    for target in &targets {
        target.furnish(if target.address == "127.0.0.5" { &["page"] } else { &["page", "page-worker"] });
    }
    let one = host.commit("1");
    let ran = host.deploy(&["-v"]).ends(0);
    let notes = [
        "git_repo_user has no effect",
        "hook tcpircbot was not told started, finished (no answer from 127.0.0.1:1: Connection refused)",
        "git_rev is also in line",
        "max_failures has no effect",
    ];
    let ran = notes.into_iter().fold(ran, |ran, note| ran.says(note));
    let ran = ran.says("[esams.wmnet] is not for this host").says("check load: LOAD OK -w 15 -c 30");
    ran.says("service page-worker is skipped: this host does not have it");
    let revs = format!("{LIVE}-cache/revs");
    for target in &targets {
        assert_eq!(target.links(), finalized(&one), "{}", target.address);
        target.wait_until_runs(0, "1");
        let canary = (target.address == "127.0.0.1").then(|| format!("canary {revs}/{one}"));
        let mut wanted: Vec<String> = canary.into_iter().collect();
        wanted.push(format!("production {revs}"));
        wanted.extend([format!("depool {revs}/{one}"), "repool 1".to_owned(), format!("done {revs}/{one}")]);
        assert_eq!(target.checked(), wanted, "{}", target.address);
    }
    let target = &targets[1];
    assert_eq!(target.sh(&format!("cat {LIVE}/venv/built")), "all of it");
    assert_eq!(
        target.sh("cat /srv/etc/page/page.yaml").trim_start(),
        "colour: blue\nsecret: hunter2\ndebug: true\nnothing: null\nworkers:\n  - \"A\": 8001\n  - \"B\": 8002\n\
         mirrors: one,two\nfooter: blue"
    );
    assert_eq!(target.sh("cat /srv/etc/page/page.ini").trim(), "colour = blue\ndebug = True");
    assert_eq!(
        target.sh("cat /srv/etc/page/flags"),
        "true null [{'name': 'a', 'port': 8000}, {'name': 'b', 'port': 8001}]"
    );
    assert_eq!(target.sh(&format!("cat {LIVE}/build/info.txt")), "built for blue");
    assert_eq!(
        target.sh("readlink /srv/etc/page/page.ini"),
        format!("../../deployment/service/page-cache/revs/{one}/.git/config-files/srv/etc/page/page.ini")
    );
    assert_eq!(target.sh(&format!("readlink {LIVE}")), format!("page-cache/revs/{one}"));
    assert_eq!(target.sh(&format!("stat -c %a {LIVE}/version")), "644", "the umask is the login's");
    let folders = "/srv/deployment /srv/deployment/service /srv/deployment/service/page-cache/revs";
    assert_eq!(target.sh(&format!("stat -c %a {folders} {LIVE}/.")), "755\n755\n755\n755", "others may look into them");

    let worker = target.wait_until_runs(1, "1");
    let page = target.wait_until_runs(0, "1");
    let two = host.commit("2");
    host.deploy(&[]).ends(0);
    assert_eq!(target.links(), finalized(&two));
    assert_ne!(target.wait_until_runs(0, "2"), page, "it was restarted");
    assert_eq!(target.wait_until_runs(1, "2"), worker, "it was reloaded");

    // A version whose page never answers fails the canary's check, and the canary is back with its service.
    targets.iter().for_each(|target| drop(target.checked()));
    host.commit("3-mute");
    host.deploy(&[]).ends(1).says("check answers").says("and the page says");
    for target in &targets {
        assert_eq!(target.links(), finalized(&two), "{}", target.address);
        target.wait_until_runs(0, "2");
    }
    let checked = targets[0].checked();
    assert_eq!(checked.last(), Some(&format!("rolled back to {revs}/{two}")), "{checked:?}");
    assert_eq!(targets[1].checked(), Vec::<String>::new(), "nobody else was touched");

    host.run(&["rollback", "--yes"]).ends(0);
    for target in &targets {
        assert_eq!(target.links(), finalized(&one), "{}", target.address);
        target.wait_until_runs(0, "1");
    }
}

#[test]
fn an_environment_of_scaps_has_its_own_hosts_files_and_checks_and_a_git_server() {
    let host = DeployHost::new();
    let targets = [6, 7].map(|number| host.target(number));
    for target in &targets {
        target.furnish(&[]);
        target
            .sh(&format!("mkdir -p /srv/mirror/service && ln -s '{}' /srv/mirror/service/page", host.repo().display()));
    }
    let one = host.commit("1");
    // The repository's own check not-in-production fails; the environment's has taken its place.
    host.deploy(&["-e", "beta"]).ends(0);
    for target in &targets {
        assert_eq!(target.links(), finalized(&one));
        let checked = target.checked();
        assert_eq!(checked[0], "beta build of all of it", "the environment's own script");
        assert_eq!(checked.len(), 4, "{checked:?}");
        assert_eq!(target.sh(&format!("cat {LIVE}/build/info.txt")), "beta build, green");
        assert_eq!(target.sh("cat /srv/etc/page/flags").split(' ').next(), Some("false"));
    }
}
