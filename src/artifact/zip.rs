//! Reads zip archives. The directory at their end counts, and what it says must be what each entry says of itself.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

use anyhow::{Context, bail, ensure};
use rawzip::extra_fields::ExtraFieldId;
use rawzip::{
    CompressionMethod, CreatorSystem, FileReader, MAX_CENTRAL_DIRECTORY_RECORD_SIZE, ZipArchive, ZipFileHeaderRecord,
};

use super::names::shown;
use super::unpack::Unpacker;

/// The types of files in a mode.
const TYPE: u32 = 0o170_000;
const FILE: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const LINK: u32 = 0o120_000;
const FIFO: u32 = 0o010_000;
/// The longest target of a link that is read, in bytes.
const LONGEST_TARGET: u64 = 4096;
/// The mode of a file whose archive has none.
const PLAIN: u32 = 0o644;

type Archive = ZipArchive<FileReader>;

/// Hands over every entry.
///
/// # Errors
/// The entry that is refused, and why; an archive that is damaged, cut off, or has something before or behind it.
pub fn read(file: File, unpacker: &mut Unpacker) -> anyhow::Result<()> {
    let length = file.metadata()?.len();
    let mut first = [0; 2];
    file.read_exact_at(&mut first, 0)?;
    let mut buffer = vec![0; MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
    let archive: Archive = ZipArchive::from_file(file, &mut buffer).map_err(|error| damaged(&error))?;
    ensure!(archive.end_offset() == length, "something follows the end of the zip archive");
    let mut ranges = Vec::new();
    let mut entries = archive.entries(&mut buffer);
    while let Some(record) = entries.next_entry().map_err(|error| damaged(&error))? {
        ranges.push(entry(&archive, &record, unpacker)?);
    }
    let found = ranges.len();
    let said = archive.entries_hint();
    ensure!(
        found as u64 == said,
        "its directory lists {}, and should list {said}",
        if found == 1 { "1 entry".to_owned() } else { format!("{found} entries") }
    );
    ranges.push((archive.directory_offset(), length));
    ranges.sort_unstable();
    ensure!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0), "two of its entries overlap");
    ensure!(ranges[0].0 == 0, "something precedes the first entry of the zip archive");
    Ok(())
}

fn damaged(error: &rawzip::Error) -> anyhow::Error {
    use rawzip::ErrorKind;
    match error.kind() {
        ErrorKind::MissingEndOfCentralDirectory | ErrorKind::Eof => {
            anyhow::anyhow!("it was cut off: a zip archive ends with its directory")
        }
        _ => anyhow::anyhow!("the zip archive is damaged: {}", error.to_string().to_lowercase()),
    }
}

/// Hands one entry over; where it begins and ends in the file.
fn entry(archive: &Archive, record: &ZipFileHeaderRecord, unpacker: &mut Unpacker) -> anyhow::Result<(u64, u64)> {
    let path = record.file_path().as_bytes().to_owned();
    let name = shown(&path);
    let flags = record.flags();
    ensure!(!flags.is_encrypted() && !flags.has_strong_encryption() && !flags.is_masked(), "entry {name} is encrypted");
    ensure!(std::str::from_utf8(&path).is_ok(), "entry {name} has a name that is not UTF-8");
    ensure!(!path.contains(&b'\\'), "entry {name} has a backslash in its path");
    ensure!(!matches!(path[..], [b'a'..=b'z' | b'A'..=b'Z', b':', ..]), "entry {name} has a drive letter");
    let mut extra = record.extra_fields().filter(|(id, _)| *id == ExtraFieldId::INFO_ZIP_UNICODE_PATH);
    // Behind a version and a checksum. Some programs believe it, and others the header.
    ensure!(extra.all(|(_, other)| other.get(5..) == Some(&path)), "entry {name} has another name in an extra field");
    let method = record.compression_method();
    if ![CompressionMethod::STORE, CompressionMethod::DEFLATE].contains(&method) {
        bail!("entry {name} is compressed with method {method}; Hoist reads stored and deflated entries");
    }
    let found = archive
        .get_entry(record.wayfinder())
        .map_err(|error| damaged(&error))
        .with_context(|| format!("entry {name}"))?;
    agree(&found, record, &path)?;
    let range = (record.local_header_offset(), found.compressed_data_range().1);
    ensure!(range.1 <= archive.directory_offset(), "entry {name} reaches into the directory of the archive");
    let size = record.uncompressed_size_hint();
    let data = found.reader();
    let mut content: Box<dyn Read> = match method {
        CompressionMethod::DEFLATE => Box::new(found.verifying_reader(flate2::read::DeflateDecoder::new(data))),
        _ => Box::new(found.verifying_reader(data)),
    };
    let mode = mode(record);
    match mode & TYPE {
        _ if path.ends_with(b"/") => {
            ensure!(size == 0, "entry {name} is a directory and has content");
            unpacker.directory(&path)?;
        }
        FILE | 0 => unpacker.file(&path, mode, size, &mut content)?,
        LINK => {
            let mut to = Vec::new();
            content.take(LONGEST_TARGET).read_to_end(&mut to).with_context(|| format!("entry {name}"))?;
            return unpacker.link(&path, &to).map(|()| range);
        }
        DIRECTORY => bail!("entry {name} is a directory by its mode and a file by its name"),
        FIFO => bail!("entry {name} is a named pipe"),
        _ => bail!("entry {name} is a device or a socket"),
    }
    // Only the end of the content shows whether there is more of it, and whether its checksum is right.
    ensure!(
        size == 0 || content.read(&mut [0]).with_context(|| format!("entry {name}"))? == 0,
        "entry {name} is larger than its size"
    );
    Ok(range)
}

/// The Unix mode of an entry.
fn mode(record: &ZipFileHeaderRecord) -> u32 {
    let is_unix = matches!(record.version_made_by().creator_system(), CreatorSystem::UNIX | CreatorSystem::MACOS);
    match record.external_attributes() >> 16 {
        0 => PLAIN,
        mode if is_unix => mode,
        _ => PLAIN,
    }
}

/// Programs differ in which of an entry's two headers they believe, so both must say the same.
fn agree(entry: &rawzip::ZipEntry<FileReader>, record: &ZipFileHeaderRecord, path: &[u8]) -> anyhow::Result<()> {
    let mut buffer = vec![0; 2 * usize::from(u16::MAX)];
    let local = entry.local_header(&mut buffer).map_err(|error| damaged(&error))?;
    let name = shown(path);
    ensure!(
        local.file_path().as_bytes() == path,
        "entry {name} has another name in its own header, {}",
        shown(local.file_path().as_bytes())
    );
    let flags = local.flags();
    ensure!(!flags.is_encrypted() && !flags.has_strong_encryption() && !flags.is_masked(), "entry {name} is encrypted");
    let same = local.compression_method() == record.compression_method();
    let sizes = (local.compressed_size_hint(), local.uncompressed_size_hint(), local.crc32());
    let said = (record.compressed_size_hint(), record.uncompressed_size_hint(), record.crc32());
    // A program that writes to a pipe gives them behind the content, and zeros here.
    let later = flags.has_data_descriptor();
    ensure!(same && (later || sizes == said), "entry {name} is described in two ways: its two headers differ");
    Ok(())
}
