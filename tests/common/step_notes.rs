//! The command of a run-once step that notes what it does, and waits for as long as it is told to.
#![allow(dead_code, reason = "each test program uses its own part of it")]

use std::path::{Path, PathBuf};

use super::wait_for;

/// What a step notes, and the files that it looks for, in a folder.
pub struct StepNotes {
    folder: PathBuf,
    /// The same folder as its command sees it.
    seen_as: PathBuf,
}

impl StepNotes {
    /// Of a step on a target, whose folder is its `/srv`.
    pub fn on_target(srv: PathBuf) -> StepNotes {
        StepNotes { folder: srv, seen_as: "/srv".into() }
    }

    /// Of a step on the deploy host.
    pub fn here(folder: &Path) -> StepNotes {
        StepNotes { folder: folder.to_owned(), seen_as: folder.to_owned() }
    }

    /// A command that notes a word, [leaves](StepNotes::leaves) a process behind if it is to, waits while it is
    /// [paused](StepNotes::pause), and fails if it is to [fail](StepNotes::fails).
    pub fn command(&self, word: &str) -> String {
        let folder = self.seen_as.display();
        format!(
            "test ! -e {folder}/leaves-{word} || {{ setsid sleep 600 >/dev/null 2>&1 & echo $! > {folder}/left; }}; \
             echo $$ > {folder}/pid; echo {word} >> {folder}/ran; while test -e {folder}/pause-{word}; do sleep 0.1; \
             done; test ! -e {folder}/bad"
        )
    }

    /// The words since this was last asked.
    pub fn ran(&self) -> String {
        let text = self.text();
        let _ = std::fs::remove_file(self.folder.join("ran"));
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.folder.join("ran")).unwrap_or_default()
    }

    pub fn pause(&self, word: &str) {
        self.put(&format!("pause-{word}"), true);
    }

    pub fn go_on(&self, word: &str) {
        self.put(&format!("pause-{word}"), false);
    }

    /// From now on the command of a word starts a process that outlives it, or no longer.
    pub fn leaves(&self, word: &str, leaves: bool) {
        self.put(&format!("leaves-{word}"), leaves);
    }

    /// The process that was left last.
    pub fn left(&self) -> u32 {
        std::fs::read_to_string(self.folder.join("left")).unwrap().trim().parse().unwrap()
    }

    /// From now on its commands fail, or no longer.
    pub fn fails(&self, fails: bool) {
        self.put("bad", fails);
    }

    fn put(&self, name: &str, there: bool) {
        let path = self.folder.join(name);
        let done = if there { std::fs::write(path, "") } else { std::fs::remove_file(path) };
        done.unwrap();
    }

    /// Waits until the command of a word is under way; its process.
    #[track_caller]
    pub fn under_way(&self, word: &str) -> u32 {
        wait_for(&format!("{word} to begin"), || self.text().split_whitespace().last() == Some(word));
        std::fs::read_to_string(self.folder.join("pid")).unwrap().trim().parse().unwrap()
    }
}
