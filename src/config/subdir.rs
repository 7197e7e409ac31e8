//! `subdir`: the directory of the repository that is deployed. `build_output` is written in the same way.

use crate::paths;

/// A path below the top of the working tree. A slash behind it is usual, and means nothing.
pub(super) fn path(value: &str) -> Result<String, String> {
    let path = value.strip_suffix('/').unwrap_or(value);
    let wrong = |why| format!("{value:?} is no path of a directory below the top of the repository: {why}");
    paths::check_relative(path).map_err(wrong)?;
    if paths::is_gits_own(path.as_bytes()) {
        return Err(wrong("git's own directory is not deployed"));
    }
    Ok(path.to_owned())
}
