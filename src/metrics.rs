//! What metrics and parameters are, and how they compare. Pure.
//!
//! A file ([`source`]: JSON, YAML, TOML, CSV, TSV) becomes one [`Value`], which keeps what Python would: numbers that are whole or
//! floating point, of any size, true and false, text. Its leaves, with the keys on the way to them, are a [`compare::Leaves`]; two of
//! those give the [`compare::Change`]s of a file, which [`table`] writes as Markdown and [`json`] as JSON. Numbers and texts are
//! written as Python writes them ([`python`]), since people compare them with what DVC and their training print.
//! [`gate`] judges a value by a rule and a baseline; [`history`] has the values of earlier commits.

pub mod compare;
mod csv;
pub mod evaluation;
pub mod gate;
pub mod history;
mod integer;
pub mod json;
pub mod mlflow;
pub mod python;
pub mod source;
pub mod statistics;
pub mod table;
mod toml;
mod value;
pub mod yaml;

pub use integer::Integer;
pub use value::Value;
