//! The standard input of a remote command, in pieces.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::transfer_limit::TransferLimit;
use crate::fleet::pack::read_onto;
use crate::fleet::{Pack, Payload};
use crate::timings;

/// The size of a piece: so much of a file is in memory at a time.
const PIECE: u64 = 128 * 1024;

/// The standard input of a command.
#[derive(Debug, Default)]
pub struct Input {
    pub head: Vec<u8>,
    /// Sent after the head.
    pub payload: Payload,
    /// The input is left open after that.
    pub keep_open: bool,
}

impl From<Vec<u8>> for Input {
    fn from(head: Vec<u8>) -> Self {
        Input { head, payload: Payload::default(), keep_open: false }
    }
}

/// Something to send.
enum Source {
    /// What was said while a file ahead of it was being sent.
    Message(Vec<u8>),
    /// A file that all hosts share.
    Pack(Arc<Pack>),
    /// A file that is opened only when it is sent: there may be thousands.
    Closed(PathBuf, u64),
    Open(File, u64),
}

impl Source {
    /// Its length, as announced to the other side.
    fn bytes(&self) -> u64 {
        match self {
            Source::Message(message) => message.len() as u64,
            Source::Pack(pack) => pack.bytes,
            Source::Closed(_, bytes) | Source::Open(_, bytes) => *bytes,
        }
    }

    fn name(&self) -> String {
        match self {
            Source::Closed(path, _) => path.display().to_string(),
            Source::Message(_) => "a message".to_owned(),
            Source::Pack(_) => "the pack".to_owned(),
            Source::Open(..) => "a large file".to_owned(),
        }
    }

    /// The next bytes after `offset`, in `room` where they are read from a file.
    fn next(&mut self, mut room: Vec<u8>, offset: u64) -> io::Result<Piece> {
        if let Source::Closed(path, bytes) = self {
            *self = Source::Open(File::open(path)?, *bytes);
        }
        let length = usize::try_from((self.bytes() - offset).min(PIECE)).unwrap_or(0);
        match self {
            Source::Message(message) => return Ok(Piece::Own(std::mem::take(message))),
            Source::Pack(pack) if pack.is_small() => return Ok(Piece::Shared(pack.content()?)),
            Source::Pack(pack) => read_onto(&mut room, &pack.file, offset, length)?,
            Source::Open(file, _) => read_onto(&mut room, file, offset, length)?,
            Source::Closed(..) => {}
        }
        Ok(Piece::Own(room))
    }
}

/// What is sent next.
enum Piece {
    /// Messages, or bytes of a file.
    Own(Vec<u8>),
    /// All of a small pack, for every host from the same memory.
    Shared(Arc<[u8]>),
}

impl Default for Piece {
    fn default() -> Piece {
        Piece::Own(Vec::new())
    }
}

impl Deref for Piece {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Piece::Own(bytes) => bytes,
            Piece::Shared(bytes) => bytes,
        }
    }
}

/// An input that is being sent.
pub(in crate::fleet::ssh) struct Feed {
    /// What is sent next: the head, then pieces of the files.
    piece: Piece,
    sent: usize,
    sources: VecDeque<Source>,
    /// How many bytes of the first source have been read.
    read: u64,
    keep_open: bool,
    /// How fast files are sent; what people and Hoist itself wait for, requests and signs of life, has no limit.
    limit: Option<Arc<TransferLimit>>,
    /// Whether the piece is of a file.
    is_file: bool,
    /// How many bytes of a file the limit has given, but were not sent. A send that was put off is repeated as it was.
    given: usize,
    /// When the limit gives more.
    more_at: Option<Instant>,
}

impl Feed {
    pub fn new(input: Input, limit: Option<Arc<TransferLimit>>) -> Feed {
        let files = input.payload.large_files.into_iter().map(|(path, bytes)| Source::Closed(path, bytes));
        let sources = files.chain(input.payload.pack.map(Source::Pack)).collect();
        let (keep_open, piece) = (input.keep_open, Piece::Own(input.head));
        Feed { piece, sent: 0, sources, read: 0, keep_open, limit, is_file: false, given: 0, more_at: None }
    }

    /// Appends to an input that is kept open, after all that it has so far.
    pub fn add(&mut self, bytes: &[u8]) {
        match &mut self.piece {
            Piece::Own(message) if !self.is_file && self.sources.is_empty() => {
                message.drain(..self.sent);
                self.sent = 0;
                message.extend_from_slice(bytes);
            }
            _ => self.sources.push_back(Source::Message(bytes.to_vec())),
        }
    }

    /// Appends a file to an input that is kept open, after all that it has so far.
    pub fn add_pack(&mut self, pack: Arc<Pack>) {
        self.sources.push_back(Source::Pack(pack));
    }

