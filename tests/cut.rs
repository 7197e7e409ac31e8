//! Connections that are cut, and ones that are only silent: the deployer connects again for as long as it was told, asks,
//! and takes the true outcome; what is not found again has a name.

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Farm, Links, Project, Ran, wait_for};

/// A way to one host that can fall silent: connections stay open, and nothing comes through any more.
struct Way {
    port: u16,
    silent: Arc<AtomicBool>,
    /// How many bytes reach the host by each of the next connections before it is cut; later ones are left alone.
    cuts: Arc<Mutex<Vec<usize>>>,
}

impl Way {
    fn to(farm: &Farm) -> Way {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, far) = (listener.local_addr().unwrap().port(), farm.port);
        let silent = Arc::new(AtomicBool::new(false));
        let state = silent.clone();
        let cuts = Arc::<Mutex<Vec<usize>>>::default();
        let left = cuts.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(there) = TcpStream::connect(("127.0.0.1", far)) else { continue };
                let most = left.lock().unwrap().pop().unwrap_or(usize::MAX);
                let ends = [(near.try_clone().unwrap(), there.try_clone().unwrap(), most), (there, near, usize::MAX)];
                // What was silent once stays so; a new connection is judged anew.
                let dead = Arc::new(AtomicBool::new(false));
                for (from, to, most) in ends {
                    let (state, dead) = (state.clone(), dead.clone());
                    std::thread::spawn(move || pass_on(from, to, most, &state, &dead));
                }
            }
        });
        Way { port, silent, cuts }
    }

    fn cut_after(&self, bytes: &[usize]) {
        *self.cuts.lock().unwrap() = bytes.to_vec();
    }

    fn fall_silent(&self, yes: bool) {
        self.silent.store(yes, Ordering::SeqCst);
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, most: usize, silent: &AtomicBool, dead: &AtomicBool) {
    let mut passed = 0;
    from.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut buffer = [0; 16 * 1024];
    loop {
        if silent.load(Ordering::SeqCst) {
            dead.store(true, Ordering::SeqCst);
        }
        match from.read(&mut buffer) {
            Ok(0) => {
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
            Ok(_) if dead.load(Ordering::SeqCst) => {}
            Ok(bytes) if passed + bytes > most => {
                let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                return;
            }
            Ok(bytes) if to.write_all(&buffer[..bytes]).is_err() => return,
            Ok(bytes) => passed += bytes,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
    }
}

/// One host behind a way, with a first revision; the second one waits in promote for `/srv/go`.
fn scene(farm: &Farm) -> (Project, Way, String, String) {
    let way = Way::to(farm);
    let project = Project::new(farm, 0, 1);
    project.write("hoist/default", &format!("127.0.0.1:{}\n", way.port));
    project.configure("host_key_checking: accept-new\nkeepalive: 2\nconnect_timeout: 2\nreconnect_timeout: 12");
    let one = project.commit("one");
    project.deploy(&[]).ends(0);
    project.write(
        "hoist/checks.yaml",
        "checks:\n  waits:\n    stage: promote\n    shell: true\n    timeout: 120\n    command: \"touch /srv/waiting; \
         while ! test -e /srv/go; do sleep 0.1; done\"\n",
    );
    let two = project.commit("two");
    (project, way, one, two)
}

fn start(project: &Project) -> std::process::Child {
    project.hoist(&["deploy", "--yes"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_connection_that_falls_silent_in_a_stage_is_made_again_and_the_true_outcome_is_taken() {
    let farm = Farm::up();
    let (project, way, _, two) = scene(&farm);
    let deployer = start(&project);
    let srv = farm.srv("127.0.0.1");
    wait_for("promote", || srv.join("waiting").exists());
    way.fall_silent(true);
    // The stage ends while nobody can hear it.
    std::fs::write(srv.join("go"), "").unwrap();
    let before = farm.connections_to("127.0.0.1");
    wait_for("the silence to be noticed", || farm.connections_to("127.0.0.1") > before);
    way.fall_silent(false);
    Ran::of(deployer.wait_with_output().unwrap()).ends(0);
    assert_eq!(Links::of(&farm, 0), Links::finalized(&two));
}

#[test]
fn a_host_that_stays_silent_is_unknown_and_is_asked_again_when_the_run_is_ended() {
    let farm = Farm::up();
    let (project, way, one, two) = scene(&farm);
    project.configure("promote_timeout: 3\nreconnect_timeout: 3");
    project.configure("rollback_timeout: 3");
    let deployer = start(&project);
    let srv = farm.srv("127.0.0.1");
    wait_for("promote", || srv.join("waiting").exists());
    way.fall_silent(true);
    let ran = Ran::of(deployer.wait_with_output().unwrap()).ends(3);
    ran.says("unknown").says("1 host may not be rolled back");
    assert_eq!(Links::of(&farm, 0).current, Some(two));
    way.fall_silent(false);
    std::fs::write(srv.join("go"), "").unwrap();
    project.deploy(&["-r", &one, "--force"]).ends(0);
    assert_eq!(Links::of(&farm, 0), Links::finalized(&one));
}

#[test]
fn a_session_that_is_lost_between_two_stages_is_tried_again_too() {
    let (farm, project) = Project::on_farm(1, 1);
    project.configure("keepalive: 2\nconnect_timeout: 2\nreconnect_timeout: 15\nfailure_limit: 0");
    let way = Way::to(&farm);
    project.write("hoist/canary", &format!("127.0.0.1:{}\n", way.port));
    project.configure("host_key_checking: accept-new");
    project.write(
        "hoist/checks.yaml",
        "checks:\n  waits:\n    stage: promote\n    group: default\n    shell: true\n    timeout: 120\n    command: \
         \"touch /srv/waiting; while ! test -e /srv/go; do sleep 0.1; done\"\n",
    );
    let one = project.commit("one");
    let deployer = start(&project);
    let srv = farm.srv("127.0.0.2");
    wait_for("the second group", || srv.join("waiting").exists());
    // The canary is parked. It falls silent, and comes back only after finalize has found that out.
    way.fall_silent(true);
    std::thread::sleep(Duration::from_secs(8));
    let before = farm.connections_to("127.0.0.1");
    std::fs::write(srv.join("go"), "").unwrap();
    wait_for("another try", || farm.connections_to("127.0.0.1") > before);
    way.fall_silent(false);
    Ran::of(deployer.wait_with_output().unwrap()).ends(0);
    for n in 0..2 {
        assert_eq!(Links::of(&farm, n), Links::finalized(&one), "host {n}");
    }
}

#[test]
fn a_pack_whose_connection_is_cut_is_sent_again_and_a_key_exchange_that_is_cut_is_made_again() {
    let farm = Farm::up();
    let (project, way, _, _) = scene(&farm);
    project.write("hoist/checks.yaml", "");
    // What does not shrink in a pack.
    let mut word = 1_u64;
    let mut next = || {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        word as u8
    };
    std::fs::write(project.path("big"), (0..3_000_000).map(|_| next()).collect::<Vec<u8>>()).unwrap();
    let three = project.commit("three");
    let before = farm.connections_to("127.0.0.1");
    // From the last: in the key exchange, and twice in the pack.
    way.cut_after(&[1_000_000, 2_000_000, 700]);
    Ran::of(start(&project).wait_with_output().unwrap()).ends(0);
    assert_eq!(Links::of(&farm, 0), Links::finalized(&three));
    // A slow machine may need more.
    assert!(farm.connections_to("127.0.0.1") - before >= 4);
}
