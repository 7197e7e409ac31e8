//! Objects of the cache that no revision needs any more.

use std::fs;

use super::git::Git;
use crate::local::fault::Fault;
use crate::local::os::files;
use crate::local::os::process::Feed;

/// A smaller cache is left to git, which counts packs and not bytes.
const SMALL: u64 = 4 << 20;

/// Removes them, if they are half of the cache or more. Artifacts may have little in common and no deltas, so that git's
/// own limit of fifty packs may be many times what is needed. Nobody else may be writing to the cache.
pub fn remove(git: &Git) -> Result<(), Fault> {
    let packs = git.dir().join("objects/pack");
    let size = |name: &String| fs::metadata(packs.join(name)).map_or(0, |found| found.len());
    let all: u64 = files::names(&packs).iter().filter(|name| name.ends_with(".pack")).map(size).sum();
    if all < SMALL {
        return Ok(());
    }
    // Git before 2.31 cannot tell.
    let answer = git.call(&["rev-list", "--objects", "--all", "--disk-usage"], Feed::Nothing)?;
    let needed = answer.text().trim().parse::<u64>().ok().filter(|_| answer.exit.is_ok());
    if needed.is_none_or(|needed| needed > all / 2) {
        return Ok(());
    }
    // What is packed is copied as it is: the search for deltas would cost more than it saves.
    let answer = git.call(&["-c", "pack.window=0", "gc", "--quiet", "--prune=now"], Feed::Nothing)?;
    git.expect(&answer, "gc")
}
