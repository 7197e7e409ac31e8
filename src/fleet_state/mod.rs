//! What the deploy host remembers of its targets between deployments: what each was last seen with, what it should run,
//! and which of them missed on that.
//!
//! One file, `state/fleet.json` in the control folder, replaced as a whole. It is worth little more than the journals it
//! comes from: a deployment goes on without it, and what is wrong in it is put right by the next look at the fleet.

mod known;

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::deploy::{Plan, Verdict};
use crate::files::no_links;
use crate::files::ownership::Denied;
use crate::files::shared;
use crate::targets::{Target, written};

pub use known::{Known, Links, Observation, Owed};

/// How long others are waited for who change the file: they are done in a moment.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(10);

/// The form of the file; a higher number is not read. The first knew no repositories.
const FORMAT: u32 = 2;

/// What every form of the file has.
#[derive(Deserialize)]
struct AnyFormat {
    format: u32,
}

/// The file is not what [`FleetState::update`] writes, which moves it out of the way.
#[derive(Debug)]
pub struct Damaged {
    path: PathBuf,
    error: serde_json::Error,
}

impl std::fmt::Display for Damaged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (path, error) = (self.path.display(), &self.error);
        write!(f, "{path} is damaged ({error})")
    }
}

impl std::error::Error for Damaged {}

/// Everything that is remembered of targets, as one repository sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetState {
    format: u32,
    /// By the target as its file writes it, in files of the first form: it counts for whichever repository has no entry
    /// of its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    hosts: BTreeMap<String, Known>,
    /// By `git_repo`, then by target: the environments of a configuration may deploy several repositories to one host.
    #[serde(default)]
    repositories: BTreeMap<String, BTreeMap<String, Known>>,
    /// The hosts that each group had at its last deployment: by `git_repo`, by environment (empty: none), by group.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    lists: BTreeMap<String, BTreeMap<String, BTreeMap<String, List>>>,
    /// The repository that is asked about.
    #[serde(skip)]
    repo: String,
    /// What the operator should know of the file that was there before: it was damaged.
    #[serde(skip)]
    pub warning: Option<String>,
}

/// The hosts of a group, with how they are reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct List(#[serde(with = "written")] Vec<Target>);

impl FleetState {
    /// Nothing is remembered.
    pub fn empty(repo: &str) -> FleetState {
        let (hosts, repositories, lists) = Default::default();
        FleetState { format: FORMAT, hosts, repositories, lists, repo: repo.to_owned(), warning: None }
    }

