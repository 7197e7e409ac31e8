//! The names of SSH algorithms that keys may list.
//!
//! They are those that the transport knows (a test there holds these lists to it), without the ciphers in CBC mode:
//! their use in SSH leaks plain text (CVE-2008-5161). No key exchange and no MAC that it knows rests on SHA-1 or MD5.

/// Key exchanges.
pub const KEX: &[&str] = &[
    "mlkem768x25519-sha256",
    "mlkem768nistp256-sha256",
    "mlkem1024nistp384-sha384",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group-exchange-sha256",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
];

/// Ciphers.
pub const CIPHERS: &[&str] = &[
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
];

/// Message authentication codes, for the ciphers that bring none of their own.
pub const MACS: &[&str] =
    &["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512"];

/// Names of `known`, separated by commas, the one to try first in front.
pub fn names(value: &str, known: &[&str]) -> Result<Vec<String>, String> {
    let names = super::values::list(value);
    let complaint = match names.iter().find(|name| !known.contains(name)) {
        Some(strange) => format!("contains {strange:?}, which hoist does not support"),
        None if names.is_empty() => "names none".into(),
        None => return Ok(names.into_iter().map(str::to_owned).collect()),
    };
    Err(format!("{value:?} {complaint}: choose from {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_or_unsafe_algorithm_is_told_with_those_that_are_known() {
        assert_eq!(names("aes256-ctr, aes128-ctr", CIPHERS).unwrap(), ["aes256-ctr", "aes128-ctr"]);
        for bad in ["aes256-ctr,aes256-cbc", "AES256-CTR", "+aes256-ctr", "aes256-ctr aes128-ctr", ","] {
            let error = names(bad, CIPHERS).unwrap_err();
            assert!(error.starts_with(&format!("{bad:?} ")) && error.contains("chacha20-poly1305"), "{error}");
        }
    }
}
