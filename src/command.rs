//! The commands: one file a verb.

pub mod asset;
pub mod check;
pub mod clearml;
pub mod comment;
pub mod completions;
mod diff;
pub mod doctor;
pub mod images;
pub mod metrics;
pub mod params;
pub mod plots;
pub mod pr;
pub mod publish_args;
pub mod publisher;
pub mod repo;
pub mod report;
pub mod report_args;
pub mod runner;
pub mod tensorboard;
pub mod workflow;
