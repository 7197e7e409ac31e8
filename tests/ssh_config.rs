//! The operator's OpenSSH configuration, jump hosts and proxy commands, against real sshd hosts.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Farm, HOIST, Links, Project, Ran, address, wait_for};
use hoist::fleet::ssh::{
    AfterLine, ConnectError, ConnectErrorKind, ExecEnd, Input, Link, OpenSsh, OutputChunk, Ssh, SshOptions,
};
use hoist::targets::Target;

/// A farm, and an OpenSSH configuration for it.
struct Scene {
    farm: Farm,
}

impl Scene {
    fn new() -> Scene {
        Scene { farm: Farm::up() }
    }

    fn file(&self) -> PathBuf {
        self.farm.path("ssh_config")
    }

    /// What every host of the farm needs.
    fn basics(&self) -> String {
        let (key, known_hosts) = (self.farm.key(), self.farm.known_hosts());
        format!(
            "  User root\n  Port {}\n  IdentityFile {}\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n",
            self.farm.port,
            key.display(),
            known_hosts.display()
        )
    }

    /// Options that leave everything to this configuration.
    fn options(&self, config: &str) -> SshOptions {
        fs::write(self.file(), config).unwrap();
        SshOptions {
            openssh: Some(OpenSsh { file: Some(self.file()) }),
            remote_binary: Some("/bin/true".into()),
            ..SshOptions::default()
        }
    }

    /// A connection by what this configuration says, and by the basics behind it.
    fn connect(&self, config: &str, to: &str) -> Result<Link, ConnectError> {
        let config = format!("{config}\nHost *\n{}", self.basics());
        Ssh::prepare(self.options(&config)).unwrap().connect(&target(to))
    }

    fn refusal(&self, config: &str, to: &str) -> ConnectError {
        self.connect(config, to).err().expect("the connection was made")
    }

    /// A connection is refused for this kind of reason, and these words say why.
    #[track_caller]
    fn refused(&self, config: &str, to: &str, kind: ConnectErrorKind, words: &[&str]) {
        let error = self.refusal(config, to);
        assert!(error.kind == kind && words.iter().all(|word| error.message.contains(word)), "{error:?}");
    }
}

fn target(text: &str) -> Target {
    text.parse().unwrap()
}

fn said(link: &mut Link, command: &str) -> String {
    let mut out = String::new();
    let end = link.exec(command, Input::default(), Instant::now() + Duration::from_secs(60), &mut |said| {
        if let OutputChunk::Out(line) = said {
            out += &String::from_utf8_lossy(line);
        }
        AfterLine::More
    });
    assert_eq!(end, Ok(ExecEnd::Status(0)));
    out
}

/// The host that a session ended up on.
fn host(link: &mut Link) -> String {
    said(link, "basename $HOIST_FARM_HOST")
}

#[test]
fn a_host_goes_by_what_its_host_and_match_blocks_and_included_files_say() {
    let scene = Scene::new();
    let included = scene.farm.path("included.conf");
    fs::write(&included, "Host db*\n  HostName 127.0.0.8\n").unwrap();
    let config = format!(
        "Include {}\nHost web1\n  HostName 127.0.0.7\nMatch originalhost m1 exec \"true\"\n  HostName 127.0.0.9\n\
         Match originalhost m1 exec \"false\"\n  HostName 127.0.0.10\nMatch originalhost m2 user deploy\n  \
         HostName 127.0.0.11\n",
        included.display()
    );
    for (name, address) in
        [("web1", "127.0.0.7"), ("db3", "127.0.0.8"), ("m1", "127.0.0.9"), ("127.0.0.12", "127.0.0.12")]
    {
        assert_eq!(host(&mut scene.connect(&config, name).unwrap()), address, "{name}");
    }
    // A block for a user is for that user.
    let error = scene.refusal(&config, "deploy@m2");
    assert_eq!(error.kind, ConnectErrorKind::Auth, "{error}");
    assert!(error.message.starts_with("every key was refused for user deploy on m2"), "{error}");
}

