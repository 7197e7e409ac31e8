//! A host that was off during a deployment, with the units of the package: the timer on the deploy host, and a service that
//! asks the guard before it starts.

use std::path::Path;

use crate::common::{HOIST, Links, address, wait_for};
use crate::{Machine, PAGE};

/// What this small system lacks of those targets that units depend on by default.
const TARGETS: [&str; 5] =
    ["sysinit.target", "shutdown.target", "timers.target", "network-online.target", "time-sync.target"];

/// A unit of the package.
fn packaged(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd").join(name)).unwrap()
}

impl Machine {
    /// Puts a drop-in where `systemctl edit` does.
    fn edit(&self, unit: &str, text: &str) {
        self.sh(&format!("mkdir -p /run/units/{unit}.d && printf '%s' '{text}' >/run/units/{unit}.d/override.conf"));
    }

    /// Starts the timer, which fires at once here, in the repository as a deploy host has it. Returns the unit it starts.
    fn start_timer(&self) -> String {
        let command = self.project.hoist(&[]);
        let variables = command
            .get_envs()
            .filter_map(|(name, value)| Some(format!("Environment=\"{}={}\"\n", name.to_str()?, value?.to_str()?)));
        let variables: String = variables.collect();
        let run = format!("ExecStart=\nExecStart={HOIST} reconcile --yes $RECONCILE_FLAGS\n");
        self.edit("hoist-reconcile@.service", &format!("[Service]\nUser=root\n{run}{variables}"));
        self.edit("hoist-reconcile@.timer", "[Timer]\nOnBootSec=\nOnCalendar=\nRandomizedDelaySec=0\nOnActiveSec=1\n");
        self.sh("systemctl daemon-reload");
        let top = self.project.path("");
        let escaped = self.sh(&format!("systemd-escape --path {}", top.display()));
        self.sh(&format!("systemctl start 'hoist-reconcile@{escaped}.timer'"));
        format!("hoist-reconcile@{escaped}.service")
    }

    /// The arguments of the page's process; empty while it does not run.
    fn running(&self) -> String {
        self.sh(r"pid=$(systemctl show --property MainPID --value page); tr '\0' ' ' </proc/$pid/cmdline 2>/dev/null")
    }

    /// The service is wanted at the start of the host, and does not come up before it is allowed to.
    fn is_refused(&self) {
        self.sh("systemctl start --no-block page");
        wait_for("the service to be started again", || {
            self.sh("systemctl show --property NRestarts --value page") != "0"
        });
        let said = self.sh(&format!("{HOIST} deploy-local -r app guard 2>&1"));
        assert!(said.contains("was started after it was last confirmed"), "{said}");
        assert_eq!(self.running(), "");
    }
}

#[test]
fn a_host_that_was_off_during_a_deployment_serves_once_the_timer_has_reconciled_it() {
    let guard = format!("ExecStartPre=+{HOIST} deploy-local -r app guard\nRestart=always\nRestartSec=1\n");
    let (page, service) = (format!("{PAGE}{guard}"), packaged("hoist-reconcile@.service"));
    let timer = packaged("hoist-reconcile@.timer");
    let stubs = TARGETS.map(|name| (name, "[Unit]\nDefaultDependencies=no\n"));
    let units = [
        ("page.service", page.as_str()),
        ("hoist-reconcile@.service", service.as_str()),
        ("hoist-reconcile@.timer", timer.as_str()),
    ];
    let Some(mut machine) = Machine::new(&[&units[..], &stubs[..]].concat(), "page") else { return };
    assert!(machine.running().contains("sleep 1000"), "promote may start it");
    // A second host, whose services are nobody's business.
    for (n, ctl) in [(0, "#!/bin/sh\nexec systemctl \"$@\"\n"), (1, "#!/bin/sh\n")] {
        let path = machine.farm.srv(&address(n)).join("ctl");
        std::fs::write(&path, ctl).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    machine.project.configure("service_command: /srv/ctl {action} {service}\nfailure_limit: 1");
    machine.project.write("hoist/default", &format!("{}\n{}\n", address(0), address(1)));
    machine.power_off();
    machine.farm.set_down(&address(0), true);
    let two = machine.revision("exec sleep 2000");
    machine.deploy(&[]).ends(0).says("1 of 2 hosts");

    machine.farm.set_down(&address(0), false);
    machine.power_on();
    machine.is_refused();
    let unit = machine.start_timer();
    wait_for("the new revision to be served", || machine.running().contains("sleep 2000"));
    let state = |property: &str| machine.sh(&format!("systemctl show --property {property} --value '{unit}'"));
    wait_for("the end of the run", || state("ActiveState") == "inactive");
    assert_eq!(state("Result"), "success");
    assert_eq!(Links::of(&machine.farm, 0), Links::finalized(&two));

    // Once more, with nothing to deploy.
    machine.power_off();
    machine.power_on();
    machine.is_refused();
    machine.start_timer();
    wait_for("the confirmed revision to be served", || machine.running().contains("sleep 2000"));
}
