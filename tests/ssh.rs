//! Sessions and commands against a real sshd.

mod farm;
#[path = "common/ports.rs"]
mod ports;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use farm::Farm;
use farm::agent::Agent;
use hoist::fleet::Pack;
use hoist::fleet::ssh::{
    AfterLine, Algorithms, ConnectError, ConnectErrorKind, Driven, ExecEnd, Input, Link, OpenError, OutputChunk,
    Program, Ssh, SshOptions, Timeouts,
};
use hoist::targets::Target;

fn options(farm: &Farm) -> SshOptions {
    SshOptions {
        user: Some("root".into()),
        port: farm.port,
        identity_files: Some(vec![farm.key()]),
        known_hosts: Some(vec![farm.known_hosts()]),
        program: Program::Installed("/bin/true".into()),
        ..SshOptions::default()
    }
}

fn target(text: &str) -> Target {
    text.parse().unwrap()
}

fn connect(options: SshOptions, address: &str) -> Result<Link, ConnectError> {
    Ssh::prepare(options).unwrap().connect(&target(address))
}

fn refusal(options: SshOptions, address: &str) -> ConnectError {
    connect(options, address).err().expect("the connection was made")
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[derive(Debug, Default, PartialEq)]
struct Heard {
    out: Vec<String>,
    err: Vec<String>,
}

fn exec(link: &mut Link, command: &str, input: Input, deadline: Instant) -> (Result<ExecEnd, OpenError>, Heard) {
    let mut heard = Heard::default();
    let end = link.exec(command, input, deadline, &mut |said| {
        match said {
            OutputChunk::Out(line) => heard.out.push(String::from_utf8_lossy(line).into_owned()),
            OutputChunk::Err(line) => heard.err.push(String::from_utf8_lossy(line).into_owned()),
        }
        AfterLine::More
    });
    (end, heard)
}

fn run(link: &mut Link, command: &str) -> (ExecEnd, Heard) {
    let (end, heard) = exec(link, command, Input::default(), soon());
    (end.unwrap(), heard)
}

#[test]
fn one_connection_carries_any_number_of_commands() {
    let farm = Farm::up();
    let mut link = connect(options(&farm), "127.0.0.2").unwrap();
    for number in 0..30 {
        let (end, heard) = run(&mut link, &format!("echo {number}; exit {number}"));
        assert_eq!((end, heard.out), (ExecEnd::Status(number), vec![number.to_string()]));
    }
    drop(link);
    assert_eq!(farm.connections_to("127.0.0.2"), 1);
    assert_eq!(farm.connections_to("127.0.0.22"), 0);
}

#[test]
fn every_way_in_which_a_command_can_end_is_told_apart() {
    let farm = Farm::up();
    let mut link = connect(options(&farm), "127.0.0.2").unwrap();
    assert_eq!(run(&mut link, "exit 0").0, ExecEnd::Status(0));
    assert_eq!(run(&mut link, "exit 255").0, ExecEnd::Status(255));
    assert_eq!(run(&mut link, "kill -KILL $$").0, ExecEnd::Signal("KILL".into()));
    assert_eq!(run(&mut link, "kill -TERM $$").0, ExecEnd::Signal("TERM".into()));
    let short = Instant::now() + Duration::from_millis(300);
    assert_eq!(exec(&mut link, "sleep 600", Input::default(), short).0, Ok(ExecEnd::TimedOut));
    // The session outlives a command that took too long.
    assert_eq!(run(&mut link, "echo on").1.out, ["on"]);
    assert!(matches!(run(&mut link, "kill -KILL $PPID; sleep 600").0, ExecEnd::Lost(_)));
    assert!(link.broken().is_some());
    assert!(matches!(exec(&mut link, "true", Input::default(), soon()).0, Err(OpenError::Lost(_))));
}

#[test]
fn output_that_is_closed_early_does_not_hide_the_status() {
    let farm = Farm::up();
    let mut link = connect(options(&farm), "127.0.0.2").unwrap();
    assert_eq!(run(&mut link, "exec >&- 2>&-; sleep 1; exit 7").0, ExecEnd::Status(7));
}

#[test]
fn something_left_running_with_the_output_open_does_not_hold_up_the_end() {
    let farm = Farm::up();
    let mut link = connect(options(&farm), "127.0.0.2").unwrap();
    let (end, heard) = run(&mut link, "echo said; sleep 600 & exit 3");
    assert_eq!((end, heard.out), (ExecEnd::Status(3), vec!["said".to_owned()]));
    // A status of 0 cannot be seen ahead of the end: there it is the last line that counts.
    let end = link.exec("echo last; sleep 600 & exit 0", Input::default(), soon(), &mut |_| AfterLine::Last);
    assert_eq!(end, Ok(ExecEnd::Status(0)));
    assert_eq!(run(&mut link, "echo on").1.out, ["on"]);
}

#[test]
fn much_input_and_much_output_on_both_streams_at_once_come_through_whole() {
    let farm = Farm::up();
    let mut link = connect(options(&farm), "127.0.0.2").unwrap();
    let bytes = 6 * 1024 * 1024 + 17;
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&(0..bytes).map(|n| (n % 61 + 33) as u8).collect::<Vec<u8>>()).unwrap();
    let pack = Arc::new(Pack::new(file, bytes as u64));
    let input = Input { head: b"head\n".to_vec(), payload: pack.into(), keep_open: false };
    let (mut out, mut err, mut count) = (0, 0, String::new());
    let command = "(yes 0123456789abcde | head -c 4194304) & (yes 0123456789abcde | head -c 4194304 >&2) & \
                   read head; count=$(wc -c); wait; echo sum $head $count";
    let end = link.exec(command, input, soon(), &mut |said| {
        match said {
            OutputChunk::Out(b"0123456789abcde") => out += 1,
            OutputChunk::Err(b"0123456789abcde") => err += 1,
            OutputChunk::Out(line) if line.starts_with(b"sum head ") => {
                count = String::from_utf8_lossy(line).into_owned();
            }
            other => panic!("{other:?}"),
        }
        AfterLine::More
    });
    assert_eq!(end, Ok(ExecEnd::Status(0)));
    assert_eq!((out, err), (262_144, 262_144));
    assert_eq!(count, format!("sum head {bytes}"));
}

