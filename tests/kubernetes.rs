//! `cml runner launch --cloud kubernetes`: Jobs of a scripted API server (`support/kubernetes.rs`), or of a real one
//! where that can be had (`support/api_server.rs`), and runners of the fake forges.

mod api_server;
mod credentials;
mod failures;
pub mod fixture;
mod gke;
mod judge;
mod launch;
mod options;
mod rights;
mod unpack;
