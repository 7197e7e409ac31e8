//! Connections that are cut, and ones that are only silent: the deployer connects again for as long as it was told, asks,
//! and takes the true outcome; what is not found again has a name.

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{Farm, Links, Project, Ran, wait_for};

/// A way to one host that can fall silent: connections stay open, and nothing comes through any more.
struct Way {
    port: u16,
    silent: Arc<AtomicBool>,
}

impl Way {
    fn to(farm: &Farm) -> Way {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, far) = (listener.local_addr().unwrap().port(), farm.port);
        let silent = Arc::new(AtomicBool::new(false));
        let state = silent.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(there) = TcpStream::connect(("127.0.0.1", far)) else { continue };
                let ends = [(near.try_clone().unwrap(), there.try_clone().unwrap()), (there, near)];
                // What was silent once stays so; a new connection is judged anew.
                let dead = Arc::new(AtomicBool::new(false));
                for (from, to) in ends {
                    let (state, dead) = (state.clone(), dead.clone());
                    std::thread::spawn(move || pass_on(from, to, &state, &dead));
                }
            }
        });
        Way { port, silent }
    }

    fn fall_silent(&self, yes: bool) {
        self.silent.store(yes, Ordering::SeqCst);
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, silent: &AtomicBool, dead: &AtomicBool) {
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
            Ok(bytes) if to.write_all(&buffer[..bytes]).is_err() => return,
            Ok(_) => {}
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
