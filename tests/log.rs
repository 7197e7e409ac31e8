//! `hoist log`: shows, filters and follows logs, Hoist's own and those that Scap left.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use common::{Project, Ran, address, signal, wait_for};

/// A repository that Scap deployed, with a log of its last deployment.
fn scaps() -> Project {
    let project = Project::empty();
    project.write("scap/scap.cfg", "[global]\ngit_repo: app\ndsh_targets: targets\n");
    project.write("scap/log/scap-sync-2016-11-23-0001.log", SCAP);
    project
}

const SCAP: &str = r#"{"msg": "Started deploy [app/deploy@1234]", "levelno": 20, "levelname": "INFO", "host": "tin", "name": "deploy", "created": 1479938300.1}
{"msg": "Rolling back from revision ab12 to e1ec", "levelno": 30, "levelname": "WARNING", "host": "web-10", "name": "target.canary", "asctime": "2016-11-23 21:58:30,123"}
not JSON at all
{"msg": "checking", "levelno": 10, "levelname": "DEBUG", "host": "web-11", "name": "target.canary", "asctime": "2016-11-23 21:58:31,001"}
{"msg": "Traceback:\n  line 1\n21:58:40 [web-1] forged", "levelno": 40, "levelname": "ERROR", "host": "web\u001b[2J", "asctime": "2016-11-23 21:58:32,001"}
{"msg": "torn"#;

#[test]
fn the_log_of_a_deployment_is_shown_and_filtered() {
    let (farm, project) = Project::on_farm(1, 2);
    project.deploy(&["first"]).ends(0);
    farm.set_down(&address(2), true);
    project.configure("failure_limit: 1");
    let two = project.commit("two");
    project.deploy(&["second"]).ends(0);

    let whole = project.run(&["log", "--latest"]).ends(0);
    assert!(whole.err.is_empty(), "{}", whole.err);
    let first = whole.out.lines().next().unwrap();
    assert!(first.contains(&format!("app {} by op@", &two[..10])) && first.ends_with(": second"), "{first}");
    assert!(whole.out.lines().last().unwrap().contains("(exit status 0, after"), "{}", whole.out);
    let clock = &first[..9];
    assert!(clock.chars().all(|c| c.is_ascii_digit() || ": ".contains(c)), "{clock:?}");
    assert!(!whole.out.contains("started\n"), "that is of interest when something is odd");
    assert!(project.run(&["log", "-lv"]).out.contains(&format!("[{}] promote started", address(1))));

    let lines = |expression: &str| -> Vec<String> {
        let ran = project.run(&["log", "-l", expression]).ends(0);
        ran.out.lines().map(|line| line[9..].to_owned()).collect()
    };
    let errors = lines("level >= ERROR");
    assert!(errors.len() == 1 && errors[0].starts_with(&format!("[{}] probe: ", address(2))), "{errors:?}");
    assert!(lines("host == 127.0.0.1 stage == promote group == canary")[0].contains("promote: ok"));
    assert_eq!(lines("name == host_ended stage == promote").len(), 2);
    assert_eq!(lines("host == 127.0.0.1 group == default"), Vec::<String>::new());
    project.run(&["log", "-l", "level", ">=", "ERROR", "host", "==", &address(2)]).ends(0).says("this host is down");

    let json = project.run(&["log", "-l", "--format", "json", "name == ended"]).ends(0);
    let ended = json.events();
    assert_eq!((ended.len(), &ended[0]["event"], &ended[0]["status"]), (1, &"ended".into(), &0.into()));
}

#[test]
fn a_log_that_scap_left_is_read_and_nothing_in_it_reaches_the_terminal() {
    let project = scaps();
    let ran = project.run(&["log", "-l"]).ends(0);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(lines[0].ends_with(" [tin] Started deploy [app/deploy@1234]"), "{}", lines[0]);
    assert_eq!(
        lines[1..],
        [
            "21:58:30 [web-10] Rolling back from revision ab12 to e1ec",
            "not JSON at all",
            "21:58:32 [web\\x1b[2J] Traceback:",
            "      line 1",
            "    21:58:40 [web-1] forged",
            "{\"msg\": \"torn",
        ]
    );
    let one = project.run(&["log", "-l", "host == web-* levelno >= WARNING msg ~ \"back from\""]).ends(0);
    assert_eq!(one.out, "21:58:30 [web-10] Rolling back from revision ab12 to e1ec\n");
    project.run(&["log", "-l", "levelno >= DEBUG name == target.*"]).says("[web-11] checking");
    let json = project.run(&["log", "-l", "--format=json", "not JSON"]).ends(0);
    assert_eq!(json.out, "{\"message\":\"not JSON at all\"}\n");
    // A file that was named needs no repository around it.
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("some.log"), SCAP).unwrap();
    let mut command = project.hoist(&["log", "--file", "some.log", "tin"]);
    let ran = Ran::of(command.current_dir(elsewhere.path()).output().unwrap()).ends(0);
    assert_eq!(ran.out, "", "tin is a host, and not in a message");
}

