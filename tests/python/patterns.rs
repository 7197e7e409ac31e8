//! Host patterns choose the hosts that Python chooses: its fnmatch for globs, its re for what begins with `~`, and for
//! what else Scap takes.

use hoist::targets::{HostPattern, Target};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;

use crate::oracle::oracle;

/// So many of them, the same on every run.
fn some(count: usize, strategy: impl Strategy<Value = String>) -> Vec<String> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

/// Names of hosts, in lower case.
fn names() -> Vec<String> {
    let mut names = some(300, "[abw]{1,2}[0-3]{0,3}(-[0-2ac])?(_x)?(\\.[xy]1?)?");
    names.retain(|name| name.parse::<Target>().is_ok());
    names.sort();
    names.dedup();
    names
}

fn chosen(pattern: &HostPattern, names: &[String]) -> Vec<String> {
    names.iter().filter(|name| pattern.matches("", &name.parse().unwrap())).cloned().collect()
}

/// What Python chooses by each pattern of a kind.
fn theirs(kind: &str, patterns: &[String], names: &[String]) -> Vec<Vec<String>> {
    let mut asked = json!({"render": [], "templates": {}, "variables": "", "yaml": [], "ini": [], "names": names});
    asked[kind] = json!(patterns);
    serde_json::from_value(oracle(&asked)[kind].clone()).unwrap()
}

#[test]
fn a_glob_chooses_the_hosts_that_fnmatch_chooses_or_is_refused_since_it_looks_like_a_range() {
    let names = names();
    let globs = some(3000, "([abw]|[0-3]|-|\\*|\\?|\\[!?[abwx0-3-]{1,5}\\]|\\.[xy]){1,5}");
    let (mut same, mut found) = (0, 0);
    for (glob, theirs) in globs.iter().zip(theirs("globs", &globs, &names)) {
        match glob.parse::<HostPattern>() {
            Ok(pattern) => {
                assert_eq!(chosen(&pattern, &names), theirs, "{glob}");
                same += 1;
                found += theirs.len();
            }
            Err(why) => {
                let reasons = ["with a colon", "runs backwards", "in a shell and in Scap"];
                assert!(reasons.iter().any(|reason| why.contains(reason)), "{why}");
            }
        }
    }
    assert!(same > 1500 && found > 1500, "{same} of {} globs, {found} hosts", globs.len());
}

#[test]
fn a_regular_expression_matches_from_the_beginning_of_a_name_as_re_match_does() {
    let names = names();
    let regexes = some(
        1500,
        "\\^?([abw]|[0-3]|\\.|\\\\d|\\\\\\.|(\\([ab]\\|w\\))|\\[[ab0-2]\\])([*+?]|\\{1,2\\})?[abw0-3]{0,2}(\\|[bw])?\\$?",
    );
    for (regex, theirs) in regexes.iter().zip(theirs("expressions", &regexes, &names)) {
        let pattern: HostPattern = format!("~{regex}").parse().unwrap_or_else(|why| panic!("{regex}: {why}"));
        assert_eq!(chosen(&pattern, &names), theirs, "~{regex}");
    }
}

#[test]
fn what_else_scap_takes_is_one_expression_for_the_whole_name() {
    let names = names();
    for (pattern, regex) in [
        ("a(1|2)", "^a(1|2)$"),
        ("^w1$", "^w1$"),
        ("a*(x|y)", "^a[\\w.-]*(x|y)$"),
        ("w[12]+.x", "^w[12]+\\.x$"),
        ("(a|b)[01:12]", "^(a|b)(?:01|02|03|04|05|06|07|08|09|10|11|12)$"),
        ("a{1,2}", "^a{1,2}$"),
        ("a1|b", "^a1|b$"),
        ("[ab]\\d*", "^[ab]\\d[\\w.-]*$"),
    ] {
        let wanted = theirs("expressions", &[regex.to_owned()], &names).remove(0);
        let found = chosen(&pattern.parse().unwrap(), &names);
        assert_eq!(found, wanted, "{pattern}");
    }
}
