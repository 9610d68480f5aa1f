//! What a machine in a cloud is told: plain data, with one runner's credential as its only secret.

use crate::env::Secret;
use crate::error::{Error, Result};
use crate::forge::runner::{Package, PackageContent, Registration};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// The version of the form; a program takes its own alone, as the launcher pins the program's digest.
const VERSION: u64 = 1;

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
    /// Whether the user asked for that image, so that no job may run outside of a container.
    pub docker_required: bool,
    /// Volumes for containers of jobs.
    pub docker_volumes: Vec<String>,
    /// Whether the machine has GPUs.
    pub gpu: bool,
    /// The user's own script, which runs first.
    pub startup_script: Option<String>,
    /// The cloud's name.
    pub cloud: String,
    /// Whether jobs may act as the machine, which has an identity in its cloud then.
    pub identity: bool,
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
            let mut json = json!({ "url": package.url, "sha256": package.sha256, "program": program });
            if let Some(token) = &package.token {
                json["token"] = json!(token.expose());
            }
            json
        });
        let registration = json!({ "driver": self.registration.driver, "id": self.registration.id,
            "name": self.registration.name, "credential": credential, "settings": self.registration.settings });
        let document = json!({ "v": VERSION, "name": self.name, "driver": self.driver, "repo": self.repo,
            "labels": self.labels, "single": self.single, "idle": self.idle.map(|idle| idle.as_secs()),
            "deadline": self.deadline, "registration": registration, "package": package,
            "docker_image": self.docker_image, "docker_required": self.docker_required, "docker_volumes": self.docker_volumes, "gpu": self.gpu,
            "startup_script": self.startup_script.as_ref().map(|script| BASE64_STANDARD.encode(script)), "cloud": self.cloud, "identity": self.identity });
        Secret::new(document.to_string())
    }

    /// Reads one.
    ///
    /// # Errors
    /// It is none, or one of another version. What is in it is not shown: it holds a credential.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let wrong = |why: String| {
            Error::config(format!("the launch document is not one ({why})"))
                .hint("it is written by cml runner launch --cloud, for the cml of the same version")
        };
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|error| wrong(format!("no JSON at line {} column {}", error.line(), error.column())))?;
        match value.get("v").and_then(Value::as_u64) {
            Some(VERSION) => {}
            version => return Err(wrong(format!("version {version:?} instead of {VERSION}"))),
        }
        let mut raw = Raw::deserialize(value).map_err(|_| wrong("a field is missing or of another kind".to_owned()))?;
        let script = raw
            .startup_script
            .take()
            .map(|text| BASE64_STANDARD.decode(text).ok().and_then(|b| String::from_utf8(b).ok()));
        if script == Some(None) {
            return Err(wrong("the start-up script is not in base64".to_owned()));
        }
        Ok(raw.into_document(script.flatten()))
    }
}

/// The form of [`Document::to_json`].
#[derive(Deserialize)]
struct Raw {
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

impl Raw {
    fn into_document(self, startup_script: Option<String>) -> Document {
        let RawRegistration { driver, id, name, credential, settings } = self.registration;
        let credential = credential.into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
        let package = self.package.map(|RawPackage { url, sha256, token, program }| {
            let content = program.map_or(PackageContent::TarGz, PackageContent::Program);
            Package { url, sha256, token: token.map(Secret::new), content }
        });
        Document {
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

    pub fn document(name: &str, token: &str, script: Option<&str>) -> Document {
        Document {
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
            let json = document(&name, &token, script.as_deref()).to_json();
            prop_assert!(!json.expose().contains(['\n', '\r', '\0']));
            let back = Document::parse(json.expose().as_bytes()).unwrap();
            let again = back.to_json();
            prop_assert_eq!(again.expose(), json.expose());
            prop_assert_eq!(&back.startup_script, &script);
            prop_assert_eq!(back.registration.credential["token"].expose(), token.trim());
            prop_assert_eq!(back.package, document("", "", None).package);
        }

        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(Document::parse(&bytes).is_err());
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_what_is_in_it() {
        let good = document("r", "glrt-secret", Some("true")).to_json();
        let cases = [
            ("{".to_owned(), "the launch document is not one (no JSON at line 1 column 1)"),
            (
                good.expose().replace("\"v\":1", "\"v\":2"),
                "the launch document is not one (version Some(2) instead of 1)",
            ),
            (
                good.expose().replace("\"single\":true", "\"single\":\"glrt-secret\""),
                "the launch document is not one (a field is missing or of another kind)",
            ),
            (
                good.expose().replace("dHJ1ZQ==", "!"),
                "the launch document is not one (the start-up script is not in base64)",
            ),
        ];
        for (text, message) in cases {
            let error = Document::parse(text.as_bytes()).unwrap_err();
            assert_eq!(
                (error.to_string().as_str(), error.exit_code()),
                (message, crate::error::Kind::Config.exit_code())
            );
        }
    }
}
