//! `cml runner launch --cloud`: machines of an emulated EC2 (`support/ec2.rs`) and runners of the fake forges.

mod failures;
#[cfg(target_os = "linux")]
mod firewall;
pub mod fixture;
mod identity;
mod launch;
#[cfg(target_os = "linux")]
mod lease;
#[cfg(target_os = "linux")]
pub mod life;
#[cfg(target_os = "linux")]
mod machine;
mod options;
#[cfg(target_os = "linux")]
mod pod;
mod policy;
mod reap;
#[cfg(target_os = "linux")]
pub mod rehearsal;
#[cfg(target_os = "linux")]
pub mod vm;
