//! Downloads an archive, and goes on where a connection was lost.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::gates::client::{self, Incoming};
use crate::url;
use crate::wire::ArtifactSource;

use super::digest;

/// How often a download is continued that has brought something since.
const RETRIES: u32 = 5;
/// A pause before it is continued.
const PAUSE: Duration = Duration::from_millis(500);
/// How much is read at a time, in bytes.
const PIECE: usize = 64 << 10;

/// How long a download may take.
pub struct Patience<'a> {
    /// What is left for all of it; fails when there is nothing left.
    pub left: &'a dyn Fn() -> anyhow::Result<Duration>,
    /// How long no byte may come.
    pub stall: Duration,
}

/// Downloads an archive into a file, in place of what is in it, and verifies its digest.
///
/// # Errors
/// What went wrong, with the URL, but without what is secret in it.
pub fn download(source: &ArtifactSource, to: &Path, patience: &Patience) -> anyhow::Result<()> {
    let shown = url::place(&source.url);
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(to)?;
    let mut failures = 0;
    loop {
        let before = file.stream_position()?;
        match attempt(source, &mut file, to, patience) {
            Ok(()) => break,
            Err(Broken::For(error)) => return Err(error.context(format!("cannot download {shown}"))),
            Err(Broken::Off(why)) => {
                failures = if file.stream_position()? > before { 1 } else { failures + 1 };
                if failures > RETRIES {
                    bail!("cannot download {shown}: {why}");
                }
                (patience.left)().with_context(|| format!("cannot download {shown}: {why}"))?;
                std::thread::sleep(PAUSE);
            }
        }
    }
    file.rewind()?;
    let found = digest::sha256(&mut file)?;
    ensure!(found == source.sha256, "{shown} has the SHA-256 {found} and should have {}", source.sha256);
    Ok(())
}

/// Why an attempt has not brought everything.
enum Broken {
    /// Another attempt may go on.
    Off(String),
    For(anyhow::Error),
}

