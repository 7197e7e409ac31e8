//! The pipelines in `examples/ci`: their commands are taken out of them and run, in the shell and the environment that each
//! system has for them, against real hosts.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::common::{Farm, HOIST, Project, all_on};
use crate::{own, python};

/// A repository as a pipeline finds it, and the folders of its job.
struct Job {
    farm: Farm,
    project: Project,
    /// Outside of the checkout, as the system gives it.
    temporary: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ci").join(name)
}

/// An example, as PyYAML reads it.
fn read(name: &str) -> Value {
    python(&[&own("read_yaml.py"), example(name).to_str().unwrap()])
}

/// The output of a program, without its newline.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

impl Job {
    fn new() -> Job {
        let (farm, project) = Project::on_farm(1, 1);
        // What the configuration of a test names, the pipeline has to bring itself.
        let config = std::fs::read_to_string(project.path("hoist/hoist.cfg")).unwrap();
        let lines =
            config.lines().filter(|line| !line.starts_with("identity_file") && !line.starts_with("known_hosts"));
        project.write("hoist/hoist.cfg", &lines.map(|line| format!("{line}\n")).collect::<String>());
        let known_hosts = std::fs::read_to_string(farm.known_hosts()).unwrap();
        project.write("hoist/known_hosts", &known_hosts);
        project.commit("For pipelines");
        let temporary = tempfile::tempdir().unwrap();
        let mut job = Job { farm, project, temporary, variables: Vec::new() };
        // The values that the examples tell their readers to change.
        job.set("HOIST_URL", &format!("file://{HOIST}"));
        let sum = said("sha256sum", &[HOIST]);
        job.set("HOIST_SHA256", sum.split(' ').next().unwrap());
        job.set("HOME", &job.at("home"));
        std::fs::create_dir(job.at("home")).unwrap();
        job
    }

    fn at(&self, name: &str) -> String {
        self.temporary.path().join(name).display().to_string()
    }

    fn key(&self) -> String {
        std::fs::read_to_string(self.farm.key()).unwrap()
    }

    /// With the variables of a pipeline, but for the values that its readers change.
    fn of(variables: &Value) -> Job {
        let mut job = Job::new();
        job.variables.splice(..0, pairs(variables));
        job
    }

    /// A variable of the job; the last of a name counts.
    fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Runs commands in the checkout, with more variables, in a shell that is called so.
    #[track_caller]
    fn run(&self, shell: &[&str], commands: &str, more: &[(String, String)]) -> String {
        let file = self.at("commands.sh");
        std::fs::write(&file, commands).unwrap();
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).arg(&file).current_dir(self.project.path("")).env_clear();
        // As the runner's own service has it.
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").env("USER", "runner");
        command.env("HOIST_GLOBAL_CONFIG", "/dev/null");
        command.envs(self.variables.iter().chain(more).map(|(name, value)| (name, value)));
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{commands}\n{text}");
        text
    }

    /// What has to hold behind a pipeline: it deployed, reports that, and left no key.
    fn is_done(&self, message: &str) {
        all_on(&self.farm, 2, &self.project.git(&["rev-parse", "HEAD"]));
        let report = python(&[&own("read_junit.py"), self.project.path("hoist.xml").to_str().unwrap()]);
        assert_eq!((&report["counts"]["tests"], &report["counts"]["failures"]), (&3.into(), &0.into()));
        assert_eq!(report["properties"]["message"], message);
        let key = self.key();
        for folder in [self.temporary.path(), &self.project.path("")] {
            let lines = key.lines().nth(1).unwrap();
            let found = said("grep", &["-rlF", lines, folder.to_str().unwrap()]);
            let found: Vec<&str> = found.lines().filter(|file| !file.ends_with("/secret")).collect();
            assert!(found.is_empty(), "the key is left in {found:?}");
        }
    }
}

/// The texts of a map, or none.
fn pairs(map: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{value} is not text")).to_owned();
    map.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), text(value))).collect()
}

