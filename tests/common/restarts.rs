//! Services whose restarts are counted.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::{Farm, Project, address};

/// The file in which the services of all hosts note when a restart begins, and when it ends.
pub struct Restarts(PathBuf);

impl Restarts {
    /// Installs such a service on the first hosts of a farm, as `/srv/service`, and configures it. A restart takes 0.4 s,
    /// and for as long as there is a file `/srv/hold` on its host.
    pub fn install(farm: &Farm, project: &Project, hosts: usize) -> Restarts {
        let log = project.path(".git/restarts");
        for n in 0..hosts {
            let path = farm.srv(&address(n)).join("service");
            let log = log.display();
            let wait = "sleep 0.4\nwhile test -e /srv/hold; do sleep 0.05; done";
            std::fs::write(&path, format!("#!/bin/sh\necho + >> {log}\n{wait}\necho - >> {log}\n")).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        project.configure("service_name: web\nservice_command: /srv/service {action} {service}");
        Restarts(log)
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.0).unwrap_or_default()
    }

    /// How many restarts have begun, `+`, or ended, `-`.
    pub fn count(&self, sign: &str) -> usize {
        self.text().lines().filter(|line| *line == sign).count()
    }

    pub fn ended(&self) -> usize {
        self.count("-")
    }

    /// How many restarts there were since the last time, and how many at once at the most.
    pub fn take(&self) -> (usize, i32) {
        let text = self.text();
        let (mut now, mut most) = (0, 0);
        for line in text.lines() {
            now += if line == "+" { 1 } else { -1 };
            most = most.max(now);
        }
        let _ = std::fs::remove_file(&self.0);
        (text.lines().filter(|line| *line == "+").count(), most)
    }
}
