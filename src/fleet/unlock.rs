//! Clears the locks of targets, outside of a deployment.

use std::sync::Arc;
use std::time::Duration;

use super::connection::Work;
use super::hosts::SshFleet;
use super::terms::Terms;
use super::{Flow, HostEvent, HostId, HostResult, Payload, Task};
use crate::wire::{Fault, RunId};

/// Time for processes to end before they are killed; there may be several.
const TIMEOUT: Duration = Duration::from_secs(120);

impl SshFleet {
    /// Ends the processes that hold the locks of these hosts, if they belong to the run named for each, and admits older
    /// runs again. Each host gets one result, as in [`super::Fleet::run`].
    pub fn unlock(&mut self, batch: usize, hosts: &[(HostId, Option<RunId>)], on: &mut dyn FnMut(Vec<HostEvent>)) {
        let tasks: Vec<Task> = hosts.iter().map(|(host, _)| Task::first(*host)).collect();
        let (shared, held) = (self.shared.clone(), hosts.to_vec());
        let job = move |task: &Task, tell: &dyn Fn(HostEvent)| {
            let held = held.iter().find(|(host, _)| *host == task.host).and_then(|(_, held)| held.clone());
            let result = shared.on_host(&Terms::beside(task.host, TIMEOUT), tell, |work| Some(work.unlock(held)));
            result.unwrap_or_else(HostResult::ok)
        };
        let (pool, shared) = (&mut self.pool, self.shared.clone());
        let mut on = |events| {
            on(events);
            Flow::Continue
        };
        shared.ssh.remarks().deliver(&mut on, |on| pool.run((batch, None), &tasks, Arc::new(job), on));
    }
}

impl Work<'_> {
    fn unlock(&mut self, held: Option<RunId>) -> HostResult {
        if let Err(fault) = self.ready() {
            return fault.into();
        }
        let (request, deadline) = (self.unlock_request(held), self.deadline());
        match self.exec(&request, Payload::default(), deadline, None) {
            Ok(answer) => answer.outcome.into(),
            Err(trouble) => Fault::from(trouble).into(),
        }
    }
}
