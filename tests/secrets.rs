//! Variables of commands: they reach the files that use them, and nothing else on any host.

mod common;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Farm, Links, Project, Ran, WAITS, address, kill_at_check};

/// Every secret of these tests begins with this.
const SENTINEL: &str = "Tr0ub4dor";

/// Where secrets come from: a file in a folder of its own.
struct Vault {
    dir: tempfile::TempDir,
}

impl Vault {
    fn new() -> Vault {
        let vault = Vault { dir: tempfile::tempdir().unwrap() };
        vault.keep("first");
        vault
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("vars.json")
    }

    /// Stores another password, and a number that no password is.
    fn keep(&self, word: &str) {
        fs::write(self.file(), format!("{{\"db_password\": \"{SENTINEL}-{word}\", \"shards\": 3}}")).unwrap();
        fs::write(self.dir.path().join("asked"), "").unwrap();
    }

    /// A command that prints what is stored, and notes that it was run.
    fn command(&self) -> String {
        let dir = self.dir.path().display();
        format!("vars_command: echo run >> {dir}/asked; cat {dir}/vars.json\n")
    }

    fn times_asked(&self) -> usize {
        fs::read_to_string(self.dir.path().join("asked")).unwrap().lines().count()
    }
}

/// Two hosts, one file with a secret and one without.
fn project(farm: &Farm, vault: &Vault) -> Project {
    let project = Project::new(farm, 1, 1);
    project.write_configuration(&[
        (
            "config-files.yaml",
            "/srv/etc/app.conf:\n  template: app.j2\n/srv/etc/plain.conf:\n  template: plain.j2\n\
             inside.conf:\n  template: outer.j2\n  mode: 0640\n",
        ),
        ("templates/app.j2", "user = {{ user }}\npassword = {{ db_password }}\n"),
        ("templates/plain.j2", "user = {{ user }}\n"),
        ("templates/outer.j2", "{% include 'app.j2' %}\nshards = {{ shards }}\n"),
        ("vars.yaml", "user: app\nshards: 1\n"),
    ]);
    project.configure(&vault.command());
    project
}

/// What a host serves now of an absolute file.
fn live(farm: &Farm, n: usize, file: &str) -> PathBuf {
    farm.srv(&address(n)).join(common::CACHE).join("current/.git/config-files/srv/etc").join(file)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Looks into the arguments and the environments of all processes until it is dropped, and fails then if it met a secret.
struct Watcher {
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<Vec<String>>>,
}

impl Watcher {
    fn start() -> Watcher {
        let over = Arc::new(AtomicBool::new(false));
        let is_over = over.clone();
        let thread = std::thread::spawn(move || {
            let mut met = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                for process in fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()) {
                    for file in ["cmdline", "environ"] {
                        let text = fs::read(process.join(file)).unwrap_or_default();
                        if text.windows(SENTINEL.len()).any(|part| part == SENTINEL.as_bytes()) {
                            met.push(process.join(file).display().to_string());
                        }
                    }
                }
            }
            met
        });
        Watcher { over, thread: Some(thread) }
    }

    fn end(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let met = self.thread.take().unwrap().join().unwrap();
        assert!(met.is_empty(), "a secret was in {met:?}");
    }
}

/// Neither what was said nor any file contains a secret, but for rendered files and their copies, which are private.
#[track_caller]
fn nothing_leaked(farm: &Farm, project: &Project, said: &[Ran]) {
    for ran in said {
        assert!(!format!("{ran:?}").contains(SENTINEL), "{ran:?}");
    }
    // The arguments of a process are what other tests look into.
    let mut pattern = tempfile::NamedTempFile::new().unwrap();
    writeln!(pattern, "{SENTINEL}").unwrap();
    let mut grep = Command::new("grep");
    grep.arg("-rlaFf").arg(pattern.path()).arg(farm.dir.path()).arg(project.path(""));
    let found = grep.output().unwrap();
    for path in String::from_utf8(found.stdout).unwrap().lines().map(Path::new) {
        let shown = path.display().to_string();
        let is_copy = shown.contains("/.hoist/config/");
        let is_rendered = shown.contains("/.git/config-files/srv/etc/app.conf") || shown.ends_with("/inside.conf");
        assert!(is_copy || is_rendered, "a secret is in {shown}");
        assert!([0o600, 0o640].contains(&mode(path)), "{shown} has mode {:o}", mode(path));
        if is_copy {
            let folder = shown.find("/.hoist/config/").unwrap() + "/.hoist/config".len();
            assert_eq!(mode(Path::new(&shown[..folder])), 0o700, "{shown}");
        }
    }
}

