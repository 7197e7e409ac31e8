//! A fleet that runs a first revision, with a service and a configuration file; ways to stop and to break its hosts; and
//! what must be true whenever a command has ended.

use std::cell::RefCell;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::{self, CACHE, Farm, HOIST, Links, Project, address};
use crate::processes::{above, cmdline, kill_if_there, parent, proc_file};
use crate::running::{Running, Summary};
use crate::trace::Trace;

/// The stages of a deployment that goes well, in order.
pub const STAGES: [&str; 4] = ["fetch", "config_deploy", "promote", "finalize"];

const SETTINGS: &str = "config_deploy: True\nservice_name: web\nservice_command: /srv/bin/service {action} {service}\n\
                        keepalive: 1\nconnect_timeout: 5\nreconnect_timeout: 20";

/// It runs what was live when it was started, and asks the guard first, as a unit does.
const SERVICE: &str = "#!/bin/sh\nif [ \"$1\" = status ]; then ! cmp -s /srv/running /srv/breaks-service; exit; fi\n\
                       DOWN\nHOIST deploy-local -r app guard >/dev/null || exit 1\ncat /srv/deployment/app/index.html > /srv/running\n\
                       ! cmp -s /srv/running /srv/breaks-service || exit 1\nUP\n";

/// What a host looks like from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    pub links: Links,
    /// The revision's text that the service runs.
    pub running: Option<String>,
    /// The revision that the configuration link leads into.
    pub config: Option<String>,
}

/// What is deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Commits.
    Commit,
    /// A directory of them.
    Subdir,
    /// A directory that is no part of a commit, as far as Hoist knows.
    Artifact,
}

impl Source {
    /// What a path of the tree on targets begins with in the repository.
    fn folder(self) -> &'static str {
        match self {
            Source::Commit => "",
            Source::Subdir => "services/api/",
            Source::Artifact => "built/",
        }
    }

    /// The revision that is deployed of the last commit. In the repository, too, it then has that name.
    fn revision(self, project: &Project) -> String {
        if self == Source::Commit {
            return project.git(&["rev-parse", "HEAD"]);
        }
        let tree = project.git(&["rev-parse", &format!("HEAD:{}", self.folder())]);
        project.write(".git/artifact", &hoist::wire::artifact_commit(&tree));
        project.git(&["hash-object", "-w", "-t", "commit", ".git/artifact"])
    }
}

pub struct Scene {
    pub farm: Farm,
    pub project: Project,
    pub hosts: usize,
    /// The last revision that every host was brought to.
    pub stands: String,
    source: Source,
    /// What the hosts note of their services.
    pub trace: RefCell<Trace>,
    canary: usize,
    /// What the hosts looked like before the newest run, whichever commands end it.
    before_run: RefCell<Vec<Look>>,
    /// How each target is named, where that is not its address.
    names: Vec<String>,
    count: usize,
}

impl Scene {
    /// A fleet in two groups, of which each host is fully on a first revision.
    pub fn new(canary: usize, default: usize) -> Scene {
        let scene = Scene::bare(canary, default);
        scene.finish()
    }

    /// As [`Scene::new`] with nothing deployed yet, for a test that changes the hosts first.
    pub fn bare(canary: usize, default: usize) -> Scene {
        Scene::bare_of(Source::Commit, canary, default)
    }

