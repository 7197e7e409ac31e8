//! SSH: sessions with targets and commands on them. The transport library is used in this module and nowhere else.

mod bootstrap;
mod connect;
mod connect_error;
mod host_key;
mod jump;
pub(crate) mod keys;
pub(crate) mod known_hosts;
mod openssh;
mod options;
mod own_build;
mod remarks;
mod route;
mod routes;
mod scripts;
pub(crate) mod transport;

pub use bootstrap::Bootstrap;
pub use connect_error::{ConnectError, ConnectErrorKind};
pub use openssh::{OPTIONS, Use};
pub use options::{OpenSsh, Program, Set, SshOptions, Timeouts, key_memory};
pub use own_build::Unpackers;
pub use scripts::{Marker, run_command, shell_word};
pub use transport::algorithms::Algorithms;
pub use transport::ends::{AfterLine, Driven, ExecEnd, OpenError, OutputChunk};
pub use transport::exec::Running;
pub use transport::input::Input;
pub use transport::link::Link;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;

use crate::fleet::remarks::Remarks;
use crate::targets::Target;
use crate::threads;
use keys::wanted::Wanted;
use routes::Routes;
use transport::transfer_limit::TransferLimit;

/// How many threads read the configuration of hosts. Each host takes a process (`ssh -G`).
const ASKERS: usize = 8;

/// What all sessions of a command share.
pub struct Ssh {
    pub options: SshOptions,
    routes: Routes,
    pub bootstrap: Bootstrap,
    transfer_limit: Option<Arc<TransferLimit>>,
}

impl Ssh {
    /// Reads known_hosts, and finds the operator's keys. Opens no connection.
    ///
    /// # Errors What the operator has to fix: a configured key that cannot be used, no key at all, a program that
    /// cannot be copied to targets, or an OpenSSH configuration that cannot be honoured.
    pub fn prepare(options: SshOptions) -> anyhow::Result<Ssh> {
        transport::open_files::raise();
        let bootstrap = Bootstrap::prepare(&options)?;
        let routes = Routes::new(&options)?;
        if routes.reader().is_none() {
            // The configuration is the same for all hosts.
            routes.keys(Wanted::of(&options))?;
            if options.user.is_none() {
                options::operator().context("your user name is unknown: set ssh_user")?;
            }
        }
        let transfer_limit = options.transfer_limit.map(|rate| Arc::new(TransferLimit::new(rate)));
        Ok(Ssh { options, routes, bootstrap, transfer_limit })
    }

    /// Determines the route to each target, before the first connection.
    ///
    /// # Errors
    /// A route that is not possible; names the target.
    pub fn find_routes(&self, targets: &[Target]) -> anyhow::Result<()> {
        if let Some(reader) = self.routes.reader() {
            let how = if reader.is_shared() { "once for all of them" } else { "for each of them" };
            log::debug!("{} targets: OpenSSH's configuration is read {how}", targets.len());
        }
        let next = AtomicUsize::new(0);
        let find = || -> anyhow::Result<()> {
            while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.routes.to(&self.options, target)?;
            }
            Ok(())
        };
        let asks = self.routes.reader().is_some_and(|reader| !reader.is_shared());
        let askers = if asks { ASKERS.min(targets.len()) } else { 1 };
        let failed = OnceLock::new();
        threads::on_several(askers, || {
            if let Err(error) = find() {
                let _ = failed.set(error);
            }
        });
        if let Some(error) = failed.into_inner() {
            return Err(error);
        }
        self.routes.look_up_ahead(targets);
        Ok(())
    }

    /// Opens a session with `target` and logs in. It ends within a few times `connect_timeout`, whatever the peer does.
    pub fn connect(&self, target: &Target) -> Result<Link, ConnectError> {
        let refused = |error| ConnectError::new(ConnectErrorKind::Configuration, format!("{error:#}"));
        let mut link = connect::link(&*self.routes.to(&self.options, target).map_err(refused)?)?;
        link.transfer_limit = self.transfer_limit.clone();
        Ok(link)
    }

    /// Remarks for the operator.
    pub fn remarks(&self) -> &Remarks {
        self.routes.remarks()
    }

    /// The shortest keepalive interval of any session.
    pub fn shortest_keepalive(&self) -> Duration {
        self.routes.shortest_keepalive().unwrap_or(self.options.timeouts.keepalive)
    }

    /// How many sessions may be open at once with this many hosts; `None`: all.
    pub fn session_limit(&self, hosts: usize) -> Option<usize> {
        let possible = transport::open_files::sessions();
        if self.options.max_sessions.is_none() && possible < hosts {
            let message = format!(
                "the system allows {possible} of {hosts} sessions at once, so sessions are closed and reopened: raise \
                 the hard limit on open files (ulimit -Hn)"
            );
            self.remarks().warn(None, message);
        }
        let limit = self.options.max_sessions.map_or(possible, |wanted| wanted.min(possible));
        (limit < hosts).then_some(limit)
    }
}
