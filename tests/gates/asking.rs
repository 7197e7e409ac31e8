//! `hoist gates`: what each type of gate asks, and what it makes of the answer.

use std::process::{Command, Stdio};

use crate::common::{self, Project, Ran, ports, signal, wait_for};
use crate::schema::Answer;
use crate::server::{Request, Response, Server, vector};

/// A repository with two hosts that nobody connects to, and these gates.
pub fn project(gates: &str) -> Project {
    let project = Project::empty();
    project.write("hoist/hoist.cfg", "[global]\ngit_repo: app\nserver_groups: web\nweb_dsh_targets: hosts\n");
    project.write("hoist/hosts", "web01.example.org\nweb02.example.org\n");
    project.write("hoist/gates.yaml", gates);
    project.commit("one");
    project
}

/// Asks, with no proxy of this machine in the way.
pub fn ask(project: &Project, arguments: &[&str]) -> Ran {
    let mut command = project.hoist(&[&["gates"], arguments].concat());
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(name);
    }
    Ran::of(command.output().unwrap())
}

/// As a Prometheus that knows some queries.
fn prometheus(request: &Request) -> Response {
    let one = |value: &str| Response::Ok(vector(&[("web01.example.org:9100".into(), value.into())]));
    match request.parameter("query").as_deref() {
        Some("good") => one("0.001"),
        Some("bad") => one("0.2"),
        Some("nan") => one("NaN"),
        Some("none") => Response::Ok(vector(&[])),
        Some("hosts{i=~\"(?:$.)|(?:web01[.]example[.]org|web02[.]example[.]org)\",g=\"web\"}") => one("1"),
        Some("broken") => {
            let body = r#"{"status":"error","errorType":"bad_data","error":"parse error: unexpected end of input"}"#;
            Response::Status("400 Bad Request", body.into())
        }
        other => panic!("unexpected query {other:?}"),
    }
}

