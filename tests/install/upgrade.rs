//! Packages that are upgraded, downgraded and removed under a real systemd, whose timers run.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::packages::{pack, run};
use crate::{SOURCE, built, text};

/// What the small system lacks of those targets that the timer depends on.
const TARGETS: [&str; 5] = ["basic.target", "sysinit.target", "shutdown.target", "timers.target", "time-sync.target"];

/// A copy of this system with a systemd of its own.
struct Machine {
    folder: TempDir,
    supervisor: Child,
    /// By its process id on this machine.
    systemd: String,
}

impl Machine {
    /// `None`: this system has no such machines, and that was said.
    fn new() -> Option<Machine> {
        let folder = tempfile::Builder::new().prefix("hoist-install-").tempdir().unwrap();
        for name in ["srv", "units"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        for target in TARGETS {
            fs::write(folder.path().join("units").join(target), "[Unit]\nDefaultDependencies=no\n").unwrap();
        }
        let errors = folder.path().join("errors");
        let mut supervisor = Command::new(Path::new(SOURCE).join("tests/install/machine.sh"))
            .arg(folder.path())
            .stdin(Stdio::null())
            .stderr(fs::File::create(&errors).unwrap())
            .spawn()
            .unwrap();
        let children = format!("/proc/{0}/task/{0}/children", supervisor.id());
        let systemd = wait_for("systemd", || {
            if supervisor.try_wait().unwrap().is_some() {
                return Some(String::new());
            }
            let child = fs::read_to_string(&children).ok()?.split_whitespace().next()?.to_owned();
            (fs::read_to_string(format!("/proc/{child}/comm")).ok()?.trim() == "systemd").then_some(child)
        });
        if systemd.is_empty() {
            let why = fs::read_to_string(errors).unwrap();
            // Not by eprintln!, which tells nobody of a test that passes.
            let _ = writeln!(std::io::stderr(), "skipped: no systemd can be run here: {}", why.trim());
            return None;
        }
        let machine = Machine { folder, supervisor, systemd };
        wait_for("systemd to run", || (machine.sh("systemctl is-system-running || :") == "running").then_some(()));
        Some(machine)
    }

    /// Runs a line of shell on the machine, and returns what it printed.
    #[track_caller]
    fn sh(&self, line: &str) -> String {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.systemd, "-m", "-p", "-C", "sh", "-e", "-c", line]);
        let output = command.env_remove("MAKEFLAGS").output().unwrap();
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success(), "{line}: {said}");
        text(&output.stdout).trim().to_owned()
    }

    /// How systemd sees a timer: enabled, the version of its unit, running, and whether systemd knows that unit.
    fn timer(&self, instance: &str) -> String {
        let unit = format!("hoist-reconcile@{instance}.timer");
        let show = "systemctl show --property ActiveState,Description,NeedDaemonReload --value";
        self.sh(&format!("systemctl is-enabled {unit} || :; {show} {unit}")).replace('\n', " ")
    }

    /// All files of Hoist, by their names.
    fn files(&self) -> String {
        self.sh("find /usr/bin /usr/lib/systemd /usr/share /etc /var/lib -xdev -path '*hoist*' | LC_ALL=C sort")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // With its first process everything in it ends.
        let _ = Command::new("kill").args(["-KILL", &self.systemd]).status();
        let _ = self.supervisor.wait();
        let cgroup = fs::read_to_string(self.folder.path().join("cgroup")).unwrap_or_default();
        let removed = || Command::new("find").args([cgroup.trim(), "-depth", "-type", "d", "-delete"]).output();
        let ended = Instant::now() + Duration::from_secs(10);
        while Path::new(cgroup.trim()).is_dir() && Instant::now() < ended {
            let _ = removed();
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Waits until there is something.
fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let ended = Instant::now() + Duration::from_secs(60);
    loop {
        match probe() {
            Some(found) => return found,
            None => assert!(Instant::now() < ended, "waited too long for {what}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Packages of an earlier version, whose timer is another and which has a page more, and of a later one.
fn versions(kind: &str, folder: &Path) -> [String; 2] {
    ["0.0.9", "0.1.0"].map(|version| {
        let checkout = built();
        run(&checkout, "sed", &["-i", &format!("s/^version = .*/version = \"{version}\"/"), "Cargo.toml"]);
        if version == "0.0.9" {
            run(&checkout, "cp", &["man/hoist.1", "man/hoist-gone.1"]);
        }
        let describe = format!("s/^Description=.*/Description={version}/");
        run(&checkout, "sed", &["-i", &describe, "packaging/systemd/hoist-reconcile@.timer"]);
        pack(&checkout, kind, "022", "UTC");
        let packed = run(&checkout, "sh", &["-c", &format!("ls -d $PWD/dist/*.{kind}")]).trim().to_owned();
        let kept = folder.join(format!("{version}.{kind}")).to_str().unwrap().to_owned();
        fs::copy(packed, &kept).unwrap();
        kept
    })
}

/// Upgrades, downgrades and removes packages of a kind: `install` and `remove` are the commands for that.
fn survives(kind: &str, install: &str, remove: &str, purge: &str) {
    let Some(machine) = Machine::new() else { return };
    let [old, new] = versions(kind, machine.folder.path());
    let before = machine.files();
    let own = "echo '[global]' >/etc/hoist.cfg; mkdir /etc/systemd/system/hoist-reconcile@.timer.d; \
               printf '[Timer]\\nOnBootSec=\\nOnCalendar=\\nOnCalendar=2190-01-01\\n' \
               >/etc/systemd/system/hoist-reconcile@.timer.d/override.conf";
    machine.sh(&format!("{install} {old}; {own}; systemctl daemon-reload"));
    machine.sh("systemctl enable --now hoist-reconcile@srv-one.timer; systemctl start hoist-reconcile@srv-two.timer");
    let sums = "sha256sum /etc/hoist.cfg /etc/systemd/system/hoist-reconcile@.timer.d/*";
    let kept = machine.sh(sums);
    let is_on = |version: &str| {
        assert_eq!(machine.timer("srv-one"), format!("enabled {version} active no"));
        assert_eq!(machine.timer("srv-two"), format!("disabled {version} active no"));
        assert_eq!(machine.timer("srv-three"), format!("disabled {version} inactive no"));
        assert_eq!(machine.sh(sums), kept);
        machine.sh("hoist version")
    };
    is_on("0.0.9");
    let of_old = machine.files();
    assert!(of_old.contains("hoist-gone.1.gz"), "{of_old}");
    machine.sh(&format!("{install} {new}"));
    is_on("0.1.0");
    let without: Vec<&str> = of_old.lines().filter(|line| !line.contains("hoist-gone.1.gz")).collect();
    assert_eq!(machine.files(), without.join("\n"));
    machine.sh(&format!("{install} {old}"));
    is_on("0.0.9");
    assert_eq!(machine.files(), of_old);

    machine.sh(&format!("{install} {new}; {remove}"));
    assert_eq!(machine.sh("systemctl list-units --all --plain --no-legend 'hoist-reconcile@*'"), "");
    assert_eq!(machine.sh(sums), kept);
    if purge != remove {
        machine.sh(&format!("{install} {new}"));
        assert_eq!(machine.timer("srv-one"), "enabled 0.1.0 inactive no");
        machine.sh(purge);
    }
    machine.sh("rm -r /etc/hoist.cfg /etc/systemd/system/hoist-reconcile@.timer.d");
    assert_eq!(machine.files(), before);
    assert_eq!(machine.sh("ls -A /etc/systemd/system/timers.target.wants 2>/dev/null || :"), "");
}

#[test]
fn timers_and_configuration_outlive_upgrades_and_downgrades_of_the_deb_and_a_purge_leaves_nothing() {
    survives("deb", "dpkg --force-downgrade -i", "dpkg -r hoist", "dpkg -P hoist");
}

#[test]
fn timers_and_configuration_outlive_upgrades_and_downgrades_of_the_rpm_and_its_removal_leaves_nothing() {
    // Debian's rpm has its database in the user's home by default.
    let erase = "rpm --dbpath /var/lib/rpm -e hoist";
    survives("rpm", "rpm --dbpath /var/lib/rpm -U --oldpackage --nodeps", erase, erase);
}
