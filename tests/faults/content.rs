//! What the services of hosts have written at shared paths: whatever happens, they see every byte of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::common::CACHE;
use crate::scene::Scene;

/// By host and path.
#[derive(Default)]
pub struct Content {
    written: BTreeMap<(usize, String), String>,
    count: usize,
}

/// A path of a host's live tree.
fn live(scene: &Scene, n: usize, path: &str) -> PathBuf {
    scene.srv(n).join(CACHE).join("current").join(path)
}

impl Content {
    /// A service writes a file of its own in a directory of the live tree.
    pub fn add(&mut self, scene: &Scene, n: usize, folder: &str) {
        self.put(scene, n, &format!("{folder}/{}", self.count));
    }

    /// A service writes a file of the live tree anew.
    pub fn put(&mut self, scene: &Scene, n: usize, path: &str) {
        self.count += 1;
        let (place, text) = (live(scene, n, path), format!("written {}\n", self.count));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(&place, &text).unwrap();
        self.written.insert((n, path.to_owned()), text);
    }

    /// Paths that are not shared any more belong to the tree that has them.
    pub fn forget(&mut self, scene: &Scene, shared: &[&str]) {
        self.written.retain(|(n, path), _| {
            let is_link =
                PathBuf::from(path).ancestors().any(|part| live(scene, *n, part.to_str().unwrap()).is_symlink());
            is_link || shared.iter().any(|other| path.starts_with(other))
        });
    }

    /// Whether something is at a path of the live tree, or would be with the next deployment.
    pub fn is_there(scene: &Scene, n: usize, path: &str) -> bool {
        live(scene, n, path).exists() || scene.srv(n).join(CACHE).join("shared").join(path).exists()
    }

    #[track_caller]
    pub fn is_seen(&self, scene: &Scene, when: &str) {
        for ((n, path), text) in &self.written {
            let found = fs::read_to_string(live(scene, *n, path)).unwrap_or_else(|error| error.to_string());
            assert_eq!(&found, text, "{path} on host {n}, {when}");
        }
    }
}
