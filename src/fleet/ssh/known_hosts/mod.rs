//! Known host keys, and the verdict on the key that a host offers.
//!
//! The rules are those of OpenSSH with `StrictHostKeyChecking` on (or `accept-new`), and stricter in two cases: a key
//! that any line revokes is refused for every host, and a host that is known by one type of key is never accepted with
//! a new key of another type.

mod line;

use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};

use line::KnownHost;
pub use line::{KeyType, key_name};

/// The maximum length of a line. An RSA key with 16,384 bits takes less than 3 KiB.
const LONGEST_LINE: usize = 16 * 1024;

/// The verdict of known_hosts on an offered key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Match,
    /// The host is known by another key, at this line.
    Changed {
        file: PathBuf,
        line: usize,
    },
    Revoked {
        file: PathBuf,
        line: usize,
    },
    Unknown,
}

#[derive(Debug)]
struct LocatedEntry {
    entry: KnownHost,
    file: PathBuf,
    line: usize,
}

/// All known_hosts files, read once.
#[derive(Debug, Default)]
pub struct KnownHosts {
    /// In the order of the files.
    entries: Vec<LocatedEntry>,
    /// For each name without patterns or hashes, the indexes of its entries.
    by_name: HashMap<String, Vec<usize>>,
    /// Entries with patterns or hashes, which have to be tested one by one.
    pattern_entries: Vec<usize>,
    revoked: Vec<usize>,
    /// Entries of certificate authorities.
    authorities: Vec<usize>,
    /// Results for the names so far, since testing all hashes is slow.
    found: Mutex<HashMap<String, Arc<[usize]>>>,
    /// Lines that could not be used, for the operator: `file:line: why`.
    notes: Vec<String>,
    /// The user's own file, where a new key goes.
    own: Option<PathBuf>,
    /// Keys that were accepted since then, by name.
    accepted: Mutex<HashMap<String, Vec<LocatedEntry>>>,
}

impl KnownHosts {
    /// Reads `files`. A missing file counts as empty; one that cannot be read is noted.
    pub fn load(files: &[PathBuf]) -> KnownHosts {
        let mut known = KnownHosts { own: files.first().cloned(), ..KnownHosts::default() };
        for file in files {
            let mut text = Vec::new();
            match File::open(file).and_then(|mut open| open.read_to_end(&mut text)) {
                Ok(_) => known.read(file, &text),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => known.notes.push(format!("{}: cannot be read: {error}", file.display())),
            }
        }
        known
    }

    /// Parses a text as the contents of a file of this name.
    pub fn of_text(name: &Path, text: &[u8]) -> KnownHosts {
        let mut known = KnownHosts::default();
        known.read(name, text);
        known
    }

    /// The line that trusts a certificate authority for the host.
    pub fn authority(&self, host: &str, port: u16) -> Option<(&Path, usize)> {
        let name = lookup_name(host, port);
        let mut authorities = self.authorities.iter().map(|index| &self.entries[*index]);
        authorities.find(|located| located.entry.is_for(&name)).map(|located| (located.file.as_path(), located.line))
    }

    /// The files that OpenSSH reads by default; the first is the user's.
    pub fn default_files(home: Option<&Path>) -> Vec<PathBuf> {
        let user = home.into_iter().flat_map(|home| ["known_hosts", "known_hosts2"].map(|f| home.join(".ssh").join(f)));
        user.chain(["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"].map(PathBuf::from)).collect()
    }

    fn read(&mut self, file: &Path, text: &[u8]) {
        for (index, bytes) in text.split(|&b| b == b'\n').enumerate() {
            let parsed = if bytes.len() > LONGEST_LINE {
                Err(format!("longer than {LONGEST_LINE} bytes"))
            } else {
                KnownHost::parse(&String::from_utf8_lossy(bytes))
            };
            match parsed {
                Ok(Some(entry)) => self.add(LocatedEntry { entry, file: file.to_owned(), line: index + 1 }),
                Ok(None) => {}
                Err(why) => self.notes.push(format!("{}:{}: skipped: {why}", file.display(), index + 1)),
            }
        }
    }

    fn add(&mut self, located: LocatedEntry) {
        let index = self.entries.len();
        match located.entry.plain_names() {
            _ if located.entry.revoked => self.revoked.push(index),
            _ if located.entry.authority => self.authorities.push(index),
            Some(names) => names.for_each(|name| self.by_name.entry(name.to_owned()).or_default().push(index)),
            None => self.pattern_entries.push(index),
        }
        self.entries.push(located);
    }

    /// The indexes of the entries for `name`, in order, without those that revoke a key.
    fn indexes(&self, name: &str) -> Arc<[usize]> {
        if let Some(found) = lock(&self.found).get(name) {
            return found.clone();
        }
        // Without the lock, since there may be thousands of hashes to test.
        let named = self.by_name.get(name).into_iter().flatten();
        let asked = self.pattern_entries.iter().filter(|index| self.entries[**index].entry.is_for(name));
        let mut indexes: Vec<usize> = named.chain(asked).copied().collect();
        indexes.sort_unstable();
        indexes.dedup();
        lock(&self.found).entry(name.to_owned()).or_insert(indexes.into()).clone()
    }

