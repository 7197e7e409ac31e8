//! The benchmark works: a few hosts, one round, and no peer has to be installed. Its figures are not looked at, but for
//! those that no load of the machine can change.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

#[test]
fn the_benchmark_measures_hoist_and_the_floor_and_tells_what_it_found() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let hoist = PathBuf::from(env!("CARGO_BIN_EXE_hoist"));
    // Cargo makes examples for the whole suite only, and this may be the one test that is run.
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(root).args(["build", "--locked", "--quiet", "--example", "floor"]);
    assert!(build.status().unwrap().success());
    let out = tempfile::tempdir().unwrap();
    let mut bench = Command::new("python3");
    bench.arg(root.join("bench/bench.py"));
    bench.envs([("QUICK", "1"), ("HOSTS", "3"), ("PARTS", "run deploy target"), ("PEERS", "hoist")]);
    bench.env("HOIST", &hoist).env("FLOOR", hoist.with_file_name("examples").join("floor")).env("OUT", out.path());
    let output = bench.output().expect("python3 can be run: make deps installs it");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");

    let results = std::fs::read_to_string(out.path().join("results.json")).unwrap();
    let results: Value = serde_json::from_str(&results).unwrap();
    assert_eq!(results["notes"], Value::Array(Vec::new()), "{said}");
    let measures = results["measures"].as_array().unwrap();
    for (part, tool) in
        [("run", "hoist"), ("run", "floor"), ("first", "hoist"), ("first", "floor"), ("second", "hoist")]
    {
        let of_it: Vec<&Value> = measures.iter().filter(|it| it["part"] == part && it["tool"] == tool).collect();
        assert!(!of_it.is_empty(), "{part} was not measured with {tool}: {said}");
        for measure in of_it {
            assert_eq!(measure["connections"], 3, "one a host: {measure}");
            assert!(measure["cpu"].as_f64().unwrap() > 0.0, "{measure}");
            assert!(measure["server_cpu"].as_f64().unwrap() > 0.0, "{measure}");
        }
    }
    // Calls do not depend on the machine's load either.
    let counted = results["costs"].as_array().unwrap().iter().find(|it| it["counted"] == true).unwrap();
    for (case, stage, git, service) in [
        ("first", "fetch", 2, 0),
        ("first", "finalize", 0, 0),
        ("second", "probe", 0, 0),
        ("second", "fetch", 3, 0),
        ("second", "promote", 0, 1),
        ("rollback", "rollback", 0, 1),
    ] {
        let cost = &counted["cases"][case][stage];
        let found = ["hoist", "git", "service"].map(|kind| cost[kind].as_u64().unwrap());
        assert_eq!(found, [1, git, service], "{case}: {stage}: {cost}");
    }
    let table = std::fs::read_to_string(out.path().join("results.md")).unwrap();
    for line in ["| Hoist |", "| 200 files, first: fetch |", "| floor: bare libssh2 |", "| promote |", "## Targets"] {
        assert!(table.contains(line), "{line} is missing in {table}");
    }
    let plot = std::fs::read_to_string(out.path().join("results.svg")).unwrap();
    assert!(plot.starts_with("<svg") && plot.contains("prefers-color-scheme: dark"), "{plot}");
}