#[test]
fn a_command_that_reads_nothing_does_not_stop_its_output() {
    let farm = Farm::up();
    let mut link = connect(options(&farm), "127.0.0.2").unwrap();
    let input = Input::from(vec![b'x'; 8 * 1024 * 1024]);
    let (end, heard) = exec(&mut link, "sleep 0.3; echo unread; exit 4", input, soon());
    assert_eq!((end, heard.out), (Ok(ExecEnd::Status(4)), vec!["unread".to_owned()]));
}

#[test]
fn an_endless_line_is_given_in_part_and_costs_little_memory() {
    let farm = Farm::up();
    let mut link = connect(options(&farm), "127.0.0.2").unwrap();
    let (end, heard) = run(&mut link, "head -c 100000000 /dev/zero; echo; echo end; head -c 9000 /dev/zero >&2");
    assert_eq!(end, ExecEnd::Status(0));
    assert_eq!(heard.out.iter().map(String::len).collect::<Vec<_>>(), [1024 * 1024, 3]);
    assert_eq!(heard.err.iter().map(String::len).collect::<Vec<_>>(), [8 * 1024]);
}

#[test]
fn a_command_can_be_left_running_and_come_back_to_while_others_run() {
    let farm = Farm::up();
    let mut link = connect(options(&farm), "127.0.0.2").unwrap();
    let input = Input { head: b"one\n".to_vec(), payload: Default::default(), keep_open: true };
    let mut lock_holder = link.start("while read line; do echo got $line; done; echo over", input, soon()).unwrap();
    let mut heard = Vec::new();
    let mut on = |said: OutputChunk| {
        let (OutputChunk::Out(line) | OutputChunk::Err(line)) = said;
        heard.push(String::from_utf8_lossy(line).into_owned());
        AfterLine::Pause
    };
    assert_eq!(lock_holder.drive(&mut link, soon(), &mut on), Driven::Paused);
    assert_eq!(run(&mut link, "echo between").1.out, ["between"]);
    lock_holder.say(b"two\nthree\n");
    assert_eq!(lock_holder.drive(&mut link, soon(), &mut on), Driven::Paused);
    assert_eq!(lock_holder.drive(&mut link, soon(), &mut on), Driven::Paused);
    assert_eq!(heard, ["got one", "got two", "got three"]);
    assert_eq!(lock_holder.finish(&mut link, soon()), ExecEnd::Status(0));
}

