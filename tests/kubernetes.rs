//! `cml runner launch --cloud kubernetes`: Jobs of a scripted API server (`support/kubernetes.rs`) and runners of the fake forges.

mod credentials;
mod failures;
pub mod fixture;
mod judge;
mod launch;
mod options;
mod rights;
mod unpack;
