//! Reads tar archives: POSIX ustar and pax, GNU tar, and the old format.

use std::io::{self, Read};

use anyhow::{Context, bail, ensure};
use tar::{EntryType, Header};

use super::names::shown;
use super::unpack::Unpacker;

const BLOCK: usize = 512;
/// The longest header with a name or attributes, in bytes.
const LONGEST_EXTRA: u64 = 1 << 20;
/// A tar archive is larger than its contents: a header for each entry, padding, attributes, zeros at the end.
const OVERHEAD: u64 = 1 << 30;

/// The largest number of eleven octal digits, which is the largest size in a header of POSIX.
const LARGEST_OCTAL: u64 = 0o77_777_777_777;

/// What headers say of the entry that follows them.
#[derive(Default)]
struct Extra {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

/// Hands over every entry.
///
/// # Errors
/// The entry that is refused, and why; an archive that is damaged, cut off, or followed by something.
pub fn read(input: impl Read, unpacker: &mut Unpacker) -> anyhow::Result<()> {
    let most = unpacker.max_bytes().saturating_mul(2).saturating_add(OVERHEAD);
    let mut input = Counted { input, left: most };
    let mut extra = Extra::default();
    let mut header = Header::new_old();
    loop {
        match read_block(&mut input, header.as_mut_bytes())? {
            0 => bail!("it ends without the mark at the end of a tar archive, so it was cut off"),
            BLOCK => {}
            _ => bail!("it was cut off"),
        }
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            break;
        }
        judge_sum(&header)?;
        entry(&header, &mut input, &mut extra, unpacker)?;
    }
    ensure!(extra.is_empty(), "it ends after a header whose entry is missing");
    let mut rest = [0; BLOCK];
    loop {
        match input.read(&mut rest)? {
            0 => return Ok(()),
            some if rest[..some].iter().all(|byte| *byte == 0) => {}
            _ => bail!("something follows the end of the tar archive"),
        }
    }
}

/// Reads a block, or what is left.
fn read_block(input: &mut dyn Read, block: &mut [u8; BLOCK]) -> anyhow::Result<usize> {
    let mut filled = 0;
    while filled < BLOCK {
        match input.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(some) => filled += some,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(filled)
}

/// Some old programs summed signed bytes.
fn judge_sum(header: &Header) -> anyhow::Result<()> {
    let sum = |value: fn(u8) -> i64| -> i64 {
        header
            .as_bytes()
            .iter()
            .enumerate()
            .map(|(at, byte)| value(if (148..156).contains(&at) { b' ' } else { *byte }))
            .sum()
    };
    let wanted = header.cksum().ok().map(i64::from);
    let sums = [sum(i64::from), sum(|byte| i64::from(byte.cast_signed()))];
    ensure!(
        wanted.is_some_and(|wanted| sums.contains(&wanted)),
        "a header has a wrong checksum: the archive is damaged"
    );
    Ok(())
}

fn entry(header: &Header, input: &mut dyn Read, extra: &mut Extra, unpacker: &mut Unpacker) -> anyhow::Result<()> {
    let kind = header.entry_type();
    let raw = header.path_bytes();
    let number = |what: &str| format!("entry {} has a {what} that is no number", shown(&raw));
    // It need not have a size.
    if kind.as_byte() == b'V' {
        let name = shown(&raw);
        bail!("entry {name} is of an unknown type, 'V', a volume label; make the archive without --label");
    }
    let size = header.entry_size().with_context(|| number("size"))?;
    match kind {
        EntryType::GNULongName => return keep_name(input, size, &raw, &mut extra.path),
        EntryType::GNULongLink => return keep_name(input, size, &raw, &mut extra.link),
        EntryType::XHeader => return attributes(&long(input, size, &raw)?, extra),
        EntryType::XGlobalHeader => return global(&long(input, size, &raw)?),
        _ => {}
    }
    let Extra { path, link, size: other_size } = std::mem::take(extra);
    let path = path.unwrap_or_else(|| raw.clone().into_owned());
    let link = link.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned)).unwrap_or_default();
    let name = shown(&path);
    let size = match other_size {
        // The field has no room for it.
        Some(other) if size == 0 && other > LARGEST_OCTAL => other,
        Some(other) if other != size => bail!("entry {name} has two sizes"),
        _ => size,
    };
    let mode = header.mode().with_context(|| number("mode"))?;
    // Before POSIX, directories were files with a slash at the end.
    let is_directory = kind == EntryType::Directory || (kind == EntryType::Regular && path.ends_with(b"/"));
    ensure!(
        size == 0 || (kind.is_file() && !is_directory) || kind.is_contiguous() || kind.is_gnu_sparse(),
        "entry {name} is no file and has content"
    );
    match kind {
        _ if is_directory => unpacker.directory(&path),
        EntryType::Regular | EntryType::Continuous => {
            unpacker.file(&path, mode, size, input)?;
            skip(input, size.next_multiple_of(BLOCK as u64) - size)
        }
        EntryType::Symlink => unpacker.link(&path, &link),
        EntryType::Link => unpacker.hard_link(&path, &link),
        EntryType::Char | EntryType::Block => bail!("entry {name} is a device"),
        EntryType::Fifo => bail!("entry {name} is a named pipe"),
        EntryType::GNUSparse => bail!("entry {name} is a sparse file; make the archive without --sparse"),
        other => bail!("entry {name} is of an unknown type, {:?}", char::from(other.as_byte())),
    }
}

