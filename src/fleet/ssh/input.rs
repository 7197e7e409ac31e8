//! What a command reads from the deployer, piece by piece.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::fleet::Pack;

/// How much of a pack is in memory at once.
const PIECE: u64 = 512 * 1024;

/// What a command reads.
#[derive(Debug, Default)]
pub struct Input {
    pub head: Vec<u8>,
    /// Follows the head.
    pub pack: Option<Arc<Pack>>,
    /// Leave the input open after that.
    pub keep_open: bool,
}

impl From<Vec<u8>> for Input {
    fn from(head: Vec<u8>) -> Self {
        Input { head, pack: None, keep_open: false }
    }
}

/// An input on its way.
pub(super) struct Feed {
    /// What is sent next: the head, then pieces of the pack.
    piece: Vec<u8>,
    sent: usize,
    pack: Option<Arc<Pack>>,
    read: u64,
    keep_open: bool,
}

impl Feed {
    pub fn new(input: Input) -> Feed {
        Feed { piece: input.head, sent: 0, pack: input.pack, read: 0, keep_open: input.keep_open }
    }

    /// Adds to an input that is kept open, whose pack, if any, has gone.
    pub fn add(&mut self, bytes: &[u8]) {
        self.piece.drain(..self.sent);
        self.sent = 0;
        self.piece.extend_from_slice(bytes);
    }

    /// Nothing comes after what is there.
    pub fn end(&mut self) {
        self.keep_open = false;
    }

    /// Whether the input ends once there is no further piece.
    pub fn is_over(&self) -> bool {
        !self.keep_open
    }

    /// What is to be sent now: the same bytes until [`Feed::sent`] says how many of them went.
    ///
    /// Where the pack cannot be read the input ends early, which the target takes for the failure that it is; `complain`
    /// is told why.
    pub fn piece(&mut self, complain: &mut dyn FnMut(&str)) -> Option<&[u8]> {
        if self.sent == self.piece.len() {
            self.sent = 0;
            self.piece.clear();
            let pack = self.pack.as_ref()?;
            let length = pack.bytes.saturating_sub(self.read).min(PIECE);
            self.piece.resize(usize::try_from(length).unwrap_or(0), 0);
            if let Err(error) = pack.file.read_exact_at(&mut self.piece, self.read) {
                complain(&format!("cannot read the pack on the deploy host: {error}"));
                self.piece.clear();
            }
            self.read += self.piece.len() as u64;
            if self.piece.is_empty() {
                self.pack = None;
                return None;
            }
        }
        Some(&self.piece[self.sent..])
    }

    pub fn sent(&mut self, bytes: usize) {
        self.sent = (self.sent + bytes).min(self.piece.len());
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

    fn pack(content: &[u8], bytes: u64) -> Option<Arc<Pack>> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        Some(Arc::new(Pack { file, bytes }))
    }

    #[test]
    fn the_head_comes_first_and_then_the_whole_pack_for_each_of_its_readers() {
        let content: Vec<u8> = (0..PIECE * 2 + 5).map(|n| n as u8).collect();
        let shared = pack(&content, content.len() as u64);
        for _ in 0..2 {
            let mut feed = Feed::new(Input { head: b"head\n".to_vec(), pack: shared.clone(), keep_open: false });
            let (all, complaints) = drain(&mut feed, 100_000);
            assert!(all[..5] == *b"head\n" && all[5..] == content && complaints.is_empty());
        }
    }

    #[test]
    fn a_pack_that_is_shorter_than_it_should_be_ends_the_input_with_a_complaint() {
        let mut feed = Feed::new(Input { head: b"h".to_vec(), pack: pack(b"abc", 9), keep_open: false });
        let (all, complaints) = drain(&mut feed, 100);
        assert_eq!((all, complaints.len()), (b"h".to_vec(), 1));
    }

    #[test]
    fn an_open_input_takes_more_later() {
        let mut feed = Feed::new(Input { head: b"one".to_vec(), pack: None, keep_open: true });
        assert_eq!(drain(&mut feed, 2).0, b"one");
        feed.add(b"two");
        assert_eq!(drain(&mut feed, 2).0, b"two");
        assert!(!feed.is_over());
        feed.end();
        assert!(feed.is_over());
    }
}
