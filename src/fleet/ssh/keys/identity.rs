//! The keys that the operator has: found, read and judged before anything is connected.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::agent;
use super::agent::{AgentKey, take_string};
use super::certificate;
use super::certificate::Certificate;
use super::keyholder;
use crate::fleet::ssh::SshOptions;
use crate::fleet::ssh::known_hosts::fingerprint;

/// In `~/.ssh`, in the order in which they are tried.
const USUAL_KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// One way to show who the operator is.
#[derive(Clone, PartialEq, Eq)]
pub enum Candidate {
    /// A key that the agent signs with.
    Agent(AgentKey),
    /// A private key that is not encrypted, in memory, and the certificate that is shown with it, as its file has it.
    File { path: PathBuf, private: String, certificate: Option<Certificate> },
}

impl std::fmt::Debug for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl std::fmt::Display for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Candidate::Agent(key) => write!(f, "{} {:?} of the agent", fingerprint(&key.blob), key.comment),
            Candidate::File { path, certificate: Some(certificate), .. } => {
                write!(f, "{} with {}", path.display(), certificate.path.display())
            }
            Candidate::File { path, .. } => write!(f, "{}", path.display()),
        }
    }
}

impl Candidate {
    /// By what it is known again, in another process too.
    pub fn key_id(&self) -> String {
        match self {
            Candidate::Agent(key) => fingerprint(&key.blob),
            Candidate::File { .. } => self.to_string(),
        }
    }

    /// Why a server may have refused it for `user`, where it is a certificate.
    pub fn doubt(&self, user: &str) -> Option<String> {
        let (name, blob) = match self {
            Candidate::Agent(key) => (self.to_string(), &key.blob),
            Candidate::File { certificate, .. } => {
                let certificate = certificate.as_ref()?;
                (certificate.path.display().to_string(), &certificate.blob)
            }
        };
        certificate::doubt(blob, user).map(|doubt| format!("of the certificate {name}: {doubt}"))
    }
}

/// The candidates in the order in which they are tried; never empty.
#[derive(Debug)]
pub struct Identities {
    pub candidates: Vec<Candidate>,
    pub agent: Option<PathBuf>,
    /// What was passed over and why.
    pub notes: Vec<String>,
    /// What the operator should mend, though there are other keys.
    pub warnings: Vec<String>,
}

/// Which keys are wanted. Two hosts that want the same share what was found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Wanted {
    /// The keyholder's key of this name, through the agent, and nothing else.
    pub keyholder_key: Option<String>,
    /// The keyholder's key that is called as this user, and nothing else, where there is one that can be used.
    pub keyholder_user: Option<String>,
    /// These files; `None`: the usual ones of `~/.ssh`.
    pub files: Option<Vec<PathBuf>>,
    /// It is an error when one of the files cannot be used.
    pub all_of_them: bool,
    /// Nothing but the files, though the agent holds more.
    pub no_others: bool,
    /// Certificates of any of the keys, beside those that have the name of a key's file and `-cert.pub`.
    pub certificates: Vec<PathBuf>,
    /// The agent's socket; `None`: there is no agent.
    pub agent: Option<PathBuf>,
    /// How long the agent may take for an answer.
    pub patience: Duration,
}

impl Wanted {
    /// What Hoist's own configuration says.
    pub fn of(options: &SshOptions) -> Wanted {
        Wanted {
            keyholder_key: options.keyholder_key.clone(),
            keyholder_user: match options.keyholder && options.identity_files.is_none() {
                true => options.user.clone().or_else(crate::fleet::ssh::options::operator),
                false => None,
            },
            files: options.identity_files.clone(),
            all_of_them: options.identity_files.is_some(),
            no_others: options.identity_files.is_some(),
            certificates: Vec::new(),
            agent: options.agent.clone().or_else(usual_agent),
            patience: options.connect_timeout,
        }
    }
}

