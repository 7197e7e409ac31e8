//! What an archive is, by its first bytes, and how it is unpacked.

use std::io::{self, BufRead, Read};

use anyhow::bail;
use flate2::bufread::GzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// How many bytes [`detect`] wants to see.
pub const HEAD: usize = 512;

/// The largest window of a zstd frame, which is kept in memory, in bytes: what `zstd --ultra -22` needs.
const WINDOW: u64 = 128 << 20;

/// An archive that Hoist reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Tar,
    TarGzip,
    TarZstd,
    Zip,
}

/// What begins with these bytes; names of files do not count.
///
/// # Errors
/// That it is none of these formats.
pub fn detect(head: &[u8]) -> anyhow::Result<Format> {
    if let Some((format, _)) = by_magic(head) {
        return Ok(format);
    }
    let other = match head {
        [] => bail!("it is empty"),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "compressed with xz",
        [b'B', b'Z', b'h', ..] => "compressed with bzip2",
        [b'7', b'z', 0xbc, 0xaf, ..] => "a 7z archive",
        [0x1f, 0x9d, ..] => "compressed with compress",
        [0x04, 0x22, 0x4d, 0x18, ..] => "compressed with lz4",
        _ if head.len() == HEAD && is_tar(head) => return Ok(Format::Tar),
        _ => "no archive",
    };
    bail!("it is {other}; Hoist reads tar, also compressed with zstd or gzip, and zip");
}

/// Fails when what was compressed is no tar archive, but something that can be recognized for certain: a tar archive
/// begins with the name of a file, which may be any text.
///
/// # Errors
/// What it is.
pub fn require_tar(head: &[u8]) -> anyhow::Result<()> {
    match by_magic(head) {
        Some((Format::TarGzip | Format::TarZstd, what)) => {
            bail!("it was compressed twice: what is in it is {what}; compress the tar archive once")
        }
        Some((_, what)) => bail!("what is compressed in it is {what}, and not a tar archive"),
        None => Ok(()),
    }
}

/// The formats with a mark at the beginning that is no text, and what they are.
fn by_magic(head: &[u8]) -> Option<(Format, &'static str)> {
    Some(match head {
        [0x1f, 0x8b, ..] => (Format::TarGzip, "compressed with gzip"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => (Format::TarZstd, "compressed with zstd"),
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => (Format::Zip, "a zip archive"),
        _ => return None,
    })
}

/// Whether it is the header of an entry, or the end of an archive.
fn is_tar(head: &[u8]) -> bool {
    let printable = |field: &[u8]| field.iter().all(|byte| matches!(byte, b'0'..=b'7' | b' ' | 0));
    head.iter().all(|byte| *byte == 0) || head[257..].starts_with(b"ustar") || printable(&head[148..156])
}

/// A gzip file, also one of several members. Checksums are verified.
pub struct Gzip<R> {
    /// `None` once everything was read.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Gzip<R> {
    pub fn new(input: R) -> Gzip<R> {
        Gzip { member: Some(GzDecoder::new(input)) }
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Some(mut input) = self.member.take().map(GzDecoder::into_inner) else { break };
            match input.fill_buf()?.first() {
                None => {}
                Some(0x1f) => self.member = Some(GzDecoder::new(input)),
                Some(_) => return Err(io::Error::other("something follows the end of the gzip data")),
            }
        }
        Ok(0)
    }
}

/// A zstd file, also one of several frames. Checksums are verified.
pub struct Zstd<R> {
    input: R,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: BufRead> Zstd<R> {
    pub fn new(input: R) -> Zstd<R> {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW);
        Zstd { input, decoder, in_frame: false }
    }

    /// Begins the next frame, or skips one that is not data; whether there was one.
    fn next_frame(&mut self) -> io::Result<bool> {
        if self.input.fill_buf()?.is_empty() {
            return Ok(false);
        }
        match self.decoder.reset(&mut self.input) {
            Ok(()) => self.in_frame = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let skipped = io::copy(&mut self.input.by_ref().take(length.into()), &mut io::sink())?;
                if skipped != u64::from(length) {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Err(FrameDecoderError::WindowSizeTooBig { requested, .. }) => {
                return Err(io::Error::other(format!(
                    "the zstd frame needs {} MiB of memory; at most {} are used: compress it without --long",
                    requested >> 20,
                    WINDOW >> 20
                )));
            }
            Err(error) => return Err(damaged(&error)),
        }
        Ok(true)
    }

    fn end_frame(&mut self) -> io::Result<()> {
        self.in_frame = false;
        match self.decoder.get_checksum_from_data() {
            Some(sum) if self.decoder.get_calculated_checksum() != Some(sum) => {
                Err(io::Error::other("the checksum of the zstd data is wrong: the archive is damaged"))
            }
            _ => Ok(()),
        }
    }
}

/// The decoder reports the end of its input as just another error.
fn damaged(error: &FrameDecoderError) -> io::Error {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof) {
            return io::ErrorKind::UnexpectedEof.into();
        }
        cause = error.source();
    }
    io::Error::other("the zstd data is damaged, or followed by something else")
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.in_frame && !self.next_frame()? {
                return Ok(0);
            }
            if !self.in_frame {
                continue;
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let decoded = self.decoder.decode_blocks(&mut self.input, BlockDecodingStrategy::UptoBlocks(1));
                decoded.map_err(|error| damaged(&error))?;
            }
            let read = self.decoder.read(buffer)?;
            if read > 0 {
                return Ok(read);
            }
            self.end_frame()?;
        }
    }
}
