use std::time::Duration;

use super::*;
use crate::wire::{Check, CheckPoint, CheckType, Stage, Tries};

fn with(checks: &str) -> Repo {
    Repo::with_groups("checks.yaml", checks)
}

fn fails(checks: &str) -> String {
    chain(with(checks).config().checks())
}

fn named(checks: &[Check]) -> Vec<&str> {
    checks.iter().map(|check| check.name.as_str()).collect()
}

#[test]
fn checks_keep_the_order_of_the_file_and_have_their_defaults() {
    let repo = with(
        "checks:\n  zeta:\n    type: script\n    stage: handle_service\n    command: probe.sh\n    group: canary\n    \
         timeout: 60\n    shell: yes\n  alpha:\n    before: promote\n    command: /bin/true\n  nagios: {type: nrpe, \
         after: finalize, command: check_http}\n",
    );
    repo.write("hoist/scripts/probe.sh", "");
    let checks = repo.config().checks().unwrap().0;
    assert_eq!(named(&checks), ["zeta", "alpha", "nagios"]);
    let zeta = Check {
        name: "zeta".into(),
        kind: CheckType::Script,
        at: CheckPoint::After(Stage::RestartService),
        group: Some("canary".into()),
        timeout: Duration::from_secs(60),
        tries: Tries::default(),
        command: "probe.sh".into(),
        shell: true,
    };
    assert_eq!(checks[0], zeta);
    assert_eq!(
        (checks[1].kind, checks[1].at, checks[1].timeout, checks[1].shell),
        (CheckType::Command, CheckPoint::Before(Stage::Promote), Duration::from_secs(30), false)
    );
    assert_eq!((checks[2].kind, checks[2].at), (CheckType::Nrpe, CheckPoint::After(Stage::Finalize)));
}

#[test]
fn a_command_that_looks_like_another_type_is_its_text() {
    let checks = with("checks:\n  a: {stage: fetch, command: true, timeout: \"7\"}\n").config().checks().unwrap().0;
    assert_eq!((checks[0].command.as_str(), checks[0].timeout.as_secs()), ("true", 7));
}

#[test]
fn the_environment_replaces_checks_in_their_place_switches_them_off_and_adds_its_own() {
    let repo = with(
        "checks:\n  a: {stage: fetch, command: a}\n  b: {stage: fetch, command: b, timeout: 9}\n  \
         c: {stage: fetch, command: c}\n",
    )
    .environment("beta");
    repo.write(
        "hoist/environments/beta/checks.yml",
        "checks:\n  d: {stage: promote, command: d}\n  c:\n  b: {stage: promote, command: bb}\n",
    );
    let checks = repo.config().checks().unwrap().0;
    assert_eq!(named(&checks), ["a", "b", "d"]);
    assert_eq!((checks[1].command.as_str(), checks[1].timeout.as_secs()), ("bb", 30));
}

#[test]
fn no_file_an_empty_one_and_checks_that_are_switched_off_are_no_checks() {
    assert!(Repo::configured("").config().checks().unwrap().0.is_empty());
    assert!(with("").config().checks().unwrap().0.is_empty());
    assert!(with("checks:\n").config().checks().unwrap().0.is_empty());
    let repo = Repo::configured("perform_checks: no\n");
    repo.write("hoist/checks.yaml", "checks: {a: {stage: fetch, command: a}}");
    assert!(repo.config().checks().unwrap().0.is_empty());
}

#[test]
fn a_wrong_check_is_told_with_file_line_and_name() {
    told_by_line("checks.yaml", include_str!("wrong/checks.yaml"), fails);
}

#[test]
fn a_script_may_be_the_environment_s_alone() {
    let repo = with("checks:\n  a: {stage: fetch, type: script, command: x.sh}\n").environment("beta");
    repo.write("hoist/environments/beta/scripts/x.sh", "");
    assert_eq!(repo.config().checks().unwrap().0.len(), 1);
}

#[test]
fn a_check_may_name_a_group_that_is_not_deployed_to_this_time() {
    let repo = with("checks:\n  a: {stage: fetch, command: x, group: default}\n").define("server_groups:canary");
    assert_eq!(repo.config().checks().unwrap().0[0].group.as_deref(), Some("default"));
}

#[test]
fn a_check_with_an_empty_mapping_is_switched_off_as_one_without_a_body_is() {
    let checks = "checks:\n  depool: {stage: promote, command: a}\n  repool: {stage: promote, command: b}\n  \
                  gone: {}\n  kept: {stage: promote, command: c}\n";
    let repo = with(checks).environment("beta");
    repo.write("hoist/environments/beta/checks.yaml", "checks: {depool: {}, repool: {}}\n");
    assert_eq!(named(&repo.config().checks().unwrap().0), ["kept"]);
    repo.write("hoist/environments/beta/checks.yaml", "checks:\n  depool:\n  repool: {}\n");
    assert_eq!(named(&repo.config().checks().unwrap().0), ["kept"]);
}