#[test]
fn what_cannot_be_shown_is_one_clear_error() {
    let project = scaps();
    project.run(&["log", "-l", "--file", "x"]).ends(2).says("cannot be combined");
    project.run(&["log", "-f", "--run", "x"]).ends(2).says("takes no --run");
    project.run(&["log", "-f", "scap/scap.cfg"]).ends(2).says("--file scap/scap.cfg shows that file");
    project.run(&["log", "--run", "2016"]).ends(2).says("no log of a run \"2016\"");
    project.run(&["log", "--file", "nowhere.log"]).ends(2).says("cannot read the log nowhere.log");
    project.run(&["log", "--file", "scap"]).ends(2).says("cannot read the log scap");
    let ran = project.run(&["log", "-l", "host == a colour == red"]).ends(2);
    ran.says("at character 11: unknown field \"colour\" before \"==\"").says("fields: host, level, msg");
    fs::remove_dir_all(project.path("scap/log")).unwrap();
    project.run(&["log", "-l"]).ends(1).says("scap/log: nothing has been deployed yet");
}

#[test]
fn a_run_whose_log_is_missing_or_empty_is_named_with_what_else_tells_of_it() {
    let (_farm, project) = Project::on_farm(0, 1);
    project.deploy(&[]).ends(0);
    let log = fs::read_dir(project.path("hoist/log")).unwrap().flatten().map(|entry| entry.path());
    let log = log.into_iter().find(|path| path.extension().is_some_and(|it| it == "log")).unwrap();
    let run = log.file_stem().unwrap().to_str().unwrap().strip_prefix("hoist-").unwrap().to_owned();
    let tells = format!("`hoist history` shows the runs, and `hoist report {run}` what its journal tells");
    fs::write(&log, "").unwrap();
    let empty = format!("the log hoist/log/hoist-{run}.log is empty: nothing could be written to it; {tells}");
    project.run(&["log"]).ends(1).says(&empty);
    project.run(&["log", "--run", &run]).ends(1).says(&empty);
    // One that nobody could create, and an older one is there.
    fs::rename(&log, log.with_file_name("hoist-20200101-000000-0000.log")).unwrap();
    fs::write(log.with_file_name("hoist-20200101-000000-0000.log"), SCAP).unwrap();
    let ran = project.run(&["log"]).ends(0).says("Started deploy");
    assert!(
        ran.err.contains(&format!("run {run}, the newest, has no log, so this is an older one; {tells}")),
        "{}",
        ran.err
    );
    fs::remove_dir_all(project.path("hoist/log")).unwrap();
    let said = format!("no log in hoist/log: that of run {run} was not written, or was removed; {tells}");
    project.run(&["log"]).ends(1).says(&said);
    project.run(&["report", &run]).ends(0);
}

/// `hoist log` while it follows, and what it has said on both streams.
struct Following {
    child: Child,
    said: Arc<Mutex<Vec<u8>>>,
}

