//! Signatures of plans and revisions.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::common::{CACHE, Farm, Project, address, all_on};
use crate::files::{refused, written};

/// People with a key each, and the files that name them.
struct People {
    folder: tempfile::TempDir,
}

impl People {
    /// `allowed`: the lines of the file of signers, a name and perhaps options, and whose key.
    fn new(names: &[&str]) -> People {
        let people = People { folder: tempfile::tempdir().unwrap() };
        for name in names {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(people.path(name));
            assert!(keygen.status().unwrap().success());
        }
        people
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn public_key(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap()
    }

    fn allow(&self, lines: &[(&str, &str)]) {
        let lines = lines.iter().map(|(who, key)| format!("{who} {}", self.public_key(key)));
        std::fs::write(self.path("allowed"), lines.collect::<String>()).unwrap();
    }

    /// Signs a plan as the manual says.
    fn sign(&self, name: &str, plan: &str) {
        self.sign_for("hoist-plan", name, plan);
    }

    fn sign_for(&self, namespace: &str, name: &str, plan: &str) {
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-Y", "sign", "-n", namespace, "-f"]).arg(self.path(name)).stderr(Stdio::null());
        keygen.stdin(File::open(plan).unwrap()).stdout(File::create(format!("{plan}.{name}.sig")).unwrap());
        assert!(keygen.status().unwrap().success());
    }
}

fn unsign(plan: &str, name: &str) {
    std::fs::remove_file(format!("{plan}.{name}.sig")).unwrap();
}

/// What the hosts and their connections are: nobody has come near them if it is the same later.
fn state(farm: &Farm, hosts: usize) -> Vec<(usize, Vec<PathBuf>)> {
    fn all(folder: &std::path::Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            found.push(entry.path());
            if entry.file_type().unwrap().is_dir() {
                all(&entry.path(), found);
            }
        }
    }
    let of = |n| {
        let mut found = Vec::new();
        all(&farm.srv(&address(n)), &mut found);
        found.sort();
        (farm.connections_to(&address(n)), found)
    };
    (0..hosts).map(of).collect()
}

