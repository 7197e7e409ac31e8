//! One key to log in with: from the agent, or from a private key file.

use std::path::PathBuf;

use super::agent::AgentKey;
use super::certificate;
use super::certificate::Certificate;
use super::private_key::PrivateKey;
use crate::fleet::ssh::known_hosts::fingerprint;

/// A key that a server may accept.
#[derive(Clone)]
pub enum Candidate {
    /// A key in the agent, which signs with it.
    Agent(AgentKey),
    /// An unencrypted private key, in memory, and the certificate that is presented with it.
    File { path: PathBuf, private: PrivateKey, certificate: Option<Certificate> },
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
    /// An identifier that is the same in every process.
    pub fn key_id(&self) -> String {
        match self {
            Candidate::Agent(key) => fingerprint(&key.blob),
            Candidate::File { .. } => self.to_string(),
        }
    }

    /// Why a server may have refused it for `user`, if it is a certificate.
    pub fn problem(&self, user: &str) -> Option<String> {
        let (name, blob) = match self {
            Candidate::Agent(key) => (self.to_string(), &key.blob),
            Candidate::File { certificate, .. } => {
                let certificate = certificate.as_ref()?;
                (certificate.path.display().to_string(), &certificate.blob)
            }
        };
        certificate::problem(blob, user).map(|problem| format!("the certificate {name} {problem}"))
    }
}
