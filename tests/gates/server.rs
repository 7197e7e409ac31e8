//! A web server as small as it can be.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

/// A request: its first line, and its headers as they came.
#[derive(Debug, Clone)]
pub struct Request {
    pub line: String,
    pub headers: Vec<String>,
}

impl Request {
    /// The value of a header, by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        let pair = self.headers.iter().filter_map(|header| header.split_once(':'));
        pair.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    /// The path with its query.
    pub fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    /// A parameter of the query, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let (_, query) = self.path().split_once('?')?;
        let value = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?.1;
        let bytes = value.as_bytes();
        let (mut decoded, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            if bytes[at] == b'%' {
                decoded.push(u8::from_str_radix(&value[at + 1..at + 3], 16).unwrap());
                at += 3;
            } else {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
        Some(String::from_utf8(decoded).unwrap())
    }
}

/// What is answered.
pub enum Response {
    Ok(String),
    /// With a status, such as `503 Service Unavailable`, and a body.
    Status(&'static str, String),
    Redirect(String),
    /// Nothing, ever.
    Silence,
}

/// A server on a free port of an address, for as long as the test runs.
pub struct Server {
    pub port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub fn start(answer: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Server {
        Server::on("127.0.0.1:0", answer)
    }

    pub fn on(address: &str, answer: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind(address).unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let (answer, seen) = (Arc::new(answer), requests.clone());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (answer, seen) = (answer.clone(), seen.clone());
                thread::spawn(move || {
                    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                    let Some(line) = lines.next() else { return };
                    let request = Request { line, headers: lines.take_while(|line| !line.is_empty()).collect() };
                    seen.lock().unwrap().push(request.clone());
                    let (status, more, body) = match answer(&request) {
                        Response::Ok(body) => ("200 OK", String::new(), body),
                        Response::Status(status, body) => (status, String::new(), body),
                        Response::Redirect(to) => ("302 Found", format!("Location: {to}\r\n"), String::new()),
                        Response::Silence => loop {
                            thread::park();
                        },
                    };
                    let head = format!(
                        "HTTP/1.1 {status}\r\n{more}Content-Length: {}\r\nConnection: close\r\n\r\n",
                        body.len()
                    );
                    let _ = (&stream).write_all((head + &body).as_bytes());
                });
            }
        });
        Server { port, requests }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// An answer of Prometheus with these values by instance.
pub fn vector(values: &[(String, String)]) -> String {
    let series: Vec<_> = values
        .iter()
        .map(|(instance, value)| serde_json::json!({"metric": {"instance": instance}, "value": [1.5, value]}))
        .collect();
    serde_json::json!({"status": "success", "data": {"resultType": "vector", "result": series}}).to_string()
}