/// Notes what kept a key from being offered. Of an agent in a bad way the keyholder's key has said so already.
fn note(notes: &mut Vec<String>, why: String) {
    if !notes.contains(&why) {
        notes.push(why);
    }
}

/// The agent that the environment names.
pub fn usual_agent() -> Option<PathBuf> {
    std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Where keys and agents are looked for.
struct Places {
    home: Option<PathBuf>,
    keyholder: keyholder::Places,
}

impl Identities {
    /// Finds the operator's keys.
    ///
    /// # Errors
    /// A key that was asked for by name and cannot be used, or no key at all. These are the operator's to mend, and
    /// nothing has been connected yet.
    pub fn load(wanted: &Wanted) -> anyhow::Result<Identities> {
        let places = Places { home: crate::fleet::ssh::options::home(), keyholder: keyholder::Places::default() };
        Identities::load_from(wanted, &places)
    }

    fn load_from(wanted: &Wanted, places: &Places) -> anyhow::Result<Identities> {
        if let Some(name) = &wanted.keyholder_key {
            let named = places.keyholder.named(name, wanted);
            return named.with_context(|| format!("keyholder_key {name:?} cannot be used"));
        }
        let (mut notes, mut warnings) = (Vec::new(), Vec::new());
        match wanted.keyholder_user.as_ref().and_then(|user| places.keyholder.of_user(user, wanted)) {
            Some(Ok(found)) => return Ok(found),
            Some(Err(error)) => notes.push(format!("{error:#}")),
            None => {}
        }
        let mut held = match &wanted.agent {
            Some(socket) => {
                let listed = agent::list(socket, wanted.patience);
                let failed = listed.is_err();
                let held = listed.unwrap_or_else(|error| {
                    note(&mut notes, format!("{error:#}"));
                    Vec::new()
                });
                if held.is_empty() && !failed {
                    note(&mut notes, no_keys(socket));
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
        let files = match (&wanted.files, &places.home) {
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
                key.candidates(&path, &shown, &mut held, &mut notes)
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

/// The one key of the agent that has this public half, or certificate.
fn take(held: &mut Vec<AgentKey>, blob: &[u8]) -> Option<AgentKey> {
    let at = held.iter().position(|key| key.blob == blob)?;
    Some(held.remove(at))
}

/// A locked agent lists none, and does not say why.
pub(in crate::fleet::ssh) fn no_keys(socket: &Path) -> String {
    format!("the ssh agent at {} holds no keys, or is locked (ssh-add -X unlocks it)", socket.display())
}

/// A key file as it was found.
struct KeyFile {
    /// `None`: only the public half is there.
    private: Option<String>,
    encrypted: bool,
    /// `None` where it cannot be told without the passphrase.
    public: Option<Vec<u8>>,
}

impl KeyFile {
    fn read(path: &Path) -> anyhow::Result<KeyFile> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read the identity {}", path.display()))?;
        if let Some(public) = public_key(&text) {
            return Ok(KeyFile { private: None, encrypted: false, public: Some(public) });
        }
        if !text.contains("PRIVATE KEY-----") {
            bail!("the identity {} is not a private key", path.display());
        }
        let mut beside = path.as_os_str().to_owned();
        beside.push(".pub");
        let beside = std::fs::read_to_string(beside).ok().and_then(|text| public_key(&text));
        let (encrypted, inside) = match openssh_header(&text) {
            Some((encrypted, public)) => (encrypted, Some(public)),
            None => (text.contains("BEGIN ENCRYPTED") || text.contains("Proc-Type: 4,ENCRYPTED"), None),
        };
        // What stands in the key itself cannot be out of date, unlike the file beside it.
        Ok(KeyFile { private: Some(text), encrypted, public: inside.or(beside) })
    }

    /// The ways to log in with this key: with each of its certificates, then with the key alone; through the agent where
    /// it holds the key.
    ///
    /// # Errors
    /// The key can be used neither through the agent nor from its file.
    fn candidates(
        self,
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
        let by_agent = self.public.as_ref().and_then(|public| take(held, public));
        if by_agent.is_some() && (self.private.is_none() || self.encrypted) {
            notes.extend(left.drain(..).map(Certificate::not_held));
        }
        // With a certificate that the agent does not hold, the key must come from its file.
        match by_agent {
            Some(key) if left.is_empty() => candidates.push(Candidate::Agent(key)),
            None if !candidates.is_empty() && left.is_empty() => {}
            _ => {
                let private = self.usable(path)?;
                Exposed::look(path)?;
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

    fn usable(self, path: &Path) -> anyhow::Result<String> {
        let path = path.display();
        match self.private {
            None => bail!("the identity {path} is a public key, and no agent holds its private half: ssh-add it"),
            Some(_) if self.encrypted => {
                bail!("the identity {path} is encrypted, and no agent holds it: ssh-add it, nobody is asked here")
            }
            Some(private) => Ok(private),
        }
    }
}

/// A private key that others could read or write, which OpenSSH does not use either.
#[derive(Debug)]
struct Exposed {
    path: PathBuf,
    mode: u32,
}

impl Exposed {
    /// Looks at a file as OpenSSH does: one of the operator's own must give nothing to others; another's may.
    fn look(path: &Path) -> anyhow::Result<()> {
        let meta = std::fs::metadata(path).with_context(|| format!("cannot read the identity {}", path.display()))?;
        let mode = meta.mode() & 0o777;
        if meta.uid() == rustix::process::getuid().as_raw() && mode & 0o077 != 0 {
            bail!(Exposed { path: path.to_owned(), mode });
        }
        Ok(())
    }
}

impl std::fmt::Display for Exposed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (path, mode) = (self.path.display(), self.mode);
        write!(
            f,
            "the private key {path} is open to others (mode {mode:04o}) and is not used, as with ssh: chmod 600 {path}"
        )
    }
}

impl std::error::Error for Exposed {}

/// The key of a public key file: `type base64 comment`.
pub(in crate::fleet::ssh) fn public_key(text: &str) -> Option<Vec<u8>> {
    let mut words = text.split_ascii_whitespace();
    let kind = words.next()?;
    let blob = STANDARD.decode(words.next()?).ok()?;
    (take_string(&mut blob.as_slice())? == kind.as_bytes()).then_some(blob)
}

/// Whether an OpenSSH private key is encrypted, and its public half, which is in clear (PROTOCOL.key of OpenSSH).
fn openssh_header(text: &str) -> Option<(bool, Vec<u8>)> {
    let (_, after) = text.split_once("-----BEGIN OPENSSH PRIVATE KEY-----")?;
    let (body, _) = after.split_once("-----END")?;
    let bytes = STANDARD.decode(body.split_ascii_whitespace().collect::<String>()).ok()?;
    let mut rest = bytes.strip_prefix(b"openssh-key-v1\0")?;
    let cipher = take_string(&mut rest)?;
    let (_kdf, _kdf_options) = (take_string(&mut rest)?, take_string(&mut rest)?);
    let mut keys = rest.get(4..)?;
    Some((cipher != b"none", take_string(&mut keys)?.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn keygen(path: &Path, arguments: &[&str]) {
        let done = Command::new("ssh-keygen").args(["-q", "-f"]).arg(path).args(arguments).status().unwrap();
        assert!(done.success());
    }

    fn places(home: &Path) -> Places {
        Places {
            home: Some(home.to_owned()),
            keyholder: keyholder::Places { keys: home.join("keyholder.d"), agent: home.join("proxy.sock") },
        }
    }

    fn wanted(options: &SshOptions) -> Wanted {
        Wanted { agent: None, ..Wanted::of(options) }
    }

    fn error(options: &SshOptions, home: &Path) -> String {
        format!("{:#}", Identities::load_from(&wanted(options), &places(home)).unwrap_err())
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
            let loaded = Identities::load_from(&wanted(&options), &places(dir.path())).unwrap();
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
