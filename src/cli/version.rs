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

/// How the version is asked for: `--version` is read ahead of all other flags, and so without them.
///
/// # Errors
/// There is no such format.
pub fn wanted_format(words: &[String]) -> Result<Format, String> {
    let mut format = Format::Text;
    for (place, word) in words.iter().enumerate() {
        let value = match word.as_str() {
            "--json" => Some("json"),
            "--format" => words.get(place + 1).map(String::as_str),
            _ => word.strip_prefix("--format="),
        };
        if let Some(value) = value {
            format = value.parse().map_err(|why| format!("--format: {why}"))?;
        }
    }
    Ok(format)
}