#[test]
fn secrets_reach_the_files_that_use_them_and_nothing_else_whatever_becomes_of_the_deployment() {
    let farm = Farm::up();
    let vault = Vault::new();
    let project = project(&farm, &vault);
    let mut watcher = Watcher::start();
    let one = project.commit("one");
    let mut said = vec![project.run(&["plan", "-o", project.path(".git/plan.json").to_str().unwrap()]).ends(0)];
    assert_eq!(vault.times_asked(), 0, "a plan asks for no secrets");
    said.push(project.run(&["deploy", "--dry-run", "-v"]).ends(0).says("2 lines added, not shown since"));
    said.push(project.deploy(&["-v"]).ends(0));
    assert_eq!(vault.times_asked(), 2, "once for all hosts");
    for n in 0..2 {
        let app = live(&farm, n, "app.conf");
        assert_eq!(fs::read_to_string(&app).unwrap(), format!("user = app\npassword = {SENTINEL}-first"));
        assert_eq!((mode(&app), mode(&live(&farm, n, "plain.conf"))), (0o600, 0o644));
        let inside = farm.srv(&address(n)).join(common::CACHE).join("current/inside.conf");
        let text = format!("user = app\npassword = {SENTINEL}-first\nshards = 3");
        assert_eq!((fs::read_to_string(&inside).unwrap(), mode(&inside)), (text, 0o640));
    }

    // Other values, which a plan cannot know of: the files change, and a dry run says how many lines.
    vault.keep("second");
    said.push(project.run(&["deploy", "--dry-run", "--format", "json"]).ends(0));
    project.write("index.html", "two\n");
    let two = project.commit("two");
    said.push(project.run(&["deploy", "--yes", "--format", "json", "--junit", ".git/junit.xml"]).ends(0));
    said.push(project.run(&["rollback", "--yes", "-v"]).ends(0));
    assert!(fs::read_to_string(live(&farm, 0, "app.conf")).unwrap().contains("-first"), "as it was deployed");
    common::all_on(&farm, 2, &one);
    assert_eq!(vault.times_asked(), 2, "nothing is rendered on the way back");

    // A template that fails with the value in its hands, and a check that fails once the files are there.
    project.write("hoist/templates/plain.j2", "{{ db_password + 1 }} {{ db_password.x.y }}\n");
    project.commit("broken");
    said.push(project.deploy(&["-v", "--break-glass", "again"]).ends(1).says("template plain.j2 line 1: "));
    project.write("hoist/templates/plain.j2", "user = {{ user }}\n");
    project.check("bad", "promote", "false");
    project.commit("bad");
    said.push(project.deploy(&["-v", "--break-glass", "again"]).ends(1));
    common::all_on(&farm, 2, &one);

    // The deployer dies before anything is rendered; whoever goes on asks again.
    project.check("slow", "fetch", WAITS);
    let three = project.commit("three");
    kill_at_check(&farm, &project, &["deploy", "--yes", "--break-glass", "again"], 2);
    vault.keep("third");
    said.push(project.run(&["resume", "--yes", "-v"]).ends(0));
    assert_eq!(vault.times_asked(), 1);
    common::all_on(&farm, 2, &three);
    for n in 0..2 {
        assert!(fs::read_to_string(live(&farm, n, "app.conf")).unwrap().contains(&format!("{SENTINEL}-third")));
    }
    let report = project.path(".git/report.html").display().to_string();
    for command in [
        &["log"][..],
        &["log", "--format", "json"],
        &["history"],
        &["report", "-o", &report],
        &["status", "--verify", "--format", "json"],
        &["config", "--explain"],
        &["reconcile", "--yes"],
    ] {
        said.push(project.run(command));
    }
    assert!(said.last().unwrap().status == Some(0), "{said:?}");
    watcher.end();
    nothing_leaked(&farm, &project, &said);
    assert_ne!(two, three);
}

#[test]
fn a_command_that_fails_prints_no_mapping_or_takes_too_long_refuses_before_anything_is_touched() {
    let farm = Farm::up();
    let vault = Vault::new();
    let project = project(&farm, &vault);
    project.commit("one");
    let bad = |line: &str, words: &[&str]| {
        project.configure(&format!("vars_command: {line}"));
        let ran =
            words.iter().fold(project.deploy(&[]).ends(2).says("nothing was touched"), |ran, words| ran.says(words));
        assert!(!format!("{ran:?}").contains(SENTINEL), "{ran:?}");
        assert!(ran.err.contains("vars_command (hoist/hoist.cfg:"), "{ran:?}");
    };
    let print = |text: &str| {
        fs::write(vault.dir.path().join("printed"), text).unwrap();
        format!("cat {}", vault.dir.path().join("printed").display())
    };
    let fails = format!("{}; echo the vault is sealed >&2; exit 3", print(SENTINEL));
    bad(&fails, &["failed with exit status 3", "  the vault is sealed"]);
    bad("kill -9 $$", &["was killed by signal 9"]);
    bad("/nonexistent/vault", &["failed with exit status 127"]);
    bad("true", &["printed nothing: it has to print a mapping"]);
    bad(&print(SENTINEL), &["printed text instead of a mapping"]);
    bad(&print(&format!("- {SENTINEL}\n")), &["printed a list instead of a mapping"]);
    bad(&print(&format!("DB_PASSWORD={SENTINEL}\n")), &["printed text instead of a mapping"]);
    bad(&print(&format!("a: 1\nb: [{SENTINEL}\n")), &["printed what is not valid YAML in line 2"]);
    bad(&print(&format!("a: 1\na: {SENTINEL}\n")), &["printed what is not valid YAML in line 2"]);
    bad("head -c 2000000 /dev/zero", &["printed more than 1 MiB"]);
    project.configure("vars_timeout: 1");
    bad("sleep 600", &["did not end within 1 s (vars_timeout)"]);
    for n in 0..2 {
        assert_eq!(Links::of(&farm, n), Links::default());
        assert!(!farm.srv(&address(n)).join(common::CACHE).exists(), "nothing was touched");
    }
    // What does not render does not ask.
    project.configure("config_deploy: no");
    project.deploy(&[]).ends(0);
}

