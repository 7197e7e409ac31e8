//! Faults of a stage: naming what was tried.

use std::io;
use std::path::Path;

use crate::files::ownership;
use crate::files::ownership::MeantFor;
pub use crate::text::plain;
pub use crate::wire::Fault;

/// Names what was tried when a system call fails.
pub trait Tried<T> {
    /// `cannot WHAT PATH: No space left on device`.
    fn tried(self, what: &str, path: &Path) -> Result<T, Fault>;
}

impl<T> Tried<T> for io::Result<T> {
    fn tried(self, what: &str, path: &Path) -> Result<T, Fault> {
        self.map_err(|error| {
            let whose = ownership::explain(&error, path, MeantFor::RemoteUser);
            Fault::failed(format!("cannot {what} {}: {}{whose}", path.display(), plain(&error)))
        })
    }
}

/// Of a thread that could not be started.
pub fn no_thread(error: io::Error) -> Fault {
    Fault::failed(error.to_string())
}
