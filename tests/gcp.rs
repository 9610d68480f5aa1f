//! `cml runner launch --cloud gcp`: instances of a scripted Compute Engine, which judges every request strictly (`support/gce.rs`), and
//! runners of the fake forges.

mod credentials;
mod failures;
mod fixture;
mod launch;
mod life;
mod machine;
mod options;
#[cfg(target_os = "linux")]
mod rehearsal;
mod rights;
