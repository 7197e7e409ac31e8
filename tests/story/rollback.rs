//! R10 to R12: rollback, retries, and the verdict.

use super::*;

/// R10: every touched host, subgroups in reverse, and nothing cuts it short.
pub fn r10_rollback(told: &Told, calls: &[Called]) {
    let plan = &told.plan;
    let declined = told.events.iter().any(|event| {
        matches!(event, Event::Asked { question, answer, .. } if question.contains("Roll back") && answer == "no")
    });
    let (rollbacks, early): (Vec<_>, Vec<_>) =
        calls.iter().filter(|call| call.step == Step::Run(Stage::Rollback)).partition(|call| call.confirmed);
    for call in calls.iter().filter(|call| call.step == Step::Run(Stage::Rollback) && !call.has_room) {
        assert_eq!(call.tasks, call.started, "a rollback was cut short");
    }
    let no_room = |host: &Host| {
        let row = &told.verdict.rows[*host];
        row.reason.as_ref().is_some_and(|reason| reason.contains("max_unavailable of"))
    };
    assert!(!(0..plan.size()).any(|host| no_room(&host)) || told.verdict.code == ExitCode::Mixed);
    // One that no limit stopped comes to its end, even where it succeeded nowhere.
    let halted =
        told.verdict.text.starts_with("not deployed") && !told.verdict.text.contains("within the failure limit");
    if declined {
        assert!(rollbacks.is_empty());
        assert_eq!(told.verdict.code, ExitCode::Mixed);
    } else if halted {
        let order: Vec<_> = rollbacks.iter().map(|call| (subgroup_of(plan, call.tasks[0]), call.has_room)).collect();
        let follows = |pair: &[((usize, usize), bool)]| {
            let ((before, with_room), (after, then_with_room)) = (pair[0], pair[1]);
            // Those that cost no room go first; where room was short, a subgroup has several calls.
            before.0 > after.0 || (before.0 == after.0 && (before.1 >= after.1 || !with_room && then_with_room))
        };
        assert!(order.windows(2).all(follows), "subgroups were not rolled back in reverse: {order:?}");
        // A host was touched when a stage ran there: more than a connection that could not be had.
        let mut touched: BTreeSet<Host> = BTreeSet::new();
        for call in calls.iter().filter(|call| matches!(call.step, Step::Run(_))) {
            for (host, outcome) in &call.told {
                if is_primary(call.step) && !matches!(outcome, Err(Fault::Unreachable { .. })) {
                    touched.insert(*host);
                }
            }
        }
        // Failed hosts that were rolled back at once within their group are done with, unless they could not be reached.
        let early: BTreeSet<Host> = early.iter().flat_map(|call| call.started.iter().copied()).collect();
        let rolled: BTreeSet<Host> = rollbacks.iter().flat_map(|call| call.started.iter().copied()).collect();
        let wanted: BTreeSet<Host> = touched.difference(&early).copied().filter(|host| !no_room(host)).collect();
        assert!(rolled.is_superset(&wanted), "{wanted:?} were touched, {rolled:?} rolled back");
        assert!(touched.is_superset(&rolled), "hosts were rolled back that were never touched");
    }
    for (host, task_restore) in told
        .trace
        .iter()
        .filter_map(|entry| match entry {
            Trace::Called { call, tasks } if call.step == Step::Run(Stage::Rollback) => Some(tasks),
            _ => None,
        })
        .flatten()
        .map(|task| (task.host.index(), &task.restore))
    {
        assert_eq!(*task_restore, told.scripted.before[host], "what is restored is what was live at the probe");
    }
    let left = |host: &Host| {
        let row = &told.verdict.rows[*host];
        row.state == RowState::Left && told.scripted.current[*host] != told.scripted.before[*host]
    };
    let said = told
        .events
        .iter()
        .any(|event| matches!(event, Event::Note(note) if note.message.starts_with("nothing was live before on ")));
    assert!(said || !(0..plan.size()).any(|host| left(&host)), "nobody says that a rollback changed nothing");
    for call in calls.iter().filter(|call| call.step == Step::Run(Stage::Rollback)) {
        let subgroups: HashSet<_> = call.tasks.iter().map(|host| subgroup_of(plan, *host)).collect();
        assert!(subgroups.len() == 1 || at_once(told), "more hosts at once went back than went forward");
    }
    let promoted: HashSet<Host> = calls
        .iter()
        .filter(|call| call.step == Step::Run(Stage::Promote))
        .flat_map(|call| call.started.iter().copied())
        .collect();
    for host in (0..plan.size()).filter(|host| !promoted.contains(host)) {
        let (now, before) = (&told.scripted.current[host], &told.scripted.before[host]);
        assert_eq!(now, before, "host {host} was never promoted, and something else is live there");
    }
}

