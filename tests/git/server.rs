use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::http::{Manner, Server};
use super::{Farm, Links, Project, all_on, commit, git, live, text};
use crate::common::{self, Ran};

/// A web server of plain files, which knows nothing of git.
struct Files {
    port: u16,
}

/// How many files were served, to any test.
static SERVED: AtomicUsize = AtomicUsize::new(0);

impl Files {
    fn serve(folder: &Path) -> Files {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let folder = folder.to_owned();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let folder = folder.clone();
                std::thread::spawn(move || answer(stream, &folder));
            }
        });
        Files { port }
    }
}

fn answer(mut stream: TcpStream, folder: &Path) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let Some(Ok(request)) = lines.next() else { return };
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let path = request.split(' ').nth(1).unwrap_or("/").split('?').next().unwrap().replace("%20", " ");
    let path: PathBuf = folder.join(path.trim_start_matches('/'));
    let (status, content) = match std::fs::read(&path) {
        Ok(content) => ("200 OK", content),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    SERVED.fetch_add(1, Ordering::Relaxed);
    let head = format!("HTTP/1.0 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", content.len());
    let _ = stream.write_all(&[head.as_bytes(), &content].concat());
}

#[test]
fn plain_files_over_http_serve_the_repository_and_its_submodules() {
    let (farm, project) = Project::on_farm(0, 2);
    let lib = tempfile::tempdir().unwrap();
    commit(lib.path(), &[("code", "lib one\n")]);
    // A name that has to be encoded, and a commit that is no branch's any more.
    let add = ["submodule", "--quiet", "add", "--name", "the lib", lib.path().to_str().unwrap(), "vendor/lib"];
    git(&project.path(""), &add);
    commit(&project.path("vendor/lib"), &[("code", "of this checkout alone\n")]);
    let server = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(project.path(""), server.path().join("app")).unwrap();
    let files = Files::serve(server.path());
    project.configure(&format!("git_submodules: True\ngit_server: 127.0.0.1:{}", files.port));
    let one = project.commit("by http");
    project.run(&["deploy", "--init"]).ends(0).says("app is ready");
    assert!(project.path(".git/info/refs").exists() && project.path(".git/modules/the lib/info/refs").exists());
    let before = SERVED.load(Ordering::Relaxed);
    project.deploy(&[]).ends(0);
    all_on(&farm, 2, &one);
    assert!(SERVED.load(Ordering::Relaxed) > before);
    assert_eq!(text(&live(&farm, 1).join("vendor/lib/code")), "of this checkout alone\n");
}

#[test]
fn init_prepares_a_repository_and_finds_what_a_deployment_would_lack() {
    let (farm, project) = Project::on_farm(0, 1);
    project.run(&["deploy", "--init"]).ends(0);
    assert!(!project.path(".git/info/refs").exists(), "nobody reads it without a server");
    project.git(&["add", "-A"]);
    assert_eq!(project.git(&["status", "--porcelain"]), "", "the log's folder keeps itself out");
    let lib = tempfile::tempdir().unwrap();
    commit(lib.path(), &[]);
    git(&project.path(""), &["submodule", "--quiet", "add", lib.path().to_str().unwrap(), "lib"]);
    project.configure("git_submodules: True");
    project.commit("with a submodule");
    std::fs::remove_dir_all(project.path(".git/modules")).unwrap();
    project.run(&["deploy", "--init"]).ends(2).says("submodule lib of");
    assert_eq!(Links::of(&farm, 0), Links::default());
}

