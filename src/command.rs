//! The commands: one file a verb.

pub mod comment;
