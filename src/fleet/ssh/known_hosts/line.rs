//! One line of a known_hosts file, in the format that sshd(8) describes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::glob;
use crate::named::named;

named! {
    /// A plain host key type (not a certificate) that the transport can check, with its name inside a key and in
    /// known_hosts. If nothing is known of a host, the types are requested in this order.
    pub enum KeyType {
        Ed25519 = "ssh-ed25519",
        Ecdsa256 = "ecdsa-sha2-nistp256", Ecdsa384 = "ecdsa-sha2-nistp384", Ecdsa521 = "ecdsa-sha2-nistp521",
        Rsa = "ssh-rsa",
    }
}

impl KeyType {
    /// The signature algorithms to request from a server, without RSA with SHA-1.
    pub fn algorithms(self) -> &'static str {
        match self {
            KeyType::Rsa => "rsa-sha2-512,rsa-sha2-256",
            other => other.name(),
        }
    }

    /// The key type of a signature algorithm.
    pub fn of_algorithm(algorithm: &str) -> Option<KeyType> {
        KeyType::ALL.into_iter().find(|kind| kind.algorithms().split(',').any(|name| name == algorithm))
    }

    fn from_name(name: &str) -> Option<KeyType> {
        KeyType::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// The type's name at the start of a key in SSH's wire format.
pub fn key_name(key: &[u8]) -> Option<&str> {
    let (length, rest) = key.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    std::str::from_utf8(rest.get(..length)?).ok()
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    /// In lower case, with whether it is negated.
    Patterns(Vec<(String, bool)>),
    Hashed {
        salt: Vec<u8>,
        hash: Vec<u8>,
    },
}

/// A line with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownHost {
    hosts: Hosts,
    pub revoked: bool,
    /// The key of a certificate authority. Host certificates are not used.
    pub authority: bool,
    /// `None`: a type that the transport cannot check.
    pub kind: Option<KeyType>,
    /// In SSH's wire format.
    pub key: Vec<u8>,
}

impl KnownHost {
    /// Reads a line. `Ok(None)` for blank lines and comments.
    pub fn parse(line: &str) -> Result<Option<KnownHost>, String> {
        let line = line.trim_matches([' ', '\t', '\r', '\n']);
        if line.is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
        let mut first = words.next().unwrap_or_default();
        let (mut revoked, mut authority) = (false, false);
        if first.starts_with('@') {
            match first {
                "@revoked" => revoked = true,
                "@cert-authority" => authority = true,
                marker => return Err(format!("unknown marker {marker:?}")),
            }
            first = words.next().ok_or("the names of the host are missing")?;
        }
        let name = words.next().ok_or("the type of the key is missing")?;
        let encoded = words.next().ok_or("the key is missing")?;
        let key = STANDARD.decode(encoded).map_err(|_| "the key is not base64".to_owned())?;
        match key_name(&key) {
            Some(inner) if inner == name => {}
            Some(inner) => return Err(format!("the key is a {inner} key, the line says {name:?}")),
            None => return Err("the key is truncated".to_owned()),
        }
        Ok(Some(KnownHost { hosts: parse_hosts(first)?, revoked, authority, kind: KeyType::from_name(name), key }))
    }

    /// The names of the line, if it has neither patterns nor a hash.
    pub fn plain_names(&self) -> Option<impl Iterator<Item = &str>> {
        let Hosts::Patterns(patterns) = &self.hosts else { return None };
        let plain = patterns.iter().all(|(pattern, negated)| !negated && !pattern.contains(['*', '?']));
        plain.then(|| patterns.iter().map(|(pattern, _)| pattern.as_str()))
    }

    /// Whether the line is for `name`: a host in lower case, or `[host]:port` if the port is not 22.
    pub fn is_for(&self, name: &str) -> bool {
        match &self.hosts {
            Hosts::Patterns(patterns) => {
                let mut found = false;
                for (pattern, negated) in patterns {
                    if glob::matches(pattern.as_bytes(), name.as_bytes()) {
                        if *negated {
                            return false;
                        }
                        found = true;
                    }
                }
                found
            }
            Hosts::Hashed { salt, hash } => {
                let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(salt) else { return false };
                mac.update(name.as_bytes());
                mac.finalize().into_bytes().as_slice() == hash
            }
        }
    }
}

