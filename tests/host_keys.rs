//! Whether a host is who it should be, in each case as OpenSSH's own client judges it; and key exchanges without
//! anything in common.

mod farm;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use farm::Farm;
use hoist::fleet::ssh::{ConnectError, ConnectErrorKind, OpenSsh, Program, Ssh, SshOptions};

const HOST: &str = "127.0.0.3";

fn options(farm: &Farm) -> SshOptions {
    SshOptions {
        user: Some("root".into()),
        port: farm.port,
        identity_files: Some(vec![farm.key()]),
        program: Program::Installed("/bin/true".into()),
        ..SshOptions::default()
    }
}

fn connect(options: SshOptions) -> Result<(), ConnectError> {
    Ssh::prepare(options).unwrap().connect(&HOST.parse().unwrap()).map(drop)
}

/// Whether OpenSSH's client lets the host through.
fn by_ssh(farm: &Farm, options: &[String]) -> bool {
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "none", "-o", "BatchMode=yes", "-o", "GlobalKnownHostsFile=/dev/null", "-i"]).arg(farm.key());
    ssh.args(options.iter().flat_map(|option| ["-o", option]));
    ssh.args(["-l", "root", "-p", &farm.port.to_string(), HOST, "true"]);
    ssh.stdin(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

#[test]
fn a_host_is_known_by_what_it_is_known_by_to_openssh() {
    let farm = Farm::up_with(&[farm::RSA]);
    let other = farm.path("other");
    let made = Command::new("ssh-keygen").args(["-qt", "ed25519", "-N", "", "-f"]).arg(&other).status().unwrap();
    assert!(made.success());
    let key = |name: &str| fs::read_to_string(farm.path(name)).unwrap();
    let (right, wrong, rsa) = (key("host_ed25519.pub"), key("other.pub"), key("host_rsa.pub"));
    let (port, file) = (farm.port, farm.path("kh"));
    let hashed = |line: String| {
        fs::write(&file, line).unwrap();
        assert!(Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(&file).status().unwrap().success());
        fs::read_to_string(&file).unwrap()
    };
    let cases = [
        (true, format!("[{HOST}]:{port} {right}")),
        (true, format!("{HOST} {right}")),
        (true, format!("127.0.0.* {right}")),
        (true, format!("* {right}")),
        (true, hashed(format!("{HOST} {right}"))),
        (true, hashed(format!("[{HOST}]:{port} {right}"))),
        (true, format!("{HOST} {wrong}{HOST} {right}")),
        (true, format!("[{HOST}]:{port} {rsa}")),
        (true, format!("[{HOST}]:{port} {right}{HOST} {wrong}")),
        (false, String::new()),
        (false, format!("{HOST} {wrong}")),
        (false, format!("[{HOST}]:{port} {wrong}")),
        (false, format!("[{HOST}]:{port} {wrong}{HOST} {right}")),
        (false, format!("[{HOST}]:1 {right}")),
        (true, format!("!{HOST},* {right}")),
        (false, format!("!{HOST},127.0.0.3,127.* {right}")),
        (false, format!("{HOST} {right}@revoked {HOST} {right}")),
        (false, format!("@cert-authority * {right}")),
        // It shows the other key, which is not asked for by what the name without a port has.
        (false, format!("{HOST} {rsa}")),
    ];
    for accept_new in [false, true] {
        for (known, text) in &cases {
            let checking = if accept_new { "accept-new" } else { "yes" };
            let ssh_options =
                [format!("UserKnownHostsFile={}", file.display()), format!("StrictHostKeyChecking={checking}")];
            fs::write(&file, text).unwrap();
            let ssh = by_ssh(&farm, &ssh_options);
            fs::write(&file, text).unwrap();
            let hoist = connect(SshOptions { known_hosts: Some(vec![file.clone()]), accept_new, ..options(&farm) });
            if text.contains("revoked") {
                // Here Hoist is stricter: OpenSSH takes it as new, since it is revoked under the name without a port.
                assert_eq!(hoist.unwrap_err().kind, ConnectErrorKind::HostKeyRevoked, "{checking}");
                continue;
            }
            assert_eq!(hoist.is_ok(), ssh, "{checking}: {text}\n{hoist:?}");
            assert!(ssh == (*known || accept_new) || text.contains(&wrong), "{checking}: {text}");
        }
    }
}

#[test]
fn a_certificate_authority_that_is_passed_over_is_named_where_the_host_s_own_key_is_not_known() {
    let farm = Farm::up_with(&[farm::RSA]);
    let key = fs::read_to_string(farm.path("host_rsa.pub")).unwrap();
    let file = farm.path("kh");
    let refusal = |text: &str| {
        fs::write(&file, text).unwrap();
        let refused = connect(SshOptions { known_hosts: Some(vec![file.clone()]), ..options(&farm) });
        refused.expect_err("the host is let through")
    };
    let error = refusal(&format!("# ours\n@cert-authority [127.0.0.*]:{} {key}", farm.port));
    assert_eq!(error.kind, ConnectErrorKind::HostKeyUnknown);
    assert!(error.message.contains("kh:2 trusts a certificate authority"), "{error}");
    let error = refusal(&format!("@cert-authority elsewhere {key}"));
    assert!(!error.message.contains("authority"), "{error}");
}

/// A program that prints what known_hosts would say of the farm's hosts, and notes what it was asked.
fn known_hosts_command(farm: &Farm, body: &str) -> String {
    let path = farm.path("known-hosts-command");
    let log = farm.path("asked");
    fs::write(&path, format!("#!/bin/sh\nprintf '%s\\n' \"$*\" >> '{}'\n{body}\n", log.display())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    format!("{} \"%H\" %I %h %p %r %n %k '%%' %t %f %K %u %i %d", path.display())
}

#[test]
fn a_known_hosts_command_is_asked_as_openssh_asks_it_and_believed_as_openssh_believes_it() {
    let farm = Farm::up_with(&[farm::RSA]);
    let right = fs::read_to_string(farm.path("host_ed25519.pub")).unwrap();
    let rsa = fs::read_to_string(farm.path("host_rsa.pub")).unwrap();
    let wrong = fs::read_to_string(farm.path("id.pub")).unwrap();
    let (config, log, file) = (farm.path("ssh_config"), farm.path("asked"), farm.path("kh"));
    let port = farm.port;
    fs::write(&file, "").unwrap();
    for (known, body) in [
        (true, format!("echo '[{HOST}]:{port} {}'", right.trim())),
        // The first time it is asked about the name without a port.
        (false, format!("echo '[{HOST}]:{port} {}'", rsa.trim())),
        (true, format!("echo \"$1\" '{}'", rsa.trim())),
        (true, format!("echo \"$1\" '{}'", right.trim())),
        // The name without a port is looked for in files alone.
        (false, format!("echo '{HOST} {}'", right.trim())),
        (false, "true".to_owned()),
        (false, format!("echo '[{HOST}]:{port} {}'", wrong.trim())),
        (false, format!("echo '[elsewhere]:{port} {}'", right.trim())),
        (false, format!("echo '[{HOST}]:{port} {}'; exit 3", right.trim())),
    ] {
        let command = known_hosts_command(&farm, &body);
        let _ = fs::remove_file(&log);
        let files = format!("UserKnownHostsFile={}", file.display());
        let by_ssh = by_ssh(&farm, &[files, format!("KnownHostsCommand={command}")]);
        let asked_by_ssh = fs::read_to_string(&log).unwrap();
        let _ = fs::remove_file(&log);
        let text = format!("Host *\n  UserKnownHostsFile {}\n  KnownHostsCommand {command}\n", file.display());
        fs::write(&config, text).unwrap();
        let openssh = Some(OpenSsh { file: Some(config.clone()) });
        let by_hoist = connect(SshOptions { openssh, ..options(&farm) });
        assert_eq!((by_ssh, by_hoist.is_ok()), (known, known), "{body}: {by_hoist:?}");
        if !body.contains("exit 3") {
            assert_eq!(fs::read_to_string(&log).unwrap(), asked_by_ssh, "{body}");
        } else {
            let error = by_hoist.unwrap_err();
            assert!(
                error.message.contains("KnownHostsCommand ") && error.message.contains("exit status: 3"),
                "{error}"
            );
        }
    }
}

/// Options with a line of OpenSSH's configuration.
fn configured(farm: &Farm, line: &str) -> SshOptions {
    let config = farm.path("ssh_config");
    fs::write(&config, format!("Host *\n  {line}\n")).unwrap();
    SshOptions { openssh: Some(OpenSsh { file: Some(config) }), ..options(farm) }
}

#[test]
fn a_known_hosts_command_that_cannot_be_run_is_told_before_anything_is_touched_or_with_its_host() {
    let farm = Farm::up();
    let with = |command: &str| configured(&farm, &format!("KnownHostsCommand {command}"));
    for (command, words) in [("relative %H", "absolute path"), ("/bin/echo %C", "token"), ("/bin/echo %z", "token")] {
        let ssh = Ssh::prepare(with(command));
        let refused = ssh.and_then(|ssh| ssh.find_routes(&[HOST.parse().unwrap()]));
        let error = format!("{:#}", refused.expect_err(command));
        assert!(error.contains(words) && error.contains("KnownHostsCommand"), "{error}");
    }
    let error = connect(with("/nothing/here %H")).unwrap_err();
    assert_eq!(error.kind, ConnectErrorKind::Configuration);
    assert!(error.message.contains(HOST) && error.message.contains("/nothing/here"), "{error}");
    assert_eq!(farm.connections_to(HOST), 0);
}

#[test]
fn an_address_family_is_kept_to() {
    let farm = Farm::up();
    let with = |family: &str| {
        let options = configured(&farm, &format!("AddressFamily {family}"));
        connect(SshOptions { known_hosts: Some(vec![farm.known_hosts()]), ..options })
    };
    with("inet").unwrap();
    with("any").unwrap();
    let error = with("inet6").unwrap_err();
    assert_eq!(error.kind, ConnectErrorKind::Resolve);
    assert!(error.message.contains("no IPv6 address (AddressFamily inet6)"), "{error}");
}

#[test]
fn without_anything_in_common_the_kind_is_named_and_what_the_server_offers_and_known_hosts_is_not_blamed() {
    let servers = [
        ("KexAlgorithms diffie-hellman-group14-sha1", "key exchange", "diffie-hellman-group14-sha1"),
        ("Ciphers aes256-cbc", "cipher", "aes256-cbc"),
        ("Ciphers aes256-ctr\nMACs hmac-sha1", "MAC", "hmac-sha1"),
    ];
    for (lines, kind, offers) in servers {
        let farm = Farm::up_with(&[("FARM_SSHD_OPTS", lines)]);
        let known = SshOptions { known_hosts: Some(vec![farm.known_hosts()]), ..options(&farm) };
        let new = SshOptions { known_hosts: Some(vec![farm.path("new")]), accept_new: true, ..options(&farm) };
        for options in [known, new] {
            let error = connect(options).unwrap_err();
            assert_eq!(error.kind, ConnectErrorKind::Protocol, "{error}");
            let words = format!("no {kind} in common with {HOST} port {}: it offers {offers}", farm.port);
            assert!(error.message.starts_with(&words) && !error.message.contains("known_hosts"), "{error}");
        }
    }
    let farm = Farm::up_with(&[farm::RSA, ("FARM_SSHD_OPTS", "HostKeyAlgorithms rsa-sha2-512")]);
    let ed25519 = fs::read_to_string(farm.path("host_ed25519.pub")).unwrap();
    fs::write(farm.path("kh"), format!("[127.*]:{} {ed25519}", farm.port)).unwrap();
    let error = connect(SshOptions { known_hosts: Some(vec![farm.path("kh")]), ..options(&farm) }).unwrap_err();
    assert_eq!(error.kind, ConnectErrorKind::HostKeyUnknown, "{error}");
    for words in ["no host key in common", "known_hosts has it with ssh-ed25519 only", "it offers rsa-sha2-512"] {
        assert!(error.message.contains(words), "{error}");
    }
}
