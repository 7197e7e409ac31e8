//! Health gates: against small servers of the tests' own, against SciPy, and against a real Prometheus and a real
//! Alertmanager that watch a fleet of real hosts.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/schema.rs"]
mod schema;

mod alarms;
mod asking;
mod deployments;
mod monitoring;
mod secrets;
mod server;
mod statistics;
