//! Services under a real systemd: what is told of them after their restart is what systemd and `/proc` say.
//!
//! Each test has a host of the farm with a systemd of its own. Where the system cannot do that the tests are skipped and
//! say so.

mod coming_back;
#[path = "../common/mod.rs"]
mod common;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::{Farm, Links, Project, Ran, address, wait_for};

const JOURNALD: [(&str, &str); 3] = [
    ("basic.target", "[Unit]\nDefaultDependencies=no\nWants=journald.service\n"),
    (
        "journald.socket",
        "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/systemd/journal/stdout\n\
         ListenDatagram=/run/systemd/journal/socket\nPassCredentials=yes\nService=journald.service\n",
    ),
    (
        "journald.service",
        "[Unit]\nDefaultDependencies=no\nRequires=journald.socket\nAfter=journald.socket\n[Service]\nType=notify\n\
         ExecStart=/lib/systemd/systemd-journald\nSockets=journald.socket\n",
    ),
];

/// A service that runs the script of the live revision, and what its unit has beside that.
const PAGE: &str = "[Unit]\nDefaultDependencies=no\nStartLimitIntervalSec=0\n[Service]\n\
                    WorkingDirectory=/srv/deployment/app\nExecStart=/bin/sh ./run\n";

/// A host with a systemd of its own.
struct Machine {
    farm: Farm,
    project: Project,
    supervisor: Child,
    /// systemd, by its process id on this machine.
    systemd: String,
}

impl Machine {
    /// A machine with these units beside the journal's, and `service_name`; its first revision's script sleeps. `None`:
    /// this system has no such machines, and that was said.
    fn new(units: &[(&str, &str)], services: &str) -> Option<Machine> {
        let (farm, project) = Project::on_farm(0, 1);
        let host = farm.host(&address(0));
        std::fs::create_dir(host.join("units")).unwrap();
        for (name, text) in JOURNALD.iter().chain(units) {
            std::fs::write(host.join("units").join(name), text).unwrap();
        }
        let (supervisor, systemd) = match power_on(&farm) {
            Ok(started) => started,
            Err(why) => {
                // Not by eprintln!, which tells nobody of a test that passes.
                let _ = writeln!(std::io::stderr(), "skipped: no systemd can be run here: {}", why.trim());
                return None;
            }
        };
        let machine = Machine { farm, project, supervisor, systemd };
        machine.wait_until_running();
        // It is the system's own command that is asked, with what is built in.
        let cfg = std::fs::read_to_string(machine.project.path("hoist/hoist.cfg")).unwrap();
        let kept: String =
            cfg.lines().filter(|it| !it.starts_with("service_command")).map(|it| format!("{it}\n")).collect();
        std::fs::write(machine.project.path("hoist/hoist.cfg"), kept).unwrap();
        machine.project.configure(&format!("service_name: {services}\nmin_healthy_time: 1"));
        machine.revision("exec sleep 1000");
        machine.deploy(&[]).ends(0);
        Some(machine)
    }

    fn wait_until_running(&self) {
        wait_for("systemd", || self.sh("systemctl is-system-running || true") == "running");
    }

    /// As when its power fails: with its first process everything in the machine ends.
    fn power_off(&mut self) {
        let _ = Command::new("kill").args(["-KILL", &self.systemd]).status();
        let _ = self.supervisor.wait();
        remove_cgroup(&self.farm.host(&address(0)));
    }

    fn power_on(&mut self) {
        (self.supervisor, self.systemd) = power_on(&self.farm).unwrap();
        self.wait_until_running();
    }

    /// Runs a line of shell on the machine.
    #[track_caller]
    fn sh(&self, line: &str) -> String {
        let ran = Command::new("nsenter").args(["-t", &self.systemd, "-m", "-p", "-C", "sh", "-c", line]).output();
        String::from_utf8(ran.unwrap().stdout).unwrap().trim().to_owned()
    }

    /// The main process of a unit.
    fn pid(&self, unit: &str) -> String {
        self.sh(&format!("systemctl show --property MainPID --value {unit}"))
    }

    /// Commits a revision whose service is this script.
    fn revision(&self, script: &str) -> String {
        self.project.write("run", &format!("{script}\n"));
        self.project.commit(script)
    }