#[test]
fn every_gate_is_asked_at_once_and_its_verdict_is_printed() {
    let server = Server::start(prometheus);
    let page = Server::start(|_| Response::Ok(r#"{"queue": {"length": 7}}"#.into()));
    let alerts = Server::start(|_| {
        Response::Ok(
            r#"[{"labels":{"alertname":"Slow"},"status":{"state":"active","silencedBy":[],"inhibitedBy":[]}}]"#.into(),
        )
    });
    let url = format!("http://127.0.0.1:{}", server.port);
    let queries: String = [
        ("good", "good", ""),
        ("bad", "bad", ""),
        ("watched", "bad", ", observe: true"),
        ("quiet", "none", ", no_data: pass"),
        ("nothing", "none", ""),
        ("nan", "nan", ""),
        ("typo", "broken", ", no_data: pass"),
    ]
    .map(|(name, query, more)| {
        format!("  {name}: {{type: prometheus, when: soak, url: '{url}', query: '{query}', require: '< 0.01'{more}}}\n")
    })
    .concat();
    let gates = format!(
        "gates:\n{queries}  command: {{when: before, command: 'echo $HOIST_GROUP', shell: true, require: == web}}\n  \
         page: {{type: http, when: soak, url: 'http://127.0.0.1:{}/{{{{ group }}}}', json: /queue/length, require: '< 9'}}\n  \
         alerts: {{type: alertmanager, when: soak, url: 'http://127.0.0.1:{}', matchers: ['severity=\"page\"', \
         'i=~\"{{{{ old_hosts }}}}.*\"']}}\n",
        page.port, alerts.port,
    );
    let project = project(&gates);
    let ran = ask(&project, &[]).ends(1);
    for line in [
        "pass          good           0.001",
        "fail          bad            0.2 is not < 0.01",
        "fail          watched        0.2 is not < 0.01 (observed only)",
        "pass          quiet          the query returned no series",
        "inconclusive  nothing        the query returned no series",
        "inconclusive  nan            the query returned NaN",
        "inconclusive  typo           error from Prometheus: parse error: unexpected end of input",
        "pass          command (web)  web",
        "pass          page (web)     7",
        "fail          alerts (web)   1 alert is firing: Slow",
        "4 pass, 3 fail, 3 inconclusive",
    ] {
        assert!(ran.out.lines().any(|it| it == line), "{line:?} is not in\n{}{}", ran.out, ran.err);
    }
    assert_eq!(page.requests()[0].path(), "/web");
    let asked = &alerts.requests()[0];
    assert!(asked.path().starts_with("/api/v2/alerts?active=true&silenced=false&inhibited=false&filter="), "{asked:?}");
    assert!(asked.path().ends_with("web02%5B.%5Dexample%5B.%5Dorg%29.%2A%22"), "{asked:?}");

    let json = ask(&project, &["--format", "json"]).ends(1).events().remove(0);
    Answer::named("gates").holds(&json);
    assert_eq!((&json["verdict"], json["gates"].as_array().unwrap().len()), (&"fail".into(), 10));
    ask(&project, &["good", "quiet", "watched"]).ends(0).says("2 pass, 1 fail, 0 inconclusive");
    ask(&project, &["nothing"]).ends(1);
    ask(&project, &["goood"]).ends(2).says("unknown gate \"goood\": did you mean \"good\"?");
}

#[test]
fn hosts_are_put_into_a_query_as_a_regular_expression() {
    let server = Server::start(prometheus);
    let query = "hosts{i=~\"{{ new_hosts }}|{{ old_hosts }}\",g=\"{{ group }}\"}";
    let project = project(&format!(
        "gates:\n  up: {{type: prometheus, when: soak, url: 'http://127.0.0.1:{}/', query: '{query}', require: '> 0'}}\n",
        server.port
    ));
    ask(&project, &[]).ends(0).says("pass  up (web)  1");
}

#[test]
fn without_gates_there_is_nothing_to_fail() {
    ask(&project(""), &[]).ends(0).says("no gates");
    ask(&project("gates: {}\n"), &["--backtest"]).ends(0).says("no deployments in the journals");
    ask(&project(""), &["-n", "3"]).ends(2).says("--number and --soak go with --backtest");
}

#[test]
fn a_source_that_is_gone_hangs_floods_or_babbles_is_never_a_pass() {
    let silent = Server::start(|_| Response::Silence);
    let flood = Server::start(|_| Response::Ok("x".repeat(9 << 20)));
    let circle = Server::start(|request| Response::Redirect(format!("{}x", request.path())));
    let html = Server::start(|_| Response::Status("502 Bad Gateway", "<html>no</html>".into()));
    let refusing = ports::refusing();
    let gone = refusing.number;
    let mut gates = "gates:\n".to_owned();
    let all =
        [("gone", gone), ("silent", silent.port), ("flood", flood.port), ("circle", circle.port), ("html", html.port)];
    for (name, port) in all {
        let url = format!("url: 'http://127.0.0.1:{port}', when: before, no_data: pass, timeout: 3");
        gates += &format!("  {name}: {{type: prometheus, {url}, query: up, require: '> 0'}}\n");
        gates += &format!("  {name}-alerts: {{type: alertmanager, {url}, matchers: 'a=\"b\"'}}\n");
    }
    gates += "  hangs: {when: before, command: sleep 600, timeout: 1, no_data: pass}\n";
    gates += "  missing: {when: before, command: /nonexistent, no_data: pass}\n";
    let ran = ask(&project(&gates), &[]).ends(1).says("0 pass, 0 fail, 12 inconclusive");
    for (name, why) in [
        ("gone", ": Connection refused"),
        ("silent", ": no answer within 3 s"),
        ("flood", ": the response is larger than 8 MiB"),
        ("circle", ": too many redirects"),
        ("html", "not a response of Prometheus (HTTP status 502): <html>no</html>"),
        ("html-alerts", "Alertmanager returned HTTP status 502: <html>no</html>"),
        ("hangs", "the command did not end within 1 s"),
        ("missing", "cannot run /nonexistent: No such file or directory"),
    ] {
        let line = ran.out.lines().find(|line| line.starts_with(&format!("inconclusive  {name} "))).unwrap_or_default();
        assert!(line.contains(why), "{name}: {line:?}\n{}", ran.out);
    }
}

#[test]
fn a_page_is_judged_by_status_and_text_and_one_that_does_not_answer_fails() {
    let server = Server::start(|request| match request.path() {
        "/ok" => Response::Ok("all is well".into()),
        "/teapot" => Response::Status("418 I'm a teapot", "short and stout".into()),
        "/moved" => Response::Redirect("/ok".into()),
        "/file" => Response::Redirect("file:///etc/passwd".into()),
        "/bad" => Response::Redirect("http://[::".into()),
        path => panic!("{path}"),
    });
    let refusing = ports::refusing();
    let gone = refusing.number;
    let gate = |name: &str, path: &str, more: &str| {
        format!("  {name}: {{type: http, when: soak, url: 'http://127.0.0.1:{}{path}'{more}}}\n", server.port)
    };
    let gates = [
        "gates:\n".to_owned(),
        gate("ok", "/ok", ", body: is well"),
        gate("text", "/ok", ", body: is bad"),
        gate("teapot", "/teapot", ""),
        gate("wanted", "/teapot", ", status: '200, 418'"),
        gate("moved", "/moved", ", body: well"),
        gate("file", "/file", ""),
        gate("bad", "/bad", ""),
        format!("  gone: {{type: http, when: soak, url: 'http://127.0.0.1:{gone}'}}\n"),
    ];
    let ran = ask(&project(&gates.concat()), &[]).ends(1).says("3 pass, 5 fail, 0 inconclusive");
    for name in ["file", "bad"] {
        let line = format!("fail  {name:<6}  127.0.0.1:{} redirects to no address of http or https", server.port);
        assert!(ran.out.lines().any(|it| it == line), "{line:?} is not in\n{}", ran.out);
    }
    for line in [
        "fail  text    the response does not contain \"is bad\": all is well",
        "fail  teapot  HTTP status 418: short and stout",
        "pass  wanted  418",
    ] {
        assert!(ran.out.lines().any(|it| it == line), "{line:?} is not in\n{}", ran.out);
    }
}

#[test]
fn a_gate_that_no_thread_can_ask_is_inconclusive() {
    /// Nobody else is this user: the system counts all processes of a user, whoever started them.
    const USER: &str = "4400";
    if std::fs::metadata("/proc/self").is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) != 0) {
        eprintln!("only root can become another user; nothing is tested");
        return;
    }
    let page = Server::start(|_| Response::Ok("7".into()));
    let gates: String = (0..6)
        .map(|n| format!("  page{n}: {{when: before, type: http, url: 'http://localhost:{}/'}}\n", page.port))
        .collect();
    let project = project(&format!("gates:\n{gates}"));
    for change in [&["chmod", "0755"][..], &["chown", "-R", "4400:4400"]] {
        let changed = Command::new(change[0]).args(&change[1..]).arg(project.path("")).status();
        assert!(changed.unwrap().success());
    }
    let asked = |processes: usize| {
        let template = project.hoist(&["gates"]);
        let mut command = Command::new("prlimit");
        command.arg(format!("--nproc={processes}")).args(["setpriv", "--reuid", USER, "--regid", USER]);
        command.arg("--clear-groups").arg(template.get_program()).args(template.get_args());
        command.current_dir(project.path("")).stdin(Stdio::null());
        common::take_environment(&mut command, &template);
        Ran::of(command.output().unwrap())
    };
    let mut refused = 0;
    for processes in 1..=24 {
        let ran = asked(processes);
        let said = format!("{}{}", ran.out, ran.err);
        assert!(!said.contains("internal error") && !said.contains("panicked"), "{processes}: {ran:#?}");
        assert!(matches!(ran.status, Some(0..=2)), "{processes}: {ran:#?}");
        for line in ran.out.lines().filter(|line| line.contains("no thread can be started")) {
            assert!(line.starts_with("inconclusive  page"), "{line}");
            refused += 1;
        }
        assert!(ran.status == Some(0) || processes < 24, "{ran:#?}");
    }
    assert!(refused > 0, "the limit counts for nothing");
}

