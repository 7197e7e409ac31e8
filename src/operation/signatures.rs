//! The signatures of plans, which `ssh-keygen` makes and checks.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::config::Config;
use crate::deploy;
use crate::deploy::{Choice, Kind, Plan};
use crate::repo::Repo;
use crate::subprocess::{self, Limits, Stream};
use crate::text::{counted, quoted};
use crate::wire::Revision;

use super::Refused;

/// What signatures of plans are made for: ssh's word for it is namespace. It keeps a signature of something else from being
/// taken for that of a plan.
pub const NAMESPACE: &str = "hoist-plan";

/// The longest file of a signature that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// How long `ssh-keygen` may take: a file of signers that is a pipe, or lies on a server that is gone, never ends.
const PATIENCE: Duration = Duration::from_secs(30);

/// A plan file with the signatures that are named on the command line.
pub struct SignedPlan<'a> {
    pub path: &'a Path,
    pub bytes: &'a [u8],
    /// Beside those that lie with the plan.
    pub signatures: &'a [PathBuf],
}

/// A signature by somebody who may sign.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Signature {
    /// As the file of signers names whoever made it.
    principals: Vec<String>,
    /// The fingerprint of the key.
    key: String,
}

/// Who signed a plan; and remarks on signatures that do not count.
#[derive(Debug, Default)]
pub struct Signers {
    pub names: Vec<String>,
    pub remarks: Vec<String>,
}

/// Refuses a deployment that lacks the signatures that `required_signatures` asks for. Only a deployment of a revision
/// needs them: what ends one, goes back from one or repeats one does not.
pub fn check(config: &Config, choice: &Choice, plan: Option<&SignedPlan>) -> Result<Signers, Refused> {
    let needed = config.settings.required_signatures;
    if choice.kind != Kind::Deploy {
        return Ok(Signers::default());
    }
    let place = config.place_of("required_signatures");
    let Some(plan) = plan else {
        return match needed {
            0 => Ok(Signers::default()),
            _ => Err(Refused::new(format!(
                "required_signatures ({place}): a deployment needs a plan with {}: make one with `{}`, have others sign \
                 it with `{}`, and deploy it with `{}`",
                of_others(needed),
                config.invocation.command("plan -o FILE"),
                how_to_sign("FILE"),
                config.invocation.command("deploy --plan FILE")
            ))),
        };
    };
    let allowed = match &config.settings.allowed_signers {
        Some(allowed) => allowed,
        None if needed == 0 => return Ok(Signers::default()),
        None => return Err(Refused::new(format!("required_signatures ({place}): allowed_signers is not set"))),
    };
    let revoked = config.settings.revoked_signers.as_deref();
    let own = crate::repo::operator_names();
    let (mut found, mut remarks): (Vec<Signature>, Vec<String>) = Default::default();
    for path in files(plan)? {
        let shown = path.display();
        match verify(&path, plan.bytes, allowed, revoked, PATIENCE) {
            Err(why) => remarks.push(format!("{shown} does not count: {why:#}")),
            Ok(signature) => match signature.principals.iter().find(|name| is_of(name, &own)) {
                Some(name) => remarks.push(format!("{shown} does not count: {name} is the operator's own name")),
                None => found.push(signature),
            },
        }
    }
    let names = people(found);
    if names.len() >= needed {
        return Ok(Signers { names, remarks });
    }
    let have = if names.is_empty() { "none".to_owned() } else { format!("only {}", names.join(", ")) };
    let lines: Vec<String> = remarks.iter().map(|remark| format!("\n- {remark}")).collect();
    Err(Refused::new(format!(
        "required_signatures ({place}): {} needs {}, and has {have}; nothing was touched{}\nto sign it: `{}`",
        plan.path.display(),
        of_others(needed),
        lines.concat(),
        how_to_sign(&quoted(&plan.path.to_string_lossy()))
    )))
}

/// Refuses a revision that nobody signed whom `allowed_signers` lists, if `require_signed_revision` is set. Gives who did.
pub fn check_revision(config: &Config, repo: &Repo, plan: &Plan) -> Result<Option<String>, Refused> {
    let settings = &config.settings;
    if !settings.require_signed_revision || plan.kind != Kind::Deploy {
        return Ok(None);
    }
    let revision = signed_commit(config, repo, plan)?;
    let Some(allowed) = &settings.allowed_signers else {
        return Err(Refused::new("require_signed_revision is set, and allowed_signers is not".to_owned()));
    };
    let revoked = settings.revoked_signers.as_deref();
    for (key, file) in [("allowed_signers", Some(allowed.as_path())), ("revoked_signers", revoked)] {
        if let Some(file) = file {
            File::open(file).with_context(|| format!("cannot read {key} {}", file.display()))?;
        }
    }
    repo.signer(revision, allowed, revoked).map(Some).map_err(|why| {
        let place = config.place_of("require_signed_revision");
        Refused::new(format!(
            "require_signed_revision ({place}): {} has no signature by anybody in {}; nothing was touched\n- {why:#}",
            revision.short(),
            allowed.display()
        ))
    })
}

