use std::time::Duration;

use super::*;
use crate::config::gate_doubts;
use crate::gates::{Auth, Control, Gate, Moment, NoData, Source};
use crate::targets::Group;

const KEEP: &str = "when: soak, url: http://p:9090, query: up, require: '> 0'";

fn with(gates: &str) -> Repo {
    Repo::with_groups("gates.yaml", gates)
}

fn fails(gates: &str) -> String {
    chain(with(gates).config().gates())
}

#[test]
fn gates_keep_the_order_of_the_file_and_have_their_defaults() {
    let repo = with(
        "gates:\n  zeta:\n    type: prometheus\n    when: [subgroup, soak]\n    url: https://p/{{ group }}\n    query: \
         'x{i=~\"{{ new_hosts }}\"}'\n    require: '< 0.01'\n    group: canary\n    interval: 5\n    delay: 0.5\n    \
         timeout: 3\n    within: 90\n    failures: 2\n    no_data: ask\n    observe: true\n    username: me\n    \
         password_file: /etc/hoist/p\n    ca_file: /etc/hoist/ca.pem\n  alpha: {when: before, command: /bin/true}\n  \
         page: {type: http, when: 'group, finalize', url: 'http://h/', status: 200, body: ok, json: /lag, require: \
         '< 5'}\n  alerts: {type: alertmanager, when: soak, url: 'http://a:9093', matchers: ['severity=\"page\"', \
         'i=~\"{{ new_hosts }}\"']}\n  slower: {type: compare, when: soak, url: 'http://p', query: q, worse: higher, \
         effect: 0.8, difference: 10%, samples: 20, significance: 0.001, host_label: host}\n",
    );
    let gates = repo.config().gates().unwrap().0;
    assert!(gates.iter().map(|gate| gate.name.as_str()).eq(["zeta", "alpha", "page", "alerts", "slower"]), "{gates:?}");
    let zeta = &gates[0];
    assert_eq!(
        (zeta.scope.at.as_slice(), zeta.scope.group.as_deref()),
        (&[Moment::Subgroup, Moment::Soak][..], Some("canary"))
    );
    let times = [zeta.interval, zeta.delay, zeta.timeout, zeta.within].map(|time| time.as_secs_f64());
    assert_eq!((times, zeta.failures, zeta.no_data, zeta.observe), ([5.0, 0.5, 3.0, 90.0], 2, NoData::Ask, true));
    let Source::Prometheus { endpoint, require, .. } = &zeta.source else { panic!("{zeta:?}") };
    let basic = Auth::Basic { username: "me".into(), file: "/etc/hoist/p".into() };
    assert_eq!((endpoint.auth.as_ref(), require.to_string()), (Some(&basic), "< 0.01".to_owned()));
    let alpha = &gates[1];
    let times = [alpha.interval, alpha.delay, alpha.timeout, alpha.within].map(|time| time.as_secs());
    assert_eq!((times, alpha.failures, alpha.no_data, alpha.observe), ([10, 0, 10, 60], 0, NoData::Wait, false));
    assert!(matches!(&alpha.source, Source::Command { folder, shell: false, .. } if folder == repo.top()));
    assert_eq!(gates[2].scope.at, [Moment::Group, Moment::Finalize]);
    assert!(matches!(&gates[2].source, Source::Http { json: Some((pointer, _)), .. } if pointer == "/lag"));
    assert!(matches!(&gates[3].source, Source::Alertmanager { matchers, .. } if matchers.len() == 2));
    let Source::Compare { comparison, .. } = &gates[4].source else { panic!("{:?}", gates[4]) };
    let numbers = [comparison.significance, comparison.effect, comparison.difference];
    assert_eq!((numbers, comparison.samples, comparison.host_label.as_str()), ([0.001, 0.8, 0.1], 20, "host"));
}

#[test]
fn the_environment_replaces_gates_in_their_place_switches_them_off_and_adds_its_own() {
    let gate = |name: &str, command: &str| format!("  {name}: {{when: before, command: {command}, timeout: 9}}\n");
    let repo = with(&format!("gates:\n{}{}{}", gate("a", "a"), gate("b", "b"), gate("c", "c"))).environment("beta");
    repo.write(
        "hoist/environments/beta/gates.yml",
        "gates:\n  d: {when: soak, command: d}\n  c:\n  b: {when: soak, command: bb}\n",
    );
    let gates = repo.config().gates().unwrap().0;
    assert!(gates.iter().map(|gate| gate.name.as_str()).eq(["a", "b", "d"]), "{gates:?}");
    assert_eq!((gates[1].scope.at[0], gates[1].timeout), (Moment::Soak, Duration::from_secs(10)));
    assert!(repo.config().gates().unwrap().1.iter().all(|(_, note)| !note.contains("disables")));
    repo.write("hoist/environments/beta/gates.yml", "gates: {errros: , b: }\n");
    let (gates, notes) = repo.config().gates().unwrap();
    assert!(gates.iter().map(|gate| gate.name.as_str()).eq(["a", "c"]), "{gates:?}");
    assert!(notes[0].1.contains("gate \"errros\" is empty, and disables nothing"), "{notes:?}");
}

