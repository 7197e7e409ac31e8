//! Doors for `tests/fuzz` to readers of foreign bytes that nobody else reaches by themselves. No interface to build on.

use std::path::Path;

use crate::fleet::ssh::known_hosts::KnownHosts;
use crate::local::index;

/// Reads a file of host keys and asks it about a host; gives the remarks on its lines.
pub fn known_hosts(path: &Path, host: &str, key: &[u8]) -> Vec<String> {
    let known = KnownHosts::load(&[path.to_owned()]);
    let _ = (known.key_types(host, 22), known.check(host, 2222, key));
    known.notes().to_vec()
}

/// Reads a git index of a repository with names of `name` bytes; how many entries it has, how many of them are files, and
/// whether an index that is written of them is read as the same.
pub fn git_index(bytes: &[u8], name: usize) -> Option<(usize, usize, bool)> {
    let entries = index::read(bytes, name)?;
    let again = index::read(&index::write(&entries, name), name)?;
    let same =
        again.iter().map(|entry| (&entry.path, &entry.object)).eq(entries.iter().map(|it| (&it.path, &it.object)));
    let mut changed = bytes.to_owned();
    entries.iter().for_each(|entry| index::set_ctime(&mut changed, entry, (1, 2)));
    index::set_sum(&mut changed, name);
    let touched = index::read(&changed, name).is_some_and(|it| it.iter().all(|entry| entry.stat.ctime == (1, 2)));
    Some((entries.len(), entries.iter().filter(|entry| entry.is_file()).count(), same && touched))
}

/// Reads a listing of `.gitmodules`; gives what came of it, with every address resolved.
pub fn gitmodules(listing: &str) -> Result<Vec<String>, String> {
    let modules = crate::gitmodules::parse(listing)?;
    let addresses = modules.iter().map(|module| {
        let dir = module.git_dir(Path::new("/top/.git"));
        assert!(dir.starts_with("/top/.git/modules") && !dir.components().any(|it| it.as_os_str() == ".."));
        let resolved = crate::gitmodules::upstream(&module.url, Some("https://me:secret@host/group/app.git"));
        format!("{} {:?}", module.on_server("http://server/app/.git"), resolved)
    });
    Ok(addresses.collect())
}

/// Reads a pointer of git-lfs's; gives where its content would be.
pub fn pointer(text: &str) -> Option<std::path::PathBuf> {
    let path = crate::repo::pointer(text)?.path();
    assert!(path.is_relative() && path.components().count() == 3);
    Some(path)
}
