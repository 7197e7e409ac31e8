//! Probes targets without deploying anything: the requests, and the calls on the fleet.

use std::collections::HashMap;

use crate::config::Config;
use crate::fleet::remarks::Remark;
use crate::fleet::{Call, Fleet, Flow, HostEvent, HostId, HostResult, RequestSource, Step, Task};
use crate::targets::Target;
use crate::wire::{Header, Holder, Revision, Service};

use super::basis::header;
use super::calls::CONTACT_TIMEOUT;

/// The requests of a command that only probes targets.
pub struct Look {
    header: Header,
    verify: bool,
    services: Option<Service>,
    confirms: HashMap<Target, Revision>,
}

impl Look {
    /// With `verify` the probe also verifies the live trees.
    pub fn new(config: &Config, holder: Holder, verify: bool) -> Look {
        Look { header: header(config, holder), verify, services: None, confirms: HashMap::new() }
    }

    /// The same, and the probe also reads what the configured services run.
    pub fn at_services(self, config: &Config) -> Look {
        let services = Some(config.settings.service()).filter(|service| !service.names.is_empty());
        Look { services, ..self }
    }

    /// The same, and targets that are found in sync with these are confirmed.
    pub fn confirming(self, confirms: HashMap<Target, Revision>) -> Look {
        Look { confirms, ..self }
    }
}

impl RequestSource for Look {
    fn header(&self) -> &Header {
        &self.header
    }

    fn verify(&self) -> bool {
        self.verify
    }

    fn services(&self) -> Option<Service> {
        self.services.clone()
    }

    fn confirms(&self, target: &Target) -> Option<Revision> {
        self.confirms.get(target).cloned()
    }
}

/// Probes all `count` targets, `batch` at once. Returns their results by host id. Remarks of the fleet are added to
/// `remarks`.
pub fn look(fleet: &mut dyn Fleet, batch: usize, count: usize, remarks: &mut Vec<Remark>) -> Vec<Option<HostResult>> {
    let mut results: Vec<Option<HostResult>> = vec![None; count];
    fleet.run(&Call::contact(Step::Probe, batch, CONTACT_TIMEOUT), &tasks(count), &mut |events| {
        for event in events {
            match event {
                HostEvent::Ended(host, result) => results[host.index()] = Some(*result),
                HostEvent::Remark(remark) => remarks.push(remark),
                _ => {}
            }
        }
        Flow::Continue
    });
    results
}

/// Closes the sessions of all `count` targets.
pub fn close(fleet: &mut dyn Fleet, batch: usize, count: usize, remarks: &mut Vec<Remark>) {
    fleet.run(&Call::contact(Step::Release, batch, CONTACT_TIMEOUT), &tasks(count), &mut |events| {
        for event in events {
            if let HostEvent::Remark(remark) = event {
                remarks.push(remark);
            }
        }
        Flow::Continue
    });
}

fn tasks(count: usize) -> Vec<Task> {
    HostId::first(count).map(Task::first).collect()
}
