//! What a stage costs its target: the processes that it starts. `make bench PARTS=target` has the rest.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use hoist::wire::{DescribingTag, DescribingTags, Fetch, Request, Revision, Stage, StageRequest};

use crate::git::git;
use crate::harness::{Reply, Target, asked, in_run, probe, reply, spawn_with};
use crate::kernel::{own_calls, traced};

/// Programs by name, as a stage finds them: each is logged and then run.
struct Programs {
    folder: PathBuf,
    log: PathBuf,
}

impl Programs {
    fn new(target: &Target) -> Programs {
        let (folder, log) = (target.dir.path().join("programs"), target.dir.path().join("programs.log"));
        fs::create_dir(&folder).unwrap();
        for name in ["git", "sh", "env", "stat", "id", "systemctl", "sudo"] {
            let path = folder.join(name);
            let text = format!(
                "#!/bin/sh\necho {name} \"$@\" >>{}\nPATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin exec {name} \"$@\"\n",
                log.display()
            );
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Programs { folder, log }
    }

    /// What a request has run: of git the subcommand, of others the name.
    #[track_caller]
    fn of(&self, request: &Request, pack: &[u8]) -> (Reply, Vec<String>) {
        let path = format!("{}:{}", self.folder.display(), std::env::var("PATH").unwrap());
        let _ = fs::remove_file(&self.log);
        let mut child = spawn_with(request, &[("PATH", &path)]);
        let _ = child.stdin.take().unwrap().write_all(pack);
        let reply = reply(child);
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let name = |line: &str| {
            let mut words = line.split(' ');
            let program = words.next().unwrap();
            let mut previous = "";
            let subcommand = words.find(|word| {
                let is_option = word.starts_with('-') || previous == "-c";
                previous = word;
                !is_option
            });
            match (program, subcommand) {
                ("git", Some(subcommand)) => format!("git {subcommand}"),
                _ => program.to_owned(),
            }
        };
        (reply, log.lines().map(name).collect())
    }

    #[track_caller]
    fn of_stage(&self, request: &StageRequest, stage: Stage) -> Vec<String> {
        let (reply, programs) = self.of(&asked(request, stage, 0), b"");
        reply.ok();
        programs
    }

    #[track_caller]
    fn of_fetch(&self, target: &Target, request: &StageRequest, have: &[&Revision]) -> Vec<String> {
        let pack = target.pack(&request.revision, have);
        // As a deployer sends it: the newest commits, without those before them.
        let shallow = if have.is_empty() { vec![request.revision.clone()] } else { Vec::new() };
        let describing = Some(describing(target, &request.revision));
        let fetch = Some(Fetch { pack_bytes: Some(pack.len() as u64), shallow, describing, ..Fetch::default() });
        let (reply, programs) = self.of(&asked(&StageRequest { fetch, ..request.clone() }, Stage::Fetch, 0), &pack);
        reply.ok();
        programs
    }

    #[track_caller]
    fn of_probe(&self, request: &StageRequest) -> Vec<String> {
        self.of(&Request::Probe(probe(request)), b"").1
    }
}

/// The tag of a deployment, as a deployer sends it.
fn describing(target: &Target, revision: &Revision) -> DescribingTags {
    let name = format!("hoist/sync/{}", revision.short());
    git(&target.source(), &["tag", "-a", "-m", "deploy", &name, revision.as_str()]);
    let object: Revision = git(&target.source(), &["rev-parse", &format!("refs/tags/{name}")]).parse().unwrap();
    let pack = target.pack(&object, &[revision]).iter().map(|byte| format!("{byte:02x}")).collect();
    DescribingTags { tags: vec![DescribingTag { name, object, commit: revision.clone() }], pack }
}

#[test]
fn no_stage_starts_more_programs_than_it_needs() {
    let (target, one, request) = Target::with_one();
    let programs = Programs::new(&target);
    assert_eq!(programs.of_probe(&request), [""; 0]);
    assert_eq!(programs.of_fetch(&target, &request, &[]), ["git index-pack", "git checkout"]);
    assert_eq!(git(&target.rev(&one), &["describe"]), format!("hoist/sync/{}", one.short()));
    assert_eq!(programs.of_stage(&request, Stage::ConfigDeploy), [""; 0]);
    // The service's command names its shell by an absolute path.
    assert_eq!(programs.of_stage(&request, Stage::Promote), [""; 0]);
    assert_eq!(target.logged().len(), 1);
    assert_eq!(programs.of_stage(&request, Stage::Finalize), [""; 0]);

    let two = target.commit(&[("a", "2")]);
    let request = StageRequest { cache_revs: 1, ..target.request("r2", &two) };
    assert_eq!(programs.of_probe(&request), [""; 0]);
    let fetched = programs.of_fetch(&target, &request, &[&one]);
    assert_eq!(fetched, ["git index-pack", "git rev-list", "git checkout"]);
    assert_eq!(programs.of_stage(&request, Stage::Promote), [""; 0]);
    let back = StageRequest { restore: Some(one.clone()), ..request.clone() };
    assert_eq!(programs.of_stage(&back, Stage::Rollback), [""; 0]);
    assert_eq!(target.logged().len(), 3, "one restart a stage that changes what is live: {:?}", target.logged());

    // A tree is removed, and with it the ref that keeps its objects.
    for (run, number) in [("r3", 3), ("r4", 4)] {
        let revision = target.commit(&[("a", &number.to_string())]);
        let request = in_run(run, StageRequest { cache_revs: 1, ..target.request(run, &revision) });
        programs.of_fetch(&target, &request, &[&one]);
        assert_eq!(programs.of_stage(&request, Stage::Promote), [""; 0]);
        assert_eq!(programs.of_stage(&request, Stage::Finalize), [""; 0], "{run}");
    }
    let refs = git(&target.cache(), &["for-each-ref", "--format=%(refname)"]);
    assert!(refs.lines().count() < 4 && !target.rev(&two).exists(), "{refs}");
}

#[test]
fn promote_finalize_and_rollback_are_one_process_beside_the_service() {
    if std::process::Command::new("strace").arg("-V").output().is_err() {
        eprintln!("there is no strace; nothing is tested");
        return;
    }
    let (target, one, request) = Target::with_one();
    let log = target.dir.path().join("strace.log");
    // Processes that the stage starts, threads aside.
    let started = |request: &StageRequest, stage: Stage| {
        traced(&log, &["-e", "trace=execve,clone,clone3,fork,vfork"], &asked(request, stage, 0), b"").ok();
        let text = fs::read_to_string(&log).unwrap();
        fs::remove_file(&log).unwrap();
        let is_birth = |call: &&str| ["clone", "fork", "vfork"].iter().any(|name| call.starts_with(name));
        let births: Vec<String> = own_calls(&text).into_iter().filter(is_birth).map(str::to_owned).collect();
        births.into_iter().filter(|call| !call.contains("CLONE_THREAD")).collect::<Vec<_>>()
    };
    let fetch = |request: &StageRequest, have: &[&Revision]| {
        let pack = target.pack(&request.revision, have);
        let fetch = Some(Fetch { pack_bytes: Some(pack.len() as u64), ..Fetch::default() });
        let request = StageRequest { fetch, ..request.clone() };
        let mut child = spawn_with(&asked(&request, Stage::Fetch, 0), &[]);
        let _ = child.stdin.take().unwrap().write_all(&pack);
        reply(child).ok();
    };
    fetch(&request, &[]);
    for (stage, services) in [(Stage::Promote, 1), (Stage::Finalize, 0)] {
        let births = started(&request, stage);
        assert_eq!(births.len(), services, "{stage}: {births:#?}");
    }
    let two = target.commit(&[("a", "2")]);
    let request = target.request("r2", &two);
    fetch(&request, &[&one]);
    let back = StageRequest { restore: Some(one.clone()), ..request.clone() };
    for (request, stage) in [(&request, Stage::Promote), (&back, Stage::Rollback)] {
        let births = started(request, stage);
        assert_eq!(births.len(), 1, "{stage}: {births:#?}");
    }
}
