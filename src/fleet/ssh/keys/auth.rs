//! Logging in, without ever asking for a password.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ssh2::Session;

use super::candidate::Candidate;
use super::identity::Identities;
use super::key_memory::KeyMemory;
use super::penalties;
use super::refusal::{Reason, Refusal};
use crate::fleet::ssh::jump::relay;
use crate::fleet::ssh::transport::{error_code, server_text};

/// A server with OpenSSH's `MaxAuthTries 6` ends the connection at the sixth failure, so no more than this many are
/// tried.
const TRIES_A_CONNECTION: usize = 5;
/// No candidate has won yet.
const NONE: usize = usize::MAX;

/// The result of a login attempt.
#[derive(Debug)]
pub(in crate::fleet::ssh) enum Login {
    In,
    /// Connect again after this pause, and continue.
    Again(Duration),
    /// No candidate is left, or none can succeed.
    Refused(Refusal),
    /// The connection broke.
    Broken(ssh2::Error),
}

/// The identities, and which of them hosts have accepted so far.
#[derive(Debug)]
pub(in crate::fleet::ssh) struct Keys {
    pub identities: Identities,
    won: AtomicUsize,
    lead: Mutex<Lead>,
    lead_changed: Condvar,
}

/// Where there are more candidates than a connection may try, one login goes ahead of the others, which then begin with
/// what it found; else each host would be bothered with all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lead {
    Free,
    Taken,
    Done,
}

impl Keys {
    pub fn new(identities: Identities) -> Keys {
        let few = identities.candidates.len() <= TRIES_A_CONNECTION;
        let lead = if few { Lead::Done } else { Lead::Free };
        Keys { identities, won: AtomicUsize::new(NONE), lead: Mutex::new(lead), lead_changed: Condvar::new() }
    }

    /// A login at the account `at`: it begins with the candidate that got in there last time, then the one that last
    /// won elsewhere, and keeps this order over all of its connections.
    pub fn begin(&self, memory: &KeyMemory, at: &str, timeout: Duration) -> Progress {
        let candidates = &self.identities.candidates;
        let place = |id: String| candidates.iter().position(|candidate| candidate.key_id() == id);
        let here = memory.of(at).and_then(place);
        let leads = here.is_none() && !timeout.is_zero() && self.takes_lead(timeout);
        let won = Some(self.won.load(Ordering::Relaxed)).filter(|won| *won < candidates.len());
        let elsewhere = won.or_else(|| memory.usual().and_then(place));
        let mut order: Vec<usize> = here.into_iter().chain(elsewhere).chain(0..candidates.len()).collect();
        let mut seen = vec![false; candidates.len()];
        order.retain(|at| !std::mem::replace(&mut seen[*at], true));
        Progress { order, leads, ..Progress::default() }
    }

