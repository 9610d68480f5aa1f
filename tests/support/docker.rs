//! Images in a Docker daemon.

use super::node::skipped;
use std::process::Command;

/// The daemon.
pub struct Docker {
    host: String,
}

impl Docker {
    /// The one that there is.
    pub fn find() -> Option<Docker> {
        let Ok(host) = std::env::var("DOCKER_HOST") else {
            skipped("Docker daemon", "DOCKER_HOST");
            return None;
        };
        Some(Docker { host })
    }

    /// Its client.
    pub fn command(&self) -> Command {
        let mut command = Command::new("/usr/bin/docker");
        command.env("DOCKER_HOST", &self.host);
        command
    }

    /// The name of an image.
    pub fn image(&self, target: &str) -> String {
        format!("wt5t/{target}")
    }
}
