//! Targets whose remote user may start few processes: threads count as such.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use hoist::wire::{Fetch, Recorded, Request, Revision, Stage, StageRequest, TargetEvent};

use crate::harness::*;
use crate::rights::is_root;
use crate::started::{end_of, started};

const REFUSED: &str = "Resource temporarily unavailable";
/// More than any stage needs.
const ENOUGH: usize = 14;

/// Nobody else is this user: the system counts all processes of a user, whoever started them.
struct User(String);

impl User {
    fn new(first: usize, number: usize) -> User {
        User((first + number).to_string())
    }

    /// `hoist deploy-local` of this user with room for so many processes, itself included.
    fn limited_to(&self, processes: usize) -> Command {
        let mut command = Command::new("prlimit");
        command.arg(format!("--nproc={processes}")).args(["setpriv", "--reuid", &self.0, "--regid", &self.0]);
        command.args(["--clear-groups", HOIST, "deploy-local"]);
        command
    }
}

/// A target of a user, a revision, and a request to deploy it whose lease is renewed while a stage is at work. `None`
/// where this user cannot make one.
fn target(user: &User) -> Option<(Target, Revision, StageRequest)> {
    if !is_root() {
        return None;
    }
    let (target, one, mut request) = Target::with_one();
    request.confirm_timeout = 600;
    request.service.command = "/bin/sh -c 'echo {action}'".to_owned();
    fs::set_permissions(target.dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    fs::create_dir_all(target.deploy_dir()).unwrap();
    let owns = Command::new("chown").args(["-R", &format!("{0}:{0}", user.0)]).arg(target.deploy_dir()).status();
    assert!(owns.unwrap().success());
    Some((target, one, request))
}

/// A stage's request with the bytes that follow it.
fn stages(target: &Target, request: &StageRequest) -> [(Stage, Request, Vec<u8>); 5] {
    let pack = target.pack(&request.revision, &[]);
    let fetch = Some(Fetch { pack_bytes: Some(pack.len() as u64), ..Fetch::default() });
    let fetching = StageRequest { fetch, ..request.clone() };
    [Stage::Fetch, Stage::ConfigDeploy, Stage::Promote, Stage::Finalize, Stage::Rollback].map(|stage| {
        let (request, pack) = match stage {
            Stage::Fetch => (&fetching, pack.clone()),
            _ => (request, Vec::new()),
        };
        (stage, asked(request, stage, 0), pack)
    })
}

#[test]
fn a_stage_for_which_no_process_can_be_started_fails_says_so_and_goes_through_with_more() {
    let mut refused = 0;
    for processes in 1..=ENOUGH {
        let user = User::new(4100, processes);
        let Some((target, one, plain)) = target(&user) else { return };
        let mut is_live = false;
        for (stage, request, pack) in stages(&target, &plain) {
            for room in processes..=ENOUGH {
                let mut child = spawn_by(user.limited_to(room), &request);
                let _ = child.stdin.take().unwrap().write_all(&pack);
                let reply = reply(child);
                // A lease's watcher is at work already, and there is no room for another process at all.
                if reply.errors.starts_with("setpriv: failed to execute") {
                    continue;
                }
                assert!(reply.errors.is_empty(), "{stage} with {room}: {reply:#?}");
                let (outcome, state) = reply.ended();
                if let Some(state) = state {
                    assert!(state.current.is_some() || !is_live, "{stage} with {room}: {reply:#?}");
                    is_live = state.current.is_some();
                }
                if outcome.is_ok() {
                    assert_eq!(reply.status, Some(0), "{stage} with {room}: {reply:#?}");
                    break;
                }
                let reason = reply.reason();
                assert!(reason.contains(REFUSED), "{stage} with {room}: {reply:#?}");
                // It has ended, or never began: it did not die.
                let known = recorded(&plain, stage);
                assert!(matches!(known, Recorded::Ended { .. } | Recorded::Nothing), "{stage} with {room}: {known:?}");
                refused += 1;
                assert!(room < ENOUGH, "{stage} fails with all: {reply:#?}");
            }
        }
        let facts = target.facts(&target.request("r2", &one));
        // There is nothing to roll back to.
        assert_eq!((facts.state.current, facts.state.done), (Some(one), None), "{processes}");
    }
    assert!(refused > ENOUGH, "the limit counts for nothing: {refused}");
}

#[test]
fn a_lock_holder_that_can_start_no_process_says_so_and_stays() {
    for processes in 1..=ENOUGH {
        let user = User::new(4200, processes);
        let Some((target, _, request)) = target(&user) else { return };
        let probed = Request::Probe(probe(&request));
        let mut holder = match LockHolder::of(spawn_by(user.limited_to(processes), &probed)).map_err(|event| *event) {
            Ok(holder) => holder,
            Err(TargetEvent::Ended { outcome: Err(fault), .. }) => {
                assert!(fault.to_string().contains(REFUSED), "{processes}: {fault}");
                continue;
            }
            Err(other) => panic!("{processes}: {other:?}"),
        };
        if let TargetEvent::Ended { outcome: Err(fault), .. } = holder.hold() {
            assert!(fault.to_string().contains(REFUSED), "{processes}: {fault}");
            continue;
        }
        for (number, (stage, request, pack)) in (0..).zip(stages(&target, &request)).take(2) {
            holder.input().write_all(&started(number, &request, &pack)).unwrap();
            let (ended, exited) = end_of(&mut holder);
            let TargetEvent::Ended { outcome, .. } = ended else { panic!("{stage} with {processes}: {ended:?}") };
            let status = i32::from(outcome.is_err());
            assert_eq!(exited, TargetEvent::Exited { number, status: Some(status), signal: None });
            // The second stage has nothing to work with when the first one failed.
            if let (Err(fault), Stage::Fetch) = (outcome, stage) {
                assert!(fault.to_string().contains(REFUSED), "{processes}: {fault}");
            }
        }
        assert_eq!(holder.hold(), TargetEvent::Held);
        assert_eq!(holder.end(), Some(0));
    }
}