#[test]
fn the_target_file_wins_over_hoist_s_configuration_and_that_over_openssh_s() {
    let scene = Scene::new();
    let wrong = "Host *\n  User wrong\n  Port 1\n  ConnectTimeout 77\n";
    let port = scene.farm.port;
    // The target's own.
    assert!(scene.connect(wrong, &format!("root@127.0.0.2:{port}")).is_ok());
    // Hoist's.
    let mut options = scene.options(&format!("{wrong}{}", scene.basics()));
    (options.user, options.port, options.set.port) = (Some("root".into()), port, true);
    assert!(Ssh::prepare(options.clone()).unwrap().connect(&target("127.0.0.3")).is_ok());
    // OpenSSH's, over a default of Hoist's.
    options.set.port = false;
    let error = Ssh::prepare(options).unwrap().connect(&target("127.0.0.3")).err().unwrap();
    assert!(error.kind == ConnectErrorKind::Refused && error.message.contains("127.0.0.3 port 1"), "{error}");
    scene.refused("Host *\n  User wrong\n", "127.0.0.3", ConnectErrorKind::Auth, &["refused for user wrong on"]);
}

#[test]
fn openssh_s_defaults_do_not_take_the_place_of_hoist_s() {
    let scene = Scene::new();
    // What Debian ships.
    let stock = "Host *\n  SendEnv LANG LC_*\n  HashKnownHosts yes\n  GSSAPIAuthentication yes\n";
    let mut options = scene.options(stock);
    options.user = Some("root".into());
    options.port = scene.farm.port;
    options.identity_files = Some(vec![scene.farm.key()]);
    options.known_hosts = Some(vec![scene.farm.known_hosts()]);
    assert!(Ssh::prepare(options).unwrap().connect(&target("127.0.0.2")).is_ok());
}

#[test]
fn a_host_key_is_looked_up_under_its_alias_and_a_new_one_taken_where_the_configuration_says_so() {
    let scene = Scene::new();
    let known_hosts = scene.farm.path("own_known_hosts");
    let strict = format!("Host *\n  HostKeyAlias the-web\n  UserKnownHostsFile {}\n", known_hosts.display());
    let words = "host key of the-web is not known";
    scene.refused(&strict, "127.0.0.2", ConnectErrorKind::HostKeyUnknown, &[words]);
    for accepting in ["accept-new", "no"] {
        let _ = fs::remove_file(&known_hosts);
        assert!(scene.connect(&format!("{strict}  StrictHostKeyChecking {accepting}\n"), "127.0.0.2").is_ok());
        let written = fs::read_to_string(&known_hosts).unwrap();
        assert!(written.starts_with("the-web ssh-ed25519 "), "{written}");
    }
    // Every host of that alias has the key from now on, and another one is refused, even with `no`.
    assert!(scene.connect(&strict, "127.0.0.3").is_ok());
    let key = fs::read_to_string(scene.farm.path("id.pub")).unwrap();
    fs::write(&known_hosts, format!("the-web {key}")).unwrap();
    let never_asked = format!("{strict}  StrictHostKeyChecking no\n");
    scene.refused(&never_asked, "127.0.0.3", ConnectErrorKind::HostKeyChanged, &[]);
    // A type of key that is preferred is asked for.
    fs::write(&known_hosts, "").unwrap();
    let rsa = format!("{strict}  StrictHostKeyChecking accept-new\n  HostKeyAlgorithms rsa-sha2-256\n");
    assert!(scene.connect(&rsa, "127.0.0.4").is_ok());
    assert!(fs::read_to_string(&known_hosts).unwrap().starts_with("the-web ssh-rsa "));
}