/// The content of a header.
fn long(input: &mut dyn Read, size: u64, path: &[u8]) -> anyhow::Result<Vec<u8>> {
    ensure!(size <= LONGEST_EXTRA, "the header {} has {size} bytes; at most {LONGEST_EXTRA} are read", shown(path));
    let mut content = Vec::new();
    input.take(size).read_to_end(&mut content)?;
    if content.len() as u64 != size {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    skip(input, size.next_multiple_of(BLOCK as u64) - size)?;
    Ok(content)
}

fn keep_name(input: &mut dyn Read, size: u64, path: &[u8], name: &mut Option<Vec<u8>>) -> anyhow::Result<()> {
    let mut content = long(input, size, path)?;
    if content.last() == Some(&0) {
        content.pop();
    }
    ensure!(name.replace(content).is_none(), "an entry has two names");
    Ok(())
}

/// The attributes of the next entry.
fn attributes(content: &[u8], extra: &mut Extra) -> anyhow::Result<()> {
    ensure!(extra.is_empty(), "an entry has two headers with attributes");
    for (key, value) in pax(content)? {
        match key {
            b"path" => extra.path = Some(value.to_owned()),
            b"linkpath" => extra.link = Some(value.to_owned()),
            b"size" => {
                let size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                extra.size = Some(size.context("an entry has a size that is no number")?);
            }
            _ if key.starts_with(b"GNU.sparse.") => {
                bail!("an entry is a sparse file; make the archive without --sparse")
            }
            _ => {}
        }
    }
    Ok(())
}

/// The attributes of all entries. git-archive names the commit there.
fn global(content: &[u8]) -> anyhow::Result<()> {
    for (key, _) in pax(content)? {
        let is_sparse = key.starts_with(b"GNU.sparse.");
        ensure!(
            !is_sparse && !matches!(key, b"path" | b"linkpath" | b"size"),
            "a header sets {} for all entries",
            shown(key)
        );
    }
    Ok(())
}

/// Records of the form `LENGTH KEY=VALUE`, each with a newline, which values may have as well.
fn pax(content: &[u8]) -> anyhow::Result<Vec<(&[u8], &[u8])>> {
    let record = |rest: &mut &'_ [u8]| -> Option<(usize, usize)> {
        let space = rest.iter().position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(&rest[..space]).ok()?.parse().ok()?;
        Some((space + 1, length))
    };
    let mut records = Vec::new();
    let mut rest = content;
    while !rest.is_empty() {
        let found = record(&mut rest).and_then(|(start, length)| {
            let (key, value) = rest
                .get(start..length.checked_sub(1)?)?
                .split_at_checked(rest.get(start..length)?.iter().position(|byte| *byte == b'=')?)?;
            (rest[length - 1] == b'\n').then_some((key, value.get(1..)?, length))
        });
        let Some((key, value, length)) = found else { bail!("an entry has attributes that are damaged") };
        ensure!(!value.contains(&0) || !matches!(key, b"path" | b"linkpath"), "an entry has a NUL byte in its name");
        records.push((key, value));
        rest = &rest[length..];
    }
    Ok(records)
}

fn skip(input: &mut dyn Read, bytes: u64) -> anyhow::Result<()> {
    match io::copy(&mut input.take(bytes), &mut io::sink())? {
        some if some == bytes => Ok(()),
        _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
    }
}

impl Extra {
    fn is_empty(&self) -> bool {
        self.path.is_none() && self.link.is_none() && self.size.is_none()
    }
}

/// Fails after so many bytes.
struct Counted<R> {
    input: R,
    left: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::other("it unpacks to far more than artifact_max_size"))?;
        Ok(read)
    }
}