    /// The same, which deploys something else than commits.
    pub fn bare_of(source: Source, canary: usize, default: usize) -> Scene {
        let (farm, project) = Project::on_farm(canary, default);
        let hosts = canary + default;
        let trace = Trace::new(farm.dir.path());
        // What is drained is noted ahead of a failure, and what is put back behind one.
        let (drain, undrain) = (trace.note("drain", "$HOIST_HOST"), trace.note("undrain", "$HOIST_HOST"));
        let fails = |part| format!("test ! -e /srv/do-{part} || . /srv/do-{part}");
        let drain = format!("drain: {drain}; {}\nundrain: {}; {undrain}", fails("drain"), fails("undrain"));
        project.configure(&format!("{SETTINGS}\n{}\n{drain}", trace.setting()));
        project.write("hoist/config-files.yaml", "/srv/etc/app.conf:\n  template: app.conf.j2\n");
        project.write("hoist/templates/app.conf.j2", "revision = {{ colour }}\n");
        project.write("hoist/vars.yaml", "colour: grey\n");
        let mut checks = String::from("checks:\n");
        for (at, stage) in [
            ("stage", "fetch"),
            ("stage", "config_deploy"),
            ("stage", "promote"),
            ("before", "finalize"),
            ("stage", "rollback"),
        ] {
            checks += &format!(
                "  wait-{stage}:\n    {at}: {stage}\n    shell: true\n    timeout: 120\n    command: \"test ! -e \
                 /srv/wait-{stage} || {{ echo $$ > /srv/in.tmp; mv /srv/in.tmp /srv/in-{stage}; while test -e \
                 /srv/wait-{stage}; do sleep 0.05; done; }}\"\n  fail-{stage}:\n    {at}: {stage}\n    shell: true\n    \
                 timeout: 120\n    command: \"test ! -e /srv/do-{stage} || . /srv/do-{stage}\"\n"
            );
        }
        checks += "  page:\n    stage: promote\n    shell: true\n    command: \"! cmp -s index.html /srv/broken\"\n";
        project.write("hoist/checks.yaml", &checks);
        project.write(&format!("{}index.html", source.folder()), "one\n");
        if source == Source::Subdir {
            project.configure(&format!("subdir: {}", source.folder()));
        }
        project.commit("first");
        let stands = source.revision(&project);
        let names = (0..hosts).map(address).collect();
        let trace = RefCell::new(trace);
        let before_run = RefCell::default();
        let scene = Scene { names, farm, project, hosts, stands, source, trace, canary, before_run, count: 0 };
        for n in 0..hosts {
            scene.farm.host(&address(n));
            let note = |word| scene.trace.borrow().note(word, &address(n));
            scene.put(
                n,
                "bin/service",
                &SERVICE.replace("DOWN", &note("down")).replace("UP", &note("up")).replace("HOIST", HOIST),
            );
            let path = scene.srv(n).join("bin/service");
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
        scene
    }

    /// How many hosts of each group may be out of service at once, as a percentage of it.
    pub fn allow(&self, percent: usize) {
        let mut trace = self.trace.borrow_mut();
        trace.allow(percent);
        self.project.configure(&trace.setting());
    }

    /// Brings every host to the first revision.
    pub fn finish(self) -> Scene {
        let summary = self.deploy(&[]);
        assert_eq!(summary.status, Some(0), "{summary:#?}");
        self.all_on(&self.stands, self.text_of(&self.stands).as_str());
        self
    }

    /// Names a target anew, in the one group there is.
    pub fn rename(&mut self, n: usize, name: String) {
        self.names[n] = name;
        self.project.write("hoist/default", &(self.names.join("\n") + "\n"));
    }

    pub fn srv(&self, n: usize) -> PathBuf {
        self.farm.host(&address(n)).join("srv")
    }

    /// Writes a file on a host.
    pub fn put(&self, n: usize, name: &str, text: &str) {
        let path = self.srv(n).join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn remove(&self, n: usize, name: &str) {
        let _ = std::fs::remove_file(self.srv(n).join(name));
    }

    /// A new revision to deploy.
    pub fn revision(&mut self) -> String {
        self.count += 1;
        self.project.write(&format!("{}index.html", self.source.folder()), &format!("revision {}\n", self.count));
        self.project.write("hoist/vars.yaml", &format!("colour: {}\n", self.count));
        self.project.commit("another");
        self.source.revision(&self.project)
    }

    pub fn text_of(&self, revision: &str) -> String {
        self.project.git(&["show", &format!("{revision}:index.html")]) + "\n"
    }

    /// A scene, and a revision that one of its hosts refuses at promote.
    pub fn breaking(canary: usize, default: usize, at: usize) -> Scene {
        let mut scene = Scene::new(canary, default);
        let revision = scene.revision();
        scene.breaks_at(at, &revision);
        scene
    }

    /// Makes a host refuse the text of a revision at promote, and no other.
    pub fn breaks_at(&self, n: usize, revision: &str) {
        self.put(n, "broken", &self.text_of(revision));
    }

    /// Makes a host wait in a stage until [`Scene::go_on`].
    pub fn stop_in(&self, n: usize, stage: &str) {
        self.remove(n, &format!("in-{stage}"));
        self.put(n, &format!("wait-{stage}"), "");
    }

    pub fn go_on(&self, n: usize, stage: &str) {
        self.remove(n, &format!("wait-{stage}"));
    }

    /// Waits until a host stands still in a stage; the process there that waits.
    #[track_caller]
    pub fn stopped(&self, n: usize, stage: &str) -> u32 {
        let path = self.srv(n).join(format!("in-{stage}"));
        common::wait_for(&format!("{} to come to {stage}", address(n)), || path.exists());
        std::fs::read_to_string(path).unwrap().trim().parse().unwrap()
    }

    /// The process of the target's side that works on a stage in which its host stands still.
    #[track_caller]
    pub fn deploy_local(&self, n: usize, stage: &str) -> u32 {
        above(self.stopped(n, stage), |pid| cmdline(pid).contains("deploy-local"))
    }

    /// The server's process of that stage's session.
    #[track_caller]
    pub fn sshd(&self, n: usize, stage: &str) -> u32 {
        above(self.stopped(n, stage), |pid| proc_file(pid, "comm").trim() == "sshd")
    }

    pub fn look(&self, n: usize) -> Look {
        let srv = self.srv(n);
        let links = Links::of(&self.farm, n);
        let running = std::fs::read_to_string(srv.join("running")).ok();
        let leads = std::fs::read_link(srv.join("etc/app.conf")).ok();
        let config = leads.and_then(|path| {
            let text = path.to_str()?.to_owned();
            Some(text.split("/revs/").nth(1)?.split('/').next()?.to_owned())
        });
        Look { links, running, config }
    }

    pub fn looks(&self) -> Vec<Look> {
        (0..self.hosts).map(|n| self.look(n)).collect()
    }

    /// How a host looks that is fully on a revision.
    pub fn finalized(&self, revision: &str) -> Look {
        Look {
            links: Links::finalized(revision),
            running: Some(self.text_of(revision)),
            config: Some(revision.to_owned()),
        }
    }

    #[track_caller]
    pub fn all_on(&self, revision: &str, text: &str) {
        for n in 0..self.hosts {
            assert_eq!(self.look(n), self.finalized(revision), "{} (with {text:?})", address(n));
        }
    }

    pub fn start(&self, arguments: &[&str]) -> Running {
        // Several may be under way at once.
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let [out, err] = ["out", "err"].map(|name| self.project.path(&format!(".git/{name}.{number}")));
        let before = self.looks();
        if !self.is_unfinished() {
            self.trace.borrow_mut().begin();
            self.before_run.replace(before.clone());
        }
        let mut command = self.project.hoist(arguments);
        command.stdout(std::fs::File::create(&out).unwrap()).stderr(std::fs::File::create(&err).unwrap());
        Running { before, child: command.stdin(Stdio::null()).spawn().unwrap(), out, err }
    }

    /// Starts `hoist deploy`. What a fault has rolled back is deployed again without a question.
    pub fn start_deploy(&self, arguments: &[&str]) -> Running {
        let deploy = ["deploy", "--yes", "--break-glass", "the fault is over", "--format", "json"];
        let artifact = if self.source == Source::Artifact { &["--artifact", self.source.folder()][..] } else { &[] };
        self.start(&[&deploy[..], artifact, arguments].concat())
    }

    /// The same, until a host stands still in a stage.
    #[track_caller]
    pub fn deploy_until(&self, n: usize, stage: &str) -> Running {
        self.stop_in(n, stage);
        let running = self.start_deploy(&[]);
        self.stopped(n, stage);
        running
    }

    /// Runs a command that ends a deployment, to its end, and checks the invariants.
    #[track_caller]
    pub fn end(&self, command: &str) -> Summary {
        self.start(&[command, "--yes", "--format", "json"]).end(self)
    }

    /// `hoist deploy`, to its end, with the invariants checked.
    #[track_caller]
    pub fn deploy(&self, arguments: &[&str]) -> Summary {
        self.start_deploy(arguments).end(self)
    }

    /// The invariants: every target has one row, which says what its disk says; and the status is no lie.
    #[track_caller]
    pub fn check(&self, summary: &Summary, before: &[Look]) {
        let addresses: Vec<String> = (0..self.hosts).map(address).collect();
        let (canary, default) = addresses.split_at(self.canary);
        self.trace.borrow().is_within_budget(&[canary, default]);
        let Some(rows) = &summary.rows else {
            let untouched = [Some(2), Some(5), Some(6)].contains(&summary.status);
            assert!(untouched, "no host is accounted for: {summary:#?}");
            return self.is_untouched(before, summary);
        };
        let hosts: Vec<&str> = rows.iter().map(|row| row["host"].as_str().unwrap()).collect();
        assert_eq!(hosts, self.names, "each target once, in the order of the plan");
        let revision = summary.revision.as_deref().unwrap();
        for (n, row) in rows.iter().enumerate() {
            let look = self.look(n);
            let context = format!("{row:#}\n{look:#?}\nbefore: {:#?}\n{summary:#?}", before[n]);
            self.is_whole(n, &look, &before[n], &context);
            if let Some(current) = row["current"].as_str() {
                assert_eq!(
                    look.links.current.as_deref(),
                    Some(current),
                    "a row says otherwise than its disk: {context}"
                );
            }
            let ok = row["ok"].as_bool().unwrap();
            let is_drained = self.trace.borrow().drained().contains(&address(n));
            assert!(!ok || !is_drained, "a host that is ok is drained: {context}");
            match row["state"].as_str().unwrap() {
                "finalized" => assert_eq!(look, self.finalized(revision), "{context}"),
                "rolled_back" => assert!(self.is_back(n, &look, &before[n]), "{context}"),
                _ if ok => assert_eq!(look.links, before[n].links, "a host that is ok has changed: {context}"),
                _ => assert!(row["reason"].is_string(), "a host that is not ok, without a reason: {context}"),
            }
        }
        match summary.status {
            Some(0) => {
                for (n, row) in rows.iter().enumerate().filter(|(_, row)| row["state"] != "finalized") {
                    assert!(!row["ok"].as_bool().unwrap(), "{row:#}");
                    assert_ne!(
                        self.look(n).links.done.as_deref(),
                        Some(revision),
                        "finalized and not named so: {row:#}"
                    );
                }
            }
            Some(1) => {
                for (n, before) in before.iter().enumerate() {
                    let look = self.look(n);
                    assert!(
                        self.is_back(n, &look, before) || look == *before,
                        "status 1, and {} is not back: {look:#?}\nbefore: {before:#?}\n{summary:#?}",
                        address(n)
                    );
                }
            }
            Some(3 | 4) => assert!(rows.iter().any(|row| row["ok"] == false), "nobody is named: {summary:#?}"),
            Some(5 | 130) => self.is_untouched(before, summary),
            _ => panic!("{summary:#?}"),
        }
    }

    /// Whether a host is on what it had finalized, or on what was live before the run without being finalized. A run that
    /// another command ends may have been finalizing: what was there before the run itself is then what all hosts stood on.
    #[track_caller]
    fn is_back(&self, n: usize, look: &Look, before: &Look) -> bool {
        let done = before.links.done.as_ref().expect("nothing to go back to");
        let mut first = self.before_run.borrow()[n].clone();
        first.links.in_progress = None;
        *look == first || [done, &self.stands].into_iter().any(|revision| *look == self.finalized(revision))
    }

    fn is_untouched(&self, before: &[Look], summary: &Summary) {
        assert_eq!(self.looks(), before, "{summary:#?}");
    }

    /// There is a live revision, whole, and the service's path leads to it; whatever happened.
    #[track_caller]
    fn is_whole(&self, n: usize, look: &Look, before: &Look, context: &str) {
        let Some(current) = &look.links.current else {
            return assert!(before.links.current.is_none(), "there is no live revision any more: {context}");
        };
        let tree = self.srv(n).join(CACHE).join("revs").join(current);
        let text = std::fs::read_to_string(tree.join("index.html")).unwrap_or_default();
        assert_eq!(text, self.text_of(current), "the live tree is not whole: {context}");
        if let Some(done) = &look.links.done {
            let tree = self.srv(n).join(CACHE).join("revs").join(done);
            assert!(tree.join("index.html").exists(), "the tree of .done is gone: {context}");
        }
    }
}

impl Scene {
    /// The journals, oldest first.
    pub fn journals(&self) -> Vec<PathBuf> {
        self.files("hoist/state", "journal")
    }

    /// Whether the newest run has come to no end yet.
    pub fn is_unfinished(&self) -> bool {
        let newest = self.journals().pop().map(|path| std::fs::read(path).unwrap());
        newest.is_some_and(|text| !String::from_utf8_lossy(&text).contains("\"record\":\"closed\""))
    }

    /// The log of the newest run.
    pub fn newest_log(&self) -> String {
        std::fs::read_to_string(self.files("hoist/log", "log").pop().unwrap()).unwrap()
    }

    fn files(&self, folder: &str, extension: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.project.path(folder)).into_iter().flatten();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|it| it == extension));
        paths.sort();
        paths
    }

    /// The processes of a host, known by their environment.
    pub fn processes(&self, n: usize) -> Vec<u32> {
        let mark = format!("HOIST_FARM_HOST={}", self.farm.host(&address(n)).display());
        let names = std::fs::read_dir("/proc").unwrap().filter_map(|it| it.ok()?.file_name().into_string().ok());
        let mut pids: Vec<u32> = names.filter_map(|name| name.parse().ok()).collect();
        pids.retain(|pid| proc_file(*pid, "environ").split('\0').any(|it| it == mark));
        pids
    }

    /// Whether nothing runs on a host.
    pub fn is_quiet(&self, n: usize) -> bool {
        self.processes(n).is_empty()
    }

    /// Kills the target's side on a host, its lock holder too.
    pub fn kill_deploy_local(&self, n: usize) {
        self.processes(n).into_iter().filter(|pid| cmdline(*pid).contains("deploy-local")).for_each(kill_if_there);
    }

    /// The server's processes of a host's sessions.
    pub fn sessions(&self, n: usize) -> Vec<u32> {
        let above = self.processes(n).into_iter().filter_map(parent);
        // The server's own first process has no user in its name.
        above.filter(|pid| proc_file(*pid, "comm").trim() == "sshd" && cmdline(*pid).contains('@')).collect()
    }

    /// Ends all that runs on a host, the server's sessions with it too.
    pub fn cut(&self, n: usize) {
        let sessions = self.sessions(n);
        self.processes(n).into_iter().chain(sessions).for_each(kill_if_there);
    }
}
