//! The floor of the benchmark: what libssh2 and the server cost with no policy on top.
//!
//!     floor PORT KEY OFFER BATCH HOSTS run COMMAND     connects, runs COMMAND, closes: host by host, BATCH at once
//!     floor PORT KEY OFFER BATCH HOSTS hold SECONDS    connects to all, then holds the sessions
//!     floor PORT KEY OFFER BATCH HOSTS replay FOLDER   connects to all, then runs recorded stages on the open sessions
//!
//! OFFER is KEX/CIPHERS/MACS, comma-separated lists. HOSTS is a file, one address a line. FOLDER has a folder for each stage, run in the order of their names, with
//! HOST.command and HOST.input in it: what was run on that host, and what it read. Prints `NAME SECONDS` for each part.
//!
//! It asks the same of the library as Hoist does: the algorithms, the key from memory, no delayed acknowledgements. It
//! checks no host key, has no time limits, reports nothing, and ends at the first error.

use std::net::TcpStream;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::sockopt;
use ssh2::{BlockDirections, Channel, ErrorCode, MethodType, Session};

/// As much as is read or written at once.
const CHUNK: usize = 32 * 1024;

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [port, key, offer, batch, hosts, mode, what] = args.as_slice() else {
        bail!("usage: floor PORT KEY OFFER BATCH HOSTS run COMMAND | hold SECONDS | replay FOLDER");
    };
    let list = fs::read_to_string(hosts).with_context(|| hosts.clone())?;
    let hosts: Vec<&str> = list.lines().collect();
    let lists: Vec<&str> = offer.split('/').collect();
    let [kex, ciphers, macs] = lists.as_slice() else { bail!("OFFER is KEX/CIPHERS/MACS, not {offer}") };
    let offer = [
        (MethodType::Kex, *kex),
        (MethodType::CryptCs, ciphers),
        (MethodType::CryptSc, ciphers),
        (MethodType::MacCs, macs),
        (MethodType::MacSc, macs),
    ];
    let server = Server { port: port.parse()?, key: fs::read_to_string(key)?, offer };
    let batch: usize = batch.parse()?;
    if mode == "run" {
        return timed("run", || on_each(&hosts, batch, |_, host| server.connect(host)?.exec(what, &[])));
    }

    let links: Vec<Mutex<Option<Link>>> = hosts.iter().map(|_| Mutex::new(None)).collect();
    timed("connect", || {
        on_each(&hosts, batch, |place, host| {
            *links[place].lock().unwrap() = Some(server.connect(host)?);
            Ok(())
        })
    })?;
    match mode.as_str() {
        "hold" => thread::sleep(Duration::from_secs_f64(what.parse()?)),
        "replay" => {
            let mut stages: Vec<_> =
                fs::read_dir(what)?.map(|entry| entry.map(|it| it.path())).collect::<Result<_, _>>()?;
            stages.sort();
            for stage in stages {
                let name = stage.file_name().unwrap_or_default().to_string_lossy().into_owned();
                timed(&name, || {
                    on_each(&hosts, batch, |place, host| {
                        let (command, input) = recorded(&stage, host)?;
                        links[place].lock().unwrap().as_mut().context("no session")?.exec(&command, &input)
                    })
                })?;
            }
        }
        _ => bail!("no mode {mode}"),
    }
    Ok(())
}

fn recorded(stage: &Path, host: &str) -> Result<(String, Vec<u8>)> {
    Ok((fs::read_to_string(stage.join(format!("{host}.command")))?, fs::read(stage.join(format!("{host}.input")))?))
}

fn timed(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let began = Instant::now();
    work()?;
    println!("{name} {:.6}", began.elapsed().as_secs_f64());
    Ok(())
}

