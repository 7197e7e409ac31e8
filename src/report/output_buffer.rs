//! What hosts say, kept until they have ended, so that equal output can be shown once.

use std::collections::HashMap;
use std::rc::Rc;

use super::HostRow;
use super::folded::Folded;
use crate::targets::Target;
use crate::wire::limits::RUN_OUTPUT;
use crate::wire::{Level, Line};

/// Bytes of output that are kept of one host, over both streams.
const MOST: usize = 1024 * 1024;

/// All that one host said, and how its command ended.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct HostOutput {
    /// Standard output, each line with its newline.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// Lines that were not kept.
    pub dropped: usize,
    /// How it ended; empty when all went well.
    pub end: String,
}

impl HostOutput {
    fn len(&self) -> usize {
        self.out.len() + self.err.len()
    }
}

/// The output of all hosts.
#[derive(Default)]
pub(super) struct OutputBuffer {
    under_way: HashMap<Target, HostOutput>,
    /// Bytes that are kept of all hosts, what is equal once.
    bytes: usize,
    /// Equal ones are kept once.
    ended: Folded<Rc<HostOutput>>,
}

impl OutputBuffer {
    /// Takes a line in.
    pub fn line(&mut self, host: &Target, line: &Line) {
        let said = self.under_way.entry(host.clone()).or_default();
        let size = line.message.len() + 1;
        if said.dropped > 0 || said.len() + size > MOST || self.bytes + size > RUN_OUTPUT {
            said.dropped += 1;
            return;
        }
        let stream = match line.level {
            Level::Debug | Level::Info => &mut said.out,
            Level::Warning | Level::Error => &mut said.err,
        };
        self.bytes += size;
        stream.push_str(&line.message);
        stream.push('\n');
    }

    /// A host's command has ended, and says no more.
    pub fn ended(&mut self, host: &Target, end: String) {
        let mut said = HostOutput { end, ..self.under_way.remove(host).unwrap_or_default() };
        said.out.shrink_to_fit();
        said.err.shrink_to_fit();
        let size = said.len();
        if !self.ended.add(Rc::new(said), host) {
            self.bytes -= size;
        }
    }

    /// What was said, each with the hosts that said it and ended alike, in the order of the first of them in `rows`.
    pub fn take(&mut self, rows: &[HostRow]) -> Vec<(Rc<HostOutput>, Vec<Target>)> {
        let place: HashMap<&Target, usize> = rows.iter().enumerate().map(|(place, row)| (&row.host, place)).collect();
        let mut blocks = self.ended.take();
        blocks.sort_by_key(|(_, hosts)| hosts.iter().filter_map(|host| place.get(host)).min().copied());
        blocks
    }
}
