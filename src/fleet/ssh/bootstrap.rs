//! Copies Hoist to a target if it is missing there, by the scripts of [`super::scripts`].

use std::sync::Arc;

use super::own_build::{OwnBuild, Unpackers};
use super::scripts::{run_command, script, start_script, upload_script};
use super::{Program, SshOptions};
use crate::fleet::Pack;

/// How targets get Hoist.
pub enum Bootstrap {
    /// It is installed there.
    Installed(String),
    /// This build is copied there if it is missing.
    Copied(OwnBuild),
}

/// What the first command reads where this build is missing.
pub struct Upload {
    /// Ends with a newline.
    pub script: Vec<u8>,
    /// Sent after that.
    pub content: Arc<Pack>,
}

impl Bootstrap {
    pub(super) fn prepare(options: &SshOptions) -> anyhow::Result<Bootstrap> {
        Ok(match &options.program {
            Program::Installed(path) => Bootstrap::Installed(path.clone()),
            Program::Copied(path) => Bootstrap::Copied(OwnBuild::open(path)?),
            Program::ForTargets => Bootstrap::Copied(OwnBuild::for_targets()?),
        })
    }

    /// The command that executes `deploy-local`, which reads a request. It may print a [`Marker`] first.
    ///
    /// # Errors
    /// A fragment for the operator: this build cannot be read.
    pub fn first_command(&self) -> Result<String, String> {
        match self {
            Bootstrap::Installed(path) => Ok(run_command(path)),
            Bootstrap::Copied(build) => Ok(script(&start_script(build.sha256()?))),
        }
    }

    /// The command line for later stages, if no marker gave another.
    pub fn installed(&self) -> Option<String> {
        match self {
            Bootstrap::Installed(path) => Some(run_command(path)),
            Bootstrap::Copied(_) => None,
        }
    }

    /// What copies this build to a target that has these programs, compressed for one of them if it can be. Several copies
    /// may race: each is renamed into place when it is complete.
    ///
    /// # Errors
    /// A fragment for the operator: this build cannot be read.
    pub fn upload(&self, unpackers: Unpackers) -> Result<Upload, String> {
        let build = match self {
            Bootstrap::Installed(path) => {
                return Err(format!("{path} is not there, and nothing is copied in its place"));
            }
            Bootstrap::Copied(build) => build,
        };
        let to_send = build.to_send(unpackers)?;
        let script = upload_script(build, &to_send)?;
        debug_assert!(!script.contains('\n'), "not one line: {script}");
        Ok(Upload { script: format!("{script}\n").into_bytes(), content: to_send.content })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_build_is_hashed_when_a_target_is_to_have_it_and_not_before() {
        let bootstrap = Bootstrap::prepare(&SshOptions::default()).unwrap();
        let Bootstrap::Copied(own) = &bootstrap else { panic!("there is no remote_binary") };
        assert!(!own.is_hashed());
        bootstrap.first_command().unwrap();
        assert_eq!(own.sha256().unwrap().len(), 64);
    }
}
