//! Equal causes of many hosts, told once. What is a host's own in a text, its name, an address or a port say, does not
//! keep it apart from the others: where hosts differ in that, the word for it stands in its place.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};

use crate::targets::Target;

/// Words that a measured number stands before.
const UNITS: [&str; 12] = ["KiB", "MiB", "GiB", "TiB", "bytes", "B", "ms", "s", "min", "h", "%", "free"];

/// One cause, and the hosts that have it, in the order they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause<K> {
    pub key: K,
    /// As the host said it; of several hosts, with what differs taken out: `cannot connect to HOST port 22 (ADDRESS)`.
    pub text: String,
    pub hosts: Vec<Target>,
}

/// Causes as they come in. A key keeps causes apart whose texts are equal: a state, a group.
pub struct Causes<K> {
    /// By the text with everything taken out that may differ, and by that of the first host.
    places: HashMap<(K, String), usize>,
    causes: Vec<(K, Vec<Piece>, Vec<Target>)>,
}

impl<K> Default for Causes<K> {
    fn default() -> Self {
        Causes { places: HashMap::new(), causes: Vec::new() }
    }
}

impl<K: Eq + Hash + Clone> Causes<K> {
    /// Whether the host is the first with this cause.
    pub fn add(&mut self, key: K, text: &str, host: &Target) -> bool {
        let pieces = pieces(text, host);
        let general: String = pieces.iter().map(Piece::general).collect();
        if let Some(place) = self.place(&key, text, &general) {
            let (_, there, hosts) = &mut self.causes[place];
            hosts.push(host.clone());
            // A text that is the same word for word may be in other pieces: what is one host's name is a word to another.
            if there.len() == pieces.len() {
                there.iter_mut().zip(&pieces).for_each(|(there, piece)| there.differs |= there.text != piece.text);
            }
            return false;
        }
        for text in [general, text.to_owned()] {
            self.places.insert((key.clone(), text), self.causes.len());
        }
        self.causes.push((key, pieces, vec![host.clone()]));
        true
    }

    /// The first host with this cause, if there is one.
    pub fn first(&self, key: &K, text: &str, host: &Target) -> Option<&Target> {
        let general: String = pieces(text, host).iter().map(Piece::general).collect();
        self.place(key, text, &general).and_then(|place| self.causes[place].2.first())
    }

    fn place(&self, key: &K, text: &str, general: &str) -> Option<usize> {
        [text, general].into_iter().find_map(|text| self.places.get(&(key.clone(), text.to_owned())).copied())
    }

    /// The causes so far, the first one first; none is left.
    pub fn take(&mut self) -> Vec<Cause<K>> {
        self.places.clear();
        let shown = |(key, pieces, hosts): (K, Vec<Piece>, Vec<Target>)| Cause {
            key,
            text: pieces.iter().map(Piece::shown).collect(),
            hosts,
        };
        std::mem::take(&mut self.causes).into_iter().map(shown).collect()
    }
}

/// The causes of hosts that all are there already.
pub fn causes<'a, K: Eq + Hash + Clone>(
    all: impl IntoIterator<Item = (K, impl AsRef<str>, &'a Target)>,
) -> Vec<Cause<K>> {
    let mut causes = Causes::default();
    for (key, text, host) in all {
        causes.add(key, text.as_ref(), host);
    }
    causes.take()
}

/// What a piece of a text is that may differ from host to host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Own {
    Host,
    Address,
    Port,
    Process,
    Fingerprint,
    /// When, to the second.
    Time,
    /// How much, or how long.
    Number,
}

impl Own {
    fn word(self) -> &'static str {
        match self {
            Own::Host => "HOST",
            Own::Address => "ADDRESS",
            Own::Port => "PORT",
            Own::Process => "PID",
            Own::Fingerprint => "FINGERPRINT",
            Own::Time => "TIME",
            Own::Number => "N",
        }
    }
}

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
struct Piece {
    text: String,
    own: Option<Own>,
    /// Whether another host has something else here.
    differs: bool,
}