#[test]
fn what_would_change_the_connection_and_is_not_honoured_is_an_error_that_names_it() {
    let scene = Scene::new();
    let prepared = |config: &str, to: &str| {
        let ssh = Ssh::prepare(scene.options(&format!("{config}\nHost *\n{}", scene.basics())))?;
        ssh.find_routes(&[target(to)])
    };
    let error = format!("{:#}", prepared("Host web*\n  BindAddress 127.0.0.1\n", "web1").unwrap_err());
    for part in ["web1", "BindAddress 127.0.0.1", "ssh_config to none"] {
        assert!(error.contains(part), "{part:?} is not in {error}");
    }
    prepared("Host web*\n  BindAddress 127.0.0.1\n", "db1").unwrap();
    // Where it is said of all hosts, no target has to be asked for.
    let all = format!("Host *\n  BindAddress 127.0.0.1\n{}", scene.basics());
    let error = format!("{:#}", Ssh::prepare(scene.options(&all)).err().unwrap());
    assert!(error.contains("BindAddress 127.0.0.1"), "{error}");
    for (option, named) in [
        ("PreferredAuthentications password", "PreferredAuthentications"),
        ("Ciphers aes128-cbc", "Ciphers"),
        ("HostKeyAlgorithms ssh-dss", "HostKeyAlgorithms"),
        ("IdentityFile ~/.ssh/%C", "IdentityFile"),
        ("Nonsense yes", "ad configuration option"),
        ("ProxyJump web1", "ProxyJump"),
        ("ProxyJump b1,%k", "ProxyJump"),
        ("RemoteCommand true", "RemoteCommand"),
    ] {
        let error = format!("{:#}", prepared(&format!("Host web1\n  {option}\n"), "web1").expect_err(option));
        assert!(error.to_lowercase().contains(&named.to_lowercase()) && error.contains("web1"), "{option}: {error}");
    }
    prepared("Host web1\n  Ciphers aes128-cbc,aes256-ctr\n  SetEnv A=b\n  ForwardAgent yes\n", "web1").unwrap();
    let missing = SshOptions { openssh: Some(OpenSsh { file: Some("/nothing/here".into()) }), ..scene.options("") };
    assert!(
        format!("{:#}", Ssh::prepare(missing).and_then(|ssh| ssh.find_routes(&[target("web1")])).unwrap_err())
            .contains("/nothing/here")
    );
}

/// Lines as RHEL and Fedora with their crypto policies, Debian, and FreeIPA's client put them into /etc/ssh.
#[test]
fn what_distributions_set_stops_no_command() {
    let scene = Scene::new();
    let known = scene.farm.path("system_known_hosts");
    let command = format!("/bin/cat {}", known.display());
    fs::write(&known, "").unwrap();
    let config = format!(
        "Match final all\n  Ciphers aes256-gcm@openssh.com,aes256-ctr\n  MACs hmac-sha2-256-etm@openssh.com\n  \
         KexAlgorithms curve25519-sha256,ecdh-sha2-nistp256\n  PubkeyAcceptedAlgorithms ssh-ed25519,rsa-sha2-512\n  \
         HostKeyAlgorithms ssh-ed25519,rsa-sha2-512\n  CASignatureAlgorithms ssh-ed25519\n  RequiredRSASize 2048\n  \
         ForwardX11Trusted yes\n  SendEnv LANG LC_*\n\
         Host *\n  HashKnownHosts yes\n  GSSAPIAuthentication yes\n  GSSAPIDelegateCredentials yes\n  ForwardX11 yes\n  \
         VisualHostKey yes\n  ControlMaster auto\n  ControlPath ~/.ssh/%C\n  ControlPersist 60\n  AddressFamily inet\n  \
         PubkeyAuthentication yes\n  VerifyHostKeyDNS yes\n  HostbasedAuthentication yes\n  PKCS11Provider /lib/x.so\n\
         Match exec true\n  KnownHostsCommand {command}\n"
    );
    assert!(scene.connect(&config, "127.0.0.2").is_ok());
}

#[test]
fn a_match_block_whose_command_hangs_is_given_up() {
    let scene = Scene::new();
    let mark = scene.farm.path("mark");
    let config = format!("Match exec \"echo $$ > {}; sleep 600\"\n  User x\n", mark.display());
    let error = scene.refusal(&config, "web1");
    assert!(error.kind == ConnectErrorKind::Configuration && !error.may_pass(), "{error}");
    assert!(error.message.contains("web1") && error.message.contains("Match exec"), "{error}");
    let pid = fs::read_to_string(&mark).unwrap();
    wait_for("its command to be ended", || !is_running(pid.trim()));
}

