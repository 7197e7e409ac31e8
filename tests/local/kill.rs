//! A stage may be killed at any point: running it again, or rolling back, always ends well.

use std::fs;
use std::time::{Duration, Instant};

use hoist::wire::{Fetch, Revision, Stage, StageRequest};

use crate::harness::*;

/// Small steps through time that differ from run to run of this list, but not from run to run of the test.
pub struct Moments(pub u64);

impl Moments {
    pub fn next(&mut self, below: Duration) -> Duration {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        Duration::from_micros((self.0 >> 33) % (below.as_micros() as u64).max(1))
    }
}

fn request(target: &Target, run: &str, revision: &Revision, word: &str) -> StageRequest {
    let mut request = target.request(run, revision);
    request.config_files = Some(vec![config_file(&target.etc("app.conf"), "t"), config_file("inside", "t")]);
    request.templates.insert("t".to_owned(), word.to_owned());
    request.cache_revs = 1;
    request
}

fn with_pack(target: &Target, request: &StageRequest, rebuild: bool) -> (StageRequest, Vec<u8>) {
    let pack = target.pack(&request.revision, &[]);
    let pack_bytes = Some(pack.len() as u64);
    let fetch = Some(Fetch { pack_bytes, shallow: Vec::new(), source: None, rebuild, ..Default::default() });
    (StageRequest { fetch, ..request.clone() }, pack)
}

/// Starts a stage and kills it after a while; tells whether it was still at work.
pub fn kill_in(request: &StageRequest, stage: Stage, pack: &[u8], after: Duration) -> bool {
    use std::io::Write;
    let mut child = spawn(&asked(request, stage, 0));
    let started = Instant::now();
    let _ = child.stdin.take().unwrap().write_all(pack);
    std::thread::sleep(after.saturating_sub(started.elapsed()));
    let at_work = child.try_wait().unwrap().is_none();
    let _ = child.kill();
    child.wait().unwrap();
    at_work
}

/// Nothing half-made is to be seen by a service: every link leads to a whole tree.
fn looks_whole(target: &Target, request: &StageRequest, possible: &[&Revision]) {
    let facts = target.facts(request);
    let current = facts.state.current.expect("there is always something live");
    assert!(possible.contains(&&current), "{current}");
    assert!(facts.revisions.contains(&current), "what is live is whole");
    assert!(target.live().join("a").exists());
    assert!(fs::read_to_string(target.etc("app.conf")).is_ok(), "the service has its configuration");
}

