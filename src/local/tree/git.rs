//! Running git, with nothing of the host's or a user's configuration, without hooks, and never asking anything.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::objects;
use crate::local::fault::{Fault, Tried};
use crate::local::os::deadline::Deadline;
use crate::local::os::files;
use crate::local::os::process;
use crate::local::os::process::{Exit, Feed, Stream};
use crate::local::os::sys;
use crate::subprocess;
use crate::timings;
use crate::timings::Part;
use crate::url;
use crate::url::Login;

/// More of what git prints is not kept, and its answer is of no use then. Paths of a million files are less.
const OUTPUT: usize = 256 << 20;

/// More of its complaints is not kept.
const ERRORS: usize = 1 << 20;

/// With fewer bytes free, a file that could not be written is put down to that.
const FULL: u64 = 64 << 10;

/// Settings of every call. The owner of the cache may be another user than the one who deploys today.
const SETTINGS: [&str; 11] = [
    "core.hooksPath=/dev/null",
    "safe.directory=*",
    "core.fsmonitor=false",
    "core.fsync=committed,reference",
    "gc.autoDetach=false",
    "maintenance.autoDetach=false",
    "protocol.ext.allow=never",
    "advice.detachedHead=false",
    // Files are as they were committed, whatever a user's own files say.
    "core.autocrlf=false",
    "core.eol=lf",
    "core.attributesFile=/dev/null",
];

/// Calls that reach a server: what `~/.netrc` and the like know of its logins counts. They write no tracked file.
const TO_SERVERS: [&str; 3] = ["fetch", "lfs", "fat"];

/// A credential helper, as gitcredentials(7) has them, that tells what the environment says.
const LOGIN: &str = r#"!f() { printf 'username=%s\npassword=%s\n' "$HOIST_GIT_USER" "$HOIST_GIT_PASSWORD"; }; f"#;

/// How git says that a configuration is none, without the file.
const NO_SECTION: &str = "key does not contain a section";

/// A path that nothing can be at.
const NOWHERE: &str = "/dev/null/hoist";

/// What git said of a call.
#[derive(Debug)]
pub struct GitOutput {
    pub exit: Exit,
    /// As git printed it: paths need not be text.
    pub output: Vec<u8>,
    pub errors: String,
}

impl GitOutput {
    /// What it printed, where that is text.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.output)
    }

    /// What it printed with `-z`, where that is paths.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.output
            .split(|byte| *byte == 0)
            .filter(|path| !path.is_empty())
            .map(|path| Path::new(OsStr::from_bytes(path)))
    }

    /// How it failed: `failed: ` and the line of its complaint that says most, or, where git says nothing, how it ended.
    pub fn how_it_failed(&self) -> String {
        let lines = || self.errors.lines().map(str::trim).filter(|line| !line.is_empty());
        // "Could not write new index file" and the like follow from an error that was named before.
        let first_error = lines().find_map(|line| line.strip_prefix("error: "));
        let fatal = lines().find_map(|line| line.strip_prefix("fatal: "));
        let text = first_error.or(fatal).or(lines().next_back()).unwrap_or_default();
        let text: String = text.chars().filter(|c| !c.is_control()).take(300).collect();
        if text.is_empty() { self.exit.reason(0) } else { format!("failed: {text}") }
    }

    /// Whether git complained of a repository or objects that are missing or damaged, rather than of the disk or the network.
    pub fn tells_of_broken_objects(&self) -> bool {
        let text = self.errors.to_lowercase();
        let disk = ["no space left", "permission denied", "read-only file system", "disk quota exceeded", "early eof"];
        let network = ["could not read from remote", "could not read username", "could not read password"];
        let broken = [
            "unresolved delta",
            "missing",
            "bad object",
            "corrupt",
            "unable to read",
            "inflate",
            "invalid object",
            "not a valid object",
            "not our ref",
            "bad revision",
            "could not parse",
            "unable to parse",
            "cannot read",
            "could not read",
            "failed to read",
            "does not match index",
            "did not send all necessary objects",
            "reference is not a tree",
            "unable to unpack",
            "file too short",
            "is too small",
            // Its HEAD or its configuration is damaged.
            "fatal: not a git repository",
            "requires a git repository",
            "bad config",
        ];
        !disk.iter().chain(&network).any(|word| text.contains(word)) && broken.iter().any(|word| text.contains(word))
    }
}

/// A repository, as `git --git-dir` takes it.
#[derive(Debug, Clone)]
pub struct Git {
    dir: PathBuf,
    tree: Option<PathBuf>,
    /// It is for git-lfs, and so is found from its working tree; with more objects, by an absolute path.
    for_lfs: Option<PathBuf>,
    deadline: Deadline,
    proxy: Option<String>,
    login: Option<Login>,
    is_synced: bool,
}