fn is_running(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

struct Agent {
    socket: PathBuf,
    pid: String,
}

impl Agent {
    fn start(socket: PathBuf) -> Agent {
        let output = Command::new("ssh-agent").arg("-a").arg(&socket).arg("-s").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let pid = text.split([';', '\n']).find_map(|part| part.strip_prefix("SSH_AGENT_PID=")).unwrap().to_owned();
        Agent { socket, pid }
    }

    fn add(&self, key: &Path) {
        let mut command = Command::new("ssh-add");
        command.arg("-q").arg(key).env("SSH_AUTH_SOCK", &self.socket).stdin(Stdio::null());
        assert!(command.status().unwrap().success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(&self.pid).status();
    }
}

#[test]
fn the_agent_of_the_configuration_is_asked_for_keys() {
    let scene = Scene::new();
    let agent = Agent::start(scene.farm.path("agent-root"));
    agent.add(&scene.farm.key());
    let base = format!(
        "Host *\n  User root\n  Port {}\n  UserKnownHostsFile {}\n  IdentityFile none\n",
        scene.farm.port,
        scene.farm.known_hosts().display()
    );
    let connect =
        |agent: &str| Ssh::prepare(scene.options(&format!("{base}{agent}"))).unwrap().connect(&target("127.0.0.2"));
    let folder = scene.farm.path("");
    assert!(connect(&format!("IdentityAgent {}agent-%r\n", folder.display())).is_ok());
    let error = connect("IdentityAgent none\n").err().unwrap();
    assert!(error.message.contains("no agent and no key"), "{error}");
}

#[test]
fn a_certificate_is_shown_with_its_key_from_a_file_and_from_an_agent() {
    let scene = Scene::new();
    let path = |name: &str| scene.farm.path(name);
    let keygen = |arguments: &[&str]| {
        let folder = path("");
        assert!(Command::new("ssh-keygen").arg("-q").args(arguments).current_dir(folder).status().unwrap().success());
    };
    keygen(&["-t", "ed25519", "-N", "", "-f", "ca"]);
    let authority = fs::read_to_string(path("ca.pub")).unwrap();
    fs::write(path("authorized_keys"), format!("cert-authority {authority}")).unwrap();
    let config =
        |key: &str, more: &str| format!("Host *\n  IdentityFile {}\n  IdentitiesOnly yes\n{more}", path(key).display());
    let connect = |key: &str, more: &str| {
        // The farm's own key, which the basics add, is let in no more.
        scene.connect(&config(key, more), "127.0.0.2")
    };
    for kind in ["ed25519", "ecdsa", "rsa"] {
        keygen(&["-t", kind, "-N", "", "-f", kind]);
        let error = connect(kind, "").err().unwrap();
        assert_eq!(error.kind, ConnectErrorKind::Auth, "{error}");
        keygen(&["-s", "ca", "-I", "me", "-n", "root", &format!("{kind}.pub")]);
        assert!(connect(kind, "").is_ok(), "{kind}");
    }
    // Named by itself.
    fs::rename(path("ed25519-cert.pub"), path("elsewhere.pub")).unwrap();
    assert_eq!(connect("ed25519", "").err().unwrap().kind, ConnectErrorKind::Auth);
    let named = format!("  CertificateFile {}\n", path("elsewhere.pub").display());
    assert!(connect("ed25519", &named).is_ok());
    // An agent shows the certificates that it holds, and no other.
    let agent = Agent::start(path("agent"));
    agent.add(&path("ed25519"));
    let named = format!("{named}  IdentityAgent {}\n", agent.socket.display());
    let error = connect("ed25519.pub", &named).err().unwrap();
    assert!(error.message.contains("run ssh-add again"), "{error}");
    fs::rename(path("elsewhere.pub"), path("ed25519-cert.pub")).unwrap();
    agent.add(&path("ed25519"));
    assert!(connect("ed25519.pub", &format!("  IdentityAgent {}\n", agent.socket.display())).is_ok());
}

/// Hosts behind a jump host, which is a farm of its own.
struct Behind {
    scene: Scene,
    bastion: Farm,
}

impl Behind {
    fn new() -> Behind {
        Behind::with(&[])
    }

    fn with(environment: &[(&str, &str)]) -> Behind {
        let (scene, bastion) = (Scene::new(), Farm::up_with(environment));
        let copy = |name: &str| fs::copy(bastion.path(name), scene.farm.path(&format!("bastion-{name}"))).unwrap();
        copy("known_hosts");
        fs::copy(scene.farm.path("authorized_keys"), bastion.path("authorized_keys")).unwrap();
        Behind { scene, bastion }
    }

    /// The jump hosts `b1` and `b2`, with `more` of b2, and then what is said of the rest.
    fn config(&self, more: &str, rest: &str) -> String {
        let jump_host = |name: &str, address: &str, more: &str| {
            format!(
                "Host {name}\n  HostName {address}\n  User root\n  Port {}\n  IdentityFile {}\n  IdentitiesOnly yes\n  \
                 UserKnownHostsFile {}\n{more}",
                self.bastion.port,
                self.scene.farm.key().display(),
                self.scene.farm.path("bastion-known_hosts").display()
            )
        };
        format!(
            "{}{}Host * !b1 !b2\n{rest}Host *\n",
            jump_host("b1", "127.9.0.1", ""),
            jump_host("b2", "127.9.0.2", more)
        )
    }

    fn ssh(&self, more: &str, rest: &str) -> Ssh {
        Ssh::prepare(self.scene.options(&format!("{}{}", self.config(more, rest), self.scene.basics()))).unwrap()
    }

    /// Kills the sessions of the jump hosts; their sshd lives on.
    fn cut(&self) {
        let pid = fs::read_to_string(self.bastion.path("sshd.pid")).unwrap();
        let children = Command::new("pgrep").args(["-P", pid.trim()]).output().unwrap().stdout;
        for child in String::from_utf8(children).unwrap().lines() {
            let _ = Command::new("kill").args(["-KILL", child]).status();
        }
    }
}

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
    let closed = format!("root@127.0.0.2:{}", free_port());
    let error = behind.ssh("", "  ProxyJump b1\n").connect(&target(&closed)).err().unwrap();
    assert_eq!(error.kind, ConnectErrorKind::Refused);
    assert!(error.message.contains("through b1: the jump host says connect failed"), "{error}");
    let config = format!("Host b3\n  HostName 127.9.0.3\n  Port {}\nHost *\n  ProxyJump b3\n", free_port());
    let error =
        behind.scene.refusal(&config.replace("Host *\n  ProxyJump", "Host 127.0.0.*\n  ProxyJump"), "127.0.0.2");
    assert_eq!(error.kind, ConnectErrorKind::Refused);
    assert!(error.message.contains("jump host: cannot connect to b3 (127.9.0.3)"), "{error}");
    for jump in ["b1", "b1,b2"] {
        let config = format!("Host *\n  ProxyJump {jump}\n");
        behind.scene.refused(&config, "127.0.0.2", ConnectErrorKind::Configuration, &["(Host * !b"]);
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
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

/// A project whose hosts are reached as an OpenSSH configuration says.
fn project(scene: &Scene, hosts: usize, config: &str) -> Project {
    fs::write(scene.file(), config).unwrap();
    let project = Project::new(&scene.farm, 0, hosts);
    let own = ["ssh_user", "ssh_port", "identity_file", "known_hosts", "ssh_config"];
    let text = fs::read_to_string(project.path("hoist/hoist.cfg")).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !own.iter().any(|key| line.starts_with(key))).collect();
    project.write("hoist/hoist.cfg", &(lines.join("\n") + "\n"));
    project.configure(&format!("ssh_config: {}", scene.file().display()));
    project.commit("openssh");
    project
}

/// A folder with programs, for `PATH`.
fn programs(scene: &Scene, names: &[&str]) -> PathBuf {
    let folder = scene.farm.path("bin");
    fs::create_dir_all(&folder).unwrap();
    for name in names {
        let found = Command::new("sh").args(["-c", &format!("command -v {name}")]).output().unwrap().stdout;
        let _ = std::os::unix::fs::symlink(String::from_utf8(found).unwrap().trim(), folder.join(name));
    }
    folder
}

#[test]
fn a_deployment_survives_the_end_of_its_jump_host_in_mid_stage() {
    let behind = Behind::new();
    let basics = behind.scene.basics();
    let project = project(&behind.scene, 4, &format!("{}{basics}", behind.config("", "  ProxyJump b1\n")));
    project.write(
        "hoist/checks.yaml",
        "checks:\n  slow:\n    stage: promote\n    shell: true\n    command: touch /srv/checking; \
         until [ -e /srv/go ]; do sleep 0.1; done\n",
    );
    let revision = project.commit("slow");
    let child =
        project.hoist(&["deploy", "--yes", "-v"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the check to run", || (0..4).all(|n| behind.scene.farm.srv(&address(n)).join("checking").exists()));
    behind.cut();
    for n in 0..4 {
        fs::write(behind.scene.farm.srv(&address(n)).join("go"), "").unwrap();
    }
    Ran::of(child.wait_with_output().unwrap()).ends(0);
    for n in 0..4 {
        assert_eq!(Links::of(&behind.scene.farm, n), Links::finalized(&revision));
    }
    assert_eq!(behind.bastion.connections_to("127.9.0.1"), 2);
}

#[test]
fn the_key_proxy_jump_sends_targets_through_a_jump_host_and_none_sends_them_straight() {
    let behind = Behind::new();
    let basics = behind.scene.basics();
    let project = project(&behind.scene, 3, &format!("{}{basics}", behind.config("", "  ProxyJump nowhere.invalid\n")));
    project.run(&["status", "-D", "proxy_jump:b1,b2"]).ends(1).says("127.0.0.").says("now");
    assert_eq!((behind.bastion.connections_to("127.9.0.1"), behind.bastion.connections_to("127.9.0.2")), (1, 1));
    project.run(&["status", "-D", "proxy_jump:none"]).ends(1).says("127.0.0.").says("now");
    assert_eq!(behind.bastion.connections_to("127.9.0.1"), 1);
    project.run(&["status"]).says("nowhere.invalid");
    project.run(&["plan", "-D", "proxy_jump:b 1"]).ends(2).says("proxy_jump on the command line (-D): \"b 1\" ");
    // Without OpenSSH's configuration the jump host is what the key says, and the rest is Hoist's.
    let bastion = format!("proxy_jump:root@127.9.0.1:{}", behind.bastion.port);
    let known_hosts = behind.scene.farm.path("both");
    let both =
        [behind.scene.farm.known_hosts(), behind.bastion.known_hosts()].map(|file| fs::read_to_string(file).unwrap());
    fs::write(&known_hosts, both.concat()).unwrap();
    let own = [
        bastion,
        "ssh_config:none".into(),
        format!("ssh_port:{}", behind.scene.farm.port),
        "ssh_user:root".into(),
        format!("identity_file:{}", behind.scene.farm.key().display()),
        format!("known_hosts:{}", known_hosts.display()),
    ];
    let mut arguments = vec!["status"];
    arguments.extend(own.iter().flat_map(|define| ["-D", define]));
    project.run(&arguments).ends(1).says("127.0.0.");
    assert_eq!(behind.bastion.connections_to("127.9.0.1"), 2);
}

#[test]
fn an_option_that_is_not_honoured_ends_the_command_before_anything_is_touched() {
    let scene = Scene::new();
    let config = format!("Host 127.0.0.2\n  BindAddress 127.0.0.1\nHost *\n{}", scene.basics());
    let project = project(&scene, 3, &config);
    project.deploy(&[]).ends(2).says("127.0.0.2").says("BindAddress 127.0.0.1 is not supported");
    for n in 0..3 {
        assert_eq!(scene.farm.connections_to(&address(n)), 0);
    }
    project.deploy(&["-l", "!127.0.0.2"]).ends(0);
}

#[test]
fn the_configuration_is_read_once_where_it_says_the_same_of_all_hosts_and_else_for_each() {
    let scene = Scene::new();
    let same = scene.basics();
    let project = project(&scene, 5, &same);
    let log = scene.farm.path("asked");
    let bin = programs(&scene, &[]);
    let real = String::from_utf8(Command::new("sh").args(["-c", "command -v ssh"]).output().unwrap().stdout).unwrap();
    let script = format!("#!/bin/sh\necho \"$*\" >> {}\nexec {} \"$@\"\n", log.display(), real.trim());
    fs::write(bin.join("ssh"), script).unwrap();
    fs::set_permissions(bin.join("ssh"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let asked = || {
        let _ = fs::remove_file(&log);
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        Ran::of(project.hoist(&["status"]).env("PATH", path).output().unwrap()).ends(1).says("127.0.0.").says("now");
        fs::read_to_string(&log).unwrap().lines().count()
    };
    assert_eq!(asked(), 2);
    fs::write(scene.file(), format!("Host other\n  Port 1\nHost *\n{same}")).unwrap();
    assert_eq!(asked(), 6);
}

#[test]
fn without_an_openssh_client_no_configuration_is_read_unless_a_file_was_named() {
    let scene = Scene::new();
    let project = project(&scene, 1, "Host *\n  BindAddress 127.0.0.1\n");
    let bin = programs(&scene, &["git", "hostname", "sh"]);
    let run = |arguments: &[&str]| {
        let own = [
            format!("ssh_port:{}", scene.farm.port),
            "ssh_user:root".into(),
            format!("identity_file:{}", scene.farm.key().display()),
            format!("known_hosts:{}", scene.farm.known_hosts().display()),
        ];
        let mut command = project.hoist(arguments);
        command.args(own.iter().flat_map(|define| ["-D", define])).env("PATH", &bin);
        Ran::of(command.output().unwrap())
    };
    run(&["status"]).ends(2).says("cannot be read without OpenSSH's client: install ssh");
    run(&["deploy", "--yes", "-v", "-D", "ssh_config:"]).ends(0).says("no OpenSSH client is installed");
}

/// OpenSSH looks for the operator's files in the home that the password file has.
#[test]
fn the_operator_s_own_configuration_is_read_when_no_key_says_otherwise() {
    let scene = Scene::new();
    let project = project(&scene, 2, "");
    let home = scene.farm.path("operator");
    fs::create_dir_all(home.join(".ssh")).unwrap();
    fs::write(home.join(".ssh/config"), format!("Host 127.*\n{}", scene.basics())).unwrap();
    let passwd = scene.farm.path("passwd");
    let text = fs::read_to_string("/etc/passwd").unwrap();
    let with_home = |line: &str| match line.starts_with("root:") {
        true => format!("root:x:0:0:root:{}:/bin/sh\n", home.display()),
        false => format!("{line}\n"),
    };
    fs::write(&passwd, text.lines().map(with_home).collect::<String>()).unwrap();
    let ran = |arguments: &str| {
        let script = format!("mount --bind {} /etc/passwd && exec {HOIST} {arguments}", passwd.display());
        let mut command = Command::new("unshare");
        command.args(["-m", "--propagation", "private", "sh", "-c", &script]).current_dir(project.path(""));
        command.env("HOIST_GLOBAL_CONFIG", project.path(".git/global.cfg")).env_remove("SSH_AUTH_SOCK");
        Ran::of(command.stdin(Stdio::null()).output().unwrap())
    };
    // Makes the global file.
    project.run(&["version"]).ends(0);
    ran("status -D ssh_config:").ends(1).says("127.0.0.").says("now");
    assert_eq!(scene.farm.connections_to(&address(0)), 1);
    ran("status -D ssh_config:none").ends(2).says("no agent and no key");
}
