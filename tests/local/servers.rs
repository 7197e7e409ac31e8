//! Git servers by http, as they are when all is well and when it is not, and a proxy on the way to them.

use std::fs;
use std::path::Path;

use hoist::wire::{Fault, Fetch, Revision, Source, Stage, StageRequest, SubmoduleSource};

use crate::harness::*;
use crate::http::{Manner, Proxy, Server};

fn by(target: &Target, run: &str, revision: &Revision, address: &str, proxy: Option<&str>) -> StageRequest {
    let url = format!("http://{address}/source/.git");
    let source = Source { url, reference: "refs/heads/main".to_owned(), proxy: proxy.map(str::to_owned) };
    let fetch = Some(Fetch {
        pack_bytes: None,
        shallow: Vec::new(),
        source: Some(source),
        rebuild: false,
        ..Default::default()
    });
    StageRequest { fetch, ..target.request(run, revision) }
}

fn fetch(request: &StageRequest) -> Reply {
    call(&asked(request, Stage::Fetch, 0), b"")
}

/// A target with one revision, from the server, and a second one to be fetched.
fn with_one(manner: Manner) -> (Target, Server, Revision, Revision) {
    let target = Target::new();
    let one = target.commit(&[("a", "1"), ("same", "x")]);
    let server = Server::start(target.dir.path(), Manner::Smart);
    fetch(&by(&target, "r1", &one, &server.address(), None)).ok();
    run(&target.request("r1", &one), Stage::Promote).ok();
    let noise: String = (0..4000).map(|n: u32| format!("{:x}", n.wrapping_mul(2654435761))).collect();
    let two = target.commit(&[("a", &noise)]);
    git(&target.source(), &["update-server-info"]);
    let server = Server::start(target.dir.path(), manner);
    (target, server, one, two)
}

/// The state of a target whose fetch failed: as it was, without a leftover.
fn is_untouched(target: &Target, one: &Revision, two: &Revision) {
    let facts = target.facts(&target.request("r9", two));
    assert_eq!((facts.state.current.as_ref(), &facts.cached), (Some(one), &vec![one.clone()]));
    assert!(!target.rev(two).exists());
}

#[test]
fn a_server_by_http_is_fetched_from_be_it_smart_dumb_or_slow() {
    for manner in [Manner::Smart, Manner::Dumb, Manner::Slow] {
        let (target, server, one, two) = with_one(manner);
        fetch(&by(&target, "r2", &two, &server.address(), None)).ok();
        assert!(!server.log().is_empty());
        assert_eq!(git(&target.rev(&two), &["status", "--porcelain"]), "");
        git(&target.rev(&two), &["fsck", "--no-dangling"]);
        let facts = target.facts(&target.request("r3", &two));
        assert!(facts.cached.contains(&one) && facts.cached.contains(&two), "{manner:?}: {facts:?}");
        assert_eq!(git(&target.cache(), &["for-each-ref", "refs/hoist-incoming"]), "");
    }
}

#[test]
fn a_server_that_has_nothing_or_wants_a_password_is_told_as_that_and_the_cache_is_not_to_blame() {
    for (manner, words) in [(Manner::Lost, "not found"), (Manner::Locked, "Authentication failed")] {
        let (target, server, one, two) = with_one(manner);
        let reply = fetch(&by(&target, "r2", &two, &server.address(), None));
        assert!(reply.reason().contains(words), "{manner:?}: {reply:?}");
        is_untouched(&target, &one, &two);
    }
    let (target, _, one, two) = with_one(Manner::Smart);
    let mut request = by(&target, "r2", &two, "", None);
    request.fetch.as_mut().unwrap().source.as_mut().unwrap().url = "file:///nowhere/at/all".to_owned();
    assert!(fetch(&request).reason().contains("git fetch"));
    is_untouched(&target, &one, &two);
}

/// Nothing has changed, and a server that is as it should be is fetched from.
#[track_caller]
fn goes_well_next_time(target: &Target, one: &Revision, two: &Revision) {
    is_untouched(target, one, two);
    let server = Server::start(target.dir.path(), Manner::Smart);
    fetch(&by(target, "r9", two, &server.address(), None)).ok();
}

#[test]
fn a_server_that_is_down_or_breaks_off_fails_the_fetch_and_the_next_try_goes_well() {
    let (target, server, one, two) = with_one(Manner::Breaks);
    assert!(fetch(&by(&target, "r2", &two, "127.0.0.1:1", None)).reason().contains("Failed to connect"));
    is_untouched(&target, &one, &two);
    let reply = fetch(&by(&target, "r3", &two, &server.address(), None));
    assert!(reply.reason().contains("git fetch"), "{reply:?}");
    goes_well_next_time(&target, &one, &two);
}

#[test]
fn a_server_that_stalls_is_given_up_when_the_stages_time_is_over() {
    let (target, server, one, two) = with_one(Manner::Stalls);
    let request = within(2, by(&target, "r2", &two, &server.address(), None));
    assert_eq!(fetch(&request).ended().0, &Err(Fault::TimedOut { seconds: 2 }));
    goes_well_next_time(&target, &one, &two);
}

