//! Logging in, without ever asking for a password.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ssh2::{ErrorCode, Session};

use super::identity::{Candidate, Identities};
use super::relay;

/// A server with OpenSSH's `MaxAuthTries 6` ends the connection at the sixth failure, so no more than this many are tried.
const TRIES_A_CONNECTION: usize = 5;

/// How a login went.
#[derive(Debug)]
pub(super) enum Login {
    In,
    /// Connect again and go on.
    Again,
    /// No candidate is left.
    Refused(Refusal),
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

    /// A login that begins with the candidate that last won, and leads with it over all reconnections.
    pub fn begin(&self) -> Progress {
        Progress {
            first: self.won.load(Ordering::Relaxed),
            next: 0,
            hung_up_at: None,
            unusable: Vec::new(),
            agent_trouble: None,
        }
    }

    /// Tries candidates on a fresh session, from where the login has come to.
    pub fn log_in(&self, session: &Session, user: &str, progress: &mut Progress, patience: Duration) -> Login {
        let candidates = &self.identities.candidates;
        let first = progress.first;
        let order = std::iter::once(first).chain((0..candidates.len()).filter(|&at| at != first));
        let mut tries = 0;
        for (position, at) in order.enumerate().skip(progress.next) {
            progress.next = position;
            let Some(candidate) = candidates.get(at) else { continue };
            if progress.passes_over(candidate) {
                continue;
            }
            if tries == TRIES_A_CONNECTION {
                return Login::Again;
            }
            let began = Instant::now();
            match self.try_one(session, user, candidate, patience) {
                Ok(()) if session.authenticated() => {
                    self.won.store(at, Ordering::Relaxed);
                    return Login::In;
                }
                Ok(()) => tries += 1,
                Err(Trouble::Agent(why)) => {
                    log::debug!("{candidate} cannot be used: {why}");
                    progress.agent_trouble = Some(why);
                }
                Err(Trouble::Session(error)) if was_not_answered(&error) => {
                    if began.elapsed() >= patience {
                        let timeout = ErrorCode::Session(-9);
                        return Login::Broken(ssh2::Error::new(timeout, "no answer to a key"));
                    }
                    // A server that allows fewer tries than ours hangs up in place of its last no, so the next
                    // connection begins with this key once more. Twice at the first key: no was the answer to it.
                    if tries == 0 && progress.hung_up_at.replace(position) == Some(position) {
                        progress.next += 1;
                    }
                    return Login::Again;
                }
                Err(Trouble::Session(error)) => match error.code() {
                    // LIBSSH2_ERROR_AUTHENTICATION_FAILED and _PUBLICKEY_UNVERIFIED: the server said no.
                    ErrorCode::Session(-18 | -19) => tries += 1,
                    // It hung up a little earlier.
                    ErrorCode::Session(-7 | -13 | -43) if tries > 0 => return Login::Again,
                    ErrorCode::Session(-1 | -7 | -9 | -13 | -43) => return Login::Broken(error),
                    // The key itself could not be used, which the server has not seen.
                    _ => {
                        log::debug!("{candidate} cannot be used: {error}");
                        progress.unusable.push(format!("{candidate} ({})", error.message()));
                    }
                },
            }
        }
        Login::Refused(progress.refusal(candidates))
    }

    fn try_one(&self, session: &Session, user: &str, candidate: &Candidate, patience: Duration) -> Result<(), Trouble> {
        let key = match candidate {
            Candidate::File { private, certificate, .. } => {
                let shown = certificate.as_ref().map(|certificate| certificate.text.as_str());
                return session.userauth_pubkey_memory(user, shown, private, None).map_err(Trouble::Session);
            }
            Candidate::Agent(key) => key,
        };
        let with_agent = |socket: &Path| {
            let mut agent = session.agent()?;
            agent.set_identity_path(socket)?;
            agent.connect()?;
            agent.list_identities()?;
            let held = agent.identities()?;
            match held.iter().find(|held| held.blob() == key.blob) {
                Some(held) => agent.userauth(user, held),
                None => Err(ssh2::Error::new(ErrorCode::Session(-42), "the agent no longer holds it")),
            }
        };
        let socket = self.identities.agent.as_deref().unwrap_or(Path::new(""));
        match relay::through(socket, patience, with_agent) {
            Ok((_, Some(trouble))) => Err(Trouble::Agent(trouble)),
            Ok((Err(error), None)) if error.message().starts_with("Callback ") => {
                let why = "the agent does not sign with it";
                Err(Trouble::Session(ssh2::Error::new(ErrorCode::Session(-42), why)))
            }
            Ok((done, None)) => done.map_err(Trouble::Session),
            Err(error) => Err(Trouble::Agent(format!("there is no way to the ssh agent: {error}"))),
        }
    }
}

/// Whether the server hung up, or kept silent, where it should have said yes or no. The library has no number of its own
/// for that; a test holds its words.
fn was_not_answered(error: &ssh2::Error) -> bool {
    matches!(error.code(), ErrorCode::Session(-18 | -19)) && error.message().starts_with("Waiting for ")
}

/// Why a candidate did not get in.
enum Trouble {
    Session(ssh2::Error),
    /// The agent did not do its part; the server has refused nothing.
    Agent(String),
}

/// How far a login has come, over all of its connections.
#[derive(Debug)]
pub(super) struct Progress {
    /// The candidate that leads.
    first: usize,
    /// Which one is next, in the order that `first` leads.
    next: usize,
    /// Which one was the first of a connection that ended with it.
    hung_up_at: Option<usize>,
    /// Keys that could not be offered, and why.
    unusable: Vec<String>,
    /// What is wrong with the agent. It is not asked again in this login: each time could cost as long.
    agent_trouble: Option<String>,
}

impl Progress {
    fn passes_over(&self, candidate: &Candidate) -> bool {
        self.agent_trouble.is_some() && matches!(candidate, Candidate::Agent(_))
    }

    /// What was tried in vain, for the operator.
    fn refusal(&self, candidates: &[Candidate]) -> Refusal {
        let unusable = |candidate: &Candidate| self.unusable.iter().any(|it| it.starts_with(&candidate.to_string()));
        let tried = candidates.iter().filter(|candidate| !self.passes_over(candidate) && !unusable(candidate));
        let troubles = self.agent_trouble.iter().chain(&self.unusable).cloned();
        Refusal { tried: tried.map(Candidate::to_string).collect(), troubles: troubles.collect() }
    }
}

/// Why nobody was let in.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The keys that the server refused.
    pub tried: Vec<String>,
    /// What kept others from being offered.
    pub troubles: Vec<String>,
}
