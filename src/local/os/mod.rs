//! The operating system: processes, files, lines of output, time limits, system calls.

pub mod accounts;
pub mod boot;
pub mod deadline;
pub mod dir;
pub mod files;
pub mod lines;
pub mod mounts;
pub mod process;
pub mod sys;
pub mod way;
