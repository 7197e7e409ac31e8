//! The file systems of this host, as they are mounted: between two mounts nothing can be renamed, even if both show the
//! same disk.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// All mount points; empty where `/proc` does not show them.
pub struct Mounts(Vec<PathBuf>);

impl Mounts {
    pub fn read() -> Mounts {
        Mounts::parse(&fs::read("/proc/self/mountinfo").unwrap_or_default())
    }

    /// The fifth field of each line, see proc(5).
    fn parse(text: &[u8]) -> Mounts {
        let lines = text.split(|byte| *byte == b'\n');
        let points = lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
        Mounts(points.map(|point| PathBuf::from(OsString::from_vec(unescape(point)))).collect())
    }

    /// The mount point that a path is below, or at; links are followed.
    pub fn of(&self, path: &Path) -> Option<&Path> {
        let real = path.canonicalize().ok()?;
        let around = self.0.iter().filter(|point| real.starts_with(point));
        around.max_by_key(|point| point.as_os_str().len()).map(PathBuf::as_path)
    }

    /// Whether something is mounted at a directory, which is no link.
    pub fn is_at(&self, folder: &Path) -> bool {
        folder.canonicalize().is_ok_and(|real| self.0.contains(&real))
    }
}

/// A space is `\040` there, and so on.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(|_| *first == b'\\') {
            Some(byte) => {
                plain.push(byte);
                rest = &behind[3..];
            }
            None => {
                plain.push(*first);
                rest = behind;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_mount_point_is_found_also_with_a_space_in_its_name() {
        let text = b"22 1 0:20 / / rw - ext4 /dev/a rw\n23 22 0:21 / /tmp rw - tmpfs t rw\n24 22 0:20 /x /a\\040b\\134 rw - x y z\n";
        let mounts = Mounts::parse(text);
        assert_eq!(mounts.0, ["/", "/tmp", "/a b\\"].map(PathBuf::from));
        assert_eq!(mounts.of(Path::new("/")), Some(Path::new("/")));
        assert!(mounts.is_at(Path::new("/")) && !mounts.is_at(Path::new("/usr")));
    }
}
