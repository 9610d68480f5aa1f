//! The commands: one file a verb.

pub mod comment;
pub mod images;