    /// What is remembered in `folder` of the targets of a repository; nothing when there is no file yet.
    ///
    /// # Errors
    /// A file that cannot be read, or is [`Damaged`].
    pub fn load(folder: &Path, repo: &str) -> Result<FleetState> {
        let path = path(folder);
        no_links::refuse_link(folder)?;
        let text = match no_links::read_own(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(FleetState::empty(repo));
            }
            Err(error) => {
                return Err(Denied::new(&path, error)).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let format = serde_json::from_slice::<AnyFormat>(&text).map_or(FORMAT, |any| any.format);
        if format > FORMAT {
            bail!("{} was written by a newer Hoist (format {format}, this one knows {FORMAT})", path.display());
        }
        let read: FleetState = serde_json::from_slice(&text).map_err(|error| Damaged { path, error })?;
        Ok(FleetState { format: FORMAT, repo: repo.to_owned(), ..read })
    }

    /// As [`FleetState::load`]; a damaged file is moved out of the way, and what can be seen of the targets is seen again.
    fn load_or_set_aside(folder: &Path, repo: &str) -> Result<FleetState> {
        let error = match FleetState::load(folder, repo) {
            Err(error) if error.is::<Damaged>() => error,
            loaded => return loaded,
        };
        let (from, to) = (path(folder), folder.join("fleet.json.damaged"));
        fs::rename(&from, &to).map_err(|error| Denied::new(&from, error)).context("it cannot be renamed")?;
        let warning = format!(
            "{error:#}; it was renamed to {}, and it is no longer known which targets missed a deployment",
            to.display()
        );
        Ok(FleetState { warning: Some(warning), ..FleetState::empty(repo) })
    }

    /// Changes what is remembered in `folder`, which is made where it is missing. Others who do so at the same time wait.
    /// The new file is on the disk when this returns.
    ///
    /// # Errors
    /// Those of [`FleetState::load`], and a folder that cannot be written. What was remembered is then as before.
    pub fn update(folder: &Path, repo: &str, change: impl FnOnce(&mut FleetState)) -> Result<FleetState> {
        crate::journal::make_folder(folder)?;
        let _lock = lock(folder)?;
        let mut memory = FleetState::load_or_set_aside(folder, repo)?;
        change(&mut memory);
        memory.save(folder)?;
        Ok(memory)
    }

    fn save(&self, folder: &Path) -> Result<()> {
        let path = path(folder);
        // Nobody else writes while the lock is held.
        let written = shared::replace(&path, &serde_json::to_vec_pretty(self)?);
        written.with_context(|| format!("cannot write {}", path.display()))
    }

    /// Whether no deployment has said yet what any target should run.
    pub fn is_empty(&self) -> bool {
        let own = self.repositories.get(&self.repo).into_iter().flatten();
        self.hosts.iter().chain(own).all(|(_, known)| known.wanted.is_none())
    }

    /// What is remembered of a target.
    pub fn of(&self, target: &Target) -> Option<&Known> {
        let target = target.to_string();
        let own = self.repositories.get(&self.repo).and_then(|hosts| hosts.get(&target));
        own.or_else(|| self.hosts.get(&target))
    }

    /// What is remembered of all targets, also those of other repositories.
    pub fn everything(&self) -> impl Iterator<Item = &Known> {
        self.hosts.values().chain(self.repositories.values().flat_map(BTreeMap::values))
    }

    /// What is remembered of a target, to be changed.
    pub fn entry(&mut self, target: &Target) -> &mut Known {
        let known = self.of(target).cloned().unwrap_or_default();
        self.repositories.entry(self.repo.clone()).or_default().entry(target.to_string()).or_insert(known)
    }

    /// The hosts that a group had at the last deployment that went through to all of them.
    pub fn list_of(&self, environment: Option<&str>, group: &str) -> Option<&[Target]> {
        Some(&self.lists.get(&self.repo)?.get(environment.unwrap_or_default())?.get(group)?.0)
    }

    /// Takes over which hosts the groups have that a run went to as a whole.
    pub fn note_lists(&mut self, environment: Option<&str>, plan: &Plan) {
        let environment = environment.unwrap_or_default();
        let whole = plan.groups.iter().filter(|group| group.targets.len() == group.whole());
        let gone: Vec<Target> =
            whole.flat_map(|group| self.note_list(environment, &group.name, &group.targets)).collect();
        self.forget_unlisted(&gone);
    }

    /// Takes over the hosts of one group. Returns those that it no longer has.
    fn note_list(&mut self, environment: &str, group: &str, hosts: &[Target]) -> Vec<Target> {
        let lists = self.lists.entry(self.repo.clone()).or_default().entry(environment.to_owned()).or_default();
        let before = lists.insert(group.to_owned(), List(hosts.to_vec()));
        let now: HashSet<&Target> = hosts.iter().collect();
        before.into_iter().flat_map(|list| list.0).filter(|host| !now.contains(host)).collect()
    }

    /// Forgets hosts that are on no list any more: they miss what is deployed from now on, and are new if they come back.
    fn forget_unlisted(&mut self, hosts: &[Target]) {
        let lists = self.lists.get(&self.repo).into_iter().flat_map(BTreeMap::values).flat_map(BTreeMap::values);
        let listed: HashSet<&Target> = lists.flat_map(|list| &list.0).collect();
        let unlisted = hosts.iter().filter(|host| !listed.contains(host));
        if let Some(own) = self.repositories.get_mut(&self.repo) {
            unlisted.for_each(|host| drop(own.remove(&host.to_string())));
        }
    }

    /// Takes over what a run saw of its targets, in the order of the plan, and what it came to: when it went through to
    /// finalize, its revision is what they should run, and those that it is not finalized on are owed it.
    pub fn after(&mut self, plan: &Plan, verdict: &Verdict, observations: Vec<Observation>) {
        let ends = plan.targets().zip(&verdict.rows).zip(observations);
        for (host, (((group, target), row), observation)) in ends.enumerate() {
            let known = self.entry(target);
            known.group = plan.group(group).name.clone();
            let again = known.wanted.as_ref() == Some(&plan.revision) || known.has(&plan.revision);
            // It goes back when nobody looks.
            known.see(if verdict.on_lease[host] { observation.doubted() } else { observation });
            // A check after finalize failed there: the links do not tell when that is mended either.
            let again = again || known.has(&plan.revision);
            let Some(finalized) = verdict.finalized.as_ref().and_then(|finalized| finalized[host]) else { continue };
            known.wanted = Some(plan.revision.clone());
            known.owed = (!finalized).then(|| Owed {
                revision: plan.revision.clone(),
                run: plan.run.clone(),
                reason: row.cause.clone().unwrap_or_else(|| row.state_text()),
                again,
            });
        }
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("fleet.json")
}

/// The lock of whoever changes the file. It is not on the file itself, which is replaced.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("fleet.lock");
    let wrong = || format!("cannot lock {}", path.display());
    no_links::refuse_link(&path)?;
    let is_new = !path.exists();
    let file = no_links::no_link().write(true).create(true).truncate(false).mode(shared::MODE).open(&path);
    let file = file.and_then(no_links::plain_file).map_err(|error| Denied::new(&path, error)).with_context(wrong)?;
    if is_new {
        shared::take_group(&path);
    }
    let began = Instant::now();
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) if began.elapsed() < PATIENCE => std::thread::sleep(LOOK),
            Err(Errno::WOULDBLOCK) => bail!("{}: it {}", wrong(), crate::locks::nameless(&path)),
            Err(errno) => return Err(errno).with_context(wrong),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::fleet_state::known::tests::{owed, revision};
    use crate::wire::Revision;

