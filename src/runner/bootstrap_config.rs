//! The configuration that an instance in a cloud gets: plain data, with one runner's credential as its only secret.

use crate::env::Secret;
use crate::error::{Error, Result};
use crate::forge::runner::{Package, PackageContent, Registration};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// The version of the format. Only the same version is accepted, as the launcher pins the binary's digest.
const VERSION: u64 = 1;

/// The configuration of an instance's runner.
#[derive(Debug, Clone)]
pub struct BootstrapConfig {
    /// The runner's name.
    pub name: String,
    /// The name of the forge's driver.
    pub driver: String,
    /// The repository's address.
    pub repo: String,
    /// The runner's labels.
    pub labels: Vec<String>,
    /// Whether it ends after one job.
    pub single: bool,
    /// Time without a job after which it ends.
    pub idle: Option<Duration>,
    /// When the instance must be gone at the latest, in seconds since 1970.
    pub deadline: i64,
    /// The runner's registration.
    pub registration: Registration,
    /// The runner program; `None` where it comes as an image.
    pub package: Option<Package>,
    /// Image for jobs that name none.
    pub docker_image: Option<String>,
    /// Whether the user asked for that image, so that no job may run outside of a container.
    pub docker_required: bool,
    /// Volumes for containers of jobs.
    pub docker_volumes: Vec<String>,
    /// Whether the instance has GPUs.
    pub gpu: bool,
    /// The user's start-up script, which runs first.
    pub startup_script: Option<String>,
    /// The cloud's name.
    pub cloud: String,
    /// Whether jobs may use the instance's identity.
    pub identity: bool,
}

impl BootstrapConfig {
    /// Serializes the configuration as JSON on one line.
    pub fn to_json(&self) -> Secret {
        let secrets = |(name, value): (&String, &Secret)| (name.clone(), Value::from(value.expose()));
        let credential: serde_json::Map<_, _> = self.registration.credential.iter().map(secrets).collect();
        let package = self.package.as_ref().map(|package| {
            let program = match &package.content {
                PackageContent::TarGz => None,
                PackageContent::Program(name) => Some(name),
            };
            let mut json = json!({ "url": package.url, "sha256": package.sha256, "program": program });
            if let Some(token) = &package.token {
                json["token"] = json!(token.expose());
            }
            json
        });
        let registration = json!({ "driver": self.registration.driver, "id": self.registration.id,
            "name": self.registration.name, "credential": credential, "settings": self.registration.settings });
        let config = json!({ "v": VERSION, "name": self.name, "driver": self.driver, "repo": self.repo,
            "labels": self.labels, "single": self.single, "idle": self.idle.map(|idle| idle.as_secs()),
            "deadline": self.deadline, "registration": registration, "package": package,
            "docker_image": self.docker_image, "docker_required": self.docker_required, "docker_volumes": self.docker_volumes, "gpu": self.gpu,
            "startup_script": self.startup_script.as_ref().map(|script| BASE64_STANDARD.encode(script)), "cloud": self.cloud, "identity": self.identity });
        Secret::new(config.to_string())
    }

    /// Parses a configuration.
    ///
    /// # Errors
    /// It is invalid, or of another version. Its content is not shown: it holds a credential.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let wrong = |why: String| {
            Error::config(format!("invalid bootstrap configuration ({why})"))
                .hint("it must be written by cml runner launch --cloud of the same version")
        };
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|error| wrong(format!("not JSON at line {} column {}", error.line(), error.column())))?;
        match value.get("v").and_then(Value::as_u64) {
            Some(VERSION) => {}
            version => return Err(wrong(format!("version {version:?} instead of {VERSION}"))),
        }
        let mut raw =
            RawConfig::deserialize(value).map_err(|_| wrong("a field is missing or has another type".to_owned()))?;
        let script = raw
            .startup_script
            .take()
            .map(|text| BASE64_STANDARD.decode(text).ok().and_then(|b| String::from_utf8(b).ok()));
        if script == Some(None) {
            return Err(wrong("the start-up script is not base64".to_owned()));
        }
        Ok(raw.into_config(script.flatten()))
    }
}

/// The JSON format of [`BootstrapConfig::to_json`].
#[derive(Deserialize)]
struct RawConfig {
    name: String,
    driver: String,
    repo: String,
    labels: Vec<String>,
    single: bool,
    idle: Option<u64>,
    deadline: i64,
    registration: RawRegistration,
    package: Option<RawPackage>,
    docker_image: Option<String>,
    docker_required: bool,
    docker_volumes: Vec<String>,
    gpu: bool,
    startup_script: Option<String>,
    cloud: String,
    identity: bool,
}

