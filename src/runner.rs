//! Runners on this host: the runner program and its supervisor (`docs/adr/0005-runners.md`).
//!
//! [`package`] downloads the program, [`supervise`] runs it: processes, signals, time and the forge, joined by the state
//! machine of [`state`], which knows none of them. [`status`] writes the event lines that people and scripts read.

pub mod bootstrap_config;
mod cleanup;
mod hook_log;
pub mod package;
mod start;
pub mod state;
mod status;
mod supervise;
mod supervised;

pub use supervise::supervise;
pub use supervised::{Lease, Supervised};
