//! A service on every host of a farm, and a real Prometheus with a real Alertmanager that watch it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::common::{CACHE, Farm, Links, address, ports, wait_for};

/// The file of a revision that says how the service behaves: its share of errors, and the seconds that a request takes.
pub const BEHAVIOUR: &str = "behaviour";
/// Requests a second that each host serves.
const RATE: f64 = 200.0;

/// What one host has counted.
#[derive(Debug, Clone, Copy, Default)]
struct Counters {
    requests: f64,
    errors: f64,
    seconds: f64,
}

/// The service of a fleet, and those who watch it. The metrics of a host are those of the revision that is live there.
pub struct Monitoring {
    folder: TempDir,
    prometheus: Child,
    alertmanager: Child,
    /// Where each host shows its metrics.
    pub metrics: u16,
    pub prometheus_port: u16,
    pub alertmanager_port: u16,
}

impl Monitoring {
    pub fn start(farm: &Farm, hosts: usize) -> Monitoring {
        let metrics = serve(farm, hosts);
        let folder = tempfile::Builder::new().prefix("hoist-monitoring-").tempdir().unwrap();
        let (prometheus_port, alertmanager_port) = (ports::free(), ports::free());
        let targets: Vec<String> = (0..hosts).map(|n| format!("'{}:{metrics}'", address(n))).collect();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write(
            "prometheus.yml",
            &format!(
                "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\nrule_files: [rules.yml]\nalerting:\n  \
                 alertmanagers:\n  - static_configs:\n    - targets: ['127.0.0.1:{alertmanager_port}']\nscrape_configs:\n- \
                 job_name: page\n  static_configs:\n  - targets: [{}]\n",
                targets.join(", ")
            ),
        );
        write(
            "rules.yml",
            "groups:\n- name: page\n  rules:\n  - alert: PageErrors\n    expr: >-\n      sum(rate(errors_total[6s])) / \
             sum(rate(requests_total[6s])) > 0.005\n    labels: {severity: page, service: page}\n",
        );
        write("alertmanager.yml", "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n");
        let alertmanager = spawn(
            Command::new("prometheus-alertmanager")
                .arg(format!("--config.file={}", folder.path().join("alertmanager.yml").display()))
                .arg(format!("--storage.path={}", folder.path().join("alertmanager").display()))
                .arg(format!("--web.listen-address=127.0.0.1:{alertmanager_port}"))
                .arg("--cluster.listen-address="),
        );
        let prometheus = start_prometheus(&folder, prometheus_port);
        let monitoring = Monitoring { folder, prometheus, alertmanager, metrics, prometheus_port, alertmanager_port };
        monitoring.wait_for_data();
        monitoring
    }

    /// Until Prometheus has something to say of every rate.
    fn wait_for_data(&self) {
        let query = "count(rate(requests_total[6s]) > 0)";
        let project = crate::asking::project(&format!(
            "gates:\n  data: {{type: prometheus, when: before, url: 'http://127.0.0.1:{}', query: '{query}', require: '> 0'}}\n",
            self.prometheus_port
        ));
        let begun = Instant::now();
        while crate::asking::ask(&project, &[]).status != Some(0) {
            assert!(begun.elapsed() < Duration::from_secs(180), "Prometheus has no data");
            thread::sleep(Duration::from_millis(500));
        }
    }

    pub fn stop_prometheus(&mut self) {
        self.prometheus.kill().unwrap();
        self.prometheus.wait().unwrap();
    }

    pub fn start_prometheus(&mut self) {
        self.prometheus = start_prometheus(&self.folder, self.prometheus_port);
        self.wait_for_data();
    }

    /// The query with the name of each metric's own selection of hosts filled in.
    pub fn share_of_errors(&self) -> String {
        let of = |name: &str| format!("sum(rate({name}{{instance=~\"{{{{ new_hosts }}}}:{}\"}}[6s]))", self.metrics);
        format!("{} / {}", of("errors_total"), of("requests_total"))
    }
}

fn start_prometheus(folder: &TempDir, port: u16) -> Child {
    let child = spawn(
        Command::new("prometheus")
            .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("tsdb").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}")),
    );
    wait_for("Prometheus", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    child
}

fn spawn(command: &mut Command) -> Child {
    let named = command.get_program().to_string_lossy().into_owned();
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    silent.spawn().unwrap_or_else(|error| panic!("{named}: {error}: run `make deps`"))
}

impl Drop for Monitoring {
    fn drop(&mut self) {
        for child in [&mut self.prometheus, &mut self.alertmanager] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Serves the metrics of every host, at its own address and one port.
fn serve(farm: &Farm, hosts: usize) -> u16 {
    let (port, listeners) = loop {
        let port = ports::free();
        let all: Result<Vec<_>, _> = (0..hosts).map(|n| TcpListener::bind((address(n), port))).collect();
        if let Ok(all) = all {
            break (port, all);
        }
    };
    for (n, listener) in listeners.into_iter().enumerate() {
        let counters = Arc::<Mutex<Counters>>::default();
        let count = counters.clone();
        let cache = farm.srv(&address(n)).join(CACHE);
        thread::spawn(move || work(&cache, n, &count));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let head = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
                head.for_each(drop);
                let Counters { requests, errors, seconds } = *counters.lock().unwrap();
                let body = format!(
                    "# TYPE requests_total counter\nrequests_total {requests}\n# TYPE errors_total counter\nerrors_total \
                     {errors}\n# TYPE seconds_total counter\nseconds_total {seconds}\n"
                );
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: \
                     close\r\n\r\n",
                    body.len()
                );
                let _ = (&stream).write_all((head + &body).as_bytes());
            }
        });
    }
    port
}

/// Serves requests as the live revision does.
fn work(cache: &Path, host: usize, counters: &Mutex<Counters>) {
    let mut last = Instant::now();
    let mut noise = host as u64 + 1;
    loop {
        thread::sleep(Duration::from_millis(100));
        let live = fs::read_link(cache.join("current")).ok().and_then(|to| Some(to.file_name()?.to_owned()));
        let behaviour = live.and_then(|live| fs::read_to_string(cache.join("revs").join(live).join(BEHAVIOUR)).ok());
        let numbers: Vec<f64> =
            behaviour.iter().flat_map(|text| text.split_whitespace()).flat_map(str::parse).collect();
        let (errors, latency) = (numbers.first().copied().unwrap_or(0.0), numbers.get(1).copied().unwrap_or(0.2));
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let varied = 0.9 + 0.2 * ((noise >> 33) as f64 / (1u64 << 31) as f64);
        let served = RATE * last.elapsed().as_secs_f64();
        last = Instant::now();
        let mut counters = counters.lock().unwrap();
        counters.requests += served;
        counters.errors += served * errors;
        counters.seconds += served * latency * varied;
    }
}

/// The n-th host never had another revision live and finalized than this one.
#[track_caller]
pub fn is_untouched(farm: &Farm, n: usize, revision: &str) {
    assert_eq!(Links::of(farm, n), Links::finalized(revision), "host {}", address(n));
}
