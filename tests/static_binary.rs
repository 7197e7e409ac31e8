//! The promises of the one static binary. Every build of this project is static, so the one under test is.

mod common;

use std::net::UdpSocket;
use std::process::Command;

use common::{HOIST, Links, Project, Ran, address};

/// Whether an ELF file asks for a program interpreter, that is for the dynamic linker (PT_INTERP in its headers).
fn wants_an_interpreter(elf: &[u8]) -> bool {
    let number =
        |at: usize, bytes: usize| elf[at..at + bytes].iter().rev().fold(0usize, |n, b| n << 8 | usize::from(*b));
    assert_eq!(&elf[..5], b"\x7fELF\x02", "not a 64-bit ELF file");
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count).any(|index| number(table + index * size, 4) == 3)
}

#[test]
fn it_needs_no_dynamic_linker() {
    assert!(!wants_an_interpreter(&std::fs::read(HOIST).unwrap()));
    assert!(wants_an_interpreter(&std::fs::read("/bin/ls").unwrap()), "the test cannot tell");
}

#[test]
fn it_runs_in_an_empty_root() {
    let root = tempfile::tempdir().unwrap();
    std::fs::copy(HOIST, root.path().join("hoist")).unwrap();
    let output = Command::new("chroot").arg(root.path()).args(["/hoist", "version"]).output().unwrap();
    Ran::of(output).ends(0).says(concat!("hoist ", env!("CARGO_PKG_VERSION")));
}

/// Answers every question for an A record with one address; questions for anything else with nothing.
fn name_server(address: [u8; 4]) -> String {
    let socket = UdpSocket::bind("127.255.255.53:53").unwrap();
    let server = socket.local_addr().unwrap().ip().to_string();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let question = &buffer[..length];
            // The question's name ends at the first zero byte behind the header; type and class follow (RFC 1035, 4.1).
            let end = 12 + question[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
            let is_a = question[end - 4..end - 2] == [0, 1];
            let mut answer = question[..2].to_vec();
            answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
            answer.extend(&question[12..end]);
            if is_a {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
                answer.extend(address);
            }
            let _ = socket.send_to(&answer, from);
        }
    });
    server
}

#[test]
fn it_resolves_names_from_the_hosts_file_and_from_dns() {
    let (farm, project) = Project::on_farm(0, 2);
    let known = std::fs::read_to_string(farm.known_hosts()).unwrap().replace("[127.*]", "[*.farm.test]");
    project.write(".git/known_hosts", &known);
    project.configure(&format!("known_hosts: {}", project.path(".git/known_hosts").display()));
    project.write("hoist/default", "one.farm.test\ntwo.farm.test\n");
    let revision = project.commit("names");
    project.write(".git/hosts", "127.0.0.1 one.farm.test\n");
    let server = name_server([127, 0, 0, 2]);
    project.write(".git/resolv.conf", &format!("nameserver {server}\n"));
    // Files of its own for the program alone, in a mount namespace.
    let files = "for f in hosts resolv.conf; do mount --bind .git/$f /etc/$f || exit 99; done; exec \"$@\"";
    let hoist = project.hoist(&["deploy", "--yes"]);
    let mut command = Command::new("unshare");
    command.args(["-m", "--propagation", "private", "sh", "-c", files, "sh"]);
    command.arg(hoist.get_program()).args(hoist.get_args()).current_dir(project.path(""));
    for (name, value) in hoist.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Ran::of(command.output().unwrap()).ends(0);
    for n in 0..2 {
        assert_eq!(Links::of(&farm, n), Links::finalized(&revision), "host {}", address(n));
    }
}

#[test]
fn many_threads_shake_hands_at_once_and_nothing_is_corrupted() {
    let (farm, project) = Project::on_farm(0, 100);
    let revision = project.git(&["rev-parse", "HEAD"]);
    for _ in 0..4 {
        project.deploy(&["--force"]).ends(0);
    }
    for n in 0..100 {
        assert_eq!(Links::of(&farm, n), Links::finalized(&revision), "host {}", address(n));
    }
}
