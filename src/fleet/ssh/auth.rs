//! Logging in, without ever asking for a password.

use std::sync::atomic::{AtomicUsize, Ordering};

use ssh2::{ErrorCode, Session};

use super::identity::{Candidate, Identities};

/// A server with OpenSSH's `MaxAuthTries 6` ends the connection at the sixth failure, so no more than this many are tried.
const TRIES_A_CONNECTION: usize = 5;

/// How a login went.
#[derive(Debug)]
pub(super) enum Login {
    In,
    /// Connect again and go on with the candidate of this number.
    Again(usize),
    /// No candidate is left. What was refused, for the operator.
    Refused(String),
    /// The connection broke.
    Broken(ssh2::Error),
}

/// The identities, and which of them the hosts so far have taken.
#[derive(Debug)]
pub(super) struct Keys {
    pub identities: Identities,
    won: AtomicUsize,
}

impl Keys {
    pub fn new(identities: Identities) -> Keys {
        Keys { identities, won: AtomicUsize::new(0) }
    }

    /// Which candidate to begin with: the one that last won. It stays the same over the reconnections of one login.
    pub fn first(&self) -> usize {
        self.won.load(Ordering::Relaxed)
    }

    /// Tries candidates on a fresh session, beginning with the number `from` in an order that `first` leads.
    pub fn log_in(&self, session: &Session, user: &str, first: usize, from: usize) -> Login {
        let candidates = &self.identities.candidates;
        let order = std::iter::once(first).chain((0..candidates.len()).filter(|&at| at != first));
        let mut tries = 0;
        for (position, at) in order.enumerate().skip(from) {
            let Some(candidate) = candidates.get(at) else { continue };
            if tries == TRIES_A_CONNECTION {
                return Login::Again(position);
            }
            match self.try_one(session, user, candidate) {
                Ok(()) if session.authenticated() => {
                    self.won.store(at, Ordering::Relaxed);
                    return Login::In;
                }
                Ok(()) => tries += 1,
                Err(error) => match error.code() {
                    // LIBSSH2_ERROR_AUTHENTICATION_FAILED and _PUBLICKEY_UNVERIFIED: the server said no.
                    ErrorCode::Session(-18 | -19) => tries += 1,
                    // A server that allows fewer tries than ours hangs up: the next connection goes on from here.
                    ErrorCode::Session(-7 | -13 | -43) if tries > 0 => return Login::Again(position),
                    ErrorCode::Session(-1 | -7 | -9 | -13 | -43) => return Login::Broken(error),
                    // The key itself could not be used, which the server has not seen.
                    _ => log::debug!("{candidate} cannot be used: {error}"),
                },
            }
        }
        let tried: Vec<String> = candidates.iter().map(Candidate::to_string).collect();
        Login::Refused(tried.join(", "))
    }

    fn try_one(&self, session: &Session, user: &str, candidate: &Candidate) -> Result<(), ssh2::Error> {
        match candidate {
            Candidate::File { private, certificate, .. } => {
                let shown = certificate.as_ref().map(|certificate| certificate.text.as_str());
                session.userauth_pubkey_memory(user, shown, private, None)
            }
            Candidate::Agent(key) => {
                let mut agent = session.agent()?;
                if let Some(socket) = &self.identities.agent {
                    agent.set_identity_path(socket)?;
                }
                agent.connect()?;
                agent.list_identities()?;
                let held = agent.identities()?;
                match held.iter().find(|held| held.blob() == key.blob) {
                    Some(held) => agent.userauth(user, held),
                    None => Err(ssh2::Error::new(ErrorCode::Session(-42), "the agent no longer holds it")),
                }
            }
        }
    }
}
