//! What `hoist --version` says.

use serde::Serialize;

use super::show::Format;

/// The commit that this build is of, as `build.rs` found it; empty where it could not be told.
const COMMIT: &str = env!("HOIST_BUILD_COMMIT");

/// For programs: the object of `--format json`.
#[derive(Serialize)]
struct Answer {
    version: &'static str,
    /// With `-dirty` behind it where the source differed from it.
    commit: Option<&'static str>,
}

/// The line that `hoist version` and `--version` print.
pub fn version(format: Format) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let commit = Some(COMMIT).filter(|commit| !commit.is_empty());
    match (format, commit) {
        (Format::Json, commit) => {
            // Two plain texts are JSON in any case.
            let json = serde_json::to_string(&Answer { version, commit }).unwrap_or_default();
            format!("{json}\n")
        }
        (Format::Text, None) => format!("hoist {version}\n"),
        (Format::Text, Some(commit)) => format!("hoist {version} ({commit})\n"),
    }
}
