//! Questions to the git repository that is deployed from, asked of the `git` program.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail};

use super::subject::cut_subject;
use crate::subprocess;
use crate::wire::Revision;

/// Variables by which a calling process (a git hook, say) would lead git to another repository than the one named.
pub const MISLEADING: [&str; 11] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_GRAFT_FILE",
    "GIT_REPLACE_REF_BASE",
];

/// A pipe takes as many bytes though nobody reads it yet (PIPE_BUF; see pipe(7)).
const AT_ONCE: usize = 4096;

/// A git repository with a working tree on the deploy host.
#[derive(Debug, Clone)]
pub struct Repo {
    top: PathBuf,
    git_dir: PathBuf,
    /// The same, but for a linked working tree, which has one of its own.
    own_git_dir: PathBuf,
    /// Folders of objects that are looked into beside the repository's own, as far as they are there.
    alternates: Vec<PathBuf>,
    /// It has no working tree, and no other repository is meant where this one is missing.
    is_bare: bool,
    /// The folder of the journals, where artifacts are kept.
    state: Option<PathBuf>,
    /// Commits that were found, so that git is not asked for them again.
    found: Arc<Mutex<HashSet<Revision>>>,
}

impl Repo {
    /// The repository whose working tree holds the folder `top`. Fails where there is none, where git does not trust its
    /// owner, and where it has no working tree.
    pub fn open(top: &Path) -> anyhow::Result<Repo> {
        let mut here = Repo { is_bare: false, ..Repo::bare(top) };
        const FOLDERS: [&str; 3] = ["--show-toplevel", "--git-common-dir", "--git-dir"];
        let asked = [&["rev-parse", "--path-format=absolute"], &FOLDERS[..]].concat();
        let answer = here.run(&asked)?;
        let lines: Vec<&[u8]> = answer.strip_suffix(b"\n").unwrap_or(&answer).split(|byte| *byte == b'\n').collect();
        let folders = match <[&[u8]; 3]>::try_from(lines) {
            Ok(lines) => lines.map(|line| PathBuf::from(OsStr::from_bytes(line))),
            // A path has a newline in it, so each is asked for alone.
            Err(_) => {
                let [top, git_dir, own] = FOLDERS.map(|folder| here.path_from(folder));
                [top?, git_dir?, own?]
            }
        };
        [here.top, here.git_dir, here.own_git_dir] = folders;
        Ok(here)
    }

    /// A repository without a working tree, whoever it belongs to.
    pub(super) fn bare(git_dir: &Path) -> Repo {
        let path = || git_dir.to_owned();
        let (top, git_dir, own_git_dir) = (path(), path(), path());
        Repo { top, git_dir, own_git_dir, alternates: Vec::new(), is_bare: true, state: None, found: Arc::default() }
    }

    /// The same repository with the folder of its journals.
    pub(super) fn with_state(self, state: &Path) -> Repo {
        Repo { state: Some(state.to_owned()), ..self }
    }

    /// The folder of the journals.
    pub(super) fn state(&self) -> Option<&Path> {
        self.state.as_deref()
    }

    /// The hash that names its objects: `sha1` or `sha256`.
    pub(super) fn object_format(&self) -> anyhow::Result<String> {
        Ok(self.text(&["rev-parse", "--show-object-format"])?.trim().to_owned())
    }