#[test]
fn a_command_of_the_target_wins_over_that_of_the_deploy_host_and_its_failure_is_that_hosts_alone() {
    let farm = Farm::up();
    let vault = Vault::new();
    let project = project(&farm, &vault);
    project.configure(
        "failure_limit: 1\nremote_vars_command: echo the vault is sealed >&2; echo \"$HOIST_REPO\" >> /srv/asked; \
         cat /srv/secret.yaml",
    );
    project.write("hoist/templates/plain.j2", "{{ token }} {{ user }} {{ gone }}\n");
    let one = project.commit("one");
    let secret = |n: usize| farm.srv(&address(n)).join("secret.yaml");
    fs::write(secret(0), format!("db_password: {SENTINEL}-own\ntoken: {SENTINEL}-token\nuser: me\n")).unwrap();
    let mut watcher = Watcher::start();
    let ran = project.deploy(&["-v"]).ends(0);
    assert_eq!(
        fs::read_to_string(live(&farm, 0, "app.conf")).unwrap(),
        format!("user = me\npassword = {SENTINEL}-own")
    );
    let plain = live(&farm, 0, "plain.conf");
    assert_eq!(fs::read_to_string(&plain).unwrap(), format!("{SENTINEL}-token me "));
    assert_eq!(mode(&plain), 0o600);
    assert_eq!(fs::read_to_string(farm.srv(&address(0)).join("asked")).unwrap(), "app\n", "once for each stage");
    let ran = ran
        .says("/srv/etc/plain.conf contains secrets and has no mode: it gets 0600")
        .says("line 1: gone is undefined and printed as nothing")
        .says("remote_vars_command failed with exit status 1")
        .says("remote_vars_command: the vault is sealed");
    assert_eq!((Links::of(&farm, 0), Links::of(&farm, 1).current), (Links::finalized(&one), None));
    // A file that is no mapping, whose text nobody sees.
    fs::write(secret(1), format!("{SENTINEL}\n")).unwrap();
    let again =
        project.run(&["reconcile", "--yes", "-v"]).says("remote_vars_command printed text instead of a mapping");
    watcher.end();
    (0..2).for_each(|n| fs::remove_file(secret(n)).unwrap());
    let plain =
        farm.srv(&address(0)).join(common::CACHE).join("revs").join(&one).join(".git/config-files/srv/etc/plain.conf");
    fs::remove_file(plain).unwrap();
    nothing_leaked(&farm, &project, &[ran, again]);
}

/// The first of these programs that is installed.
fn installed(programs: &[&str]) -> Option<String> {
    let is_there = |program: &&&str| Command::new(program).arg("--version").output().is_ok();
    let found = programs.iter().find(is_there).map(|program| (*program).to_owned());
    if found.is_none() {
        eprintln!("{} is not installed; it is not tested", programs[0]);
    }
    found
}

#[track_caller]
fn run(line: &str, home: &Path) {
    let output = Command::new("/bin/sh").args(["-ec", line]).env("HOME", home).env("GNUPGHOME", home).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
}

