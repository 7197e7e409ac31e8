//! Hosts from name servers: the targets of SRV records, or the addresses of a name.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};

use crate::problem::Problem;
use crate::targets::Target;
use crate::threads;

/// Where the system's resolver keeps its name servers.
const CONFIGURATION: &str = "/etc/resolv.conf";
const PORT: u16 = 53;
/// How many name servers a resolver asks, and how often, as resolv.conf(5) has it.
const MOST_SERVERS: usize = 3;
const ROUNDS: usize = 2;
/// How long one server has to answer once.
const ANSWER: Duration = Duration::from_secs(5);
const LONGEST: usize = 65_535;

/// The hosts of a name: with a first label that begins with `_`, the targets of its SRV records by priority and name;
/// otherwise its addresses, in order. The port of an SRV record is that of a service, and not used.
///
/// # Errors
/// The name does not exist or has no record of the kind, or no name server answers within `timeout`.
pub fn look_up(name: &str, timeout: Duration) -> Result<Vec<Target>, Problem> {
    let until = Instant::now() + timeout;
    let found = if name.starts_with('_') { services(name, until) } else { addresses(name, until) };
    found.map_err(|why| Problem::new(format!("{name}: {why}")))
}

/// The addresses of a name, as the system's resolver has them.
fn addresses(name: &str, until: Instant) -> Result<Vec<Target>, String> {
    let asked = (name.to_owned(), 0);
    let left = until.saturating_duration_since(Instant::now());
    let found = threads::within(left, move || asked.to_socket_addrs().map(|all| all.map(|it| it.ip()).collect()));
    let found: Vec<IpAddr> = match found.and_then(Option::transpose) {
        Ok(Some(found)) => found,
        Ok(None) => return Err("no answer in time (targets_timeout)".into()),
        Err(error) => return Err(format!("its addresses cannot be looked up: {error}")),
    };
    let mut addresses = found;
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        return Err("it has no address".into());
    }
    addresses.iter().map(|address| address.to_string().parse()).collect()
}

/// The targets of the SRV records of a name.
fn services(name: &str, until: Instant) -> Result<Vec<Target>, String> {
    let question = question(name)?;
    let mut troubles = Vec::new();
    let servers = servers(&fs::read_to_string(CONFIGURATION).unwrap_or_default());
    for server in servers.iter().cycle().take(servers.len() * ROUNDS) {
        match ask(*server, &question, until).and_then(|answer| hosts(&answer, &question)) {
            Ok(hosts) => return Ok(hosts),
            Err(Trouble::Final(why)) => return Err(why),
            Err(Trouble::Server(why)) => {
                let why = format!("{server}: {why}");
                if !troubles.contains(&why) {
                    troubles.push(why);
                }
            }
        }
    }
    Err(format!("no name server could say: {}", troubles.join("; ")))
}

/// Why there is no list of hosts.
enum Trouble {
    /// The answer is that there is none.
    Final(String),
    /// Another server may know better.
    Server(String),
}

/// The name servers of a resolv.conf; without any, the one of this host.
fn servers(configuration: &str) -> Vec<IpAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        let address = (words.next() == Some("nameserver")).then(|| words.next())??;
        // The zone of a link-local address is a matter of the system's own resolver.
        address.parse().ok()
    };
    let mut found: Vec<IpAddr> = configuration.lines().filter_map(server).take(MOST_SERVERS).collect();
    if found.is_empty() {
        found.push(Ipv4Addr::LOCALHOST.into());
    }
    found
}

fn question(name: &str) -> Result<Vec<u8>, String> {
    let mut packet = Packet::new_query(RandomState::new().build_hasher().finish() as u16);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).map_err(|error| format!("it cannot be looked up: {error}"))?;
    packet.questions.push(Question::new(name, QTYPE::TYPE(TYPE::SRV), QCLASS::CLASS(CLASS::IN), false));
    packet.build_bytes_vec().map_err(|error| format!("it cannot be looked up: {error}"))
}

/// The answer of one server: by UDP, or by TCP if it is too long for that.
fn ask(server: IpAddr, question: &[u8], until: Instant) -> Result<Vec<u8>, Trouble> {
    let told = |error: std::io::Error| {
        Trouble::Server(match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => "no answer in time".to_owned(),
            _ => error.to_string(),
        })
    };
    let answer = by_udp(server, question, until).map_err(told)?;
    let is_cut = Packet::parse(&answer).is_ok_and(|packet| packet.has_flags(PacketFlag::TRUNCATION));
    // What is cut need not be well-formed.
    let is_cut = is_cut || answer.get(2).is_some_and(|flags| flags & 0b10 != 0);
    if is_cut { by_tcp(server, question, until).map_err(told) } else { Ok(answer) }
}

