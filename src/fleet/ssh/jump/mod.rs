//! Jump hosts and proxy commands.

pub mod bastion;
pub mod forward;
pub mod multiplexer;
pub mod proxy_command;
pub mod relay;
