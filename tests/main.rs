//! The program's tests: the real binary as a CI runs it, against a stateful fake of the three forges
//! (`fake-forge/`), real files, real signals, and where they are named, a real S3 emulator, GitHub's and Bitbucket's own
//! descriptions of their APIs, and a real engine of workflows. They are for Linux and macOS: scripts and signals.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, missing_docs)]

mod acceptance;
mod action;
mod answers;
mod assets;
#[cfg(feature = "azure")]
mod azure;
mod buckets;
mod campaign;
mod check;
mod clearml;
mod cloud;
mod comment;
mod completions;
mod contract;
mod docs;
mod doctor;
mod engines;
mod errors;
mod events;
mod external;
mod faults;
mod files;
#[cfg(feature = "gcp")]
mod gcp;
mod images;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod launch;
mod legacy;
mod limits;
mod local;
mod made_of;
mod metrics;
mod network;
mod openapi;
mod output;
mod ownership;
mod pipe;
mod plots;
mod pr;
mod private;
mod proxy;
mod quick_actions;
mod release;
mod repo;
mod reports;
mod rerun;
mod runner;
mod runners_forge;
mod secrets;
mod sections;
mod store;
mod support;
mod tensorboard;
mod terminal;
mod tls;
mod untrusted;
mod watch;
mod wrappers;
