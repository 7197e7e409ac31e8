//! The stages: one step on a target each.

use std::str::FromStr;

use crate::named::named;

named! {
    /// One step on a target: all of them in the order in which they run. The name is that of configurations, of the wire
    /// and of every message.
    pub enum Stage {
        /// Bring the revision's objects and its working tree.
        Fetch = "fetch",
        /// Render the configuration files into the revision.
        ConfigDeploy = "config_deploy",
        /// Make the revision the live one, then restart the services.
        Promote = "promote",
        /// Restart or reload the services; a part of promote, or alone with `--service-restart`.
        RestartService = "restart_service",
        /// Name the live revision as done and remove old ones.
        Finalize = "finalize",
        /// Go back to the revision that was done before.
        Rollback = "rollback",
        /// Put a drained target back into service, if its services are healthy on what is live.
        Undrain = "undrain",
        /// Show what the configuration files would change; changes nothing.
        ConfigDiff = "config_diff",
        /// Run a command of the operator's while the target is drained.
        Command = "command",
    }
}

impl Stage {
    /// Whether a deployment runs it on every host. The others run on occasions of their own.
    fn is_of_deployment(self) -> bool {
        match self {
            Stage::Fetch | Stage::ConfigDeploy | Stage::Promote | Stage::Finalize => true,
            Stage::RestartService | Stage::Rollback | Stage::Undrain | Stage::ConfigDiff | Stage::Command => false,
        }
    }

    /// Whether checks and keys may name it. An undrain is a part of other stages, and a command is the operator's own.
    pub fn is_configured(self) -> bool {
        !matches!(self, Stage::Undrain | Stage::Command)
    }

    /// Whether it takes the services of a host down for a while, where there are any.
    pub fn restarts(self) -> bool {
        matches!(self, Stage::Promote | Stage::RestartService | Stage::Rollback)
    }

    /// The stages that a deployment runs, in order.
    pub fn of_deployment() -> Vec<Stage> {
        Stage::ALL.into_iter().filter(|stage| stage.is_of_deployment()).collect()
    }
}

impl FromStr for Stage {
    type Err = String;

    /// Reads a stage's name; `handle_service` is an old name of `restart_service`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = if text == "handle_service" { "restart_service" } else { text };
        Stage::ALL.into_iter().find(|stage| stage.name() == wanted).ok_or_else(|| {
            let names: Vec<_> = Stage::ALL.iter().filter(|it| it.is_configured()).map(|it| it.name()).collect();
            format!("unknown stage {text:?}; the stages are {}", names.join(", "))
        })
    }
}
