//! What `git fast-import` reads.

use std::io::{self, Read, Write};

use anyhow::Context;

/// How much is copied at a time, in bytes.
const PIECE: usize = 64 << 10;

/// Git takes no more; what it has said tells why.
#[derive(Debug)]
pub struct GitEnded;

impl std::fmt::Display for GitEnded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("git fast-import ended")
    }
}

impl std::error::Error for GitEnded {}

/// Whether data ended before it should have.
pub fn is_cut_off(error: &anyhow::Error) -> bool {
    error.root_cause().downcast_ref::<io::Error>().is_some_and(|it| it.kind() == io::ErrorKind::UnexpectedEof)
}

/// Writes one commit without parents.
pub struct Stream<'a> {
    output: &'a mut dyn Write,
    piece: Vec<u8>,
}

impl<'a> Stream<'a> {
    /// Begins a commit on a ref.
    pub fn begin(
        output: &'a mut dyn Write,
        reference: &str,
        writer: &str,
        message: &str,
    ) -> anyhow::Result<Stream<'a>> {
        let mut stream = Stream { output, piece: vec![0; PIECE] };
        let length = message.len();
        let head = format!(
            "feature done\ncommit {reference}\nmark :1\nauthor {writer}\ncommitter {writer}\ndata {length}\n{message}\n"
        );
        stream.write(head.as_bytes())?;
        Ok(stream)
    }

    /// A file, or a link with its target as `content`.
    ///
    /// # Errors
    /// When `content` has not exactly `size` bytes, when it cannot be read, and when git has ended.
    pub fn entry(&mut self, mode: &str, path: &[u8], size: u64, content: &mut dyn Read) -> anyhow::Result<()> {
        self.write(&[b"M ", mode.as_bytes(), b" inline ", &quoted(path), b"\n"].concat())?;
        self.write(format!("data {size}\n").as_bytes())?;
        let mut left = size;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let read = match content.read(&mut self.piece[..most]) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            self.output.write_all(&self.piece[..read]).context(GitEnded)?;
            left -= read as u64;
        }
        self.write(b"\n")
    }

    /// Another name for a file that was written before.
    pub fn copy(&mut self, from: &[u8], path: &[u8]) -> anyhow::Result<()> {
        self.write(&[b"C ", &*quoted(from), b" ", &quoted(path), b"\n"].concat())
    }

    /// Ends the commit, and asks git for the names of its tree and of itself, in this order.
    pub fn end(mut self) -> anyhow::Result<()> {
        self.write(b"\nls :1 \"\"\nget-mark :1\ndone\n")?;
        self.output.flush().context(GitEnded)
    }

    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.output.write_all(bytes).context(GitEnded)
    }
}

/// A path as git quotes those with special characters.
fn quoted(path: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'"'];
    for byte in path {
        match byte {
            b'"' | b'\\' => quoted.extend([b'\\', *byte]),
            0..=31 | 127 => quoted.extend(format!("\\{byte:03o}").bytes()),
            _ => quoted.push(*byte),
        }
    }
    quoted.push(b'"');
    quoted
}
