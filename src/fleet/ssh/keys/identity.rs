//! Finds, reads and checks the operator's keys before any connection.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::agent;
use super::agent::AgentKey;
use super::candidate::Candidate;
use super::certificate::Certificate;
use super::key_file::{Exposed, KeyFile};
use super::keyholder;
use super::private_key::PrivateKey;
use super::wanted::Wanted;

/// In `~/.ssh`, in the order in which they are tried.
const USUAL_KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// The candidates in the order in which they are tried; never empty.
#[derive(Debug)]
pub struct Identities {
    pub candidates: Vec<Candidate>,
    pub agent: Option<PathBuf>,
    /// Keys that were skipped, and why.
    pub notes: Vec<String>,
    /// Problems that the operator should fix, although there are other keys.
    pub warnings: Vec<String>,
}

/// Notes why a key is not offered, once: of an agent that fails, the keyholder's key may have said so already.
fn note(notes: &mut Vec<String>, why: String) {
    if !notes.contains(&why) {
        notes.push(why);
    }
}

/// Where keys and agents are looked for.
struct Paths {
    home: Option<PathBuf>,
    keyholder: keyholder::Paths,
}

impl Identities {
    /// Finds the operator's keys.
    ///
    /// # Errors
    /// A key that was asked for by name and cannot be used, or no key at all. The operator has to fix these; nothing
    /// has been connected yet.
    pub fn load(wanted: &Wanted) -> anyhow::Result<Identities> {
        let paths = Paths { home: crate::fleet::ssh::options::home(), keyholder: keyholder::Paths::default() };
        Identities::load_from(wanted, &paths)
    }

    fn of_keyholder(found: keyholder::HeldKey) -> Identities {
        let candidates = vec![Candidate::Agent(found.key)];
        Identities { candidates, agent: Some(found.agent), notes: Vec::new(), warnings: Vec::new() }
    }

    fn load_from(wanted: &Wanted, paths: &Paths) -> anyhow::Result<Identities> {
        if let Some(name) = &wanted.keyholder_key {
            let named = paths.keyholder.named(name, wanted);
            return named
                .map(Identities::of_keyholder)
                .with_context(|| format!("keyholder_key {name:?} cannot be used"));
        }
        let (mut notes, mut warnings) = (Vec::new(), Vec::new());
        match wanted.keyholder_user.as_ref().and_then(|user| paths.keyholder.of_user(user, wanted)) {
            Some(Ok(found)) => return Ok(Identities::of_keyholder(found)),
            Some(Err(error)) => notes.push(format!("{error:#}")),
            None => {}
        }
        let mut held = match &wanted.agent {
            Some(socket) => {
                let listed = agent::list(socket, wanted.timeout);
                let failed = listed.is_err();
                let held = listed.unwrap_or_else(|error| {
                    note(&mut notes, format!("{error:#}"));
                    Vec::new()
                });
                if held.is_empty() && !failed {
                    note(&mut notes, agent::no_keys(socket));
                }
                held
            }
            None => Vec::new(),
        };
        let mut certificates = Vec::new();
        for path in &wanted.certificates {
            match Certificate::read(path) {
                Ok(certificate) => certificates.push(certificate),
                Err(error) => notes.push(format!("{error:#}")),
            }
        }
        let files = match (&wanted.files, &paths.home) {
            (Some(files), _) => files.clone(),
            (None, Some(home)) => USUAL_KEYS.iter().map(|name| home.join(".ssh").join(name)).collect(),
            (None, None) => Vec::new(),
        };
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for path in files {
            let found = KeyFile::read(&path).and_then(|key| {
                let mut shown: Vec<Certificate> = Certificate::beside(&path).into_iter().collect();
                shown.extend(certificates.iter().cloned());
                shown.retain(|certificate| Some(&certificate.key) == key.public.as_ref());
                candidates(key, &path, &shown, &mut held, &mut notes)
            });
            match found {
                Ok(mut found) => {
                    let by_agent = found.iter().any(|it| matches!(it, Candidate::Agent(_)));
                    if by_agent { &mut first } else { &mut second }.append(&mut found);
                }
                Err(error) if wanted.all_of_them => return Err(error),
                Err(error) if path.exists() => {
                    if error.is::<Exposed>() {
                        warnings.push(format!("{error:#}"));
                    }
                    notes.push(format!("{error:#}"));
                }
                Err(_) => {}
            }
        }
        // A certificate may be named alone, and its key be held by the agent.
        for certificate in &certificates {
            let by_agent = |it: &Candidate| matches!(it, Candidate::Agent(key) if key.blob == certificate.key);
            let is_used = second
                .iter()
                .any(|it| matches!(it, Candidate::File { certificate: Some(it), .. } if it == certificate));
            if let Some(key) = take(&mut held, &certificate.blob) {
                first.insert(0, Candidate::Agent(key));
            } else if !is_used && (first.iter().any(by_agent) || held.iter().any(|key| key.blob == certificate.key)) {
                bail!(certificate.not_held());
            }
        }
        let mut candidates = first;
        candidates.append(&mut second);
        if !wanted.no_others {
            candidates.extend(held.into_iter().map(Candidate::Agent));
        }
        if candidates.is_empty() {
            let passed_over = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) };
            bail!(
                "no agent and no key to log in with{passed_over}: load a key with ssh-add, or name a key without a \
                 passphrase as identity_file"
            );
        }
        notes.retain(|note| !warnings.contains(note));
        Ok(Identities { candidates, agent: wanted.agent.clone(), notes, warnings })
    }
}

