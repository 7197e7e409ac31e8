//! Logging in with keys that an ssh-agent holds: many of them, one by name, and agents that misbehave.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::farm::agent::Agent;
use common::{Farm, HOIST, Project, Ran, address};
use hoist::fleet::ssh::{ConnectError, ConnectErrorKind, Program, Ssh, SshOptions, Timeouts};

fn options(farm: &Farm, agent: &str) -> SshOptions {
    SshOptions {
        user: Some("root".into()),
        port: farm.port,
        known_hosts: Some(vec![farm.known_hosts()]),
        program: Program::Installed("/bin/true".into()),
        agent: Some(agent.into()),
        // What a home has of keys is no part of these tests.
        identity_files: None,
        timeouts: Timeouts { connect: Duration::from_secs(60), ..Timeouts::default() },
        ..SshOptions::default()
    }
}

fn connect(ssh: &Ssh, address: &str) -> Result<(), ConnectError> {
    ssh.connect(&address.parse().unwrap()).map(drop)
}

fn keygen(farm: &Farm, name: &str) -> PathBuf {
    let path = farm.path(name);
    let done = Command::new("ssh-keygen").args(["-qt", "ed25519", "-N", "", "-C", name, "-f"]).arg(&path).status();
    assert!(done.unwrap().success());
    path
}

/// An agent with eleven keys that no host knows, and behind them the one that all do.
fn crowded(farm: &Farm) -> Agent {
    let agent = Agent::start();
    for number in 0..11 {
        agent.add(&keygen(farm, &format!("wrong{number}")));
    }
    agent.add(&farm.key());
    agent
}