/// The commit whose signature counts for a plan. That of a directory's commit does, since its files follow from it, which
/// is found out here again; what an archive or a build contains is nothing that the commit says.
fn signed_commit<'a>(config: &Config, repo: &Repo, plan: &'a Plan) -> Result<&'a Revision, Refused> {
    let Some(origin) = &plan.origin else { return Ok(&plan.revision) };
    if let (Some(source), Some(subdir)) = (&origin.source, origin.subdir())
        && repo.subdir_revision(source, subdir, deploy::wanted_of_subdir(config))? == plan.revision
    {
        return Ok(source);
    }
    Err(Refused::new(format!(
        "require_signed_revision ({}): {} is {origin}, which nobody can have signed: deploy a commit; nothing was touched",
        config.place_of("require_signed_revision"),
        plan.revision.short()
    )))
}

/// What has to be done with a plan before it can be deployed.
pub fn needed(config: &Config, file: &str) -> String {
    let needed = of_others(config.settings.required_signatures);
    format!("first it needs {needed}: `{}`", how_to_sign(file))
}

fn of_others(needed: usize) -> String {
    format!("{} of people other than the operator", counted(needed, "signature"))
}

/// It does not ask whether the file of another signature may be overwritten.
fn how_to_sign(file: &str) -> String {
    format!("ssh-keygen -Y sign -n {NAMESPACE} -f KEY < {file} > {file}.NAME.sig")
}

/// The files of a plan's signatures: `PLAN.sig` and `PLAN.NAME.sig` beside it, in order, and those that were named.
fn files(plan: &SignedPlan) -> Result<Vec<PathBuf>> {
    let name = plan.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let folder = plan.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_its = |found: &str| {
        found
            .strip_prefix(&name)
            .is_some_and(|rest| rest == ".sig" || (rest.starts_with('.') && rest.ends_with(".sig")))
    };
    let mut beside: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        if is_its(&entry.file_name().to_string_lossy()) {
            beside.push(plan.path.with_file_name(entry.file_name()));
        }
    }
    beside.sort();
    let named = plan.signatures.iter().filter(|path| !beside.contains(path)).cloned().collect();
    Ok([beside, named].concat())
}

/// Who made a signature of these bytes.
///
/// # Errors
/// Why it does not count: one fragment.
fn verify(path: &Path, bytes: &[u8], allowed: &Path, revoked: Option<&Path>, patience: Duration) -> Result<Signature> {
    let mut signature = Vec::new();
    File::open(path)?.take(LONGEST).read_to_end(&mut signature)?;
    // A copy of what was read: nobody changes it between the questions.
    let mut copy = tempfile::NamedTempFile::new()?;
    copy.write_all(&signature)?;
    let keygen = |action: &str, arguments: &[&std::ffi::OsStr]| {
        let mut command = Command::new("ssh-keygen");
        command.args(["-Y", action, "-s"]).arg(copy.path()).args(arguments).env("LC_ALL", "C");
        let limits = Limits { until: Instant::now() + patience, is_over: &|| false, kill_leftovers: true };
        let (mut out, mut err) = (String::new(), String::new());
        let ended = subprocess::run_with_input(&mut command, Some(bytes.to_vec()), &limits, &mut |stream, line| {
            let text = if stream == Stream::Stdout { &mut out } else { &mut err };
            text.push_str(&line);
            text.push('\n');
        });
        let status = ended.context("cannot start ssh-keygen, which checks signatures")?;
        let status = status.with_context(|| format!("ssh-keygen did not end within {} s", patience.as_secs_f64()))?;
        anyhow::Ok((status.success(), out, err))
    };
    let namespace = ["-n".as_ref(), NAMESPACE.as_ref()];
    let (is_its, said, why) = keygen("check-novalidate", &namespace)?;
    if !is_its {
        anyhow::bail!("it is no signature of this plan as it is now ({})", first(&why));
    }
    let key = said.split_whitespace().find(|word| word.starts_with("SHA256:")).unwrap_or_default().to_owned();
    let signers = ["-f".as_ref(), allowed.as_os_str()];
    let (is_known, said, why) = keygen("find-principals", &signers)?;
    let principals: Vec<String> = said.lines().map(|line| line.trim().to_owned()).filter(|it| !it.is_empty()).collect();
    if !is_known || principals.is_empty() {
        let why = first(&why);
        anyhow::bail!("{} lists no valid key {key} ({why})", allowed.display());
    }
    if let Some(pattern) = principals.iter().find(|name| name.contains(['*', '?', '!'])) {
        anyhow::bail!("{} has the pattern {pattern:?} for key {key}, which is the name of nobody", allowed.display());
    }
    let as_who = [&signers[..], &["-I".as_ref(), principals[0].as_ref()], &namespace].concat();
    let (is_valid, _, why) = keygen("verify", &as_who)?;
    if !is_valid {
        anyhow::bail!(
            "{} does not let {} sign plans with key {key} ({})",
            allowed.display(),
            principals[0],
            first(&why)
        );
    }
    if let Some(revoked) = revoked {
        File::open(revoked).with_context(|| format!("cannot read revoked_signers {}", revoked.display()))?;
        let (is_valid, ..) = keygen("verify", &[&as_who[..], &["-r".as_ref(), revoked.as_os_str()]].concat())?;
        if !is_valid {
            anyhow::bail!("key {key} of {} is revoked by {}", principals[0], revoked.display());
        }
    }
    Ok(Signature { principals, key })
}

