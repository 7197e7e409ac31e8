//! Where a configuration file cannot be: both sides ask, the deployer before anything is touched, and a target that knows
//! where its links lead.

use std::path::{Path, PathBuf};

use crate::paths;

/// Why a configuration file must not have this path, if it must not: it would take the place of what Hoist itself keeps
/// there. `deploy_dir` and `repo` are those of the request.
pub fn config_path_taken(deploy_dir: &Path, repo: &str, path: &Path) -> Option<&'static str> {
    let live = deploy_dir.join(repo);
    let cache = deploy_dir.join(format!("{repo}-cache"));
    if path == live {
        return Some("the service's own path");
    }
    if path.starts_with(&cache) {
        return Some("inside the directory in which Hoist keeps its revisions");
    }
    if live.starts_with(path) || cache.starts_with(path) {
        return Some("a directory above the deployed repository");
    }
    let in_tree = path.strip_prefix(&live).unwrap_or(path);
    let is_gits = in_tree.is_relative() && paths::is_gits_own(in_tree.as_os_str().as_encoded_bytes());
    is_gits.then_some("inside git's own directory")
}

/// The first path that is another one as well, or a folder of it, both as places on a target: a path without a leading
/// slash is in the working tree.
pub fn config_paths_collide<'a>(
    deploy_dir: &Path,
    repo: &str,
    paths: impl IntoIterator<Item = &'a str>,
) -> Option<(&'a str, &'a str)> {
    let live = deploy_dir.join(repo);
    let mut places: Vec<(PathBuf, &str)> = paths.into_iter().map(|path| (live.join(path), path)).collect();
    // By their parts, so that what is inside a folder comes right behind it.
    places.sort();
    places.windows(2).find(|pair| pair[1].0.starts_with(&pair[0].0)).map(|pair| (pair[0].1, pair[1].1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_hoists_own_is_taken_whatever_way_it_is_written() {
        let taken = |path: &str| config_path_taken(Path::new("/srv/deployment"), "group/app", Path::new(path));
        for path in [
            "/srv/deployment/group/app",
            "/srv/deployment/group/app-cache",
            "/srv/deployment/group/app-cache/current",
            "/srv/deployment/group/app-cache/revs/x",
            "/srv/deployment/group",
            "/srv/deployment",
            "/srv",
            "/srv/deployment/group/app/.git/config",
            "/srv/deployment/group/app/sub/.GIT/config",
            ".git/config",
        ] {
            assert!(taken(path).is_some(), "{path}");
        }
        for path in ["/etc/app.conf", "/srv/deployment/group/app/conf", "/srv/deployment/group/app-cache2", "conf"] {
            assert_eq!(taken(path), None, "{path}");
        }
    }

    #[test]
    fn a_file_is_no_folder_of_another_one() {
        let collide = |paths: &[&'static str]| config_paths_collide(Path::new("/srv"), "app", paths.iter().copied());
        assert_eq!(collide(&["/etc/b", "/etc/a/x", "/etc/a"]), Some(("/etc/a", "/etc/a/x")));
        assert_eq!(collide(&["a", "b", "a/c/d"]), Some(("a", "a/c/d")));
        assert_eq!(collide(&["/srv/app/x", "x"]), Some(("/srv/app/x", "x")));
        assert_eq!(collide(&["/etc/a", "/etc/a.d/x", "/etc/a-b", "a", "a.b/c"]), None);
    }
}
