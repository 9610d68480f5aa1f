//! Stopped instances, which every launch deletes on clouds where they still cost something.

use super::{Cloud, Instance, InstanceState};
use crate::app::App;
use crate::error::Result;
use futures_util::future::join_all;
use std::time::Duration;

/// Deletes those of a repository's instances that are stopped. One that is younger than `boot` may have a launcher that waits for it, and is
/// about to show its console. What cannot be deleted now can be later.
pub async fn delete_stopped(app: &App, cloud: &dyn Cloud, found: Result<Vec<Instance>>, boot: Duration) {
    let found = match found {
        Ok(found) => found,
        Err(error) => return app.log.debug(&format!("cannot look for stopped instances ({error})")),
    };
    let latest = app.http.server_now().saturating_sub_unsigned(boot.as_secs());
    let is_over =
        |one: &Instance| one.state == InstanceState::Stopped && one.launched.is_none_or(|launched| launched <= latest);
    let stopped: Vec<Instance> = found.into_iter().filter(is_over).collect();
    let deleted = join_all(stopped.iter().map(|one| cloud.delete(&one.id))).await;
    for (one, deleted) in stopped.iter().zip(deleted) {
        match deleted {
            Ok(()) => app.log.info(&format!("deleted the stopped instance {}", one.id)),
            Err(error) => app.log.debug(&format!("cannot delete the stopped instance {} ({error})", one.id)),
        }
    }
}