#[test]
fn pass_and_ansible_vault_are_sources_of_variables() {
    let farm = Farm::up();
    let vault = Vault::new();
    let project = project(&farm, &vault);
    let home = vault.dir.path();
    fs::set_permissions(home, fs::Permissions::from_mode(0o700)).unwrap();
    let deploys = |command: &str, word: &str| {
        project.configure(&format!("vars_command: {command}"));
        project.write("index.html", word);
        project.commit(word);
        project.deploy(&[]).ends(0);
        let text = fs::read_to_string(live(&farm, 0, "app.conf")).unwrap();
        assert!(text.ends_with(&format!("{SENTINEL}-{word}")), "{text}");
    };
    let shown = home.display();
    if installed(&["gpg"]).is_some() {
        let key = "gpg -q --batch --pinentry-mode loopback --passphrase '' --quick-generate-key hoist@example.org default default never";
        run(key, home);
        let entry = format!("db_password: {SENTINEL}-gpg\nshards: 4\n");
        fs::write(home.join("plain"), &entry).unwrap();
        run(
            &format!("gpg -q --batch --trust-model always -r hoist@example.org -o {shown}/vars.gpg -e {shown}/plain"),
            home,
        );
        deploys(&format!("GNUPGHOME={shown} gpg -q --batch -d {shown}/vars.gpg"), "gpg");
        if installed(&["pass"]).is_some() {
            let store = format!("PASSWORD_STORE_DIR={shown}/store pass");
            run(&format!("{store} init hoist@example.org"), home);
            run(&format!("sed s/-gpg/-pass/ {shown}/plain | {store} insert -m app/production"), home);
            deploys(&format!("GNUPGHOME={shown} {store} show app/production"), "pass");
        }
        run("gpgconf --kill gpg-agent", home);
    }
    if let Some(program) = installed(&["ansible-vault", "target/python/venv/bin/ansible-vault"]) {
        let program = fs::canonicalize(&program).map_or(program, |path| path.display().to_string());
        fs::write(home.join("key"), "the key of the vault").unwrap();
        fs::write(home.join("vars.yml"), format!("---\ndb_password: {SENTINEL}-ansible\nshards: 5\n")).unwrap();
        run(&format!("{program} encrypt --vault-password-file {shown}/key {shown}/vars.yml"), home);
        deploys(&format!("HOME={shown} {program} view --vault-password-file {shown}/key {shown}/vars.yml"), "ansible");
    }
}

/// The target's side of a stage on a host of a farm, known by the environment of its processes: its own processes, and
/// what they run.
fn target_side(host: &Path) -> Vec<rustix::process::Pid> {
    let mark = format!("HOIST_FARM_HOST={}", host.display());
    let is_of = |process: &Path| {
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        let command = fs::read(process.join("cmdline")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|it| it == mark.as_bytes())
            && String::from_utf8_lossy(&command).contains("deploy-local")
    };
    let all = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()).filter(|process| is_of(process));
    all.filter_map(|process| rustix::process::Pid::from_raw(process.file_name()?.to_str()?.parse().ok()?)).collect()
}

#[test]
fn a_target_that_is_killed_at_any_moment_leaves_secrets_in_rendered_files_alone() {
    const FILES: usize = 40;
    let farm = Farm::up();
    let vault = Vault::new();
    let project = project(&farm, &vault);
    // Enough files that many moments fall between the first and the last of them.
    let inside: String =
        (0..FILES).map(|n| format!("{n}/inside.conf:\n  template: outer.j2\n  mode: 0640\n")).collect();
    let files = fs::read_to_string(project.path("hoist/config-files.yaml")).unwrap();
    project.write("hoist/config-files.yaml", &(files + &inside));
    let folder = vault.dir.path().display();
    fs::write(vault.dir.path().join("own.yaml"), format!("shards: 7\ntoken: {SENTINEL}-own\n")).unwrap();
    project.configure(&format!("remote_vars_command: touch /srv/asked; cat {folder}/own.yaml\nfailure_limit: 1"));
    let one = project.commit("one");
    let mut said = vec![project.deploy(&[]).ends(0)];
    let host = farm.host(&address(0));
    let asked = host.join("srv/asked");
    let mut killed = 0;
    for round in 0..16 {
        project.write("index.html", &format!("{round}\n"));
        vault.keep(&format!("round-{round}"));
        project.commit("another");
        fs::remove_file(&asked).unwrap();
        let mut deploy = project.hoist(&["deploy", "--yes", "-v", "--break-glass", "again"]);
        let deployer = deploy.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        common::wait_for("the target to ask for its variables", || asked.exists());
        std::thread::sleep(std::time::Duration::from_micros(round * 1500));
        for process in target_side(&host) {
            let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
        }
        let output = deployer.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(!text.contains(SENTINEL), "round {round}: {text}");
        killed += usize::from(text.contains("config_deploy: 0 ok, 1 failed"));
        nothing_leaked(&farm, &project, &[]);
    }
    assert!(killed > 0, "none was killed at work");
    // Nor does whoever repairs it, and goes back.
    let two = project.commit("two");
    said.push(project.run(&["deploy", "--yes", "--break-glass", "again"]).ends(0));
    common::all_on(&farm, 2, &two);
    said.push(project.run(&["rollback", "--yes", &one]));
    for command in [&["log"][..], &["history"], &["status", "--verify"]] {
        said.push(project.run(command));
    }
    nothing_leaked(&farm, &project, &said);
}
