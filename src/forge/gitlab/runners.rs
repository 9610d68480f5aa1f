//! Runners of a project or a group: <https://docs.gitlab.com/api/runners/>.

use super::{GitLab, number};
use crate::digest::Sha256Digest;
use crate::env::{Env, Secret, vars};
use crate::error::{Error, Kind, Result};
use crate::forge::rest::escape;
use crate::forge::runners::{NewRunner, Package, PackageContent, Registration, Runner, RunnerStatus, Runners};
use crate::host::Platform;
use crate::http::{Refusal, RetryPolicy};
use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The key of the installation's address in the settings of a registration.
pub const URL: &str = "url";
/// The key of the runner's token in the credential of a registration.
pub const TOKEN: &str = "token";

/// The version of GitLab Runner that is downloaded. It works with older and newer servers:
/// <https://docs.gitlab.com/runner/#gitlab-runner-versions>.
const VERSION: &str = "v19.3.0";
/// <https://docs.gitlab.com/runner/install/bleeding-edge/#download-any-other-tagged-release>
const DOWNLOADS: &str = "https://s3.dualstack.us-east-1.amazonaws.com/gitlab-runner-downloads";

/// What GitLab says of a runner's token that it does not know: <https://docs.gitlab.com/api/runners/#verify-authentication-for-a-registered-runner>.
const UNKNOWN_TOKEN: [&str; 2] = ["403 Forbidden", "403 Forbidden - invalid token supplied"];

/// The source of the runner program.
pub struct Downloads {
    base: String,
    version: String,
}

impl Downloads {
    /// Reads the source from the environment; the default is GitLab's own.
    pub fn from_env(env: &Env) -> Self {
        Downloads {
            base: env.get(vars::CML_GITLAB_RUNNER_DOWNLOADS).unwrap_or(DOWNLOADS).trim_end_matches('/').to_owned(),
            version: env.get(vars::CML_GITLAB_RUNNER_VERSION).unwrap_or(VERSION).to_owned(),
        }
    }
}

/// The project or group that owns the runners.
#[derive(Clone)]
pub struct Owner {
    /// `project` or `group`.
    kind: &'static str,
    id: u64,
    /// The legacy registration token, if the token's user may see it and GitLab still has it.
    old_token: Option<Secret>,
}

#[derive(Deserialize)]
struct WireOwner {
    id: u64,
    runners_token: Option<String>,
}

#[derive(Deserialize)]
struct Wire {
    id: u64,
    description: Option<String>,
    online: Option<bool>,
    status: Option<String>,
    /// Since GitLab 18: `idle` or `active`.
    job_execution_status: Option<String>,
    /// Not in listings.
    tag_list: Option<Vec<String>>,
}

impl Wire {
    fn runner(self, asked: &[String]) -> Runner {
        Runner {
            id: self.id.to_string(),
            order: self.id,
            name: self.description.unwrap_or_default(),
            labels: self.tag_list.unwrap_or_else(|| asked.to_vec()).iter().map(|tag| tag.to_lowercase()).collect(),
            online: self.online.unwrap_or(self.status.as_deref() == Some("online")),
            busy: self.job_execution_status.map(|status| status == "active"),
        }
    }
}

#[derive(Deserialize)]
struct Made {
    id: u64,
    token: String,
}

/// Fetches the project or group of the repository's address.
async fn owner(gitlab: &GitLab) -> Result<Owner> {
    if let Some(owner) = gitlab.owner.borrow().clone() {
        return Ok(owner);
    }
    let mut found = None;
    for kind in ["project", "group"] {
        match gitlab.rest.get::<WireOwner>(&format!("/{kind}s/{}", escape(&gitlab.path))).await {
            Err(error) if error.kind() == Kind::NotFound => {}
            answer => {
                let WireOwner { id, runners_token } = answer?.1;
                found = Some(Owner { kind, id, old_token: runners_token.map(Secret::new) });
                break;
            }
        }
    }
    let owner = found.ok_or_else(|| {
        Error::not_found(format!("{} is not a project or group that this token can see", gitlab.page))
            .hint("check --repo, and that the token has the scope api, or create_runner, read_api and manage_runner")
    })?;
    if let Some(token) = &owner.old_token {
        gitlab.log.hide("the registration token", token);
    }
    Ok(gitlab.owner.borrow_mut().insert(owner).clone())
}

#[async_trait(?Send)]
impl Runners for GitLab {
    /// Lists the runners of the project itself, or of the group and its parents; not those that a project shares with others.
    async fn list(&self, labels: &[String]) -> Result<Vec<Runner>> {
        let Owner { kind, id, .. } = owner(self).await?;
        let tags = match labels {
            [] => String::new(),
            labels => format!("&tag_list={}", escape(&labels.join(","))),
        };
        let (mut found, mut page) = (Vec::new(), Some(1));
        while let Some(number_of_page) = page {
            let path = format!("/{kind}s/{id}/runners?type={kind}_type&per_page=100&page={number_of_page}{tags}");
            let (headers, wires): (_, Vec<Wire>) = self.rest.get(&path).await?;
            found.extend(wires.into_iter().map(|wire| wire.runner(labels)));
            page = number(&headers, "x-next-page");
        }
        Ok(found)
    }

