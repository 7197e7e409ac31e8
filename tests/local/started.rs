//! Requests that a lock holder has carried out by processes of their own.

use std::io::Write;

use hoist::wire::{
    CheckPoint, Fetch, LONGEST_START, LockHolderLine, Recorded, Request, Stage, StageRequest, TargetEvent,
};

use crate::harness::*;

/// What announces a request, the request, and what follows it.
pub fn started(number: u32, request: &Request, pack: &[u8]) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(request).unwrap();
    bytes.push(b'\n');
    bytes.extend(pack);
    let mut said = announced(number, bytes.len() as u64);
    said.extend(bytes);
    said
}

fn announced(number: u32, bytes: u64) -> Vec<u8> {
    let mut line = serde_json::to_vec(&LockHolderLine::Start { number, bytes, private: false }).unwrap();
    line.push(b'\n');
    line
}

/// What a stage says last, and what is said of its process.
pub fn end_of(holder: &mut LockHolder) -> (TargetEvent, TargetEvent) {
    let mut last = holder.next();
    loop {
        match holder.next() {
            exited @ TargetEvent::Exited { .. } => return (last, exited),
            event => last = event,
        }
    }
}

fn exited(number: u32, status: i32) -> TargetEvent {
    TargetEvent::Exited { number, status: Some(status), signal: None }
}

/// A fetched revision, whose promote says that it is there, and waits.
fn waiting() -> (Target, StageRequest, LockHolder) {
    let (target, _, request) = Target::fetched();
    let wait = format!("echo there >> {0}; while test -e {0}; do sleep 0.05; done", target.log().display());
    let checks = vec![check("wait", CheckPoint::Before(Stage::Promote), &wait)];
    let request = StageRequest { checks, ..request };
    let mut holder = LockHolder::start(&request);
    assert_eq!(holder.hold(), TargetEvent::Held);
    holder.input().write_all(&started(0, &asked(&request, Stage::Promote, 0), b"")).unwrap();
    until(|| target.log().exists());
    (target, request, holder)
}

#[test]
fn a_lock_holder_has_a_whole_deployment_carried_out_and_tells_how_each_process_ended() {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    let mut request = target.request("r1", &one);
    let mut holder = LockHolder::start(&request);
    assert_eq!(holder.hold(), TargetEvent::Held);
    let pack = target.pack(&one, &[]);
    request.fetch = Some(Fetch { pack_bytes: Some(pack.len() as u64), ..Fetch::default() });
    let stages = [(Stage::Fetch, pack.as_slice()), (Stage::Promote, b""), (Stage::Finalize, b"")];
    for (number, (stage, pack)) in (0..).zip(stages) {
        holder.input().write_all(&started(number, &asked(&request, stage, 0), pack)).unwrap();
        let (ended, end) = end_of(&mut holder);
        assert!(matches!(ended, TargetEvent::Ended { outcome: Ok(()), .. }), "{stage}: {ended:?}");
        assert_eq!(end, exited(number, 0));
    }
    assert_eq!(target.facts(&request).state.done, Some(one));
    // What fails has a status of its own, and the lock holder goes on.
    let gone = target.request("r1", &"0".repeat(40).parse().unwrap());
    holder.input().write_all(&started(3, &asked(&gone, Stage::Promote, 0), b"")).unwrap();
    let (ended, end) = end_of(&mut holder);
    assert!(matches!(ended, TargetEvent::Ended { outcome: Err(_), .. }), "{ended:?}");
    assert_eq!(end, exited(3, 1));
    assert_eq!(holder.hold(), TargetEvent::Held);
    assert_eq!(holder.end(), Some(0));
}

#[test]
fn a_process_that_a_lock_holder_started_outlives_it() {
    let (target, request, holder) = waiting();
    assert_eq!(holder.end(), Some(0), "it ends with its connection");
    assert_eq!(recorded(&request, Stage::Promote), Recorded::Running);
    std::fs::remove_file(target.log()).unwrap();
    until(|| matches!(recorded(&request, Stage::Promote), Recorded::Ended { outcome: Ok(()), .. }));
    assert_eq!(target.facts(&request).state.current, Some(request.revision));
}

#[test]
fn a_process_that_is_killed_is_told_of_by_its_signal() {
    let (target, request, mut holder) = waiting();
    let note: serde_json::Value =
        serde_json::from_str(&target.reads(&target.root().join(".hoist/stage.lock").display().to_string())).unwrap();
    let process = rustix::process::Pid::from_raw(note["process"].as_i64().unwrap() as i32).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
    let end = std::iter::repeat_with(|| holder.next()).find(|event| matches!(event, TargetEvent::Exited { .. }));
    assert_eq!(end, Some(TargetEvent::Exited { number: 0, status: None, signal: Some("KILL".into()) }));
    assert!(matches!(recorded(&request, Stage::Promote), Recorded::Died { .. }));
    std::fs::remove_file(target.log()).unwrap();
    holder.end();
}

#[test]
fn a_request_that_comes_in_part_or_is_too_long_is_not_carried_out() {
    let (_target, _, request) = Target::fetched();
    let whole = started(0, &asked(&request, Stage::Promote, 0), b"");
    for part in [whole[..whole.len() - 1].to_vec(), announced(0, LONGEST_START + 1)] {
        let mut holder = LockHolder::start(&request);
        assert_eq!(holder.hold(), TargetEvent::Held);
        holder.input().write_all(&part).unwrap();
        assert_eq!(holder.end(), Some(0));
        assert_eq!(recorded(&request, Stage::Promote), Recorded::Nothing);
    }
}
