//! Refused logins, told apart: real accounts behind a real sshd with PAM, whose `/etc` is the test's own.

mod farm;

use std::fs;
use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hoist::fleet::ssh::{ConnectError, ConnectErrorKind, Program, Ssh, SshOptions, Timeouts};
use tempfile::TempDir;

/// A host with accounts of its own.
struct Host {
    dir: TempDir,
    sshd: Child,
    port: u16,
}

const ACCOUNTS: [&str; 8] = ["deploy", "twofactor", "interactive", "nokeys", "expired", "twokeys", "banned", "open"];

const SETTINGS: &str = "UsePAM yes
PasswordAuthentication yes
KbdInteractiveAuthentication yes
PermitRootLogin no
StrictModes no
UseDNS no
LogLevel VERBOSE
MaxStartups 1000
DenyUsers banned
Match User twofactor
  AuthenticationMethods publickey,password
Match User interactive
  AuthenticationMethods publickey,keyboard-interactive
Match User twokeys
  AuthenticationMethods publickey,publickey
Match User nokeys
  PubkeyAuthentication no
Match User open
  PermitEmptyPasswords yes
Match User deploy
  Banner /etc/banner
";

/// With an `/etc` of its own, and no `nologin` but that one.
const ENTER: &str = "mount --bind \"$room/etc\" /etc && mount -t tmpfs none /run && mkdir /run/sshd && \
                     exec \"$sshd\" -D -f \"$room/sshd_config\" -E \"$room/sshd.log\"";

impl Host {
    fn up() -> Host {
        Host::running(|_| "/usr/sbin/sshd".into())
    }

