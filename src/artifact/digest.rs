//! Digests of files.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// The SHA-256 of what is read, as 64 lower-case hexadecimal digits.
pub fn sha256(input: &mut dyn Read) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        match input.read(&mut piece) {
            Ok(0) => return Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            Ok(some) => digest.update(&piece[..some]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
