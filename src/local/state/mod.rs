//! What the target keeps of deployments: the layout of its folders, links, records, locks, fence and lease.

pub mod aside;
pub mod claim;
pub mod config_files;
pub mod confirmed;
pub mod drained;
pub mod fence;
pub mod fitness;
pub mod going_live;
pub mod hoist_dir;
pub mod layout;
pub mod lease;
pub mod links;
pub mod lock;
pub mod moved_on;
pub mod observed;
pub mod record;
pub mod rights;
pub mod scap_config;
pub mod scap_process;
pub mod service_path;
