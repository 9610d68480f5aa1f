//! `cml runner launch --cloud`: machines of an emulated EC2 (`support/ec2.rs`) and runners of the fake forges.

mod failures;
mod identity;
mod launch;
mod options;
mod policy;
mod reap;
mod scene;
