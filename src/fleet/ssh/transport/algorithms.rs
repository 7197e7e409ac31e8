//! Which algorithms are offered to a server, the preferred one first.

use ssh2::{Error, MethodType, Session};

/// What a session may be made with, each list in the order of preference.
///
/// The first name of ours that the server has too is taken. By default everything that is safe is on the lists, so that
/// old servers and strict ones agree to something, and what costs the least time stands first. Measured against an
/// OpenSSH 9.2 on loopback, in processor time of the client (AES-NI and SHA-NI are there): a handshake takes 0.85 ms with
/// ecdh-sha2-nistp256, 0.90 with curve25519, 3 with nistp384, 5 to 300 with finite fields. 64 MiB take 0.27 s with
/// aes128-ctr and hmac-sha2-256, 0.35 with aes128-gcm or chacha20, 0.40 with aes256-gcm, 0.40 with hmac-sha2-512.
/// AES-GCM leads for all that: it does not depend on SHA-NI, without which the MAC costs more than that again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Algorithms {
    pub kex: Vec<String>,
    pub ciphers: Vec<String>,
    pub macs: Vec<String>,
}

const KEX: &[&str] = &[
    "ecdh-sha2-nistp256",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "mlkem768x25519-sha256",
    "mlkem768nistp256-sha256",
    "ecdh-sha2-nistp384",
    "mlkem1024nistp384-sha384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group-exchange-sha256",
    "diffie-hellman-group18-sha512",
];
const CIPHERS: &[&str] = &[
    "aes128-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
];
const MACS: &[&str] =
    &["hmac-sha2-256-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-512"];

impl Default for Algorithms {
    fn default() -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Algorithms { kex: owned(KEX), ciphers: owned(CIPHERS), macs: owned(MACS) }
    }
}

impl Algorithms {
    /// Has `session` offer these, in both directions. To be called ahead of the handshake.
    pub fn prefer(&self, session: &Session) -> Result<(), Error> {
        session.method_pref(MethodType::Kex, &self.kex.join(","))?;
        for (method, names) in [
            (MethodType::CryptCs, &self.ciphers),
            (MethodType::CryptSc, &self.ciphers),
            (MethodType::MacCs, &self.macs),
            (MethodType::MacSc, &self.macs),
        ] {
            session.method_pref(method, &names.join(","))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::algorithms;

    /// What the keys take, what is offered by default and what the library has are the same, but for what is unsafe.
    #[test]
    fn the_known_algorithms_are_those_of_the_library_without_the_unsafe_ones() {
        let session = Session::new().unwrap();
        for (method, known, offered) in [
            (MethodType::Kex, algorithms::KEX, KEX),
            (MethodType::CryptCs, algorithms::CIPHERS, CIPHERS),
            (MethodType::MacCs, algorithms::MACS, MACS),
        ] {
            let supported = session.supported_algs(method).unwrap();
            // Two of the key exchanges are no such thing, but signs of what a client can do.
            let unfit = ["cbc", "ext-info", "kex-strict", "sha1", "md5"];
            let fit = |name: &&&str| !unfit.iter().any(|word| name.contains(word));
            let supported: BTreeSet<&str> = supported.iter().filter(fit).copied().collect();
            assert_eq!(supported, known.iter().copied().collect::<BTreeSet<_>>());
            assert_eq!(supported, offered.iter().copied().collect::<BTreeSet<_>>());
            assert_eq!(known.len(), offered.len());
        }
    }

    #[test]
    fn the_default_preferences_are_taken_by_the_library() {
        Algorithms::default().prefer(&Session::new().unwrap()).unwrap();
    }
}