    /// Lines that were skipped, and why.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The key types that the host is known by, and whether it is known at all (possibly only by unusable types).
    pub fn key_types(&self, host: &str, port: u16) -> (Vec<KeyType>, bool) {
        let name = lookup_name(host, port);
        let indexes = self.indexes(&name);
        let accepted = lock(&self.accepted);
        let known = indexes.iter().map(|index| &self.entries[*index]).chain(accepted.get(&name).into_iter().flatten());
        let entries: Vec<&KnownHost> = known.map(|located| &located.entry).collect();
        let types = KeyType::ALL.into_iter().filter(|kind| entries.iter().any(|e| e.kind == Some(*kind))).collect();
        (types, !entries.is_empty())
    }

    /// Judges `key` (SSH's wire format) as offered by a host.
    pub fn check(&self, host: &str, port: u16, key: &[u8]) -> Verdict {
        if let Some(LocatedEntry { file, line, .. }) =
            self.revoked.iter().map(|index| &self.entries[*index]).find(|located| located.entry.key == key)
        {
            return Verdict::Revoked { file: file.clone(), line: *line };
        }
        let name = lookup_name(host, port);
        let indexes = self.indexes(&name);
        let accepted = lock(&self.accepted);
        let known = indexes.iter().map(|index| &self.entries[*index]).chain(accepted.get(&name).into_iter().flatten());
        let mut verdict = Verdict::Unknown;
        for LocatedEntry { entry, file, line } in known {
            if entry.key == key {
                return Verdict::Match;
            }
            if verdict == Verdict::Unknown {
                verdict = Verdict::Changed { file: file.clone(), line: *line };
            }
        }
        verdict
    }

