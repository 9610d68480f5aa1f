//! `cml runner launch`, `list`, `stop` and `retry`: the built program, fake forges, real processes and signals, and
//! runner programs that are scripts.

pub mod fixture;
mod life;
mod options;
mod retry;
mod reuse;
