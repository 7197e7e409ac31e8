//! What keeps deployments off a deploy host, as its configuration says.

use crate::config::Config;

use super::{Frontend, Refused};

/// Whether deployments may be started, gone on with or undone from here.
pub fn check(config: &Config, front: &dyn Frontend) -> Result<(), Refused> {
    if config.settings.block_deployments {
        return Err(Refused::new(format!(
            "deployments from this host are blocked by block_deployments ({}): deploy from the active deploy host, or \
             override it with -D block_deployments:no",
            config.place_of("block_deployments")
        )));
    }
    if config.settings.require_terminal_multiplexer && front.may_lose_terminal() {
        return Err(Refused::new(format!(
            "require_terminal_multiplexer is set ({}): run hoist {} in tmux or screen, which keep it running if this \
             terminal is lost",
            config.place_of("require_terminal_multiplexer"),
            front.command()
        )));
    }
    Ok(())
}