#[test]
fn each_answer_of_a_conversation_is_heard_whatever_comes_with_it() {
    let farm = Farm::up();
    let mut link = connect(options(&farm), "127.0.0.2").unwrap();
    let command = "while read line; do echo err $line >&2; echo out $line; echo end $line >&2; done";
    let input = Input { head: Vec::new(), payload: Default::default(), keep_open: true };
    // An answer that lay unread until something else comes in would take seconds, until the next keepalive.
    let deadline = soon();
    let mut talk = link.start(command, input, deadline).unwrap();
    for number in 0..400 {
        talk.say(format!("{number}\n").as_bytes());
        let mut heard = Vec::new();
        while heard.len() < 3 {
            let driven = talk.drive(&mut link, deadline, &mut |said| {
                let (OutputChunk::Out(line) | OutputChunk::Err(line)) = said;
                heard.push(String::from_utf8_lossy(line).into_owned());
                if heard.len() == 3 { AfterLine::Pause } else { AfterLine::More }
            });
            assert_eq!(driven, Driven::Paused, "after {number}: {heard:?}");
        }
        heard.sort();
        assert_eq!(heard, [format!("end {number}"), format!("err {number}"), format!("out {number}")]);
    }
    assert_eq!(talk.finish(&mut link, deadline), ExecEnd::Status(0));
}

#[test]
fn a_host_is_let_through_only_with_the_key_that_it_is_known_by() {
    let farm = Farm::up_with(&[farm::RSA]);
    let other = farm.path("other");
    assert!(
        Command::new("ssh-keygen").args(["-qt", "ed25519", "-N", "", "-f"]).arg(&other).status().unwrap().success()
    );
    let key = |name: &str| fs::read_to_string(farm.path(name)).unwrap();
    let (right, wrong, rsa) = (key("host_ed25519.pub"), key("other.pub"), key("host_rsa.pub"));
    let port = farm.port;
    let file = farm.path("kh");
    let with = |text: &str| {
        fs::write(&file, text).unwrap();
        SshOptions { known_hosts: Some(vec![file.clone()]), ..options(&farm) }
    };
    for text in [
        format!("[127.0.0.3]:{port} {right}"),
        format!("other,[127.0.0.*]:{port} {right}"),
        format!("broken line\n[127.0.0.3]:{port} {wrong}[127.0.0.3]:{port} {right}"),
        // Known by RSA only: that is what it is asked for.
        format!("[127.0.0.3]:{port} {rsa}"),
    ] {
        assert!(connect(with(&text), "127.0.0.3").is_ok(), "{text}");
    }
    fs::write(&file, format!("[127.0.0.3]:{port} {right}")).unwrap();
    assert!(Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(&file).status().unwrap().success());
    let hashed = fs::read_to_string(&file).unwrap();
    assert!(hashed.starts_with("|1|"), "{hashed}");
    assert!(connect(with(&hashed), "127.0.0.3").is_ok());

    let print = Command::new("ssh-keygen").arg("-lf").arg(farm.path("host_ed25519.pub")).output().unwrap().stdout;
    let print = String::from_utf8(print).unwrap().split(' ').nth(1).unwrap().to_owned();
    for (text, kind, words) in [
        (String::new(), ConnectErrorKind::HostKeyUnknown, "ssh-keyscan"),
        (format!("# x\n[127.0.0.3]:{port} {wrong}"), ConnectErrorKind::HostKeyChanged, "kh:2"),
        (format!("[127.*]:{port} {right}@revoked * {right}"), ConnectErrorKind::HostKeyRevoked, "kh:2"),
    ] {
        let error = refusal(with(&text), "127.0.0.3");
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(words) && error.message.contains(&print), "{error}");
        assert!(!error.may_pass());
    }
    // Known by a type that it does not offer.
    let ecdsa = farm.path("ecdsa");
    assert!(Command::new("ssh-keygen").args(["-qt", "ecdsa", "-N", "", "-f"]).arg(&ecdsa).status().unwrap().success());
    let error = refusal(with(&format!("[127.0.0.3]:{port} {}", key("ecdsa.pub"))), "127.0.0.3");
    assert_eq!(error.kind, ConnectErrorKind::HostKeyUnknown, "{error}");
    assert!(error.message.contains("ecdsa-sha2-nistp256"), "{error}");
}

#[test]
fn accepting_new_hosts_writes_their_key_down_and_still_refuses_a_changed_one() {
    let farm = Farm::up();
    let file = farm.path("new/known_hosts");
    let accepting = || SshOptions { known_hosts: Some(vec![file.clone()]), accept_new: true, ..options(&farm) };
    assert!(connect(accepting(), "127.0.0.3").is_ok());
    let written = fs::read_to_string(&file).unwrap();
    assert!(written.starts_with(&format!("[127.0.0.3]:{} ssh-ed25519 ", farm.port)), "{written}");
    let strict = SshOptions { known_hosts: Some(vec![file.clone()]), ..options(&farm) };
    assert!(connect(strict, "127.0.0.3").is_ok());
    // Another host in its place.
    let line =
        written.replace("127.0.0.3", "127.0.0.4").replace("AAAAC3NzaC1lZDI1NTE5AAAAI", "AAAAC3NzaC1lZDI1NTE5AAAAIA");
    let cut: String = line.trim_end().chars().take(line.trim_end().len() - 1).collect();
    fs::write(&file, cut).unwrap();
    assert_eq!(refusal(accepting(), "127.0.0.4").kind, ConnectErrorKind::HostKeyChanged);
}

