//! Journals with records that are missing, torn or edited.

use super::*;

/// A run to its end, but for the last record: its journal, line by line, and the world that it left.
fn unclosed(scripts: &[Script], interrupt_at: Option<usize>) -> (Vec<Vec<u8>>, World, Verdict) {
    let plan = plan(scripts.len(), 3);
    let folder = folder();
    let fleet = Scripted::new(scripts.to_vec(), 42);
    let world = fleet.world.clone();
    let journal = Journal::create(folder.path(), opened(&plan)).unwrap();
    let path = journal.path().to_owned();
    let replay = Replay::new(journal, vec![], AtTheEnd::GoOn);
    let mut yes = Yes { interrupt_at, ..YES };
    let verdict =
        deploy(&plan, &mut replay.fleet(fleet), &mut replay.gates(Calm), &mut replay.operator(&mut yes), &mut Silent);
    let bytes = std::fs::read(path).unwrap();
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let world = world.borrow().clone();
    (lines, world, verdict)
}

/// Ends the run of a journal over a world.
fn end(journal: &[u8], world: &World, scripts: &[Script], then: AtTheEnd) -> (Verdict, World) {
    let plan = plan(scripts.len(), 3);
    let folder = folder();
    let path = folder.path().join(format!("{}.journal", plan.run));
    std::fs::write(&path, journal).unwrap();
    let left = unfinished(folder.path(), &Invocation::default()).unwrap().expect("an unfinished run");
    let mut fleet = Scripted::new(scripts.to_vec(), 7);
    fleet.world = Rc::new(RefCell::new(world.clone()));
    let world = fleet.world.clone();
    let replay = Replay::new(Journal::reopen(&left).unwrap(), left.read.records, then);
    replay.hint(&left.read.later);
    replay.add(Told::ask(&mut fleet, &plan));
    let mut yes = YES;
    let verdict =
        deploy(&plan, &mut replay.fleet(fleet), &mut replay.gates(Calm), &mut replay.operator(&mut yes), &mut Silent);
    replay.close(&verdict.whole(), verdict.code.status(), false).unwrap();
    assert!(unfinished(folder.path(), &Invocation::default()).unwrap().is_none(), "it is finished now");
    // What it wrote has no gap: with its end taken away it is heard to the same end again.
    let bytes = std::fs::read(&path).unwrap();
    let parsed = parse(&bytes);
    assert_eq!((parsed.read.damage, *parsed.read.ends.last().unwrap()), (None, bytes.len() as u64));
    let world = world.borrow().clone();
    (verdict, world)
}

fn touches(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line);
    text.starts_with("{\"record\":\"called\"") && text.contains("\"step\":{\"run\"")
}

/// What may be wrong with a journal whose deployer lived on: it stops at a record, lacks one, or has half of one with the
/// next behind it.
fn damaged(lines: &[Vec<u8>]) -> Vec<(String, Vec<u8>)> {
    let begun = lines.iter().position(|line| touches(line)).unwrap();
    let mut all = Vec::new();
    for (n, line) in lines.iter().enumerate().skip(1) {
        let without = |with: &[u8]| [lines[..n].concat(), with.to_vec(), lines[n + 1..].concat()].concat();
        if n > begun {
            all.push((format!("ends ahead of line {}", n + 1), lines[..n].concat()));
        }
        // A stage that was begun is on record somewhere: without that nobody would ask.
        if n != begun || lines[n + 1..].iter().any(|line| touches(line)) {
            all.push((format!("lacks line {}", n + 1), without(b"")));
            all.push((format!("half of line {}", n + 1), without(&line[..line.len() / 2])));
        }
    }
    all
}

#[test]
fn a_journal_that_lacks_any_record_of_a_good_run_is_ended_by_what_the_targets_have_on_record() {
    let scripts = vec![Script::good(); 5];
    let (lines, world, verdict) = unclosed(&scripts, None);
    assert_eq!(verdict.code, ExitCode::Success);
    for (what, journal) in damaged(&lines) {
        let (verdict, after) = end(&journal, &world, &scripts, AtTheEnd::GoOn);
        assert_eq!(verdict.code, ExitCode::Success, "{what}: {verdict:?}");
        assert!(after.states.iter().all(|state| state.done == Some(revision('b'))), "{what}");
    }
}

