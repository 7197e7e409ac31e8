//! A relay to the SSH agent, with a time limit.
//!
//! The transport library talks to the agent by itself and waits for as long as the agent likes: one that hangs would hold
//! a login, and with it the deployment, for ever. So the library is given a socket of ours in the agent's place. What it
//! asks there is passed on, each question with a limit; when an answer does not come in time the socket is closed, which
//! the library takes for the end of the agent.

use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};

use crate::fleet::ssh::keys::agent;

/// Does `work` with the path of a socket behind which the agent of `socket` is, for one connection. Also gives what was
/// wrong with the agent, if anything was.
pub fn through<T>(socket: &Path, patience: Duration, work: impl FnOnce(&Path) -> T) -> io::Result<(T, Option<String>)> {
    let folder = tempfile::Builder::new().prefix("hoist-agent-").tempdir()?;
    // By their descriptors, names are short however long that of the folder is; and nothing stays behind on the disk
    // when this process is killed.
    let at = |fd: &dyn AsRawFd| PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    let handle = |path: &Path| open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let inside = handle(folder.path())?;
    let listener = UnixListener::bind(at(&inside).join("agent"))?;
    let door = handle(&at(&inside).join("agent"))?;
    drop(folder);
    std::thread::scope(|scope| {
        let server = std::thread::Builder::new().name("agent".into()).stack_size(128 << 10);
        let server = server.spawn_scoped(scope, || serve(&listener, socket, patience))?;
        let done = work(&at(&door));
        // Nobody may have come.
        let _ = rustix::net::shutdown(&listener, rustix::net::Shutdown::Both);
        let served = server.join().unwrap_or_else(|_| Err(io::Error::other("the connection to it was lost")));
        Ok((done, served.err().map(|error| format!("the ssh agent at {}: {error}", socket.display()))))
    })
}

/// Passes on what one connection asks, until it is closed.
fn serve(listener: &UnixListener, socket: &Path, patience: Duration) -> io::Result<()> {
    let Ok((mut asks, _)) = listener.accept() else { return Ok(()) };
    let mut agent: Option<UnixStream> = None;
    // The library is a thread of this process: it asks at once or goes away, and no limit is needed on its side.
    while let Ok(question) = agent::read_message(&mut asks, None) {
        let agent = match &mut agent {
            Some(agent) => agent,
            None => agent.insert(agent::connect(socket, patience)?),
        };
        let answer = agent::exchange(agent, &question, patience)?;
        if asks.write_all(&agent::framed(&answer)).is_err() {
            break;
        }
    }
    Ok(())
}
