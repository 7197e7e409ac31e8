//! Hosts behind jump hosts.

use super::*;

#[test]
fn twenty_hosts_behind_two_jump_hosts_take_one_connection_to_each_of_them() {
    let behind = Behind::new();
    let ssh = behind.ssh("", "  ProxyJump b1,b2\n");
    let addresses: Vec<String> = (2..22).map(|n| format!("127.0.0.{n}")).collect();
    std::thread::scope(|scope| {
        let links: Vec<_> = addresses.iter().map(|to| scope.spawn(|| ssh.connect(&target(to)).unwrap())).collect();
        let mut links: Vec<Link> = links.into_iter().map(|thread| thread.join().unwrap()).collect();
        for (link, address) in links.iter_mut().zip(&addresses) {
            assert_eq!(host(link), *address);
        }
    });
    for address in &addresses {
        assert_eq!(behind.scene.farm.connections_to(address), 1, "{address}");
    }
    assert_eq!((behind.bastion.connections_to("127.9.0.1"), behind.bastion.connections_to("127.9.0.2")), (1, 1));
}

#[test]
fn much_goes_both_ways_through_a_jump_host_while_others_do_the_same() {
    let behind = Behind::new();
    let ssh = behind.ssh("  ProxyJump b1\n", "  ProxyJump b2\n");
    std::thread::scope(|scope| {
        for n in 2..6 {
            let ssh = &ssh;
            scope.spawn(move || {
                let mut link = ssh.connect(&target(&format!("127.0.0.{n}"))).unwrap();
                let (bytes, mut lines, mut sum) = (6 * 1024 * 1024 + 17, 0, String::new());
                let command = "(yes 0123456789abcde | head -c 4194304) & count=$(wc -c); wait; echo sum $count";
                let until = Instant::now() + Duration::from_secs(120);
                let end = link.exec(command, Input::from(vec![b'x'; bytes]), until, &mut |said| {
                    match said {
                        OutputChunk::Out(b"0123456789abcde") => lines += 1,
                        OutputChunk::Out(line) => sum = String::from_utf8_lossy(line).into_owned(),
                        OutputChunk::Err(line) => panic!("{}", String::from_utf8_lossy(line)),
                    }
                    AfterLine::More
                });
                assert_eq!((end, lines, sum), (Ok(ExecEnd::Status(0)), 262_144, format!("sum {bytes}")));
            });
        }
    });
    assert_eq!((behind.bastion.connections_to("127.9.0.1"), behind.bastion.connections_to("127.9.0.2")), (1, 1));
}

#[test]
fn the_keys_of_jump_host_and_target_are_both_checked_each_under_its_own_name() {
    let behind = Behind::new();
    let known_hosts = behind.scene.farm.path("bastion-known_hosts");
    let right = fs::read_to_string(&known_hosts).unwrap();
    fs::write(&known_hosts, "").unwrap();
    let refusal = |ssh: Ssh| ssh.connect(&target("127.0.0.2")).err().unwrap();
    let error = refusal(behind.ssh("", "  ProxyJump b1\n"));
    assert_eq!(error.kind, ConnectErrorKind::HostKeyUnknown, "{error}");
    assert!(error.message.starts_with("jump host: host key of [127.9.0.1]"), "{error}");
    fs::write(&known_hosts, right).unwrap();
    let error = refusal(behind.ssh("", "  ProxyJump b1\n  UserKnownHostsFile /dev/null\n"));
    assert_eq!(error.kind, ConnectErrorKind::HostKeyUnknown, "{error}");
    assert!(error.message.starts_with("host key of [127.0.0.2]"), "{error}");
}

#[test]
fn a_host_that_cannot_be_reached_from_its_jump_host_is_told_apart_from_a_jump_host_that_is_down() {
    let behind = Behind::new();
    let refusing = ports::refusing();
    let closed = format!("root@127.0.0.2:{}", refusing.number);
    let error = behind.ssh("", "  ProxyJump b1\n").connect(&target(&closed)).err().unwrap();
    assert_eq!(error.kind, ConnectErrorKind::Refused);
    assert!(error.message.contains("through b1: the jump host says connect failed"), "{error}");
    let config = format!("Host b3\n  HostName 127.9.0.3\n  Port {}\nHost *\n  ProxyJump b3\n", refusing.number);
    let error =
        behind.scene.refusal(&config.replace("Host *\n  ProxyJump", "Host 127.0.0.*\n  ProxyJump"), "127.0.0.2");
    assert_eq!(error.kind, ConnectErrorKind::Refused);
    assert!(error.message.contains("jump host: cannot connect to b3 (127.9.0.3)"), "{error}");
    for jump in ["b1", "b1,b2"] {
        let config = format!("Host *\n  ProxyJump {jump}\n");
        behind.scene.refused(&config, "127.0.0.2", ConnectErrorKind::Configuration, &["(Host * !b"]);
    }
}

