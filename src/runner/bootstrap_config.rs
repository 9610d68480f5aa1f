//! The configuration that an instance in a cloud gets: plain data, with one runner's credential as its only secret.

use crate::env::Secret;
use crate::error::{Error, Result};
use crate::forge::runners::{Package, Registration};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::time::Duration;

/// The version of the format. Only the same version is accepted, as the launcher pins the binary's digest.
const VERSION: u64 = 2;

/// The configuration of an instance's runner.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    #[serde(with = "seconds")]
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
    #[serde(with = "base64_text")]
    pub startup_script: Option<String>,
    /// The cloud's name.
    pub cloud: String,
    /// Whether jobs may use the instance's identity.
    pub identity: bool,
}

impl BootstrapConfig {
    /// Serializes the configuration as JSON on one line.
    pub fn to_json(&self) -> Secret {
        let json = serde_json::to_string(&Versioned { v: VERSION, config: self });
        Secret::new(json.unwrap_or_default()) // plain data with text keys: cannot fail
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
        BootstrapConfig::deserialize(value).map_err(|_| wrong("a field is missing or has another type".to_owned()))
    }
}

#[derive(Serialize)]
struct Versioned<'a> {
    v: u64,
    #[serde(flatten)]
    config: &'a BootstrapConfig,
}

/// A duration in whole seconds.
mod seconds {
    use super::*;

    pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        duration.map(|duration| duration.as_secs()).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::deserialize(deserializer)?.map(Duration::from_secs))
    }
}

/// A script in base64, which has no line ends that the start script could stumble over.
mod base64_text {
    use super::*;
    use serde::de::Error;

    pub fn serialize<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
        text.as_ref().map(|text| BASE64_STANDARD.encode(text)).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        let bytes = BASE64_STANDARD.decode(text).map_err(D::Error::custom)?;
        String::from_utf8(bytes).map(Some).map_err(D::Error::custom)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::forge::runners::PackageContent;
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
                good.expose().replace("\"v\":2", "\"v\":1"),
                "invalid bootstrap configuration (version Some(1) instead of 2)",
            ),
            (
                good.expose().replace("\"single\":true", "\"single\":\"glrt-secret\""),
                "invalid bootstrap configuration (a field is missing or has another type)",
            ),
            (
                good.expose().replace("dHJ1ZQ==", "!"),
                "invalid bootstrap configuration (a field is missing or has another type)",
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
