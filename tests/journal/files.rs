//! Journals of other builds, without a first line, and old ones.

use super::*;

/// The journals of the first build, which are read for ever.
fn of_the_first_build(name: &str) -> String {
    std::fs::read_to_string(format!("{}/tests/journals/{name}.journal", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn the_journals_of_the_first_build_are_read() {
    for name in ["deployed", "deployed-again", "went-back", "rolled-back", "killed"] {
        let text = of_the_first_build(name);
        let parsed = parse(text.as_bytes());
        assert_eq!((parsed.read.damage, parsed.read.records.len() + 1), (None, text.lines().count()), "{name}");
        let opened = parsed.opened.unwrap();
        assert_eq!((opened.format, opened.plan.size(), opened.asked), (1, 3, None), "{name}");
        let folder = folder();
        std::fs::write(folder.path().join(format!("{}.journal", opened.plan.run)), text).unwrap();
        assert_eq!(unfinished(folder.path(), &Invocation::default()).unwrap().is_some(), name == "killed", "{name}");
    }
}

#[test]
fn a_journal_of_a_newer_build_is_in_the_way_only_when_it_is_unfinished_and_is_left_alone() {
    let folder = folder();
    let path = folder.path().join("20991126T004725.475Z-1-21fd.journal");
    let head = "{\"record\":\"opened\",\"version\":\"9.1.0\",\"format\":99,\"strategy\":{\"waves\":[1]}}\n";
    std::fs::write(&path, format!("{head}{{\"record\":\"soaked\"}}\n{{\"record\":\"closed\"}}\n")).unwrap();
    assert!(unfinished(folder.path(), &Invocation::default()).unwrap().is_none());
    assert!(history(folder.path(), "app", None).unwrap().runs.is_empty());
    let text = format!("{head}{{\"record\":\"soaked\"}}\n");
    std::fs::write(&path, &text).unwrap();
    let error = format!("{:#}", unfinished(folder.path(), &Invocation::default()).unwrap_err());
    assert!(error.contains("newer Hoist (9.1.0") && error.contains("complete it with that version"), "{error}");
    let (run, warnings) = open_run(folder.path());
    assert!(run.is_none() && warnings[0].contains("newer Hoist"), "{warnings:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_journal_without_a_first_line_is_told_once_and_then_out_of_the_way() {
    let text = of_the_first_build("killed");
    for damaged in
        [text.replacen("\"groups\"", "\"gro\0ps\"", 1), text.lines().skip(1).collect::<Vec<_>>().join("\n") + "\n"]
    {
        let folder = folder();
        let path = folder.path().join("20261126T004725.475Z-1987-21fd.journal");
        std::fs::write(&path, &damaged).unwrap();
        assert_eq!(open_run(folder.path()).1.len(), 1);
        let here = Invocation { environment: Some("staging".into()), ..Invocation::default() };
        let error = format!("{:#}", unfinished(folder.path(), &here).unwrap_err());
        assert!(error.contains("line 1") && error.contains("`hoist status -e staging` shows"), "{error}");
        assert!(unfinished(folder.path(), &Invocation::default()).unwrap().is_none());
        assert_eq!(std::fs::read_to_string(path.with_extension("damaged")).unwrap(), damaged);
    }
}

#[test]
fn a_deployment_that_died_before_it_touched_anything_is_passed_over_until_somebody_closes_it() {
    let folder = folder();
    let mut journal = Journal::create(folder.path(), opened(&plan(4, 2))).unwrap();
    journal.append(&[Record::Interrupted]).unwrap();
    let path = journal.path().to_owned();
    drop(journal);
    let run = path.file_stem().unwrap().to_str().unwrap();
    // Whoever only looks leaves it for the rollback that would otherwise lead too far back.
    assert!(unfinished(folder.path(), &Invocation::default()).unwrap().is_none());
    assert_eq!(abandoned(folder.path()).unwrap().as_deref(), Some(run));
    close_untouched(folder.path()).unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().contains("ended before anything was touched"));
    assert_eq!(abandoned(folder.path()).unwrap(), None);
}

#[test]
fn old_journals_go_with_their_announcements_unless_their_run_is_not_finished() {
    let folder = folder();
    let run = |n: usize| format!("2026010{n}T000000.000Z-1-abcd");
    for n in 0..6 {
        let mut plan = plan(4, 2);
        plan.run = run(n).parse().unwrap();
        let mut journal = Journal::create(folder.path(), opened(&plan)).unwrap();
        if n != 1 {
            journal.close("deployed", 0, true).unwrap();
        }
    }
    // Those of a run that was refused, and of the one that is just beginning, have no journal.
    for n in (0..6).chain([8]) {
        std::fs::write(folder.path().join(format!("{}.announcements", run(n))), "").unwrap();
    }
    std::fs::write(folder.path().join(format!("{}0.announcements", run(2))), "").unwrap();
    prune(folder.path(), 2).unwrap();
    let mut left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    let both = [1, 4, 5].into_iter().flat_map(|n| ["announcements", "journal"].map(|end| format!("{}.{end}", run(n))));
    let kept: Vec<_> = [".gitignore".into()].into_iter().chain(both).chain([run(8) + ".announcements"]).collect();
    assert_eq!(left, kept);
}
