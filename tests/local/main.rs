//! The target's side, driven as a deployer drives it: the built binary, requests on its standard input, real git
//! repositories, real commands.

mod again;
mod cache;
mod checks;
mod config;
mod cost;
mod downloads;
mod drain;
mod durable;
mod few_processes;
#[path = "../common/git.rs"]
mod git;
mod guard;
mod harness;
#[path = "../common/http.rs"]
mod http;
mod kernel;
mod kill;
mod large_files;
mod lease;
mod locks;
mod moved_aside;
#[path = "../common/ports.rs"]
mod ports;
mod preflight;
#[path = "../common/request.rs"]
mod request;
mod rights;
mod running;
mod servers;
mod share;
mod shared;
mod shared_places;
mod stages;
mod started;
mod stdio;
mod strangers;
mod surroundings;
mod swapped;
mod tls;
mod trouble;
mod users;
mod way_back;
mod whole;
