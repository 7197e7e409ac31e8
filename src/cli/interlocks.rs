//! What keeps deployments off a deploy host, as its configuration says.

use std::io::{self, IsTerminal};

use crate::config::Config;

use super::Refused;

/// What tmux and screen leave in the environment of what runs in them.
const MULTIPLEXERS: [&str; 2] = ["TMUX", "STY"];

/// Whether deployments may be started, gone on with or undone from here.
pub fn check(command: &str, config: &Config) -> Result<(), Refused> {
    if config.settings.block_deployments {
        return Err(Refused::Usage(format!(
            "deployments from this host are blocked by block_deployments ({}): deploy from the active deploy host, or \
             override it with -D block_deployments:no",
            config.place_of("block_deployments")
        )));
    }
    let inside = MULTIPLEXERS.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    if config.settings.require_terminal_multiplexer && io::stdin().is_terminal() && !inside {
        return Err(Refused::Usage(format!(
            "this terminal may go away in mid-deployment, and require_terminal_multiplexer is set ({}): call hoist \
             {command} within tmux or screen",
            config.place_of("require_terminal_multiplexer")
        )));
    }
    Ok(())
}
