//! A stretch of network between the deployer and a host, that can be broken in the ways that networks break.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How a connection breaks. New connections are none the worse for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// Both ends hear at once that it is gone.
    Reset,
    /// Nothing goes through any more, and nobody hears of it.
    Stall,
    /// The host is gone, and what the deployer sends is swallowed.
    HalfOpen,
}

struct Connection {
    client: TcpStream,
    server: TcpStream,
    broken: Arc<Mutex<Option<Break>>>,
}

/// Holds everything back for a while, and counts how often the client sends something that it can only send because of
/// an answer: a flight begins with the client's first bytes after bytes of the server, a round trip after the flight
/// before at the earliest.
pub struct Delay {
    one_way: Duration,
    /// The first bytes of the server are held back for so long.
    greeting: Mutex<Duration>,
    state: Mutex<Flights>,
}

struct Flights {
    count: usize,
    began: Instant,
    answered: bool,
}

impl Delay {
    pub fn of(one_way: Duration) -> Arc<Delay> {
        let state = Mutex::new(Flights { count: 0, began: Instant::now(), answered: true });
        Arc::new(Delay { one_way, greeting: Mutex::default(), state })
    }

    /// Holds back only the first bytes of the server, which begin the first key exchange.
    pub fn of_greeting(time: Duration) -> Arc<Delay> {
        let delay = Delay::of(Duration::ZERO);
        *delay.greeting.lock().unwrap() = time;
        delay
    }

    pub fn flights(&self) -> usize {
        self.state.lock().unwrap().count
    }

    fn pass(&self, is_client: bool) {
        let mut flights = self.state.lock().unwrap();
        if !is_client {
            flights.answered = true;
        } else if flights.answered && flights.began.elapsed() >= 2 * self.one_way {
            *flights = Flights { count: flights.count + 1, began: Instant::now(), answered: false };
        }
        drop(flights);
        let greeting = if is_client { Duration::ZERO } else { std::mem::take(&mut *self.greeting.lock().unwrap()) };
        std::thread::sleep(self.one_way + greeting);
    }
}

/// Passes connections on to a host.
pub struct Proxy {
    pub port: u16,
    connections: Arc<Mutex<Vec<Connection>>>,
    refuses: Arc<AtomicBool>,
}

impl Proxy {
    /// A way to `host`, an address and a port, by another port of `address`.
    pub fn to(address: &str, port: u16) -> Proxy {
        Proxy::with(address, port, None)
    }

    /// The same, with a delay.
    pub fn with(address: &str, port: u16, delay: Option<Arc<Delay>>) -> Proxy {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let host = (address.to_owned(), port);
        let proxy =
            Proxy { port: listener.local_addr().unwrap().port(), connections: Arc::default(), refuses: Arc::default() };
        let (connections, refuses) = (proxy.connections.clone(), proxy.refuses.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                if refuses.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(server) = TcpStream::connect((host.0.as_str(), host.1)) else { continue };
                let broken: Arc<Mutex<Option<Break>>> = Arc::default();
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                pump(from, to, broken.clone(), delay.clone().map(|delay| (delay, true)));
                let (from, to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                pump(from, to, broken.clone(), delay.clone().map(|delay| (delay, false)));
                connections.lock().unwrap().push(Connection { client, server, broken });
            }
        });
        proxy
    }

    /// Breaks the connections there are.
    pub fn breaks(&self, how: Break) {
        for connection in self.connections.lock().unwrap().iter() {
            *connection.broken.lock().unwrap() = Some(how);
            match how {
                Break::Reset => {
                    // With this, closing is a reset.
                    for end in [&connection.client, &connection.server] {
                        let _ = rustix::net::sockopt::set_socket_linger(end, Some(Duration::ZERO));
                        let _ = end.shutdown(Shutdown::Both);
                    }
                }
                Break::HalfOpen => drop(connection.server.shutdown(Shutdown::Both)),
                Break::Stall => {}
            }
        }
        if how == Break::Reset {
            self.connections.lock().unwrap().clear();
        }
    }

    /// Lets nobody through any more, or again.
    pub fn refuse(&self, yes: bool) {
        self.refuses.store(yes, Ordering::SeqCst);
    }
}

/// `delay` says with it whether these are the client's bytes.
fn pump(mut from: TcpStream, mut to: TcpStream, broken: Arc<Mutex<Option<Break>>>, delay: Option<(Arc<Delay>, bool)>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        loop {
            let read = from.read(&mut buffer);
            let how = *broken.lock().unwrap();
            match (how, read) {
                // Unread bytes fill the sender's window, as behind a dead router.
                (Some(Break::Stall), _) => loop {
                    std::thread::park();
                },
                (Some(Break::HalfOpen), Ok(length)) if length > 0 => continue,
                (Some(Break::HalfOpen), _) => loop {
                    std::thread::park();
                },
                (None, Ok(length)) if length > 0 => {
                    if let Some((delay, is_client)) = &delay {
                        delay.pass(*is_client);
                    }
                    if to.write_all(&buffer[..length]).is_err() {
                        return;
                    }
                }
                _ => {
                    let _ = to.shutdown(Shutdown::Write);
                    return;
                }
            }
        }
    });
}