    /// The same repository with the objects of others, in these git directories, beside its own.
    pub(super) fn with_objects_of<'a>(&self, git_dirs: impl IntoIterator<Item = &'a Path>) -> Repo {
        let others: Vec<PathBuf> = git_dirs.into_iter().map(|dir| dir.join("objects")).collect();
        if others.is_empty() {
            return self.clone();
        }
        // What others have, this one alone may lack.
        let (alternates, found) = ([&self.alternates[..], &others].concat(), Arc::default());
        Repo { alternates, found, ..self.clone() }
    }

    /// The folders with all its objects.
    pub(super) fn object_folders(&self) -> Vec<PathBuf> {
        [self.git_dir.join("objects")].into_iter().chain(self.alternates.iter().cloned()).collect()
    }

    /// The folders that may hold what belongs to this working tree.
    pub(super) fn git_dirs(&self) -> Vec<PathBuf> {
        let mut dirs = vec![self.own_git_dir.clone(), self.git_dir.clone()];
        dirs.dedup();
        dirs
    }

    /// The top of the working tree.
    pub fn top(&self) -> &Path {
        &self.top
    }

    /// The folder with the objects and refs; shared by all working trees of the repository.
    pub fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// The commit that a revision in any of git's spellings names. A tag is followed to its commit.
    pub fn resolve(&self, rev: &str) -> anyhow::Result<Revision> {
        let name = |rev: &str| {
            let command =
                self.command(&["-c", "core.warnAmbiguousRefs=true", "rev-parse", "--verify", "--end-of-options", rev]);
            self.text_without_doubt(command)
        };
        let commit = match rev.strip_prefix(":/") {
            // All that follows `:/` is looked for in messages, so the commit is asked of what was found.
            Some(_) => name(rev).and_then(|found| name(&format!("{}^{{commit}}", found.trim()))),
            None => name(&format!("{rev}^{{commit}}")),
        };
        let commit = commit.and_then(|text| text.trim().parse::<Revision>().map_err(anyhow::Error::msg));
        if let Ok(commit) = &commit {
            self.found().insert(commit.clone());
        }
        commit.with_context(|| {
            let top = self.top.display();
            if matches!(rev, "HEAD" | "@") && self.is_unborn() {
                return format!("no commit in {top} yet: commit the files to deploy");
            }
            format!("cannot find a commit {rev:?} in {top}: name an existing branch, tag or commit")
        })
    }

    /// Branches and tags by the names that people use, at most so many, the newest first.
    pub fn names(&self, most: usize) -> anyhow::Result<Vec<String>> {
        let count = format!("--count={most}");
        let format = "--format=%(refname:lstrip=2)";
        let listing = self.text(&["for-each-ref", &count, "--sort=-creatordate", format, "refs/heads", "refs/tags"])?;
        Ok(listing.lines().map(str::to_owned).collect())
    }

    /// Whether the branch that is checked out has no commit.
    fn is_unborn(&self) -> bool {
        self.run(&["symbolic-ref", "--quiet", "HEAD"]).is_ok() && self.run(&["rev-parse", "--verify", "HEAD"]).is_err()
    }

    /// What a command prints, unless git had more than one way to understand it: a tag and a branch of one name are two
    /// deployments.
    fn text_without_doubt(&self, mut command: Command) -> anyhow::Result<String> {
        let output = command.output().map_err(cannot_start)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let text = self.judge(&command, output)?;
        match said.lines().find(|line| line.contains("is ambiguous")) {
            Some(line) => bail!(
                "{}: write refs/tags/… or refs/heads/…",
                line.trim_start_matches("warning: ").trim_end_matches('.')
            ),
            None => Ok(String::from_utf8_lossy(&text).into_owned()),
        }
    }

    /// The files that git tracks and that differ from the last commit, so that the working tree is not what is deployed.
    /// Submodules are among them when another commit is checked out there.
    pub fn changed_files(&self) -> anyhow::Result<Vec<String>> {
        let arguments =
            ["status", "--porcelain", "-z", "--no-renames", "--untracked-files=no", "--ignore-submodules=dirty"];
        let listing = self.text(&arguments)?;
        // `XY path`
        Ok(listing.split('\0').filter_map(|entry| entry.get(3..)).map(str::to_owned).collect())
    }

    /// The address of the remote that git calls `origin`, without a password.
    pub fn upstream(&self) -> Option<String> {
        let url = self.text(&["config", "--get", "remote.origin.url"]).ok()?;
        Some(crate::url::without_password(url.trim_end_matches('\n')))
    }

    /// The first line of a commit's message, cut where it is long, or how an artifact was made; `None` where neither is here.
    pub fn subject(&self, commit: &Revision) -> Option<String> {
        if let Some(origin) = self.origin(commit) {
            return Some(origin.to_string());
        }
        let text = self.text(&["log", "-1", "--no-show-signature", "--format=%s", commit.as_str(), "--"]).ok()?;
        Some(cut_subject(text.trim_end_matches('\n')))
    }

    /// The commits whose parents this repository lacks; empty for a complete one.
    pub fn shallow(&self) -> anyhow::Result<Vec<Revision>> {
        shallow(&self.git_dir)
    }

    /// The value of a key in the configuration of the repository in `git_dir`.
    pub(super) fn config_of(&self, git_dir: &Path, key: &str) -> Option<String> {
        let file = git_dir.join("config");
        let value = self.text(&["config", "--file", file.to_str()?, "--get", key]).ok()?;
        Some(value.trim_end_matches('\n').to_owned())
    }

    /// Those of these commits that this repository has.
    pub fn has(&self, revisions: &[Revision]) -> anyhow::Result<Vec<Revision>> {
        let known = |found: &HashSet<Revision>| revisions.iter().filter(|it| found.contains(*it)).cloned().collect();
        let asked: String = {
            let found = self.found();
            revisions.iter().filter(|it| !found.contains(*it)).map(|revision| format!("{revision}\n")).collect()
        };
        if asked.is_empty() {
            return Ok(known(&self.found()));
        }
        let mut command = self.command(&["cat-file", "--batch-check=%(objectname) %(objecttype)"]);
        // A partial clone would ask its server for each commit that it does not know.
        command.env("GIT_NO_LAZY_FETCH", "1");
        let answer = self.feed(command, asked.as_bytes())?;
        let answer = String::from_utf8_lossy(&answer);
        let commits = answer.lines().filter_map(|line| line.strip_suffix(" commit")?.parse().ok());
        let mut found = self.found();
        found.extend(commits);
        Ok(known(&found))
    }

    fn found(&self) -> MutexGuard<'_, HashSet<Revision>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A revision, its first parent, the first parent of that and so on: `most` commits at the most.
    pub fn first_parents(&self, revision: &Revision, most: usize) -> anyhow::Result<Vec<Revision>> {
        let text = self.text(&["rev-list", "--first-parent", &format!("--max-count={most}"), revision.as_str()])?;
        text.lines().map(|line| line.parse().map_err(anyhow::Error::msg)).collect()
    }

    /// `git` in this repository, with no input, never asking anything, in English. Object replacements are off: a target
    /// gets what the object's name says.
    pub(super) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.top).args(arguments);
        for name in MISLEADING {
            command.env_remove(name);
        }
        command.envs([
            ("LC_ALL", "C"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            // History is what the commits say; nothing can be at this path.
            ("GIT_GRAFT_FILE", "/dev/null/hoist"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_PAGER", "cat"),
        ]);
        let there: Vec<&PathBuf> = self.alternates.iter().filter(|folder| folder.is_dir()).collect();
        if !there.is_empty() {
            command.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", search_path(&there));
        }
        if self.is_bare {
            command.env("GIT_DIR", &self.git_dir);
        }
        command.stdin(Stdio::null());
        command
    }

    /// Runs git to its end; its output, or an error with what it said.
    pub(super) fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> anyhow::Result<Vec<u8>> {
        self.finish(self.command(arguments))
    }

    /// Runs a command to its end.
    pub(super) fn finish(&self, mut command: Command) -> anyhow::Result<Vec<u8>> {
        let output = command.output().map_err(cannot_start)?;
        self.judge(&command, output)
    }

    /// [`Repo::run`], with the output as text.
    pub(super) fn text<S: AsRef<OsStr>>(&self, arguments: &[S]) -> anyhow::Result<String> {
        Ok(String::from_utf8_lossy(&self.run(arguments)?).into_owned())
    }

    /// Runs a command with `input` on its standard input.
    pub(super) fn feed(&self, mut command: Command, input: &[u8]) -> anyhow::Result<Vec<u8>> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.feed_as_is(command, input)
    }

    /// [`Repo::feed`] for a command whose standard output goes to a file.
    pub(super) fn feed_into(&self, mut command: Command, input: &[u8], file: std::fs::File) -> anyhow::Result<()> {
        command.stdin(Stdio::piped()).stdout(file).stderr(Stdio::piped());
        self.feed_as_is(command, input).map(drop)
    }

    fn feed_as_is(&self, mut command: Command, input: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut child = command.spawn().map_err(cannot_start)?;
        let stdin = child.stdin.take();
        let tell = move || {
            if let Some(mut stdin) = stdin {
                // When git has gone early, its status and its words say more than this error would.
                let _ = stdin.write_all(input);
            }
        };
        let output = std::thread::scope(|scope| {
            if input.len() <= AT_ONCE {
                tell();
            // From a thread of its own: git answers while it reads, and a full pipe on either side would stop both.
            } else if let Err(error) = std::thread::Builder::new().spawn_scoped(scope, tell) {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
            child.wait_with_output()
        });
        let output = output.context("cannot wait for git")?;
        self.judge(&command, output)
    }

    fn judge(&self, command: &Command, output: Output) -> anyhow::Result<Vec<u8>> {
        if output.status.success() {
            return Ok(output.stdout);
        }
        // The word after `-C TOP`, and after switches of git itself, says which command it was.
        let mut words = command.get_args().skip(2).map(OsStr::to_string_lossy);
        let mut name = words.next().unwrap_or_default();
        while name.starts_with('-') {
            // A setting is the switch's value, and no command.
            name = if name == "-c" { words.nth(1) } else { words.next() }.unwrap_or_default();
        }
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("dubious ownership") {
            let top = self.top.display();
            bail!(
                "{top} belongs to another user, and git does not trust it: run `git config --global --add \
                 safe.directory {top}`"
            );
        }
        let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        bail!("git {name} failed in {}: {} ({})", self.top.display(), said.join("; "), output.status)
    }

    fn path_from(&self, folder: &str) -> anyhow::Result<PathBuf> {
        use std::os::unix::ffi::OsStringExt;
        let mut bytes = self.run(&["rev-parse", "--path-format=absolute", folder])?;
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        Ok(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
    }
}

/// Paths as git reads a list of them: those that hold a colon would need quotes, so all have them.
fn search_path(paths: &[&PathBuf]) -> OsString {
    let mut list = OsString::new();
    for path in paths {
        let quoted = |byte: &u8| if b"\"\\".contains(byte) { vec![b'\\', *byte] } else { vec![*byte] };
        let path: Vec<u8> = path.as_os_str().as_bytes().iter().flat_map(quoted).collect();
        list.push(if list.is_empty() { "\"" } else { ":\"" });
        list.push(OsStr::from_bytes(&path));
        list.push("\"");
    }
    list
}

/// The commits whose parents the repository in `git_dir` lacks.
pub(super) fn shallow(git_dir: &Path) -> anyhow::Result<Vec<Revision>> {
    let path = git_dir.join("shallow");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let revisions = text.lines().map(|line| line.trim().parse().map_err(anyhow::Error::msg));
    revisions.collect::<anyhow::Result<_>>().with_context(|| format!("cannot parse {}", path.display()))
}

fn cannot_start(error: std::io::Error) -> anyhow::Error {
    anyhow::Error::msg(subprocess::cannot_run_git(&error))
}

#[cfg(test)]
#[path = "git_tests.rs"]
mod tests;
