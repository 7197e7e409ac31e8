//! The exit statuses of every command, in one table.

/// How a command ends, as the shell sees it.
///
/// The numbers are a promise to scripts: `hoist(1)` lists them, and a test holds the two together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitCode {
    /// Deployed and finalized; hosts that failed within the limit are listed.
    Success,
    /// Failed or aborted, and everything touched was rolled back and verified. A command on hosts: more of them failed
    /// than may.
    Failed,
    /// A usage or configuration error; nothing was touched.
    Usage,
    /// Failed or aborted, and the fleet is mixed; the hosts are listed.
    Mixed,
    /// Deployed, but finalize failed on some hosts; they are listed.
    NotFinalized,
    /// Another deployment holds the lock; nothing was touched.
    Locked,
    /// An unfinished deployment must be resumed or rolled back first; nothing was touched.
    Unfinished,
    /// With `strict`: as [`ExitCode::Success`], and hosts failed within the limit; they are listed.
    Tolerated,
    /// With `--detailed-exitcode`: a deployment would change something.
    Changes,
    /// Interrupted before anything was touched; or interrupted a second time, and left to be resumed. A command on hosts:
    /// interrupted at all.
    Interrupted,
}

impl ExitCode {
    /// Every status, in the order of the manual's table.
    pub const ALL: [ExitCode; 10] = [
        ExitCode::Success,
        ExitCode::Failed,
        ExitCode::Usage,
        ExitCode::Mixed,
        ExitCode::NotFinalized,
        ExitCode::Locked,
        ExitCode::Unfinished,
        ExitCode::Tolerated,
        ExitCode::Changes,
        ExitCode::Interrupted,
    ];

    /// The same, but for a success that `strict` does not call one: not all hosts are well.
    pub fn judged(self, strict: bool, all_well: bool) -> ExitCode {
        if self == ExitCode::Success && strict && !all_well { ExitCode::Tolerated } else { self }
    }

    /// The process's exit status.
    pub fn status(self) -> u8 {
        match self {
            ExitCode::Success => 0,
            ExitCode::Failed => 1,
            ExitCode::Usage => 2,
            ExitCode::Mixed => 3,
            ExitCode::NotFinalized => 4,
            ExitCode::Locked => 5,
            ExitCode::Unfinished => 6,
            ExitCode::Tolerated => 7,
            ExitCode::Changes => 10,
            // 128 + SIGINT, as shells report a command that was interrupted.
            ExitCode::Interrupted => 130,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        std::process::ExitCode::from(code.status())
    }
}
