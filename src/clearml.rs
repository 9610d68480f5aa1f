//! ClearML's API: finds tasks, reads what they have reported, and runs them.
//!
//! [`config`] finds the server and the credentials, [`client`] logs in and calls endpoints, [`tasks`] and [`events`] are the calls.
//! [`launch`] creates tasks and stops them, [`queues`] has where they run.
//! [`task`] reads a task, [`select`] tells whether it is the wanted one, [`links`] leads to its pages. Why it is built so:
//! `docs/adr/0019-clearml.md`.

pub mod client;
pub mod config;
mod envelope;
pub mod events;
mod hocon;
mod hosts;
pub mod launch;
pub mod links;
mod models;
pub mod queues;
pub mod select;
pub mod statistic;
mod tags;
pub mod task;
mod tasks;
mod token;

pub use client::Client;
pub use config::Settings;
pub use tasks::Filter;
