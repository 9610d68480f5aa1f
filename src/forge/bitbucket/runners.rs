//! Runners of a repository or a workspace:
//! <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pipelines/>.

use super::{Bitbucket, List, PAGE};
use crate::env::Secret;
use crate::error::{Error, Kind, Result};
use crate::forge::rest::escape;
use crate::forge::runners::{NewRunner, Package, Registration, Runner, Runners};
use crate::host::Platform;
use crate::http::{Refusal, RetryPolicy};
use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Bitbucket's image of its runner:
/// <https://support.atlassian.com/bitbucket-cloud/docs/use-your-docker-images-in-self-hosted-runners/>.
pub const IMAGE: &str = "docker-public.packages.atlassian.com/sox/atlassian/bitbucket-pipelines-runner";
/// The key of the runner's OAuth client secret in the credential of a registration.
pub const SECRET: &str = "oauth_client_secret";
/// The maximum number of the user's labels.
const MAX_LABELS: usize = 10;

#[derive(Deserialize)]
struct Wire {
    uuid: String,
    name: String,
    created_on: Option<String>,
    #[serde(default)]
    labels: Vec<String>,
    state: Option<State>,
    oauth_client: Option<OauthClient>,
}

#[derive(Deserialize, Default)]
struct State {
    status: Option<String>,
    /// The step that it runs, and only then: so Atlassian's own autoscaler tells idle runners,
    /// <https://bitbucket.org/bitbucketpipelines/runners-autoscaler>.
    step: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct OauthClient {
    id: String,
    /// Told once, with the answer to the registration.
    secret: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    uuid: String,
}

impl From<Wire> for Runner {
    fn from(wire: Wire) -> Self {
        let state = wire.state.unwrap_or_default();
        Runner {
            id: wire.uuid,
            order: wire.created_on.as_deref().map_or(u64::MAX, microseconds),
            name: wire.name,
            labels: wire.labels.into_iter().map(|label| label.to_lowercase()).collect(),
            online: state.status.as_deref() == Some("ONLINE"),
            busy: Some(state.step.is_some()),
        }
    }
}

/// Returns the microseconds since 1970 of a date.
fn microseconds(date: &str) -> u64 {
    let date = chrono::DateTime::parse_from_rfc3339(date);
    date.map_or(u64::MAX, |date| u64::try_from(date.timestamp_micros()).unwrap_or_default())
}

fn base(bitbucket: &Bitbucket) -> String {
    if bitbucket.repository.is_owner() {
        format!("/workspaces/{}/pipelines-config/runners", bitbucket.repository.path)
    } else {
        format!("{}/pipelines-config/runners", bitbucket.root)
    }
}

#[async_trait(?Send)]
impl Runners for Bitbucket {
    async fn list(&self, labels: &[String]) -> Result<Vec<Runner>> {
        let (base, mut found, mut page) = (base(self), Vec::new(), 1);
        loop {
            let list: List<Wire> = self.rest.get(&format!("{base}?pagelen={PAGE}&page={page}")).await?.1;
            found.extend(list.values.into_iter().map(Runner::from).filter(|runner| runner.has(labels)));
            if list.next.is_none() {
                return Ok(found);
            }
            page += 1;
        }
    }

    async fn get(&self, id: &str) -> Result<Option<Runner>> {
        match self.rest.get::<Wire>(&format!("{}/{}", base(self), escape(id))).await {
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            found => Ok(Some(found?.1.into())),
        }
    }

    async fn register(&self, new: &NewRunner) -> Result<Registration> {
        let labels = labels(new)?;
        if new.group.is_some() {
            return Err(Error::unsupported("Bitbucket has no runner groups")
                .hint("leave out --runner-group, or register the runner for the workspace: --repo https://bitbucket.org/WORKSPACE"));
        }
        let (workspace, repository) = identities(self).await?;
        let body = json!({ "name": new.name, "labels": labels });
        let made = self.rest.call(Method::POST, &base(self), Some(&body), RetryPolicy::LookFirst).await;
        let made: Wire = made?.1;
        let (id, name) = (made.uuid, made.name);
        let Some((client, secret)) = made.oauth_client.and_then(|client| Some((client.id, client.secret?))) else {
            self.delete(&id).await?;
            return Err(Error::remote(format!("Bitbucket sent no credential for runner {name}")));
        };
        let secret = Secret::new(secret);
        self.log.hide("the secret of the runner", &secret);
        let credential = BTreeMap::from([(SECRET.to_owned(), secret)]);
        let settings = [
            ("account_uuid", Some(workspace)),
            ("repository_uuid", repository),
            ("oauth_client_id", Some(client)),
            ("image", Some(self.runner_image.clone())),
        ];
        let settings = settings.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        Ok(Registration { driver: super::DRIVER.name.to_owned(), id, name, credential, settings })
    }

