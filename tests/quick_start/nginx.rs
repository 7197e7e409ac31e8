//! 200 requests a second through a real nginx, by the manual's commands over a real SSH connection to the balancer.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::common::ports;
use crate::common::wait_for;
use crate::fleet::{Fleet, PORT, Release, get};
use crate::load::Load;
use crate::readme;

/// The host that nginx is on.
const BALANCER: &str = "127.77.0.1";

/// nginx with the upstream of the manual. It tries no request twice.
struct Nginx {
    process: Child,
    port: u16,
    folder: PathBuf,
}

impl Nginx {
    fn start(fleet: &Fleet) -> Nginx {
        let (port, folder) = (ports::free(), fleet.path().join("nginx"));
        fs::create_dir_all(folder.join("shop")).unwrap();
        for address in &fleet.addresses {
            fs::write(folder.join(format!("shop/{address}.conf")), format!("server {address}:{PORT};\n")).unwrap();
        }
        let here = folder.display();
        let config = format!(
            "daemon off;\nuser root;\nworker_processes 2;\npid {here}/pid;\nerror_log {here}/error.log;\nevents {{}}\n\
             http {{\n    access_log off;\n    client_body_temp_path {here}/body;\n    proxy_temp_path {here}/proxy;\n    \
             upstream shop {{ include shop/*.conf; }}\n    \
             server {{\n        listen 127.0.0.1:{port};\n        \
             location / {{ proxy_pass http://shop; proxy_next_upstream off; }}\n    }}\n}}\n"
        );
        fs::write(folder.join("nginx.conf"), config).unwrap();
        let mut nginx = Command::new("nginx");
        nginx.arg("-c").arg(folder.join("nginx.conf")).stdin(Stdio::null()).stderr(Stdio::null());
        let nginx = Nginx { process: nginx.spawn().unwrap(), port, folder };
        wait_for("nginx", || get(&nginx.authority()).is_ok());
        nginx
    }

    fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Installs the manual's program on the balancer; the keys that call it.
    fn install(&self, fleet: &Fleet) -> String {
        let [program, keys] = readme::blocks_of_the_manual("nginx")[..] else { panic!("a program, and keys") };
        let here = self.folder.display().to_string();
        let program = program
            .replace("/etc/nginx", &here)
            .replace("/run/nginx.pid", &format!("{here}/pid"))
            .replace("nginx -s", &format!("nginx -c {here}/nginx.conf -s"));
        let path = fleet.farm.srv(BALANCER).join("bin/shop-server");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, program).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        let config = fleet.path().join("ssh_config");
        let (port, key, known) = (fleet.farm.port, fleet.farm.key(), fleet.farm.known_hosts());
        fs::write(
            &config,
            format!(
                "Host balancer\n    HostName {BALANCER}\n    Port {port}\n    User deploy\n    IdentityFile {}\n    \
                 IdentitiesOnly yes\n    UserKnownHostsFile {}\n    BatchMode yes\n",
                key.display(),
                known.display()
            ),
        )
        .unwrap();
        keys.replace("ssh balancer", &format!("ssh -F {} balancer", config.display()))
    }

    /// The servers that its configuration has as down.
    fn down(&self) -> usize {
        let files = fs::read_dir(self.folder.join("shop")).unwrap().map(|file| file.unwrap().path());
        files.filter(|path| fs::read_to_string(path).is_ok_and(|text| text.contains(" down;"))).count()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its worker processes end with it only if it is told.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

#[test]
fn the_manuals_drain_for_nginx_loses_no_request() {
    let fleet = Fleet::serving(1, 3);
    let nginx = Nginx::start(&fleet);
    fleet.append_keys(&nginx.install(&fleet));
    fleet.project.configure("group_size: 2\nmin_healthy_time: 1");
    let load = Load::start(&nginx.authority());
    load.lost_nothing("rest", &["one"]);

    fleet.release(Release::Good("two"));
    fleet.project.deploy(&["-v"]).ends(0).says("drained");
    load.lost_nothing("a deployment", &["one", "two"]);
    fleet.assert_all_serve("two");
    assert_eq!(nginx.down(), 0);

    fleet.release(Release::BreaksOn("three", &fleet.addresses[3]));
    fleet.project.deploy(&[]).ends(1);
    load.lost_nothing("a deployment that fails on the last host and is rolled back", &["two", "three"]);
    fleet.assert_all_serve("two");
    assert_eq!(nginx.down(), 0);
    load.end();
}