    /// Whether this login goes ahead of the others; one that does not waits for the one that does.
    fn takes_lead(&self, timeout: Duration) -> bool {
        let mut lead = self.lead.lock().unwrap_or_else(PoisonError::into_inner);
        if *lead == Lead::Free {
            *lead = Lead::Taken;
            return true;
        }
        let until = Instant::now() + timeout;
        while *lead == Lead::Taken {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            lead = self.lead_changed.wait_timeout(lead, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }

    /// To be called when a login is over, however it ended. What got in is remembered, where there was a choice.
    pub fn end(&self, progress: &Progress, memory: &KeyMemory, at: &str) {
        let candidates = &self.identities.candidates;
        if let Some(won) = progress.won.and_then(|won| candidates.get(won)).filter(|_| candidates.len() > 1) {
            memory.note(at, &won.key_id());
        }
        if progress.leads {
            *self.lead.lock().unwrap_or_else(PoisonError::into_inner) = Lead::Done;
            self.lead_changed.notify_all();
        }
    }

    /// Tries candidates on a fresh session, from where the login has come to.
    pub fn log_in(&self, session: &Session, user: &str, progress: &mut Progress, timeout: Duration) -> Login {
        if progress.asks {
            progress.hear(session, user);
            if session.authenticated() {
                return Login::In;
            }
            if progress.takes_no_keys() {
                return Login::Refused(progress.refusal(Reason::NoPublickey, &self.identities, user));
            }
        }
        let mut tries = 0;
        match self.try_all(session, user, progress, timeout, &mut tries) {
            Login::Again(_) => {
                // A server that closes a connection may give a reason.
                server_text::last_words().into_iter().for_each(|words| progress.hear_said(words));
                progress.asks = true;
                Login::Again(progress.penalties.pause(session.banner(), tries > 0))
            }
            ended => ended,
        }
    }

    fn try_all(
        &self,
        session: &Session,
        user: &str,
        progress: &mut Progress,
        timeout: Duration,
        tries: &mut usize,
    ) -> Login {
        let candidates = &self.identities.candidates;
        let again = Login::Again(Duration::ZERO);
        while let Some(&at) = progress.order.get(progress.next) {
            let Some(candidate) = candidates.get(at).filter(|candidate| !progress.passes_over(candidate)) else {
                progress.next += 1;
                continue;
            };
            if *tries == TRIES_A_CONNECTION {
                return again;
            }
            let began = Instant::now();
            match self.try_one(session, user, candidate, timeout) {
                Ok(()) if session.authenticated() => {
                    self.won.store(at, Ordering::Relaxed);
                    progress.won = Some(at);
                    return Login::In;
                }
                Ok(()) => *tries += 1,
                Err(AttemptFailure::Agent(why)) => {
                    log::debug!("{candidate} cannot be used: {why}");
                    progress.agent_error = Some(why);
                }
                Err(AttemptFailure::Session(error)) if was_not_answered(&error) => {
                    if began.elapsed() >= timeout {
                        return Login::Broken(error_code::error(error_code::TIMEOUT, "no answer to a key"));
                    }
                    let accepted = was_accepted(&error);
                    if accepted {
                        // It may have given a reason.
                        progress.hear(session, user);
                    }
                    // A server that allows fewer tries than ours hangs up in place of its last no, so the next
                    // connection begins with this key once more. Twice at the first key: no was the answer to it.
                    if *tries == 0 && progress.hung_up_at.replace(progress.next) == Some(progress.next) {
                        if accepted {
                            let reason = Reason::Closed { key: candidate.to_string() };
                            return Login::Refused(progress.refusal(reason, &self.identities, user));
                        }
                        progress.next += 1;
                    }
                    return again;
                }
                Err(AttemptFailure::Session(error)) => match error_code::of(&error) {
                    error_code::PUBLICKEY_UNVERIFIED if was_accepted(&error) => {
                        *tries += 1;
                        progress.accepted = Some(candidate.to_string());
                        progress.hear(session, user);
                        if progress.takes_no_keys() {
                            let (key, wanted) = (candidate.to_string(), progress.methods.clone());
                            let reason = Reason::MoreWanted { key, wanted };
                            return Login::Refused(progress.refusal(reason, &self.identities, user));
                        }
                    }
                    error_code::AUTHENTICATION_FAILED | error_code::PUBLICKEY_UNVERIFIED => *tries += 1,
                    // It closed the connection a little earlier.
                    error_code::SOCKET_SEND | error_code::SOCKET_DISCONNECT | error_code::SOCKET_RECV if *tries > 0 => {
                        return again;
                    }
                    error_code::SOCKET_NONE
                    | error_code::SOCKET_SEND
                    | error_code::TIMEOUT
                    | error_code::SOCKET_DISCONNECT
                    | error_code::SOCKET_RECV => return Login::Broken(error),
                    // The key itself could not be used; the server has not seen it.
                    _ => {
                        log::debug!("{candidate} cannot be used: {error}");
                        progress.unusable.push(format!("{candidate} ({})", error.message()));
                    }
                },
            }
            progress.next += 1;
        }
        if progress.methods.is_empty() && !progress.asks && *tries > 0 {
            // One try more than a default server allows is none to ask with.
            if *tries == TRIES_A_CONNECTION {
                return again;
            }
            progress.hear(session, user);
            if session.authenticated() {
                return Login::In;
            }
        }
        let reason = match progress.accepted.clone() {
            Some(key) => Reason::NotAllowed { key },
            None if progress.takes_no_keys() => Reason::NoPublickey,
            None => Reason::NoKey,
        };
        Login::Refused(progress.refusal(reason, &self.identities, user))
    }

    fn try_one(
        &self,
        session: &Session,
        user: &str,
        candidate: &Candidate,
        timeout: Duration,
    ) -> Result<(), AttemptFailure> {
        let key = match candidate {
            Candidate::File { private, certificate, .. } => {
                return private.log_in(session, user, certificate.as_ref()).map_err(AttemptFailure::Session);
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
                None => Err(error_code::error(error_code::AGENT_PROTOCOL, "the agent no longer holds it")),
            }
        };
        let socket = self.identities.agent.as_deref().unwrap_or(Path::new(""));
        match relay::through(socket, timeout, with_agent) {
            Ok((_, Some(why))) => Err(AttemptFailure::Agent(why)),
            Ok((Err(error), None)) if error.message().starts_with("Callback ") => {
                let why = "the agent refused to sign with it";
                Err(AttemptFailure::Session(error_code::error(error_code::AGENT_PROTOCOL, why)))
            }
            Ok((done, None)) => done.map_err(AttemptFailure::Session),
            Err(error) => Err(AttemptFailure::Agent(format!("cannot connect to the ssh agent: {error}"))),
        }
    }
}

/// Whether the server hung up, or kept silent, where it should have said yes or no. The library has no number of its
/// own for that; a test holds its words.
fn was_not_answered(error: &ssh2::Error) -> bool {
    matches!(error_code::of(error), error_code::AUTHENTICATION_FAILED | error_code::PUBLICKEY_UNVERIFIED)
        && error.message().starts_with("Waiting for ")
}

/// Whether the server had said that it knows the key, so that it was shown a signature; likewise.
fn was_accepted(error: &ssh2::Error) -> bool {
    error.message().starts_with("Waiting for publickey ") || error.message().starts_with("Invalid signature ")
}

/// Why a candidate failed.
enum AttemptFailure {
    Session(ssh2::Error),
    /// The agent failed; the server did not refuse the key.
    Agent(String),
}

/// The progress of a login over all of its connections.
#[derive(Debug, Default)]
pub(in crate::fleet::ssh) struct Progress {
    /// The indexes of the candidates, in the order in which they are tried.
    order: Vec<usize>,
    /// Which one of `order` is next.
    next: usize,
    /// The candidate that was accepted.
    won: Option<usize>,
    /// Others wait for this login.
    leads: bool,
    /// The server is asked what it offers ahead of the first key. That costs no try, but time, so it is only done where
    /// a login has not gone smoothly.
    asks: bool,
    /// Which one was the first of a connection that ended with it.
    hung_up_at: Option<usize>,
    /// The key that the server knows, and did not let in.
    accepted: Option<String>,
    /// The methods that the server last offered.
    methods: Vec<String>,
    /// The server's message.
    said: Vec<String>,
    /// Keys that could not be offered, and why.
    unusable: Vec<String>,
    /// What is wrong with the agent. It is not asked again in this login: each time could cost as long.
    agent_error: Option<String>,
    penalties: penalties::Penalties,
}

impl Progress {
    fn passes_over(&self, candidate: &Candidate) -> bool {
        self.agent_error.is_some() && matches!(candidate, Candidate::Agent(_))
    }

    /// Asks the server what it offers, and keeps what it says.
    fn hear(&mut self, session: &Session, user: &str) {
        if let Some(methods) = server_text::methods(session, user) {
            self.methods = methods;
        }
        if let Some(banner) = server_text::banner(session) {
            self.hear_said(banner);
        }
    }

    fn hear_said(&mut self, text: String) {
        if !self.said.contains(&text) {
            self.said.push(text);
        }
    }

    fn takes_no_keys(&self) -> bool {
        !self.methods.is_empty() && !self.methods.iter().any(|method| method == "publickey")
    }

    /// The failed attempts, for the operator.
    fn refusal(&self, reason: Reason, identities: &Identities, user: &str) -> Refusal {
        let candidates = &identities.candidates;
        let unusable = |candidate: &Candidate| self.unusable.iter().any(|it| it.starts_with(&candidate.to_string()));
        let offered = self.order.iter().take(self.next).filter_map(|at| candidates.get(*at));
        let tried: Vec<&Candidate> =
            offered.filter(|candidate| !self.passes_over(candidate) && !unusable(candidate)).collect();
        let not_offered = self.agent_error.iter().chain(&self.unusable).chain(&identities.notes).cloned();
        Refusal {
            certificate_problems: match reason {
                Reason::NoKey => tried.iter().filter_map(|candidate| candidate.problem(user)).collect(),
                _ => Vec::new(),
            },
            reason,
            tried: tried.iter().map(ToString::to_string).collect(),
            not_offered: not_offered.collect(),
            methods: self.methods.clone(),
            said: self.said.clone(),
        }
    }
}
