//! The agent and the certificates that the configuration names.

use super::*;

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

fn keygen(folder: &Path, arguments: &[&str]) {
    assert!(Command::new("ssh-keygen").arg("-q").args(arguments).current_dir(folder).status().unwrap().success());
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
    let keygen = |arguments: &[&str]| keygen(&path(""), arguments);
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

#[test]
fn a_private_key_of_every_type_and_format_logs_in() {
    let scene = Scene::new();
    let path = |name: &str| scene.farm.path(name);
    let config = |key: &str| {
        format!(
            "Host *\n  User root\n  Port {}\n  UserKnownHostsFile {}\n  IdentityAgent none\n  IdentityFile {}\n",
            scene.farm.port,
            scene.farm.known_hosts().display(),
            path(key).display()
        )
    };
    let connect = |key: &str| Ssh::prepare(scene.options(&config(key))).unwrap().connect(&target("127.0.0.2"));
    let keygen = |arguments: &[&str]| keygen(&path(""), arguments);
    let own = fs::read(path("authorized_keys")).unwrap();
    for (kind, bits, format) in [
        ("ed25519", "256", "RFC4716"),
        ("rsa", "2048", "RFC4716"),
        ("rsa", "2048", "PEM"),
        ("rsa", "2048", "PKCS8"),
        ("ecdsa", "256", "RFC4716"),
        ("ecdsa", "384", "RFC4716"),
        ("ecdsa", "521", "RFC4716"),
        ("ecdsa", "256", "PEM"),
    ] {
        let name = format!("{kind}-{bits}-{format}");
        keygen(&["-t", kind, "-b", bits, "-m", format, "-N", "", "-f", &name]);
        fs::copy(path(&format!("{name}.pub")), path("authorized_keys")).unwrap();
        // What is beside a key can be missing.
        fs::remove_file(path(&format!("{name}.pub"))).unwrap();
        assert!(connect(&name).is_ok(), "{name}: {:?}", connect(&name).err());
        fs::write(path("authorized_keys"), &own).unwrap();
        let error = connect(&name).err().unwrap();
        assert_eq!(error.kind, ConnectErrorKind::Auth, "{name}: {error}");
    }
}