impl Git {
    /// A repository without its working tree; calls end at `deadline`.
    pub fn bare(dir: &Path, deadline: Deadline) -> Git {
        Git { dir: dir.to_owned(), tree: None, for_lfs: None, deadline, proxy: None, login: None, is_synced: true }
    }

    /// When calls end.
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// The repository of a working tree.
    pub fn tree(tree: &Path, deadline: Deadline) -> Git {
        Git { tree: Some(tree.to_owned()), ..Git::bare(&tree.join(".git"), deadline) }
    }

    /// A repository that is not inside its working tree.
    pub fn at(dir: &Path, tree: &Path, deadline: Deadline) -> Git {
        Git { tree: Some(tree.to_owned()), ..Git::bare(dir, deadline) }
    }

    /// The same for calls of `git lfs`. What names the repository in the environment would mislead it where it looks into
    /// another one, and it does not understand the relative path to `objects` that a tree has. Since it looks for the
    /// repository in the working tree, that has to be one that nobody else writes to.
    pub fn for_lfs(self, objects: PathBuf) -> Git {
        Git { for_lfs: Some(objects), ..self }
    }

    /// The same repository, for calls that reach a server by http or https through a proxy.
    pub fn through(&self, proxy: &str) -> Git {
        Git { proxy: Some(proxy.to_owned()), ..self.clone() }
    }

    /// The same repository for calls to the server at `url`, and the address to give them. A password in it goes another
    /// way, since others see a command's arguments.
    pub fn for_server(&self, url: &str) -> (Git, String) {
        match url::login(url) {
            Some(login) => (Git { login: Some(login), ..self.clone() }, url::without_password(url)),
            None => (self.clone(), url.to_owned()),
        }
    }

    /// The same, for calls whose writes the caller makes last, by one sync of the whole file system before anything
    /// counts on them.
    pub fn unsynced(&self) -> Git {
        Git { is_synced: false, ..self.clone() }
    }

    /// Whether what is written here is to be on the disk at once.
    pub fn is_synced(&self) -> bool {
        self.is_synced
    }

    /// The repository's git directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes an empty repository, as `git init` does: three files and two folders are not worth a process.
    pub fn init(&self, sha256: bool) -> Result<(), Fault> {
        let (version, format) = if sha256 { (1, "[extensions]\n\tobjectformat = sha256\n") } else { (0, "") };
        let config =
            format!("[core]\n\trepositoryformatversion = {version}\n\tfilemode = true\n\tbare = false\n{format}");
        for folder in ["objects/info", "objects/pack", "refs/heads", "refs/tags"] {
            files::make_dir(&self.dir.join(folder))?;
        }
        for (name, text) in [("config", config.as_str()), ("HEAD", "ref: refs/heads/hoist\n")] {
            let path = self.dir.join(name);
            std::fs::write(&path, text).tried("write", &path)?;
        }
        Ok(())
    }

