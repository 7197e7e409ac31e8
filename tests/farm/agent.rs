//! A real ssh-agent of a test's own.

use std::path::Path;
use std::process::{Command, Stdio};

/// Dropping it ends it.
pub struct Agent {
    pub socket: String,
    pub pid: String,
}

impl Agent {
    pub fn start() -> Agent {
        let output = Command::new("ssh-agent").arg("-s").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let value = |name: &str| text.split([';', '\n']).find_map(|part| part.strip_prefix(name)).unwrap().to_owned();
        Agent { socket: value("SSH_AUTH_SOCK="), pid: value("SSH_AGENT_PID=") }
    }

    /// `ssh-add` for this agent.
    pub fn ssh_add(&self) -> Command {
        let mut command = Command::new("ssh-add");
        command.env("SSH_AUTH_SOCK", &self.socket).env("DISPLAY", "").stdin(Stdio::null());
        command
    }

    pub fn add(&self, key: &Path) {
        assert!(self.ssh_add().arg("-q").arg(key).status().unwrap().success());
    }

    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([&format!("-{name}"), &self.pid]).status().unwrap().success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // One that a test stopped has to go on to end; one that it killed is gone.
        for name in ["-TERM", "-CONT"] {
            let _ = Command::new("kill").args([name, &self.pid]).stderr(Stdio::null()).status();
        }
    }
}
