//! What was found in an artifact.

/// Things that a git tree cannot hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lost {
    pub count: usize,
    /// The path of the first.
    pub first: String,
}

impl Lost {
    /// Counts one more.
    pub fn add(&mut self, path: impl FnOnce() -> String) {
        if self.count == 0 {
            self.first = path();
        }
        self.count += 1;
    }

    fn remark(&self, one: &str, more: &str, consequence: &str) -> Option<String> {
        let what = match self.count {
            0 => return None,
            1 => format!("1 {one}: {}", self.first),
            count => format!("{count} {more}: {} and {} more", self.first, count - 1),
        };
        Some(format!("{what}; {consequence}"))
    }
}

/// The contents of an artifact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    pub files: u64,
    pub links: u64,
    /// The contents of all files, in bytes.
    pub bytes: u64,
    /// Directories with nothing in them.
    pub empty_directories: Lost,
    /// Files with a setuid or setgid bit.
    pub setuid: Lost,
    /// Files that only their owner may read.
    pub private: Lost,
}

impl Summary {
    /// What the deployed files will not have that the artifact had, each as a sentence without a full stop.
    pub fn remarks(&self) -> Vec<String> {
        let empty = ("empty directory", "empty directories", "git keeps no directories, so they are not deployed");
        let setuid = ("setuid or setgid file", "setuid or setgid files", "these bits are not deployed");
        let private = (
            "file that only its owner may read",
            "files that only their owner may read",
            "only the executable bit of a mode is deployed, so others may read them",
        );
        let told = [(&self.empty_directories, empty), (&self.setuid, setuid), (&self.private, private)];
        told.into_iter().filter_map(|(lost, (one, more, so))| lost.remark(one, more, so)).collect()
    }
}
