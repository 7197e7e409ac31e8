//! A request for the tests that talk to targets.

use hoist::wire::{Header, Revision, Service, StageRequest};

/// A stage of a revision for a group, with nothing that is not needed: no service, no checks, no configuration files.
pub fn plain(header: Header, group: &str, revision: Revision) -> StageRequest {
    StageRequest {
        header,
        group: group.to_owned(),
        revision,
        restore: None,
        found_nothing: false,
        force: false,
        cache_revs: 5,
        lease_slot: 0,
        confirm_timeout: 0,
        environment: None,
        extras: Default::default(),
        fetch: None,
        checks: Vec::new(),
        perform_checks: true,
        nrpe_dir: "/etc/nagios/nrpe.d".into(),
        service: Service::default(),
        drain: None,
        command: None,
        host: String::new(),
        config_files: None,
        templates: Default::default(),
        vars: Default::default(),
        kept: false,
        link_files: false,
        scap: None,
    }
}