#[test]
fn a_deployment_needs_the_signatures_of_others_and_nothing_is_touched_without_them() {
    let (farm, project, one) = Project::deployed(1, 1);
    let people = People::new(&["alice", "bob", "op", "carol", "mallory", "old", "pattern"]);
    people.allow(&[
        ("alice.miller@example.org,alice", "alice"),
        ("bob@example.org namespaces=\"hoist-plan,git\"", "bob"),
        ("op@example.org", "op"),
        ("carol@example.org", "carol"),
        ("old@example.org valid-before=\"20200101\"", "old"),
        ("*@example.org", "pattern"),
    ]);
    std::fs::write(people.path("revoked"), people.public_key("carol")).unwrap();
    let [allowed, revoked] = ["allowed", "revoked"].map(|name| people.path(name).display().to_string());
    let keys = format!("[global]\nallowed_signers: {allowed}\nrevoked_signers: {revoked}\nrequired_signatures: 1\n");
    project.set_global(&keys);
    project.write("index.html", "two\n");
    let two = project.commit("Second page");
    let before = state(&farm, 2);

    // There is no way around a plan.
    let ran = project
        .deploy(&[])
        .ends(2)
        .says("a deployment needs a plan with 1 signature of people other than the operator");
    ran.says("`hoist plan -o FILE`").says("`hoist deploy --plan FILE`");
    project.deploy(&["--break-glass", "it burns"]).ends(2).says("required_signatures (");
    project.deploy(&["-s", "fetch"]).ends(2).says("required_signatures (");
    project.deploy(&["-D", "required_signatures:0"]).ends(2).says("it can be set in files only");
    project.configure("required_signatures: 0");
    project.deploy(&[]).ends(2).says("sets it for this host, and it cannot be changed here: remove it");
    project.git(&["checkout", "-q", "HEAD", "hoist"]);

    let plan = written(&project, &[]);
    refused(
        &project,
        &plan,
        "plan.json needs 1 signature of people other than the operator, and has none; nothing was touched",
    );
    let alone = |name: &str, words: &str| {
        people.sign(name, &plan);
        refused(&project, &plan, words).says("and has none").says("ssh-keygen -Y sign -n hoist-plan -f KEY < ");
        unsign(&plan, name);
    };
    alone("op", "plan.json.op.sig does not count: op@example.org is the operator's own name");
    alone("carol", &format!("of carol@example.org is revoked by {revoked}"));
    alone("mallory", &format!("{allowed} lists no valid key SHA256:"));
    alone("old", "key has expired");
    alone("pattern", "has the pattern \"*@example.org\" for key SHA256:");
    people.sign_for("git", "alice", &plan);
    refused(&project, &plan, "namespace does not match");
    people.sign("alice", &plan);
    let whole = std::fs::read_to_string(&plan).unwrap();
    std::fs::write(&plan, whole.replace(&two, &one)).unwrap();
    refused(&project, &plan, "plan.json was edited");
    std::fs::write(&plan, format!("{whole}\n")).unwrap();
    refused(&project, &plan, "alice.sig does not count: it is no signature of this plan as it is now");
    std::fs::write(&plan, &whole).unwrap();
    project.write("hoist/default", "127.0.0.2\n127.0.0.3\n");
    refused(&project, &plan, "group default: 1 host came: 127.0.0.3\n");
    project.git(&["checkout", "-q", "HEAD", "hoist"]);
    project.set_global(&keys.replace("required_signatures: 1", "required_signatures: 2"));
    refused(
        &project,
        &plan,
        "needs 2 signatures of people other than the operator, and has only alice.miller@example.org",
    );
    std::fs::copy(format!("{plan}.alice.sig"), format!("{plan}.again.sig")).unwrap();
    refused(&project, &plan, "and has only alice.miller@example.org;");
    // The operator is known by the name, whatever else the line of the key says.
    let as_alice = project.hoist(&["deploy", "--yes", "--plan", &plan]).env("USER", "alice").output().unwrap();
    crate::common::Ran::of(as_alice).ends(2).says("alice.sig does not count: alice is the operator's own name");
    assert_eq!(state(&farm, 2), before, "a host was touched");
    all_on(&farm, 2, &one);

    people.sign("bob", &plan);
    std::fs::rename(format!("{plan}.bob.sig"), people.path("bob.sig")).unwrap();
    let bob = people.path("bob.sig").display().to_string();
    let ran = project.deploy(&["--format", "json", "--plan", &plan, "--signature", &bob, "signed"]).ends(0);
    let events = ran.events();
    let signers = serde_json::json!(["alice.miller@example.org", "bob@example.org"]);
    assert_eq!(events[0]["signed_by"], signers, "{}", events[0]);
    let verdict = events.last().unwrap()["verdict"].as_str().unwrap().to_owned();
    assert!(verdict.ends_with("; the plan was signed by alice.miller@example.org, bob@example.org"), "{verdict}");
    all_on(&farm, 2, &two);
    let journals = std::fs::read_dir(project.path("hoist/state")).unwrap().flatten();
    let texts = journals.filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
    assert!(
        texts.into_iter().any(|text| text.contains("\"signed_by\":[\"alice.miller@example.org\",\"bob@example.org\"]"))
    );
    // The way back, and a restart of what runs, need nobody.
    project.run(&["rollback", "--yes"]).ends(0);
    all_on(&farm, 2, &one);
    project.configure("service_name: web\nverify_service: off\nmin_healthy_time: 0");
    project.deploy(&["--service-restart"]).ends(0);
}

