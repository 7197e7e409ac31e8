//! Completes every request to a target, from the part that is the same for all targets, the host, and the step.

use std::sync::PoisonError;

use super::connection::Work;
use super::pack::Payload;
use super::{Call, Task};
use crate::wire::{Ask, Fetch, Header, Probe, ProbedDeployment, Request, Run, RunId, Stage, StageRequest, Unlock};

impl Work<'_> {
    fn header(&self) -> Header {
        let timings = self.shared.ssh.options.timings;
        Header { timeout: self.timeout.as_secs().max(1), timings, ..self.shared.requests.header().clone() }
    }

    pub(super) fn probe_request(&self) -> Request {
        // After a reconnect there is nothing new to find out.
        let preflight = || self.session.first.is_none().then(|| self.shared.requests.preflight()).flatten();
        let deployment = self.shared.requests.deployment().filter(|it| it.command.is_none());
        let deployment = deployment.map(|it| ProbedDeployment {
            revision: it.revision.clone(),
            restore: self.restore.cloned(),
            cache_revs: it.cache_revs,
            kept: it.kept,
            extras: it.extras.clone(),
            large_files: self.shared.packs.large_files().to_vec(),
            preflight: preflight().map(Box::new),
        });
        Request::Probe(Probe {
            header: self.header(),
            deployment,
            verify: self.shared.requests.verify(),
            services: self.shared.requests.services().map(Box::new),
            confirm: self.shared.requests.confirms(self.target),
        })
    }

    pub(super) fn ask_request(&self, stage: Stage, attempt: u32) -> Request {
        Request::Ask(Ask { header: self.header(), stage, attempt })
    }

    pub(super) fn unlock_request(&self, held: Option<RunId>) -> Request {
        Request::Unlock(Unlock { header: self.header(), held })
    }

    /// The request of a stage, and for a fetch the objects and files that the host lacks.
    pub(super) fn stage_request(
        &self,
        stage: Stage,
        call: &Call,
        task: &Task,
        rebuild: bool,
    ) -> anyhow::Result<(Request, Payload)> {
        let Some(deployment) = self.shared.requests.deployment() else {
            anyhow::bail!("internal error: this command runs no stages");
        };
        let (mut fetch, mut payload) = (None, Payload::default());
        if stage == Stage::Fetch {
            let mut wanted = Fetch { rebuild, ..self.shared.requests.fetch() };
            payload = self.payload(deployment, &mut wanted, call.force)?;
            fetch = Some(wanted);
        }
        // An operator's command does not change the live revision.
        let live = self.restore.filter(|_| deployment.command.is_some());
        let once =
            (stage == Stage::Once).then(|| self.shared.once.lock().unwrap_or_else(PoisonError::into_inner).clone());
        let command = once.flatten().map(Box::new).or_else(|| deployment.command.clone());
        let request = StageRequest {
            command,
            header: self.header(),
            revision: live.unwrap_or(&deployment.revision).clone(),
            group: call.group.clone(),
            force: call.force,
            restore: self.restore.cloned(),
            found_nothing: self.restore.is_none(),
            drain: self.shared.requests.drain(&call.group).map(Box::new),
            host: self.target.host.clone(),
            fetch,
            lease_slot: task.lease_slot,
            ..deployment.clone()
        };
        let secrets = self.shared.requests.secrets().filter(|_| stage.renders()).cloned();
        Ok((Request::Run(Box::new(Run { stage, attempt: task.attempt, secrets, request })), payload))
    }

    /// What follows the request of a fetch, which announces it.
    fn payload(&self, deployment: &StageRequest, fetch: &mut Fetch, force: bool) -> anyhow::Result<Payload> {
        let mut payload = Payload::default();
        let facts = self.session.remote.as_ref().map(|remote| &remote.facts);
        let has_it = facts.is_some_and(|facts| facts.revisions.contains(&deployment.revision));
        let packs = &self.shared.packs;
        let is_sent = fetch.source.is_none() && fetch.artifact.is_none();
        if is_sent && (!has_it || force || fetch.rebuild) {
            let cached = facts.filter(|_| !fetch.rebuild).map_or(&[][..], |facts| &facts.cached);
            payload.pack = packs.pack(cached)?;
            fetch.pack_bytes = payload.pack.as_ref().map(|pack| pack.bytes);
        }
        for file in self.session.lacks.iter().filter_map(|place| packs.large_files().get(*place)) {
            let Some(path) = packs.stored(file) else { continue };
            payload.large_files.push((path.to_owned(), file.bytes()));
            fetch.large_files.push(file.clone());
        }
        Ok(payload)
    }
}
