//! What the deploy host remembers of its targets between deployments: what each was last seen with, what it should run,
//! and which of them missed on that.
//!
//! One file, `state/fleet.json` in the control folder, replaced as a whole. It is worth little more than the journals it
//! comes from: a deployment goes on without it, and what is wrong in it is put right by the next look at the fleet.

use std::collections::BTreeMap;
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
use crate::targets::Target;
use crate::wire::{Revision, RunId, State};

/// How long others are waited for who change the file: they are done in a moment.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(10);

/// The form of the file; another number is not read.
const FORMAT: u32 = 1;

/// What every form of the file has.
#[derive(Deserialize)]
struct AnyFormat {
    format: u32,
}

/// The file is not what [`FleetState::update`] writes.
#[derive(Debug)]
struct Damaged {
    path: PathBuf,
    error: serde_json::Error,
}

impl std::fmt::Display for Damaged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (path, error) = (self.path.display(), &self.error);
        write!(f, "{path} is damaged ({error}): `hoist status` renames it and starts a new one")
    }
}

impl std::error::Error for Damaged {}

/// Everything that is remembered of a repository's targets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetState {
    format: u32,
    /// By the target as its file writes it.
    hosts: BTreeMap<String, Known>,
    /// What the operator should know of the file that was there before: it was damaged.
    #[serde(skip)]
    pub warning: Option<String>,
}

/// What is remembered of one target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    pub group: String,
    /// What its links said when it was last read; `None`: never read, or not known since a stage was lost there.
    pub state: Option<State>,
    /// When it last answered: RFC 3339, UTC.
    pub contact: Option<String>,
    /// What the last deployment to it that went through wants it to run.
    pub wanted: Option<Revision>,
    /// That deployment went through without this target.
    pub owed: Option<Owed>,
}

/// A revision that a target missed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    pub revision: Revision,
    /// The run that left it out.
    pub run: RunId,
    /// One fragment.
    pub reason: String,
}

/// What a run heard of a target's links.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Links {
    /// Nothing: what was known before still holds.
    #[default]
    Unheard,
    /// A stage may have changed them, and the target did not say how.
    Unknown,
    Read(State),
}

/// What a run saw of one target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observation {
    pub links: Links,
    /// When it last answered; `None`: it did not.
    pub contact: Option<String>,
}

impl Known {
    /// Takes over what was seen. A target that has, by its own word, what it was owed is owed nothing any more.
    pub fn see(&mut self, observation: Observation) {
        match observation.links {
            Links::Unheard => {}
            Links::Unknown => self.state = None,
            Links::Read(state) => self.state = Some(state),
        }
        self.contact = observation.contact.or_else(|| self.contact.take());
        if self.owed.as_ref().is_some_and(|owed| self.has(&owed.revision)) {
            self.owed = None;
        }
    }

    /// Whether a revision is live and finalized there, as last read, its configuration links included, and the host in
    /// service.
    pub fn has(&self, revision: &Revision) -> bool {
        self.state.as_ref().is_some_and(|state| is_on(state, revision))
    }
}

/// Whether a revision is live and finalized, its configuration links included, on a host that is in service.
fn is_on(state: &State, revision: &Revision) -> bool {
    let is_named = state.current.as_ref() == Some(revision) && state.done.as_ref() == Some(revision);
    is_named && state.stray_links.is_empty() && state.drained.is_none()
}

impl Default for FleetState {
    fn default() -> Self {
        FleetState { format: FORMAT, hosts: BTreeMap::new(), warning: None }
    }
}