    /// When there will be more to send, if it is the limit that says to wait.
    pub fn more_at(&self) -> Option<Instant> {
        self.more_at
    }

    /// Nothing comes after what is there.
    pub fn end(&mut self) {
        self.keep_open = false;
    }

    /// Whether the input ends once there is no further piece.
    pub fn is_over(&self) -> bool {
        !self.keep_open
    }

    /// What is to be sent now: the same bytes until [`Feed::sent`] says how many of them went; none as long as the limit
    /// says to wait.
    ///
    /// Where a file cannot be read the input ends early, which the target takes for the failure that it is; `complain`
    /// is told why.
    pub fn piece(&mut self, complain: &mut dyn FnMut(&str)) -> Option<&[u8]> {
        if self.sent == self.piece.len() {
            self.sent = 0;
            // Nothing of it is kept by a command that stays for the whole run, with nothing more to read.
            let room = match std::mem::take(&mut self.piece) {
                Piece::Own(mut bytes) => {
                    bytes.clear();
                    bytes
                }
                Piece::Shared(_) => Vec::new(),
            };
            self.is_file = false;
            while self.sources.front().is_some_and(|source| self.read >= source.bytes()) {
                self.sources.pop_front();
                self.read = 0;
            }
            let source = self.sources.front_mut()?;
            self.is_file = !matches!(source, Source::Message(_));
            match source.next(room, self.read) {
                Ok(piece) => self.piece = piece,
                Err(error) => {
                    complain(&format!("cannot read {} on the deploy host: {error}", source.name()));
                    self.sources.clear();
                    self.keep_open = false;
                    return None;
                }
            }
            self.read += self.piece.len() as u64;
        }
        let left = &self.piece[self.sent..];
        let Some(limit) = self.limit.as_ref().filter(|_| self.is_file) else { return Some(left) };
        if self.given == 0 {
            (self.given, self.more_at) = match limit.take(Instant::now(), left.len()) {
                Ok(given) => (given, None),
                Err(later) => (0, Some(later)),
            };
        }
        Some(&left[..self.given.min(left.len())])
    }

