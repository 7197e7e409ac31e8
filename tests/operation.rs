//! Operations without a command line: whatever they ask and tell goes through their frontend, and what they refuse has
//! its status.

mod common;

use std::cell::RefCell;
use std::io;

use common::Project;
use hoist::config::Options;
use hoist::deploy::{Answer, Choice, Operator, Question};
use hoist::exit_code::ExitCode;
use hoist::invocation::Invocation;
use hoist::locks::{LockOwner, Purpose};
use hoist::operation;
use hoist::operation::{Back, Frontend, LockScope, Look, Refused};
use hoist::report::{Event, Reporter};
use hoist::wire::Holder;

/// A frontend without people.
#[derive(Default)]
struct Nobody {
    remarks: RefCell<Vec<String>>,
    answers: RefCell<Vec<String>>,
    refuses_to_be_asked: bool,
    may_lose_terminal: bool,
}

impl Frontend for Nobody {
    fn command(&self) -> &'static str {
        "test"
    }

    fn remark(&self, line: &str) {
        self.remarks.borrow_mut().push(line.to_owned());
    }

    fn answer(&self, line: &str) {
        self.answers.borrow_mut().push(line.to_owned());
    }

    fn can_ask(&self) -> Result<(), Refused> {
        if self.refuses_to_be_asked { Err(Refused::Usage("nobody is here".into())) } else { Ok(()) }
    }

    fn ask_line(&self, _: &str) -> String {
        String::new()
    }

    fn confirm(&self, _: &str) -> bool {
        false
    }

    fn may_lose_terminal(&self) -> bool {
        self.may_lose_terminal
    }

    fn reporter(&self) -> Box<dyn Reporter> {
        Box::new(Silent)
    }

    fn operator(&self, _: &Invocation) -> io::Result<Box<dyn Operator>> {
        Ok(Box::new(Silent))
    }
}

struct Silent;

impl Reporter for Silent {
    fn event(&mut self, _: &Event) {}
}

impl Operator for Silent {
    fn ask(&mut self, _: &Question) -> Answer {
        Answer::No
    }

    fn interrupted(&mut self) -> bool {
        false
    }

    fn name(&self) -> &'static str {
        "nobody"
    }
}

/// A repository whose two targets are never connected to.
fn project() -> (Project, Options) {
    let project = Project::empty();
    let lock_dir = project.path(".git");
    project.write(
        "hoist/hoist.cfg",
        &format!("[global]\ngit_repo: app\ndsh_targets: all\nlock_dir: {}\n", lock_dir.display()),
    );
    project.write("hoist/all", "web1\nweb2\n");
    project.write(".git/global.cfg", "[global]\n");
    project.commit("one");
    let (start, global_file) = (project.path(""), Some(project.path(".git/global.cfg")));
    (project, Options { start, global_file, ..Options::default() })
}

fn why(refused: Refused) -> (ExitCode, String) {
    let code = refused.code();
    match refused {
        Refused::Usage(why) | Refused::Because(_, why) => (code, why),
        Refused::Told(..) => (code, String::new()),
    }
}

fn owner(message: &str) -> LockOwner {
    let holder = Holder {
        run: "20261123T144552.123Z-4711-7d3f".parse().unwrap(),
        user: "op".into(),
        host: "deploy1".into(),
        pid: std::process::id(),
        since: "2026-11-23T12:00:00.000Z".into(),
        message: message.into(),
    };
    LockOwner { holder, purpose: Purpose::Lock, until: None }
}

#[test]
fn an_operation_answers_and_remarks_through_its_frontend() {
    let (project, options) = project();
    let front = Nobody::default();
    assert_eq!(operation::reconcile(&options, None, &front).unwrap(), ExitCode::Success);
    assert_eq!(*front.answers.borrow(), ["nothing was deployed from here yet: use `hoist deploy`"]);
    project.write("hoist/all", "web1\nweb1\n");
    let how = operation::PlanOptions { ask: false, output: None };
    let planned = operation::plan(&options, Choice::default(), None, how, &front).unwrap();
    assert_eq!(planned.plan.size(), 1);
    // Of the file that was changed, and of nothing else.
    let remarks = front.remarks.borrow();
    assert!(remarks.len() == 1 && remarks[0].starts_with("hoist test: warning: "), "{remarks:?}");
    assert!(remarks[0].contains("hoist/all"), "{remarks:?}");
}

#[test]
fn an_operation_that_has_to_ask_does_not_begin_where_nobody_answers() {
    let (project, options) = project();
    let front = Nobody { refuses_to_be_asked: true, ..Nobody::default() };
    for refused in [operation::resume(&options, &front), operation::rollback(&options, &Back::default(), &front)] {
        assert_eq!(why(refused.unwrap_err()), (ExitCode::Usage, "nobody is here".to_owned()));
    }
    assert!(!project.path("hoist/state").exists() && !project.path(".git/hoist-app.lock").exists());
}

#[test]
fn a_frontend_that_may_lose_its_terminal_is_refused_if_the_configuration_wants_a_multiplexer() {
    let (project, options) = project();
    project.configure("require_terminal_multiplexer: yes");
    let front = Nobody { may_lose_terminal: true, ..Nobody::default() };
    let (code, text) = why(operation::reconcile(&options, None, &front).unwrap_err());
    assert_eq!(code, ExitCode::Usage);
    assert!(
        text.contains("run hoist test in tmux or screen, which keep it running if this terminal is lost"),
        "{text}"
    );
    assert_eq!(operation::reconcile(&options, None, &Nobody::default()).unwrap(), ExitCode::Success);
}

#[test]
fn whoever_meets_a_lock_is_told_of_it_and_ends_with_its_status() {
    let (project, options) = project();
    project.configure("lock_timeout: 0");
    let front = Nobody::default();
    let scope = LockScope::new(&options, false, &front).unwrap();
    let lock = scope.acquire(&owner("database\nmove"), &|| false, &front).unwrap();
    let refused = operation::reconcile(&options, None, &front).unwrap_err();
    let Refused::Told(ExitCode::Locked, why) = &refused else { panic!("{refused:?}") };
    let said = front.remarks.borrow().join("\n");
    assert!(said.starts_with("hoist: app is locked by op on deploy1"), "{said}");
    assert!(said.ends_with(why), "{why}");
    // It is no hindrance to a look.
    let status = operation::status(&options, None, Look::Offline, &front).unwrap();
    assert!(status.locks.own.is_some() && status.locks.deploying.is_none() && !status.is_ok());
    assert_eq!(status.views.len(), 2);
    drop(lock);
    assert_eq!(operation::reconcile(&options, None, &front).unwrap(), ExitCode::Success);
}
