//! Listeners that do not listen: they hold up nothing, and are named.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{Project, Ran, all_on};
use crate::listeners::{Manner, Web, until};

const LIFE: &str = "[started, group, finished]";

#[test]
fn a_listener_that_hangs_holds_up_no_stage() {
    let (farm, project) = Project::on_farm(1, 1);
    let go = Arc::new(AtomicBool::new(false));
    let held = Web::start(Manner::Held(go.clone()));
    // It may hang for far longer than the test.
    // One refuses, one answers 500, one floods, and a command hangs, each tried again for as long.
    let (bad, flood) = (Web::start(Manner::Badly), Web::start(Manner::Flood));
    let hook = |name: &str, url: &str| {
        format!("  {name}: {{type: webhook, on: {LIFE}, url: '{url}', timeout: 3600, retries: 1}}\n")
    };
    let gone = project.path(".git/gone");
    project.write(
        "hoist/hooks.yaml",
        &format!(
            "hooks:\n  web: {{type: webhook, on: {LIFE}, url: '{}', timeout: 3600}}\n  script: {{on: started, shell: true, \
             timeout: 3600, command: 'while ! test -e {}; do sleep 0.1; done'}}\n{}{}{}",
            held.url(),
            gone.display(),
            hook("refuses", "http://127.0.0.1:1/"),
            hook("bad", &bad.url()),
            hook("flood", &flood.url()),
        ),
    );
    let one = project.commit("one");
    let deployer = project.hoist(&["deploy", "--yes"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    // The journal is closed while the first word is still not answered: no stage has waited for it.
    let journal = || {
        let entries = std::fs::read_dir(project.path("hoist/state")).into_iter().flatten().flatten();
        let journals =
            entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|it| it == "journal"));
        journals.filter_map(|path| std::fs::read_to_string(path).ok()).collect::<String>()
    };
    until("the end of the journal", || journal().contains("\"record\":\"closed\""));
    assert_eq!(held.told(), ["started"]);
    all_on(&farm, 2, &one);
    go.store(true, Ordering::SeqCst);
    std::fs::write(&gone, "").unwrap();
    let ran = Ran::of(deployer.wait_with_output().unwrap()).ends(0);
    for (name, is_told) in [("web", true), ("script", true), ("refuses", false), ("bad", false), ("flood", false)] {
        assert_eq!(ran.out.contains(&format!("hook {name} was not told")), !is_told, "{name}: {}", ran.out);
    }
    assert_eq!(held.told(), ["started", "group canary", "group default", "finished deployed"]);

    // Those who refuse, fail, flood or hang are named, and the deployment is what it is.
    let (bad, flood) = (Web::start(Manner::Badly), Web::start(Manner::Flood));
    let hang = Web::start(Manner::Held(Arc::default()));
    let hook = |name: &str, url: &str| {
        format!("  {name}: {{type: webhook, on: [started, finished], url: '{url}', timeout: 1}}\n")
    };
    project.write(
        "hoist/hooks.yaml",
        &format!(
            "hooks:\n{}{}{}{}  fails: {{on: finished, command: 'sh -c \"echo no luck; exit 3\"'}}\n  hangs: {{on: \
             finished, command: sleep 600, timeout: 1}}\n  fine: {{on: finished, shell: true, command: 'cat > .git/fine'}}\n",
            hook("refuses", "http://127.0.0.1:1/"),
            hook("bad", &bad.url()),
            hook("flood", &flood.url()),
            hook("hang", &hang.url()),
        ),
    );
    let two = project.commit("two");
    let ran = project.deploy(&[]).ends(0);
    all_on(&farm, 2, &two);
    for named in [
        "hook refuses was not told started, finished (no answer from 127.0.0.1:1: Connection refused)",
        "hook bad was not told started, finished (127.0.0.1:",
        "answers with HTTP status 500: out of order)",
        "hook flood was not told started, finished (",
        "hook hang was not told started, finished (",
        "hook fails was not told finished (exit status 3: no luck)",
        "hook hangs was not told finished (",
    ] {
        assert!(ran.out.contains(named), "{named}\n{}\n{}", ran.out, ran.err);
    }
    assert!(std::fs::read_to_string(project.path(".git/fine")).unwrap().contains("\"result\":\"deployed\""));

    // What could not be told is not told later.
    project.write("hoist/hooks.yaml", &format!("hooks:\n{}", hook("bad", &bad.url())));
    project.commit("three");
    let before = bad.told().len();
    project.deploy(&[]).ends(0);
    assert_eq!(bad.told()[before..], ["started", "finished deployed"]);
}

#[test]
fn a_required_hook_that_fails_refuses_a_deployment_before_anything_is_touched() {
    let (farm, project, one) = Project::deployed(1, 1);
    let web = Web::start(Manner::Well);
    let write = |required: &str| {
        let hooks = format!(
            "hooks:\n  web: {{type: webhook, on: [started, finished], url: '{}', required: true}}\n  ticket: {{on: started, required: true, \
             command: '{required}', timeout: 5}}\n  later: {{type: webhook, on: [started, finished], url: '{}'}}\n",
            web.url(),
            web.url()
        );
        project.write("hoist/hooks.yaml", &hooks);
        project.commit("hooks")
    };
    write("sh -c \"echo ticket 12 is not open; exit 1\"");
    let refused =
        "hook ticket does not let the deployment begin: exit status 1: ticket 12 is not open; nothing was touched";
    project.deploy(&[]).ends(2).says(refused);
    all_on(&farm, 2, &one);
    // Whoever was told of the start is told that there is none, and nobody else anything.
    assert_eq!(web.told(), ["started", "finished refused"]);
    project.run(&["status"]).ends(0);

    // The way back is open, and in an emergency so is the way forward.
    let two = project.commit("two");
    project.deploy(&["--break-glass", "it burns"]).ends(0).says("hook ticket failed and is passed over");
    all_on(&farm, 2, &two);
    project.run(&["rollback", "--yes"]).ends(0).says("hook ticket failed and is passed over");
    all_on(&farm, 2, &one);
    // Without the one that was rolled back.
    project.git(&["reset", "-q", "--soft", &one]);
    let two = write("true");
    project.deploy(&[]).ends(0);
    all_on(&farm, 2, &two);
}

#[test]
fn a_listener_that_redirects_was_not_told_and_no_secret_follows() {
    let (farm, project, one) = Project::deployed(1, 1);
    let elsewhere = Web::start(Manner::Well);
    let key = project.path(".git/key");
    std::fs::write(&key, "s3cret").unwrap();
    for status in [301, 302, 303, 307, 308] {
        let moved = Web::start(Manner::Moved(status, format!("{}?token=s3cret", elsewhere.url())));
        let hook = format!(
            "hooks:\n  web: {{type: webhook, on: started, url: '{}', required: true, header_files: {{x-api-key: {key}}}, \
             hmac_secret_file: {key}}}\n",
            moved.url(),
            key = key.display()
        );
        project.write("hoist/hooks.yaml", &hook);
        project.commit_again();
        let ran = project.deploy(&[]).ends(2).says(&format!(
            "hook web does not let the deployment begin: 127.0.0.1:{} answers with HTTP status {status}: a redirect to {}, \
             which is not followed: correct the url; nothing was touched",
            moved.port,
            elsewhere.url()
        ));
        assert!(!ran.err.contains("s3cret"), "{}", ran.err);
        assert_eq!(moved.requests().len(), 1);
    }
    assert!(elsewhere.requests().is_empty(), "{:?}", elsewhere.requests());
    all_on(&farm, 2, &one);
}