    async fn delete(&self, id: &str) -> Result<()> {
        self.rest.delete(&format!("{}/{}", base(self), escape(id))).await
    }

    /// Bitbucket's runner comes as an image.
    async fn package(&self, _: &Platform) -> Result<Option<Package>> {
        Ok(None)
    }

    fn program_image(&self) -> Option<&str> {
        Some(&self.runner_image)
    }
}

/// Returns the UUIDs of the workspace, which the runner calls its account, and of the repository, unless the runner belongs
/// to the workspace.
async fn identities(bitbucket: &Bitbucket) -> Result<(String, Option<String>)> {
    let path = &bitbucket.repository.path;
    if bitbucket.repository.is_owner() {
        return Ok((bitbucket.rest.get::<Named>(&format!("/workspaces/{path}")).await?.1.uuid, None));
    }
    let (_, repository): (_, Value) = bitbucket.rest.get(&bitbucket.root).await?;
    let text = |pointer: &str| repository.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let workspace = match text("/workspace/uuid") {
        Some(uuid) => uuid,
        None => {
            let name = path.split('/').next().unwrap_or_default();
            bitbucket.rest.get::<Named>(&format!("/workspaces/{name}")).await?.1.uuid
        }
    };
    Ok((workspace, text("/uuid")))
}

/// <https://support.atlassian.com/bitbucket-cloud/docs/adding-a-new-runner-in-bitbucket-pipelines/>
fn labels(new: &NewRunner) -> Result<Vec<String>> {
    let mut labels = vec!["self.hosted".to_owned(), system(&new.platform)?.to_owned()];
    for label in new.labels.iter().map(|label| label.trim().to_lowercase()) {
        let valid = label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.');
        if label.is_empty() || !valid {
            return Err(Error::usage(format!("'{label}' is not a valid label of a Bitbucket runner"))
                .hint("use only letters, digits and dots: --labels=gpu,large.memory"));
        }
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    match labels.len() - 2 {
        ..=MAX_LABELS => Ok(labels),
        many => Err(Error::usage(format!("too many labels for a Bitbucket runner: {many}"))
            .hint(format!("the maximum is {MAX_LABELS}"))),
    }
}

fn system(platform: &Platform) -> Result<&'static str> {
    match (platform.os.as_str(), platform.arch.as_str()) {
        ("linux", "x86_64") => Ok("linux"),
        ("linux", "aarch64") => Ok("linux.arm64"),
        (os, arch) => Err(Error::unsupported(format!("Bitbucket's runner does not run on {os} on {arch}"))
            .hint("it comes as a Docker image for Linux on x86_64 and aarch64")),
    }
}

/// Explains refusals of requests about runners; `None` for those that need no special message.
pub fn explain(refusal: &Refusal, says: &str) -> Option<Error> {
    let (_, rest) = refusal.path.split_once("/pipelines-config/runners")?;
    let hint = "set REPO_TOKEN to an access token of the repository (or workspace) with the scopes runner, runner:write and repository, or to email:api-token with read:runner:bitbucket, write:runner:bitbucket and read:repository:bitbucket";
    match refusal.status.as_u16() {
        403 => {
            Some(Error::auth(format!("the token is not allowed to manage runners (Bitbucket says: {says})")).hint(hint))
        }
        404 if rest.trim_matches('/').is_empty() => Some(
            Error::not_found(format!("the token cannot see any runners (Bitbucket says: {says})"))
                .hint("check --repo, that Pipelines are enabled there, and that the token is allowed to read runners"),
        ),
        400 => Some(Error::usage(format!("Bitbucket rejected the runner ({says})")).hint("check --name and --labels")),
        409 | 422 => Some(
            Error::conflict(format!("Bitbucket refused the request for now ({says})"))
                .hint("the runner may be running a step: wait until it ends, or stop the pipeline"),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(labels: &[&str], os: &str, arch: &str) -> Result<Vec<String>> {
        super::labels(&NewRunner {
            name: "n".into(),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            group: None,
            single: true,
            platform: Platform { os: os.into(), arch: arch.into() },
        })
    }

    #[test]
    fn labels_are_as_bitbucket_wants_them() {
        assert_eq!(of(&["cml", "GPU.large"], "linux", "x86_64").unwrap(), ["self.hosted", "linux", "cml", "gpu.large"]);
        assert_eq!(of(&[], "linux", "aarch64").unwrap(), ["self.hosted", "linux.arm64"]);
        for wrong in ["my-label", "", "a_b", "ü"] {
            assert_eq!(of(&[wrong], "linux", "x86_64").unwrap_err().kind(), Kind::Usage, "{wrong}");
        }
        let many = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"];
        assert!(of(&many[..10], "linux", "x86_64").is_ok());
        assert_eq!(of(&many, "linux", "x86_64").unwrap_err().kind(), Kind::Usage);
        assert_eq!(of(&[], "macos", "aarch64").unwrap_err().kind(), Kind::Unsupported);
    }
}