#[test]
fn a_revision_needs_a_signature_of_its_own_whatever_gits_configuration_says() {
    let (farm, project, one) = Project::deployed(0, 1);
    let people = People::new(&["alice", "mallory", "carol"]);
    people.allow(&[("alice@example.org", "alice"), ("carol@example.org", "carol")]);
    std::fs::write(people.path("revoked"), people.public_key("carol")).unwrap();
    let [allowed, revoked] = ["allowed", "revoked"].map(|name| people.path(name).display().to_string());
    let keys =
        format!("[global]\nallowed_signers: {allowed}\nrevoked_signers: {revoked}\nrequire_signed_revision: yes\n");
    project.set_global(&keys);
    // Everybody may sign, says the repository.
    let anybody = people.path("anybody");
    std::fs::write(&anybody, format!("* {}", people.public_key("mallory"))).unwrap();
    project.git(&["config", "gpg.format", "ssh"]);
    project.git(&["config", "gpg.ssh.allowedSignersFile", anybody.to_str().unwrap()]);
    project.git(&["config", "gpg.ssh.revocationFile", "/dev/null"]);
    let signed = |who: &str, arguments: &[&str]| {
        let key = format!("user.signingkey={}", people.path(&format!("{who}.pub")).display());
        project.git(&[&["-c", &key], arguments].concat());
    };
    let before = state(&farm, 1);
    let refused = |words: &str| drop(project.deploy(&[]).ends(2).says("require_signed_revision (").says(words));
    project.commit("unsigned");
    refused("it is not signed");
    project.run(&["plan"]).ends(0).says("warning: a deployment would be refused: require_signed_revision");
    signed("mallory", &["commit", "-q", "-S", "--allow-empty", "-m", "by mallory"]);
    refused("No principal matched.");
    signed("carol", &["commit", "-q", "-S", "--allow-empty", "-m", "by carol"]);
    refused("the key of carol@example.org is revoked by ");
    signed("mallory", &["tag", "-s", "-m", "x", "v0"]);
    refused("tag v0: No principal matched.");
    // Signed with GPG, by whomever.
    let commit = project.git(&["cat-file", "commit", "HEAD"]);
    let (head, message) = commit.split_once("gpgsig ").unwrap();
    let message = message.split_once("\n\n").unwrap().1;
    let gpg = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n iQ\n =a\n -----END PGP SIGNATURE-----\n\n";
    project.write(".git/commit", &format!("{head}{gpg}{message}\n"));
    let pgp = project.git(&["hash-object", "-t", "commit", "-w", ".git/commit"]);
    project.deploy(&["-r", &pgp]).ends(2).says("it is signed with GPG or X.509, and only SSH signatures are checked");
    project.deploy(&["-D", "require_signed_revision:no"]).ends(2).says("it can be set in files only");
    assert_eq!(state(&farm, 1), before, "a host was touched");
    all_on(&farm, 1, &one);

    signed("alice", &["tag", "-s", "-m", "x", "v1"]);
    project.deploy(&[]).ends(0);
    signed("alice", &["commit", "-q", "-S", "--allow-empty", "-m", "by alice"]);
    project.deploy(&[]).ends(0);
    // The way back is open.
    project.run(&["rollback", "--yes"]).ends(0);
    // For a directory the signature of its commit counts, and for what a build makes none does.
    project.write("services/api/a.txt", "one\n");
    project.configure("subdir: services/api");
    project.git(&["add", "-A"]);
    project.git(&["commit", "-q", "-m", "unsigned directory"]);
    refused("it is not signed");
    signed("alice", &["commit", "-q", "-S", "--allow-empty", "-m", "its files by alice"]);
    project.deploy(&[]).ends(0).says("services/api of ");
    assert_eq!(std::fs::read(farm.srv(&address(0)).join(CACHE).join("current/a.txt")).unwrap(), b"one\n");
    let of_nobody = "which nobody can have signed: deploy a commit; nothing was touched";
    let build = ["-Dsubdir:", "-Dbuild_command:mkdir dist; echo x >dist/x", "-Dbuild_output:dist"];
    for artifact in [&["--artifact", "services", "--source", "HEAD"][..], &build] {
        project.deploy(artifact).ends(2).says(of_nobody);
    }
    project.set_global("[global]\nrequire_signed_revision: yes\n");
    project.deploy(&[]).ends(2).says("allowed_signers is not set: name the file of those who may sign");
    project.set_global(&keys.replace("signers: /", "signers: /nosuch/"));
    project.deploy(&[]).ends(2).says("cannot read allowed_signers /nosuch/");
}