#[test]
fn the_agent_logs_in_with_a_key_that_is_encrypted_on_disk_and_with_any_of_many() {
    let farm = Farm::up();
    let agent = Agent::start();
    let keygen = |name: &str, phrase: &str| {
        let path = farm.path(name);
        let done = Command::new("ssh-keygen").args(["-qt", "ed25519", "-N", phrase, "-f"]).arg(&path).status();
        assert!(done.unwrap().success());
        path
    };
    // More wrong keys than one connection may try.
    for number in 0..7 {
        agent.add(&keygen(&format!("wrong{number}"), ""));
    }
    agent.add(&farm.key());
    let with_agent = || SshOptions { agent: Some(agent.socket.clone().into()), ..options(&farm) };
    let ssh = Ssh::prepare(SshOptions { identity_files: None, ..with_agent() }).unwrap();
    assert!(ssh.connect(&target("127.0.0.5")).is_ok());
    assert_eq!(farm.connections_to("127.0.0.5"), 2);
    // What the first host took is tried first on the next.
    assert!(ssh.connect(&target("127.0.0.6")).is_ok());
    assert_eq!(farm.connections_to("127.0.0.6"), 1);

    // A key whose private half is encrypted on disk: without the agent an error ahead of any connection.
    let locked = keygen("locked", "secret");
    let with_locked = || SshOptions { identity_files: Some(vec![locked.clone()]), ..with_agent() };
    let error = format!("{:#}", Ssh::prepare(with_locked()).err().unwrap());
    assert!(error.contains("locked is encrypted"), "{error}");
    let rephrase = |old: &str, new: &str| {
        let mut command = Command::new("ssh-keygen");
        command.args(["-qp", "-P", old, "-N", new, "-f"]).arg(&locked).stdout(Stdio::null());
        assert!(command.status().unwrap().success());
    };
    rephrase("secret", "");
    agent.add(&locked);
    rephrase("", "secret");
    let authorized = fs::read_to_string(farm.path("authorized_keys")).unwrap();
    let public = fs::read_to_string(farm.path("locked.pub")).unwrap();
    fs::write(farm.path("authorized_keys"), format!("{authorized}{public}")).unwrap();
    assert!(connect(with_locked(), "127.0.0.7").is_ok());
    assert_eq!(farm.connections_to("127.0.0.7"), 1, "the agent's other keys were tried");
}

#[test]
fn a_key_that_the_host_does_not_know_is_named_in_the_refusal() {
    let farm = Farm::up();
    fs::write(farm.path("authorized_keys"), "").unwrap();
    let error = refusal(options(&farm), "127.0.0.2");
    assert_eq!(error.kind, ConnectErrorKind::Auth);
    assert!(error.message.contains(farm.key().to_str().unwrap()) && error.message.contains("root"), "{error}");
}

