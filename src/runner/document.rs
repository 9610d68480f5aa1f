//! What a machine in a cloud is told: plain data, with one runner's credential as its only secret.

use crate::env::Secret;
use crate::forge::runner::{Package, PackageContent, Registration};
use serde_json::{Value, json};
use std::time::Duration;

/// What the machine is told.
#[derive(Debug, Clone)]
pub struct Document {
    /// The runner's name.
    pub name: String,
    /// The name of the forge's row.
    pub driver: String,
    /// The repository's address.
    pub repo: String,
    /// The runner's labels.
    pub labels: Vec<String>,
    /// Whether it ends after one job.
    pub single: bool,
    /// Time without a job after which it ends.
    pub idle: Option<Duration>,
    /// When it must be gone at the latest, in seconds since 1970.
    pub deadline: i64,
    /// The runner that the forge knows.
    pub registration: Registration,
    /// The runner program; `None` where it comes as an image.
    pub package: Option<Package>,
    /// Image for jobs that name none.
    pub docker_image: Option<String>,
    /// Volumes for containers of jobs.
    pub docker_volumes: Vec<String>,
    /// Whether the machine has GPUs.
    pub gpu: bool,
    /// The user's own script, which runs first.
    pub startup_script: Option<String>,
    /// The cloud's name.
    pub cloud: String,
}

impl Document {
    /// As JSON on one line.
    pub fn to_json(&self) -> Secret {
        let secrets = |(name, value): (&String, &Secret)| (name.clone(), Value::from(value.expose()));
        let credential: serde_json::Map<_, _> = self.registration.credential.iter().map(secrets).collect();
        let package = self.package.as_ref().map(|package| {
            let program = match &package.content {
                PackageContent::TarGz => None,
                PackageContent::Program(name) => Some(name),
            };
            json!({ "url": package.url, "sha256": package.sha256, "program": program })
        });
        let registration = json!({ "driver": self.registration.driver, "id": self.registration.id,
            "name": self.registration.name, "credential": credential, "settings": self.registration.settings });
        let document = json!({ "v": 1, "name": self.name, "driver": self.driver, "repo": self.repo,
            "labels": self.labels, "single": self.single, "idle": self.idle.map(|idle| idle.as_secs()),
            "deadline": self.deadline, "registration": registration, "package": package,
            "docker_image": self.docker_image, "docker_volumes": self.docker_volumes, "gpu": self.gpu,
            "startup_script": self.startup_script, "cloud": self.cloud });
        Secret::new(document.to_string())
    }
}