#[test]
fn a_gate_that_would_never_be_asked_is_warned_of() {
    let gates = "gates:\n  a: {when: soak, command: x}\n  b: {when: 'soak, group', command: x}\n";
    let (_, notes) = with(gates).config().gates().unwrap();
    assert_eq!(notes.len(), 1);
    assert!(notes[0].1.contains("gate \"a\" is asked during soaks only"), "{notes:?}");
    let (_, notes) = with(gates).define("canary_soak_time:60").config().gates().unwrap();
    assert!(notes.is_empty(), "{notes:?}");
}

#[test]
fn what_a_comparison_is_with_is_its_own_to_choose() {
    let gate = |name: &str, when: &str, more: &str| {
        format!("  {name}: {{type: compare, when: '{when}', url: 'http://p', query: q, worse: higher{more}}}\n")
    };
    let all = [gate("a", "soak", ""), gate("b", "soak", ", control: group"), gate("c", "soak", ", control: fleet")];
    let (gates, _) = with(&format!("gates:\n{}", all.concat())).config().gates().unwrap();
    let control = |gate: &Gate| match &gate.source {
        Source::Compare { comparison, .. } => comparison.control,
        other => panic!("{other:?}"),
    };
    assert_eq!(gates.iter().map(control).collect::<Vec<_>>(), [Control::Nearest, Control::Group, Control::Fleet]);
    let error = fails(&format!("gates:\n{}", gate("a", "soak", ", control: all")));
    assert!(error.contains("unknown control \"all\": write group or fleet"), "{error}");
    let (_, notes) = with(&format!("gates:\n{}", gate("a", "group, before", ""))).config().gates().unwrap();
    assert!(notes[0].1.contains("nothing to compare at the moment before"), "{notes:?}");
}

#[test]
fn gates_that_have_too_little_time_in_a_soak_are_told() {
    let hosts = |names: std::ops::Range<usize>| names.map(|n| format!("web{n}").parse().unwrap()).collect();
    let group = |name: &str, targets, soak, steps: &str| Group {
        name: name.into(),
        targets,
        steps: steps.parse().unwrap(),
        soak_time: Duration::from_secs(soak),
        ..Group::default()
    };
    let groups = [group("canary", hosts(0..1), 200, "all"), group("default", hosts(1..9), 100, "2, all")];
    let said = |gate: &str| {
        let text = format!("gates:\n  a: {{when: 'soak, subgroup', {gate}}}\n");
        gate_doubts(&with(&text).config().gates().unwrap().0, &groups)
    };
    let compare = "type: compare, url: 'http://p', query: q, worse: higher, interval: 30";
    // One value of the canary every 30 s: ten of them take 270 s, and 260 s is as long as it is asked.
    let why = "gate a: 10 values of each side take at least 270 s and the soak of canary is 200 s, so the gate will be \
               inconclusive";
    assert!(said(compare)[0].starts_with(why), "{:?}", said(compare));
    for enough in ["samples: 9", "group: default", "interval: 20", "within: 70", "control: group"] {
        let gate = format!("{compare}, {enough}").replace("interval: 30, interval", "interval");
        assert!(said(&gate).is_empty(), "{enough}: {:?}", said(&gate));
    }
    let late = said("command: x, delay: 100");
    assert_eq!(
        late,
        ["gate a: its delay is 100 s and the soak of default is 100 s: it is asked only once, after the soak"]
    );
    assert!(said("command: x, delay: 99").is_empty());
}

#[test]
fn no_file_an_empty_one_and_gates_that_are_switched_off_are_no_gates() {
    assert!(Repo::configured("").config().gates().unwrap().0.is_empty());
    assert!(with("").config().gates().unwrap().0.is_empty());
    assert!(with("gates:\n").config().gates().unwrap().0.is_empty());
    assert!(with("gates: {a: , b: {}}\n").config().gates().unwrap().0.is_empty());
}

#[test]
fn a_wrong_gate_is_told_with_file_line_and_name() {
    told_by_line("gates.yaml", include_str!("wrong/gates.yaml"), |gates| {
        let error = fails(gates);
        assert!(!error.contains("s3cret"), "{error}");
        error
    });
    assert_eq!(with(&format!("gates:\n  a: {{type: prometheus, {KEEP}}}\n")).config().gates().unwrap().0.len(), 1);
}
