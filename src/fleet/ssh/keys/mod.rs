//! Who logs in: keys, certificates, the agent, and the order in which they are tried.

pub mod agent;
pub mod auth;
pub mod candidate;
pub(crate) mod certificate;
pub mod identity;
mod key_file;
pub mod key_memory;
pub mod keyholder;
pub mod penalties;
mod private_key;
pub mod refusal;
pub mod wanted;
