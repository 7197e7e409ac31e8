//! Finds the kind of algorithm for which a server and Hoist have none in common.

use std::time::Duration;

use super::kexinit::Offer;
use super::socket::Socket;
use crate::fleet::ssh::Algorithms;
use crate::fleet::ssh::known_hosts::KeyType;

/// A kind of algorithm without a common one, with the lists of both sides.
#[derive(Debug, PartialEq, Eq)]
pub enum Disagreement {
    /// `what` is the kind's name, `key` is the configuration's key for it.
    Algorithm { what: &'static str, key: &'static str, theirs: Vec<String>, ours: Vec<String> },
    /// Of the host keys.
    HostKey { theirs: Vec<String> },
}

impl Disagreement {
    /// Asks the server over a fresh connection; `None`: there is no such kind, or the server does not say.
    pub fn find(socket: &Socket, timeout: Duration, ours: &Algorithms, types: &[KeyType]) -> Option<Disagreement> {
        match Offer::of(socket, timeout) {
            Ok(offer) => between(&offer, ours, types),
            Err(error) => {
                log::debug!("cannot parse what the server offers: {error}");
                None
            }
        }
    }
}

fn between(offer: &Offer, ours: &Algorithms, types: &[KeyType]) -> Option<Disagreement> {
    let none_of = |theirs: &[String], ours: &[String]| !ours.iter().any(|name| theirs.contains(name));
    let differ = |what, key, theirs: &[String], ours: &[String]| Disagreement::Algorithm {
        what,
        key,
        theirs: theirs.to_vec(),
        ours: ours.to_vec(),
    };
    if none_of(&offer.kex, &ours.kex) {
        return Some(differ("key exchange", "ssh_kex", &offer.kex, &ours.kex));
    }
    let wanted: Vec<String> = types.iter().flat_map(|kind| kind.algorithms().split(',')).map(str::to_owned).collect();
    if none_of(&offer.host_keys, &wanted) {
        return Some(Disagreement::HostKey { theirs: offer.host_keys.clone() });
    }
    for (ciphers, macs) in offer.ciphers.iter().zip(&offer.macs) {
        let Some(cipher) = ours.ciphers.iter().find(|name| ciphers.contains(name)) else {
            return Some(differ("cipher", "ssh_ciphers", ciphers, &ours.ciphers));
        };
        // These bring their own.
        let needs_mac = !cipher.contains("gcm") && !cipher.contains("poly1305");
        if needs_mac && none_of(macs, &ours.macs) {
            return Some(differ("MAC", "ssh_macs", macs, &ours.macs));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_kind_without_anything_in_common_is_told_with_both_sides() {
        let names = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        let ours = Algorithms { kex: names("k1,k2"), ciphers: names("aes128-gcm@openssh.com,c1"), macs: names("m1") };
        let offer = |kex: &str, keys: &str, ciphers: &str, macs: &str| Offer {
            kex: names(kex),
            host_keys: names(keys),
            ciphers: [names(ciphers), names("c1")],
            macs: [names(macs), names("m1")],
        };
        let found = |kex, keys, ciphers, macs| match between(
            &offer(kex, keys, ciphers, macs),
            &ours,
            &[KeyType::Ed25519, KeyType::Rsa],
        ) {
            Some(Disagreement::Algorithm { what, .. }) => what,
            Some(Disagreement::HostKey { .. }) => "host key",
            None => "none",
        };
        assert_eq!(found("k9", "ssh-ed25519", "c1", "m1"), "key exchange");
        assert_eq!(found("k2", "ssh-rsa,ecdsa-sha2-nistp256", "c1", "m1"), "host key");
        assert_eq!(found("k2", "rsa-sha2-256", "c9", "m1"), "cipher");
        assert_eq!(found("k2", "rsa-sha2-256", "c1", "m9"), "MAC");
        assert_eq!(found("k2", "rsa-sha2-256", "aes128-gcm@openssh.com,c1", "m9"), "none");
        assert_eq!(found("k2", "rsa-sha2-256", "c1", "m1"), "none");
    }
}