#[test]
fn a_fetch_goes_through_the_proxy_whatever_the_targets_own_environment_says() {
    let (target, server, _, two) = with_one(Manner::Smart);
    let proxy = Proxy::start(None, "nobody's secret");
    let address = format!("http://127.0.0.1:{}", proxy.port);
    let elsewhere = [("no_proxy", "*"), ("NO_PROXY", "127.0.0.1"), ("http_proxy", "http://127.0.0.1:1")];
    let elsewhere = [&elsewhere[..], &[("all_proxy", "http://127.0.0.1:1")]].concat();
    let request = by(&target, "r2", &two, &server.address(), Some(&address));
    reply(spawn_with(&asked(&request, Stage::Fetch, 0), &elsewhere)).ok();
    assert_eq!(proxy.log().len(), server.log().len());
    assert!(proxy.log()[0].starts_with(&format!("GET http://{}/source/.git/info/refs", server.address())));
    // For https a proxy only makes the connection.
    let mut request = by(&target, "r3", &two, "", Some(&address));
    request.fetch.as_mut().unwrap().source.as_mut().unwrap().url = "https://127.0.0.1:1/x/.git".to_owned();
    assert!(!reply(spawn_with(&asked(&request, Stage::Fetch, 0), &elsewhere)).reason().is_empty());
    assert_eq!(proxy.log().last().unwrap(), "CONNECT 127.0.0.1:1 HTTP/1.1");
}

#[test]
fn a_proxys_password_opens_it_and_is_in_no_answer_and_no_argument() {
    // `me:hunter2`, and what that is in base64.
    let credentials = Some("bWU6aHVudGVyMg==");
    let (target, server, one, two) = with_one(Manner::Slow);
    let proxy = Proxy::start(credentials, "hunter2");
    let through = |secret: &str, port: u16| Some(format!("http://me:{secret}@127.0.0.1:{port}"));
    let run = |run: &str, proxy: Option<String>| {
        let request = by(&target, run, &two, &server.address(), proxy.as_deref());
        fetch(&request)
    };
    let wrong = run("r2", through("secret0", proxy.port));
    assert!(wrong.reason().contains("407"), "{wrong:?}");
    is_untouched(&target, &one, &two);
    let down = run("r3", through("secret0", 1));
    assert!(down.reason().contains("git fetch"), "{down:?}");
    let right = run("r4", through("hunter2", proxy.port)).ok();
    assert!(!proxy.log().is_empty());
    assert_eq!(proxy.exposed(), [""; 0]);
    for said in [wrong, down, right] {
        assert!(!format!("{said:?}").contains("secret0") && !format!("{said:?}").contains("hunter2"), "{said:?}");
    }
    assert_eq!(files_with(&target.root(), "hunter2"), [""; 0]);
}

#[test]
fn submodules_of_the_git_server_come_by_the_proxy_too_and_its_password_is_in_no_answer() {
    let target = Target::new();
    let inner = target.commit(&[("code", "inner")]);
    let source = target.source();
    git(&source, &["clone", "-q", "--bare", ".", ".git/modules/m"]);
    target.commit(&[(".gitmodules", "[submodule \"m\"]\n\tpath = lib\n\turl = https://example.org/m\n")]);
    git(&source, &["update-index", "--add", "--cacheinfo", &format!("160000,{inner},lib")]);
    // The commit of the submodule is in no history of the superproject's.
    let tree = git(&source, &["write-tree"]);
    let one: Revision = git(&source, &["commit-tree", "-m", "one", &tree]).parse().unwrap();
    git(&source, &["update-ref", "refs/heads/main", one.as_str()]);
    let server = Server::start(target.dir.path(), Manner::Smart);
    let proxy = Proxy::start(Some("bWU6aHVudGVyMg=="), "hunter2");
    let run = |run: &str, address: String| {
        // What the superproject is fetched by is right in any case.
        let right = format!("http://me:hunter2@127.0.0.1:{}", proxy.port);
        let mut request = by(&target, run, &one, &server.address(), Some(&right));
        let url = request.fetch.as_ref().unwrap().source.as_ref().unwrap().url.clone();
        request.extras.submodules = Some(SubmoduleSource::Server { url, proxy: Some(address) });
        fetch(&request)
    };
    let wrong = run("r1", format!("http://me:secret0@127.0.0.1:{}", proxy.port));
    assert!(wrong.reason().contains("407") && wrong.reason().contains("submodule lib"), "{wrong:?}");
    let right = run("r2", format!("http://me:hunter2@127.0.0.1:{}", proxy.port)).ok();
    assert!(proxy.log().iter().any(|line| line.contains("/.git/modules/m/info/refs")), "{:?}", proxy.log());
    assert_eq!(fs::read(target.rev(&one).join("lib/code")).unwrap(), b"inner");
    assert_eq!(proxy.exposed(), [""; 0]);
    for said in [wrong, right] {
        assert!(!format!("{said:?}").contains("secret0") && !format!("{said:?}").contains("hunter2"), "{said:?}");
    }
}

fn files_with(folder: &Path, word: &str) -> Vec<String> {
    let output = std::process::Command::new("grep").args(["-rlF", word]).arg(folder).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}
