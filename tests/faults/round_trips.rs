//! How often a stage waits for the network.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use crate::common::{Farm, Project, address};
use crate::proxy::{Delay, Proxy};

/// A stage opens a channel, starts its command there, and sends the request, whose answer is the result. A fetch may need
/// one more for the window of its channel. The channel is closed along with what comes next, and after the last stage.
const FETCH: usize = 4;
const OTHERS: usize = 3;

#[test]
fn a_fetch_takes_four_round_trips_and_every_other_stage_three() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 1);
    let delay = Delay::of(Duration::from_millis(40));
    let proxy = Proxy::with(&address(0), farm.port, Some(delay.clone()));
    project.write("hoist/default", &format!("{}:{}\n", address(0), proxy.port));
    let known = std::fs::read_to_string(farm.known_hosts()).unwrap();
    let also = known.replace(&format!("]:{} ", farm.port), &format!("]:{} ", proxy.port));
    std::fs::write(farm.known_hosts(), known + &also).unwrap();
    // A busy machine may tear a flight apart: the best of some deployments counts.
    let mut counts = Vec::new();
    for round in 0..4 {
        project.write("index.html", &format!("{round}\n"));
        project.commit("another");
        let mut command = project.hoist(&["deploy", "--yes", "--format", "json"]);
        let mut deployer = command.stdout(Stdio::piped()).spawn().unwrap();
        let (mut before, mut after) = (0, 0);
        for line in BufReader::new(deployer.stdout.take().unwrap()).lines().map(Result::unwrap) {
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            match (event["event"].as_str().unwrap(), event["step"]["run"].as_str()) {
                ("step_started", Some("fetch")) => before = delay.flights(),
                ("step_ended", Some("finalize")) => after = delay.flights(),
                _ => {}
            }
        }
        assert!(deployer.wait().unwrap().success());
        counts.push(after - before);
        if after - before <= FETCH + 2 * OTHERS {
            assert!(after - before >= 3 * 2, "{counts:?}: not all was counted");
            return;
        }
    }
    panic!("{counts:?} round trips");
}