#[test]
fn a_journal_that_lacks_any_record_of_a_run_that_was_rolled_back_never_leads_forward() {
    let good = vec![Script::good(); 5];
    let mut limit = good.clone();
    limit[4].primary[2] = vec![Act::FailLate];
    for (scripts, interrupt_at) in [(&limit, None), (&good, Some(30)), (&good, Some(50))] {
        let (lines, world, verdict) = unclosed(scripts, interrupt_at);
        assert_eq!(verdict.code, ExitCode::Failed, "{verdict:?}");
        for then in [AtTheEnd::GoOn, AtTheEnd::RollBack] {
            for (what, journal) in damaged(&lines) {
                let (verdict, after) = end(&journal, &world, scripts, then);
                assert_eq!(verdict.code, ExitCode::Failed, "{what}, {then:?}: {verdict:?}");
                assert!(after.states.iter().all(|state| state.current == Some(revision('a'))), "{what}, {then:?}");
                for (row, state) in
                    verdict.rows.iter().zip(&after.states).filter(|(row, _)| row.state != RowState::NotAttempted)
                {
                    assert_eq!(row.current, state.current, "{what}: {verdict:?}");
                }
            }
        }
    }
}

#[test]
fn a_torn_last_record_is_as_if_it_had_never_been_written() {
    let (lines, ..) = unclosed(&vec![Script::good(); 4], None);
    let bytes = lines.concat();
    let whole = parse(&bytes);
    assert_eq!((whole.read.damage.as_ref(), *whole.read.ends.last().unwrap()), (None, bytes.len() as u64));
    let last_line = bytes.len() - lines.last().unwrap().len();
    for cut in last_line..bytes.len() {
        let parsed = parse(&bytes[..cut]);
        assert_eq!(parsed.read.records, whole.read.records[..whole.read.records.len() - 1], "cut at byte {cut}");
        assert_eq!((parsed.read.damage, *parsed.read.ends.last().unwrap()), (None, last_line as u64));
    }
}

#[test]
fn a_record_that_is_torn_at_any_byte_and_followed_by_others_costs_no_more_than_itself_and_the_next() {
    let (lines, ..) = unclosed(&vec![Script::good(); 4], None);
    let whole = parse(&lines.concat());
    let torn = lines.len() - 4;
    for cut in 0..lines[torn].len() {
        let bytes = [lines[..torn].concat(), lines[torn][..cut].to_vec(), lines[torn + 1..].concat()].concat();
        let parsed = parse(&bytes);
        assert_eq!(parsed.read.records[..torn - 1], whole.read.records[..torn - 1]);
        if cut > 0 {
            assert!(parsed.read.damage.unwrap().starts_with(&format!("line {}:", torn + 1)), "cut at byte {cut}");
            assert_eq!(parsed.read.later, whole.read.records[torn + 1..], "cut at byte {cut}");
        }
    }
}

/// A journal with a line of it changed.
fn edited(lines: &[Vec<u8>], n: usize, edit: impl FnOnce(&mut serde_json::Value)) -> Vec<Vec<u8>> {
    let mut record = serde_json::from_slice(&lines[n]).unwrap();
    edit(&mut record);
    let mut lines = lines.to_vec();
    lines[n] = serde_json::to_vec(&record).unwrap();
    lines[n].push(b'\n');
    lines
}

#[test]
fn a_journal_that_names_a_host_or_a_group_that_it_does_not_have_is_damaged_there_and_the_targets_are_asked() {
    let scripts = vec![Script::good(); 4];
    let (lines, world, _) = unclosed(&scripts, None);
    let line_of =
        |kind: &str| lines.iter().rposition(|line| line.starts_with(format!(r#"{{"record":"{kind}""#).as_bytes()));
    let (called, ended) = (line_of("called").unwrap(), line_of("ended").unwrap());
    let with = |n: usize, edit: &dyn Fn(&mut serde_json::Value)| (n, edited(&lines, n, |record| edit(record)));
    for ((n, journal), says) in [
        (
            with(called, &|record| record["tasks"][0]["host"] = 4.into()),
            "host 4, counted from 0, of a run with 4 hosts",
        ),
        (
            with(called, &|record| record["call"]["group"] = "nobody".into()),
            "group \"nobody\" that the run does not have",
        ),
        (with(ended, &|record| record["host"] = 4_000_000.into()), "host 4000000, counted from 0"),
        (with(ended, &|record| record["host"] = 0.into()), "host 0, counted from 0, that its call did not ask for"),
    ] {
        let bytes = journal.concat();
        let parsed = parse(&bytes);
        let damage = parsed.read.damage.unwrap();
        assert!(damage.starts_with(&format!("line {}: ", n + 1)) && damage.contains(says), "{damage}");
        assert_eq!(parsed.read.records.len(), n - 1);
        let (verdict, after) = end(&bytes, &world, &scripts, AtTheEnd::GoOn);
        assert_eq!(verdict.code, ExitCode::Success, "{says}: {verdict:?}");
        assert!(after.states.iter().all(|state| state.done == Some(revision('b'))), "{says}");
    }
}
