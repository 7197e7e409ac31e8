//! A target in a folder of its own, a repository to deploy from, and what a deployer would say.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use hoist::timings::Parts;
use hoist::wire::{
    Ask, Check, CheckPoint, CheckType, ConfigFile, Facts, Fault, Fetch, Header, Holder, LargeFile, Level, Outcome,
    PROTOCOL, Preflight, Probe, ProbedDeployment, Recorded, Request, Revision, Run, Service, ServiceName, Stage,
    StageRequest, State, TargetEvent, Tries,
};

/// The build that targets get.
pub const HOIST: &str = env!("CARGO_BIN_EXE_hoist-for-targets");

pub use crate::git::git;

pub struct Target {
    pub dir: tempfile::TempDir,
    pub base: PathBuf,
}

/// What came of a call.
#[derive(Debug)]
pub struct Reply {
    pub status: Option<i32>,
    pub events: Vec<TargetEvent>,
    pub errors: String,
}

impl Reply {
    pub fn ended(&self) -> (&Outcome, Option<&State>) {
        match self.events.last() {
            Some(TargetEvent::Ended { outcome, state }) => (outcome, state.as_ref()),
            _ => panic!("no end: {self:?}"),
        }
    }

    #[track_caller]
    pub fn ok(self) -> Reply {
        assert_eq!(self.ended().0, &Ok(()), "{self:#?}");
        assert_eq!(self.status, Some(0));
        assert_eq!(self.errors, "");
        self
    }

    /// Where its time went, as it says.
    #[track_caller]
    pub fn parts(&self) -> Parts {
        let mut told = self.events.iter().filter_map(|event| match event {
            TargetEvent::Timings { parts } => Some(parts.clone()),
            _ => None,
        });
        told.next_back().unwrap()
    }

