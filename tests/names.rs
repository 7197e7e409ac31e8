//! Names of targets, from a name server that is slow, fails once, or never answers for some of them.

mod common;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::names::{Question, deploy_to_names, deploy_with, serve};
use common::{Farm, Links, Project, Ran, address};

const SERVER: &str = "127.255.255.54";

/// The last number of the address of `host7.farm.test`.
fn number(label: &str) -> u8 {
    label.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()
}

fn project(farm: &Farm, hosts: &[String]) -> Project {
    let project = Project::new(farm, 0, 1);
    deploy_to_names(farm, &project, hosts);
    project
}

/// `hoist deploy` with this name server.
fn deploy(project: &Project, options: &str, arguments: &[&str]) -> Ran {
    deploy_with(project, "127.0.0.1 localhost\n", &format!("nameserver {SERVER}\noptions {options}\n"), arguments)
}

/// The names of one deployment are all asked for before the first of them is answered, one is never answered, and one
/// fails the first time. A second deployment has more such names than are looked up at once.
#[test]
fn names_are_looked_up_at_once_a_silent_one_holds_up_no_other_and_one_that_fails_is_asked_for_again() {
    let farm = Farm::up();
    let (mut asked, mut held, mut failed) = (BTreeSet::new(), Vec::<Question>::new(), 0);
    let most = Arc::new(Mutex::new(0));
    let seen = most.clone();
    serve(SERVER, move |socket, question| {
        let label = question.label.clone();
        if label.starts_with("silent") {
            return;
        }
        if label.starts_with("flaky") && failed < 2 {
            // For IPv4 and for IPv6.
            failed += 1;
            return question.answer(socket, None);
        }
        asked.insert(label);
        held.push(question);
        *seen.lock().unwrap() = asked.len();
        if asked.len() >= 16 {
            for question in held.drain(..) {
                question.answer(socket, Some([127, 0, 0, number(&question.label)]));
            }
        }
    });
    // The silent one stands first.
    let mut hosts = vec!["silent1".to_owned(), "flaky2".to_owned()];
    hosts.extend((3..18).map(|n| format!("host{n}")));
    let project = project(&farm, &hosts);
    let revision = project.git(&["rev-parse", "HEAD"]);
    // One answer for each question: the resolver itself does not ask again.
    let ran = deploy(&project, "timeout:25 attempts:1", &["-D", "failure_limit:1", "-D", "connect_timeout:20"]).ends(0);
    assert_eq!(*most.lock().unwrap(), 16);
    let ran =
        ran.says("silent1.farm.test").says("cannot resolve silent1.farm.test: no answer from a name server within");
    for n in 2..18 {
        assert_eq!(Links::of(&farm, n - 1), Links::finalized(&revision), "host {}, {ran:?}", address(n - 1));
    }
    // Jump hosts' names are names like any other: a silent one holds up the hosts behind it, and nobody else.
    let jump = |host: &str| format!("root@{host}.farm.test:{}", farm.port);
    project.write(
        ".git/ssh_config",
        &format!(
            "Host 127.0.0.40\n  ProxyJump {}\nHost 127.0.0.41\n  ProxyJump {}\nHost *\n  UserKnownHostsFile {} {}\n  \
         IdentityFile {}\n  IdentitiesOnly yes\n",
            jump("silent1"),
            jump("host5"),
            project.path(".git/known_hosts").display(),
            farm.known_hosts().display(),
            farm.key().display(),
        ),
    );
    project.write("hoist/default", "127.0.0.40\n127.0.0.41\n");
    let config = std::fs::read_to_string(project.path("hoist/hoist.cfg")).unwrap();
    let own = |line: &&str| !line.starts_with("known_hosts") && !line.starts_with("identity_file");
    let kept: String = config.lines().filter(own).map(|line| format!("{line}\n")).collect();
    project.write("hoist/hoist.cfg", &kept);
    project.configure(&format!("ssh_config: {}", project.path(".git/ssh_config").display()));
    let revision = project.commit("jump hosts");
    let arguments = ["-D", "failure_limit:1", "-D", "connect_timeout:5"];
    let ran = deploy(&project, "timeout:8 attempts:1", &arguments).ends(0).says("cannot resolve silent1.farm.test");
    assert_eq!(Links::of(&farm, 40), Links::finalized(&revision), "{ran:?}");
    project.write("hoist/hoist.cfg", &config);
    // So many that nobody answers for that they take all threads: what can be done is done, and in good time.
    let began = Instant::now();
    let mut hosts: Vec<String> = (1..260).map(|n| format!("silent{n}")).collect();
    hosts.push("host3".to_owned());
    project.write("hoist/default", &hosts.iter().map(|host| format!("{host}.farm.test\n")).collect::<String>());
    let revision = project.commit("silence");
    let arguments = ["-D", "failure_limit:100%", "-D", "connect_timeout:2", "-D", "batch_size:300"];
    let ran = deploy(&project, "timeout:3 attempts:1", &arguments);
    assert_eq!(Links::of(&farm, 2), Links::finalized(&revision), "{ran:?}");
    assert!(began.elapsed() < Duration::from_secs(120), "{:?}", began.elapsed());
}
