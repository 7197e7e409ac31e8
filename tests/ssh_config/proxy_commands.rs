//! Proxy commands, and servers that limit how many may log in at the same time.

use super::*;

#[test]
fn a_proxy_command_carries_the_session_and_ends_with_it() {
    let behind = Behind::new();
    let mark = behind.scene.farm.path("mark");
    let file = behind.scene.farm.path("inner_config");
    fs::write(&file, behind.config("", "")).unwrap();
    let command =
        format!("  ProxyCommand sh -c 'echo $$ >> {}; exec ssh -F {} -W %h:%p b1'\n", mark.display(), file.display());
    let ssh = behind.ssh("", &command);
    let mut link = ssh.connect(&target("127.0.0.2")).unwrap();
    assert_eq!(host(&mut link), "127.0.0.2");
    let many = "head -c 3000000 /dev/zero | tr '\\0' x | fold -w 1000";
    assert_eq!(said(&mut link, many).len(), 3_000_000);
    assert_eq!(behind.bastion.connections_to("127.9.0.1"), 1);
    let pid = fs::read_to_string(&mark).unwrap().trim().to_owned();
    assert!(is_running(&pid));
    drop(link);
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "it was not ended, or not reaped");
    // One that dies takes its session with it.
    let mut link = ssh.connect(&target("127.0.0.3")).unwrap();
    let pid = fs::read_to_string(&mark).unwrap().lines().last().unwrap().to_owned();
    assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    let end =
        link.exec("sleep 600", Input::default(), Instant::now() + Duration::from_secs(60), &mut |_| AfterLine::More);
    assert!(matches!(end, Err(hoist::fleet::ssh::OpenError::Lost(_)) | Ok(ExecEnd::Lost(_))), "{end:?}");
}

#[test]
fn a_proxy_command_that_fails_says_why() {
    let scene = Scene::new();
    let proxy = "Host web1\n  ProxyCommand sh -c 'echo no way to %n >&2; exit 3'\n";
    scene.refused(proxy, "web1", ConnectErrorKind::Refused, &["exit status: 3", "no way to web1"]);
    let error = scene.refusal("Host web1\n  ProxyCommand /nothing/here %h\n", "web1");
    assert!(error.message.contains("its ProxyCommand ended (exit status: 127)"), "{error}");
    // One that hangs, and does not want to end.
    let stubborn = "Host web1\n  ConnectTimeout 1\n  ProxyCommand sh -c \"trap '' TERM; while :; do sleep 1; done\"\n";
    assert_eq!(scene.refusal(stubborn, "web1").kind, ConnectErrorKind::Timeout);
    assert!(scene.connect("Host 127.*\n  ProxyCommand none\n", "127.0.0.2").is_ok());
}

/// A server that drops every connection beyond so many that are not logged in. A default one drops some beyond ten; it
/// hears of a login a little later than the client, which this leaves room for.
const MAX_STARTUPS: (&str, &str) = ("FARM_SSHD_OPTS", "MaxStartups 18:100:18");

/// Connects to so many hosts at the same time.
fn connect_all(ssh: &Ssh, count: usize) {
    std::thread::scope(|scope| {
        for n in 0..count {
            scope.spawn(move || ssh.connect(&target(&format!("h{n}"))).map(drop).unwrap());
        }
    });
}

#[test]
fn many_targets_at_one_address_do_not_trip_the_limit_of_its_server() {
    let scene = Scene { farm: Farm::up_with(&[MAX_STARTUPS]) };
    let config = format!("Host h*\n  HostName 127.0.0.7\nHost *\n{}  HostKeyAlias 127.0.0.7\n", scene.basics());
    let known = fs::read_to_string(scene.farm.known_hosts()).unwrap();
    let of_seven = known.lines().map(|line| format!("127.0.0.7 {}\n", line.split_once(' ').unwrap().1));
    fs::write(scene.farm.known_hosts(), known.clone() + &of_seven.collect::<String>()).unwrap();
    connect_all(&Ssh::prepare(scene.options(&config)).unwrap(), 60);
    assert_eq!(scene.farm.connections_to("127.0.0.7"), 60);
    assert!(!scene.farm.log().contains("MaxStartups"), "connections were dropped");
}

#[test]
fn proxy_commands_that_log_in_at_one_bastion_do_not_trip_the_limit_of_its_server() {
    let scene = Scene::new();
    let bastion = Farm::up_with(&[MAX_STARTUPS]);
    let (key, known_hosts) = (bastion.key(), bastion.known_hosts());
    let config = format!(
        "Host h*\n  HostName 127.0.0.7\n  ProxyCommand ssh -F none -i {} -o UserKnownHostsFile={} -p {} -W %h:%p \
         root@127.0.0.3\nHost *\n{}",
        key.display(),
        known_hosts.display(),
        bastion.port,
        scene.basics()
    );
    connect_all(&Ssh::prepare(scene.options(&config)).unwrap(), 24);
    assert_eq!(bastion.connections_to("127.0.0.3"), 24);
    assert!(!bastion.log().contains("MaxStartups"), "connections were dropped");
}
