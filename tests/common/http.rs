//! A web server for git repositories, and a forward proxy: as small as they can be, and real.
#![allow(dead_code, reason = "each test program uses its own part of it")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How a server behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Git's own CGI program answers.
    Smart,
    /// Files are files.
    Dumb,
    /// Nothing is ever found.
    Lost,
    /// Whoever asks needs a password, and none is right.
    Locked,
    /// As [`Manner::Smart`], for whoever brings [`LOGIN`].
    Guarded,
    /// Answers come in drops.
    Slow,
    /// The first half of the answer to a fetch comes, and no more.
    Stalls,
    /// Answers break off.
    Breaks,
}

/// `me:hunter2`, in base64.
pub const LOGIN: &str = "bWU6aHVudGVyMg==";

/// A server on a port of 127.0.0.1, for as long as the test runs.
pub struct Server {
    pub port: u16,
    log: Arc<Mutex<Vec<String>>>,
    exposed: Arc<Mutex<Vec<String>>>,
}

/// A request's first line and headers, the latter in small letters.
pub struct Head {
    pub line: String,
    headers: Vec<(String, String)>,
}

impl Head {
    fn read(input: &mut impl BufRead) -> io::Result<Head> {
        let mut next = || -> io::Result<String> {
            let mut line = String::new();
            input.read_line(&mut line)?;
            Ok(line.trim_end().to_owned())
        };
        let (line, mut headers) = (next()?, Vec::new());
        loop {
            let header = next()?;
            let Some((name, value)) = header.split_once(':') else { return Ok(Head { line, headers }) };
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn body(&self, input: &mut impl BufRead) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if self.header("transfer-encoding") == Some("chunked") {
            loop {
                let mut size = String::new();
                input.read_line(&mut size)?;
                let size = u64::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
                io::copy(&mut input.by_ref().take(size), &mut body)?;
                input.read_line(&mut String::new())?;
                if size == 0 {
                    return Ok(body);
                }
            }
        }
        let length = self.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        io::copy(&mut input.by_ref().take(length), &mut body)?;
        Ok(body)
    }
}

fn listen(serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            std::thread::spawn(move || drop(serve(stream)));
        }
    });
    port
}

impl Server {
    /// Serves the repositories below `root`.
    pub fn start(root: &Path, manner: Manner) -> Server {
        let (log, exposed) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (root, seen, shown) = (root.to_owned(), log.clone(), exposed.clone());
        let port = listen(move |stream| {
            let mut input = BufReader::new(stream.try_clone()?);
            let head = Head::read(&mut input)?;
            seen.lock().unwrap().push(head.line.clone());
            if manner == Manner::Guarded {
                shown.lock().unwrap().extend(arguments_with("hunter2"));
            }
            let body = head.body(&mut input)?;
            reply(&stream, &answer(&root, manner, &head, &body)?, manner, &head)?;
            stream.shutdown(Shutdown::Both)
        });
        Server { port, log, exposed }
    }

