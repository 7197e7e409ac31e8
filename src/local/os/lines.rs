//! Output of commands as lines: bounded in length and in number, whatever comes.

use super::process::Stream;
use crate::wire::limits::LINE;

/// Characters of the last line that a reason repeats.
const LAST_WORDS: usize = 200;

/// More lines, or more bytes, of one command are not passed on.
const LINES: usize = 10_000;
const BYTES: usize = 4 << 20;

/// Takes pieces of output, gives lines.
pub struct Lines {
    parts: [Part; 2],
    /// The last line of each stream that was not blank.
    last: [Vec<u8>; 2],
    lines: usize,
    bytes: usize,
    full: bool,
}

#[derive(Default)]
struct Part {
    text: Vec<u8>,
    cut: bool,
}

impl Lines {
    pub fn new() -> Lines {
        Lines { parts: Default::default(), last: Default::default(), lines: 0, bytes: 0, full: false }
    }

    /// What a command said last, for the reason of its failure: `: sudo: a password is required`, or nothing.
    pub fn last_words(&self) -> String {
        let Some(last) = self.last.iter().rev().find(|line| !line.is_empty()) else { return String::new() };
        let text = String::from_utf8_lossy(last);
        let text = text.trim();
        match text.char_indices().nth(LAST_WORDS) {
            Some((end, _)) => format!(": {}…", &text[..end]),
            None => format!(": {text}"),
        }
    }

    /// Takes a piece; `say` gets the lines that it completes.
    pub fn take(&mut self, stream: Stream, piece: &[u8], say: &mut dyn FnMut(String)) {
        let which = if stream == Stream::Out { 0 } else { 1 };
        for chunk in piece.split_inclusive(|&byte| byte == b'\n') {
            let (text, whole) = match chunk.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (chunk, false),
            };
            let part = &mut self.parts[which];
            let room = LINE - part.text.len();
            part.cut |= text.len() > room;
            part.text.extend_from_slice(&text[..text.len().min(room)]);
            if whole {
                self.end_line(which, say);
            }
        }
    }

    /// The last lines, which had no newline.
    pub fn finish(&mut self, say: &mut dyn FnMut(String)) {
        for which in 0..2 {
            if !self.parts[which].text.is_empty() {
                self.end_line(which, say);
            }
        }
    }

    fn end_line(&mut self, which: usize, say: &mut dyn FnMut(String)) {
        let part = std::mem::take(&mut self.parts[which]);
        if part.text.iter().any(|byte| !byte.is_ascii_whitespace()) {
            self.last[which].clear();
            self.last[which].extend_from_slice(&part.text);
        }
        if self.full {
            return;
        }
        self.lines += 1;
        self.bytes += part.text.len();
        if self.lines > LINES || self.bytes > BYTES {
            self.full = true;
            return say("… output cut".to_owned());
        }
        let text = String::from_utf8_lossy(&part.text);
        let text = text.strip_suffix('\r').unwrap_or(&text);
        say(if part.cut { format!("{text}…") } else { text.to_owned() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(pieces: &[(Stream, &[u8])]) -> Vec<String> {
        let (mut lines, mut said) = (Lines::new(), Vec::new());
        for (stream, piece) in pieces {
            lines.take(*stream, piece, &mut |line| said.push(line));
        }
        lines.finish(&mut |line| said.push(line));
        said
    }

    #[test]
    fn lines_of_two_streams_are_not_mixed_and_the_last_needs_no_newline() {
        let said = lines_of(&[(Stream::Out, b"on"), (Stream::Err, b"err\xff\n\n"), (Stream::Out, b"e\r\ntwo")]);
        assert_eq!(said, ["err\u{fffd}", "", "one", "two"]);
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_one_is_whole() {
        let long = vec![b'x'; 100_000];
        let said = lines_of(&[(Stream::Out, &long), (Stream::Out, b"tail\nnext\n")]);
        assert_eq!(said, [format!("{}…", "x".repeat(LINE)), "next".to_owned()]);
    }

    #[test]
    fn the_last_words_are_those_of_standard_error_if_there_are_any() {
        let last = |pieces: &[(Stream, &[u8])]| {
            let mut lines = Lines::new();
            pieces.iter().for_each(|(stream, piece)| lines.take(*stream, piece, &mut |_| {}));
            lines.finish(&mut |_| {});
            lines.last_words()
        };
        assert_eq!(last(&[]), "");
        assert_eq!(last(&[(Stream::Out, b"one\n two \r\n\n \n")]), ": two");
        assert_eq!(
            last(&[(Stream::Err, b"sudo: a password is required"), (Stream::Out, b"bye\n")]),
            ": sudo: a password is required"
        );
        let long = last(&[(Stream::Out, "ä".repeat(5000).as_bytes())]);
        assert_eq!(long, format!(": {}…", "ä".repeat(LAST_WORDS)));
        assert_eq!(last(&[(Stream::Out, &b"y\n".repeat(LINES + 500)), (Stream::Out, b"end")]), ": end");
    }

    #[test]
    fn too_many_lines_end_in_one_remark() {
        let said = lines_of(&[(Stream::Out, &b"y\n".repeat(LINES + 500))]);
        assert_eq!(said.len(), LINES + 1);
        assert_eq!(said.last().unwrap(), "… output cut");
    }
}
