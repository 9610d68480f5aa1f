//! The commands: one file a verb.

pub mod check;
pub mod comment;
pub mod images;
