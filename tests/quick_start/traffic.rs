//! 200 requests a second through a real HAProxy while the fleet is deployed to, rolled back and restarted.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
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
        Balancer::naming(fleet, |address| address.replace('.', "-"))
    }

    /// With names of its own for the servers.
    fn naming(fleet: &Fleet, name: impl Fn(&str) -> String) -> Balancer {
        let (port, admin) = (free_port(), free_port());
        let servers: String =
            fleet.addresses.iter().map(|address| format!("    server {} {address}:{PORT}\n", name(address))).collect();
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

/// How many servers HAProxy's own statistics show as out of service.
fn servers_out(admin: u16) -> usize {
    let mut stream = TcpStream::connect(("127.0.0.1", admin)).unwrap();
    stream.write_all(b"show stat shop 4 -1\n").unwrap();
    let text = std::io::read_to_string(stream).unwrap();
    let states = text.lines().filter_map(|line| line.split(',').nth(17));
    states.filter(|state| *state != "status" && !state.starts_with("UP") && !state.starts_with("no check")).count()
}

/// Looks again and again how many servers are out of service, until it is ended.
struct Watch {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Watch {
    fn start(admin: u16) -> Watch {
        let ended = Arc::new(AtomicBool::new(false));
        let over = ended.clone();
        let thread = thread::spawn(move || {
            let mut most = 0;
            while !over.load(Ordering::Relaxed) {
                most = most.max(servers_out(admin));
                thread::sleep(Duration::from_millis(20));
            }
            most
        });
        Watch { ended, thread }
    }

    /// The most at a time.
    fn end(self) -> usize {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
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

    /// Everything that was answered since the last look is one of the expected releases, and each of them is there.
    #[track_caller]
    fn saw(&self, what: &str, expected: &[&str]) {
        let answers = self.answers();
        assert_eq!(answers.keys().collect::<Vec<_>>(), expected, "{what}: {answers:?}");
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

/// A deployment, one that is rolled back, a rollback and a restart, under load. Release `one` is live before and after.
fn every_run_loses_nothing(fleet: &Fleet, load: &Load) {
    load.saw("at rest", &["one"]);

    fleet.release(Release::Good("two"));
    fleet.project.deploy(&[]).ends(0);
    load.saw("deploy", &["one", "two"]);
    fleet.assert_all_serve("two");

    fleet.release(Release::DoesNotStart);
    fleet.project.deploy(&[]).ends(1);
    load.saw("a deployment that is rolled back", &["two"]);

    fleet.project.run(&["rollback", "--yes"]).ends(0);
    load.saw("hoist rollback", &["one", "two"]);
    fleet.assert_all_serve("one");

    fleet.project.run(&["deploy", "--yes", "--service-restart"]).ends(0);
    load.saw("--service-restart", &["one"]);
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
    every_run_loses_nothing(&fleet, &load);
    load.end();
}

/// The keys of the manual's worked example for a balancer, with its address in the place of the manual's.
fn keys_of_the_manual(heading: &str, replace: &[(&str, &str)]) -> String {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("man/hoist.cfg.5")).unwrap();
    let (_, rest) = page.split_once(&format!("\n.Ss {heading}\n")).unwrap();
    let (_, rest) = rest.split_once(".Bd -literal -offset indent\n").unwrap();
    let (keys, _) = rest.split_once(".Ed\n").unwrap();
    replace.iter().fold(keys.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn append_keys(fleet: &Fleet, keys: &str) {
    let path = fleet.project.path("hoist/hoist.cfg");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, format!("{}\n{keys}", text.trim_end())).unwrap();
}

#[test]
fn the_manuals_drain_for_haproxy_loses_no_request_whatever_goes_wrong_or_dies() {
    let fleet = Fleet::new(1, 5);
    fleet.write_quick_start();
    fleet.project.configure("group_size: 2");
    fleet.release(Release::Good("one"));
    fleet.project.deploy(&[]).ends(0);
    let balancer = Balancer::naming(&fleet, str::to_owned);
    append_keys(&fleet, &keys_of_the_manual("HAProxy", &[("balancer:9999", &format!("127.0.0.1:{}", balancer.admin))]));
    let load = Load::start(&balancer.authority());
    let watch = Watch::start(balancer.admin);
    every_run_loses_nothing(&fleet, &load);

    // A deployer that is killed with hosts drained, and resumed.
    fleet.release(Release::Good("three"));
    let mut deployer =
        fleet.project.hoist(&["deploy", "--yes"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("a drained host", || servers_out(balancer.admin) > 0);
    deployer.kill().unwrap();
    deployer.wait().unwrap();
    load.saw("a deployer that was killed", &["one"]);
    fleet.project.run(&["resume", "--yes"]).ends(0);
    load.saw("hoist resume", &["one", "three"]);
    fleet.assert_all_serve("three");
    fleet.project.run(&["status"]).ends(0);
    assert_eq!(servers_out(balancer.admin), 0);
    let most = watch.end();
    assert!(most == 2 || most == 1, "{most} servers were out at a time");
    load.end();
}
