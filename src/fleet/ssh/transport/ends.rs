//! A command's output, and how the command ends.

/// A line of output, without its newline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputChunk<'a> {
    Out(&'a [u8]),
    Err(&'a [u8]),
}

/// What to do after a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterLine {
    More,
    /// Leave the command running, and come back.
    Pause,
    /// This was the last line that matters: wait for the end, but not for long.
    Last,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecEnd {
    /// 255 is a status like any other.
    Status(i32),
    /// The signal's name without `SIG`.
    Signal(String),
    /// The server closed the channel and did not say how the command ended; it may still run.
    Closed,
    /// The session broke; the command may still run.
    Lost(String),
    /// The deadline passed; the command may still run.
    TimedOut,
}

/// The state of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Driven {
    Paused,
    Ended(ExecEnd),
}

/// Why a command could not be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenError {
    /// The server gives this session no further channel (`MaxSessions`).
    NoChannel(String),
    /// The server does not run commands.
    Denied(String),
    Lost(String),
    TimedOut,
}
