//! Digests of files.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

/// The SHA-256 of what comes piece by piece.
#[derive(Default)]
pub struct Digest(Sha256);

impl Digest {
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// As 64 lower-case hexadecimal digits.
    pub fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The SHA-256 of what is read, as 64 lower-case hexadecimal digits.
pub fn sha256(input: &mut dyn Read) -> io::Result<String> {
    let mut digest = Digest::default();
    let mut piece = vec![0; 64 << 10];
    loop {
        match input.read(&mut piece) {
            Ok(0) => return Ok(digest.finish()),
            Ok(some) => digest.update(&piece[..some]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