impl FleetState {
    /// What is remembered in `folder`; nothing when there is no file yet.
    ///
    /// # Errors
    /// A file that cannot be read, or is not what [`FleetState::update`] writes.
    pub fn load(folder: &Path) -> Result<FleetState> {
        let path = path(folder);
        no_links::refuse_link(folder)?;
        let text = match no_links::read_own(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(FleetState::default());
            }
            Err(error) => {
                return Err(Denied::new(&path, error)).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let format = serde_json::from_slice::<AnyFormat>(&text).map_or(FORMAT, |any| any.format);
        if format > FORMAT {
            bail!("{} was written by a newer Hoist (format {format}, this one knows {FORMAT})", path.display());
        }
        serde_json::from_slice(&text).map_err(|error| Damaged { path, error }.into())
    }

    /// As [`FleetState::load`]; a damaged file is moved out of the way, and what can be seen of the targets is seen again.
    fn load_or_set_aside(folder: &Path) -> Result<FleetState> {
        let error = match FleetState::load(folder) {
            Err(error) if error.is::<Damaged>() => error,
            loaded => return loaded,
        };
        let (from, to) = (path(folder), folder.join("fleet.json.damaged"));
        fs::rename(&from, &to).map_err(|error| Denied::new(&from, error)).context("it cannot be renamed")?;
        let warning = format!(
            "{error:#}; it was renamed to {}, and it is no longer known which targets missed a deployment",
            to.display()
        );
        Ok(FleetState { warning: Some(warning), ..FleetState::default() })
    }

    /// Changes what is remembered in `folder`, which is made where it is missing. Others who do so at the same time wait.
    /// The new file is on the disk when this returns.
    ///
    /// # Errors
    /// Those of [`FleetState::load`], and a folder that cannot be written. What was remembered is then as before.
    pub fn update(folder: &Path, change: impl FnOnce(&mut FleetState)) -> Result<FleetState> {
        crate::journal::make_folder(folder)?;
        let _lock = lock(folder)?;
        let mut memory = FleetState::load_or_set_aside(folder)?;
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
        self.hosts.values().all(|known| known.wanted.is_none())
    }

    /// What is remembered of a target.
    pub fn of(&self, target: &Target) -> Option<&Known> {
        self.hosts.get(&target.to_string())
    }

    /// What is remembered of a target, to be changed.
    pub fn entry(&mut self, target: &Target) -> &mut Known {
        self.hosts.entry(target.to_string()).or_default()
    }

    /// Takes over what a run saw of its targets, in the order of the plan, and what it came to: when it went through to
    /// finalize, its revision is what they should run, and those that it is not finalized on are owed it.
    pub fn after(&mut self, plan: &Plan, verdict: &Verdict, observations: Vec<Observation>) {
        let ends = plan.targets().zip(&verdict.rows).zip(observations);
        for (host, (((group, target), row), observation)) in ends.enumerate() {
            let known = self.entry(target);
            known.group = plan.group(group).name.clone();
            known.see(observation);
            let Some(finalized) = verdict.finalized.as_ref().and_then(|finalized| finalized[host]) else { continue };
            known.wanted = Some(plan.revision.clone());
            known.owed = (!finalized).then(|| Owed {
                revision: plan.revision.clone(),
                run: plan.run.clone(),
                reason: row.reason.clone().unwrap_or_else(|| row.state_text()),
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

    fn revision(digit: char) -> Revision {
        digit.to_string().repeat(40).parse().unwrap()
    }

    fn on(digit: char) -> State {
        State { current: Some(revision(digit)), done: Some(revision(digit)), ..State::default() }
    }

    fn owed(digit: char) -> Known {
        let run = "20261123T144552.123Z-4711-7d3f".parse().unwrap();
        let owed = Owed { revision: revision(digit), run, reason: "unreachable".into() };
        Known { wanted: Some(revision(digit)), owed: Some(owed), state: Some(on('a')), ..Known::default() }
    }

    #[test]
    fn a_target_that_has_what_it_was_owed_is_owed_nothing() {
        let mut known = owed('b');
        known.see(Observation { links: Links::Read(on('a')), contact: Some("then".into()) });
        assert!(known.owed.is_some() && !known.has(&revision('b')));
        let half = State { done: Some(revision('a')), ..on('b') };
        known.see(Observation { links: Links::Read(half), contact: None });
        assert!(known.owed.is_some(), "it is live there and not finalized");
        known.see(Observation { links: Links::Read(on('b')), contact: None });
        assert_eq!((&known.owed, known.contact.as_deref()), (&None, Some("then")));
        assert!(known.has(&revision('b')));
    }

    #[test]
    fn what_is_written_is_read_back_and_several_writers_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("state");
        assert_eq!(FleetState::load(&folder).unwrap().hosts.len(), 0);
        std::thread::scope(|scope| {
            for n in 0..8 {
                let folder = &folder;
                scope.spawn(move || {
                    let target = format!("web{n}").parse().unwrap();
                    FleetState::update(folder, |memory| *memory.entry(&target) = owed('b')).unwrap();
                });
            }
        });
        let memory = FleetState::load(&folder).unwrap();
        assert_eq!(memory.hosts.len(), 8);
        assert_eq!(memory.of(&"web3".parse().unwrap()), Some(&owed('b')));
        assert_eq!(fs::read_to_string(folder.join(".gitignore")).unwrap(), "*\n");
    }

    #[test]
    fn a_damaged_file_is_told_and_moved_out_of_the_way_by_the_next_who_writes() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "{", "[]", "{\"format\":1,\"hosts\":{\"a\":3}}"] {
            fs::write(path(folder.path()), text).unwrap();
            let error = format!("{:#}", FleetState::load(folder.path()).unwrap_err());
            assert!(error.contains("fleet.json is damaged"), "{error}");
            FleetState::update(folder.path(), |_| {}).unwrap();
            assert_eq!(fs::read_to_string(folder.path().join("fleet.json.damaged")).unwrap(), text);
            assert_eq!(FleetState::load(folder.path()).unwrap(), FleetState::default());
        }
    }

    #[test]
    fn the_file_of_a_newer_build_is_told_so_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let text = "{\"format\":2,\"fleet\":{}}";
        fs::write(path(folder.path()), text).unwrap();
        let error = format!("{:#}", FleetState::update(folder.path(), |_| {}).unwrap_err());
        assert!(error.contains("newer Hoist"), "{error}");
        assert_eq!(fs::read_to_string(path(folder.path())).unwrap(), text);
    }

    #[test]
    fn the_file_of_the_first_build_is_read() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(path(folder.path()), include_str!("../tests/journals/fleet.json")).unwrap();
        assert_eq!(FleetState::load(folder.path()).unwrap().hosts.len(), 3);
    }
}