#[test]
fn the_example_for_github_actions_deploys() {
    let workflow = read("github-actions.yml");
    let mut job = Job::of(&workflow["env"]);
    for (name, value) in [
        ("CI", "true"),
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_SERVER_URL", "https://github.com"),
        ("GITHUB_REPOSITORY", "web/page"),
        ("GITHUB_RUN_ID", "4711"),
        ("RUNNER_TEMP", &job.temporary.path().display().to_string()),
        ("GITHUB_PATH", &job.at("path")),
        ("GITHUB_OUTPUT", &job.at("output")),
        ("GITHUB_STEP_SUMMARY", &job.at("summary")),
    ] {
        job.set(name, value);
    }
    let secrets = [("${{ secrets.DEPLOY_KEY }}", job.key())];
    let mut shown = String::new();
    for step in workflow["jobs"]["deploy"]["steps"].as_array().unwrap() {
        let Some(commands) = step["run"].as_str() else {
            assert!(step["uses"].as_str().unwrap().starts_with("actions/"), "{step}");
            continue;
        };
        assert!(!commands.contains("${{"), "an expression in a script is an injection: {commands}");
        let mut more = pairs(&step["env"]);
        for (_, value) in more.iter_mut().filter(|(_, value)| value.contains("${{")) {
            let (_, secret) = secrets.iter().find(|(name, _)| name == value).expect("a secret that the test knows");
            *value = secret.trim_end().to_owned();
        }
        // What steps before this one have put ahead of the search path.
        let added = std::fs::read_to_string(job.at("path")).unwrap_or_default();
        let path: Vec<&str> = added.lines().chain(["/usr/bin", "/bin", "/usr/sbin", "/sbin"]).collect();
        more.push(("PATH".to_owned(), path.join(":")));
        shown += &job.run(&["bash", "-e"], commands, &more);
    }
    assert!(shown.contains("::group::canary (1 host)") && !shown.contains("::error"), "{shown}");
    assert!(std::fs::read_to_string(job.at("summary")).unwrap().contains("<h3>✅ hoist deploy"));
    assert!(std::fs::read_to_string(job.at("output")).unwrap().contains("status=0\n"));
    job.is_done("https://github.com/web/page/actions/runs/4711");
    let upload = workflow["jobs"]["deploy"]["steps"].as_array().unwrap().last().unwrap();
    for path in upload["with"]["path"].as_str().unwrap().lines() {
        assert!(job.project.path(path).exists(), "{path} is an artifact, and not there");
    }
}

#[test]
fn the_example_for_gitlab_ci_deploys() {
    let pipeline = read("gitlab-ci.yml");
    let mut job = Job::of(&pipeline["variables"]);
    // GitLab's runner makes the file, without regard to its last newline.
    std::fs::write(job.at("secret"), job.key().trim_end()).unwrap();
    let checkout = job.project.path("").display().to_string();
    for (name, value) in [
        ("CI", "true"),
        ("GITLAB_CI", "true"),
        ("CI_PROJECT_DIR", checkout.trim_end_matches('/')),
        ("CI_COMMIT_TITLE", "Better pages"),
        ("CI_JOB_URL", "https://gitlab.example.com/web/page/-/jobs/7"),
        ("DEPLOY_KEY", &job.at("secret")),
    ] {
        job.set(name, value);
    }
    let lines = |of: &str| {
        let lines = pipeline["deploy"][of].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned());
        lines.collect::<Vec<_>>()
    };
    // The two are one script there, and the third is run in any case.
    let shell = ["bash", "-e", "-o", "pipefail"];
    let commands = [lines("before_script"), lines("script")].concat().join("\n");
    let shown = job.run(&shell, &commands, &[]);
    assert!(shown.contains("section_start:") && shown.contains("canary (1 host)"), "{shown}");
    job.run(&shell, &lines("after_script").join("\n"), &[]);
    job.is_done("Better pages (https://gitlab.example.com/web/page/-/jobs/7)");
    assert!(!job.project.path("hoist.download").exists());
    let artifacts = &pipeline["deploy"]["artifacts"];
    assert_eq!(artifacts["reports"]["junit"], "hoist.xml");
    for path in artifacts["paths"].as_array().unwrap() {
        assert!(job.project.path(path.as_str().unwrap()).exists(), "{path} is an artifact, and not there");
    }
    std::fs::remove_dir_all(format!("{}.tmp", checkout.trim_end_matches('/'))).unwrap();
}

#[test]
fn the_example_for_jenkins_deploys() {
    let text = std::fs::read_to_string(example("Jenkinsfile")).unwrap();
    let brackets = |open: char, close: char| text.matches(open).count() == text.matches(close).count();
    assert!(brackets('{', '}') && brackets('(', ')') && brackets('[', ']'));
    let mut job = Job::new();
    // As the credential's plugin makes it.
    std::fs::write(job.at("secret"), job.key()).unwrap();
    assert!(Command::new("chmod").args(["600", &job.at("secret")]).status().unwrap().success());
    let tmp = job.at("workspace@tmp");
    for (name, value) in [
        ("JENKINS_URL", "https://jenkins.example.com/"),
        ("BUILD_URL", "https://jenkins.example.com/job/page/7/"),
        ("WORKSPACE_TMP", &tmp),
        ("DEPLOY_KEY", &job.at("secret")),
        ("PATH", &format!("{tmp}/bin:/usr/bin:/bin:/usr/sbin:/sbin")),
    ] {
        job.set(name, value);
    }
    let blocks: Vec<&str> = text.split("'''").skip(1).step_by(2).collect();
    assert_eq!((blocks.len(), text.matches("sh '''").count()), (3, 3));
    let mut shown = String::new();
    for block in blocks {
        // Groovy takes a backslash and the newline behind it out of such a string.
        shown += &job.run(&["sh", "-xe"], &block.replace("\\\n", ""), &[]);
    }
    assert!(shown.contains("deployed and finalized on 2 of 2 hosts") && !shown.contains(['\u{1b}', '\r']), "{shown}");
    job.is_done("https://jenkins.example.com/job/page/7/");
}
