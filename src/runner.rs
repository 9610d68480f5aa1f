//! Runners on this machine: the runner program, and what watches over it (`docs/adr/0005-runners.md`).
//!
//! [`package`] gets the program, [`supervise`] runs it: processes, signals, time and the forge, joined by the state
//! machine of [`machine`], which knows none of them. [`status`] is what people and scripts read meanwhile.

mod closing;
pub mod document;
mod journal;
pub mod machine;
pub mod package;
pub mod script;
mod start;
mod status;
pub mod supervise;

pub use supervise::{Supervised, supervise};