    /// Accepts an unknown key as the host's from now on, and writes it to the user's file.
    ///
    /// # Errors
    /// The file cannot be written. For this process the key counts as known nevertheless.
    pub fn accept(&self, host: &str, port: u16, key: &[u8]) -> anyhow::Result<()> {
        let name = lookup_name(host, port);
        let kind = key_name(key).context("the offered host key is truncated")?;
        let text = format!("{name} {kind} {}", STANDARD.encode(key));
        let entry = KnownHost::parse(&text).map_err(anyhow::Error::msg)?.context("the host key cannot be stored")?;
        let mut accepted = lock(&self.accepted);
        let accepted = accepted.entry(name).or_default();
        if accepted.iter().any(|located| located.entry == entry) {
            return Ok(());
        }
        let file = self.own.clone().unwrap_or_default();
        accepted.push(LocatedEntry { entry, file: file.clone(), line: 0 });
        let own = self.own.as_ref().context("no known_hosts file to write to: there is no home directory")?;
        append(own, &text).with_context(|| format!("cannot add a host key to {}", own.display()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Appends a line with one write, so that lines of several processes do not mix. If they are missing, the file and its
/// folder are created with access for the user only.
fn append(file: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut open = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(file)?;
    flock(&open, FlockOperation::LockExclusive)?;
    let mut old = Vec::new();
    open.read_to_end(&mut old)?;
    let newline = if old.last().is_none_or(|&b| b == b'\n') { "" } else { "\n" };
    open.write_all(format!("{newline}{text}\n").as_bytes())?;
    Ok(())
}

/// The name to look up in the lines.
pub fn lookup_name(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == 22 { host } else { format!("[{host}]:{port}") }
}

/// A key for people to compare: `ssh-ed25519 key SHA256:…`, with the fingerprint as ssh-keygen prints it.
pub fn fingerprint(key: &[u8]) -> String {
    let kind = key_name(key).unwrap_or("unknown");
    format!("{kind} key SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(key)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn key(kind: KeyType, filling: u8) -> Vec<u8> {
        let mut key = (kind.name().len() as u32).to_be_bytes().to_vec();
        key.extend(kind.name().bytes());
        key.extend([0, 0, 0, 4, filling, filling, filling, filling]);
        key
    }

    fn known(lines: &[(&str, &[u8])]) -> KnownHosts {
        let mut known = KnownHosts::default();
        let line =
            |(hosts, key): &(&str, &[u8])| format!("{hosts} {} {}", key_name(key).unwrap(), STANDARD.encode(key));
        let text: Vec<String> = lines.iter().map(line).collect();
        known.read(Path::new("known_hosts"), text.join("\n").as_bytes());
        assert_eq!(known.notes(), [] as [&str; 0]);
        known
    }

    #[test]
    fn the_right_key_matches_and_another_is_a_change_that_names_its_line() {
        let (right, wrong) = (key(KeyType::Ed25519, 1), key(KeyType::Ed25519, 2));
        let known = known(&[("other", &wrong), ("web1", &right)]);
        assert_eq!(known.check("WEB1", 22, &right), Verdict::Match);
        assert_eq!(known.check("web1", 22, &wrong), Verdict::Changed { file: "known_hosts".into(), line: 2 });
        assert_eq!(known.check("web2", 22, &right), Verdict::Unknown);
        assert_eq!(known.check("web1", 2222, &right), Verdict::Unknown);
    }

    #[test]
    fn names_patterns_and_hashes_count_in_the_order_of_the_file() {
        // HMAC-SHA1 with the salt "salt" over "web1".
        let hashed = "|1|c2FsdA==|qNdCI8IfXFs9pMDJr7++qJxywo0=";
        let [a, b, c, new] = [1, 2, 3, 4].map(|filling| key(KeyType::Ed25519, filling));
        for hosts in [["web1", "web*", hashed], [hashed, "web1", "*1"], ["web?,!web2", hashed, "x,web1,web1"]] {
            let known = known(&[("other", &new), (hosts[0], &a), (hosts[1], &b), (hosts[2], &c)]);
            // The second query is answered from the cache.
            for _ in 0..2 {
                for good in [&a, &b, &c] {
                    assert_eq!(known.check("web1", 22, good), Verdict::Match, "{hosts:?}");
                }
                assert_eq!(known.check("web1", 22, &new), Verdict::Changed { file: "known_hosts".into(), line: 2 });
            }
        }
    }

    #[test]
    fn one_of_several_keys_is_enough() {
        let (a, b) = (key(KeyType::Rsa, 1), key(KeyType::Rsa, 2));
        assert_eq!(known(&[("web1", &a), ("web*", &b)]).check("web1", 22, &b), Verdict::Match);
    }

    #[test]
    fn a_host_known_by_one_type_is_not_believed_with_a_new_key_of_another() {
        let known = known(&[("web1", &key(KeyType::Ed25519, 1))]);
        assert!(matches!(known.check("web1", 22, &key(KeyType::Rsa, 1)), Verdict::Changed { .. }));
    }

    #[test]
    fn a_revoked_key_is_refused_even_where_another_line_allows_it() {
        let stolen = key(KeyType::Ed25519, 1);
        let known = known(&[("web1", &stolen), ("@revoked other", &stolen)]);
        assert_eq!(known.check("web1", 22, &stolen), Verdict::Revoked { file: "known_hosts".into(), line: 2 });
    }

    #[test]
    fn only_types_that_the_host_is_known_by_are_asked_for() {
        let known = known(&[("web1", &key(KeyType::Rsa, 1)), ("web1,web2", &key(KeyType::Ecdsa256, 1))]);
        assert_eq!(known.key_types("web1", 22), (vec![KeyType::Ecdsa256, KeyType::Rsa], true));
        assert_eq!(known.key_types("web2", 22), (vec![KeyType::Ecdsa256], true));
        assert_eq!(known.key_types("web3", 22), (vec![], false));
    }

    #[test]
    fn one_bad_or_endless_line_leaves_the_rest_of_the_file_in_use() {
        let right = key(KeyType::Ed25519, 1);
        let mut text = b"web0 nonsense\n\xff\xfe\n".to_vec();
        text.extend(vec![b'a'; LONGEST_LINE + 1]);
        text.extend(format!("\nweb1 ssh-ed25519 {}\r\n", STANDARD.encode(&right)).bytes());
        let mut known = KnownHosts::default();
        known.read(Path::new("kh"), &text);
        assert_eq!(known.check("web1", 22, &right), Verdict::Match);
        assert_eq!(known.notes().len(), 3);
        assert!(known.notes()[2].starts_with("kh:3: skipped: longer"), "{:?}", known.notes());
    }

    #[test]
    fn an_accepted_key_is_written_for_the_user_alone_and_known_from_then_on() {
        let home = tempfile::tempdir().unwrap();
        let files = KnownHosts::default_files(Some(home.path()));
        let known = KnownHosts::load(&files);
        let new = key(KeyType::Ed25519, 1);
        known.accept("web1", 2222, &new).unwrap();
        known.accept("web1", 2222, &new).unwrap();
        assert_eq!(known.check("web1", 2222, &new), Verdict::Match);
        assert!(matches!(known.check("web1", 2222, &key(KeyType::Ed25519, 2)), Verdict::Changed { .. }));
        let text = std::fs::read_to_string(&files[0]).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert_eq!(std::fs::metadata(&files[0]).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(KnownHosts::load(&files).check("web1", 2222, &new), Verdict::Match);
    }

    #[test]
    fn a_key_is_appended_after_a_last_line_without_its_newline() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known_hosts");
        std::fs::write(&file, "# last line").unwrap();
        append(&file, "new").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "# last line\nnew\n");
    }
}
