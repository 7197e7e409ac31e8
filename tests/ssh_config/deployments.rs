//! Commands of Hoist with an OpenSSH configuration.

use super::*;

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