    /// With the sshd that `program` puts into this folder.
    fn running(program: impl FnOnce(&Path) -> PathBuf) -> Host {
        let dir = tempfile::Builder::new().prefix("hoist-host-").tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        assert!(Command::new("cp").args(["-a", "/etc"]).arg(path("etc")).status().unwrap().success());
        let (mut passwd, mut shadow) =
            (fs::read_to_string(path("etc/passwd")).unwrap(), fs::read_to_string(path("etc/shadow")).unwrap());
        for (number, name) in ACCOUNTS.iter().enumerate() {
            passwd += &format!("{name}:x:{}:65534::/tmp:/bin/sh\n", 7000 + number);
            // The eighth field is the day on which an account expires.
            let expires = if *name == "expired" { "1" } else { "" };
            let password = if *name == "open" { "" } else { "*" };
            shadow += &format!("{name}:{password}:19000:0:99999:7::{expires}:\n");
        }
        fs::write(path("etc/passwd"), passwd).unwrap();
        fs::write(path("etc/shadow"), shadow).unwrap();
        fs::write(path("etc/banner"), "Property of the\n\tdepartment\x1b[31m\n").unwrap();
        for name in ["host", "id", "other", "ca"] {
            keygen(dir.path(), &["-t", "ed25519", "-N", "", "-C", name, "-f", name]);
        }
        fs::copy(path("id.pub"), path("authorized_keys")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let room = dir.path().display();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {room}/host\nPidFile none\n\
             AuthorizedKeysFile {room}/authorized_keys\nTrustedUserCAKeys {room}/ca.pub\n{SETTINGS}"
        );
        fs::write(path("sshd_config"), config).unwrap();
        let mut sshd = Command::new("unshare");
        sshd.args(["-m", "--propagation", "private", "sh", "-c", ENTER])
            .env("room", dir.path())
            .env("sshd", program(dir.path()));
        let sshd = sshd.stdin(Stdio::null()).process_group(0).spawn().unwrap();
        let host = Host { dir, sshd, port };
        farm::wait_for("sshd", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        let key = fs::read_to_string(host.path("host.pub")).unwrap();
        fs::write(host.path("known_hosts"), format!("[127.0.0.1]:{port} {key}")).unwrap();
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn options(&self, user: &str, keys: &[&str]) -> SshOptions {
        SshOptions {
            user: Some(user.into()),
            port: self.port,
            identity_files: Some(keys.iter().map(|key| self.path(key)).collect()),
            known_hosts: Some(vec![self.path("known_hosts")]),
            program: Program::Installed("/bin/true".into()),
            timeouts: Timeouts { connect: Duration::from_secs(60), ..Timeouts::default() },
            ..SshOptions::default()
        }
    }

    fn connect(&self, user: &str, keys: &[&str]) -> Result<(), ConnectError> {
        Ssh::prepare(self.options(user, keys)).unwrap().connect(&"127.0.0.1".parse().unwrap()).map(drop)
    }

    #[track_caller]
    fn refuses(&self, user: &str, keys: &[&str], words: &[&str]) -> String {
        let error = self.connect(user, keys).expect_err("the login went through");
        let log = fs::read_to_string(self.path("sshd.log")).unwrap();
        assert_eq!(error.kind, ConnectErrorKind::Auth, "{error}\n{log}");
        for words in words {
            assert!(error.message.contains(words), "{words:?} is not in {error}\n{log}");
        }
        error.message
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", "--", &format!("-{}", self.sshd.id())]).status();
        let _ = self.sshd.wait();
    }
}

fn keygen(folder: &Path, arguments: &[&str]) {
    assert!(Command::new("ssh-keygen").arg("-q").args(arguments).current_dir(folder).status().unwrap().success());
}

#[test]
fn each_way_to_be_refused_is_told_as_what_it_is() {
    let host = Host::up();
    host.connect("deploy", &["id"]).unwrap();
    // Who needs no key gets in when it is asked what is offered.
    host.connect("open", &["other"]).unwrap();
    // No key is known, and the server's banner is kept, safe for a terminal.
    let message = host.refuses(
        "deploy",
        &["other"],
        &[
            "every key was refused for user deploy on 127.0.0.1 (tried 1: ",
            "/other; the server offers publickey,password,keyboard-interactive): add one of them to the authorized_keys",
            "the server says \"Property of the department",
        ],
    );
    assert!(!message.contains('\u{1b}'), "{message:?}");
    // A second factor, of each kind; the key that counts is named.
    host.refuses("twofactor", &["other", "id"], &["accepted ", "/id for user twofactor, and also requires password"]);
    host.refuses("interactive", &["id"], &["also requires keyboard-interactive", "AuthenticationMethods"]);
    let message = host.refuses("twokeys", &["id"], &["accepted ", "refused the login"]);
    assert!(!message.contains("authorized_keys"), "{message}");
    // Keys are switched off.
    host.refuses(
        "nokeys",
        &["id"],
        &["does not accept keys of user nokeys: it offers only password,keyboard-interactive"],
    );
    // Root.
    host.refuses("root", &["id"], &["accepted ", "refused to log in root, as sshd does with PermitRootLogin no"]);
    // An account that is not to log in looks like one without the key; sshd does not tell.
    host.refuses("banned", &["id"], &["every key was refused for user banned"]);
    host.refuses("nobody-there", &["id"], &["every key was refused for user nobody-there"]);
    // PAM says why, and sshd closes the connection.
    host.refuses(
        "expired",
        &["id"],
        &["accepted ", "then closed the connection", "the server says \"Your account has"],
    );
    fs::write(host.path("etc/nologin"), "The system is\ngoing down\n").unwrap();
    host.refuses("deploy", &["other", "id"], &["then closed the connection", "The system is going down"]);
    fs::remove_file(host.path("etc/nologin")).unwrap();
    host.connect("deploy", &["other", "id"]).unwrap();
}

#[test]
fn what_is_wrong_with_a_certificate_is_told_where_the_server_refuses_it() {
    let host = Host::up();
    let folder = host.dir.path();
    let sign = |authority: &str, arguments: &[&str]| {
        keygen(folder, &[&["-s", authority, "-I", "me"], arguments, &["other.pub"]].concat());
    };
    sign("ca", &["-n", "deploy"]);
    host.connect("deploy", &["other"]).unwrap();
    for (authority, arguments, words) in [
        ("ca", &["-n", "deploy", "-V", "20200101000000Z:20200102000000Z"][..], "expired at 2020-01-02T00:00:00Z"),
        ("ca", &["-n", "deploy", "-V", "20990101000000Z:20990102000000Z"], "is not valid before 2099-01-01"),
        ("ca", &["-n", "alice,bob"], "is for alice, bob, not for deploy"),
        ("id", &["-n", "deploy"], "which the server may not trust (TrustedUserCAKeys)"),
    ] {
        sign(authority, arguments);
        let message = host.refuses("deploy", &["other"], &["every key was refused", words]);
        assert!(message.contains("the certificate ") && message.contains("other-cert.pub"), "{message}");
    }
}

/// In front of a host's sshd: what OpenSSH 9.8 and later do to an address whose logins fail. A connection on which
/// nobody got in adds five seconds to its penalty, which passes with time; from fifteen on it is shut out.
struct Penalties {
    port: u16,
    connections: Arc<AtomicUsize>,
    shut_out: Arc<AtomicUsize>,
}

impl Penalties {
    fn before(host: &Host) -> Penalties {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let key = fs::read_to_string(host.path("host.pub")).unwrap();
        fs::write(host.path("known_hosts"), format!("[127.0.0.1]:{port} {key}")).unwrap();
        let (connections, shut_out) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (count, shut, log, behind) = (connections.clone(), shut_out.clone(), host.path("sshd.log"), host.port);
        std::thread::spawn(move || {
            let logins = || fs::read_to_string(&log).unwrap().matches("Accepted publickey").count();
            let mut clear_at = Instant::now();
            for client in listener.incoming() {
                let mut client = client.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                if clear_at.saturating_duration_since(Instant::now()) >= Duration::from_secs(15) {
                    shut.fetch_add(1, Ordering::SeqCst);
                    let _ = client.write_all(b"Not allowed at this time\r\n");
                    continue;
                }
                let before = logins();
                let server = TcpStream::connect(("127.0.0.1", behind)).unwrap();
                let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let up = std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
                let _ = std::io::copy(&mut &server, &mut client);
                let _ = client.shutdown(Shutdown::Both);
                up.join().unwrap();
                if logins() == before {
                    clear_at = clear_at.max(Instant::now()) + Duration::from_secs(5);
                }
            }
        });
        Penalties { port, connections, shut_out }
    }
}

#[test]
fn many_keys_do_not_drive_a_server_with_penalties_to_shut_this_host_out() {
    // This machine's sshd under the name of one that has penalties.
    let host = Host::running(|folder| {
        let mut program = fs::read("/usr/sbin/sshd").unwrap();
        let (old, new) = (b"OpenSSH_9.", b"OpenSSH_99");
        for at in 0..program.len() - old.len() {
            if &program[at..at + old.len()] == old {
                program[at..at + old.len()].copy_from_slice(new);
            }
        }
        let path = folder.join("sshd");
        fs::write(&path, program).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    });
    let penalties = Penalties::before(&host);
    let names: Vec<String> = (0..16).map(|number| format!("wrong{number}")).chain(["id".to_owned()]).collect();
    for name in &names[..16] {
        keygen(host.dir.path(), &["-t", "ed25519", "-N", "", "-f", name]);
    }
    let keys: Vec<&str> = names.iter().map(String::as_str).collect();
    let options = SshOptions { port: penalties.port, ..host.options("deploy", &keys) };
    let connect =
        |options: &SshOptions| Ssh::prepare(options.clone()).unwrap().connect(&"127.0.0.1".parse().unwrap()).map(drop);
    connect(&options).unwrap();
    assert_eq!(penalties.shut_out.load(Ordering::SeqCst), 0);
    assert_eq!(penalties.connections.load(Ordering::SeqCst), 4);
    // Who is shut out is told what may have done it, with the server's own words.
    let wrong = SshOptions { identity_files: Some(vec![host.path("other")]), ..options };
    let error = loop {
        let error = connect(&SshOptions {
            timeouts: Timeouts { connect: Duration::from_secs(1), ..Timeouts::default() },
            ..wrong.clone()
        })
        .unwrap_err();
        if error.kind != ConnectErrorKind::Auth {
            break error;
        }
    };
    assert_eq!(error.kind, ConnectErrorKind::HungUp, "{error}");
    for words in ["\"Not allowed at this time\"", "PerSourcePenalties", "MaxStartups", "fail2ban", "127.0.0.1 port"] {
        assert!(error.message.contains(words), "{error}");
    }
}
