//! What breaks in a round, where, and when.

use std::fmt;
use std::time::Duration;

use crate::common::address;
use crate::mutate::Chance;
use crate::scene::Scene;

/// A round is over in about this time when nothing is in its way, in milliseconds.
const ROUND: usize = 800;

const STAGES: [&str; 5] = ["fetch", "config_deploy", "promote", "finalize", "rollback"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A check fails for this revision alone.
    Check,
    /// A stage fails, whatever the revision.
    Stage(&'static str),
    /// The service does not start with this revision.
    Service,
    /// `drain` or `undrain` fails.
    Drain(&'static str),
    /// The host refuses every command from the beginning.
    DownAtOnce,
    /// It does so from some time on, and its connections are cut.
    Down,
    /// Everything that runs there is killed.
    Cut,
    /// The target's side is killed, the lock holder with it.
    DeployLocal,
    /// The disk is full from some time on.
    FullDisk,
    /// The deployer is killed.
    Deployer,
}

struct Fault {
    kind: Kind,
    host: usize,
    /// Since the deployer was started.
    at: Duration,
    done: bool,
}

/// The faults of a round.
pub struct Faults(Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{:?} on {} at {} ms", fault.kind, address(fault.host), fault.at.as_millis())?;
        }
        if self.0.is_empty() { f.write_str("no fault") } else { Ok(()) }
    }
}

impl Faults {
    /// Draws the faults of a round, and prepares what has to be there from its beginning.
    pub fn draw(scene: &Scene, chance: &mut Chance, revision: &str) -> Faults {
        let faults = (0..*chance.of(&[0, 1, 2, 2, 3, 3, 4])).map(|_| {
            let kind = *chance.of(&[
                Kind::Check,
                Kind::Stage(STAGES[0]),
                Kind::Stage(STAGES[1]),
                Kind::Stage(STAGES[2]),
                Kind::Stage(STAGES[3]),
                Kind::Stage(STAGES[4]),
                Kind::Service,
                Kind::Drain("drain"),
                Kind::Drain("undrain"),
                Kind::DownAtOnce,
                Kind::Down,
                Kind::Cut,
                Kind::Cut,
                Kind::DeployLocal,
                Kind::DeployLocal,
                Kind::FullDisk,
                Kind::Deployer,
                Kind::Deployer,
            ]);
            // Where the deployer dies matters most once it has begun to change hosts.
            let latest = if kind == Kind::Deployer { ROUND + ROUND / 2 } else { ROUND };
            let at = Duration::from_millis(chance.below(latest) as u64);
            Fault { kind, host: chance.below(scene.hosts), at, done: false }
        });
        let faults = Faults(faults.collect());
        for fault in &faults.0 {
            match fault.kind {
                Kind::Check => scene.breaks_at(fault.host, revision),
                Kind::Stage(stage) => scene.put(fault.host, &format!("do-{stage}"), "exit 7"),
                Kind::Service => scene.put(fault.host, "breaks-service", &scene.text_of(revision)),
                Kind::Drain(part) => scene.put(fault.host, &format!("do-{part}"), "exit 8"),
                Kind::DownAtOnce => scene.farm.set_down(&address(fault.host), true),
                _ => {}
            }
        }
        faults
    }

    /// Does what is due by now; whether the deployer is to be killed.
    pub fn act(&mut self, scene: &Scene, now: Duration) -> bool {
        for fault in self.0.iter_mut().filter(|fault| !fault.done && fault.at <= now) {
            fault.done = true;
            match fault.kind {
                Kind::Down => {
                    scene.farm.set_down(&address(fault.host), true);
                    scene.cut(fault.host);
                }
                Kind::Cut => scene.cut(fault.host),
                Kind::DeployLocal => scene.kill_deploy_local(fault.host),
                Kind::FullDisk => fill(scene, fault.host),
                Kind::Deployer => return true,
                _ => {}
            }
        }
        false
    }

    /// What keeps hosts from being reached is over; the rest stays as it is.
    pub fn let_go(&mut self, scene: &Scene) {
        for fault in self.0.iter().filter(|fault| matches!(fault.kind, Kind::Down | Kind::DownAtOnce)) {
            scene.farm.set_down(&address(fault.host), false);
        }
    }

    /// Everything is in order again for the next round.
    pub fn repair(&mut self, scene: &Scene) {
        self.let_go(scene);
        for fault in &self.0 {
            match fault.kind {
                Kind::Check => scene.remove(fault.host, "broken"),
                Kind::Stage(part) | Kind::Drain(part) => scene.remove(fault.host, &format!("do-{part}")),
                Kind::Service => scene.remove(fault.host, "breaks-service"),
                Kind::FullDisk => scene.remove(fault.host, "filling"),
                _ => {}
            }
        }
        // What a killed or cut host still works at has to end before the next round counts on it.
        for n in 0..scene.hosts {
            crate::common::wait_for("the target's side to end", || scene.is_quiet(n));
        }
    }
}

/// Every host has a small disk of its own here.
fn fill(scene: &Scene, n: usize) {
    let _ = std::fs::write(scene.srv(n).join("filling"), vec![1; 64 << 20]);
}