impl Piece {
    fn general(&self) -> &str {
        self.own.map_or(self.text.as_str(), |own| own.word())
    }

    fn shown(&self) -> &str {
        if self.differs { self.general() } else { &self.text }
    }
}

/// The text in pieces: each that may be the host's own, and what stands between.
fn pieces(text: &str, host: &Target) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    let mut inside = false;
    while let Some(c) = rest.chars().next() {
        let begins = !inside && (c.is_alphanumeric() || rest.starts_with("::"));
        let before = (plain.as_str(), pieces.last().and_then(|piece| piece.own));
        let found = begins.then(|| own(rest, host, before)).flatten();
        let length = found.map_or(c.len_utf8(), |(length, _)| length);
        match found {
            Some((_, own)) => {
                if !plain.is_empty() {
                    pieces.push(Piece { text: std::mem::take(&mut plain), own: None, differs: false });
                }
                pieces.push(Piece { text: rest[..length].to_owned(), own: Some(own), differs: false });
            }
            None => plain.push(c),
        }
        inside = rest[..length].ends_with(char::is_alphanumeric);
        rest = &rest[length..];
    }
    if !plain.is_empty() {
        pieces.push(Piece { text: plain, own: None, differs: false });
    }
    pieces
}

/// What may be the host's own at the beginning of `text`, and its length. `before` is the plain text ahead of it, and what
/// stands ahead of that.
fn own(text: &str, host: &Target, before: (&str, Option<Own>)) -> Option<(usize, Own)> {
    let whole = |length: usize| !text[length..].starts_with(char::is_alphanumeric);
    if let Some(print) = text.strip_prefix("SHA256:") {
        let base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
        return Some((text.len() - print.trim_start_matches(base64).len(), Own::Fingerprint));
    }
    // As RFC 3339 writes it.
    let time = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || "-:.TZ".contains(c)).len();
    if time >= "2026-11-23T14:45:52Z".len() && text[..time].ends_with('Z') && text[4..].starts_with('-') {
        return Some((time, Own::Time));
    }
    if let Some(length) = address(text).filter(|length| whole(*length)) {
        return Some((length, if text[..length] == host.host { Own::Host } else { Own::Address }));
    }
    let label = host.host.split('.').next().unwrap_or_default();
    for name in [host.host.as_str(), label] {
        let is_there = text.get(..name.len()).is_some_and(|text| text.eq_ignore_ascii_case(name));
        // A name of one letter is more likely to be a word.
        if is_there && name.len() > 1 && whole(name.len()) && name.parse::<u64>().is_err() {
            return Some((name.len(), Own::Host));
        }
    }
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let digits = text[..text.len() - text.trim_start_matches(is_number).len()].trim_end_matches('.');
    if digits.is_empty() || !whole(digits.len()) && !text[digits.len()..].starts_with(char::is_alphabetic) {
        return None;
    }
    let after = text[digits.len()..].trim_start_matches(' ');
    let (plain, piece) = before;
    let has_unit = UNITS.iter().any(|unit| {
        after.strip_prefix(unit).is_some_and(|rest| *unit == "%" || !rest.starts_with(char::is_alphanumeric))
    });
    let own = match () {
        () if !digits.contains('.') && whole(digits.len()) && plain.ends_with("port ") => Own::Port,
        () if matches!(piece, Some(Own::Host | Own::Address)) && [":", "]:"].contains(&plain) => Own::Port,
        () if ["pid ", "process ", "PID "].iter().any(|word| plain.ends_with(word)) => Own::Process,
        () if has_unit => Own::Number,
        () => return None,
    };
    Some((digits.len(), own))
}

