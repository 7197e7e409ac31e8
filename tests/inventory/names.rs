//! Targets from a name server: a real one, which hoist finds in a resolv.conf of its own mount namespace.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::common::{Project, Ran, take_environment};
use crate::project;

/// A name server that ends when this is dropped.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start() -> Server {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        // An address that no other test of this machine has.
        let id = std::process::id();
        let address = format!("127.{}.{}.53", 100 + id / 251 % 100, id % 251 + 1);
        let mut command = Command::new(root.join("target/python/venv/bin/python"));
        command.arg(root.join("tests/inventory/server.py")).arg(&address);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "listening\n");
        Server { child, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// `hoist hosts --names` where this is the name server.
fn ask(project: &Project, server: &str, name: &str, timeout: u32) -> Ran {
    project.write(".git/resolv.conf", &format!("nameserver {server}\noptions timeout:1 attempts:1\n"));
    let (dns, limit) = (format!("targets_dns:{name}"), format!("targets_timeout:{timeout}"));
    let hoist = project.hoist(&["hosts", "--names", "-D", &dns, "-D", &limit]);
    let mut command = Command::new("unshare");
    let bind = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
    command.args(["-m", "sh", "-c", bind]).arg(project.path(".git/resolv.conf"));
    command.arg(hoist.get_program()).args(hoist.get_args());
    command.current_dir(hoist.get_current_dir().unwrap());
    take_environment(&mut command, &hoist);
    Ran::of(command.output().unwrap())
}

#[test]
fn targets_come_from_srv_records_and_from_addresses() {
    let (server, project) = (Server::start(), project("ssh_config: none\n"));
    let ask = |name: &str| ask(&project, &server.address, name, 60);
    let ran = ask("_web._tcp.example.org").ends(0);
    assert_eq!(ran.out, "web1.example.org\nweb2.example.org\nweb3.example.org\n");
    let ran = ask("_many._tcp.example.org").ends(0);
    assert_eq!(ran.out.lines().count(), 100, "the whole answer comes by TCP");
    assert_eq!(ask("web.example.org").ends(0).out, "127.0.0.1\n127.0.0.2\n");
    for (name, why) in [
        ("_absent._tcp.example.org", "the name does not exist (NXDOMAIN)"),
        ("_empty._tcp.example.org", "it has no SRV records"),
        ("_none._tcp.example.org", "its SRV record says that there is no such service"),
        ("_bad._tcp.example.org", "bad host name"),
        ("_broken._tcp.example.org", "it failed (ServerFailure)"),
        ("absent.example.org", "its addresses cannot be looked up"),
        ("web.example.org:22", "has a user or a port"),
        ("-x", "bad host name"),
    ] {
        ask(name).ends(2).says(why).says("targets_dns");
    }
    project.write("hoist/hoist.cfg", "[global]\ngit_repo: app\ntargets_dns: web.example.org\n");
    project.run(&["check-config"]).ends(0).says("targets_dns is not looked up");
}

#[test]
fn a_name_server_that_is_silent_costs_no_more_than_the_time_limit() {
    let project = project("ssh_config: none\n");
    let silent = std::net::UdpSocket::bind(("127.99.7.53", 53)).unwrap();
    let ran = ask(&project, "127.99.7.53", "_web._tcp.example.org", 1).ends(2);
    assert!(ran.err.contains("no name server could say: 127.99.7.53: no answer in time"), "{}", ran.err);
    drop(silent);
    let ran = ask(&project, "127.99.7.54", "_web._tcp.example.org", 5).ends(2);
    assert!(ran.err.contains("127.99.7.54: Connection refused"), "{}", ran.err);
}