    /// Answers each request as it is said.
    pub fn answering(answer: impl Fn(&Head, &TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Server {
        let log = Arc::<Mutex<Vec<String>>>::default();
        let seen = log.clone();
        let port = listen(move |stream| {
            let head = Head::read(&mut BufReader::new(stream.try_clone()?))?;
            seen.lock().unwrap().push(head.line.clone());
            answer(&head, &stream)?;
            stream.shutdown(Shutdown::Both)
        });
        Server { port, log, exposed: Arc::default() }
    }

    /// Commands whose arguments held `hunter2` while a guarded server was asked.
    pub fn exposed(&self) -> Vec<String> {
        self.exposed.lock().unwrap().clone()
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The first lines of the requests so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

fn answer(root: &Path, manner: Manner, head: &Head, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut words = head.line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let not_found = || b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
    match manner {
        Manner::Lost => Ok(not_found()),
        Manner::Guarded if head.header("authorization") == Some(&format!("Basic {LOGIN}")) => {
            answer(root, Manner::Smart, head, body)
        }
        Manner::Locked | Manner::Guarded => {
            let head = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\n";
            Ok(format!("{head}Connection: close\r\n\r\n").into_bytes())
        }
        Manner::Dumb => Ok(match std::fs::read(root.join(path.trim_start_matches('/'))) {
            Ok(file) => [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec(), file].concat(),
            Err(_) => not_found(),
        }),
        Manner::Smart | Manner::Slow | Manner::Stalls | Manner::Breaks => {
            let folder = Command::new("git").arg("--exec-path").output()?.stdout;
            let program = PathBuf::from(String::from_utf8_lossy(&folder).trim()).join("git-http-backend");
            let mut child = Command::new(program)
                .env("GIT_PROJECT_ROOT", root)
                .env("GIT_HTTP_EXPORT_ALL", "1")
                .env("GIT_CONFIG_GLOBAL", "/dev/null")
                .env("PATH_INFO", path)
                .env("QUERY_STRING", query)
                .env("REQUEST_METHOD", method)
                .env("CONTENT_TYPE", head.header("content-type").unwrap_or_default())
                .env("CONTENT_LENGTH", body.len().to_string())
                .env("HTTP_CONTENT_ENCODING", head.header("content-encoding").unwrap_or_default())
                .env("GIT_PROTOCOL", head.header("git-protocol").unwrap_or_default())
                .env("REMOTE_ADDR", "127.0.0.1")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()?;
            let (mut stdin, body) = (child.stdin.take().unwrap(), body.to_owned());
            std::thread::spawn(move || drop(stdin.write_all(&body)));
            let output = child.wait_with_output()?.stdout;
            // A CGI program's status is a header, and all is well without it.
            let text = String::from_utf8_lossy(&output);
            let status = text.strip_prefix("Status: ").and_then(|rest| rest.lines().next()).unwrap_or("200 OK");
            Ok([format!("HTTP/1.1 {status}\r\nConnection: close\r\n").into_bytes(), output.clone()].concat())
        }
    }
}

fn reply(mut stream: &TcpStream, answer: &[u8], manner: Manner, head: &Head) -> io::Result<()> {
    match manner {
        Manner::Slow => answer.chunks(answer.len() / 20 + 1).try_for_each(|drop| {
            std::thread::sleep(Duration::from_millis(20));
            stream.write_all(drop)
        }),
        Manner::Stalls if head.line.starts_with("POST") => {
            stream.write_all(&answer[..answer.len() / 2])?;
            // Until the other side gives up.
            stream.read_to_end(&mut Vec::new()).map(drop)
        }
        Manner::Breaks if head.line.starts_with("POST") => stream.write_all(&answer[..answer.len() / 2]),
        _ => stream.write_all(answer),
    }
}

/// A proxy that lets in who brings these credentials (`user:password`, in base64), and remembers what it was asked for.
pub struct Proxy {
    pub port: u16,
    log: Arc<Mutex<Vec<String>>>,
    exposed: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// `secret` is looked for in the arguments of all processes of this machine while somebody waits for an answer.
    pub fn start(credentials: Option<&'static str>, secret: &'static str) -> Proxy {
        let (log, exposed) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (seen, shown) = (log.clone(), exposed.clone());
        let port = listen(move |client| {
            let mut input = BufReader::new(client.try_clone()?);
            let head = Head::read(&mut input)?;
            if let Some(wanted) = credentials
                && head.header("proxy-authorization") != Some(&format!("Basic {wanted}"))
            {
                let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"p\"\r\n";
                (&client).write_all(format!("{refusal}Content-Length: 0\r\nConnection: close\r\n\r\n").as_bytes())?;
                return client.shutdown(Shutdown::Both);
            }
            seen.lock().unwrap().push(head.line.clone());
            shown.lock().unwrap().extend(arguments_with(secret));
            forward(&client, &mut input, &head)
        });
        Proxy { port, log, exposed }
    }

    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// The commands whose arguments held the secret.
    pub fn exposed(&self) -> Vec<String> {
        self.exposed.lock().unwrap().clone()
    }
}

fn forward(client: &TcpStream, input: &mut impl BufRead, head: &Head) -> io::Result<()> {
    let mut words = head.line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if method == "CONNECT" {
        let server = TcpStream::connect(target)?;
        (&*client).write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
        std::thread::spawn(move || io::copy(&mut from, &mut to));
        return io::copy(&mut &server, &mut &*client).map(drop);
    }
    let rest = target.strip_prefix("http://").unwrap_or(target);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut server = TcpStream::connect(host)?;
    let body = head.body(input)?;
    let mut request = format!("{method} /{path} HTTP/1.1\r\n");
    for (name, value) in &head.headers {
        if !matches!(name.as_str(), "proxy-authorization" | "transfer-encoding" | "content-length") {
            request += &format!("{name}: {value}\r\n");
        }
    }
    server.write_all(format!("{request}content-length: {}\r\n\r\n", body.len()).as_bytes())?;
    server.write_all(&body)?;
    io::copy(&mut server, &mut &*client)?;
    client.shutdown(Shutdown::Both)
}

fn arguments_with(secret: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let commands = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    commands
        .map(|command| String::from_utf8_lossy(&command).replace('\0', " "))
        .filter(|it| it.contains(secret))
        .collect()
}
