//! Scap and Hoist on one deploy host: neither deploys while the other does, and each knows of whom it waits for.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use rustix::fs::{FlockOperation, fcntl_lock};

use crate::common::{Ran, locked, signal};
use crate::fleet::DeployHost;

/// A file of Scap's, opened as Scap opens it to have it to itself.
fn open(host: &DeployHost, name: &str) -> File {
    let path = host.path("run/lock").join(name);
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap()
}

fn is_free(file: &File, how: FlockOperation) -> bool {
    let free = fcntl_lock(file, how).is_ok();
    let _ = fcntl_lock(file, FlockOperation::Unlock);
    free
}

use FlockOperation::{NonBlockingLockExclusive as Alone, NonBlockingLockShared as Shared};

/// `hoist lock` with these arguments, once it holds the lock.
fn lock(host: &DeployHost, arguments: &[&str]) -> Child {
    locked(host.hoist(&[&["lock"], arguments].concat()), "locked by op on deploy1")
}

fn end(mut child: Child) {
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn scaps_locks_are_made_taken_and_filled_where_scap_looks_whatever_lock_dir_says() {
    let host = DeployHost::committed();
    fs::create_dir(host.path("run/elsewhere")).unwrap();
    let settings = ["-D", "lock_dir:/run/elsewhere", "-D", "lock_file:"];
    let held = lock(&host, &[&settings[..], &["no", "more", "room"]].concat());
    let text = fs::read_to_string(host.path("run/lock/scap.service_page.lock")).unwrap();
    let said: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&said["locker"], &said["pid"], &said["reason"]),
        (&"op".into(), &held.id().into(), &"no more room".into())
    );
    // Mon Nov 23 14:45:52 2026
    assert_eq!(said["timestamp_utc"].as_str().unwrap().len(), 24, "{text}");
    let (own, global) = (open(&host, "scap.service_page.lock"), open(&host, "scap-global-lock"));
    assert!(!is_free(&own, Shared), "Scap would deploy as well");
    assert!(is_free(&global, Shared) && !is_free(&global, Alone), "deployments share it");
    // Another Hoist that has other locks meets it there.
    fs::create_dir(host.path("run/third")).unwrap();
    let third = ["-D", "lock_dir:/run/third", "-D", "lock_file:", "-D", "lock_timeout:0"];
    let pid = format!("(process {}): op, just now", held.id());
    host.run(&[&["lock"], &third[..]].concat()).ends(5).says(&pid).says("no more room");
    host.run(&[&["plan"], &third[..]].concat()).says("service/page is locked with Scap's lock file");
    end(held);
    assert_eq!(fs::read_to_string(host.path("run/lock/scap.service_page.lock")).unwrap(), "{}");
    assert!(is_free(&own, Alone) && is_free(&global, Alone));
}

#[test]
fn the_end_of_a_lock_tells_of_the_locks_that_stay() {
    let host = DeployHost::committed();
    let note = r#"{"locker": "alice", "pid": 1, "timestamp_utc": "Mon Nov 23 14:45:52 2026", "reason": "by scap"}"#;
    // The lock that is not let go, if it is the one that is to be ended, is a failure; the other one is told of.
    for (name, ends, all_ends) in [("page.lock", 5, 0), ("scap-global-lock", 0, 5)] {
        let file = open(&host, name);
        fs::write(host.path("run/lock").join(name), note).unwrap();
        fcntl_lock(&file, Alone).unwrap();
        let own = host.run(&["lock", "--end"]).ends(ends).says("by scap").says(name);
        let all = host.run(&["lock", "--end", "--all"]).ends(all_ends).says("by scap");
        assert_eq!([&own, &all].map(|ran| ran.out.contains("is not locked")), [ends == 0, all_ends == 0]);
        fcntl_lock(&file, FlockOperation::Unlock).unwrap();
    }
    let all = lock(&host, &["--all", "power", "cut"]);
    host.run(&["lock", "--end"]).ends(0).says("power cut").says("end it with `hoist lock --end --all`");
    end(all);
    let ran = host.run(&["lock", "--end"]).ends(0).says("service/page is not locked");
    assert_eq!(ran.err, "");
}

#[test]
fn the_folder_of_scaps_lock_is_made_again_after_a_reboot() {
    let host = DeployHost::committed();
    host.run(&["lock", "-D", "umask:0002", "-D", "lock_file:/run/scap/locks/page.lock", "--time", "1s"]).ends(0);
    let folder = fs::metadata(host.path("run/scap/locks")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&folder.permissions()) & 0o777, 0o775);
    assert_eq!(fs::read_to_string(host.path("run/scap/locks/page.lock")).unwrap(), "{}");
}

#[test]
fn a_lock_on_all_is_scaps_too_and_waits_for_those_who_deploy() {
    let host = DeployHost::committed();
    let global = open(&host, "scap-global-lock");
    fcntl_lock(&global, Shared).unwrap();
    host.run(&["lock", "--all", "-D", "lock_timeout:0", "power"]).ends(5).says("scap-global-lock");
    fcntl_lock(&global, FlockOperation::Unlock).unwrap();
    let held = lock(&host, &["--all", "power", "cut"]);
    let said: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(host.path("run/lock/scap-global-lock")).unwrap()).unwrap();
    assert_eq!((&said["locker"], &said["reason"]), (&"op".into(), &"power cut".into()));
    assert!(!is_free(&global, Shared), "Scap would deploy as well");
    end(held);
    assert!(is_free(&global, Alone));
    assert_eq!(fs::read_to_string(host.path("run/lock/scap-global-lock")).unwrap(), "{}");
}

#[test]
fn a_deployment_waits_for_scaps_as_scap_waits_for_its_own() {
    let host = DeployHost::committed();
    let own = open(&host, "page.lock");
    let note = r#"{"locker": "alice", "pid": 1, "timestamp_utc": "Mon Nov 23 14:45:52 2026", "reason": "by scap"}"#;
    fs::write(host.path("run/lock/page.lock"), note).unwrap();
    fcntl_lock(&own, Alone).unwrap();
    host.run(&["lock", "-D", "lock_timeout:0"]).ends(5).says("alice, ");
    let mut waits = host.hoist(&["lock", "--time", "1s"]);
    let mut waits = waits.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(waits.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("'by scap'; waiting for up to 600 s"), "{line}");
    fcntl_lock(&own, FlockOperation::Unlock).unwrap();
    Ran::of(waits.wait_with_output().unwrap()).ends(0).says("is locked by op on deploy1");

    // Its lock on all repositories keeps out a repository that is none of Scap's.
    fs::rename(host.repo().join("scap"), host.repo().join("hoist")).unwrap();
    fs::rename(host.repo().join("hoist/scap.cfg"), host.repo().join("hoist/hoist.cfg")).unwrap();
    host.run(&["lock", "--time", "1s"]).ends(0);
    let global = open(&host, "scap-global-lock");
    fs::write(host.path("run/lock/scap-global-lock"), "maintenance of scap's").unwrap();
    fcntl_lock(&global, Alone).unwrap();
    host.run(&["lock"]).ends(5).says("scap-global-lock").says("maintenance of scap's");
}
