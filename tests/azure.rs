//! `cml runner launch --cloud azure`: machines of a scripted Azure (`support/azure.rs`), which judges each request, and runners of the
//! fake forges. The program asks for the vendor's own host names.

mod credentials;
mod failures;
pub mod fixture;
mod identity;
mod launch;
mod machine;
#[cfg(target_os = "linux")]
mod rehearsal;
mod rights;
