//! The plan of a run, made before anything is done.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fleet::{HostId, HostIds};
use crate::gates::{Gate, Scope};
use crate::invocation::Invocation;
use crate::once::OnceStep;
use crate::repo::TreeSize;
use crate::report::{GroupHead, Moment};
use crate::targets::{Group, Target};
use crate::wire::{Origin, Revision, RunId, Stage, StartedBy};

/// The kind of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Bring a revision to the targets; rolls back when too many fail.
    #[default]
    Deploy,
    /// Bring the targets back to an earlier revision that they have kept: nothing is fetched or rendered.
    Rollback,
    /// Restart services only: no link is touched, so there is nothing to roll back to.
    ServiceRestart,
    /// Show what configuration files would change; touches nothing, takes no lock, asks nothing.
    DryRun,
}

impl Kind {
    /// Whether another revision may be live afterwards, so that a run which fails has to be rolled back.
    pub fn changes_revision(self) -> bool {
        matches!(self, Kind::Deploy | Kind::Rollback)
    }
}

/// How many hosts are rolled back at a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// As in the deployment: subgroup by subgroup, with no more hosts out of service than allowed.
    #[default]
    Budget,
    /// All hosts of a group, for when serving the new revision is worse than serving nothing.
    AtOnce,
}

/// A stage with its settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagePlan {
    pub stage: Stage,
    /// Maximum number of hosts at once.
    pub batch: usize,
    /// Time limit for one host.
    pub timeout: Duration,
}

/// A gate as the story knows it: when to evaluate it, but not what to query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatePlan {
    pub name: String,
    #[serde(flatten)]
    pub scope: Scope<Moment>,
    /// Its result is reported, but has no effect.
    #[serde(default)]
    pub observe: bool,
}

impl From<&Gate> for GatePlan {
    fn from(gate: &Gate) -> GatePlan {
        let Gate { name, scope, observe, .. } = gate;
        GatePlan { name: name.clone(), scope: scope.clone(), observe: *observe }
    }
}

/// A group's index in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(usize);

impl GroupId {
    /// The index, for lists with one entry per group.
    pub const fn index(self) -> usize {
        self.0
    }
}

/// The plan of a whole run. It contains no secret, so it can be shown and stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub run: RunId,
    pub kind: Kind,
    #[serde(flatten)]
    pub by: StartedBy,
    pub repo: String,
    pub revision: Revision,
    /// How the revision was made; `None`: it is a commit of the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Box<Origin>>,
    pub message: String,
    /// In order; none is empty, and no target is in two groups.
    pub groups: Vec<Group>,
    /// The primary stages, in order.
    pub stages: Vec<StagePlan>,
    /// `None`: the run ends with its primary stages.
    pub finalize: Option<StagePlan>,
    pub rollback: StagePlan,
    /// The lease: how long a promoted host keeps its revision without hearing from the deployer; zero: for ever.
    #[serde(default)]
    pub confirm_timeout: Duration,
    /// The length of the turn of each host that rolls back by itself; zero: as long as a rollback may take.
    #[serde(default)]
    pub lease_slot: Duration,
    #[serde(default)]
    pub rollback_pace: Pace,
    /// Maximum number of hosts at once for probing, locking and closing.
    pub probe_batch: usize,
    /// The gates to evaluate.
    #[serde(default)]
    pub gates: Vec<GatePlan>,
    /// The run-once steps, in the order of the file. One that is tied to a stage names its group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<OnceStep>,
    /// Why gates, soak and windows are skipped; `None`: they are not.
    pub break_glass: Option<String>,
    /// Who signed the plan file that is deployed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed_by: Vec<String>,
    pub force: bool,
    /// The disk space of the revision's working tree on a target that lacks it.
    #[serde(flatten)]
    pub need: TreeSize,
    /// The size of the archive that a target downloads in addition; `None`: it downloads none, or nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive_bytes: Option<u64>,
    /// The flags that were given.
    #[serde(default)]
    pub invocation: Invocation,
}