impl Following {
    fn start(mut command: Command) -> Following {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let child = command.stdout(writer.try_clone().unwrap()).stderr(writer).spawn().unwrap();
        drop(command);
        let said = Arc::new(Mutex::new(Vec::new()));
        let into = said.clone();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut piece) {
                into.lock().unwrap().extend_from_slice(&piece[..count]);
            }
        });
        Following { child, said }
    }

    /// All text so far.
    fn said(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned()
    }

    #[track_caller]
    fn says(&self, text: &str) {
        wait_for(text, || self.said().contains(text));
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn append(path: &Path, text: &str) {
    fs::OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn only_log(project: &Project, number: usize) -> PathBuf {
    let mut logs: Vec<PathBuf> =
        fs::read_dir(project.path("hoist/log")).unwrap().map(|it| it.unwrap().path()).collect();
    logs.retain(|path| path.extension().is_some_and(|it| it == "log"));
    logs.sort();
    logs.remove(number)
}

#[test]
fn deployments_are_followed_from_now_on_and_from_one_to_the_next() {
    let (_farm, project) = Project::on_farm(0, 1);
    project.deploy(&["before"]).ends(0);
    let following = Following::start(project.hoist(&["log", "-f", "-n", "0"]));
    following.says("hoist log: following hoist-2");
    project.deploy(&["-f", "second"]).ends(0);
    following.says(": second\n");
    project.deploy(&["-f", "third"]).ends(0);
    following.says(": third\n");
    let second = only_log(&project, 1);
    following.says(&format!("following {}\n", second.file_name().unwrap().to_str().unwrap()));
    // A log that is cut short, one that is replaced, and what is no text at all.
    fs::write(&second, "cut short\n").unwrap();
    following.says("cut short\n");
    fs::rename(&second, project.path("hoist/log/rotated")).unwrap();
    append(&second, "in its ");
    append(&second, "place\n");
    following.says("in its place\n");
    append(&second, "\u{0}\u{1b}[2J\n");
    following.says("\\x00\\x1b[2J\n");
    let said = following.said();
    assert!(!said.contains("before"), "{said}");
    assert_eq!(said.matches("(exit status 0, after").count(), 2, "each deployment is told once: {said}");
}

#[test]
fn without_a_flag_it_is_the_log_of_the_last_run_and_others_are_had_by_their_run() {
    let (_farm, project) = Project::on_farm(0, 1);
    project.deploy(&["first"]).ends(0);
    project.deploy(&["-f", "second"]).ends(0);
    let whole = project.run(&["log"]).ends(0);
    assert_eq!(whole.out, project.run(&["log", "-l"]).ends(0).out);
    assert!(whole.out.lines().next().unwrap().ends_with(": second"), "{}", whole.out);
    let lines: Vec<&str> = whole.out.lines().collect();
    let last = |flags: &[&str]| project.run(&[&["log"], flags].concat()).ends(0).out;
    assert_eq!(last(&["-n", "2"]), format!("{}\n{}\n", lines[lines.len() - 2], lines[lines.len() - 1]));
    assert_eq!((last(&["-n0"]), last(&["--lines=999"])), (String::new(), whole.out.clone()));
    assert!(last(&["-n", "1", "name == started"]).ends_with(": second\n"), "lines that match are counted");
    let first = only_log(&project, 0);
    let run = first.file_stem().unwrap().to_str().unwrap().strip_prefix("hoist-").unwrap();
    assert!(last(&["--run", run]).lines().next().unwrap().ends_with(": first"));
    project.run(&["log", "--run", "2"]).ends(2).says("several runs begin with \"2\"");
    // What is there is shown ahead of what comes.
    let following = Following::start(project.hoist(&["log", "-f", "-n", "1"]));
    following.says("(exit status 0, after");
    assert!(!following.said().contains("second"));
}

#[test]
fn before_the_first_deployment_it_waits_for_one() {
    let (_farm, project) = Project::on_farm(0, 1);
    let following = Following::start(project.hoist(&["log", "-f", "name == ended"]));
    following.says("there is no log yet: waiting for one");
    project.deploy(&["first"]).ends(0);
    following.says("(exit status 0, after");
    assert!(!following.said().contains(": first"), "the expression holds for what is followed too");
}

#[test]
fn it_ends_with_its_reader_and_by_an_interrupt() {
    let project = scaps();
    let mut command = project.hoist(&["log", "-l"]);
    let mut head = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(head.stdout.take());
    Ran::of(head.wait_with_output().unwrap()).ends(0);
    // One that follows has nothing to write, and sees it all the same.
    let mut quiet = project.hoist(&["log", "-f"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(quiet.stdout.take());
    assert_eq!(quiet.wait().unwrap().code(), Some(0));
    let mut following = Following::start(project.hoist(&["log", "--follow"]));
    following.says("following");
    signal(&following.child, "INT");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&following.child.wait().unwrap()), Some(2));
}

#[test]
fn who_may_only_read_sees_what_there_is_to_read() {
    let project = scaps();
    fs::set_permissions(project.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let closed = project.path("scap/log/scap-sync-2016-11-23-0002.log");
    let before = fs::read_dir(project.path("scap/log")).unwrap().count();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::set_permissions(elsewhere.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let hoist = elsewhere.path().join("hoist");
    common::copy_hoist(&hoist);
    let nobody = |arguments: &[&str]| {
        let template = project.hoist(&[]);
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&hoist).args(arguments);
        command.current_dir(project.path("")).stdin(Stdio::null());
        common::take_environment(&mut command, &template);
        command
    };
    Ran::of(nobody(&["log", "-l"]).output().unwrap()).ends(0).says("[web-10] Rolling back");
    assert_eq!(fs::read_dir(project.path("scap/log")).unwrap().count(), before);
    let following = Following::start(nobody(&["log", "-f"]));
    following.says("following");
    append(&closed, "secret\n");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o600)).unwrap();
    append(&closed, "more\n");
    let open = project.path("scap/log/scap-sync-2016-11-23-0001.log");
    append(&open, "\nstill read\n");
    following.says("still read");
    fs::set_permissions(project.path("scap/log"), fs::Permissions::from_mode(0o700)).unwrap();
    Ran::of(nobody(&["log", "-l"]).output().unwrap()).ends(2).says("cannot read scap/log: Permission denied");
}

#[test]
fn the_newest_logs_are_kept_as_many_as_journals() {
    let (_farm, project) = Project::on_farm(0, 1);
    project.configure("journals_to_keep: 2\ntags_to_keep: 1");
    project.write("hoist/log/scap-sync-2016-11-23-0001.log", SCAP);
    for number in 0..4 {
        project.deploy(&["-f", &format!("number {number}")]).ends(0);
    }
    let left: Vec<String> = fs::read_dir(project.path("hoist/log"))
        .unwrap()
        .map(|it| it.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "log"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let ours = left.iter().filter(|text| text.contains("number 2") || text.contains("number 3")).count();
    assert_eq!((left.len(), ours), (3, 2));
    assert!(left.contains(&SCAP.to_owned()));
}