    pub fn reason(&self) -> &str {
        assert_eq!(self.status, Some(1));
        match self.ended().0 {
            Err(Fault::Failed { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    }

    pub fn state(&self) -> &State {
        self.ended().1.expect("it was read back")
    }

    pub fn lines(&self, least: Level) -> Vec<&str> {
        let lines = self.events.iter().filter_map(|event| match event {
            TargetEvent::Line(line) => Some(line),
            _ => None,
        });
        lines.filter(|line| line.level >= least).map(|line| line.message.as_str()).collect()
    }

    #[track_caller]
    pub fn says(&self, part: &str) {
        assert!(self.lines(Level::Info).iter().any(|line| line.contains(part)), "{part:?} is not in {self:#?}");
    }
}

impl Target {
    pub fn new() -> Target {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().to_owned();
        Target::at(dir, base)
    }

    pub fn at(dir: tempfile::TempDir, base: PathBuf) -> Target {
        let target = Target { dir, base };
        fs::create_dir_all(target.source()).unwrap();
        git(&target.source(), &["init", "-q"]);
        target
    }

    /// A target that nothing was deployed to, a revision, and a request to deploy it in the run `r1`.
    pub fn with_one() -> (Target, Revision, StageRequest) {
        let target = Target::new();
        let one = target.commit(&[("a", "1")]);
        let request = target.request("r1", &one);
        (target, one, request)
    }

    /// The same, with the revision fetched.
    pub fn fetched() -> (Target, Revision, StageRequest) {
        let (target, one, request) = Target::with_one();
        target.fetch(&request).ok();
        (target, one, request)
    }

    /// A target with a revision deployed, that revision, the next one, and a request to deploy it in the run `r2`.
    pub fn with_two() -> (Target, Revision, Revision, StageRequest) {
        let (target, one, request) = Target::with_one();
        target.deploy(&request);
        let two = target.commit(&[("a", "2")]);
        let request = target.request("r2", &two);
        (target, one, two, request)
    }

    /// Fetches a revision and makes it the live one.
    #[track_caller]
    pub fn promote(&self, request: &StageRequest) {
        self.fetch(request).ok();
        run(request, Stage::Promote).ok();
    }

    pub fn source(&self) -> PathBuf {
        self.dir.path().join("source")
    }

    pub fn deploy_dir(&self) -> PathBuf {
        self.base.join("srv")
    }

    pub fn live(&self) -> PathBuf {
        self.deploy_dir().join("group/app")
    }

    pub fn root(&self) -> PathBuf {
        self.deploy_dir().join("group/app-cache")
    }

    pub fn rev(&self, revision: &Revision) -> PathBuf {
        self.root().join("revs").join(revision.as_str())
    }

    pub fn cache(&self) -> PathBuf {
        self.root().join("cache/.git")
    }

    /// A file that the target's services and checks write to.
    pub fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    pub fn logged(&self) -> Vec<String> {
        fs::read_to_string(self.log()).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    pub fn forget_log(&self) {
        let _ = fs::remove_file(self.log());
    }

    /// Commits files; a name that ends in `!` is executable.
    pub fn commit(&self, files: &[(&str, &str)]) -> Revision {
        for (name, text) in files {
            let path = self.source().join(name.trim_end_matches('!'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            if name.ends_with('!') {
                fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            }
        }
        git(&self.source(), &["add", "-A"]);
        git(&self.source(), &["commit", "-q", "--allow-empty", "-m", "a change"]);
        git(&self.source(), &["rev-parse", "HEAD"]).parse().unwrap()
    }

    /// A pack of what a revision needs beside `have`.
    pub fn pack(&self, revision: &Revision, have: &[&Revision]) -> Vec<u8> {
        let mut child = Command::new("git")
            .args(["pack-objects", "--stdout", "--revs", "--thin", "--quiet"])
            .current_dir(self.source())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut wanted = format!("{revision}\n");
        have.iter().for_each(|have| wanted.push_str(&format!("^{have}\n")));
        child.stdin.take().unwrap().write_all(wanted.as_bytes()).unwrap();
        child.wait_with_output().unwrap().stdout
    }

    pub fn request(&self, run: &str, revision: &Revision) -> StageRequest {
        let log = self.log().display().to_string();
        let header = Header {
            protocol: PROTOCOL,
            holder: Holder {
                run: run.parse().unwrap(),
                user: "ada".to_owned(),
                host: "deploy1".to_owned(),
                pid: 7,
                since: "2026-01-01T00:00:00Z".to_owned(),
                message: String::new(),
            },
            repo: "group/app".to_owned(),
            deploy_dir: self.deploy_dir(),
            control_dir: "hoist".to_owned(),
            umask: Some(0o002),
            timeout: 60,
            timings: false,
        };
        StageRequest {
            nrpe_dir: self.dir.path().join("nrpe.d"),
            service: Service {
                names: vec![ServiceName {
                    name: "app".to_owned(),
                    action: "restart".to_owned(),
                    disable_secondary: false,
                }],
                secondary_file: self.dir.path().join("secondary"),
                command: format!("/bin/sh -c 'echo {{action}} {{service}} >> {log}'"),
                require_valid: false,
                port: None,
                timeout: 5,
                ..Service::default()
            },
            host: "web1".to_owned(),
            link_files: true,
            ..crate::request::plain(header, "canary", revision.clone())
        }
    }

    /// An absolute configuration file of this target.
    pub fn etc(&self, name: &str) -> String {
        self.dir.path().join("etc").join(name).display().to_string()
    }

    /// Runs all stages of a deployment.
    pub fn deploy(&self, request: &StageRequest) {
        self.fetch(request).ok();
        for stage in [Stage::ConfigDeploy, Stage::Promote, Stage::Finalize] {
            run(request, stage).ok();
        }
    }

    /// Fetches with a pack of everything.
    pub fn fetch(&self, request: &StageRequest) -> Reply {
        self.fetch_pack(request, &self.pack(&request.revision, &[]), false)
    }

    pub fn fetch_pack(&self, request: &StageRequest, pack: &[u8], rebuild: bool) -> Reply {
        let mut request = request.clone();
        let pack_bytes = Some(pack.len() as u64);
        request.fetch = Some(Fetch { pack_bytes, shallow: Vec::new(), source: None, rebuild, ..Default::default() });
        call(&asked(&request, Stage::Fetch, 0), pack)
    }

    pub fn facts(&self, request: &StageRequest) -> Facts {
        facts(probe(request))
    }

    pub fn reads(&self, path: &str) -> String {
        fs::read_to_string(path).unwrap()
    }
}

/// The probe of a deployment.
pub fn probe(request: &StageRequest) -> Probe {
    let deployment = ProbedDeployment {
        revision: request.revision.clone(),
        restore: request.restore.clone(),
        cache_revs: request.cache_revs,
        kept: request.kept,
        extras: request.extras.clone(),
        large_files: Vec::new(),
        preflight: None,
    };
    Probe { header: request.header.clone(), deployment: Some(deployment), verify: false, services: None, confirm: None }
}

/// The first probe of a whole deployment, which looks ahead.
pub fn preflight_of(request: &StageRequest) -> Probe {
    let mut probe = probe(request);
    probe.deployment.as_mut().unwrap().preflight = Some(Box::new(Preflight {
        stages: [Stage::of_deployment(), vec![Stage::RestartService, Stage::Rollback]].concat(),
        service: request.service.clone(),
        checks: request.checks.clone(),
        scripts: Vec::new(),
        nrpe_dir: request.nrpe_dir.clone(),
        config_files: request.config_files.clone().unwrap_or_default(),
    }));
    probe
}

/// What a probe found of what later stages would fail at.
pub fn findings(reply: &Reply) -> Vec<(Level, String)> {
    match reply.events.as_slice() {
        [TargetEvent::Facts(facts)] => {
            facts.findings.iter().map(|finding| (finding.level, finding.message.clone())).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// The same, which also asks for large files.
pub fn probe_for(request: &StageRequest, large_files: Vec<LargeFile>) -> Probe {
    let mut probe = probe(request);
    probe.deployment.as_mut().unwrap().large_files = large_files;
    probe
}

/// The same request in another run.
pub fn in_run(run: &str, mut request: StageRequest) -> StageRequest {
    request.header.holder.run = run.parse().unwrap();
    request
}

/// The same request with so many seconds.
pub fn within(seconds: u64, mut request: StageRequest) -> StageRequest {
    request.header.timeout = seconds;
    request
}

pub fn facts(probe: Probe) -> Facts {
    match call(&Request::Probe(probe), b"").events.as_slice() {
        [TargetEvent::Facts(facts)] => (**facts).clone(),
        other => panic!("{other:?}"),
    }
}

pub fn asked(request: &StageRequest, stage: Stage, attempt: u32) -> Request {
    Request::Run(Box::new(Run { stage, attempt, secrets: None, request: request.clone() }))
}

/// Runs a stage.
pub fn run(request: &StageRequest, stage: Stage) -> Reply {
    call(&asked(request, stage, 0), b"")
}

/// Goes back to `restore`.
pub fn roll_back(request: &StageRequest, restore: Option<&Revision>) -> Reply {
    run(&StageRequest { restore: restore.cloned(), ..request.clone() }, Stage::Rollback)
}

pub fn recorded(request: &StageRequest, stage: Stage) -> Recorded {
    let request = Request::Ask(Ask { header: request.header.clone(), stage, attempt: 0 });
    match call(&request, b"").events.as_slice() {
        [TargetEvent::Recorded(recorded)] => recorded.clone(),
        other => panic!("{other:?}"),
    }
}

pub fn spawn(request: &Request) -> Child {
    spawn_with(request, &[])
}

/// As [`spawn`], with variables of its own in its environment.
pub fn spawn_with(request: &Request, environment: &[(&str, &str)]) -> Child {
    let mut command = Command::new(HOIST);
    command.arg("deploy-local").envs(environment.iter().copied());
    spawn_by(command, request)
}

/// As [`spawn`], by a command that becomes `hoist deploy-local`.
pub fn spawn_by(mut command: Command, request: &Request) -> Child {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let line = serde_json::to_string(request).unwrap() + "\n";
    let _ = child.stdin.as_mut().unwrap().write_all(line.as_bytes());
    child
}

pub fn call(request: &Request, pack: &[u8]) -> Reply {
    let mut child = spawn(request);
    // The target may fail before it reads the pack.
    let _ = child.stdin.take().unwrap().write_all(pack);
    reply(child)
}

pub fn reply(child: Child) -> Reply {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    Reply {
        status: output.status.code(),
        events: said(&text),
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The lines that come as the answer to a request.
pub fn lines_of(request: &Request) -> Vec<String> {
    let mut child = spawn(request);
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// What a target said, without its signs of life.
pub fn said(text: &str) -> Vec<TargetEvent> {
    let (mut events, mut whole) = (Vec::new(), String::new());
    for line in text.lines().filter(|line| !line.is_empty()) {
        match serde_json::from_str(line).unwrap() {
            TargetEvent::Alive => {}
            TargetEvent::Piece { json, last } => {
                whole.push_str(&json);
                if last {
                    events.push(serde_json::from_str(&std::mem::take(&mut whole)).unwrap());
                }
            }
            event => events.push(event),
        }
    }
    events
}

/// A probe that stays.
pub struct LockHolder {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl LockHolder {
    pub fn start(request: &StageRequest) -> LockHolder {
        LockHolder::start_with(probe(request))
    }

    pub fn start_with(probe: Probe) -> LockHolder {
        LockHolder::of(spawn(&Request::Probe(probe))).unwrap_or_else(|event| panic!("{event:?}"))
    }

    /// A probe that was started already. Without facts, what it says instead.
    pub fn of(mut child: Child) -> Result<LockHolder, Box<TargetEvent>> {
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut lock_holder = LockHolder { child, input, output };
        match lock_holder.next() {
            TargetEvent::Facts(_) => Ok(lock_holder),
            event => Err(Box::new(event)),
        }
    }

    pub fn next(&mut self) -> TargetEvent {
        loop {
            let mut line = String::new();
            self.output.read_line(&mut line).unwrap();
            if let Some(event) = said(&line).pop() {
                return event;
            }
            assert!(!line.is_empty(), "the lock holder has ended");
        }
    }

    pub fn hold(&mut self) -> TargetEvent {
        self.input.as_mut().unwrap().write_all(b"\"hold\"\n").unwrap();
        self.next()
    }

    pub fn input(&mut self) -> &mut ChildStdin {
        self.input.as_mut().unwrap()
    }

    /// The run has ended well.
    pub fn over(mut self) {
        assert_eq!(self.hold(), TargetEvent::Held);
        self.input().write_all(b"\"over\"\n").unwrap();
        assert_eq!(self.end(), Some(0));
    }

    /// The connection ends.
    pub fn end(mut self) -> Option<i32> {
        drop(self.input.take());
        self.child.wait().unwrap().code()
    }
}

pub fn check(name: &str, at: CheckPoint, command: &str) -> Check {
    let (name, command) = (name.to_owned(), command.to_owned());
    Check {
        name,
        kind: CheckType::Command,
        at,
        group: None,
        timeout: Duration::from_secs(30),
        tries: Tries::default(),
        command,
        shell: true,
    }
}

pub fn config_file(path: &str, template: &str) -> ConfigFile {
    let (path, template) = (path.to_owned(), template.to_owned());
    ConfigFile { path, template, ..ConfigFile::default() }
}

/// Every path below a folder, with what a link leads to and what a file holds.
pub fn snapshot(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let kind = entry.file_type().unwrap();
            if kind.is_symlink() {
                found.push(format!("{} -> {}", path.display(), fs::read_link(&path).unwrap().display()));
            } else if kind.is_dir() {
                found.push(path.display().to_string());
                folders.push(path);
            } else {
                let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                found.push(format!("{}: {text}", path.display()));
            }
        }
    }
    found.sort();
    found
}

/// Waits until something is so.
#[track_caller]
pub fn until(mut so: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("it never came");
}