/// The length of an address at the beginning of a text; a port behind it is none of it.
fn address(text: &str) -> Option<usize> {
    let end = text.find(|c: char| !c.is_ascii_hexdigit() && c != ':' && c != '.').unwrap_or(text.len());
    let run = text[..end].trim_end_matches('.');
    let bare = run.trim_end_matches(':');
    if let Some(whole) = [run, bare].into_iter().find(|text| text.parse::<IpAddr>().is_ok()) {
        return Some(whole.len());
    }
    bare.parse::<SocketAddr>().ok()?;
    bare.rfind(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(all: &[(&str, &str)]) -> Vec<(String, usize)> {
        let hosts: Vec<Target> = all.iter().map(|(host, _)| host.parse().unwrap()).collect();
        let found = causes(all.iter().zip(&hosts).map(|((_, text), host)| ((), *text, host)));
        found.into_iter().map(|cause| (cause.text, cause.hosts.len())).collect()
    }

    fn one(all: &[(&str, &str)], text: &str) {
        assert_eq!(told(all), [(text.to_owned(), all.len())]);
    }

    #[test]
    fn what_is_a_hosts_own_keeps_no_causes_apart() {
        one(
            &[
                ("web1", "cannot connect to web1 port 22 (10.0.0.1): no route to host"),
                ("web2", "cannot connect to web2 port 22 (fe80::2): no route to host"),
            ],
            "cannot connect to HOST port 22 (ADDRESS): no route to host",
        );
        one(
            &[
                ("op@web1.example.org:2201", "web1.example.org:2201 and [10.0.0.1]:2201, web1: pid 17 died"),
                ("op@web2.example.org:2202", "web2.example.org:2202 and [10.0.0.2]:2202, WEB2: pid 23 died"),
            ],
            "HOST:PORT and [ADDRESS]:PORT, HOST: pid PID died",
        );
        one(
            &[
                ("web1", "key of web1 is SHA256:abc+/def=; /srv/web1/app-web1.log; ::1 10.0.0.1:80. 12.5 MiB free"),
                ("web2", "key of web2 is SHA256:xyz; /srv/web2/app-web2.log; ::1 10.0.0.2:81. 3 MiB free"),
            ],
            "key of HOST is FINGERPRINT; /srv/HOST/app-HOST.log; ::1 ADDRESS:PORT. N MiB free",
        );
        one(
            &[
                ("a", "on a lease since 2026-11-23T14:45:52Z, yes"),
                ("web2", "on a lease since 2026-11-23T14:45:52.5Z, yes"),
            ],
            "on a lease since TIME, yes",
        );
        one(
            &[("127.0.0.4", "127.0.0.4: timed out after 30 s"), ("127.0.0.5", "127.0.0.5: timed out after 30 s")],
            "HOST: timed out after 30 s",
        );
    }

    #[test]
    fn what_is_the_cause_keeps_hosts_apart() {
        for (one, other) in [
            ("exit status 1", "exit status 7"),
            ("web1 has no app", "web2 has no db"),
            ("deadbeef01 is live", "deadbeef02 is live"),
            ("version 1.2", "version 1.3"),
            ("web10 is not well", "web20 is not well"),
        ] {
            assert_eq!(told(&[("web1", one), ("web2", other)]).len(), 2, "{one}");
        }
    }

    #[test]
    fn a_single_host_is_told_as_it_is_and_a_word_that_is_a_hosts_name_stays_one_where_all_say_it() {
        assert_eq!(told(&[("web1", "web1 port 22 (10.0.0.1)")]), [("web1 port 22 (10.0.0.1)".to_owned(), 1)]);
        one(&[("web", "no route to db"), ("db", "no route to db"), ("app", "no route to db")], "no route to db");
        one(&[("db", "no route to db"), ("web", "no route to db")], "no route to db");
    }

    #[test]
    fn strange_text_is_no_trouble() {
        for text in ["", "::", "SHA256:", "1.", ":::::", "é::é", "10.0.0.1:", "%", "port ", "ff", "..1.."] {
            assert_eq!(told(&[("web1", text), ("web2", text)]), [(text.to_owned(), 2)]);
        }
    }
}
