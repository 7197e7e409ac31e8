//! The events of a run, read back from its log.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use serde::Deserialize;

use super::Event;
use crate::files::no_links;

/// The longest line, in bytes. A longer one is none of ours.
const LONGEST_LINE: u64 = 1 << 20;

/// An event of a log.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Logged {
    /// RFC 3339, in UTC.
    pub time: String,
    #[serde(flatten)]
    pub event: Event,
    /// An earlier deployer told it first.
    #[serde(default)]
    pub replayed: bool,
}

/// Reads the log of a run, event by event. Lines that are no events of this build are passed over, and so is what hosts
/// said line by line.
///
/// # Errors
/// A file that cannot be read.
pub fn read_log(path: &Path, on: &mut dyn FnMut(Logged)) -> io::Result<()> {
    let mut from = BufReader::new(no_links::open_own(path)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        if from.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        // That may be most of a log.
        let head = &line[..line.len().min(80)];
        if head.windows(HOST_LINE.len()).any(|part| part == HOST_LINE) {
            continue;
        }
        if let Ok(logged) = serde_json::from_slice(&line) {
            on(logged);
        }
    }
}

const HOST_LINE: &[u8] = br#""event":"host_line""#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{LogFile, Reporter};
    use crate::wire::{Level, Line};

    #[test]
    fn a_log_reads_back_as_the_events_that_were_told_without_what_hosts_said() {
        let control = tempfile::tempdir().unwrap();
        let run = "20261123T144552.123Z-4711-7d3f".parse().unwrap();
        let mut log = LogFile::open(control.path(), &run, 20);
        let note = Event::note(Level::Warning, "careful");
        log.event(&note);
        let line = Line { level: Level::Info, message: "said".into() };
        log.event(&Event::HostLine { host: "web1".parse().unwrap(), line });
        log.replays(Some(Some("2026-11-23T14:45:53.000Z")));
        log.event(&Event::Interrupted);
        let path = LogFile::path_of(control.path(), &run);
        let torn = std::fs::read_to_string(&path).unwrap() + "no event\n{\"time\":\"x\",\"event\":\"inter";
        std::fs::write(&path, torn).unwrap();
        let mut read = Vec::new();
        read_log(&path, &mut |logged| read.push(logged)).unwrap();
        let time = "2026-11-23T14:45:53.000Z".to_owned();
        assert_eq!(read.len(), 2, "{read:?}");
        assert_eq!((&read[0].event, read[0].replayed), (&note, false));
        assert_eq!(read[1], Logged { time, event: Event::Interrupted, replayed: true });
    }
}
