//! A commit in a working tree of its own, which nothing links to the operator's.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, bail};

use super::Repo;
use super::large_files::located;
use super::parts::{Wanted, searched};
use super::submodules::{Submodule, submodules};
use crate::wire::Revision;

/// As on targets, whatever this host and its users have set.
pub(super) const SETTINGS: [&str; 3] = ["core.autocrlf=false", "core.eol=lf", "core.attributesFile=/dev/null"];
pub(super) const ENVIRONMENT: [(&str, &str); 3] =
    [("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_ATTR_NOSYSTEM", "1")];

impl Repo {
    /// Checks out a commit, with these parts of it, in a directory that is made for it. It is a repository of its own, with
    /// the history of the commit, but without branches, tags and remotes; objects are read where they are.
    ///
    /// # Errors
    /// A part of the commit is not here, or git fails: on a full disk, say.
    pub fn check_out(&self, commit: &Revision, wanted: Wanted, folder: &Path) -> anyhow::Result<()> {
        let inner = if wanted.submodules { submodules(self, commit)? } else { Vec::new() };
        let all = self.with_objects_of(inner.iter().map(|it| it.git_dir.as_path()));
        let large = if wanted.large_files { located(&searched(self, &all, commit, &inner), "")? } else { Vec::new() };
        self.check_out_one(self, commit, folder)?;
        for Submodule { path, commit, git_dir } in &inner {
            self.check_out_one(&Repo::bare(git_dir), commit, &folder.join(path))?;
        }
        for (path, stored) in large {
            let place = folder.join(path);
            fs::copy(&stored.path, &place).with_context(|| format!("cannot write {}", place.display()))?;
        }
        Ok(())
    }

    /// One repository's part of a checkout.
    fn check_out_one(&self, from: &Repo, commit: &Revision, folder: &Path) -> anyhow::Result<()> {
        let format = format!("--object-format={}", self.object_format()?);
        let init = ["init", "--quiet", "--template=", &format].map(OsStr::new);
        self.run(&[&init[..], &[folder.as_os_str()]].concat())?;
        let git_dir = folder.join(".git");
        let mut borrowed = Vec::new();
        for objects in from.object_folders().iter().filter(|folder| folder.is_dir()) {
            let path = objects.as_os_str().as_bytes();
            if path.contains(&b'\n') {
                bail!("{}: git cannot borrow objects from a path with a line break", objects.display());
            }
            borrowed.extend([path, b"\n"].concat());
        }
        fs::create_dir_all(git_dir.join("objects/info"))?;
        fs::write(git_dir.join("objects/info/alternates"), borrowed)?;
        let shallow: String = from.shallow()?.iter().map(|commit| format!("{commit}\n")).collect();
        if !shallow.is_empty() {
            fs::write(git_dir.join("shallow"), shallow)?;
        }
        let settings = SETTINGS.iter().chain(&["core.hooksPath=/dev/null"]).flat_map(|setting| ["-c", setting]);
        let words = ["checkout", "--quiet", "--force", "--detach", commit.as_str(), "--"];
        let here = Repo::open(folder)?;
        let mut command = here.command(&settings.chain(words).collect::<Vec<_>>());
        command.envs(ENVIRONMENT);
        here.finish(command).map(drop)
    }
}
