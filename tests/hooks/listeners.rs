//! Those who are told: servers of HTTP, UDP and TCP, and sockets of this host.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than anything takes on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until this is so.
#[track_caller]
pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what} has not come");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A request, whole.
#[derive(Debug, Clone)]
pub struct Request {
    pub headers: Vec<String>,
    pub body: String,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let pairs = self.headers.iter().filter_map(|header| header.split_once(':'));
        pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.body))
    }
}

/// How a server answers.
#[derive(Clone)]
pub enum Manner {
    Well,
    /// 500.
    Badly,
    /// A redirect with this status and to this address.
    Moved(u16, String),
    /// Not until this is set.
    Held(Arc<AtomicBool>),
    /// With a body that has no end.
    Flood,
}

/// A web server.
pub struct Web {
    pub port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Web {
    pub fn start(manner: Manner) -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let seen = requests.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, manner) = (seen.clone(), manner.clone());
                thread::spawn(move || answer(&stream, &seen, &manner));
            }
        });
        Web { port, requests }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The events that were told so far, with their results.
    pub fn told(&self) -> Vec<String> {
        self.requests().iter().map(|request| word(&request.json())).collect()
    }
}

/// `finished deployed`, `group canary`.
pub fn word(announcement: &Value) -> String {
    let more = ["result", "group", "gate"].iter().find_map(|name| announcement[*name].as_str());
    let event = announcement["event"].as_str().unwrap();
    more.map_or_else(|| event.to_owned(), |more| format!("{event} {more}"))
}

fn answer(stream: &TcpStream, seen: &Mutex<Vec<Request>>, manner: &Manner) {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        match line.trim_end() {
            "" if !lines.is_empty() => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut request = Request { headers: lines.split_off(1), body: String::new() };
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    request.body = String::from_utf8(body).unwrap();
    seen.lock().unwrap().push(request);
    let mut stream = stream;
    let whole = |status: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    };
    let _ = match manner {
        Manner::Well => stream.write_all(whole("200 OK", "ok").as_bytes()),
        Manner::Badly => stream.write_all(whole("500 Internal Server Error", "out of order").as_bytes()),
        Manner::Moved(status, to) => {
            let head = format!("HTTP/1.1 {status} Moved\r\nLocation: {to}\r\n");
            stream.write_all(format!("{head}Content-Length: 0\r\nConnection: close\r\n\r\n").as_bytes())
        }
        Manner::Held(go) => {
            until("the word to answer", || go.load(Ordering::SeqCst));
            stream.write_all(whole("200 OK", "ok").as_bytes())
        }
        Manner::Flood => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
            while stream.write_all(&[b'x'; 65536]).is_ok() {}
            Ok(())
        }
    };
}

/// What came to a socket, in order.
#[derive(Clone, Default)]
pub struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn push(&self, bytes: &[u8]) {
        self.0.lock().unwrap().push(String::from_utf8_lossy(bytes).into_owned());
    }

    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Waits for as many.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<String> {
        until(&format!("message {count}, after {:?}", self.all()), || self.all().len() >= count);
        self.all()
    }
}

/// Datagrams of UDP, and the port that they come to.
pub fn udp() -> (u16, Heard) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (port, heard) = (socket.local_addr().unwrap().port(), Heard::default());
    let to = heard.clone();
    thread::spawn(move || {
        let mut bytes = vec![0; 65536];
        while let Ok(length) = socket.recv(&mut bytes) {
            to.push(&bytes[..length]);
        }
    });
    (port, heard)
}

/// Connections of TCP, each with all that came over it.
pub fn tcp() -> (u16, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, heard) = (listener.local_addr().unwrap().port(), Heard::default());
    let to = heard.clone();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes);
            to.push(&bytes);
        }
    });
    (port, heard)
}

/// Datagrams to a socket of this host.
pub fn local(path: &Path) -> Heard {
    let socket = UnixDatagram::bind(path).unwrap();
    let heard = Heard::default();
    let to = heard.clone();
    thread::spawn(move || {
        let mut bytes = vec![0; 65536];
        while let Ok(length) = socket.recv(&mut bytes) {
            to.push(&bytes[..length]);
        }
    });
    heard
}

/// A program that keeps what it is given, in place of sendmail.
pub fn fake_sendmail(folder: &Path) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join("sendmail");
    let kept = folder.join("mails");
    std::fs::write(&path, format!("#!/bin/sh\necho \"ARGUMENTS $*\" >> {0}\ncat >> {0}\n", kept.display())).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}
