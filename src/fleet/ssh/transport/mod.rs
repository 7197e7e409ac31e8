//! Bytes and commands over one connection: sockets, sessions, channels, name look-ups.

pub mod algorithms;
pub mod channel;
pub mod disagreement;
pub mod ends;
pub mod error_code;
pub mod exec;
pub mod input;
pub(crate) mod kexinit;
pub mod lines;
pub mod link;
pub mod login_limit;
pub mod memory;
pub mod names;
pub mod open_files;
pub mod server_text;
pub mod socket;
pub mod tcp;
pub mod transfer_limit;