#[test]
fn a_stage_that_is_killed_at_any_moment_can_be_run_again_to_the_same_end() {
    let target = Target::new();
    let files: Vec<(String, String)> = (0..60).map(|n| (format!("dir{}/f{n}", n % 7), "x".repeat(n * 50))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    target.commit(&files);
    let one = target.commit(&[("a", "1")]);
    target.deploy(&request(&target, "r1", &one, "one"));
    let mut moments = Moments(42);
    let mut killed = 0;
    let mut before = one;
    for round in 2..10 {
        let next = target.commit(&[("a", &round.to_string()), ("dir1/new", &round.to_string())]);
        let request = request(&target, &format!("r{round}"), &next, &format!("word {round}"));
        for stage in [Stage::Fetch, Stage::ConfigDeploy, Stage::Promote, Stage::Finalize] {
            let (request, pack) = match stage {
                Stage::Fetch => with_pack(&target, &request, round % 3 == 0),
                _ => (request.clone(), Vec::new()),
            };
            for _ in 0..4 {
                let most = Duration::from_millis(if stage == Stage::Fetch { 150 } else { 25 });
                killed += usize::from(kill_in(&request, stage, &pack, moments.next(most)));
                looks_whole(&target, &request, &[&before, &next]);
            }
            let reply = call(&asked(&request, stage, 0), &pack);
            assert_eq!(reply.ended().0, &Ok(()), "{stage} in round {round}: {reply:#?}");
        }
        let state = target.facts(&request).state;
        assert_eq!((state.current.as_ref(), state.done.as_ref()), (Some(&next), Some(&next)));
        assert_eq!(state.in_progress, None);
        assert!(state.stray_links.is_empty());
        assert_eq!(target.reads(&target.etc("app.conf")), format!("word {round}"));
        assert_eq!(git(&target.live(), &["status", "--porcelain"]), "?? inside");
        git(&target.live(), &["fsck", "--no-dangling"]);
        let trees: Vec<_> =
            fs::read_dir(target.root().join("revs")).unwrap().flatten().map(|e| e.file_name()).collect();
        assert_eq!(trees.len(), 2, "no leftovers: {trees:?}");
        before = next;
    }
    assert!(killed > 0, "none was killed at work");
}

/// A target with a revision and its configuration files deployed.
fn deployed() -> (Target, Revision) {
    let target = Target::new();
    let one = target.commit(&[("a", "1")]);
    target.deploy(&request(&target, "r1", &one, "one"));
    (target, one)
}

#[test]
fn a_promote_and_a_rollback_that_are_killed_at_any_moment_are_rolled_back_well() {
    let (target, one) = deployed();
    let two = target.commit(&[("a", "2")]);
    target.fetch(&request(&target, "r2", &two, "two")).ok();
    let mut moments = Moments(7);
    let mut killed = 0;
    for round in 0..12 {
        let request = request(&target, &format!("s{round:02}"), &two, "two");
        run(&request, Stage::ConfigDeploy).ok();
        killed += usize::from(kill_in(&request, Stage::Promote, b"", moments.next(Duration::from_millis(25))));
        looks_whole(&target, &request, &[&one, &two]);
        let back = StageRequest { restore: Some(one.clone()), ..request.clone() };
        killed += usize::from(kill_in(&back, Stage::Rollback, b"", moments.next(Duration::from_millis(25))));
        looks_whole(&target, &request, &[&one, &two]);
        run(&back, Stage::Rollback).ok();
        assert_eq!(target.reads(&target.etc("app.conf")), "one");
        assert_eq!(fs::read(target.live().join("a")).unwrap(), b"1");
        assert_eq!(target.facts(&request).state.done.as_ref(), Some(&one));
    }
    assert!(killed > 0, "none was killed at work");
}

#[test]
fn a_promote_that_was_killed_between_the_links_and_the_restart_still_restarts() {
    let (target, _, two, mut slow) = Target::with_two();
    target.fetch(&slow).ok();
    let at = hoist::wire::CheckPoint::After(Stage::Promote);
    slow.checks = vec![check("slow", at, &format!("echo waiting >> {}; sleep 60", target.log().display()))];
    target.forget_log();
    let mut stage = spawn(&asked(&slow, Stage::Promote, 0));
    until(|| target.logged().contains(&"waiting".to_owned()));
    stage.kill().unwrap();
    stage.wait().unwrap();
    // Another run altogether, to which the revision looks live already.
    target.forget_log();
    let request = target.request("r3", &two);
    assert_eq!(target.facts(&request).state.current.as_ref(), Some(&two));
    run(&request, Stage::Promote).ok();
    assert_eq!(target.logged(), ["restart app"]);
}

#[test]
fn fault_11_there_is_no_moment_without_a_live_revision() {
    let (target, one) = deployed();
    let two = target.commit(&[("a", "2")]);
    target.fetch(&request(&target, "r2", &two, "two")).ok();
    let over = std::sync::atomic::AtomicBool::new(false);
    let paths = [target.live().join("a"), target.root().join("current/a"), target.etc("app.conf").into()];
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut looks = 0;
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                for path in &paths {
                    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                }
                looks += 1;
            }
            looks
        });
        for round in 0..10 {
            let request = request(&target, &format!("s{round}"), &two, "two");
            run(&request, Stage::ConfigDeploy).ok();
            run(&request, Stage::Promote).ok();
            roll_back(&request, Some(&one)).ok();
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(watcher.join().unwrap() > 100);
    });
}
