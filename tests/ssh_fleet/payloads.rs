//! What is sent to a target: packs, and Hoist itself.

use super::*;

#[test]
fn a_fetch_sends_what_the_host_lacks_and_only_that() {
    let mut scene = Scene::new(3);
    let (a, b) = (revision('a'), revision('b'));
    scene.plan(0, &format!(r#"cached='"{b}"'"#));
    scene.plan(1, &format!(r#"revisions='"{a}"'"#));
    // Its cache is broken until it is made anew.
    scene.plan(
        2,
        r#"stage() { case $request in *'"rebuild":true'*) ended;; *) failed cache_broken "object gone"; exit 1;; esac; }
           cached='"cccccccccccccccccccccccccccccccccccccccc"'"#,
    );
    assert_eq!(scene.outcome(Step::Probe), Ok(()));
    let results = scene.run(Step::Run(Stage::Fetch));
    assert!(results.values().all(|result| result.outcome.is_ok()), "{results:?}");
    assert_eq!(scene.read(0, "pack"), "pack for a host with 1 commits");
    assert_eq!(scene.read(1, "pack"), "");
    assert_eq!(scene.read(2, "pack"), "pack for a host with 0 commits");
    let mut asked = scene.packs.0.lock().unwrap().clone();
    asked.sort();
    assert_eq!(asked, [vec![], vec![b], vec![revision('c')]]);
    let (results, _) = scene.run_with(Call { force: true, ..call(Step::Run(Stage::Fetch)) });
    assert!(results[&1].outcome.is_ok());
    // It is known from the fetch before that this host has the revision by now.
    assert_eq!(scene.read(1, "pack"), "pack for a host with 1 commits");
    let last: Run = serde_json::from_str(scene.read(1, "requests").lines().last().unwrap()).unwrap();
    let last = last.request;
    assert_eq!((last.force, last.header.timeout, last.restore), (true, 30, Some(revision('b'))));
    assert_eq!(last.fetch.unwrap().pack_bytes, Some(30));
}

#[test]
fn packs_of_hosts_that_wait_for_their_turn_are_made_meanwhile() {
    let mut scene = Scene::new(2);
    let b = revision('b');
    // The first host is at work until the second one's pack is there.
    scene.plan(0, r#"stage() { while [ ! -e "$HOME/go" ]; do sleep 0.1; done; ended; }"#);
    scene.plan(1, &format!(r#"cached='"{b}"'"#));
    assert_eq!(scene.outcome(Step::Probe), Ok(()));
    let (packs, go) = (scene.packs.clone(), scene.home(0).join("go"));
    let watcher = std::thread::spawn(move || {
        for _ in 0..2000 {
            if packs.0.lock().unwrap().contains(&vec![b.clone()]) {
                return fs::write(&go, "").unwrap();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let (results, _) = scene.run_with(Call { batch: 1, ..call(Step::Run(Stage::Fetch)) });
    watcher.join().unwrap();
    assert!(results.values().all(|result| result.outcome.is_ok()), "{results:?}");
}

#[test]
fn a_cache_that_stays_broken_is_a_failure_and_not_a_loop() {
    let mut scene = Scene::new(1);
    scene.plan(0, "stage() { failed cache_broken gone; exit 1; }");
    let fault = scene.outcome(Step::Run(Stage::Fetch)).unwrap_err();
    assert_eq!(fault, Fault::CacheBroken { reason: "gone".into() });
    assert_eq!(fault.to_string(), "the git cache of the target is broken: gone");
    assert_eq!(scene.actions(0), ["probe", "fetch/3", "fetch/3"]);
}

#[test]
fn hoist_is_copied_to_a_target_once_and_run_from_there() {
    let mut scene = Scene::with(3, &[("FARM_SHARED_HOME", "1")], |options| {
        let Program::Installed(path) = &options.program else { panic!("{options:?}") };
        options.program = Program::Copied(path.into());
    });
    // All three have one home: their uploads race.
    for step in [Step::Probe, Step::Hold, PROMOTE, Step::Release] {
        for result in scene.run(step).values() {
            assert_eq!(result.outcome, Ok(()), "{step:?}");
        }
    }
    let cache = scene.farm.path("home/.cache/hoist");
    let folders: Vec<_> = fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(folders.len(), 1);
    let mut left: Vec<_> = fs::read_dir(&folders[0]).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    // `used` is there if one of them came when another one's upload had ended.
    left.retain(|name| name != "used");
    left.sort();
    assert_eq!(left, ["hoist", "ok"], "an upload left something behind");
    let program = folders[0].join("hoist");
    assert_eq!(fs::read_to_string(&program).unwrap(), STAND_IN);
    let inode = fs::metadata(&program).unwrap().ino();
    assert_eq!(scene.outcome(Step::Probe), Ok(()));
    assert_eq!(fs::metadata(&program).unwrap().ino(), inode, "it was copied again");
    // One that was tampered with is not run but replaced.
    assert_eq!(scene.outcome(Step::Release), Ok(()));
    fs::write(&program, "#!/bin/sh\necho evil > $HOME/evil\n").unwrap();
    assert_eq!(scene.outcome(Step::Probe), Ok(()));
    assert!(!scene.farm.path("home/evil").exists());
    assert_eq!(fs::read_to_string(&program).unwrap(), STAND_IN);
}

#[test]
fn files_are_sent_to_all_hosts_together_no_faster_than_the_limit_says() {
    const RATE: u64 = 300_000;
    let mut random = vec![0; 150_000];
    fs::File::open("/dev/urandom").unwrap().read_exact(&mut random).unwrap();
    let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut scene = Scene::with(3, &[], |options| {
        let Program::Installed(path) = &options.program else { panic!("{options:?}") };
        let padded = PathBuf::from(format!("{path}.padded"));
        fs::write(&padded, format!("{STAND_IN}\nexit\n# {hex}\n")).unwrap();
        options.program = Program::Copied(padded);
        options.transfer_limit = Some(RATE);
    });
    let began = Instant::now();
    for result in scene.run(Step::Probe).values() {
        assert_eq!(result.outcome, Ok(()));
    }
    // However well it is compressed, what is random has to travel, three times.
    let least = Duration::from_millis(3 * random.len() as u64 * 1000 / RATE);
    assert!(began.elapsed() >= least, "{:?} instead of {least:?}", began.elapsed());
}