#[test]
fn twelve_keys_get_in_where_a_server_allows_three_tries_the_right_one_last() {
    let farm = Farm::up_with(&[("FARM_SSHD_OPTS", "MaxAuthTries 3")]);
    let agent = crowded(&farm);
    let ssh = Ssh::prepare(options(&farm, &agent.socket)).unwrap();
    connect(&ssh, "127.0.0.2").unwrap();
    connect(&ssh, "127.0.0.3").unwrap();
    assert_eq!(farm.connections_to("127.0.0.3"), 1, "what one host took is tried first on the next");
    let ssh = Arc::new(Ssh::prepare(options(&farm, &agent.socket)).unwrap());
    let threads: Vec<_> = (0..16)
        .map(|number| {
            let ssh = ssh.clone();
            std::thread::spawn(move || connect(&ssh, &format!("127.0.1.{number}")))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap().unwrap();
    }
    let bothered = (0..16).filter(|number| farm.connections_to(&format!("127.0.1.{number}")) > 1).count();
    assert_eq!(bothered, 1, "one login finds the key out for all of them");
}

#[test]
fn the_key_that_got_in_is_the_first_to_be_tried_the_next_time_at_each_account_and_at_new_hosts() {
    let farm = Farm::up_with(&[("FARM_SSHD_OPTS", "MaxAuthTries 3")]);
    let agent = crowded(&farm);
    let memory = farm.path("state/keys");
    let options = || SshOptions { key_memory: Some(memory.clone()), ..options(&farm, &agent.socket) };
    connect(&Ssh::prepare(options()).unwrap(), "127.0.0.2").unwrap();
    let before = farm.connections_to("127.0.0.2");
    assert!(before > 1);
    let ssh = Ssh::prepare(options()).unwrap();
    connect(&ssh, "127.0.0.2").unwrap();
    assert_eq!(farm.connections_to("127.0.0.2"), before + 1);
    connect(&Ssh::prepare(options()).unwrap(), "127.0.0.3").unwrap();
    assert_eq!(farm.connections_to("127.0.0.3"), 1);
    let refused = farm.log().matches("Failed publickey for root from").count();
    assert_eq!(farm.log().matches("Accepted publickey for root from").count(), 3, "{refused} refused");
    // What is remembered is a hint: a key that is gone, a file that is damaged.
    assert!(agent.ssh_add().args(["-q", "-D"]).stderr(Stdio::null()).status().unwrap().success());
    agent.add(&farm.path("wrong0"));
    let new = keygen(&farm, "new");
    agent.add(&new);
    fs::write(farm.path("authorized_keys"), fs::read_to_string(farm.path("new.pub")).unwrap()).unwrap();
    connect(&Ssh::prepare(options()).unwrap(), "127.0.0.2").unwrap();
    fs::write(&memory, b"\xff\xfe\n\troot\n\t\t\t\nroot@127.0.0.2").unwrap();
    connect(&Ssh::prepare(options()).unwrap(), "127.0.0.2").unwrap();
}

#[test]
fn any_number_of_tries_that_a_server_allows_is_enough() {
    for tries in [1, 2, 6] {
        let farm = Farm::up_with(&[("FARM_SSHD_OPTS", &format!("MaxAuthTries {tries}"))]);
        let agent = crowded(&farm);
        let ssh = Ssh::prepare(options(&farm, &agent.socket)).unwrap();
        connect(&ssh, "127.0.0.2").unwrap_or_else(|error| panic!("{tries} tries: {error}"));
    }
}

#[test]
fn twelve_keys_that_are_all_wrong_are_each_tried_and_named() {
    let farm = Farm::up_with(&[("FARM_SSHD_OPTS", "MaxAuthTries 3")]);
    let agent = crowded(&farm);
    fs::write(farm.path("authorized_keys"), "").unwrap();
    let error = connect(&Ssh::prepare(options(&farm, &agent.socket)).unwrap(), "127.0.0.2").unwrap_err();
    assert_eq!(error.kind, ConnectErrorKind::Auth, "{error}");
    let log = farm.log();
    for number in 0..11 {
        let public = farm.path(&format!("wrong{number}.pub"));
        let print = Command::new("ssh-keygen").arg("-lf").arg(public).output().unwrap().stdout;
        let print = String::from_utf8(print).unwrap().split(' ').nth(1).unwrap().to_owned();
        assert!(log.contains(&print), "the server never saw key {number}");
    }
    for number in 0..11 {
        assert!(error.message.contains(&format!("\"wrong{number}\" of the agent")), "{error}");
    }
    assert!(!error.message.contains("not tried"), "{error}");
}

fn with_keyholder(project: &Project, room: &Path, socket: &str, arguments: &[&str]) -> Ran {
    with_keyholder_and(project, room, socket, "", arguments)
}

/// `hoist` in a room of its own, in which the keyholder's places are: `/etc/keyholder.d` and `/run/keyholder`. `own` is
/// the operator's agent.
fn with_keyholder_and(project: &Project, room: &Path, socket: &str, own: &str, arguments: &[&str]) -> Ran {
    let template = project.hoist(&[]);
    let script = "set -e\n\
                  cp -a /etc \"$room/etc\"; mkdir -p \"$room/etc/keyholder.d\"; cp \"$room\"/*.pub \"$room/etc/keyholder.d\"\n\
                  mount --bind \"$room/etc\" /etc\n\
                  mount -t tmpfs none /run; mkdir /run/keyholder; ln -s \"$socket\" /run/keyholder/proxy.sock\n\
                  exec \"$hoist\" \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "--propagation", "private", "sh", "-c", script, "sh"]).args(arguments);
    command.current_dir(project.path("")).stdin(Stdio::null());
    common::take_environment(&mut command, &template);
    command.env("SSH_AUTH_SOCK", own).env("HOME", room);
    command.env("room", room).env("socket", socket).env("hoist", HOIST);
    Ran::of(command.output().unwrap())
}

/// A server that hears one key a connection, an agent with many keys, and a project whose configuration, in full, names
/// no key.
fn without_key_files() -> (Farm, Agent, Project, String) {
    let farm = Farm::up_with(&[("FARM_SSHD_OPTS", "MaxAuthTries 1")]);
    let agent = crowded(&farm);
    let project = Project::new(&farm, 0, 2);
    let config = fs::read_to_string(project.path("hoist/hoist.cfg")).unwrap();
    let others = config.lines().filter(|line| !line.starts_with("identity_file"));
    let config = others.map(|line| format!("{line}\n")).collect();
    (farm, agent, project, config)
}

#[test]
fn a_key_by_name_is_the_only_one_of_the_keyholders_that_is_tried() {
    let (farm, agent, project, config) = without_key_files();
    project.write("hoist/hoist.cfg", &(config + "keyholder_key: deploy_app\n"));
    project.commit("keyholder");
    let room = || {
        let room = tempfile::tempdir().unwrap();
        fs::copy(farm.path("wrong0.pub"), room.path().join("other.pub")).unwrap();
        room
    };
    let right = room();
    fs::copy(farm.path("id.pub"), right.path().join("deploy_app.pub")).unwrap();
    with_keyholder(&project, right.path(), &agent.socket, &["deploy", "--yes"]).ends(0);
    assert_eq!(farm.connections_to(&address(0)), 1);

    let ran = with_keyholder(&project, room().path(), &agent.socket, &["deploy", "--yes"]).ends(2);
    ran.says("keyholder_key \"deploy_app\" cannot be used: cannot read /etc/keyholder.d/deploy_app.pub");
    let unknown = room();
    keygen(&farm, "unknown");
    fs::copy(farm.path("unknown.pub"), unknown.path().join("deploy_app.pub")).unwrap();
    let ran = with_keyholder(&project, unknown.path(), &agent.socket, &["deploy", "--yes"]).ends(2);
    ran.says("the agent at /run/keyholder/proxy.sock does not hold the");
    let gone = room();
    fs::copy(farm.path("id.pub"), gone.path().join("deploy_app.pub")).unwrap();
    let ran = with_keyholder(&project, gone.path(), "/nonexistent", &["deploy", "--yes"]).ends(2);
    ran.says("cannot use the ssh agent at /run/keyholder/proxy.sock: No such file or directory");
    assert_eq!(farm.connections_to(&address(0)), 1, "mistakes are found before anything is connected");
}

#[test]
fn scap_s_shared_agent_is_used_with_the_key_that_is_called_as_the_remote_user() {
    let (farm, shared, project, config) = without_key_files();
    let own = Agent::start();
    let deploy = |key: &str, user: &str, more: &[&str]| {
        let room = tempfile::tempdir().unwrap();
        fs::copy(farm.path("id.pub"), room.path().join(format!("{key}.pub"))).unwrap();
        let config = config.replace("ssh_user: root", &format!("ssh_user: {user}"));
        project.write("hoist/hoist.cfg", &(config + "ssh_auth_sock: /run/keyholder/proxy.sock\n"));
        project.commit("shared agent");
        let arguments = [&["deploy", "--yes"], more].concat();
        // The operator's own agent has other keys, and does not stand in the way.
        with_keyholder_and(&project, room.path(), &shared.socket, &own.socket, &arguments)
    };
    own.add(&keygen(&farm, "operator"));
    deploy("root", "root", &[]).ends(0);
    assert_eq!(farm.connections_to(&address(0)), 1, "no other key is tried");
    // A key by another name is found as Scap finds it.
    deploy("deploy_the_app", "root", &["-D", "keyholder_key:deploy-the.app"]).ends(0);
    // No such key: the agent's keys are tried one after the other, on the host whose turn it is first.
    let connections = || farm.connections_to(&address(0)) + farm.connections_to(&address(1));
    let before = connections();
    deploy("other", "root", &[]).ends(0);
    assert!(connections() - before > 2);
    // The operator may leave the shared agent alone.
    let alone = deploy("root", "root", &["--no-shared-authsock"]);
    assert_ne!(alone.status, Some(0), "{alone:?}");
    assert!(format!("{}{}", alone.out, alone.err).contains("operator"), "{alone:?}");
    own.add(&farm.key());
    deploy("root", "root", &["--no-shared-authsock", "-D", "keyholder_key:none_such"]).ends(0);
    // A name with other characters: `_` stands for each in the file's name. That account is not there.
    let ran = deploy("a_user_x", "a.user-x", &[]).says("a.user-x");
    assert!(!format!("{}{}", ran.out, ran.err).contains("wrong0"), "only that key is tried: {ran:?}");
}

#[test]
fn an_agent_that_hangs_is_found_out_in_its_time_before_anything_is_connected_and_after() {
    let farm = Farm::up();
    let agent = Agent::start();
    agent.add(&farm.key());
    let second = Duration::from_secs(1);
    let options = || SshOptions {
        timeouts: Timeouts { connect: second, ..Timeouts::default() },
        ..options(&farm, &agent.socket)
    };
    let file = || SshOptions { identity_files: Some(vec![farm.path("id.pub")]), ..options() };
    let (ssh, only) = (Ssh::prepare(options()).unwrap(), Ssh::prepare(file()).unwrap());
    agent.signal("STOP");
    let error = format!("{:#}", Ssh::prepare(file()).err().unwrap());
    assert!(error.contains("no agent holds the private key"), "{error}");
    for ssh in [&ssh, &only] {
        let error = connect(ssh, "127.0.0.2").unwrap_err();
        assert!(error.message.contains("cannot log in to 127.0.0.2 as root"), "{error}");
        assert!(error.message.contains(&agent.socket) && error.message.contains("no answer within 1s"), "{error}");
    }
    // So many that the agent takes in no more of them.
    let threads: Vec<UnixStream> = (0..200)
        .map_while(|_| {
            let socket = socket_of(&agent.socket);
            socket.ok()
        })
        .collect();
    assert!(connect(&ssh, "127.0.0.2").is_err());
    drop(threads);
    agent.signal("CONT");
    connect(&ssh, "127.0.0.2").unwrap();
}

/// A connection that is there at once or not at all.
fn socket_of(path: &str) -> std::io::Result<UnixStream> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}

