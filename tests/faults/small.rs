//! Disks of a size of their own.

use std::path::{Path, PathBuf};
use std::process::Command;

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
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