/// R11: at most `retry_failed` more tries, forced, and only for hosts that answered.
pub fn r11_retries(plan: &Plan, calls: &[Called]) {
    let mut tries: HashMap<Host, usize> = HashMap::new();
    let mut last: HashMap<Host, &Outcome> = HashMap::new();
    for call in calls.iter().filter(|call| is_primary(call.step)) {
        for host in &call.started {
            if call.force && call.step == Step::Run(Stage::Fetch) {
                *tries.entry(*host).or_default() += 1;
                let outcome = last[host];
                assert!(
                    !outcome.is_ok() && !matches!(outcome, Err(Fault::Unreachable { .. } | Fault::Lost { .. })),
                    "host {host} was tried again after {outcome:?}"
                );
            }
        }
        last.extend(call.told.iter().copied());
    }
    assert!(tries.values().all(|tries| *tries <= plan.groups[0].retry_failed));
}

/// R12: every target has one row, what a row says is true, and the status is the one that fits.
pub fn r12_verdict(told: &Told) {
    let Told { plan, verdict, scripted, .. } = told;
    let calls = calls(told);
    assert_eq!(verdict.rows.len(), plan.size());
    let by_host: Vec<_> = plan.targets().map(|(_, target)| target).collect();
    for (host, row) in verdict.rows.iter().enumerate() {
        assert_eq!(&row.host, by_host[host], "rows are in the plan's order");
        if let Some(current) = &row.current {
            assert_eq!(Some(current), scripted.current[host].as_ref(), "{} runs something else: {row:?}", row.host);
        }
        match row.state {
            RowState::Finalized => assert_eq!(scripted.done[host], Some(revision('b'))),
            RowState::RolledBack | RowState::ChecksFailed => {
                assert_eq!(scripted.current[host], scripted.before[host]);
                assert_eq!(scripted.done[host], scripted.before_done[host]);
            }
            RowState::NotAttempted | RowState::Refused => assert_eq!(scripted.current[host], scripted.before[host]),
            _ => {}
        }
        if scripted.done[host] == Some(revision('b')) {
            // An interrupt while others were not finalized yet leads to a rollback, which may fail on this one.
            let failed = |call: &&Called| call.told.iter().any(|(it, outcome)| *it == host && outcome.is_err());
            let goes_back =
                calls.iter().filter(|call| call.step == Step::Run(Stage::Rollback)).any(|call| failed(&call));
            let is_open = [RowState::Unknown, RowState::Unreachable, RowState::RollbackFailed].contains(&row.state);
            let is_named =
                [RowState::Finalized, RowState::NotFinalized].contains(&row.state) || (goes_back && is_open && !row.ok);
            assert!(is_named, "{row:?}");
        }
        assert!(row.ok || row.reason.is_some() || row.state == RowState::Passed, "not ok, and no reason: {row:?}");
    }
    let changed: Vec<_> = (0..plan.size()).filter(|host| scripted.current[*host] != scripted.before[*host]).collect();
    match verdict.code {
        ExitCode::Success => {
            for row in verdict.rows.iter().filter(|row| plan.finalize.is_some() && row.ok) {
                assert_eq!(row.state, RowState::Finalized);
            }
            assert!(verdict.rows.iter().any(|row| row.ok), "nothing was deployed anywhere");
            let wrong = [RowState::RollbackFailed, RowState::ChecksFailed, RowState::Unknown];
            assert!(!verdict.rows.iter().any(|row| wrong.contains(&row.state)), "{:?}", verdict.rows);
        }
        ExitCode::Failed | ExitCode::Locked | ExitCode::Interrupted => {
            assert!(changed.is_empty(), "status {:?} with {changed:?} changed", verdict.code);
            assert!(verdict.rows.iter().all(|row| row.state != RowState::ChecksFailed));
        }
        ExitCode::NotFinalized => assert!(verdict.rows.iter().any(|row| row.state == RowState::NotFinalized)),
        ExitCode::Mixed => {
            let marks = [
                "mixed",
                "not rolled back",
                "may not be rolled back",
                "may have been changed",
                "still drained",
                "last seen drained",
            ];
            let says_mixed = marks.iter().any(|mark| verdict.text.contains(mark));
            let checks_fail = verdict.text.contains("check page failed");
            assert!(
                says_mixed || checks_fail || !changed.is_empty() || verdict.text.starts_with("stopped"),
                "{}",
                verdict.text
            );
        }
        ExitCode::Usage | ExitCode::Unfinished | ExitCode::Tolerated | ExitCode::Changes => {
            panic!("not a status of a story")
        }
    }
}
