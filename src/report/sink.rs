//! A writer that never fails, and lets nothing through that would steer a terminal.

use std::io::{self, Write};

use crate::terminal::{Ci, Marker, Styled, Theme, sanitize_json};

/// Room that is kept from one write to the next.
const MOST_HELD: usize = 64 * 1024;

/// What the lines are.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// For people; styled where the theme has colours.
    Text(Theme),
    Json,
}

/// Writes lines, each at once, until the other end goes away; from then on it writes nothing. So `hoist deploy | head -1`
/// neither stops a deployment nor makes it panic.
pub struct Sink<W> {
    writer: W,
    form: Form,
    held: String,
    /// Why nothing is written any more.
    broken: Option<io::Error>,
}

impl<W: Write> Sink<W> {
    pub fn new(writer: W, form: Form) -> Self {
        Sink { writer, form, held: String::new(), broken: None }
    }

    /// Writes the lines in one piece, so that no other process's output stands between them.
    pub fn lines(&mut self, lines: impl IntoIterator<Item = impl Into<Styled>>) {
        for line in lines {
            self.hold(line);
        }
        self.flush();
    }

    /// Takes a line to be written at the next flush.
    pub fn hold(&mut self, line: impl Into<Styled>) {
        if self.broken.is_none() {
            let line = line.into();
            self.held += &match self.form {
                Form::Text(theme) => line.render(theme),
                Form::Json => sanitize_json(line.text()),
            };
            self.held.push('\n');
        }
    }

    /// Writes a line that is a command to the CI system, if it knows one of the kind.
    pub fn marker(&mut self, marker: Marker, ci: Ci) {
        if let Some(line) = marker.line(ci).filter(|_| self.broken.is_none()) {
            self.held += &line;
            self.held.push('\n');
            self.flush();
        }
    }

    /// Whether there is something to be written.
    pub fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Writes what is held.
    pub fn flush(&mut self) {
        if !self.held.is_empty() {
            self.broken = self.writer.write_all(self.held.as_bytes()).and_then(|()| self.writer.flush()).err();
            self.held.clear();
            self.held.shrink_to(MOST_HELD);
        }
    }

    /// Why nothing is written any more, once that is so.
    pub fn broken(&self) -> Option<&io::Error> {
        self.broken.as_ref()
    }

    #[cfg(test)]
    pub fn into_inner(self) -> Option<W> {
        self.broken.is_none().then_some(self.writer)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeWriter, Read};

    use super::*;

    fn closed_pipe() -> PipeWriter {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        writer
    }

    #[test]
    fn a_closed_pipe_is_let_go_in_silence() {
        let mut sink = Sink::new(closed_pipe(), Form::Json);
        sink.lines(["one"]);
        sink.lines(["two"]);
        assert!(sink.into_inner().is_none());
    }

    #[test]
    fn each_call_arrives_at_once() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut sink = Sink::new(io::BufWriter::new(writer), Form::Text(Theme::plain(true)));
        sink.lines(["one", "two"]);
        let mut read = [0; 8];
        reader.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"one\ntwo\n");
    }
}