/// The first line of what a program says.
fn first(text: &str) -> &str {
    text.lines().next().unwrap_or("ssh-keygen gives no reason")
}

/// Whether a name in the file of signers is one of a user: the login name, alone or with an address behind it.
fn is_of(principal: &str, users: &[String]) -> bool {
    let name = principal.split_once('@').map_or(principal, |(name, _)| name);
    users.iter().any(|user| user.eq_ignore_ascii_case(name))
}

/// One name for each person: signatures with one key, or with a name in common, are those of one.
fn people(found: Vec<Signature>) -> Vec<String> {
    let mut people: Vec<Vec<Signature>> = Vec::new();
    for signature in found {
        let same = |other: &Signature| {
            other.key == signature.key || other.principals.iter().any(|name| signature.principals.contains(name))
        };
        let (own, others) = people.into_iter().partition::<Vec<_>, _>(|person| person.iter().any(same));
        people = others;
        people.push(own.into_iter().flatten().chain([signature]).collect());
    }
    people.iter().filter_map(|person| person.first()?.principals.first().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(key: &str, names: &[&str]) -> Signature {
        Signature { principals: names.iter().map(|name| (*name).to_owned()).collect(), key: key.to_owned() }
    }

    #[test]
    fn signatures_of_one_person_count_once_whatever_the_keys_and_names() {
        assert_eq!(people(vec![by("1", &["a"]), by("1", &["a"]), by("2", &["b"])]), ["a", "b"]);
        assert_eq!(people(vec![by("1", &["a"]), by("1", &["b"])]), ["a"], "one key");
        assert_eq!(people(vec![by("1", &["a", "a@x"]), by("2", &["a@x"])]), ["a"], "two keys");
        assert_eq!(people(vec![by("1", &["a"]), by("2", &["b"]), by("3", &["a", "b"])]), ["a"], "joined by the third");
    }

    #[test]
    fn a_file_of_signers_that_never_ends_is_an_error_and_not_a_wait() {
        let folder = tempfile::tempdir().unwrap();
        let made = |program: &str, arguments: &[&str]| {
            let done = Command::new(program).args(arguments).current_dir(folder.path()).status().unwrap();
            assert!(done.success(), "{program}");
        };
        std::fs::write(folder.path().join("plan"), "a plan\n").unwrap();
        made("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", "key"]);
        made("ssh-keygen", &["-q", "-Y", "sign", "-n", NAMESPACE, "-f", "key", "plan"]);
        made("mkfifo", &["signers"]);
        let signers = folder.path().join("signers");
        let signature = folder.path().join("plan.sig");
        let why = verify(&signature, b"a plan\n", &signers, None, Duration::from_millis(500)).unwrap_err();
        assert_eq!(why.to_string(), "ssh-keygen did not end within 0.5 s");
    }

    #[test]
    fn a_signer_is_the_operator_by_the_name_or_what_stands_before_the_at() {
        let own = ["alice".to_owned(), "Deploy".to_owned()];
        for name in ["alice", "alice@example.org", "ALICE@deploy1", "deploy"] {
            assert!(is_of(name, &own), "{name}");
        }
        for name in ["alice2", "bob@alice", "", "@alice"] {
            assert!(!is_of(name, &own), "{name}");
        }
    }
}
