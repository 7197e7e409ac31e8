//! The stages: what each of them does on the target, its checks and services, and what makes a revision live.

pub mod checks;
pub mod command;
pub mod config_deploy;
pub mod config_diff;
pub mod fetch;
pub mod finalize;
pub mod lease_watch;
pub mod once;
pub mod own_checks;
pub mod promote;
pub mod render;
pub mod rendered;
pub mod rollback;
pub mod service;
pub mod service_command;
pub mod stage;
pub mod tidy;
pub mod undrain;
pub mod vars;

use std::io::Read;

use super::fault::Fault;
use super::job::Job;
use crate::wire::Stage;
use stage::By;

/// Does the work of one stage; `input` holds what follows the request.
fn carry_out(job: &Job, stage: Stage, input: Box<dyn Read + Send>, by: &By) -> Result<(), Fault> {
    // Nobody else has a deployer to ask.
    let job_of = |input| if matches!(by, By::Deployer) { job.with_deployer(input) } else { Ok(job.clone()) };
    match stage {
        Stage::Fetch => fetch::run(job, input),
        Stage::ConfigDeploy => config_deploy::run(job),
        Stage::Promote => promote::run(&job_of(input)?),
        Stage::RestartService => service::run(&job_of(input)?),
        Stage::Finalize => finalize::run(job),
        Stage::Rollback => rollback::run(&job_of(input)?),
        Stage::Undrain => undrain::run(&job_of(input)?),
        Stage::ConfigDiff => config_diff::run(job),
        Stage::Command => command::run(&job_of(input)?),
        Stage::Once => once::run(job),
    }
}
