//! A real HAProxy in front of a fleet, and what its own statistics say of the servers.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::common::ports;
use crate::common::wait_for;
use crate::fleet::{Fleet, PORT, get};

/// HAProxy with the backend of README and the manual, whose servers have the names of the target files. It tries no
/// request twice and checks no server's health: a host that cannot serve and was not drained costs a request.
pub struct HaProxy {
    process: Child,
    port: u16,
    admin: u16,
}

impl HaProxy {
    /// For hosts that serve.
    pub fn start(fleet: &Fleet) -> HaProxy {
        let (port, admin) = (ports::free(), ports::free());
        let servers: String =
            fleet.addresses.iter().map(|address| format!("    server {address} {address}:{PORT}\n")).collect();
        let config = format!(
            "global\n    stats socket 127.0.0.1:{admin} level admin\n    maxconn 2000\n\
             defaults\n    mode http\n    retries 0\n    timeout connect 5s\n    timeout client 20s\n    timeout server 20s\n\
             frontend web\n    bind 127.0.0.1:{port}\n    default_backend shop\n\
             backend shop\n    balance roundrobin\n    http-reuse never\n{servers}"
        );
        let path = fleet.path().join("haproxy.cfg");
        fs::write(&path, config).unwrap();
        let process = Command::new("haproxy").args(["-db", "-q", "-f"]).arg(path).stdin(Stdio::null()).spawn().unwrap();
        let balancer = HaProxy { process, port, admin };
        wait_for("haproxy", || get(&balancer.authority()).is_ok());
        balancer
    }

    pub fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The runtime socket.
    pub fn socket(&self) -> String {
        format!("127.0.0.1:{}", self.admin)
    }

    /// The servers that are out of service now.
    pub fn out(&self) -> Vec<String> {
        servers_out(self.admin)
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The servers that HAProxy's own statistics show as out of service.
fn servers_out(admin: u16) -> Vec<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", admin)).unwrap();
    stream.write_all(b"show stat shop 4 -1\n").unwrap();
    let text = std::io::read_to_string(stream).unwrap();
    let servers = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let fields: Vec<&str> = line.split(',').collect();
        Some((fields.get(1)?.to_string(), fields.get(17)?.to_string()))
    });
    let is_up = |state: &str| state.starts_with("UP") || state.starts_with("no check");
    servers.filter(|(_, state)| !is_up(state)).map(|(name, _)| name).collect()
}

/// Looks again and again which servers are out of service, until it is dropped.
pub struct Watch {
    seen: Arc<Seen>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    ended: AtomicBool,
    looks: AtomicUsize,
    /// Canaries and others.
    most: Mutex<(usize, usize)>,
}

impl Watch {
    /// The canaries are a group of their own.
    pub fn start(balancer: &HaProxy, fleet: &Fleet) -> Watch {
        let seen = Arc::<Seen>::default();
        let (admin, canaries, shared) = (balancer.admin, fleet.canaries().to_vec(), seen.clone());
        let thread = thread::spawn(move || {
            while !shared.ended.load(Ordering::Relaxed) {
                let (canaries, others): (Vec<_>, Vec<_>) =
                    servers_out(admin).into_iter().partition(|name| canaries.contains(name));
                let mut most = shared.most.lock().unwrap();
                *most = (most.0.max(canaries.len()), most.1.max(others.len()));
                drop(most);
                shared.looks.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(10));
            }
        });
        Watch { seen, thread: Some(thread) }
    }

    /// How many canaries and how many other servers were out at a time, at most, since the last time.
    pub fn most_out(&self) -> (usize, usize) {
        let until = self.seen.looks.load(Ordering::Relaxed) + 2;
        wait_for("another look", || self.seen.looks.load(Ordering::Relaxed) >= until);
        std::mem::take(&mut *self.seen.most.lock().unwrap())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.seen.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