    #[test]
    fn a_host_that_left_its_list_is_forgotten_unless_another_list_has_it() {
        let mut memory = FleetState::empty("app");
        let target = |name: &str| name.parse::<Target>().unwrap();
        let list = |names: &[&str]| names.iter().map(|name| target(name)).collect::<Vec<Target>>();
        for name in ["web1", "web2", "web3", "web4"] {
            *memory.entry(&target(name)) = owed('a');
        }
        assert_eq!(memory.note_list("", "web", &list(&["web1", "web2", "web3"])), list(&[]));
        memory.note_list("", "canary", &list(&["web2"]));
        let gone = memory.note_list("", "web", &list(&["web1"]));
        assert_eq!(gone, list(&["web2", "web3"]));
        memory.forget_unlisted(&gone);
        let known = ["web1", "web2", "web3", "web4"].map(|name| memory.of(&target(name)).is_some());
        assert_eq!(known, [true, true, false, true], "the last was on no list that is known");
    }

    #[test]
    fn what_is_written_is_read_back_and_several_writers_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("state");
        assert_eq!(FleetState::load(&folder, "app").unwrap(), FleetState::empty("app"));
        std::thread::scope(|scope| {
            for n in 0..8 {
                let folder = &folder;
                scope.spawn(move || {
                    let target = format!("web{n}").parse().unwrap();
                    FleetState::update(folder, "app", |memory| *memory.entry(&target) = owed('b')).unwrap();
                });
            }
        });
        let memory = FleetState::load(&folder, "app").unwrap();
        assert_eq!(memory.repositories["app"].len(), 8);
        assert_eq!(memory.of(&"web3".parse().unwrap()), Some(&owed('b')));
        assert_eq!(fs::read_to_string(folder.join(".gitignore")).unwrap(), "*\n");
    }

    #[test]
    fn a_damaged_file_is_told_and_moved_out_of_the_way_by_the_next_who_writes() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "{", "[]", "{\"format\":1,\"hosts\":{\"a\":3}}"] {
            fs::write(path(folder.path()), text).unwrap();
            let error = format!("{:#}", FleetState::load(folder.path(), "app").unwrap_err());
            assert!(error.contains("fleet.json is damaged"), "{error}");
            FleetState::update(folder.path(), "app", |_| {}).unwrap();
            assert_eq!(fs::read_to_string(folder.path().join("fleet.json.damaged")).unwrap(), text);
            assert_eq!(FleetState::load(folder.path(), "app").unwrap(), FleetState::empty("app"));
        }
    }

    #[test]
    fn the_file_of_a_newer_build_is_told_so_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let text = "{\"format\":3,\"fleet\":{}}";
        fs::write(path(folder.path()), text).unwrap();
        let error = format!("{:#}", FleetState::update(folder.path(), "app", |_| {}).unwrap_err());
        assert!(error.contains("newer Hoist"), "{error}");
        assert_eq!(fs::read_to_string(path(folder.path())).unwrap(), text);
    }

    #[test]
    fn the_file_of_the_first_build_is_read() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(path(folder.path()), include_str!("../../tests/journals/fleet.json")).unwrap();
        for repo in ["app", "other"] {
            let memory = FleetState::load(folder.path(), repo).unwrap();
            assert!(memory.of(&"127.0.0.3".parse().unwrap()).unwrap().wanted.is_some(), "{repo}");
            assert!(!memory.is_empty());
        }
    }

    #[test]
    fn repositories_on_the_same_host_want_what_was_deployed_of_each() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(path(folder.path()), include_str!("../../tests/journals/fleet.json")).unwrap();
        let (old, new) = ("127.0.0.1".parse().unwrap(), "web1".parse().unwrap());
        FleetState::update(folder.path(), "app", |memory| {
            memory.entry(&old).wanted = Some(revision('a'));
            memory.entry(&new).wanted = Some(revision('a'));
        })
        .unwrap();
        let wanted = |repo: &str, target: &Target| {
            FleetState::load(folder.path(), repo).unwrap().of(target).and_then(|known| known.wanted.clone())
        };
        assert_eq!((wanted("app", &old), wanted("app", &new)), (Some(revision('a')), Some(revision('a'))));
        assert_eq!(wanted("other", &new), None);
        let before: Revision = "319a117586fcec48b2e3aa04f4818fa48d42c28f".parse().unwrap();
        assert_eq!(wanted("other", &old), Some(before), "an entry of the first form is there for all");
        FleetState::update(folder.path(), "other", |memory| *memory.entry(&new) = owed('b')).unwrap();
        assert_eq!((wanted("app", &new), wanted("other", &new)), (Some(revision('a')), Some(revision('b'))));
    }
}
