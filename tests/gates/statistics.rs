//! The statistics of a comparison, against SciPy's.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use hoist::gates::statistics::mann_whitney;
use serde_json::json;

/// Reads pairs of samples, and writes p and the effect size of each.
const ORACLE: &str = "
import json, sys
from scipy.stats import mannwhitneyu
answers = []
for first, second in json.load(sys.stdin):
    test = mannwhitneyu(first, second, alternative='greater')
    answers.append([test.pvalue, test.statistic / (len(first) * len(second))])
print(json.dumps(answers))
";

/// Numbers that look random and are the same every time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1u64 << 31) as f64
    }
}

#[test]
fn the_test_and_its_effect_size_are_those_of_scipy() {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/venv/bin/python");
    let mut numbers = Numbers(7);
    let mut pairs: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    for sizes in [(1, 1), (1, 40), (3, 3), (8, 8), (8, 200), (9, 9), (10, 55), (30, 30), (100, 900), (500, 3)] {
        for shift in [-0.3, 0.0, 0.1, 0.6, 2.0] {
            for grain in [0.0, 0.1, 0.5] {
                let mut sample = |size: usize, shift: f64| -> Vec<f64> {
                    let one = |_| {
                        let value = numbers.next() + shift;
                        // Grains make ties.
                        if grain > 0.0 { (value / grain).round() * grain } else { value }
                    };
                    (0..size).map(one).collect()
                };
                pairs.push((sample(sizes.0, shift), sample(sizes.1, 0.0)));
            }
        }
    }
    let mut oracle = Command::new(&python)
        .args(["-c", ORACLE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}: run `make deps`", python.display()));
    oracle.stdin.take().unwrap().write_all(json!(pairs).to_string().as_bytes()).unwrap();
    let output = oracle.wait_with_output().unwrap();
    assert!(output.status.success(), "SciPy does not run: `make deps` installs it");
    // Python writes NaN, which JSON has not.
    let text = String::from_utf8(output.stdout).unwrap().replace("NaN", "null");
    let answers: Vec<(Option<f64>, f64)> = serde_json::from_str(&text).unwrap();
    assert_eq!(answers.len(), pairs.len());
    for ((first, second), (p, effect)) in pairs.iter().zip(answers) {
        let test = mann_whitney(first, second);
        let sizes = (first.len(), second.len());
        assert!((test.effect - effect).abs() < 1e-12, "{sizes:?}: {test:?}, SciPy has {effect}");
        // Where all values are equal, SciPy has no p.
        let p = p.unwrap_or(1.0);
        assert!((test.p - p).abs() <= 1e-12 + 1e-6 * p, "{sizes:?}: {test:?}, SciPy has {p}");
    }
}
