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
    let ran = project.run(&["plan"]).ends(0);
    assert!(!ran.err.contains("live on"), "nothing is known yet: {}", ran.err);
    project.deploy(&[]).ends(0);
    let [two, three] = ["two", "three"].map(|subject| commit(&project, subject));
    let (first, second, third) = (&one[..10], &two[..10], &three[..10]);
    let commits = format!("{third} \"three\", {second} \"two\"");
    let place = format!("{first}, last seen live on 127.0.0.[1-2]");
    project.run(&["plan"]).ends(0).says(&format!("note: 2 commits since {place}: {commits}"));
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
    let ran = project.run(&["plan"]).ends(0).says(&format!("1 commit since {second}, last seen live on 127.0.0.2: "));
    assert_eq!(ran.err.matches("live on").count(), 1, "{}", ran.err);

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
    let ran = project.run(&["plan"]).ends(0).says("note: 9 commits since ").says("\" and 4 more");
    let longest = ran.err.lines().map(str::len).max().unwrap_or_default();
    assert!(longest < 600 && ran.err.contains("…"), "{}", ran.err);
    // What another deploy host brought.
    let other = Project::new(&farm, 0, 1);
    let ran = other.deploy(&["-f"]).ends(0);
    ran.says(", live on 127.0.0.1: the live revision is not in this repository");
}