#[test]
fn a_private_key_that_is_open_to_others_is_used_by_hoist_just_where_ssh_uses_it() {
    let farm = Farm::up();
    let by_ssh = || {
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-o", "BatchMode=yes", "-o", "IdentityAgent=none", "-o", "IdentitiesOnly=yes", "-i"]);
        ssh.arg(farm.key()).arg("-o").arg(format!("UserKnownHostsFile={}", farm.known_hosts().display()));
        ssh.args(["-l", "root", "-p", &farm.port.to_string(), "127.0.0.2", "true"]);
        ssh.stdin(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    };
    for (mode, used) in [(0o600, true), (0o400, true), (0o700, true), (0o640, false), (0o604, false), (0o644, false)] {
        fs::set_permissions(farm.key(), fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(by_ssh(), used, "ssh, {mode:o}");
        match Ssh::prepare(options(&farm)) {
            Ok(_) => assert!(used, "{mode:o}"),
            Err(error) => {
                let error = format!("{error:#}");
                assert!(
                    !used && error.contains("accessible to others") && error.contains("chmod 600"),
                    "{mode:o}: {error}"
                );
            }
        }
    }
}

/// A peer that accepts connections and does with each what `act` says.
fn peer(act: impl Fn(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().flatten().for_each(act));
    port
}

#[test]
fn a_peer_that_is_no_ssh_server_is_found_out_in_its_time_whatever_it_does() {
    let farm = Farm::up();
    let drip = |mut stream: TcpStream| {
        while stream.write_all(b"x\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let silent = |mut stream: TcpStream| drop(stream.read_to_end(&mut Vec::new()));
    let half = |mut stream: TcpStream| {
        let _ = stream.write_all(b"SSH-2.0-x\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    };
    let web = |mut stream: TcpStream| drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    let noise = |mut stream: TcpStream| drop(stream.write_all(&[0xa7; 100_000]));
    let closed = ports::refusing();
    use ConnectErrorKind::*;
    let cases: [(&str, u16, &[ConnectErrorKind]); 6] = [
        ("drips", peer(drip), &[Timeout]),
        ("silent", peer(silent), &[Timeout]),
        ("stops in the middle", peer(half), &[Timeout]),
        ("a web server", peer(web), &[Protocol, HungUp]),
        ("noise", peer(noise), &[Protocol, HungUp]),
        ("closed", closed.number, &[Refused]),
    ];
    for (what, port, kinds) in cases {
        let options = SshOptions {
            timeouts: Timeouts { connect: Duration::from_secs(1), ..Timeouts::default() },
            port,
            ..options(&farm)
        };
        let began = Instant::now();
        let error = refusal(options, "127.0.0.1");
        assert!(kinds.contains(&error.kind), "{what}: {:?} {error}", error.kind);
        assert!(error.message.contains(&format!("127.0.0.1 port {port}")), "{error}");
        assert!(began.elapsed() < Duration::from_secs(20), "{what} took {:?}", began.elapsed());
        assert!(error.may_pass());
    }
    assert_eq!(refusal(options(&farm), "no-such-host.invalid").kind, Resolve);
}

#[test]
fn a_host_that_stops_in_the_middle_of_a_command_is_noticed() {
    let farm = Farm::up();
    let options = SshOptions {
        timeouts: Timeouts { keepalive: Duration::from_secs(2), ..Timeouts::default() },
        ..options(&farm)
    };
    let mut link = connect(options, "127.0.0.2").unwrap();
    // The command stays quiet for longer than a dead host is given, on a host that lives.
    assert_eq!(run(&mut link, "sleep 7; exit 5").0, ExecEnd::Status(5));
    let began = Instant::now();
    let (end, heard) = run(&mut link, "echo $PPID; kill -STOP $PPID; sleep 600");
    let ExecEnd::Lost(why) = end else { panic!("{end:?}") };
    assert!(why.contains("silent"), "{why}");
    assert!(began.elapsed() < Duration::from_secs(30));
    assert!(heard.out.len() <= 1);
}

#[test]
fn many_threads_shake_hands_and_run_commands_at_once() {
    let farm = Farm::up();
    let ssh = Arc::new(Ssh::prepare(options(&farm)).unwrap());
    let threads: Vec<_> = (0..64)
        .map(|number| {
            let ssh = ssh.clone();
            std::thread::spawn(move || {
                let mut link = ssh.connect(&target(&format!("127.0.1.{number}"))).unwrap();
                assert_eq!(run(&mut link, "echo $HOIST_FARM_HOST").1.out.len(), 1);
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn the_algorithms_that_are_preferred_are_used_where_the_server_has_them_and_others_where_not() {
    let farm = Farm::up_with(&[(
        "FARM_SSHD_OPTS",
        "KexAlgorithms curve25519-sha256,diffie-hellman-group16-sha512\nCiphers aes256-ctr,aes256-gcm@openssh.com",
    )]);
    assert!(connect(options(&farm), "127.0.0.2").is_ok(), "the default has nothing in common with a strict server");
    let with = |kex: &str, ciphers: &str| {
        let mut options = options(&farm);
        let names = |text: &str| text.split(',').map(str::to_owned).collect();
        options.algorithms = Algorithms { kex: names(kex), ciphers: names(ciphers), ..options.algorithms };
        options
    };
    assert!(connect(with("diffie-hellman-group16-sha512", "aes256-ctr"), "127.0.0.3").is_ok());
    let error = refusal(with("ecdh-sha2-nistp256", "aes256-ctr"), "127.0.0.4");
    assert!(
        error.message.contains("no key exchange in common") && error.message.contains("ecdh-sha2-nistp256"),
        "{error}"
    );
    let error = refusal(with("curve25519-sha256", "aes128-ctr"), "127.0.0.4");
    assert_eq!(error.kind, ConnectErrorKind::Protocol);
    assert!(error.message.contains("no cipher in common") && error.message.contains("aes128-ctr"), "{error}");
}
