//! What becomes of a stage when the connection under it goes: nothing.

use std::process::Command;

use hoist::wire::{CheckPoint, Recorded, Stage, StageRequest};

use crate::harness::*;

/// Starts a stage and takes everything away from it that a connection gives: its output, its errors, and, as sshd may, a
/// hangup. It says a lot after that.
fn alone(target: &Target, request: &StageRequest, stage: Stage, pack: &[u8]) {
    let (at, go) = (target.dir.path().join("at"), target.dir.path().join("go"));
    let _ = std::fs::remove_file(&at);
    let _ = std::fs::remove_file(&go);
    let wait = format!(
        "touch {}; while ! test -e {}; do sleep 0.02; done; seq 20000; seq 20000 >&2",
        at.display(),
        go.display()
    );
    let request = StageRequest { checks: vec![check("talks", CheckPoint::Before(stage), &wait)], ..request.clone() };
    let mut child = spawn(&asked(&request, stage, 0));
    use std::io::Write;
    child.stdin.as_mut().unwrap().write_all(pack).unwrap();
    until(|| at.exists());
    drop((child.stdin.take(), child.stdout.take(), child.stderr.take()));
    for signal in ["-HUP", "-PIPE"] {
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    }
    std::fs::write(&go, "").unwrap();
    child.wait().unwrap();
    match recorded(&request, stage) {
        Recorded::Ended { outcome, .. } => assert_eq!(outcome, Ok(()), "{stage}"),
        other => panic!("{stage}: {other:?}"),
    }
}

#[test]
fn every_stage_comes_to_its_end_without_its_connection() {
    let (target, one, two, mut request) = Target::with_two();
    request.restore = Some(one.clone());
    let pack = target.pack(&two, &[]);
    let fetch = hoist::wire::Fetch {
        pack_bytes: Some(pack.len() as u64),
        shallow: Vec::new(),
        source: None,
        rebuild: false,
        ..Default::default()
    };
    alone(&target, &StageRequest { fetch: Some(fetch), ..request.clone() }, Stage::Fetch, &pack);
    for stage in [Stage::ConfigDeploy, Stage::Promote, Stage::RestartService, Stage::Rollback] {
        alone(&target, &request, stage, b"");
    }
    let state = target.facts(&request).state;
    assert_eq!((state.current.as_ref(), state.done.as_ref()), (Some(&one), Some(&one)));
    let again = target.request("r3", &two);
    run(&again, Stage::Promote).ok();
    alone(&target, &again, Stage::Finalize, b"");
    assert_eq!(target.facts(&again).state.done, Some(two));
}