fn parse_hosts(field: &str) -> Result<Hosts, String> {
    if let Some(hashed) = field.strip_prefix("|1|") {
        let (salt, hash) = hashed.split_once('|').ok_or("the hashed name has no hash")?;
        let decode = |text| STANDARD.decode(text).map_err(|_| "the hashed name is not base64".to_owned());
        return Ok(Hosts::Hashed { salt: decode(salt)?, hash: decode(hash)? });
    }
    if field.starts_with('|') {
        return Err("the name is hashed in an unknown way".to_owned());
    }
    let one = |pattern: &str| match pattern.strip_prefix('!') {
        Some(rest) => (rest.to_ascii_lowercase(), true),
        None => (pattern.to_ascii_lowercase(), false),
    };
    Ok(Hosts::Patterns(field.split(',').filter(|pattern| !pattern.is_empty()).map(one).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    fn entry(hosts: &str) -> KnownHost {
        KnownHost::parse(&format!("{hosts} {KEY}")).unwrap().unwrap()
    }

    #[test]
    fn names_may_be_lists_with_wildcards_and_negation_in_any_case() {
        let line = entry("Web1.Example.org,10.0.0.*,db?,*.test,!bad.test");
        for yes in ["web1.example.org", "10.0.0.77", "db7", "good.test", "a.b.test"] {
            assert!(line.is_for(yes), "{yes}");
        }
        for no in ["web2.example.org", "10.0.1.7", "db", "db77", "bad.test", "test", ""] {
            assert!(!line.is_for(no), "{no}");
        }
    }

    #[test]
    fn a_name_with_a_port_is_only_found_in_its_bracket_form() {
        let line = entry("[127.*]:2222,plain");
        assert!(line.is_for("[127.0.0.5]:2222"));
        assert!(!line.is_for("[127.0.0.5]:2223"));
        assert!(!line.is_for("127.0.0.5"));
        assert!(!line.is_for("[plain]:2222"));
    }

    #[test]
    fn a_hashed_name_is_an_hmac_of_it() {
        // HMAC-SHA1 of "web1" with the salt "salt", from `printf web1 | openssl dgst -sha1 -hmac salt`.
        let line = entry("|1|c2FsdA==|qNdCI8IfXFs9pMDJr7++qJxywo0=");
        assert!(line.is_for("web1"));
        assert!(!line.is_for("web2"));
    }

    #[test]
    fn carriage_returns_comments_and_authorities_do_no_harm() {
        assert!(entry("web1").is_for("web1"));
        assert_eq!(KnownHost::parse(&format!("web1 {KEY} a comment\r\n")).unwrap(), Some(entry("web1")));
        for skipped in ["", "  # web1", "\r\n"] {
            assert_eq!(KnownHost::parse(skipped), Ok(None), "{skipped:?}");
        }
        assert!(KnownHost::parse(&format!("@revoked * {KEY}")).unwrap().unwrap().revoked);
        assert!(KnownHost::parse(&format!("@cert-authority * {KEY}")).unwrap().unwrap().authority);
    }

    #[test]
    fn a_bad_line_says_what_is_wrong_with_it() {
        for (bad, why) in [
            ("web1", "type"),
            ("web1 ssh-ed25519", "key is missing"),
            ("web1 ssh-ed25519 %%%", "base64"),
            ("web1 ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAA", "ssh-ed25519"),
            ("web1 1024 37 1234", "base64"),
            ("|2|a|b ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA", "unknown way"),
            ("|1|nothing ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA", "no hash"),
            ("@wrong web1 x y", "marker"),
            ("@revoked", "names"),
            ("web1 x AAAA", "truncated"),
        ] {
            let error = KnownHost::parse(bad).unwrap_err();
            assert!(error.contains(why), "{bad:?}: {error}");
        }
    }
}
