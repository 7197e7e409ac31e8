//! The fault matrix: whatever breaks, every host is accounted for, and its disk is as the summary says.
//!
//! Real processes on the loopback farm. `scene` has the fleet and the invariants that every case ends with.

mod artifacts;
#[path = "../common/mod.rs"]
mod common;
mod connections;
#[allow(dead_code, reason = "torture uses the rest")]
mod content;
mod deployer;
mod disks;
mod every_record;
mod full;
mod full_in_steps;
mod guard;
#[path = "../common/guard.rs"]
mod guarding;
mod journal;
mod leftovers;
mod processes;
mod proxy;
mod reach;
mod round_trips;
mod running;
#[allow(dead_code, reason = "torture uses the rest")]
mod scene;
mod shared;
mod small;
mod stages;
mod steps;
mod trace;