    async fn get(&self, id: &str) -> Result<Option<Runner>> {
        let wire = match self.rest.get::<Wire>(&format!("/runners/{}", escape(id))).await {
            Err(error) if error.kind() == Kind::NotFound => return Ok(None),
            found => found?.1,
        };
        let mut runner = wire.runner(&[]);
        if runner.busy.is_none() {
            let path = format!("/runners/{}/jobs?status=running&per_page=1", escape(id));
            let (_, jobs): (_, Vec<Value>) = self.rest.get(&path).await?;
            runner.busy = Some(!jobs.is_empty());
        }
        Ok(Some(runner))
    }

    /// <https://docs.gitlab.com/api/users/#create-a-runner-linked-to-a-user>
    async fn register(&self, new: &NewRunner) -> Result<Registration> {
        let tags = tags(new)?;
        if new.group.is_some() {
            return Err(Error::unsupported("GitLab has no runner groups").hint(
                "leave out --runner-group, or register the runner for a group: --repo https://gitlab.com/GROUP",
            ));
        }
        let owner = owner(self).await?;
        let body = json!({
            "description": new.name,
            "tag_list": tags,
            // One without tags takes every job.
            "run_untagged": tags.is_empty(),
            "locked": owner.kind == "project",
            "access_level": "not_protected",
        });
        let mut modern = body.clone();
        modern["runner_type"] = json!(format!("{}_type", owner.kind));
        modern[format!("{}_id", owner.kind)] = json!(owner.id);
        let made = self.rest.call(Method::POST, "/user/runners", Some(&modern), RetryPolicy::LookFirst).await;
        let made: Made = match made {
            // Before GitLab 16 there is no such address.
            Err(error) if error.kind() == Kind::NotFound => in_the_old_way(self, &owner, body, error).await?,
            made => made?.1,
        };
        let token = Secret::new(made.token);
        self.log.hide("the token of the runner", &token);
        let credential = BTreeMap::from([(TOKEN.to_owned(), token)]);
        let settings = BTreeMap::from([(URL.to_owned(), self.installation.clone())]);
        let (driver, name) = (super::DRIVER.name.to_owned(), new.name.clone());
        Ok(Registration { driver, id: made.id.to_string(), name, credential, settings })
    }

    async fn delete(&self, id: &str) -> Result<()> {
        self.rest.delete(&format!("/runners/{}", escape(id))).await
    }

    /// Unregisters a runner by its own token: <https://docs.gitlab.com/api/runners/#delete-a-runner-by-authentication-token>.
    async fn unregister(&self, registration: &Registration) -> Result<()> {
        let Some(token) = registration.credential.get(TOKEN) else { return self.delete(&registration.id).await };
        self.rest.disclosing().delete_by("/runners", &json!({ "token": token.expose() })).await
    }

    /// Returns the status of a runner if GitLab accepts its token: <https://docs.gitlab.com/api/runners/#verify-authentication-for-a-registered-runner>.
    async fn check(&self, registration: &Registration) -> Result<Option<RunnerStatus>> {
        let known = Some(RunnerStatus { online: true, busy: None });
        let Some(token) = registration.credential.get(TOKEN) else { return Ok(known) };
        let body = json!({ "token": token.expose() });
        match self.rest.disclosing().post("/runners/verify", &body).await {
            Err(error) if error.kind() == Kind::Auth => Ok(None),
            // What stands in between blocks the request: the answer is unknown.
            Err(error) if error.kind() == Kind::NotFound => Ok(known),
            outcome => outcome.map(|()| known),
        }
    }

    /// Returns the runner program's URL, and its checksum from the list beside it.
    async fn package(&self, platform: &Platform) -> Result<Option<Package>> {
        let file = format!("binaries/gitlab-runner-{}-{}", os(platform)?, arch(platform)?);
        let Downloads { base, version } = &self.downloads;
        let list = format!("{base}/{version}/release.sha256");
        let wrong = |why: String| {
            Error::config(why).hint(format!(
                "check {} and {}, or give a folder with gitlab-runner with --runner-path",
                vars::CML_GITLAB_RUNNER_DOWNLOADS.name,
                vars::CML_GITLAB_RUNNER_VERSION.name
            ))
        };
        let request = Request::get(&list).body(Bytes::new());
        let request = request.map_err(|e| wrong(format!("invalid address {list} ({e})")))?;
        // Not with the token: this is another server.
        let answer = self.http.send(request).await.map_err(|error| match error.kind() {
            Kind::NotFound | Kind::Auth => wrong(format!("no GitLab Runner {version} at {base} ({error})")),
            _ => error.context(format!("cannot read {list}")),
        })?;
        let text = String::from_utf8_lossy(answer.body());
        let sha256 = checksum(&text, &file).ok_or_else(|| wrong(format!("{list} has no checksum of {file}")))?;
        let content = PackageContent::Program("gitlab-runner".to_owned());
        let (url, sha256) = (format!("{base}/{version}/{file}"), sha256.to_string());
        Ok(Some(Package { url, sha256, token: None, content }))
    }