#[test]
fn a_check_may_run_both_before_and_after_and_for_a_part_of_a_second() {
    let repo = with("checks:\n  a: {before: promote, after: fetch, command: x, timeout: 0.5}\n");
    let checks = repo.config().checks().unwrap().0;
    assert_eq!(
        checks.iter().map(|it| it.at).collect::<Vec<_>>(),
        [CheckPoint::Before(Stage::Promote), CheckPoint::After(Stage::Fetch)]
    );
    assert_eq!(checks[0].timeout, Duration::from_millis(500));
    let sent = serde_json::to_value(&checks[0]).unwrap();
    assert_eq!(sent["timeout"], serde_json::json!(0.5));
    assert_eq!(serde_json::from_value::<Check>(sent).unwrap(), checks[0]);
}

#[test]
fn a_check_for_another_site_s_group_is_worth_a_warning_and_a_slip_is_an_error() {
    let checks = "checks:\n  a:\n    stage: fetch\n    command: x\n    group: other\n";
    for section in ["[codfw.wmnet]\nserver_groups: other, default\n", "[codfw.wmnet]\nother_dsh_targets: few\n"] {
        let repo = Repo::configured(section);
        repo.write("hoist/checks.yaml", checks);
        let (checks, notes) = repo.config().checks().unwrap();
        assert_eq!(checks[0].group.as_deref(), Some("other"));
        let [(Level::Warning, note)] = &notes[..] else { panic!("{notes:?}") };
        assert_eq!(
            note,
            "hoist/checks.yaml:5: check \"a\": does not run here: group \"other\" is not deployed to: it is one of \
             hoist/hoist.cfg:4 [codfw.wmnet]"
        );
    }
    assert!(fails(checks).contains("unknown group \"other\": the groups are canary, default"));
}

#[test]
fn what_scap_passes_over_in_a_check_is_no_error_in_a_repository_of_scaps() {
    let repo = Repo::new(&[
        ("scap/scap.cfg", "[global]\ngit_repo: app\n"),
        ("scap/checks.yaml", "checks:\n  a:\n    stage: fetch\n    command: x\n    group: gone\n    colour: 3\n"),
    ]);
    let (checks, notes) = repo.config().checks().unwrap();
    assert_eq!(checks.len(), 1);
    let notes: Vec<_> = notes.iter().map(|(level, note)| (*level, note.as_str())).collect();
    assert_eq!(
        notes,
        [
            (
                Level::Warning,
                "scap/checks.yaml:5: check \"a\": does not run here: group \"gone\" is not deployed to: the groups are default"
            ),
            (
                Level::Warning,
                "scap/checks.yaml:6: check \"a\": unknown key \"colour\" is ignored: the keys are type, stage, after, before, \
             group, timeout, retries, interval, within, command, shell"
            ),
        ]
    );
}

/// A repository whose one check has these keys beside `command`.
fn checked(keys: &str) -> Repo {
    let repo = Repo::new(&[("hoist/hoist.cfg", "[global]\ngit_repo: a\ndsh_targets: t\nservice_name: page\n")]);
    repo.write("hoist/checks.yaml", &format!("checks:\n  up:\n    command: 'true'\n{keys}"));
    repo
}

fn notes(repo: &Repo) -> Vec<String> {
    let (_, notes) = repo.config().checks().unwrap();
    notes.into_iter().map(|(_, message)| message).collect()
}

#[test]
fn retries_interval_and_within_say_how_often_a_check_is_tried() {
    let repo = checked("    stage: restart_service\n    within: 1m\n    interval: 0.5\n    retries: 9\n");
    let check = repo.config().checks().unwrap().0.remove(0);
    let tries = Tries { retries: Some(9), within: Some(Duration::from_secs(60)), interval: Duration::from_millis(500) };
    assert_eq!(check.tries, tries);
    assert_eq!(notes(&repo), Vec::<String>::new());
}

#[test]
fn tries_that_make_no_sense_are_refused_with_their_line() {
    for (keys, expected) in [
        ("    interval: 2\n", "checks.yaml:5: check \"up\": interval has no effect without retries or within"),
        ("    retries: -1\n", "checks.yaml:5: check \"up\": bad retries: write a whole number from 0 to 10000"),
        ("    retries: many\n", "checks.yaml:5: check \"up\": bad retries"),
        ("    within: 0\n", "checks.yaml:5: check \"up\": bad within: \"0\" is not a duration: write 90"),
    ] {
        let error = checked(&format!("    stage: restart_service\n{keys}")).config().checks().unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn tries_that_take_longer_than_their_stage_may_are_worth_a_warning() {
    let notes = notes(&checked("    stage: restart_service\n    within: 1000\n"));
    assert!(notes[0].contains("may take 1000 s with all its tries, and promote may take 900 s in all"), "{notes:?}");
    assert!(notes[0].contains("raise promote_timeout"), "{notes:?}");
}

#[test]
fn a_check_that_asks_the_old_process_is_worth_a_warning_unless_another_asks_the_new_one() {
    let said = notes(&checked("    stage: promote\n"));
    assert!(said[0].contains("check \"up\" of stage promote runs before service \"page\" restarts"), "{said:?}");
    assert_eq!(notes(&checked("    stage: restart_service\n")), Vec::<String>::new());
    let both = checked("    stage: promote\n  new:\n    command: 'true'\n    stage: restart_service\n");
    assert_eq!(notes(&both), Vec::<String>::new());
    assert_eq!(notes(&checked("    before: promote\n")), Vec::<String>::new());
}