/// What is left of the time for one answer.
fn left(until: Instant) -> std::io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now()).min(ANSWER);
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn by_udp(server: IpAddr, question: &[u8], until: Instant) -> std::io::Result<Vec<u8>> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    // Answers from anybody else do not arrive.
    socket.connect((server, PORT))?;
    socket.send(question)?;
    let until = until.min(Instant::now() + ANSWER);
    let mut answer = vec![0; LONGEST];
    loop {
        socket.set_read_timeout(Some(left(until)?))?;
        let length = socket.recv(&mut answer)?;
        if is_answer(&answer[..length], question) {
            answer.truncate(length);
            return Ok(answer);
        }
    }
}

fn by_tcp(server: IpAddr, question: &[u8], until: Instant) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(server, PORT), left(until)?)?;
    stream.set_write_timeout(Some(left(until)?))?;
    let length = u16::try_from(question.len()).map_err(|_| ErrorKind::InvalidInput)?;
    stream.write_all(&[&length.to_be_bytes(), question].concat())?;
    let mut whole = Vec::new();
    let is_whole =
        |whole: &[u8]| matches!(whole, [a, b, rest @ ..] if rest.len() >= usize::from(u16::from_be_bytes([*a, *b])));
    let mut part = [0; 4096];
    while !is_whole(&whole) {
        stream.set_read_timeout(Some(left(until)?))?;
        match stream.read(&mut part)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            length => whole.extend(&part[..length]),
        }
    }
    let length = usize::from(u16::from_be_bytes([whole[0], whole[1]]));
    let answer = whole[2..2 + length].to_vec();
    if is_answer(&answer, question) { Ok(answer) } else { Err(ErrorKind::InvalidData.into()) }
}

/// Whether this has the number of the question, and is an answer.
fn is_answer(answer: &[u8], question: &[u8]) -> bool {
    answer.len() >= 12 && answer[..2] == question[..2] && answer[2] & 0x80 != 0
}

/// The hosts of an answer to a question.
fn hosts(answer: &[u8], question: &[u8]) -> Result<Vec<Target>, Trouble> {
    let server = |why: String| Trouble::Server(why);
    let packet = Packet::parse(answer).map_err(|error| server(format!("a bad answer: {error}")))?;
    let asked = Packet::parse(question).map_err(|error| server(error.to_string()))?;
    let name = |packet: &Packet| packet.questions.first().map(|it| it.qname.to_string().to_ascii_lowercase());
    if name(&packet) != name(&asked) {
        return Err(server("an answer to another question".into()));
    }
    match packet.rcode() {
        RCODE::NoError => {}
        RCODE::NameError => return Err(Trouble::Final("the name does not exist (NXDOMAIN)".into())),
        other => return Err(server(format!("it failed ({other:?})"))),
    }
    let mut records: Vec<(u16, String)> = packet
        .answers
        .iter()
        .filter_map(|record| match &record.rdata {
            RData::SRV(found) => Some((found.priority, found.target.to_string().to_ascii_lowercase())),
            _ => None,
        })
        .collect();
    records.sort();
    if records.is_empty() {
        return Err(Trouble::Final("it has no SRV records".into()));
    }
    let mut hosts: Vec<Target> = Vec::new();
    for (_, name) in records {
        if name.is_empty() || name == "." {
            return Err(Trouble::Final("its SRV record says that there is no such service".into()));
        }
        let target: Target = name.parse().map_err(Trouble::Final)?;
        if !hosts.contains(&target) {
            hosts.push(target);
        }
    }
    Ok(hosts)
}

/// Reads the answer of a name server to a question about a name; for tests.
#[cfg(feature = "test-access")]
pub fn answered(answer: &[u8]) -> Result<usize, String> {
    let question = question("_app._tcp.example.org")?;
    match hosts(answer, &question) {
        Ok(hosts) => Ok(hosts.len()),
        Err(Trouble::Final(why) | Trouble::Server(why)) => Err(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_servers_are_those_of_the_resolver() {
        let text =
            "# x\nsearch example.org\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver ::1\noptions rotate\n";
        assert_eq!(servers(text), ["10.0.0.1".parse::<IpAddr>().unwrap(), "::1".parse().unwrap()]);
        assert_eq!(servers(""), [IpAddr::from(Ipv4Addr::LOCALHOST)]);
    }
}
