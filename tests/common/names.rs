//! Hosts by name: a name server, and `hoist` with an `/etc` that asks it.
#![allow(dead_code, reason = "each test program uses its own part of it")]

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;

use super::{Farm, Project, Ran, take_environment};

/// A question for an address: the name's first label, and the answer to it.
pub struct Question {
    pub label: String,
    bytes: Vec<u8>,
    from: SocketAddr,
    is_a: bool,
}

impl Question {
    fn read(bytes: &[u8], from: SocketAddr) -> Question {
        // The name ends at the first zero byte behind the header; type and class follow (RFC 1035, 4.1).
        let end = 12 + bytes[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
        let label = String::from_utf8_lossy(&bytes[13..13 + usize::from(bytes[12])]).into_owned();
        Question { label, bytes: bytes[..end].to_vec(), from, is_a: bytes[end - 4..end - 2] == [0, 1] }
    }

    /// With this address, where one was asked for in that form; `None`: the server failed.
    pub fn answer(&self, socket: &UdpSocket, address: Option<[u8; 4]>) {
        let address = address.filter(|_| self.is_a).ok_or(u8::from(address.is_none()) * 2);
        let mut answer = self.bytes[..2].to_vec();
        answer.extend([0x81, 0x80 | address.err().unwrap_or(0), 0, 1, 0, u8::from(address.is_ok()), 0, 0, 0, 0]);
        answer.extend(&self.bytes[12..]);
        if let Ok(address) = address {
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            answer.extend(address);
        }
        let _ = socket.send_to(&answer, self.from);
    }
}

/// A name server at this address that gives `act` each question. It ends with the test program.
pub fn serve(server: &str, mut act: impl FnMut(&UdpSocket, Question) + Send + 'static) {
    let socket = UdpSocket::bind((server, 53)).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            act(&socket, Question::read(&buffer[..length], from));
        }
    });
}

/// Has a project deploy to these hosts of `farm.test`, whose keys are those of the farm.
pub fn deploy_to_names(farm: &Farm, project: &Project, hosts: &[String]) {
    let known = std::fs::read_to_string(farm.known_hosts()).unwrap().replace("[127.*]", "[*.farm.test]");
    project.write(".git/known_hosts", &known);
    project.configure(&format!("known_hosts: {}", project.path(".git/known_hosts").display()));
    project.write("hoist/default", &hosts.iter().map(|host| format!("{host}.farm.test\n")).collect::<String>());
    project.commit("names");
}

/// `hoist deploy --yes` with `/etc/hosts` and `/etc/resolv.conf` of its own, in a mount namespace.
pub fn deploy_with(project: &Project, hosts: &str, resolv_conf: &str, arguments: &[&str]) -> Ran {
    project.write(".git/hosts", hosts);
    project.write(".git/resolv.conf", resolv_conf);
    let files = "for f in hosts resolv.conf; do mount --bind .git/$f /etc/$f || exit 99; done; exec \"$@\"";
    let hoist = project.hoist(&[&["deploy", "--yes"], arguments].concat());
    let mut command = Command::new("unshare");
    command.args(["-m", "--propagation", "private", "sh", "-c", files, "sh"]);
    command.arg(hoist.get_program()).args(hoist.get_args()).current_dir(project.path(""));
    take_environment(&mut command, &hoist);
    Ran::of(command.output().unwrap())
}
