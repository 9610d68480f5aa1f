//! ClearML's API: finds tasks and reads what they have reported.
//!
//! [`config`] finds the server and the credentials, [`client`] logs in and calls endpoints, [`tasks`] and [`events`] are the calls.
//! [`task`] reads a task, [`select`] tells whether it is the wanted one, [`links`] leads to its pages. Why it is built so:
//! `docs/adr/0019-clearml.md`.

pub mod client;
pub mod config;
mod envelope;
pub mod events;
mod hocon;
mod hosts;
pub mod links;
pub mod select;
pub mod statistic;
mod tags;
pub mod task;
mod tasks;
mod token;

pub use client::Client;
pub use config::Settings;
pub use tasks::Filter;