#[test]
fn an_interrupt_ends_the_command_of_a_gate_with_hoist() {
    let project = project("gates:\n  slow: {when: before, command: sleep 600, timeout: 500}\n");
    let mut hoist = project.hoist(&["gates"]).stdout(Stdio::null()).spawn().unwrap();
    let child = || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", hoist.id())).into_iter().flatten().flatten();
        let of = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        tasks.map(of).find_map(|children| children.split_whitespace().next().map(str::to_owned))
    };
    wait_for("the command", || child().is_some());
    let command = child().unwrap();
    signal(&hoist, "INT");
    assert!(!hoist.wait().unwrap().success());
    let ended = || std::fs::read_to_string(format!("/proc/{command}/stat")).map_or(true, |stat| stat.contains(") Z"));
    wait_for("the end of the command", ended);
}

#[test]
fn a_plan_lists_the_gates_with_their_moments() {
    let gates = "gates:\n  pages: {when: 'before, soak, group, finalize', command: x}\n  errors: {when: soak, command: x, \
                 group: web, observe: true}\n";
    let project = project(gates);
    let lines = |ran: &Ran| -> Vec<String> {
        ran.out.lines().skip_while(|line| *line != "gates").skip(1).map(str::to_owned).collect()
    };
    // Without a soak, the moment of the soak never comes.
    let ran = project.run(&["plan"]).ends(0);
    assert_eq!(lines(&ran), ["  pages          before, group, finalize"]);
    assert!(ran.err.contains("warning: gates.yaml: gate \"errors\" is asked during soaks only"), "{}", ran.err);
    project.configure("soak_time: 60");
    let ran = project.run(&["plan"]).ends(0);
    let both =
        ["  pages          before, soak, group, finalize", "  errors         soak, group web only (observed only)"];
    assert_eq!(lines(&ran), both);
    let json = project.run(&["plan", "--format", "json"]).ends(0).events().remove(0);
    Answer::named("plan").holds(&json);
    assert_eq!(json["gates"][1]["when"], serde_json::json!(["soak"]), "{json:#}");
    project.run(&["plan", "-s", "fetch"]).ends(0).says("no gates are asked");
    project.write("hoist/gates.yaml", &gates.replace("observe: true", "delay: 60"));
    for command in ["plan", "check-config"] {
        project.run(&[command]).ends(0).says("warning: gate errors: its delay is 60 s and the soak of web is 60 s");
    }
}