    fn deploy(&self, defines: &[&str]) -> Ran {
        let defines = defines.iter().flat_map(|define| ["-D", define]);
        // Revisions that were rolled back are deployed again.
        self.project.deploy(&["-v", "--break-glass", "again"].into_iter().chain(defines).collect::<Vec<_>>())
    }

    #[track_caller]
    fn is_on(&self, revision: &str) {
        assert_eq!(Links::of(&self.farm, 0), Links::finalized(revision));
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.power_off();
    }
}

/// Starts the machine of the first host: its supervisor, and its systemd by its process id; or why that cannot be.
fn power_on(farm: &Farm) -> Result<(Child, String), String> {
    let host = farm.host(&address(0));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/systemd/machine.sh");
    let mut supervisor = Command::new(script)
        .arg(&host)
        .env("HOIST_FARM", farm.dir.path())
        .stdin(Stdio::null())
        .stderr(std::fs::File::create(host.join("machine.err")).unwrap())
        .spawn()
        .unwrap();
    let pid = supervisor.id();
    let systemd = || {
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        let child = children.split_whitespace().next()?.to_owned();
        let name = std::fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
        (name.trim() == "systemd").then_some(child)
    };
    let mut ended = false;
    while systemd().is_none() && !ended {
        std::thread::sleep(std::time::Duration::from_millis(20));
        ended = supervisor.try_wait().unwrap().is_some();
    }
    let Some(systemd) = systemd() else {
        let _ = supervisor.wait();
        remove_cgroup(&host);
        return Err(std::fs::read_to_string(host.join("machine.err")).unwrap());
    };
    std::fs::write(host.join("machine"), &systemd).unwrap();
    Ok((supervisor, systemd))
}