    /// Runs git and takes whatever comes of it; only a time limit and a git that cannot be started are faults.
    pub fn call(&self, args: &[&str], feed: Feed) -> Result<GitOutput, Fault> {
        let mut command = process::command("git");
        command
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_ATTR_NOSYSTEM", "1")
            // History is what the commits say.
            .env("GIT_GRAFT_FILE", NOWHERE)
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "true")
            .env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
            // Large files come in a step of their own, which knows where from.
            .env("GIT_LFS_SKIP_SMUDGE", "1")
            .env("LC_ALL", "C")
            .env_remove("SSH_ASKPASS");
        if !args.iter().any(|word| TO_SERVERS.contains(word)) {
            // Git before 2.32 does not know GIT_CONFIG_GLOBAL.
            command.env("HOME", NOWHERE).env("XDG_CONFIG_HOME", NOWHERE);
        }
        if let Some(proxy) = &self.proxy {
            // It may hold a password: others see a command's arguments, but not its environment. What this host says of
            // proxies, exceptions included, does not count.
            for name in ["http_proxy", "https_proxy", "HTTPS_PROXY"] {
                command.env(name, proxy);
            }
            for name in ["no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"] {
                command.env_remove(name);
            }
        }
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        if !self.is_synced {
            command.args(["-c", "core.fsync=none"]);
        }
        if let Some(Login { server, user, password }) = &self.login {
            command.env("HOIST_GIT_USER", user).env("HOIST_GIT_PASSWORD", password);
            command.args(["-c", &format!("credential.{server}.helper={LOGIN}")]);
        }
        match (&self.tree, &self.for_lfs) {
            (Some(tree), Some(objects)) => {
                command.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", objects).current_dir(tree);
                command.env("GIT_CEILING_DIRECTORIES", tree.parent().unwrap_or(tree));
            }
            (Some(tree), None) => {
                command.args([format!("--git-dir={}", self.dir.display()), format!("--work-tree={}", tree.display())]);
                command.current_dir(tree);
            }
            (None, _) => {
                command.arg(format!("--git-dir={}", self.dir.display())).current_dir("/");
            }
        }
        command.args(args);
        sys::die_with_parent(&mut command);
        let _timed = timings::during(Part::Git);
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let mut sink = |stream: Stream, bytes: &[u8]| {
            let (kept, most) = if stream == Stream::Out { (&mut output, OUTPUT + 1) } else { (&mut errors, ERRORS) };
            kept.extend_from_slice(&bytes[..bytes.len().min(most - kept.len().min(most))]);
        };
        let exit = process::run(&mut command, feed, self.deadline.at(), &mut sink)
            .map_err(|error| Fault::failed(subprocess::cannot_run_git(&error)))?;
        if exit == Exit::TimedOut {
            return Err(Fault::TimedOut { seconds: self.deadline.seconds });
        }
        if output.len() > OUTPUT {
            let what = args.first().copied().unwrap_or_default();
            return Err(Fault::failed(format!(
                "git {what} in {} printed more than {OUTPUT} bytes",
                self.dir.display()
            )));
        }
        Ok(GitOutput { exit, output, errors: String::from_utf8_lossy(&errors).into_owned() })
    }

    /// Fails, naming the step, when git did.
    pub fn expect(&self, answer: &GitOutput, step: &str) -> Result<(), Fault> {
        if answer.exit.is_ok() {
            return Ok(());
        }
        let mut how = answer.how_it_failed();
        // Git does not always say why a file could not be written.
        let is_full = || sys::free_space(&self.dir).is_ok_and(|(bytes, inodes)| bytes < FULL || inodes == Some(0));
        if how.contains("unable to") && !how.contains("No space left") && is_full() {
            how.push_str(": No space left on device");
        }
        // Git names the file of its other complaints about a configuration, but not of this one.
        if how.contains(NO_SECTION) {
            how.push_str(&format!(" (in {})", self.dir.join("config").display()));
        }
        Err(Fault::failed(format!("git {step} in {} {how}", self.dir.display())))
    }

    /// As [`Git::expect`], but tells a repository with missing or damaged objects from other trouble.
    pub fn expect_whole(&self, answer: &GitOutput, step: &str) -> Result<(), Fault> {
        self.expect(answer, step).map_err(|fault| match fault {
            Fault::Failed { reason, .. } if answer.tells_of_broken_objects() => Fault::CacheBroken { reason },
            other => other,
        })
    }

    /// Those of `commits`, none of which is a tag, that are there, in the order given.
    pub fn commits_present(&self, commits: &[String]) -> Result<Vec<String>, Fault> {
        match objects::present(&self.dir, commits) {
            Some(present) => Ok(present),
            None => self.present(commits),
        }
    }

    /// Those of `commits` that are there, in the order given; a tag stands for its commit.
    pub fn present(&self, commits: &[String]) -> Result<Vec<String>, Fault> {
        if commits.is_empty() {
            return Ok(Vec::new());
        }
        let mut names = String::new();
        for commit in commits {
            names.push_str(commit);
            names.push_str("^{commit}\n");
        }
        let answer = self.call(&["cat-file", "--batch-check=%(objectname) %(objecttype)"], Feed::text(names))?;
        self.expect_whole(&answer, "cat-file")?;
        let text = answer.text();
        let found = text.lines().filter_map(|line| line.strip_suffix(" commit"));
        Ok(found.map(str::to_owned).collect())
    }

    /// The values of an attribute of each of these paths, in their order, as the files of the tree say; `unspecified`,
    /// `unset` and `set` where there is none.
    pub fn attribute(&self, name: &str, paths: &[&Path]) -> Result<Vec<String>, Fault> {
        let asked: Vec<u8> = paths.iter().flat_map(|path| [path.as_os_str().as_bytes(), b"\0"].concat()).collect();
        let answer = self.call(&["check-attr", "-z", "--stdin", name], Feed::text(asked))?;
        self.expect(&answer, "check-attr")?;
        // `path`, the attribute's name, its value.
        Ok(answer.text().split_terminator('\0').skip(2).step_by(3).map(str::to_owned).collect())
    }
}
