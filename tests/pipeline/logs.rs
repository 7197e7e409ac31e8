//! The log of a job, and the files that GitHub's runner reads.

use std::process::Command;

use crate::common::{Project, Ran};
use crate::{set_bad, with_check};

/// Runs a deployment as a job of GitHub Actions.
fn in_github(project: &Project, arguments: &[&str]) -> Ran {
    let mut command: Command = project.hoist(arguments);
    command.env("GITHUB_ACTIONS", "true");
    command.env("GITHUB_STEP_SUMMARY", project.path(".git/summary.md"));
    command.env("GITHUB_OUTPUT", project.path(".git/output"));
    Ran::of(command.output().unwrap())
}

/// The lines that GitHub's runner takes for commands: those that begin with `::`, and those that have `##[`.
fn commands(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.trim_start().starts_with("::") || line.contains("##[")).collect()
}

#[test]
fn github_gets_groups_annotations_a_summary_and_outputs_and_no_command_of_a_host() {
    let (farm, project) = Project::on_farm(1, 2);
    with_check(&project);
    let ran = in_github(&project, &["deploy", "--yes"]).ends(0);
    assert_eq!(
        commands(&ran.out),
        ["::group::canary (1 host)", "::endgroup::", "::group::default (2 hosts)", "::endgroup::"]
    );
    project.write("index.html", "two");
    let two = project.commit("##[add-mask]two");
    set_bad(&farm, 2, true);
    let ran = in_github(&project, &["deploy", "--yes", "-v", "-m", "::warning::x ##[y]"]).ends(3);
    let commands_of = |text: &str| commands(text).into_iter().map(str::to_owned).collect::<Vec<_>>();
    let found = commands_of(&ran.out);
    let [groups @ .., verdict, host] = &found[..] else { panic!("{found:?}") };
    assert_eq!(groups[4..], ["::group::rollback", "::endgroup::"], "{found:?}");
    assert!(verdict.starts_with("::error title=hoist::not deployed: 3 hosts were rolled back"), "{verdict}");
    assert!(verdict.contains("%0Adefault: 1 host failed, more than the failure limit (0)"), "{verdict}");
    assert!(host.starts_with("::error title=default%3A 127.0.0.3 rolled back%2C check fails::"), "{host}");
    assert!(ran.out.contains("check fine: \\x23#[add-mask]x") && commands(&ran.err).is_empty(), "{}", ran.out);

    // The summary is HTML in which nothing of the host is an element; each block is one line.
    let summary = std::fs::read_to_string(project.path(".git/summary.md")).unwrap();
    assert!(
        summary.contains("<h3>✅ hoist deploy: app ") && summary.contains("<h3>❌ hoist deploy: app "),
        "{summary}"
    );
    assert!(summary.contains("]]&gt; &lt;b&gt; &amp; \\x01\\x1b[31mred"), "{summary}");
    assert!(!summary.contains("<b>") && !summary.contains("\n\n"), "{summary}");
    assert!(summary.lines().all(|line| line.starts_with('<')), "{summary}");
    let output = std::fs::read_to_string(project.path(".git/output")).unwrap();
    let last: Vec<&str> = output.lines().skip(4).collect();
    assert_eq!(last[0], format!("revision={two}"));
    assert!(last[1].starts_with("run=2") && last[2] == "status=3" && last[3].starts_with("verdict=not deployed"));
    assert_eq!(last.len(), 4, "{output}");

    // What shows all this again is as careful, whatever --ci says of the run.
    for arguments in [&["log"][..], &["log", "--format", "json"], &["history"]] {
        let ran = in_github(&project, arguments);
        assert_eq!(commands_of(&(ran.out + &ran.err)), [""; 0], "{arguments:?}");
    }
    let ran = in_github(&project, &["deploy", "--yes", "--ci", "none", "-D", "failure_limit:0.2"]).ends(2);
    assert_eq!(commands_of(&(ran.out + &ran.err)), [""; 0]);
    let ran = in_github(&project, &["run", "--yes", "--", "echo ::error::x; echo '##[y]'; echo >&2 ::add-mask::x"]);
    assert_eq!(commands_of(&(ran.out + &ran.err)), [""; 0]);
    let ran = in_github(&project, &["deploy", "--yes", "-D", "failure_limit:0.2"]).ends(2);
    let found = commands_of(&ran.err);
    assert!(found.len() == 1 && found[0].starts_with("::error title=hoist deploy::"), "{found:?}");
    assert!(found[0].contains("failure_limit"), "{found:?}");

    let config = std::fs::read_to_string(project.path("hoist/hoist.cfg")).unwrap();
    project.write("hoist/hoist.cfg", &format!("{config}bogus: 1\nfailure_limit: 0.2\n"));
    let ran = in_github(&project, &["check-config"]).ends(2);
    let at = format!(" file=hoist/hoist.cfg,line={}::hoist/hoist.cfg:", config.lines().count() + 2);
    let found = commands_of(&ran.err);
    assert!(found.iter().any(|line| line.starts_with(&format!("::error{at}")) && line.contains("20%25")), "{found:?}");
    assert_eq!(commands_of(&ran.out), [""; 0]);
    project.write("hoist/hoist.cfg", &config);

    // JSON stays JSON, and what goes to files goes there.
    let ran = in_github(&project, &["deploy", "--yes", "--format", "json", "--force", "-r", "HEAD~1"]);
    assert!(ran.events().len() > 5);
    assert!(std::fs::read_to_string(project.path(".git/output")).unwrap().lines().count() > 10);

    // GitLab's sections begin and end once each, one at a time, and no host has made one.
    let mut command = project.hoist(&["deploy", "--yes", "-v", "--ci", "gitlab", "--break-glass", "again"]);
    let ran = Ran::of(command.output().unwrap());
    let sections: Vec<String> = ran
        .out
        .split("\u{1b}[0Ksection_")
        .skip(1)
        .map(|rest| {
            let (kind, rest) = rest.split_once(':').unwrap();
            let (time, rest) = rest.split_once(':').unwrap();
            assert!(time.parse::<u64>().unwrap() > 1_700_000_000);
            format!("{kind} {}", rest.split(['\r', '[']).next().unwrap())
        })
        .collect();
    let wanted = |n: usize| [format!("start hoist_{n}"), format!("end hoist_{n}")];
    assert_eq!(sections, [wanted(1), wanted(2), wanted(3)].concat());
    assert!(ran.out.contains("section_start:1:x\\r\\x1b[0Khey"));
    assert_eq!(ran.out.matches('\u{1b}').count(), 12, "two of each marker");
    assert!(
        project
            .deploy(&["--ci", "jenkins", "--break-glass", "again"])
            .out
            .lines()
            .all(|line| !line.contains(['\u{1b}', '\r']))
    );
    project
        .deploy(&["--ci", "travis"])
        .ends(2)
        .says("unknown CI system \"travis\": choose github, gitlab, jenkins, none");
}