#[derive(Deserialize)]
struct RawRegistration {
    driver: String,
    id: String,
    name: String,
    credential: BTreeMap<String, String>,
    settings: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct RawPackage {
    url: String,
    sha256: String,
    token: Option<String>,
    program: Option<String>,
}

impl RawConfig {
    fn into_config(self, startup_script: Option<String>) -> BootstrapConfig {
        let RawRegistration { driver, id, name, credential, settings } = self.registration;
        let credential = credential.into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
        let package = self.package.map(|RawPackage { url, sha256, token, program }| {
            let content = program.map_or(PackageContent::TarGz, PackageContent::Program);
            Package { url, sha256, token: token.map(Secret::new), content }
        });
        BootstrapConfig {
            name: self.name,
            driver: self.driver,
            repo: self.repo,
            labels: self.labels,
            single: self.single,
            idle: self.idle.map(Duration::from_secs),
            deadline: self.deadline,
            registration: Registration { driver, id, name, credential, settings },
            package,
            docker_image: self.docker_image,
            docker_required: self.docker_required,
            docker_volumes: self.docker_volumes,
            gpu: self.gpu,
            startup_script,
            cloud: self.cloud,
            identity: self.identity,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub fn config(name: &str, token: &str, script: Option<&str>) -> BootstrapConfig {
        BootstrapConfig {
            name: name.to_owned(),
            driver: "gitlab".to_owned(),
            repo: "https://gitlab.example/group/project".to_owned(),
            labels: vec!["cml".to_owned(), "gpu".to_owned()],
            single: true,
            idle: Some(Duration::from_secs(300)),
            deadline: 1_800_000_000,
            registration: Registration {
                driver: "gitlab".to_owned(),
                id: "7".to_owned(),
                name: name.to_owned(),
                credential: [("token".to_owned(), Secret::new(token))].into(),
                settings: [("url".to_owned(), "https://gitlab.example".to_owned())].into(),
            },
            package: Some(Package {
                url: "https://gitlab.example/runner".to_owned(),
                sha256: "a".repeat(64),
                token: Some(Secret::new("short-lived")),
                content: PackageContent::Program("gitlab-runner".to_owned()),
            }),
            docker_image: None,
            docker_required: false,
            docker_volumes: vec!["/data:/data".to_owned()],
            gpu: false,
            startup_script: script.map(str::to_owned),
            cloud: "aws".to_owned(),
            identity: false,
        }
    }

    proptest! {
        #[test]
        fn it_is_one_line_and_comes_back(name in ".*", token in ".*", script in proptest::option::of("(?s).*")) {
            let json = config(&name, &token, script.as_deref()).to_json();
            prop_assert!(!json.expose().contains(['\n', '\r', '\0']));
            let back = BootstrapConfig::parse(json.expose().as_bytes()).unwrap();
            let again = back.to_json();
            prop_assert_eq!(again.expose(), json.expose());
            prop_assert_eq!(&back.startup_script, &script);
            prop_assert_eq!(back.registration.credential["token"].expose(), token.trim());
            prop_assert_eq!(back.package, config("", "", None).package);
        }

        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(BootstrapConfig::parse(&bytes).is_err());
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_what_is_in_it() {
        let good = config("r", "glrt-secret", Some("true")).to_json();
        let cases = [
            ("{".to_owned(), "invalid bootstrap configuration (not JSON at line 1 column 1)"),
            (
                good.expose().replace("\"v\":1", "\"v\":2"),
                "invalid bootstrap configuration (version Some(2) instead of 1)",
            ),
            (
                good.expose().replace("\"single\":true", "\"single\":\"glrt-secret\""),
                "invalid bootstrap configuration (a field is missing or has another type)",
            ),
            (
                good.expose().replace("dHJ1ZQ==", "!"),
                "invalid bootstrap configuration (the start-up script is not base64)",
            ),
        ];
        for (text, message) in cases {
            let error = BootstrapConfig::parse(text.as_bytes()).unwrap_err();
            assert_eq!(
                (error.to_string().as_str(), error.exit_code()),
                (message, crate::error::Kind::Config.exit_code())
            );
        }
    }
}
