//! Splits a stream of bytes into lines of bounded length.

/// Splits a stream into lines. A line that is too long is truncated, or passed on in pieces.
#[derive(Debug)]
pub struct Lines {
    limit: usize,
    in_pieces: bool,
    /// The current line, which has not ended yet.
    part: Vec<u8>,
    /// Whether `part` was passed on already, so that the rest of its line is dropped.
    truncated: bool,
}

impl Lines {
    /// For lines of at most `limit` bytes.
    pub fn new(limit: usize) -> Lines {
        Lines { limit, in_pieces: false, part: Vec::new(), truncated: false }
    }

    /// For lines of any length, in pieces of at most `limit` bytes, none of which ends within a character.
    pub fn in_pieces(limit: usize) -> Lines {
        Lines { in_pieces: true, ..Lines::new(limit) }
    }

    /// Reads `bytes`, and calls `on` with each complete line, without its newline.
    pub fn feed(&mut self, mut bytes: &[u8], on: &mut dyn FnMut(&[u8])) {
        while !bytes.is_empty() {
            let newline = bytes.iter().position(|&b| b == b'\n');
            let (piece, rest) = bytes.split_at(newline.unwrap_or(bytes.len()));
            if !self.truncated {
                let room = self.limit.saturating_sub(self.part.len());
                self.part.extend_from_slice(&piece[..piece.len().min(room)]);
                if piece.len() > room && self.in_pieces {
                    self.pass_on_piece(on);
                    bytes = &bytes[room..];
                    continue;
                }
                if piece.len() > room {
                    self.pass_on(on);
                    self.truncated = true;
                }
            }
            if newline.is_some() {
                if !self.truncated {
                    self.pass_on(on);
                }
                self.truncated = false;
                bytes = &rest[1..];
            } else {
                bytes = rest;
            }
        }
    }

    /// At the end of the stream: calls `on` with a last line that has no newline.
    pub fn finish(&mut self, on: &mut dyn FnMut(&[u8])) {
        if !self.part.is_empty() {
            self.pass_on(on);
        }
        self.truncated = false;
    }

    /// Passes on the current piece of a line, except for an incomplete character at its end.
    fn pass_on_piece(&mut self, on: &mut dyn FnMut(&[u8])) {
        let whole = self.part.len() - incomplete_bytes(&self.part);
        on(&self.part[..whole]);
        self.part.drain(..whole);
    }

    fn pass_on(&mut self, on: &mut dyn FnMut(&[u8])) {
        let line = self.part.strip_suffix(b"\r").unwrap_or(&self.part);
        on(line);
        self.part.clear();
    }
}

/// The number of bytes at the end that are the beginning of an incomplete UTF-8 character.
fn incomplete_bytes(text: &[u8]) -> usize {
    let tail = &text[text.len().saturating_sub(3)..];
    let Some(first) = tail.iter().rposition(|byte| *byte >= 0xc0) else { return 0 };
    let length = match tail[first] {
        0xf0.. => 4,
        0xe0.. => 3,
        _ => 2,
    };
    let present = tail.len() - first;
    if present < length { present } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(limit: usize, pieces: &[&str]) -> Vec<String> {
        let (mut lines, mut out) = (Lines::new(limit), Vec::new());
        let mut on = |line: &[u8]| out.push(String::from_utf8_lossy(line).into_owned());
        for piece in pieces {
            lines.feed(piece.as_bytes(), &mut on);
        }
        lines.finish(&mut on);
        out
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        assert_eq!(cut(9, &["one\ntwo\r\n\nthree"]), ["one", "two", "", "three"]);
        assert_eq!(cut(9, &["o", "ne\nt", "wo\r", "\n", "\n", "thr", "ee"]), ["one", "two", "", "three"]);
        assert!(cut(9, &[]).is_empty());
    }

    #[test]
    fn a_line_that_is_too_long_is_truncated_and_the_next_one_is_whole() {
        assert_eq!(cut(3, &["abcdefgh\nxy\n"]), ["abc", "xy"]);
        assert_eq!(cut(3, &["ab", "cd", "efgh", "\nxy"]), ["abc", "xy"]);
        assert_eq!(cut(3, &["abc\nabc\n"]), ["abc", "abc"]);
        assert_eq!(cut(3, &["abc", "d\n", "\n"]), ["abc", ""]);
    }

    #[test]
    fn in_pieces_nothing_of_a_long_line_is_lost_and_no_character_is_split() {
        let cut = |limit, text: &str| {
            let (mut lines, mut out) = (Lines::in_pieces(limit), Vec::new());
            // However the bytes arrive.
            for size in [1, 2, 3, text.len()] {
                let mut now = Vec::new();
                let mut on = |line: &[u8]| now.push(String::from_utf8(line.to_vec()).unwrap());
                for piece in text.as_bytes().chunks(size) {
                    lines.feed(piece, &mut on);
                }
                lines.finish(&mut on);
                assert!(out.is_empty() || out == now, "{out:?}, {now:?}");
                out = now;
            }
            out
        };
        assert_eq!(cut(3, "abcdefgh\nxy\n\nabc\nz"), ["abc", "def", "gh", "xy", "", "abc", "z"]);
        assert_eq!(cut(4, "aéé€€\r\n𝄞𝄞"), ["aé", "é", "€", "€", "𝄞", "𝄞"]);
    }
}
