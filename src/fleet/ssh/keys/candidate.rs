//! One way to log in: a key of the agent, or a private key's file.

use std::path::PathBuf;

use super::agent::AgentKey;
use super::certificate;
use super::certificate::Certificate;
use crate::fleet::ssh::known_hosts::fingerprint;

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
