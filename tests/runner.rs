//! The supervisor of a runner, with real processes and signals: programs that print the real lines and misbehave in all
//! the ways that were seen.

mod fixture;
mod life;
mod package;
mod secrets;
mod signals;
mod survivors;
