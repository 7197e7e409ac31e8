//! 200 requests a second through a real HAProxy while the fleet is deployed to, rolled back and restarted.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::common::wait_for;
use crate::fleet::{Fleet, PORT, Release, get};
use crate::readme;

/// Requests a second.
const RATE: u32 = 200;

/// HAProxy in front of a fleet. It tries no request twice and checks no server's health: a host that cannot serve and
/// was not drained costs a request.
struct Balancer {
    process: Child,
    port: u16,
    admin: u16,
}

impl Balancer {
    fn start(fleet: &Fleet) -> Balancer {
        let (port, admin) = (free_port(), free_port());
        let servers: String = fleet
            .addresses
            .iter()
            .map(|address| format!("    server {} {address}:{PORT}\n", address.replace('.', "-")))
            .collect();
        let config = format!(
            "global\n    stats socket 127.0.0.1:{admin} level admin\n    maxconn 2000\n\
             defaults\n    mode http\n    retries 0\n    timeout connect 5s\n    timeout client 20s\n    timeout server 20s\n\
             frontend web\n    bind 127.0.0.1:{port}\n    default_backend shop\n\
             backend shop\n    balance roundrobin\n    http-reuse never\n{servers}"
        );
        let path = fleet.path().join("haproxy.cfg");
        fs::write(&path, config).unwrap();
        let process = Command::new("haproxy").args(["-db", "-q", "-f"]).arg(path).stdin(Stdio::null()).spawn().unwrap();
        let balancer = Balancer { process, port, admin };
        wait_for("haproxy", || get(&balancer.authority()).is_ok());
        balancer
    }

    fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Requests at a steady rate from several threads, until it is ended.
struct Load {
    ended: Arc<AtomicBool>,
    served: Arc<Mutex<BTreeMap<String, usize>>>,
    sent: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(authority: &str) -> Load {
        const THREADS: u32 = 20;
        let ended = Arc::new(AtomicBool::new(false));
        let served = Arc::<Mutex<BTreeMap<String, usize>>>::default();
        let sent = Arc::<AtomicUsize>::default();
        let one = |_| {
            let (ended, served, sent) = (ended.clone(), served.clone(), sent.clone());
            let authority = authority.to_owned();
            thread::spawn(move || {
                let pause = Duration::from_secs(1) * THREADS / RATE;
                let mut next = Instant::now();
                while !ended.load(Ordering::Relaxed) {
                    let answer = get(&authority).unwrap_or_else(|why| format!("LOST: {why}"));
                    *served.lock().unwrap().entry(answer).or_default() += 1;
                    sent.fetch_add(1, Ordering::Relaxed);
                    next += pause;
                    thread::sleep(next.saturating_duration_since(Instant::now()));
                }
            })
        };
        let threads = (0..THREADS).map(one).collect();
        Load { ended, served, sent, threads }
    }

    /// How often each answer was given since the last time.
    fn answers(&self) -> BTreeMap<String, usize> {
        // Those on their way now are counted as well.
        let until = self.sent.load(Ordering::Relaxed) + 100;
        wait_for("requests", || self.sent.load(Ordering::Relaxed) > until);
        std::mem::take(&mut *self.served.lock().unwrap())
    }

    fn end(self) {
        self.ended.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The quick start's configuration with its drain lines, for a balancer that is not called balancer.example.com here.
fn write_drain(fleet: &Fleet, balancer: &Balancer) {
    fleet.project.write("hoist/checks.yaml", &readme::checks()[1]);
    fleet.project.configure("group_size: 2");
    for (name, text) in [
        ("drain", include_str!("../../examples/web-service/hoist/scripts/drain")),
        ("undrain", include_str!("../../examples/web-service/hoist/scripts/undrain")),
    ] {
        let text = text.replace("balancer.example.com:9999", &format!("127.0.0.1:{}", balancer.admin));
        let path = format!("hoist/scripts/{name}");
        fleet.project.write(&path, &text);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(fleet.project.path(&path), mode).unwrap();
    }
}

#[test]
fn deploy_rollback_and_service_restart_lose_no_request_behind_a_balancer() {
    let fleet = Fleet::new(1, 4);
    fleet.write_quick_start();
    fleet.release(Release::Good("one"));
    fleet.project.deploy(&[]).ends(0);
    let balancer = Balancer::start(&fleet);
    write_drain(&fleet, &balancer);
    fleet.release(Release::Good("one"));
    fleet.project.deploy(&[]).ends(0);

    let load = Load::start(&balancer.authority());
    let nothing_lost = |what: &str, expected: &[&str]| {
        let answers = load.answers();
        let lost: Vec<_> = answers.iter().filter(|(answer, _)| !expected.contains(&answer.as_str())).collect();
        assert!(lost.is_empty(), "{what}: {lost:?} of {answers:?}");
        assert!(answers.len() == expected.len(), "{what}: {answers:?}");
    };
    nothing_lost("at rest", &["one"]);

    fleet.release(Release::Good("two"));
    fleet.project.deploy(&[]).ends(0);
    nothing_lost("deploy", &["one", "two"]);
    fleet.assert_all_serve("two");

    fleet.release(Release::DoesNotStart);
    fleet.project.deploy(&[]).ends(1);
    nothing_lost("a deployment that is rolled back", &["two"]);

    fleet.project.run(&["rollback", "--yes"]).ends(0);
    nothing_lost("hoist rollback", &["one", "two"]);
    fleet.assert_all_serve("one");

    fleet.project.run(&["deploy", "--yes", "--service-restart"]).ends(0);
    nothing_lost("--service-restart", &["one"]);
    load.end();
}
