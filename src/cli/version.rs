//! What `hoist --version` says.

/// The commit that this build is of, as `build.rs` found it; empty where it could not be told.
const COMMIT: &str = env!("HOIST_BUILD_COMMIT");

/// The line that `hoist version` and `--version` print.
pub fn version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    match COMMIT {
        "" => format!("hoist {version}\n"),
        commit => format!("hoist {version} ({commit})\n"),
    }
}
