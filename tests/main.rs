//! The program's tests: the real binary as a CI runs it, against a stateful fake of the three forges
//! (`support/fake`), real files, real signals, and where they are named, a real S3 emulator, GitHub's and Bitbucket's own
//! descriptions of their APIs, and a real engine of workflows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, missing_docs)]

#[cfg(unix)]
mod acceptance;
#[cfg(unix)]
mod action;
mod assets;
mod buckets;
mod check;
#[cfg(unix)]
mod cloud;
mod comment;
mod completions;
#[cfg(unix)]
mod docs;
mod doctor;
mod engines;
mod errors;
mod external;
mod faults;
mod forge;
mod images;
#[cfg(unix)]
mod launch;
mod legacy;
mod limits;
mod local;
mod openapi;
#[cfg(unix)]
mod pipe;
#[cfg(unix)]
mod pr;
mod private;
mod proxy;
#[cfg(unix)]
mod release;
#[cfg(unix)]
mod repo;
mod rerun;
#[cfg(unix)]
mod runner;
mod runners_forge;
mod sections;
mod store;
mod support;
mod tensorboard;
mod terminal;
mod watch;
mod wrappers;
