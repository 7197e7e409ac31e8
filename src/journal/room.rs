//! Room on the disk that is kept free for the end of a run: a run that fills the disk, or finds it full, must still be
//! able to write down how it was rolled back.

use std::fs::File;
use std::io;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// What the end of a run takes beside its hosts' records.
const BASE: u64 = 64 << 10;

/// What a host's records take from an interrupt on, without its last lines: a stage that ends, a rollback, their tasks.
const A_HOST: u64 = 4 << 10;

/// What the last record takes.
const LAST: u64 = 4 << 10;

/// The blocks of a journal beyond its last record.
#[derive(Debug)]
pub struct Room {
    /// Bytes to be kept behind what is written; 0 once they are being used, and where none can be kept.
    reserve: u64,
    /// The file has blocks up to here.
    until: u64,
}

/// What can be said of the room for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// There is enough, or nobody knows: the file system cannot keep any.
    Enough,
    /// From now on the reserve is used: it was the last time that something was had from it.
    Low,
}

impl Room {
    /// For a run of so many hosts; nothing is kept yet.
    pub fn for_hosts(hosts: usize) -> Room {
        Room { reserve: BASE + A_HOST * hosts as u64, until: 0 }
    }

    /// Bytes that are kept.
    pub fn reserve(&self) -> u64 {
        self.reserve
    }

    /// Makes sure of blocks for the bytes from `from` to `to`, and of the reserve behind them.
    pub fn ahead(&mut self, file: &File, from: u64, to: u64) -> Space {
        if self.reserve == 0 || to + self.reserve <= self.until {
            return Space::Enough;
        }
        let wanted = to + self.reserve;
        let space = match fallocate(file, FallocateFlags::KEEP_SIZE, from, wanted - from) {
            Ok(()) => {
                self.until = wanted;
                return Space::Enough;
            }
            Err(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => Space::Low,
            // It cannot be kept here. Whatever else is wrong, the record itself will tell.
            Err(_) => Space::Enough,
        };
        self.reserve = 0;
        space
    }

    /// Gives back all but what the last record takes.
    pub fn shrink(&mut self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)?;
        (self.reserve, self.until) = (LAST, 0);
        self.ahead(file, length, length);
        Ok(())
    }

    /// Gives back what lies behind the last record.
    pub fn release(&mut self, file: &File, length: u64) -> io::Result<()> {
        self.reserve = 0;
        file.set_len(length)
    }
}
