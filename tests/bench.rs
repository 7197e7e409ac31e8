//! The benchmark works: a few hosts, one round, and no peer has to be installed. Its figures are not looked at, but for
//! those that no load of the machine can change.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use regex::Regex;
use serde_json::Value;

/// A quick trial changes a megabyte on so many hosts.
const BYTES_HOSTS: u64 = 2;

fn bench(settings: &[(&str, &str)]) -> Output {
    let mut bench = Command::new("python3");
    bench.arg("-B").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/bench.py"));
    bench.envs(settings.iter().copied()).output().expect("python3 can be run: make deps installs it")
}

/// What the benchmark consists of, by its own account.
fn parts() -> Vec<String> {
    let help = bench(&[("PARTS", "help")]);
    assert!(help.status.success(), "{help:?}");
    let text = String::from_utf8(help.stdout).unwrap();
    let parts = text.lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect();
    assert!(text.lines().count() > 8, "{text}");
    parts
}

#[test]
fn arguments_which_it_does_not_take_do_not_start_the_benchmark() {
    let with = |argument| {
        let bench = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/bench.py");
        Command::new("python3").arg("-B").arg(bench).arg(argument).output().unwrap()
    };
    let help = with("--help");
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("PARTS"), "{help:?}");
    let wrong = with("--quick");
    assert!(!wrong.status.success() && String::from_utf8_lossy(&wrong.stderr).contains("no arguments"), "{wrong:?}");
}

#[test]
fn every_part_of_the_benchmark_measures_and_tells_what_it_found() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let built = PathBuf::from(env!("CARGO_BIN_EXE_hoist"));
    // Cargo makes examples for the whole suite only, and this may be the one test that is run.
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(root).args(["build", "--locked", "--quiet", "--example", "floor", "--example", "enter"]);
    assert!(build.status().unwrap().success());
    let floor = built.with_file_name("examples").join("floor");
    let out = tempfile::tempdir().unwrap();
    // It is copied to many hosts, which goes faster without its symbols.
    let hoist = out.path().join("hoist");
    assert!(Command::new("strip").arg("-o").arg(&hoist).arg(&built).status().unwrap().success());
    let parts = parts();
    let [hoist, floor, folder] = [&hoist, &floor, out.path()].map(|path| path.to_str().unwrap());
    let output = bench(&[
        ("QUICK", "1"),
        ("HOSTS", "2"),
        // More than `HOSTS`: the part with a delay measures two numbers of hosts then.
        ("DEPLOY_HOSTS", "3"),
        ("SIZES", "2"),
        ("MEGABYTES", "1"),
        ("PEERS", "hoist"),
        ("PARTS", &parts.join(" ")),
        ("OLD", hoist),
        ("HOIST", hoist),
        ("FLOOR", floor),
        ("OUT", folder),
    ]);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");

    let results = std::fs::read_to_string(out.path().join("results.json")).unwrap();
    let results: Value = serde_json::from_str(&results).unwrap();
    assert_eq!(results["notes"], Value::Array(Vec::new()), "{said}");
    for part in &parts {
        assert!(results["took"][part].as_f64().is_some_and(|seconds| seconds > 0.0), "{part}: {said}");
    }
    let measures = results["measures"].as_array().unwrap();
    let measured = |part: &str, tool: &str| -> Vec<&Value> {
        let of_it: Vec<&Value> = measures.iter().filter(|it| it["part"] == part && it["tool"] == tool).collect();
        assert!(!of_it.is_empty(), "{part} was not measured with {tool}: {said}");
        of_it
    };
    for (part, tool) in [
        ("run", "hoist"),
        ("run", "floor"),
        ("first", "hoist"),
        ("first", "floor"),
        ("second", "hoist"),
        ("names", "hoist"),
    ] {
        for measure in measured(part, tool) {
            assert_eq!(measure["connections"], measure["hosts"], "one a host: {measure}");
            assert!(measure["cpu"].as_f64().unwrap() > 0.0, "{measure}");
            assert!(measure["server_cpu"].as_f64().unwrap() > 0.0, "{measure}");
        }
    }
    for part in ["first", "second", "failed", "rollback"] {
        measured(&format!("headline {part}"), "hoist");
    }
    for part in ["compare command", "compare second", "contact slow"] {
        measured(part, "old");
    }
    // What crosses the network is no less than half of what has changed, for that is how well it packs.
    for tool in ["hoist", "server", "store", "cache", "rsync"] {
        for measure in measured("bytes", tool) {
            assert!(measure["network"].as_u64().unwrap() > 1_000_000 / 2 * BYTES_HOSTS, "{measure}");
        }
    }
    // Nearly all of it came from the cache.
    for (part, tool) in [("bytes", "server"), ("bytes", "cache"), ("large", "server")] {
        for measure in measured(part, tool) {
            let [served, network] = ["served", "network"].map(|key| measure[key].as_f64().unwrap());
            assert!(served > network / 3.0, "{measure}");
        }
    }
    for measure in measured("limited", "hoist") {
        let [rate, limit] = ["rate", "limit"].map(|key| measure[key].as_f64().unwrap());
        assert!(rate <= limit * 1.2, "a limit is not exceeded, however slow the machine is: {measure}");
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
    for line in [
        "| Hoist |",
        "| 200 files, first: fetch |",
        "| floor: bare libssh2 |",
        "| promote |",
        "| `hoist rollback` | 2 |",
        "| third: rollback |",
        "| Hoist, the earlier build, 100 Mbit/s for all | 3 |",
        "| Hoist, an artifact that hosts download |",
        "| second deployment | 3 | 1 |",
        "## Targets",
    ] {
        assert!(table.contains(line), "{line} is missing in {table}");
    }
    for name in ["results.svg", "deployments.svg"] {
        let plot = std::fs::read_to_string(out.path().join(name)).unwrap();
        assert!(plot.starts_with("<svg") && plot.contains("prefers-color-scheme: dark"), "{plot}");
    }
}

#[test]
fn documents_claim_no_speed_that_the_benchmark_does_not_print() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages: Vec<PathBuf> = std::fs::read_dir(root.join("man")).unwrap().map(|it| it.unwrap().path()).collect();
    pages.push(root.join("README.md"));
    let claim =
        r"(?i)\b(\d+|twice|two|three|five|ten|twenty)( ?×| times)?( as)? (fast\b|faster|quicker)|ms a host|ms of CPU";
    let claim = Regex::new(claim).unwrap();
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        let (before, rest) = text.split_once("<!-- bench -->").unwrap_or((&text, ""));
        let after = rest.split_once("<!-- /bench -->").map_or("", |(_, after)| after);
        for part in [before, after] {
            assert!(!claim.is_match(part), "{}: {:?}", page.display(), claim.find(part));
        }
    }
}
