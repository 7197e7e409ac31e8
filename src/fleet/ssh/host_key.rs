//! Checks a host's key.

use std::path::Path;

use ssh2::Session;

use super::connect_error::{ConnectError, ConnectErrorKind};
use super::known_hosts::{KeyType, KnownHosts, Verdict, fingerprint, lookup_name};
use super::openssh::KeyQuestion;
use super::route::Route;
use super::transport::disagreement::Disagreement;

type Checked<T> = Result<T, ConnectError>;

impl Route {
    /// The key types to request from the host, and whether it is known, even if only by types that cannot be checked.
    pub(super) fn wanted_keys(&self) -> Checked<(Vec<KeyType>, bool)> {
        let (host, port) = (&self.known_as.0, self.known_as.1);
        // As with OpenSSH, the command gets the name without a port here.
        let said = self.ask_command(KeyQuestion::order(&lookup_name(host, 22)))?;
        let (mut types, mut known) = self.host_keys.known.key_types(host, port);
        if let Some(said) = said {
            let (more, known_there) = said.key_types(host, 22);
            types.extend(more.into_iter().filter(|kind| !types.contains(kind)).collect::<Vec<_>>());
            known |= known_there;
        }
        // A known host is accepted only with the key that it is known by.
        let wanted: Vec<KeyType> = match known && !types.is_empty() {
            true => self.host_keys.types.iter().copied().filter(|kind| types.contains(kind)).collect(),
            false => self.host_keys.types.clone(),
        };
        // There is no common type. Request the known ones, so that the error tells the operator about them.
        Ok((if wanted.is_empty() { types } else { wanted }, known))
    }

    /// The output of `KnownHostsCommand`, if there is one.
    fn ask_command(&self, question: KeyQuestion) -> Checked<Option<KnownHosts>> {
        let Some(command) = &self.host_keys.command else { return Ok(None) };
        let text = command.ask(&question).map_err(|error| {
            let message = format!("the host key of {} cannot be checked: {error:#}", self.name);
            ConnectError::new(ConnectErrorKind::Configuration, message)
        })?;
        let known = KnownHosts::of_text(Path::new("KnownHostsCommand"), &text);
        known.notes().iter().for_each(|note| self.debug(note));
        Ok(Some(known))
    }

    /// The verdict of all known_hosts sources on a key for this name.
    fn verdict(&self, host: &str, port: u16, key: &[u8]) -> Checked<Verdict> {
        let said = self.ask_command(KeyQuestion::of_key(&lookup_name(host, port), key))?;
        let verdicts =
            [Some(self.host_keys.known.check(host, port, key)), said.map(|said| said.check(host, port, key))];
        let rank = |verdict: &Verdict| match verdict {
            Verdict::Revoked { .. } => 3,
            Verdict::Match => 2,
            Verdict::Changed { .. } => 1,
            Verdict::Unknown => 0,
        };
        // Of equal verdicts the first one is used, which names the operator's own file.
        Ok(verdicts.into_iter().flatten().rev().max_by_key(rank).unwrap_or(Verdict::Unknown))
    }

    /// Judges the host key of a session.
    pub(super) fn judge(&self, session: &Session) -> Checked<()> {
        let (host, port) = (&self.known_as.0, self.known_as.1);
        let Some((key, _)) = session.host_key() else {
            let message = format!("{} showed no host key", self.place());
            return Err(ConnectError::new(ConnectErrorKind::Protocol, message));
        };
        let print = fingerprint(key);
        let name = lookup_name(host, port);
        let at = |file: &Path, line| match line {
            0 => format!("{} (added in this run)", file.display()),
            line => format!("{}:{line}", file.display()),
        };
        let mut verdict = self.verdict(host, port, key)?;
        // As with OpenSSH, a key that is known for the host without a port is accepted for every port.
        if verdict == Verdict::Unknown && port != 22 && self.host_keys.known.check(host, 22, key) == Verdict::Match {
            log::debug!("{name} is known by this key without a port");
            verdict = Verdict::Match;
        }
        match verdict {
            Verdict::Match => Ok(()),
            Verdict::Changed { file, line } => Err(ConnectError::new(
                ConnectErrorKind::HostKeyChanged,
                format!(
                    "host key of {name} has CHANGED: it offers the {print}, and {} has another. Somebody may be \
                     intercepting the connection; if the host was reinstalled, remove the old key with ssh-keygen -R \
                     '{name}'",
                    at(&file, line)
                ),
            )),
            Verdict::Revoked { file, line } => Err(ConnectError::new(
                ConnectErrorKind::HostKeyRevoked,
                format!("host key of {name} is REVOKED: it offers the {print}, which {} revokes", at(&file, line)),
            )),
            Verdict::Unknown if self.host_keys.accept_new => {
                if let Err(error) = self.host_keys.known.accept(host, port, key) {
                    self.warn(&format!("the {print} of {name} is accepted for this run only: {error:#}"));
                }
                Ok(())
            }
            Verdict::Unknown => Err(ConnectError::new(
                ConnectErrorKind::HostKeyUnknown,
                format!(
                    "host key of {name} is not known: it offers the {print}. Check it and add what \
                     `{}` prints to known_hosts, or set host_key_checking: accept-new{}",
                    self.scan(&name),
                    self.authority()
                ),
            )),
        }
    }

    /// The command that prints the host's keys under the name by which known_hosts has them.
    fn scan(&self, name: &str) -> String {
        let scan = format!("ssh-keyscan -p {} {}", self.port, self.host);
        match lookup_name(&self.host, self.port) == name {
            true => scan,
            false => format!("{scan} | sed 's/^[^#][^ ]*/{name}/'"),
        }
    }

    /// A remark if a line trusts a certificate authority for the host.
    fn authority(&self) -> String {
        let (host, port) = (&self.known_as.0, self.known_as.1);
        match self.host_keys.known.authority(host, port) {
            Some((file, line)) => format!(
                ". {}:{line} trusts a certificate authority for it (@cert-authority), which hoist does not support: \
                 add the host's own key",
                file.display()
            ),
            None => String::new(),
        }
    }

    /// The error for a server that has no algorithm of some kind in common with Hoist.
    pub(super) fn disagrees(&self, disagreement: &Disagreement, wanted: &[KeyType], known: bool) -> ConnectError {
        let place = self.place();
        match disagreement {
            Disagreement::Algorithm { what, key, theirs, ours } => ConnectError::new(
                ConnectErrorKind::Protocol,
                format!(
                    "no {what} in common with {place}: it offers {}, and {key} is {}",
                    theirs.join(", "),
                    ours.join(", ")
                ),
            ),
            Disagreement::HostKey { theirs } => {
                let types = wanted.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
                let theirs = theirs.join(", ");
                if known {
                    let message = format!(
                        "no host key in common with {place}: known_hosts has it with {types} only, and it offers {theirs} \
                         (ssh-keyscan -p {} {} shows its keys){}",
                        self.port,
                        self.host,
                        self.authority()
                    );
                    return ConnectError::new(ConnectErrorKind::HostKeyUnknown, message);
                }
                let message =
                    format!("no host key in common with {place}: it offers {theirs}, and hoist checks {types}");
                ConnectError::new(ConnectErrorKind::Protocol, message)
            }
        }
    }
}
