//! Disks of their own for a folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::scene::Scene;

/// A small file system of its own as a host's disk, or a folder's.
pub struct Small(PathBuf);

impl Small {
    /// Takes the place of the disk of a host on which nothing is deployed yet.
    pub fn under(scene: &Scene, n: usize, options: &str) -> Small {
        let srv = scene.srv(n);
        let kept = std::fs::read(srv.join("bin/service")).unwrap();
        let small = Small::at(&srv, options);
        scene.put(n, "bin/service", std::str::from_utf8(&kept).unwrap());
        std::fs::set_permissions(srv.join("bin/service"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        small
    }

    /// At a folder, which is made where it is missing.
    pub fn at(folder: &Path, options: &str) -> Small {
        std::fs::create_dir_all(folder).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder).output().unwrap();
        assert!(mounted.status.success(), "{}", String::from_utf8_lossy(&mounted.stderr));
        Small(folder.to_owned())
    }

    /// `ro` or `rw`.
    pub fn mode(&self, option: &str) {
        let done = Command::new("mount").args(["-o", &format!("remount,{option}")]).arg(&self.0).status().unwrap();
        assert!(done.success());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        unmount(&self.0);
    }
}

fn unmount(folder: &Path) {
    let _ = Command::new("umount").arg("-l").arg(folder).status();
}

/// A folder that is on a disk, wherever the tests' other files are: in memory, no file can be kept from those that have it
/// open.
pub struct OnDisk {
    folder: PathBuf,
    _is: TempDir,
}

impl OnDisk {
    /// At a folder, which is made where it is missing.
    pub fn at(folder: &Path) -> OnDisk {
        let is = tempfile::Builder::new().prefix("hoist-disk-").tempdir_in("/var/tmp").unwrap();
        std::fs::create_dir_all(folder).unwrap();
        let mounted = Command::new("mount").arg("--bind").arg(is.path()).arg(folder).output().unwrap();
        assert!(mounted.status.success(), "{}", String::from_utf8_lossy(&mounted.stderr));
        OnDisk { folder: folder.to_owned(), _is: is }
    }
}

impl Drop for OnDisk {
    fn drop(&mut self) {
        unmount(&self.folder);
    }
}