/// The ways to log in with this key: with each of its certificates, then with the key alone; through the agent where
/// it holds the key.
///
/// # Errors
/// The key can be used neither through the agent nor from its file.
fn candidates(
    key: KeyFile,
    path: &Path,
    certificates: &[Certificate],
    held: &mut Vec<AgentKey>,
    notes: &mut Vec<String>,
) -> anyhow::Result<Vec<Candidate>> {
    let (mut candidates, mut left) = (Vec::new(), Vec::new());
    for certificate in certificates {
        match take(held, &certificate.blob) {
            Some(key) => candidates.push(Candidate::Agent(key)),
            None => left.push(certificate),
        }
    }
    let by_agent = key.public.as_ref().and_then(|public| take(held, public));
    if by_agent.is_some() && (key.private.is_none() || key.encrypted) {
        notes.extend(left.drain(..).map(Certificate::not_held));
    }
    // With a certificate that the agent does not hold, the key must come from its file.
    match by_agent {
        Some(key) if left.is_empty() => candidates.push(Candidate::Agent(key)),
        None if !candidates.is_empty() && left.is_empty() => {}
        _ => {
            let private = PrivateKey::of(key.usable(path)?);
            Exposed::check(path)?;
            let file = |certificate: Option<&Certificate>| Candidate::File {
                path: path.to_owned(),
                private: private.clone(),
                certificate: certificate.cloned(),
            };
            candidates.extend(left.into_iter().map(|certificate| file(Some(certificate))));
            candidates.push(file(None));
        }
    }
    Ok(candidates)
}

/// The one key of the agent that has this public half, or certificate.
fn take(held: &mut Vec<AgentKey>, blob: &[u8]) -> Option<AgentKey> {
    let at = held.iter().position(|key| key.blob == blob)?;
    Some(held.remove(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::ssh::SshOptions;
    use std::process::Command;

    fn keygen(path: &Path, arguments: &[&str]) {
        let done = Command::new("ssh-keygen").args(["-q", "-f"]).arg(path).args(arguments).status().unwrap();
        assert!(done.success());
    }

    fn paths(home: &Path) -> Paths {
        Paths {
            home: Some(home.to_owned()),
            keyholder: keyholder::Paths { keys: home.join("keyholder.d"), agent: home.join("proxy.sock") },
        }
    }

    fn wanted(options: &SshOptions) -> Wanted {
        Wanted { agent: None, ..Wanted::of(options) }
    }

    fn error(options: &SshOptions, home: &Path) -> String {
        format!("{:#}", Identities::load_from(&wanted(options), &paths(home)).unwrap_err())
    }

    #[test]
    fn an_encrypted_key_is_told_in_every_format_and_refused_without_an_agent() {
        let dir = tempfile::tempdir().unwrap();
        for (name, format) in [("openssh", "RFC4716"), ("pem", "PEM"), ("pkcs8", "PKCS8")] {
            let path = dir.path().join(name);
            keygen(&path, &["-t", "rsa", "-b", "2048", "-m", format, "-N", "secret"]);
            let options = SshOptions { identity_files: Some(vec![path.clone()]), ..SshOptions::default() };
            let error = error(&options, dir.path());
            assert!(error.contains("is encrypted") && error.contains(name), "{error}");
            keygen(&path, &["-p", "-P", "secret", "-N", "", "-m", format]);
            let loaded = Identities::load_from(&wanted(&options), &paths(dir.path())).unwrap();
            assert!(matches!(&loaded.candidates[..], [Candidate::File { .. }]), "{name}");
        }
    }

    #[test]
    fn a_key_that_was_asked_for_must_be_there_and_be_a_key() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        let options = SshOptions { identity_files: Some(vec![file.clone()]), ..SshOptions::default() };
        assert!(error(&options, dir.path()).contains("cannot read the identity"));
        std::fs::write(&file, "no key").unwrap();
        assert!(error(&options, dir.path()).contains("is not a private key"));
    }

    #[test]
    fn nothing_to_log_in_with_is_an_error_before_anything_is_connected() {
        let dir = tempfile::tempdir().unwrap();
        assert!(error(&SshOptions::default(), dir.path()).contains("no agent and no key"));
        std::fs::create_dir(dir.path().join(".ssh")).unwrap();
        keygen(&dir.path().join(".ssh/id_ed25519"), &["-t", "ed25519", "-N", "secret"]);
        let why = error(&SshOptions::default(), dir.path());
        assert!(why.contains("no agent and no key") && why.contains("is encrypted"), "{why}");
    }

    #[test]
    fn a_keyholder_key_is_a_plain_name_with_a_public_key_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        let options = |name: &str| SshOptions { keyholder_key: Some(name.into()), ..SshOptions::default() };
        for bad in ["", "../id", "a/b"] {
            assert!(error(&options(bad), dir.path()).contains("name of a file"), "{bad:?}");
        }
        assert!(error(&options("deploy"), dir.path()).contains("keyholder.d/deploy.pub"));
        std::fs::create_dir(dir.path().join("keyholder.d")).unwrap();
        keygen(&dir.path().join("keyholder.d/deploy"), &["-t", "ed25519", "-N", ""]);
        assert!(error(&options("deploy"), dir.path()).contains("proxy.sock"));
    }
}
