//! A relay to the SSH agent, with a time limit.
//!
//! The transport library talks to the agent without a time limit: an agent that hangs would block a login, and with it
//! the deployment, for ever. So the library gets one of our sockets instead. The relay forwards each request to the
//! agent with a time limit. If there is no response in time, it closes the socket, and the library treats that as the
//! end of the agent.

use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};

use crate::fleet::ssh::keys::agent;

/// Calls `work` with the path of a socket that relays one connection to the agent at `socket`. Also returns the agent's
/// error, if there was one.
pub fn through<T>(socket: &Path, timeout: Duration, work: impl FnOnce(&Path) -> T) -> io::Result<(T, Option<String>)> {
    let folder = tempfile::Builder::new().prefix("hoist-agent-").tempdir()?;
    // Paths through /proc/self/fd are short, however long the path of the folder is. The folder is removed early, so
    // that nothing is left on disk if this process is killed.
    let at = |fd: &dyn AsRawFd| PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    let handle = |path: &Path| open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let inside = handle(folder.path())?;
    let listener = UnixListener::bind(at(&inside).join("agent"))?;
    let door = handle(&at(&inside).join("agent"))?;
    drop(folder);
    std::thread::scope(|scope| {
        let server = std::thread::Builder::new().name("agent".into()).stack_size(128 << 10);
        let server = server.spawn_scoped(scope, || serve(&listener, socket, timeout))?;
        let done = work(&at(&door));
        // The library may not have connected.
        let _ = rustix::net::shutdown(&listener, rustix::net::Shutdown::Both);
        let served = server.join().unwrap_or_else(|_| Err(io::Error::other("the connection to it was lost")));
        Ok((done, served.err().map(|error| format!("the ssh agent at {}: {error}", socket.display()))))
    })
}

/// Relays the requests of one connection until it is closed.
fn serve(listener: &UnixListener, socket: &Path, timeout: Duration) -> io::Result<()> {
    let Ok((mut asks, _)) = listener.accept() else { return Ok(()) };
    let mut agent: Option<UnixStream> = None;
    // The library runs in this process: it sends requests at once or closes the socket, so its side needs no limit.
    while let Ok(question) = agent::read_message(&mut asks, None) {
        let agent = match &mut agent {
            Some(agent) => agent,
            None => agent.insert(agent::connect(socket, timeout)?),
        };
        let answer = agent::exchange(agent, &question, timeout)?;
        if asks.write_all(&agent::with_length_prefix(&answer)).is_err() {
            break;
        }
    }
    Ok(())
}