    pub fn sent(&mut self, bytes: usize) {
        if self.is_file {
            timings::sent(bytes);
        }
        self.sent = (self.sent + bytes).min(self.piece.len());
        self.given = self.given.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn drain(feed: &mut Feed, step: usize) -> (Vec<u8>, Vec<String>) {
        let (mut all, mut complaints) = (Vec::new(), Vec::new());
        while let Some(piece) = feed.piece(&mut |why| complaints.push(why.to_owned())) {
            let take = piece.len().min(step);
            all.extend_from_slice(&piece[..take]);
            feed.sent(take);
        }
        (all, complaints)
    }

    fn pack(content: &[u8], bytes: u64) -> Payload {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        Payload { large_files: Vec::new(), pack: Some(Arc::new(Pack::new(file, bytes))) }
    }

    #[test]
    fn large_files_precede_the_pack_and_one_that_is_gone_ends_the_input() {
        let folder = tempfile::tempdir().unwrap();
        let large = |name: &str, content: &[u8]| {
            std::fs::write(folder.path().join(name), content).unwrap();
            (folder.path().join(name), content.len() as u64)
        };
        let mut payload = pack(b"pack", 4);
        payload.large_files = vec![large("a", &vec![b'a'; PIECE as usize + 1]), large("empty", b""), large("b", b"bb")];
        let mut feed = Feed::new(Input { head: b"h".to_vec(), payload: payload.clone(), keep_open: false }, None);
        let (all, complaints) = drain(&mut feed, 100_000);
        assert!(all.starts_with(b"ha") && all.ends_with(b"abbpack") && complaints.is_empty());
        let is_nothing = matches!(&feed.piece, Piece::Own(bytes) if bytes.capacity() == 0);
        assert!(is_nothing, "a command that stays would keep it");
        assert_eq!(all.len() as u64, 1 + PIECE + 1 + 2 + 4);
        std::fs::remove_file(folder.path().join("b")).unwrap();
        let mut feed = Feed::new(Input { head: b"h".to_vec(), payload, keep_open: false }, None);
        let (all, complaints) = drain(&mut feed, 100_000);
        assert!(all.ends_with(b"a") && complaints[0].contains("/b on the deploy host"), "{complaints:?}");
    }

    #[test]
    fn the_head_is_followed_by_the_whole_pack_for_each_host() {
        let content: Vec<u8> = (0..PIECE * 2 + 5).map(|n| n as u8).collect();
        let shared = pack(&content, content.len() as u64);
        for _ in 0..2 {
            let mut feed =
                Feed::new(Input { head: b"head\n".to_vec(), payload: shared.clone(), keep_open: false }, None);
            let (all, complaints) = drain(&mut feed, 100_000);
            assert!(all[..5] == *b"head\n" && all[5..] == content && complaints.is_empty());
        }
    }

    #[test]
    fn what_is_said_while_a_file_is_being_sent_follows_it() {
        for length in [PIECE, 9 << 20] {
            let file = tempfile::tempfile().unwrap();
            file.set_len(length).unwrap();
            let pack = Arc::new(Pack::new(file, length));
            let mut feed = Feed::new(Input { keep_open: true, ..Input::from(b"head".to_vec()) }, None);
            feed.add_pack(Arc::clone(&pack));
            feed.add(b"one");
            assert_eq!(feed.piece(&mut |_| {}).map(<[u8]>::len), Some(4));
            feed.sent(4);
            let shown = feed.piece(&mut |_| {}).map(<[u8]>::len).unwrap();
            feed.sent(shown - 1);
            feed.add(b"two");
            let (rest, complaints) = drain(&mut feed, 100_000);
            assert_eq!((rest.len() as u64, complaints.len()), (length - shown as u64 + 1 + 6, 0));
            assert!(rest.ends_with(b"\0onetwo"), "{:?}", &rest[rest.len() - 8..]);
            feed.add(b"three");
            feed.add(b"four");
            assert_eq!(drain(&mut feed, 2).0, b"threefour");
        }
    }

    #[test]
    fn hosts_that_are_sent_the_same_small_pack_share_its_bytes() {
        let payload = pack(b"a pack", 6);
        let mut feeds = [(); 2].map(|()| {
            let mut feed = Feed::new(Input { head: Vec::new(), payload: payload.clone(), keep_open: false }, None);
            assert_eq!(feed.piece(&mut |_| {}), Some(&b"a pack"[..]));
            feed
        });
        let [one, other] = feeds.each_mut().map(|feed| feed.piece.as_ptr());
        assert_eq!(one, other);
    }

    #[test]
    fn a_pack_that_is_shorter_than_it_should_be_ends_the_input_with_a_complaint() {
        let mut feed = Feed::new(Input { head: b"h".to_vec(), payload: pack(b"abc", 9), keep_open: false }, None);
        let (all, complaints) = drain(&mut feed, 100);
        assert_eq!((all, complaints.len()), (b"h".to_vec(), 1));
    }

    #[test]
    fn files_are_sent_no_faster_than_the_limit_says_and_the_head_at_once() {
        let content = vec![b'x'; 30_000];
        let (limit, began) = (Arc::new(TransferLimit::new(100_000)), Instant::now());
        let input = Input { head: vec![b'h'; 500_000], payload: pack(&content, 30_000), keep_open: false };
        let mut feed = Feed::new(input, Some(limit));
        assert_eq!(feed.piece(&mut |_| {}).map(<[u8]>::len), Some(500_000));
        feed.sent(500_000);
        let mut sent = 0;
        while let Some(piece) = feed.piece(&mut |_| {}) {
            let length = piece.len();
            if length == 0 {
                let more_at = feed.more_at().expect("it says when to ask again");
                std::thread::sleep(more_at.saturating_duration_since(Instant::now()));
                continue;
            }
            // The peer takes it in two parts; what was put off is offered again.
            feed.sent(length / 2);
            assert_eq!(feed.piece(&mut |_| {}).map(<[u8]>::len), Some(length - length / 2));
            feed.sent(length - length / 2);
            sent += length;
        }
        assert_eq!(sent, content.len());
        assert!(began.elapsed() >= std::time::Duration::from_millis(295), "{:?}", began.elapsed());
    }

    #[test]
    fn an_open_input_takes_more_later() {
        let mut feed = Feed::new(Input { head: b"one".to_vec(), payload: Payload::default(), keep_open: true }, None);
        assert_eq!(drain(&mut feed, 2).0, b"one");
        feed.add(b"two");
        assert_eq!(drain(&mut feed, 2).0, b"two");
        assert!(!feed.is_over());
        feed.end();
        assert!(feed.is_over());
    }

    #[test]
    fn an_open_input_takes_a_file_later_and_ends_where_the_file_cannot_be_read() {
        let mut feed = Feed::new(Input { head: b"one".to_vec(), payload: Payload::default(), keep_open: true }, None);
        assert_eq!(drain(&mut feed, 2).0, b"one");
        feed.add(b"two");
        feed.add_pack(pack(b"a pack", 6).pack.unwrap());
        assert_eq!(drain(&mut feed, 2).0, b"twoa pack");
        feed.add(b"three");
        assert_eq!(drain(&mut feed, 2).0, b"three");
        assert!(!feed.is_over());
        feed.add_pack(pack(b"abc", 9).pack.unwrap());
        let (sent, complaints) = drain(&mut feed, 2);
        assert!(sent.is_empty() && complaints.len() == 1, "{complaints:?}");
        assert!(feed.is_over(), "who waits for the file would wait for ever");
    }
}
