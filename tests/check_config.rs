//! `hoist check-config`, as the built binary: all mistakes at once, and nothing but mistakes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

struct Repo(TempDir);

impl Repo {
    fn new(files: &[(&str, &str)]) -> Repo {
        let repo = Repo(tempfile::tempdir().unwrap());
        assert!(Command::new("git").args(["init", "-q"]).arg(repo.path()).status().unwrap().success());
        fs::write(repo.path().join("global.cfg"), "").unwrap();
        files.iter().for_each(|(name, text)| repo.write(name, text));
        repo
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn check(&self, arguments: &[&str]) -> Output {
        self.hoist(&[&["check-config"], arguments].concat())
    }

    fn hoist(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hoist"));
        command.args(arguments).current_dir(self.path());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.path());
        command.env("HOIST_GLOBAL_CONFIG", self.path().join("global.cfg")).output().unwrap()
    }

    /// The places (`file:line`) of all mistakes, and the whole answer.
    fn mistakes(&self, arguments: &[&str]) -> (Vec<String>, String) {
        let output = self.check(&[arguments, &["--format", "json"]].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mistakes = answer["mistakes"].as_array().unwrap();
        assert_eq!(output.status.code(), Some(if mistakes.is_empty() { 0 } else { 2 }), "{text}");
        let place = |it: &serde_json::Value| format!("{}:{}", it["file"].as_str().unwrap_or("-"), it["line"]);
        (mistakes.iter().map(place).collect(), text)
    }
}

/// A repository with everything in it, and nothing wrong.
fn good() -> Repo {
    let repo = Repo::new(&[
        (
            "scap/scap.cfg",
            "[global]\ngit_repo: app\nserver_groups: canary, default\ncanary_dsh_targets: canaries\n\
             dsh_targets: all\nconfig_deploy: yes\nservice_name: app\n",
        ),
        ("scap/canaries", "web1\n"),
        ("scap/all", "web1\nweb2\n"),
        (
            "scap/checks.yaml",
            "checks:\n  up: {stage: restart_service, command: 'true'}\n  s: {stage: fetch, type: script, command: s.sh}\n",
        ),
        ("scap/scripts/s.sh", "#!/bin/sh\n"),
        ("scap/config-files.yaml", "/etc/app.yaml: {template: app.yaml.j2}\n"),
        ("scap/templates/app.yaml.j2", "port: {{ port }}\n"),
        ("scap/vars.yaml", "port: 80\n"),
        ("scap/environments/beta/vars.yaml", "port: 81\nextra: 1\n"),
        ("scap/environments/beta/scap.cfg", "[global]\nbatch_size: 1\n"),
    ]);
    fs::set_permissions(repo.path().join("scap/scripts/s.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    repo
}

/// The same, with these files written too.
fn good_with(files: &[(&str, &str)]) -> Repo {
    let repo = good();
    files.iter().for_each(|(name, text)| repo.write(name, text));
    repo
}

#[test]
fn a_good_repository_ends_with_0_and_a_count_of_what_was_read() {
    let output = good().check(&[]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "read 8 keys, 2 groups, 2 targets, 2 checks, 0 gates, 0 hooks, 0 steps, 1 configuration file, 1 template, 2 variables with the environment \
         beta: no mistakes\n"
    );
    assert!(output.stderr.is_empty());
}

#[test]
fn ten_mistakes_are_ten_lines_each_with_file_and_line() {
    let repo = good();
    repo.write(
        "scap/scap.cfg",
        "[global]\ngit_repo: app\nserver_groups: canary, default\ncanary_dsh_targets: nowhere\ndsh_targets: all\n\
         config_deploy: yes\nfailure_limit: 0.2\nno value\nbatch_size: many\n",
    );
    repo.write("scap/all", "web1\nweb,2\n");
    repo.write(
        "scap/checks.yaml",
        "checks:\n  up:\n    stage: promte\n    command: 'true'\n    timeout: soon\n  s: {stage: fetch, type: script, command: s.sh}\n",
    );
    fs::set_permissions(repo.path().join("scap/scripts/s.sh"), fs::Permissions::from_mode(0o644)).unwrap();
    repo.write("scap/templates/app.yaml.j2", "fine\n\n{% if port is number %}\n{{ port | nope }}\n{% endif %}\n");
    repo.write("scap/environments/beta/vars.yaml", "a: 1\nport: [81\n");
    let (mut places, text) = repo.mistakes(&[]);
    places.sort();
    let mut expected = [
        "scap/all:2",
        "scap/checks.yaml:3",
        "scap/checks.yaml:5",
        "scap/checks.yaml:6",
        "scap/environments/beta/vars.yaml:2",
        "scap/scap.cfg:4",
        "scap/scap.cfg:7",
        "scap/scap.cfg:8",
        "scap/scap.cfg:9",
        "scap/templates/app.yaml.j2:4",
    ]
    .map(str::to_owned)
    .to_vec();
    expected.sort();
    assert_eq!(places, expected, "{text}");
    let lines = String::from_utf8(repo.check(&[]).stdout).unwrap();
    assert!(lines.ends_with(": 10 mistakes\n") && lines.lines().count() == 11, "{lines}");
}

#[test]
fn a_mistake_in_server_groups_is_told_once_and_nothing_that_follows_from_it() {
    let text = "[global]\ngit_repo: app\nserver_groups: 'ops, ci'\nops_dsh_targets: all\nci_dsh_targets: all\n";
    let repo = good_with(&[("scap/scap.cfg", text)]);
    let (places, answer) = repo.mistakes(&[]);
    assert_eq!(places, ["scap/scap.cfg:3"], "{answer}");
    assert!(!answer.contains("dsh_targets"), "{answer}");
}

#[test]
fn a_deployment_stops_at_the_mistake_that_check_config_shows_first() {
    for (file, text) in [
        ("scap/scap.cfg", "[global]\ngit_repo: app\nno value\n"),
        ("scap/scap.cfg", "[global]\ngit_repo: app\nbatch_size: many\ndsh_targets: all\n"),
        ("scap/scap.cfg", "[global]\ngit_repo: app\nserver_groups: canary\ndsh_targets: all\n"),
        ("scap/scap.cfg", "[global]\ngit_repo: app\n"),
        ("scap/scap.cfg", "[global]\ngit_repo: app\ndsh_targets: nowhere\n"),
        ("scap/scap.cfg", "[global]\ngit_repo: app\ndsh_targets: ../all\n"),
        ("scap/scap.cfg", "[global]\ngit_repo: app\ndsh_targets: all\nconfig_deploy: y\n"),
        ("scap/all", "web1\nweb,2\n"),
        ("scap/all", "# nobody\n"),
        ("scap/checks.yaml", "checks:\n  up: {stage: promte, command: x}\n"),
        ("scap/checks.yaml", "checks:\n  s: {stage: fetch, type: script, command: nowhere.sh}\n"),
        ("scap/checks.yaml", "checks: [\n"),
        ("scap/config-files.yaml", "/etc/app: {template: nowhere.j2}\n"),
        ("scap/config-files.yaml", "/etc/app: {template: app.yaml.j2}\n/etc/app/a: {template: app.yaml.j2}\n"),
        ("scap/vars.yaml", "- 80\n"),
    ] {
        let repo = good();
        repo.write("scap/canaries", "");
        fs::remove_dir_all(repo.path().join("scap/environments")).unwrap();
        repo.write(file, text);
        let answer: serde_json::Value = serde_json::from_slice(&repo.check(&["--format", "json"]).stdout).unwrap();
        let shown = answer["mistakes"][0]["message"].as_str().unwrap_or_else(|| panic!("{text}: {answer}"));
        let stopped = repo.hoist(&["plan"]);
        assert_eq!(stopped.status.code(), Some(2), "{text}");
        assert_eq!(String::from_utf8(stopped.stderr).unwrap(), format!("hoist plan: {shown}\n"), "{text}");
    }
}

#[test]
fn mistakes_and_notes_are_told_to_programs_with_file_line_and_key() {
    let repo = good();
    fs::remove_dir_all(repo.path().join("scap/environments")).unwrap();
    repo.write("scap/all", "web1\n  web2\n");
    repo.write("scap/checks.yaml", "checks:\n  up:\n    stage: promote\n    command: x\n    timeout: soon\n");
    repo.write("scap/vars.yaml", "- 80\n");
    let config = fs::read_to_string(repo.path().join("scap/scap.cfg")).unwrap();
    repo.write("scap/scap.cfg", &format!("{config}batch_size: many\nmax_failures: 3\n"));
    let answer = repo.check(&["--format", "json", "-D", "keepalive:never"]);
    let answer: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap();
    let told = |list: &str| -> Vec<(Option<String>, Option<u64>, Option<String>)> {
        let text = |it: &serde_json::Value| it.as_str().map(str::to_owned);
        let problems = answer[list].as_array().unwrap().iter();
        problems.map(|it| (text(&it["file"]), it["line"].as_u64(), text(&it["key"]))).collect()
    };
    let at = |file: &str, line, key: Option<&str>| (Some(file.to_owned()), Some(line), key.map(str::to_owned));
    assert_eq!(
        told("mistakes"),
        [
            (None, None, Some("keepalive".to_owned())),
            at("scap/scap.cfg", 8, Some("batch_size")),
            at("scap/checks.yaml", 5, Some("timeout")),
            at("scap/vars.yaml", 1, None),
        ],
        "{answer}"
    );
    let empty = (Some("scap/all".to_owned()), None, None);
    let notes = [at("scap/scap.cfg", 9, Some("max_failures")), at("scap/all", 2, None), empty];
    assert_eq!(told("notes"), notes, "{answer}");
    assert!(answer["notes"].as_array().unwrap().iter().all(|note| note["level"] == "warning"), "{answer}");
}

#[test]
fn each_environment_is_read_and_e_chooses_one() {
    let repo = good_with(&[
        ("scap/environments/beta/scap.cfg", "[global]\ndsh_targets: missing\n"),
        ("scap/environments/prod/checks.yaml", "checks:\n  up: {stage: nope, command: x}\n"),
    ]);
    let (places, text) = repo.mistakes(&[]);
    assert_eq!(places, ["scap/environments/beta/scap.cfg:2", "scap/environments/prod/checks.yaml:2"], "{text}");
    let (places, _) = repo.mistakes(&["-e", "prod"]);
    assert_eq!(places, ["scap/environments/prod/checks.yaml:2"]);
    let (places, text) = repo.mistakes(&["-e", "nope"]);
    assert!(places == ["-:null"] && text.contains("the environments are beta, prod"), "{text}");
}

#[test]
fn what_is_passed_over_without_being_read_is_named() {
    let repo = good_with(&[
        ("scap/checks.yml", "checks: {}\n"),
        ("scap/environments/b c/scap.cfg", "[global]\n"),
        ("scap/environments/ü/scap.cfg", "[global]\n"),
    ]);
    let (places, text) = repo.mistakes(&[]);
    assert!(places.is_empty(), "{text}");
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    let notes: Vec<&str> =
        answer["notes"].as_array().unwrap().iter().map(|note| note["message"].as_str().unwrap()).collect();
    let why = "is not a name: use letters, digits, '.', '_' and '-'";
    assert_eq!(
        notes,
        [
            "scap/checks.yml is ignored, since scap/checks.yaml exists: remove one of them",
            &format!("scap/environments/b c is ignored: \"b c\" {why}"),
            &format!("scap/environments/ü is ignored: \"ü\" {why}"),
        ]
    );
    let (_, text) = repo.mistakes(&["-e", "nosuch"]);
    assert!(text.contains("the environments are beta\""), "what -e refuses is no choice: {text}");
}

#[test]
fn files_that_keys_name_have_to_be_there_and_remarks_stand_apart() {
    let repo = good();
    let known = repo.path().join("known");
    repo.write(
        "scap/environments/beta/scap.cfg",
        &format!(
            "[global]\nmax_failures: 3\nknown_hosts: {}\nidentity_file: ~/.ssh/none\nodd_key: 1\n",
            known.display()
        ),
    );
    let (places, text) = repo.mistakes(&[]);
    let file = "scap/environments/beta/scap.cfg";
    assert_eq!(places, [format!("{file}:4"), format!("{file}:3")], "{text}");
    let lines = String::from_utf8(repo.check(&[]).stdout).unwrap();
    assert!(
        lines.contains(&format!("\nwarning: {file}:2: max_failures has no effect: set failure_limit\n")),
        "{lines}"
    );
    assert!(!lines.contains("odd_key"));
    let lines = String::from_utf8(repo.check(&["-v"]).stdout).unwrap();
    assert!(lines.contains(&format!("\nnote: {file}:5: unknown key \"odd_key\" is ignored\n")), "{lines}");
}

#[test]
fn a_template_that_no_file_names_is_read_too_and_no_variable_is_told() {
    let repo =
        good_with(&[("scap/templates/part.j2", "a\n{{ include }\n"), ("scap/vars.yaml", "password: [hunter2\n")]);
    let (places, text) = repo.mistakes(&[]);
    assert!(places.contains(&"scap/templates/part.j2:2".to_owned()), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn what_scap_takes_is_a_remark_and_no_mistake() {
    let repo = good();
    repo.write(
        "scap/scap.cfg",
        "[global]\ngit_repo: app\nserver_groups: canary, default\ncanary_dsh_targets:\ndsh_targets: some\n\
         config_deploy: yes\ndsh_targets: all\n[codfw.example]\nserver_groups: codfw\n",
    );
    repo.write("scap/all", "web1\n  web2\n");
    repo.write("scap/checks.yaml", "checks:\n  a: {stage: promote, command: x, group: codfw, tries: 3}\n  gone: {}\n");
    let output = repo.check(&[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for warning in [
        "scap/scap.cfg:7: dsh_targets is also in line 5 of [global]: line 7 is used; remove one of the two",
        "group canary is skipped: canary_dsh_targets is empty (scap/scap.cfg:4 [global])",
        "scap/all:2: \"web2\" is ignored because its line is indented: remove the indentation",
        "scap/checks.yaml:2: check \"a\": does not run here: group \"codfw\" is not deployed to: it is one of \
         scap/scap.cfg:9 [codfw.example]",
        "scap/checks.yaml:2: check \"a\": unknown key \"tries\" is ignored: the keys are type",
    ] {
        assert!(text.contains(&format!("warning: {warning}")), "{warning}\n{text}");
    }
    assert!(text.contains("1 target, 1 check, 0 gates, 0 hooks, ") && text.ends_with(": no mistakes\n"), "{text}");
}

#[test]
fn a_file_that_may_live_on_another_file_s_remote_vars_is_named() {
    let repo = good();
    repo.write(
        "scap/config-files.yaml",
        "/etc/first: {template: app.yaml.j2}\n/etc/lender: {template: app.yaml.j2, remote_vars: /etc/local.yaml}\n\
         /etc/borrower: {template: b.j2}\n/etc/own: {template: b.j2, remote_vars: /etc/own.yaml}\n",
    );
    repo.write(
        "scap/templates/b.j2",
        "{% set here = 1 %}{{ here }}{{ port }}{{ secret }}{% for n in range(2) %}{{ loop.index }}{{ site[n] }}{% endfor %}",
    );
    let text = String::from_utf8(repo.check(&["-e", "beta"]).stdout).unwrap();
    let warning = "warning: /etc/borrower uses secret, site, which no vars.yaml sets: Scap may take it from the \
                   remote_vars of /etc/lender, and hoist does not; give /etc/borrower its own remote_vars\n";
    assert!(text.contains(warning) && text.matches("warning:").count() == 1, "{text}");
}

#[test]
fn without_a_repository_or_without_its_name_there_is_one_clear_error() {
    let repo = good();
    repo.write("scap/scap.cfg", "[global]\ndsh_targets: all\n");
    let (places, text) = repo.mistakes(&[]);
    assert!(places.len() == 1 && text.contains("git_repo is not set"), "{text}");
    fs::remove_dir_all(repo.path().join(".git")).unwrap();
    let output = repo.check(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("hoist check-config: not a git repository"));
}

#[test]
fn a_link_in_the_place_of_a_folder_that_deployments_write_to_is_a_mistake() {
    let repo = good();
    let elsewhere = tempfile::tempdir().unwrap();
    let to = elsewhere.path().display();
    symlink(elsewhere.path(), repo.path().join("scap/state")).unwrap();
    symlink("/nonexistent", repo.path().join("scap/log")).unwrap();
    let text = String::from_utf8(repo.check(&[]).stdout).unwrap();
    let state = format!(
        "scap/state is a symbolic link, to {to}, and is not followed: replace it with a directory that has the same \
         content\n"
    );
    let log = "scap/log is a symbolic link, to /nonexistent, and is not followed: remove it\n";
    assert_eq!(text.matches(&state).count(), 1, "{text}");
    assert_eq!(text.matches(log).count(), 1, "{text}");
    assert!(text.ends_with(": 2 mistakes\n"), "{text}");
}

#[test]
fn a_method_of_python_2_in_a_template_is_worth_a_remark_and_no_mistake() {
    let repo = good();
    repo.write(
        "scap/templates/old.j2",
        "\n{% for k, v in map.iteritems() %}{{ k }}{% endfor %}{{ map.has_key('a') }}\n",
    );
    let (mistakes, text) = repo.mistakes(&[]);
    assert!(mistakes.is_empty(), "{text}");
    assert!(
        text.contains("old.j2:2: .iteritems() exists in Python 2 only") && text.contains("write .items()"),
        "{text}"
    );
    assert!(text.contains("old.j2:2: .has_key() exists in Python 2 only") && text.contains("write `in`"), "{text}");
}

/// A repository with the group red and the host web1, and the environment st that has the host web2 alone; and these
/// files of entries, of the repository and of the environment.
fn with_environment(files: &[(&str, &str, &str)]) -> Repo {
    let repo = Repo::new(&[
        ("hoist/hoist.cfg", "[global]\ngit_repo: app\nserver_groups: red, blue\ninventory: hosts.ini\n"),
        ("hoist/hosts.ini", "[red]\nweb1\n[blue]\nweb3\n"),
        ("hoist/environments/st/hoist.cfg", "[global]\nserver_groups: blue\n"),
        ("hoist/environments/st/hosts.ini", "[blue]\nweb2\n"),
    ]);
    for (name, of_all, of_environment) in files {
        let (list, _) = name.split_once('.').unwrap();
        repo.write(&format!("hoist/{name}"), &format!("{list}:\n{of_all}"));
        if !of_environment.is_empty() {
            repo.write(&format!("hoist/environments/st/{name}"), &format!("{list}:\n{of_environment}"));
        }
    }
    repo
}

#[test]
fn what_an_environment_replaces_or_disables_is_not_judged_in_it() {
    let of_all = [
        (
            "steps.yaml",
            "  t: {when: after, on: web1, command: x}\n  u: {when: before, on: first, group: red, command: x}\n",
        ),
        ("gates.yaml", "  t: {when: before, group: red, command: x}\n  u: {when: before, group: red, command: x}\n"),
        ("hooks.yaml", "  t: {on: started, group: red, command: x}\n  u: {on: started, group: red, command: x}\n"),
        ("checks.yaml", "  t: {stage: fetch, group: red, command: x}\n  u: {stage: fetch, group: red, command: x}\n"),
    ];
    let replaced = ["when: after, on: web2", "when: before", "on: started", "stage: fetch"];
    let replaced = replaced.map(|keys| format!("  t: {{}}\n  u: {{{keys}, command: x}}\n"));
    let both: Vec<_> = of_all.iter().zip(&replaced).map(|((name, all), own)| (*name, *all, own.as_str())).collect();
    let repo = with_environment(&both);
    for arguments in [&[][..], &["-e", "st"]] {
        let ran = repo.check(arguments);
        let text = String::from_utf8(ran.stdout).unwrap();
        let is_silent = ["disables nothing", "does not run here"].iter().all(|words| !text.contains(words));
        assert!(ran.status.code() == Some(0) && is_silent, "{arguments:?}\n{text}");
    }

    // Where it does neither, the environment is named that is meant, unless the file's name has it.
    let only_all: Vec<_> = of_all.iter().map(|(name, all)| (*name, *all, "")).collect();
    let repo = with_environment(&only_all);
    let text = String::from_utf8(repo.check(&[]).stdout).unwrap();
    for line in [
        "hoist/steps.yaml:2: step \"t\": no target file lists web1: name a target, or write first or deploy-host (in the environment st)\n",
        "warning: hoist/gates.yaml:3: gate \"u\": does not run here: group \"red\" is not deployed to: it is one of hoist/hoist.cfg:3 [global] (in the environment st)\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
    assert_eq!(text.lines().filter(|line| line.ends_with(" (in the environment st)")).count(), 8, "{text}");
    repo.write("hoist/environments/st/gates.yaml", "gates:\n  v: {when: before, group: red, command: x}\n  w:\n");
    let text = String::from_utf8(repo.check(&[]).stdout).unwrap();
    assert!(
        text.contains("hoist/environments/st/gates.yaml:2: gate \"v\": does not run here: group \"red\" is not deployed to: it is one of hoist/hoist.cfg:3 [global]\n"),
        "{text}"
    );
    assert!(text.contains("gate \"w\" is empty, and disables nothing"), "{text}");
}

#[test]
fn a_step_may_run_on_a_host_that_only_a_command_knows_and_is_told_how_a_target_is_written() {
    let step = "  t: {when: after, on: 127.0.0.21, command: x}\n";
    let repo = with_environment(&[("steps.yaml", step, "")]);
    let command = "red_targets_command: echo 127.0.0.21";
    let text = String::from_utf8(repo.check(&["-D", command]).stdout).unwrap();
    assert!(text.contains("red_targets_command is not run"), "{text}");
    assert!(!text.contains("hoist/steps.yaml:2: step \"t\": no target file lists 127.0.0.21: name a target, or write first or deploy-host\n"), "{text}");
    repo.write("hoist/hoist.cfg", "[global]\ngit_repo: app\ndsh_targets: red\n");
    repo.write("hoist/red", "root@127.0.0.21:26012\n");
    let text = String::from_utf8(repo.check(&[]).stdout).unwrap();
    assert!(text.contains("no target file lists 127.0.0.21: write `on: root@127.0.0.21:26012`\n"), "{text}");
}

#[test]
fn signatures_that_no_build_can_have_are_warned_of() {
    let repo = good();
    let lines = "[global]\ngit_repo: app\ndsh_targets: all\nbuild_command: make\nbuild_output: out\nrequire_signed_revision: yes\n\
         allowed_signers: /etc/hoist/signers\n";
    repo.write("scap/scap.cfg", lines);
    let text = String::from_utf8(repo.check(&[]).stdout).unwrap();
    let warning =
        "warning: scap/scap.cfg:6: require_signed_revision refuses every deployment here: nobody can have signed";
    assert!(text.contains(warning), "{text}");
}