const SIGN_REQUEST: u8 = 13;

fn message(from: &mut UnixStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length).ok()?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize];
    from.read_exact(&mut body).ok()?;
    Some([&length[..], &body].concat())
}

/// An agent's socket in front of a real agent. `sign` is asked before anything is signed, and answers in the agent's
/// place unless it gives the connection back; all else passes.
fn in_front_of(
    agent: &Agent,
    farm: &Farm,
    name: &str,
    sign: impl Fn(UnixStream) -> Option<UnixStream> + Clone + Send + 'static,
) -> String {
    let path = farm.path(name).to_str().unwrap().to_owned();
    let (listener, behind) = (UnixListener::bind(&path).unwrap(), agent.socket.clone());
    std::thread::spawn(move || {
        for asks in listener.incoming() {
            let (mut asks, behind, sign) = (asks.unwrap(), behind.clone(), sign.clone());
            std::thread::spawn(move || {
                let mut agent = UnixStream::connect(behind).unwrap();
                while let Some(question) = message(&mut asks) {
                    if question[4] == SIGN_REQUEST {
                        let Some(back) = sign(asks) else { return };
                        asks = back;
                    }
                    agent.write_all(&question).unwrap();
                    let Some(answer) = message(&mut agent) else { return };
                    if asks.write_all(&answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    path
}

#[test]
fn an_agent_that_does_not_sign_costs_its_time_once_and_other_keys_are_tried_behind_it() {
    let farm = Farm::up();
    let agent = Agent::start();
    agent.add(&farm.key());
    for number in 0..3 {
        // Keys that the hosts know, so that the agent would be asked to sign with each.
        let key = keygen(&farm, &format!("known{number}"));
        agent.add(&key);
        let known = fs::read_to_string(farm.path("authorized_keys")).unwrap();
        let public = fs::read_to_string(key.with_extension("pub")).unwrap();
        fs::write(farm.path("authorized_keys"), known + &public).unwrap();
    }
    let alone = keygen(&farm, "alone");
    let known = fs::read_to_string(farm.path("authorized_keys")).unwrap();
    fs::write(farm.path("authorized_keys"), known + &fs::read_to_string(farm.path("alone.pub")).unwrap()).unwrap();
    let silent = |mut asks: UnixStream| drop(asks.read_to_end(&mut Vec::new()));
    let drips = |mut asks: UnixStream| {
        let _ = asks.write_all(&[0, 0, 1, 0]);
        while asks.write_all(&[0]).is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    let hangs_up = |asks: UnixStream| drop(asks);
    let refuses = |mut asks: UnixStream| drop(asks.write_all(&[0, 0, 0, 1, 5]));
    let raves = |mut asks: UnixStream| drop(asks.write_all(&[0xff; 64]));
    type Signs = fn(UnixStream);
    let cases: [(&str, Signs, &str); 5] = [
        ("silent", silent, "no answer within 2s"),
        ("drips", drips, "no answer within 2s"),
        ("hangs-up", hangs_up, "it closed the connection"),
        ("refuses", refuses, "the agent refused to sign with it"),
        ("raves", raves, "its answer has 4294967295 bytes"),
    ];
    for (name, sign, why) in cases {
        let socket = in_front_of(&agent, &farm, name, move |asks| {
            sign(asks);
            None
        });
        let options = || SshOptions {
            timeouts: Timeouts { connect: Duration::from_secs(2), ..Timeouts::default() },
            ..options(&farm, &socket)
        };
        let error = connect(&Ssh::prepare(options()).unwrap(), "127.0.0.2").unwrap_err();
        assert!(error.message.contains("cannot log in to 127.0.0.2 as root"), "{name}: {error}");
        assert!(error.message.contains(why), "{name}: {error}");
        // An agent that says no to one key may say yes to another.
        let asked = if name == "refuses" { 4 } else { 1 };
        assert_eq!(error.message.matches(why).count(), asked, "{error}");
        // A key in the agent, and one that is a file.
        let files = vec![farm.path("known0.pub"), alone.clone()];
        let mixed = Ssh::prepare(SshOptions { identity_files: Some(files), ..options() }).unwrap();
        connect(&mixed, "127.0.0.3").unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn a_connection_that_is_lost_in_the_middle_of_a_login_is_not_taken_for_a_refusal() {
    let farm = Farm::up();
    let agent = Agent::start();
    agent.add(&farm.key());
    let sshd = fs::read_to_string(farm.path("sshd.pid")).unwrap().trim().to_owned();
    let lost = Arc::new(AtomicBool::new(false));
    let once = lost.clone();
    let socket = in_front_of(&agent, &farm, "lossy", move |asks| {
        if !once.swap(true, Ordering::SeqCst) {
            // The far end of the one session that there is.
            let sessions = Command::new("pgrep").args(["-P", &sshd]).output().unwrap().stdout;
            let sessions = String::from_utf8(sessions).unwrap();
            let killed = Command::new("kill").arg("-KILL").args(sessions.split_whitespace()).status().unwrap();
            assert!(killed.success());
        }
        Some(asks)
    });
    connect(&Ssh::prepare(options(&farm, &socket)).unwrap(), "127.0.0.2").unwrap();
    assert!(lost.load(Ordering::SeqCst));
    assert_eq!(farm.connections_to("127.0.0.2"), 2);
}

/// A farm, and an agent that holds the key to it.
fn with_agent() -> (Farm, Agent, Ssh) {
    let farm = Farm::up();
    let agent = Agent::start();
    agent.add(&farm.key());
    let ssh = Ssh::prepare(options(&farm, &agent.socket)).unwrap();
    (farm, agent, ssh)
}

#[test]
fn a_locked_agent_is_told_from_one_that_is_not_there() {
    let (farm, agent, ssh) = with_agent();
    let ask = farm.path("askpass");
    fs::write(&ask, "#!/bin/sh\necho secret\n").unwrap();
    fs::set_permissions(&ask, fs::Permissions::from_mode(0o755)).unwrap();
    let lock = |flag: &str| {
        let mut command = agent.ssh_add();
        command.arg(flag).env("SSH_ASKPASS", &ask).env("SSH_ASKPASS_REQUIRE", "force").env("DISPLAY", ":none");
        assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
    };
    lock("-x");
    let error = connect(&ssh, "127.0.0.2").unwrap_err();
    assert!(error.message.contains("the agent no longer holds it"), "{error}");
    let home = tempfile::tempdir().unwrap();
    let project = Project::new(&farm, 0, 1);
    let config = fs::read_to_string(project.path("hoist/hoist.cfg")).unwrap();
    project.write("hoist/hoist.cfg", &config.replace("identity_file:", "was_identity_file:"));
    let deploy = |socket: &str| {
        let mut command = project.hoist(&["deploy", "--yes"]);
        Ran::of(command.env("HOME", home.path()).env("SSH_AUTH_SOCK", socket).output().unwrap())
    };
    deploy(&agent.socket).ends(2).says("holds no keys, or is locked (ssh-add -X unlocks it)");
    deploy("/nonexistent").ends(2).says("cannot use the ssh agent at /nonexistent: No such file");
    lock("-X");
    connect(&ssh, "127.0.0.2").unwrap();
    deploy(&agent.socket).ends(0);
}

#[test]
fn an_agent_that_dies_between_two_hosts_is_named_by_the_second() {
    let (_farm, agent, ssh) = with_agent();
    connect(&ssh, "127.0.0.2").unwrap();
    agent.signal("KILL");
    let error = connect(&ssh, "127.0.0.3").unwrap_err();
    let words = format!("cannot log in to 127.0.0.3 as root: the ssh agent at {}: ", agent.socket);
    assert!(error.message.starts_with(&words), "{error}");
    assert_eq!(error.kind, ConnectErrorKind::Auth);
}
