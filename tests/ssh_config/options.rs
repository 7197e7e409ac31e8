//! What blocks and options of the configuration do, and which of them are refused.

use super::*;

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
    let scene = Scene { farm: Farm::up_with(&[RSA]) };
    let known_hosts = scene.farm.path("own_known_hosts");
    let strict = format!("Host *\n  HostKeyAlias the-web\n  UserKnownHostsFile {}\n", known_hosts.display());
    let error = scene.refusal(&strict, "127.0.0.2");
    assert!(error.message.starts_with("host key of the-web is not known"), "{error}");
    // What it advises makes it known.
    let advice = error.message.split('`').nth(1).unwrap();
    let advice = std::process::Command::new("sh").args(["-c", advice]).output().unwrap();
    fs::write(&known_hosts, advice.stdout).unwrap();
    assert!(scene.connect(&strict, "127.0.0.2").is_ok(), "{error}");
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
        assert!(!error.contains("Match exec"), "{error}");
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