/// A port that answers no connection: its queue is full.
struct Hole {
    _held: Vec<std::os::fd::OwnedFd>,
    port: u16,
}

impl Hole {
    fn new() -> Hole {
        use rustix::net::{AddressFamily, SocketType, bind, connect, getsockname, listen, socket};
        let new = || {
            let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
            rustix::io::ioctl_fionbio(&socket, true).unwrap();
            socket
        };
        let listener = new();
        bind(&listener, &"127.0.0.1:0".parse::<std::net::SocketAddrV4>().unwrap()).unwrap();
        listen(&listener, 0).unwrap();
        let address: std::net::SocketAddr = getsockname(&listener).unwrap().try_into().unwrap();
        let mut held = vec![listener];
        for _ in 0..4 {
            let socket = new();
            let _ = connect(&socket, &address);
            held.push(socket);
        }
        Hole { _held: held, port: address.port() }
    }
}

#[test]
fn a_host_that_is_silent_behind_its_jump_host_holds_up_no_other() {
    let behind = Behind::new();
    let hole = Hole::new();
    let ssh = behind.ssh("", "  ProxyJump b1\n  ConnectTimeout 20\n");
    std::thread::scope(|scope| {
        let silent = scope.spawn(|| ssh.connect(&target(&format!("127.0.0.1:{}", hole.port))));
        wait_for("the silent host to be tried", || behind.bastion.connections_to("127.9.0.1") == 1);
        std::thread::sleep(Duration::from_millis(500));
        for n in 2..6 {
            assert!(ssh.connect(&target(&format!("127.0.0.{n}"))).is_ok());
        }
        assert!(!silent.is_finished(), "nobody was held up, or all were");
        let error = silent.join().unwrap().err().unwrap();
        assert!(error.kind == ConnectErrorKind::Timeout && error.message.contains("within 20s"), "{error}");
    });
    assert_eq!(behind.bastion.connections_to("127.9.0.1"), 2);
}

#[test]
fn a_jump_host_that_is_silent_in_mid_session_is_noticed() {
    let behind = Behind::new();
    let ssh = behind.ssh("", "  ProxyJump b1\n  ServerAliveInterval 2\n  ServerAliveCountMax 2\n");
    let mut link = ssh.connect(&target("127.0.0.2")).unwrap();
    assert_eq!(said(&mut link, "sleep 6; echo on"), "on");
    let pid = fs::read_to_string(behind.bastion.path("sshd.pid")).unwrap();
    let children = Command::new("pgrep").args(["-P", pid.trim()]).output().unwrap().stdout;
    let children = String::from_utf8(children).unwrap();
    for child in children.lines() {
        assert!(Command::new("kill").args(["-STOP", child]).status().unwrap().success());
    }
    let end =
        link.exec("sleep 600", Input::default(), Instant::now() + Duration::from_secs(120), &mut |_| AfterLine::More);
    assert!(
        matches!(&end, Err(hoist::fleet::ssh::OpenError::Lost(why)) | Ok(ExecEnd::Lost(why)) if why.contains("silent")),
        "{end:?}"
    );
    for child in children.lines() {
        assert!(Command::new("kill").args(["-CONT", child]).status().unwrap().success());
    }
}

#[test]
fn a_session_whose_jump_host_died_is_made_again_through_a_new_one() {
    let behind = Behind::new();
    let ssh = behind.ssh("", "  ProxyJump b1\n");
    let mut links: Vec<Link> = (2..5).map(|n| ssh.connect(&target(&format!("127.0.0.{n}"))).unwrap()).collect();
    behind.cut();
    for link in &mut links {
        let end = link
            .exec("sleep 600", Input::default(), Instant::now() + Duration::from_secs(60), &mut |_| AfterLine::More);
        assert!(matches!(end, Err(hoist::fleet::ssh::OpenError::Lost(_)) | Ok(ExecEnd::Lost(_))), "{end:?}");
        assert!(!link.is_alive());
    }
    for n in 2..5 {
        let address = format!("127.0.0.{n}");
        assert_eq!(host(&mut ssh.connect(&target(&address)).unwrap()), address);
    }
    assert_eq!(behind.bastion.connections_to("127.9.0.1"), 2);
}