impl From<anyhow::Error> for Broken {
    fn from(error: anyhow::Error) -> Broken {
        Broken::For(error)
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Broken {
        Broken::For(error.into())
    }
}

/// Downloads what is missing behind what the file has.
fn attempt(source: &ArtifactSource, file: &mut File, to: &Path, patience: &Patience) -> Result<(), Broken> {
    let from = file.stream_position()?;
    let left = (patience.left)()?;
    let opened = client::open(&source.url, source.proxy.as_deref(), from, (left, patience.stall));
    let Incoming { status, begins, length, mut body } = opened.map_err(|failure| Broken::Off(failure.into_text()))?;
    match status {
        200 => restart(file)?,
        206 if begins == Some(from) => {}
        // The file is shorter than what came before, or the server cannot continue: all over again.
        206 | 416 => {
            restart(file)?;
            return Err(Broken::Off("the server does not continue a download".to_owned()));
        }
        408 | 429 | 500.. => return Err(Broken::Off(format!("the server answered {status}"))),
        _ => return Err(Broken::For(anyhow::anyhow!("the server answered {status}"))),
    }
    let here = file.stream_position()?;
    let too_large = |bytes: u64| {
        let most = source.rules.max_bytes;
        anyhow::anyhow!("it has {bytes} bytes or more; artifact_max_size is {most}")
    };
    if let Some(length) = length.filter(|length| here.saturating_add(*length) > source.rules.max_bytes) {
        return Err(Broken::For(too_large(here + length)));
    }
    // A thread, since no time limit of the client's is one for the time between two bytes.
    let (sender, pieces) = sync_channel::<io::Result<Vec<u8>>>(4);
    std::thread::spawn(move || {
        loop {
            let mut piece = vec![0; PIECE];
            let read = body.read(&mut piece).map(|read| {
                piece.truncate(read);
                piece
            });
            let is_over = read.as_ref().map_or(true, Vec::is_empty);
            if sender.send(read).is_err() || is_over {
                return;
            }
        }
    });
    loop {
        match pieces.recv_timeout((patience.left)()?.min(patience.stall)) {
            Ok(Ok(piece)) if piece.is_empty() => return ended(file.stream_position()? - here, length),
            Ok(Ok(piece)) => {
                let at = file.stream_position()?;
                if at + piece.len() as u64 > source.rules.max_bytes {
                    return Err(Broken::For(too_large(at + piece.len() as u64)));
                }
                if let Err(error) = file.write_all(&piece) {
                    // What is half written counts as not there.
                    file.seek(SeekFrom::Start(at))?;
                    return Err(Broken::For(
                        anyhow::Error::new(error).context(format!("cannot write {}", to.display())),
                    ));
                }
            }
            Ok(Err(error)) => return Err(Broken::Off(client::plain(&error))),
            Err(RecvTimeoutError::Timeout) => {
                (patience.left)()?;
                return Err(Broken::Off(format!("nothing came for {} s", patience.stall.as_secs())));
            }
            Err(RecvTimeoutError::Disconnected) => return Err(Broken::Off("the download broke off".to_owned())),
        }
    }
}

fn restart(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()
}

fn ended(got: u64, length: Option<u64>) -> Result<(), Broken> {
    match length {
        Some(length) if got < length => {
            Err(Broken::Off(format!("the connection was lost after {got} of {length} bytes")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ArtifactRules;
    use std::io::{BufRead, BufReader};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc;

    type Answer = Box<dyn FnOnce(&mut TcpStream) + Send>;

    /// A server that answers each request by the next of these; the requests' lines and ranges.
    fn server(answers: Vec<Answer>) -> (String, mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://me:s3cret@{}/app.tgz?signature=s3cret", listener.local_addr().unwrap());
        let (sender, requests) = mpsc::channel();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut told = String::new();
                for line in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok) {
                    if line.is_empty() {
                        break;
                    }
                    if line.starts_with("GET") || line.to_lowercase().starts_with("range") {
                        told += &line;
                        told += ";";
                    }
                }
                let _ = sender.send(told.to_lowercase());
                answer(&mut stream);
            }
        });
        (url, requests)
    }

    fn says(text: &'static str) -> Answer {
        Box::new(move |stream| stream.write_all(text.as_bytes()).unwrap())
    }

    fn stalls(text: &'static str) -> Answer {
        Box::new(move |stream| {
            stream.write_all(text.as_bytes()).unwrap();
            std::mem::drop(stream.try_clone().map(|mut other| std::thread::spawn(move || other.read(&mut [0]))));
        })
    }

    fn fetched(url: &str, max_bytes: u64) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("archive");
        let rules = ArtifactRules { strip_components: 0, max_bytes, outside_links: false };
        let sha256 = digest::sha256(&mut &b"0123456789"[..]).unwrap();
        let source = ArtifactSource { url: url.to_owned(), sha256, proxy: None, rules };
        let patience = Patience { left: &|| Ok(Duration::from_secs(60)), stall: Duration::from_millis(300) };
        match download(&source, &to, &patience) {
            Ok(()) => Ok(std::fs::read_to_string(&to).unwrap()),
            Err(error) => Err(format!("{error:#}")),
        }
    }

    #[test]
    fn a_download_is_continued_where_it_broke_off_or_stalled() {
        let (url, requests) = server(vec![
            says("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123"),
            stalls("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 4-9/10\r\nContent-Length: 6\r\n\r\n45"),
            says("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"),
            says("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 6-9/10\r\nContent-Length: 4\r\n\r\n6789"),
        ]);
        assert_eq!(fetched(&url, 100).unwrap(), "0123456789");
        let requests: Vec<String> = requests.iter().collect();
        let range = |from| format!("get /app.tgz?signature=s3cret http/1.1;range: bytes={from}-;");
        assert_eq!(requests[1..], [range(4), range(6), range(6)]);
        // One that begins anew.
        let (url, _) = server(vec![
            says("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01xx"),
            says("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"),
        ]);
        assert_eq!(fetched(&url, 100).unwrap(), "0123456789");
    }

    #[test]
    fn what_cannot_be_downloaded_is_told_without_secrets() {
        for (answer, why) in [
            ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "/app.tgz: the server answered 404"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "/app.tgz has the SHA-256 ba7816bf"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\nabc", "it has 999 bytes or more; artifact_max_size is 100"),
        ] {
            let error = fetched(&server(vec![says(answer)]).0, 100).unwrap_err();
            assert!(error.contains(why) && !error.contains("s3cret"), "{error}");
        }
    }
}
