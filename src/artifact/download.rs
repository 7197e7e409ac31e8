//! Downloads an archive, and goes on where a connection was lost.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::gates::client::{self, Failure, Incoming};
use crate::url;
use crate::wire::ArtifactSource;

use super::digest::Digest;

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

/// An archive that was downloaded. Its file has no name: it is gone with this value, or with this process.
pub struct Downloaded {
    pub file: File,
    pub bytes: u64,
    /// In lower-case hexadecimal digits.
    pub sha256: String,
}

/// Downloads an archive into a file without a name, on the file system of `folder`, and verifies its digest.
///
/// # Errors
/// What went wrong, with the URL, but without what is secret in it.
pub fn download(source: &ArtifactSource, folder: &Path, patience: &Patience) -> anyhow::Result<Downloaded> {
    let shown = url::place(&source.url);
    let failed = || format!("cannot download {shown}");
    let mut part = Part::new(folder).with_context(failed)?;
    let (mut failures, mut most) = (0, 0);
    loop {
        match attempt(source, &mut part, patience) {
            Ok(()) => break,
            Err(Broken::For(error)) => return Err(error.context(failed())),
            Err(Broken::Off(why)) => {
                failures = if part.bytes > most { 1 } else { failures + 1 };
                most = most.max(part.bytes);
                if failures > RETRIES {
                    bail!("{}: {why}", failed());
                }
                (patience.left)().with_context(|| format!("{}: {why}", failed()))?;
                std::thread::sleep(PAUSE);
            }
        }
    }
    let Part { mut file, digest, bytes, .. } = part;
    let sha256 = digest.finish();
    ensure!(sha256 == source.sha256, "{shown} has the SHA-256 {sha256} and should have {}", source.sha256);
    file.rewind().with_context(failed)?;
    Ok(Downloaded { file, bytes, sha256 })
}

/// What has come so far.
struct Part<'a> {
    folder: &'a Path,
    file: File,
    digest: Digest,
    bytes: u64,
}

impl Part<'_> {
    fn new(folder: &Path) -> anyhow::Result<Part<'_>> {
        let file = tempfile::tempfile_in(folder).map_err(|error| cannot_write(folder, &error))?;
        Ok(Part { folder, file, digest: Digest::default(), bytes: 0 })
    }

    fn restart(&mut self) -> anyhow::Result<()> {
        *self = Part::new(self.folder)?;
        Ok(())
    }

    fn append(&mut self, piece: &[u8]) -> anyhow::Result<()> {
        self.file.write_all(piece).map_err(|error| cannot_write(self.folder, &error))?;
        self.digest.update(piece);
        self.bytes += piece.len() as u64;
        Ok(())
    }
}

fn cannot_write(folder: &Path, error: &io::Error) -> anyhow::Error {
    anyhow::anyhow!("cannot write to {}: {}", folder.display(), crate::text::plain(error))
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

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Broken {
        match failure {
            Failure::Setup(why) => Broken::For(anyhow::Error::msg(why)),
            Failure::Silent(why) => Broken::Off(why),
        }
    }
}

/// Downloads what is missing behind what has come.
fn attempt(source: &ArtifactSource, part: &mut Part, patience: &Patience) -> Result<(), Broken> {
    let from = part.bytes;
    let left = (patience.left)()?;
    let Incoming { status, begins, length, mut body } =
        client::open(&source.url, source.proxy.as_deref(), from, (left, patience.stall))?;
    match status {
        200 => part.restart()?,
        206 if begins == Some(from) => {}
        // The file is shorter than what came before, or the server cannot continue: all over again.
        206 | 416 => {
            part.restart()?;
            return Err(Broken::Off("the server does not continue a download".to_owned()));
        }
        408 | 429 | 500.. => return Err(Broken::Off(format!("the server answered {status}"))),
        _ => return Err(Broken::For(anyhow::anyhow!("the server answered {status}"))),
    }
    let here = part.bytes;
    if let Some(length) = length {
        judge_size(source, here.saturating_add(length))?;
    }
    let mut piece = vec![0; PIECE];
    loop {
        match body.read(&mut piece) {
            Ok(0) => return ended(part.bytes - here, length),
            Ok(read) => {
                judge_size(source, part.bytes + read as u64)?;
                part.append(&piece[..read])?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                (patience.left)()?;
                let why = client::interruption(&error, patience.stall);
                return Err(Broken::Off(broken_off(&why, part.bytes - here, length)));
            }
        }
        (patience.left)()?;
    }
}

/// No more is written than there is room for.
fn judge_size(source: &ArtifactSource, bytes: u64) -> anyhow::Result<()> {
    let most = source.rules.max_bytes;
    ensure!(bytes <= most, "it has {bytes} bytes or more; artifact_max_size is {most}");
    match source.bytes {
        Some(size) if bytes > size => bail!("it has {bytes} bytes or more, and should have {size}"),
        _ => Ok(()),
    }
}

fn ended(got: u64, length: Option<u64>) -> Result<(), Broken> {
    match length {
        Some(length) if got < length => Err(Broken::Off(broken_off("the connection was lost", got, Some(length)))),
        _ => Ok(()),
    }
}

fn broken_off(why: &str, got: u64, length: Option<u64>) -> String {
    let of = length.map(|length| format!(" of {length}")).unwrap_or_default();
    format!("{why} after {got}{of} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::digest::sha256;
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
        let rules = ArtifactRules { strip_components: 0, max_bytes, outside_links: false };
        let sha256 = sha256(&mut &b"0123456789"[..]).unwrap();
        let source = ArtifactSource { url: url.to_owned(), sha256, bytes: None, proxy: None, rules };
        let patience = Patience { left: &|| Ok(Duration::from_secs(60)), stall: Duration::from_millis(300) };
        let result = download(&source, dir.path(), &patience);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "the file has no name");
        match result {
            Ok(mut archive) => {
                let mut text = String::new();
                archive.file.read_to_string(&mut text).unwrap();
                assert_eq!(archive.bytes, text.len() as u64);
                Ok(text)
            }
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
