//! The stages: one step on a target each.

use std::str::FromStr;

use crate::named::named;

named! {
    /// One step on a target: all of them in the order in which they run. The name is that of configurations, of the wire
    /// and of every message.
    pub enum Stage => role: Role {
        /// Bring the revision's objects and its working tree.
        Fetch = "fetch" => Role::Deployment { restarts: false },
        /// Render the configuration files into the revision.
        ConfigDeploy = "config_deploy" => Role::Deployment { restarts: false },
        /// Make the revision the live one, then restart the services.
        Promote = "promote" => Role::Deployment { restarts: true },
        /// Restart or reload the services; a part of promote, or alone with `--service-restart`.
        RestartService = "restart_service" => Role::Occasion { restarts: true },
        /// Name the live revision as done and remove old ones.
        Finalize = "finalize" => Role::Deployment { restarts: false },
        /// Go back to the revision that was done before.
        Rollback = "rollback" => Role::Occasion { restarts: true },
        /// Put a drained target back into service, if its services are healthy on what is live.
        Undrain = "undrain" => Role::Internal,
        /// Show what the configuration files would change; changes nothing.
        ConfigDiff = "config_diff" => Role::Occasion { restarts: false },
        /// Run a command of the operator's while the target is drained.
        Command = "command" => Role::Internal,
        /// Run a step that runs once in a run.
        Once = "once" => Role::Internal,
    }
}

/// When a stage runs, and whether it takes the services of a host down for a while, where there are any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A deployment runs it on every host.
    Deployment { restarts: bool },
    /// It runs on occasions of its own.
    Occasion { restarts: bool },
    /// A part of other stages, or the operator's own: checks and keys may not name it. It restarts nothing.
    Internal,
}

impl Stage {
    /// Whether checks and keys may name it.
    pub fn is_configured(self) -> bool {
        self.role() != Role::Internal
    }

    /// Whether it renders the configuration files.
    pub fn renders(self) -> bool {
        matches!(self, Stage::ConfigDeploy | Stage::ConfigDiff)
    }

    /// Whether it takes the services of a host down for a while, where there are any.
    pub fn restarts(self) -> bool {
        matches!(self.role(), Role::Deployment { restarts: true } | Role::Occasion { restarts: true })
    }

    /// Whether it may restart services on what was made live, before it is known to be healthy.
    pub fn restarts_what_is_live(self) -> bool {
        matches!(self, Stage::Promote | Stage::Rollback | Stage::Undrain)
    }

    /// The stages that a deployment runs, in order.
    pub fn of_deployment() -> Vec<Stage> {
        Stage::ALL.into_iter().filter(|stage| matches!(stage.role(), Role::Deployment { .. })).collect()
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
