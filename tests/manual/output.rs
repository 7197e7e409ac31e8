//! What a command showed, against what the manual says that it shows.

use regex::Regex;

/// Times, ids, revisions and durations, which differ from run to run.
const VARYING: [(&str, &str); 11] = [
    (r"\d{8}T\d{6}\.\d{3}Z-\d+-[0-9a-f]+", "RUN"),
    (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "TIME"),
    (r"\b\d{4}-\d\d-\d\d \d\d:\d\d [A-Z]+\b", "TIME"),
    (r"\b\d\d:\d\d:\d\d\b", "TIME"),
    (r"\b[0-9a-f]{10}(?:[0-9a-f]{30})?\b", "REVISION"),
    // Only what took a second or more is said to have taken it.
    (r" in (?:\d+ min \d\d|\d+(?:\.\d+)?) s$", ""),
    (r"\b(?:\d+ min \d\d s|\d+(?:\.\d+)? (?:s|min))\b", "N s"),
    (r"\b\d+(?:\.\d+)? (bytes|kB)", "N bytes"),
    (r"\bprocess \d+", "process N"),
    (r"\b\d+ keys", "N keys"),
    (r"@[\w.-]+", "@HOST"),
];

fn comparable(line: &str) -> String {
    let folded = line.split_whitespace().collect::<Vec<_>>().join(" ");
    VARYING
        .iter()
        .fold(folded, |text, (pattern, word)| Regex::new(pattern).unwrap().replace_all(&text, *word).into_owned())
}

/// Whether a line is what the manual says; `...` stands for any text.
fn is_line(manual: &str, shown: &str) -> bool {
    let pattern = comparable(manual).split("...").map(regex::escape).collect::<Vec<_>>().join(".*");
    Regex::new(&format!("^{pattern}$")).unwrap().is_match(&comparable(shown))
}

/// Whether a line says how long a stage has waited. It comes every two seconds, so that it depends on the machine whether a
/// wait of two seconds has one.
fn is_of_a_wait(line: &str) -> bool {
    let tail = Regex::new(r": \d+ of N s$").unwrap();
    tail.is_match(&comparable(line))
}

/// Whether lines are those of the manual; a line of `...` stands for any lines, and lines of waits are left out.
pub fn agrees(manual: &[String], shown: &[String]) -> bool {
    // Blank lines are for the eye.
    let manual: Vec<&str> = manual.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
    let shown: Vec<&str> = shown.iter().map(String::as_str).filter(|line| !is_of_a_wait(line)).collect();
    agree(&manual, &shown)
}

fn agree(manual: &[&str], shown: &[&str]) -> bool {
    match manual.split_first() {
        None => shown.is_empty(),
        Some((line, rest)) if *line == "..." => (0..=shown.len()).any(|n| agree(rest, &shown[n..])),
        Some((line, rest)) => {
            shown.split_first().is_some_and(|(first, more)| is_line(line, first) && agree(rest, more))
        }
    }
}