fn remove_cgroup(host: &Path) {
    let Ok(folder) = std::fs::read_to_string(host.join("cgroup")) else { return };
    let folder = PathBuf::from(folder.trim());
    for _ in 0..100 {
        let _ = Command::new("find").arg(&folder).args(["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"]).output();
        if !folder.exists() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

fn short(revision: &str) -> &str {
    &revision[..10]
}

#[test]
fn a_unit_that_dies_after_its_restart_is_a_failed_promote_and_its_state_and_journal_are_told() {
    let again = format!("{PAGE}Restart=always\nRestartSec=100ms\n");
    let Some(machine) = Machine::new(&[("page.service", PAGE), ("again.service", &again)], "page") else { return };
    let one = machine.project.git(&["rev-parse", "HEAD"]);
    let before = machine.pid("page");
    let two = machine.revision("echo this one has no luck; sleep 0.2; exit 3");
    let ran = machine.deploy(&[]).ends(1);
    ran.says("service page: after the restart it is failed (failed), result exit-code, exit status 3")
        .says("service page: journal: this one has no luck");
    machine.is_on(&one);
    assert_eq!(machine.sh("systemctl is-active page"), "active");
    assert_ne!(machine.pid("page"), before);

    // systemd starts this one again and again.
    let ran = machine.deploy(&["service_name:again"]).ends(1).says("service again: after the restart it ");
    assert!(ran.out.contains("ended, and was started again") || ran.out.contains("auto-restart"), "{}", ran.out);
    machine.is_on(&one);
    // By whoever kills it.
    machine.revision("sleep 0.2; kill -SEGV $$");
    machine.deploy(&[]).ends(1).says("result signal, signal 11");
    // With a warning alone it goes live, and the status marks it.
    machine.project.git(&["checkout", "-q", &two]);
    machine.deploy(&["verify_service:warn"]).ends(0).says("after the restart it is failed (failed)");
    machine.is_on(&two);
    machine.project.run(&["status"]).ends(1).says("service page is failed (failed), result exit-code, exit status 3");
}

#[test]
fn what_a_unit_leaves_running_of_the_old_revision_fails_the_promote_and_is_named() {
    let kept = format!("{PAGE}KillMode=process\n");
    let Some(machine) = Machine::new(&[("page.service", PAGE), ("kept.service", &kept)], "kept") else { return };
    let one = machine.revision("sleep 1001 & exec sleep 1000");
    machine.deploy(&[]).ends(0).says("nothing of it uses another revision");
    let left = machine.sh("pgrep -xf 'sleep 1001'");
    let two = machine.revision("exec sleep 1002");
    let still =
        format!("process {left} still has its working directory in {}, but {} is live", short(&one), short(&two));
    machine.deploy(&[]).ends(1).says(&format!("service kept: after the restart {still}"));
    machine.is_on(&one);
    machine.deploy(&["verify_service:warn"]).ends(0).says(&still);
    machine.is_on(&two);
    machine.project.run(&["status"]).ends(1).says(&format!("still uses {}", short(&one)));
    machine.sh("kill $(pgrep -xf 'sleep 1001')");
    machine.project.run(&["status"]).ends(0);
    // A program and a file of the old tree count as well.
    machine.project.git(&["checkout", "-q", "main"]);
    machine.project.write("program", "");
    std::fs::copy("/bin/sleep", machine.project.path("program")).unwrap();
    let three = machine.revision("(cd / && exec /srv/deployment/app/program 1003) & exec sleep 1004");
    machine.deploy(&[]).ends(0);
    machine.revision("exec sleep 1005");
    machine.deploy(&[]).ends(1).says(&format!("still has its program in {}", short(&three)));
    machine.is_on(&three);
}

#[test]
fn a_unit_that_reloads_in_place_keeps_its_process_and_one_that_is_restarted_by_it_is_told() {
    let reload = "ExecReload=/bin/kill -HUP $MAINPID\n";
    let root = PAGE.replace("WorkingDirectory=/srv/deployment/app", "WorkingDirectory=/");
    let waits = "ExecStart=/bin/sh -c \"trap : HUP; while :; do sleep 1; done\"";
    let inplace = root.replace("ExecStart=/bin/sh ./run", waits) + reload;
    let stays = PAGE.replace("ExecStart=/bin/sh ./run", waits) + reload;
    let restarts = root.replace("ExecStart=/bin/sh ./run", "ExecStart=/bin/sleep 1000")
        + "Restart=always\nRestartSec=50ms\n"
        + reload;
    // What some servers do: a reload starts a new main process, and systemd learns of it by the pid file.
    let forks = root.replace(
        "ExecStart=/bin/sh ./run",
        "Type=forking\nPIDFile=/run/forks.pid\nExecStart=/bin/sh -c \"sleep 1000 & echo $! >/run/forks.pid\"\n\
         ExecReload=/bin/sh -c \"sleep 1000 & echo $! >/run/forks.new; mv /run/forks.new /run/forks.pid; kill $MAINPID\"",
    );
    let units = [
        ("page.service", PAGE),
        ("inplace.service", inplace.as_str()),
        ("stays.service", &stays),
        ("restarts.service", &restarts),
        ("forks.service", &forks),
    ];
    let Some(machine) = Machine::new(&units, "inplace, stays, restarts, forks") else { return };
    let one = machine.project.git(&["rev-parse", "HEAD"]);
    let pids = || ["inplace", "stays", "forks"].map(|unit| machine.pid(unit));
    let before = pids();

    let two = machine.revision("exec sleep 1001");
    let ran = machine.deploy(&["service_name:inplace=reload"]).ends(0);
    ran.says(&format!("main process {}; nothing of it uses another revision", before[0]));
    machine.is_on(&two);
    machine.project.git(&["checkout", "-q", &one]);
    machine.deploy(&["service_name:inplace=reload"]).ends(0);

    machine.project.git(&["checkout", "-q", &two]);
    let still = format!(
        "service stays: after the reload process {} still has its working directory in {}",
        before[1],
        short(&one)
    );
    machine.deploy(&["service_name:stays=reload", "verify_service:strict"]).ends(1).says(&still);
    machine.is_on(&one);
    machine.deploy(&["service_name:stays=reload"]).ends(0).says(&still);
    machine.is_on(&two);

    machine.project.git(&["checkout", "-q", &one]);
    machine.deploy(&["service_name:forks=reload"]).ends(0).says("nothing of it uses another revision");
    let after = pids();
    assert_eq!(after[..2], before[..2]);
    assert_ne!(after[2], before[2], "that unit's type promises it");

    machine.project.git(&["checkout", "-q", &two]);
    let ran = machine.deploy(&["service_name:restarts=reload"]).ends(3);
    ran.says("service restarts: after the reload ");
}
