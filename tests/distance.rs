//! The commits between what targets run and what they get, told by a plan and at the start of a deployment.

mod common;

use common::{Farm, Project};

fn commit(project: &Project, subject: &str) -> String {
    project.write("index.html", &format!("{subject}\n"));
    project.commit(subject)
}

#[test]
fn a_plan_and_a_deployment_name_the_commits_between_what_is_live_and_what_comes() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 2);
    let one = project.git(&["rev-parse", "HEAD"]);
    let ran = project.run(&["plan"]).ends(0).says("2 hosts not seen yet: 127.0.0.[1-2]");
    assert!(!ran.out.contains("changes from") && !ran.err.contains("live on"), "{}{}", ran.out, ran.err);
    project.deploy(&[]).ends(0);
    let [two, three] = ["two", "three"].map(|subject| commit(&project, subject));
    let (first, second, third) = (&one[..10], &two[..10], &three[..10]);
    let commits = format!("{third} \"three\", {second} \"two\"");
    let plan = project.run(&["plan"]).ends(0).says(&format!("changes from {first} on 2 hosts: 127.0.0.[1-2]"));
    plan.says(&format!("  new: 2 commits\n    + {third} three\n    + {second} two\n  1 file: 0 added, 1 modified"));
    let ran = project.deploy(&[]).ends(0);
    let ran = ran.says(&format!("2 commits since {first}, live on 127.0.0.[1-2]: {commits}"));
    assert_eq!(ran.out.matches("commits since").count(), 1, "{}", ran.out);
    project.run(&["plan"]).ends(0);

    // Back.
    let line = format!("warning: {first} is 2 commits older than {third}, last seen live on 127.0.0.[1-2]");
    project.run(&["plan", "-r", &one]).ends(0).says(&format!("{line}; this removes: {commits}"));
    let ran = project.deploy(&["-r", &two, "-l", "127.0.0.2"]).ends(0);
    ran.says(&format!("{second} is 1 commit older than {third}, live on 127.0.0.2; this removes: {third} \"three\""));
    // A host that is where it should be is not spoken of.
    let ran = project.run(&["plan"]).ends(0).says(&format!("changes from {second} on 1 host: 127.0.0.2\n"));
    assert_eq!(ran.out.matches("changes from").count(), 1, "{}", ran.out);

    // Aside.
    project.git(&["checkout", "-q", "-b", "aside", &one]);
    let aside = commit(&project, "aside");
    let aside = &aside[..10];
    let line = format!(
        "warning: {aside} has diverged from {third}, last seen live on 127.0.0.1: it adds 1 commit ({aside} \
         \"aside\") and removes 2 commits ({commits})"
    );
    project.run(&["plan"]).ends(0).says(&line);
}

#[test]
fn many_commits_with_long_subjects_are_counted_and_a_revision_of_elsewhere_is_said_to_be_one() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 1);
    project.deploy(&[]).ends(0);
    for n in 0..9 {
        commit(&project, &format!("{n} {}", "long ".repeat(30)));
    }
    commit(&project, "another one");
    commit(&project, "is listed first");
    let ran = project.run(&["plan"]).ends(0).says("  new: 11 commits\n").says("    and 1 more\n");
    let longest = ran.out.lines().map(str::len).max().unwrap_or_default();
    assert!(longest < 600 && ran.out.contains("…"), "{}", ran.out);
    // What another deploy host brought.
    let other = Project::new(&farm, 0, 1);
    let ran = other.deploy(&["-f"]).ends(0);
    ran.says(", live on 127.0.0.1: the live revision is not in this repository");
}