    fn is_credential_enough(&self) -> bool {
        true
    }

    /// CML's images, as CML does.
    fn job_image(&self, gpu: bool) -> Option<&'static str> {
        Some(if gpu { "iterativeai/cml:latest-gpu" } else { "iterativeai/cml:latest" })
    }
}

/// <https://docs.gitlab.com/api/runners/#create-an-instance-runner>, which once took the tokens of projects and groups.
async fn in_the_old_way(gitlab: &GitLab, owner: &Owner, mut body: Value, missing: Error) -> Result<Made> {
    let Some(token) = &owner.old_token else { return Err(missing) };
    body["token"] = json!(token.expose());
    Ok(gitlab.rest.disclosing().call(Method::POST, "/runners", Some(&body), RetryPolicy::LookFirst).await?.1)
}

fn tags(new: &NewRunner) -> Result<String> {
    let tags: Vec<&str> = new.labels.iter().map(|label| label.trim()).collect();
    match tags
        .iter()
        .find(|tag| tag.is_empty() || tag.len() > 255 || tag.contains(',') || tag.contains(char::is_control))
    {
        Some(wrong) => Err(Error::usage(format!("'{wrong}' is not a valid runner tag"))
            .hint("give --labels as a list such as gpu,large")),
        None => Ok(tags.join(",")),
    }
}

/// Returns the digest of a file in the output of `sha256sum`: `<digest> *binaries/gitlab-runner-linux-amd64`.
fn checksum(list: &str, file: &str) -> Option<Sha256Digest> {
    let found = list.lines().find_map(|line| {
        let (sum, name) = line.split_once(char::is_whitespace)?;
        let name = name.trim_start().trim_start_matches('*').trim_end();
        (name.trim_start_matches("./") == file).then_some(sum)
    })?;
    found.parse().ok()
}

fn os(platform: &Platform) -> Result<&'static str> {
    match platform.os.as_str() {
        "linux" => Ok("linux"),
        "macos" => Ok("darwin"),
        other => Err(Error::unsupported(format!("runners on {other} are not supported"))
            .hint("run this on Linux or macOS, or register the runner by hand")),
    }
}

fn arch(platform: &Platform) -> Result<&'static str> {
    match platform.arch.as_str() {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => Err(Error::unsupported(format!("GitLab Runner does not support {other} processors"))
            .hint("run this on an x86_64 or aarch64 machine")),
    }
}

/// Explains refusals of requests about runners; `None` for those that need no special message.
pub fn explain(refusal: &Refusal, says: &str, own_job: bool) -> Option<Error> {
    let path = refusal.path;
    if !path.contains("/runners") {
        return None;
    }
    let token = "create a token with the role Maintainer (Owner for a group) and the scope api, or create_runner, manage_runner and read_api, and save it as the masked variable REPO_TOKEN";
    match refusal.status.as_u16() {
        // Of a token that GitLab does not know any more: <https://docs.gitlab.com/api/runners/#delete-a-runner-by-authentication-token>.
        403 if refusal.method == Method::DELETE && path.ends_with("/runners") && says == "403 Forbidden" => {
            Some(Error::not_found("GitLab has no runner with this token"))
        }
        // Not GitLab's word about a token: what stands in between refuses the request.
        401 | 403 if path.ends_with("/runners/verify") && !UNKNOWN_TOKEN.contains(&says) => {
            Some(Error::not_found("GitLab does not say whether it knows the runner"))
        }
        401 | 403 if own_job => Some(
            Error::auth(format!(
                "the job's own token (CI_JOB_TOKEN) is not allowed to manage runners (GitLab says: {says})"
            ))
            .hint(token),
        ),
        403 if says.contains("more than one project") => Some(
            Error::conflict(format!("the runner also serves other projects (GitLab says: {says})"))
                .hint("remove it in GitLab, on the runner's page"),
        ),
        403 => {
            Some(Error::auth(format!("the token is not allowed to manage runners (GitLab says: {says})")).hint(token))
        }
        410 => Some(
            Error::unsupported(format!("GitLab no longer supports registration tokens ({says})"))
                .hint("ask the GitLab administrators to allow them, or to update GitLab to 16.0 or later"),
        ),
        400 => Some(Error::usage(format!("GitLab rejected the runner ({says})")).hint("check --name and --labels")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_found_in_every_form_of_the_list() {
        let sum = "ab".repeat(32);
        for line in [
            format!("{sum} *binaries/gitlab-runner-linux-amd64"),
            format!("{}  ./binaries/gitlab-runner-linux-amd64\r", sum.to_uppercase()),
        ] {
            let list = format!("{}  binaries/gitlab-runner-linux-amd64-fips\n{line}\n", "0".repeat(64));
            let found = checksum(&list, "binaries/gitlab-runner-linux-amd64").unwrap();
            assert_eq!(found.as_str(), sum, "{list}");
        }
        assert_eq!(checksum("12  binaries/x\n<html>", "binaries/x"), None);
    }
}