/// Does `work` for each host, on `batch` threads.
fn on_each(hosts: &[&str], batch: usize, work: impl Fn(usize, &str) -> Result<()> + Sync) -> Result<()> {
    let next = AtomicUsize::new(0);
    let take = || {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(host) = hosts.get(place) else { return Ok(()) };
            work(place, host).with_context(|| (*host).to_owned())?;
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..batch.min(hosts.len()))
            .map(|_| thread::Builder::new().stack_size(256 * 1024).spawn_scoped(scope, take))
            .collect::<io::Result<_>>()?;
        threads.into_iter().try_for_each(|thread| thread.join().expect("a thread panicked"))
    })
}

struct Server<'a> {
    port: u16,
    key: String,
    offer: [(MethodType, &'a str); 5],
}

impl Server<'_> {
    fn connect(&self, host: &str) -> Result<Link> {
        let stream = TcpStream::connect((host, self.port))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut session = Session::new()?;
        session.method_pref(MethodType::HostKey, "ssh-ed25519")?;
        for (method, names) in &self.offer {
            session.method_pref(*method, names)?;
        }
        session.set_tcp_stream(stream.try_clone()?);
        session.set_blocking(false);
        let mut link = Link { session, stream };
        link.until_done(|session| session.handshake())?;
        link.until_done(|session| session.userauth_pubkey_memory("root", None, &self.key, None))?;
        Ok(link)
    }
}

struct Link {
    session: Session,
    stream: TcpStream,
}

impl Link {
    fn until_done<T>(&mut self, mut call: impl FnMut(&mut Session) -> Result<T, ssh2::Error>) -> Result<T> {
        loop {
            match call(&mut self.session) {
                Err(error) if error.code() == ErrorCode::Session(-37) => self.wait()?,
                other => return Ok(other?),
            }
        }
    }

    /// Waits for what the library waits for. The kernel forgets by itself that it is to acknowledge at once.
    fn wait(&self) -> Result<()> {
        let mut flags = PollFlags::IN;
        if matches!(self.session.block_directions(), BlockDirections::Outbound | BlockDirections::Both) {
            flags |= PollFlags::OUT;
        }
        sockopt::set_tcp_quickack(&self.stream, true)?;
        match poll(&mut [PollFd::new(&self.stream, flags)], None) {
            Err(error) if error != rustix::io::Errno::INTR => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Runs a command to its end; anything but status 0 is an error.
    fn exec(&mut self, command: &str, input: &[u8]) -> Result<()> {
        let mut channel = self.until_done(|session| session.channel_session())?;
        self.until_done(|_| channel.exec(command))?;
        let mut sent = 0;
        while sent < input.len() {
            let end = input.len().min(sent + CHUNK);
            sent += self.until_done(|_| moved(io::Write::write(&mut channel, &input[sent..end])))?;
        }
        self.until_done(|_| channel.send_eof())?;
        let mut said = Vec::new();
        self.read(&mut channel, 0, &mut said)?;
        self.read(&mut channel, 1, &mut said)?;
        self.until_done(|_| channel.wait_close())?;
        match channel.exit_status()? {
            0 => Ok(()),
            status => bail!("{command}: status {status}: {}", String::from_utf8_lossy(&said)),
        }
    }

    fn read(&mut self, channel: &mut Channel, stream: i32, said: &mut Vec<u8>) -> Result<()> {
        let mut chunk = vec![0; CHUNK];
        loop {
            let bytes = self.until_done(|_| moved(io::Read::read(&mut channel.stream(stream), &mut chunk)))?;
            if bytes == 0 {
                return Ok(());
            }
            said.extend_from_slice(&chunk[..bytes]);
        }
    }
}

/// Reading and writing tell of a full or empty socket in the words of the standard library.
fn moved(result: io::Result<usize>) -> Result<usize, ssh2::Error> {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => ssh2::Error::from_errno(ErrorCode::Session(-37)),
        _ => ssh2::Error::new(ErrorCode::Session(-43), "the connection broke"),
    })
}

impl Drop for Link {
    fn drop(&mut self) {
        // With its socket shut the session is dropped without a last exchange.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}