#[test]
fn a_repository_of_scaps_goes_on_with_scaps_tags() {
    let (_farm, project) = Project::on_farm(0, 1);
    std::fs::rename(project.path("hoist"), project.path("scap")).unwrap();
    std::fs::rename(project.path("scap/hoist.cfg"), project.path("scap/scap.cfg")).unwrap();
    let file = project.path("scap/scap.cfg");
    let lock = project.path(".git/scap.lock");
    std::fs::write(&file, format!("{}tags_to_keep: 3\nlock_file: {}\n", text(&file), lock.display())).unwrap();
    let one = project.commit("as scap has it");
    for old in ["2016-12-02/0001", "2016-12-02/0002", "2016-12-02/0003"] {
        project.git(&["tag", "-a", "-m", "by scap", &format!("scap/sync/{old}")]);
    }
    project.deploy(&["by hoist"]).ends(0);
    let tags = project.git(&["tag", "-l", "--sort=refname"]);
    let tags: Vec<&str> = tags.lines().collect();
    let today = tags[2].strip_prefix("scap/sync/").and_then(|tag| tag.strip_suffix("/0001"));
    assert!(today.is_some_and(|day| day.len() == 10), "{tags:?}");
    assert_eq!(tags[..2], ["scap/sync/2016-12-02/0002", "scap/sync/2016-12-02/0003"], "the oldest made room");
    assert_eq!(project.git(&["rev-parse", &format!("{}^{{commit}}", tags[2])]), one);
    // What Scap itself tagged today counts too.
    project.git(&["tag", &format!("scap/sync/{}/0007", today.unwrap())]);
    project.deploy(&["-f"]).ends(0);
    assert!(project.git(&["tag", "-l"]).contains(&format!("{}/0008", today.unwrap())));
}

#[test]
fn stages_may_be_run_one_by_one_and_only_the_fetch_needs_the_submodules_here() {
    let (farm, project) = Project::on_farm(0, 1);
    let lib = tempfile::tempdir().unwrap();
    commit(lib.path(), &[("code", "lib\n")]);
    git(&project.path(""), &["submodule", "--quiet", "add", lib.path().to_str().unwrap(), "lib"]);
    project.configure("git_submodules: True");
    let one = project.commit("with a submodule");
    project.deploy(&["-s", "fetch"]).ends(0);
    assert_eq!(Links::of(&farm, 0).current, None);
    std::fs::remove_dir_all(project.path(".git/modules")).unwrap();
    std::fs::remove_dir_all(project.path("lib")).unwrap();
    project.deploy(&["-s", "fetch"]).ends(2).says("submodule lib of");
    project.deploy(&["-s", "promote,finalize"]).ends(0);
    all_on(&farm, 1, &one);
    assert_eq!(text(&live(&farm, 0).join("lib/code")), "lib\n");
}

/// The files below the project and the farm that hold a word.
fn files_with(farm: &Farm, project: &Project, word: &str) -> String {
    let mut grep = std::process::Command::new("grep");
    let found = grep.args(["-rlF", word]).args([project.path(""), farm.path("")]).output().unwrap();
    String::from_utf8(found.stdout).unwrap()
}

#[test]
fn a_password_typed_on_the_command_line_is_kept_nowhere_and_a_resume_asks_for_it_again() {
    let (farm, project) = Project::on_farm(0, 2);
    let root = project.served();
    let server = Server::start(root.path(), Manner::Guarded);
    let server_of = |login: &str| format!("git_server:{login}@{}", server.address());
    let right = server_of("me:hunter2");
    let silent = |ran: &Ran| assert!(!ran.out.contains("hunter") && !ran.err.contains("hunter"), "{ran:?}");

    let wrong = project.deploy(&["-v", "--format=json", "-D", &server_of("me:hunter3")]).ends(1);
    silent(&wrong.says("Authentication failed"));
    silent(&project.run(&["plan", "-D", "git_server:https://me:hunter2@git"]).ends(2).says("https://…@git"));

    project.check("waits", "promote", common::WAITS);
    let one = project.commit("one");
    common::kill_at_check(&farm, &project, &["deploy", "--yes", "-D", &right], 2);
    let again = format!("-D git_server:USER:PASSWORD@{}", server.address());
    silent(&project.deploy(&[]).ends(6).says(&format!("-D 'git_server:…@{}'", server.address())));
    for command in ["resume", "rollback"] {
        let refused = project.run(&[command, "--yes"]).ends(2);
        silent(&refused.says("the password in git_server").says(&format!("`hoist {command} {again}`")));
        let copied = project.run(&[command, "--yes", "-D", &server_of("…")]).ends(2);
        silent(&copied.says("the … in -D git_server:…@").says(&again));
    }
    silent(&project.run(&["resume", "--yes", "-v", "-D", &right]).ends(0));
    all_on(&farm, 2, &one);
    // The operator's own command line is the operator's.
    let exposed = server.exposed();
    assert!(exposed.iter().all(|line| line.contains("hoist deploy ")), "{exposed:?}");

    // A name alone is a token, by http.
    silent(&project.deploy(&["-f", "-D", &server_of("hunter2")]).ends(1));
    assert_eq!(files_with(&farm, &project, "hunter"), "");
}