impl Plan {
    /// The commit that the revision is, or was made from; `None`: nobody knows it.
    pub fn commit(&self) -> Option<&Revision> {
        self.origin.as_ref().map_or(Some(&self.revision), |origin| origin.source.as_ref())
    }

    /// The groups in order.
    pub fn group_ids(&self) -> impl DoubleEndedIterator<Item = GroupId> + use<> {
        (0..self.groups.len()).map(GroupId)
    }

    /// A group of this plan.
    pub fn group(&self, group: GroupId) -> &Group {
        &self.groups[group.0]
    }

    /// All hosts in order.
    pub fn hosts(&self) -> HostIds {
        HostId::first(self.size())
    }

    /// The hosts of a group.
    pub fn hosts_of(&self, group: GroupId) -> HostIds {
        let before = self.groups[..group.0].iter().map(|group| group.targets.len()).sum();
        HostId::first(before).next_after(self.groups[group.0].targets.len())
    }

    /// The subgroups of a group in order, each with its label and its hosts.
    pub fn subgroups_of(&self, group: GroupId) -> Vec<(String, HostIds)> {
        let hosts = self.hosts_of(group);
        let subgroups = self.groups[group.0].subgroups().into_iter();
        subgroups.map(|(label, range)| (label, hosts.part(range))).collect()
    }

    /// Every target with its group, in the order of host ids.
    pub fn targets(&self) -> impl Iterator<Item = (GroupId, &Target)> {
        self.group_ids().flat_map(|id| self.group(id).targets.iter().map(move |target| (id, target)))
    }

    /// The number of targets.
    pub fn size(&self) -> usize {
        self.groups.iter().map(|group| group.targets.len()).sum()
    }

    /// R14: whether the run soaks and evaluates its gates. A rollback does neither, nor does a run that does not touch
    /// services.
    pub fn is_watched(&self) -> bool {
        let watched = matches!(self.kind, Kind::Deploy | Kind::ServiceRestart);
        watched && self.break_glass.is_none() && self.restarts()
    }

    /// Whether the run restarts services on its way forward.
    pub fn restarts(&self) -> bool {
        self.stages.iter().any(|it| it.stage.restarts())
    }

    /// Whether any gate is evaluated at a moment, for a group or for all groups.
    pub fn has_gates(&self, moment: Moment, group: Option<GroupId>) -> bool {
        let group = group.map_or("", |group| &self.group(group).name);
        self.gates.iter().any(|gate| gate.scope.has(moment, group))
    }

    /// The moments at which a gate is evaluated in this run.
    pub fn moments_of(&self, gate: &GatePlan) -> Vec<Moment> {
        let groups = || self.groups.iter().filter(|group| gate.scope.has_group(&group.name));
        let is_due = |moment: &Moment| match moment {
            Moment::Before => true,
            Moment::Finalize => self.finalize.is_some(),
            Moment::Subgroup | Moment::Group => groups().next().is_some(),
            Moment::Soak => groups().any(|group| !group.soak_time.is_zero() || !group.group_soak_time.is_zero()),
        };
        gate.scope.at.iter().copied().filter(|moment| self.is_watched() && is_due(moment)).collect()
    }

    /// Whether targets are given the revision's code.
    pub fn brings_code(&self) -> bool {
        self.kind == Kind::Deploy && self.stages.iter().any(|it| it.stage == Stage::Fetch)
    }

    /// Whether the run makes its revision live.
    pub fn promotes(&self) -> bool {
        self.stages.iter().any(|it| it.stage == Stage::Promote)
    }

    /// What the run does with its revision on a host, in a word.
    pub fn deed(&self) -> &'static str {
        match () {
            () if self.kind == Kind::ServiceRestart => "restarted",
            () if self.promotes() || self.finalize.is_some() => "deployed",
            () if self.brings_code() => "fetched",
            () if self.stages.is_empty() => "probed",
            () => "configured",
        }
    }

    /// The groups for the head of a report.
    pub fn heads(&self) -> Vec<GroupHead> {
        self.groups.iter().map(GroupHead::from).collect()
    }
}
