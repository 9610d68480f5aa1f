//! Self-hosted runners of a repository or an organisation:
//! <https://docs.github.com/en/rest/actions/self-hosted-runners>.
//!
//! A runner is registered by a just-in-time configuration: good for one runner and one job. Registration tokens, which
//! are good for any number of runners during an hour, are not used: every Enterprise Server that GitHub supports has the
//! former.

use super::GitHub;
use crate::env::Secret;
use crate::error::{Error, Kind, Result};
use crate::forge::runners::{NewRunner, Package, PackageContent, Registration, Runner, Runners};
use crate::host::Platform;
use crate::http::{Refusal, RetryPolicy};
use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

/// The id of the group of a repository's runners; there is no API for it.
const DEFAULT_GROUP: u64 = 1;
const PAGE: usize = 100;
/// The key of the just-in-time configuration in the credential of a registration.
pub const JIT: &str = "jit";
/// The key of the organisation in the settings of a registration.
pub const ORGANISATION: &str = "organisation";

#[derive(Deserialize)]
struct Wire {
    id: u64,
    name: String,
    status: String,
    #[serde(default)]
    busy: bool,
    #[serde(default)]
    labels: Vec<Label>,
}

#[derive(Deserialize)]
struct Label {
    name: String,
}

impl From<Wire> for Runner {
    fn from(wire: Wire) -> Self {
        Runner {
            id: wire.id.to_string(),
            order: wire.id,
            name: wire.name,
            labels: wire.labels.into_iter().map(|label| label.name.to_lowercase()).collect(),
            online: wire.status == "online",
            busy: Some(wire.busy),
        }
    }
}

#[derive(Deserialize)]
struct List {
    total_count: usize,
    runners: Vec<Wire>,
}

#[derive(Deserialize)]
struct Made {
    runner: Wire,
    encoded_jit_config: String,
}

#[derive(Deserialize)]
struct Groups {
    total_count: usize,
    runner_groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    id: u64,
    name: String,
    #[serde(default)]
    default: bool,
}

#[derive(Deserialize)]
struct Download {
    os: String,
    architecture: String,
    download_url: String,
    filename: String,
    sha256_checksum: Option<String>,
    /// Of servers whose downloads are not public.
    temp_download_token: Option<String>,
}

/// Returns the API path of the runners of the repository or organisation.
fn base(github: &GitHub) -> String {
    if github.repository.is_owner() {
        format!("/orgs/{}/actions/runners", github.repository.path)
    } else {
        format!("{}/actions/runners", github.root)
    }
}

#[async_trait(?Send)]
impl Runners for GitHub {
    async fn list(&self, labels: &[String]) -> Result<Vec<Runner>> {
        let (base, mut found, mut page) = (base(self), Vec::new(), 1);
        loop {
            let list: List = self.client.get(&format!("{base}?per_page={PAGE}&page={page}")).await?;
            let last = list.runners.len() < PAGE || page * PAGE >= list.total_count;
            found.extend(list.runners.into_iter().map(Runner::from).filter(|runner| runner.has(labels)));
            if last {
                return Ok(found);
            }
            page += 1;
        }
    }

    async fn get(&self, id: &str) -> Result<Option<Runner>> {
        match self.client.get::<Wire>(&format!("{}/{id}", base(self))).await {
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            found => Ok(Some(found?.into())),
        }
    }

    /// <https://docs.github.com/en/rest/actions/self-hosted-runners#create-configuration-for-a-just-in-time-runner-for-a-repository>
    async fn register(&self, new: &NewRunner) -> Result<Registration> {
        let labels = labels(new)?;
        let group = group(self, new.group.as_deref()).await?;
        let body = json!({ "name": new.name, "runner_group_id": group, "labels": labels, "work_folder": "_work" });
        let path = format!("{}/generate-jitconfig", base(self));
        let made = self.client.call(Method::POST, &path, Some(&body), RetryPolicy::LookFirst).await;
        let Made { runner, encoded_jit_config } = made.map_err(|error| match error.kind() {
            Kind::Conflict => Error::conflict(format!("runner name {} is already in use", new.name))
                .hint("use another --name, or remove that runner with cml runner stop"),
            _ => error,
        })?;
        let jit = Secret::new(encoded_jit_config);
        self.log.hide("the configuration of the runner", &jit);
        let (id, name) = (runner.id.to_string(), runner.name.clone());
        let runner = Runner::from(runner);
        let lacking: Vec<&str> =
            labels.iter().filter(|label| !runner.has(std::slice::from_ref(label))).map(String::as_str).collect();
        if !lacking.is_empty() {
            self.log.warn(&format!(
                "GitHub registered runner {name} without the labels {}: jobs that need them will not run on it",
                lacking.join(", ")
            ));
        }
        let credential = BTreeMap::from([(JIT.to_owned(), jit)]);
        let owner = Some(self.repository.path.clone()).filter(|_| self.repository.is_owner());
        let settings = owner.map(|owner| (ORGANISATION.to_owned(), owner)).into_iter().collect();
        Ok(Registration { driver: super::DRIVER.name.to_owned(), id, name, credential, settings })
    }

    async fn delete(&self, id: &str) -> Result<()> {
        match self.client.delete(&format!("{}/{id}", base(self))).await {
            Err(error) if error.kind() == Kind::NotFound => Ok(()),
            outcome => outcome,
        }
    }

    async fn package(&self, platform: &Platform) -> Result<Option<Package>> {
        let (os, arch) = (os(platform)?, arch(platform)?);
        let downloads: Vec<Download> = self.client.get(&format!("{}/downloads", base(self))).await?;
        let found = downloads.into_iter().find(|download| download.os == os && download.architecture == arch);
        let own = "give the folder of an unpacked runner program with --runner-path";
        let Some(Download { download_url, filename, sha256_checksum, temp_download_token, .. }) = found else {
            return Err(Error::unsupported(format!("GitHub has no runner program for {os} on {arch}")).hint(own));
        };
        match sha256_checksum.filter(|sum| !sum.is_empty()) {
            Some(sum) => {
                let token = temp_download_token.filter(|token| !token.trim().is_empty()).map(Secret::new);
                if let Some(token) = &token {
                    self.log.hide("the token of the download", token);
                }
                let sha256 = sum.to_lowercase();
                Ok(Some(Package { url: download_url, sha256, token, content: PackageContent::TarGz }))
            }
            None => Err(Error::unsupported(format!("GitHub has no checksum of {filename}")).hint(own)),
        }
    }

    fn one_job_each(&self) -> bool {
        true
    }

    fn has_logs(&self) -> bool {
        true
    }
}

/// GitHub adds no labels of its own to these runners: <https://docs.github.com/en/actions/how-tos/manage-runners/self-hosted-runners/apply-labels>
/// names those that a registered one has.
fn labels(new: &NewRunner) -> Result<Vec<String>> {
    let (os, arch) = (os(&new.platform)?, arch(&new.platform)?);
    let os = if os == "osx" { "macos" } else { os };
    let mut labels: Vec<String> = ["self-hosted", os, arch].map(str::to_owned).into();
    for label in new.labels.iter().map(|label| label.trim().to_lowercase()) {
        if label.is_empty() || label.contains(',') || label.chars().any(char::is_control) {
            return Err(Error::usage(format!("'{label}' is not a valid runner label"))
                .hint("give --labels as a list such as gpu,large"));
        }
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    match labels.len() {
        ..=100 => Ok(labels),
        many => Err(Error::usage(format!("too many labels for a runner: {many}")).hint("the maximum is 100")),
    }
}

/// Returns the id of a runner group, or of the default one; only organisations have others.
/// <https://docs.github.com/en/rest/actions/self-hosted-runner-groups>
async fn group(github: &GitHub, name: Option<&str>) -> Result<u64> {
    let name = name.filter(|name| !name.eq_ignore_ascii_case("default"));
    let owner = &github.repository;
    if !owner.is_owner() {
        let Some(_) = name else { return Ok(DEFAULT_GROUP) };
        return Err(Error::usage(format!("{owner} is a repository: its runners cannot be in a runner group")).hint(
            "leave out --runner-group, or register the runner for the organisation: --repo https://github.com/ORGANISATION",
        ));
    }
    let (mut page, mut names) = (1, Vec::new());
    loop {
        let path = format!("/orgs/{}/actions/runner-groups?per_page={PAGE}&page={page}", owner.path);
        let list: Groups = github.client.get(&path).await?;
        let is_it = |group: &&Group| name.map_or(group.default, |name| group.name.eq_ignore_ascii_case(name));
        if let Some(group) = list.runner_groups.iter().find(is_it) {
            return Ok(group.id);
        }
        let last = list.runner_groups.len() < PAGE || page * PAGE >= list.total_count;
        names.extend(list.runner_groups.into_iter().map(|group| group.name));
        if last {
            let Some(name) = name else { return Ok(DEFAULT_GROUP) };
            return Err(Error::not_found(format!("the organisation {owner} has no runner group '{name}'"))
                .hint(format!("its runner groups: {}", names.join(", "))));
        }
        page += 1;
    }
}

/// Returns the operating system's name in the downloads.
fn os(platform: &Platform) -> Result<&'static str> {
    match platform.os.as_str() {
        "linux" => Ok("linux"),
        "macos" => Ok("osx"),
        other => Err(Error::unsupported(format!("runners on {other} are not supported"))
            .hint("run this on Linux or macOS, or register the runner by hand")),
    }
}

fn arch(platform: &Platform) -> Result<&'static str> {
    match platform.arch.as_str() {
        "x86_64" => Ok("x64"),
        "aarch64" => Ok("arm64"),
        other => Err(Error::unsupported(format!("GitHub has no runner program for {other} processors"))
            .hint("run this on an x86_64 or aarch64 machine")),
    }
}

/// Explains refusals of requests about runners; `None` for those that need no special message.
pub fn explain(refusal: &Refusal, says: &str) -> Option<Error> {
    let (place, rest) = refusal.path.split_once("/actions/runner")?;
    let organisation = place.contains("/orgs/");
    let lower = says.to_lowercase();
    match refusal.status.as_u16() {
        // The message is not documented, so that any refusal to delete a runner counts.
        422 if refusal.method == Method::DELETE || lower.contains("running a job") => Some(
            Error::conflict(format!("the runner is running a job (GitHub says: {says})"))
                .hint("wait until the job ends, or cancel it"),
        ),
        422 => Some(
            Error::usage(format!("GitHub rejected the runner ({says})"))
                .hint("check --name (up to 64 characters), --labels and --runner-group"),
        ),
        403 if refusal.header("x-github-sso").is_some() || lower.contains("rate limit") => None,
        403 => Some(not_allowed(organisation, &lower, says)),
        // The runner is gone; it is not a missing permission.
        404 if rest.rsplit('/').next().is_some_and(|id| id.parse::<u64>().is_ok()) => None,
        404 => Some(not_allowed(organisation, &lower, says)),
        _ => None,
    }
}

fn not_allowed(organisation: bool, lower: &str, says: &str) -> Error {
    let needed = if organisation {
        "a personal access token of an owner of the organisation: fine-grained with the organisation permission self-hosted runners: write, or classic with the scope admin:org"
    } else {
        "a personal access token of an administrator of the repository: fine-grained with the repository permission administration: write, or classic with the scope repo"
    };
    let hint = format!("set REPO_TOKEN to {needed}");
    let place = if organisation { "organisation" } else { "repository" };
    if lower.contains("not accessible by integration") {
        return Error::auth(format!(
            "a workflow's own token (GITHUB_TOKEN) is not allowed to manage runners (GitHub says: {says})"
        ))
        .hint(hint);
    }
    Error::auth(format!(
        "the token is not allowed to manage runners of the {place}, or the {place} does not exist (GitHub says: {says})"
    ))
    .hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, StatusCode};

    fn explained(path: &str, status: u16, says: &str) -> Option<Error> {
        explained_of(&Method::POST, path, status, says)
    }

    fn explained_of(method: &Method, path: &str, status: u16, says: &str) -> Option<Error> {
        let (status, headers) = (StatusCode::from_u16(status).unwrap(), HeaderMap::new());
        explain(&Refusal { method, path, status, headers: &headers, body: b"" }, says)
    }

    #[test]
    fn refusals_say_which_token_does() {
        let jit = "/repos/o/r/actions/runners/generate-jitconfig";
        let error = explained(jit, 403, "Resource not accessible by integration").unwrap();
        assert!(error.kind() == Kind::Auth && error.to_string().contains("GITHUB_TOKEN"), "{error}");
        assert!(error.hint_text().unwrap().contains("administration: write"));
        let error = explained("/api/v3/orgs/o/actions/runners", 404, "Not Found").unwrap();
        assert!(error.kind() == Kind::Auth && error.hint_text().unwrap().contains("self-hosted runners: write"));
        let error = explained("/repos/o/r/actions/runners/7", 422, "Runner \"x\" is still running a job\"").unwrap();
        assert_eq!(error.kind(), Kind::Conflict);
        let error = explained_of(&Method::DELETE, "/repos/o/r/actions/runners/7", 422, "Validation Failed").unwrap();
        assert_eq!(error.kind(), Kind::Conflict);
        assert_eq!(explained(jit, 422, "Validation Failed").unwrap().kind(), Kind::Usage);
        assert!(explained("/repos/o/r/actions/runners/7", 404, "Not Found").is_none());
        assert!(explained("/repos/o/r/actions/runs/7/rerun", 403, "no").is_none());
    }

    #[test]
    fn labels_are_those_that_jobs_ask_for() {
        let new = |labels: &[&str], os: &str, arch: &str| NewRunner {
            name: "n".into(),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            group: None,
            single: true,
            platform: Platform { os: os.into(), arch: arch.into() },
        };
        let all = labels(&new(&["cml", " GPU", "linux"], "linux", "x86_64")).unwrap();
        assert_eq!(all, ["self-hosted", "linux", "x64", "cml", "gpu"]);
        assert_eq!(labels(&new(&[], "macos", "aarch64")).unwrap(), ["self-hosted", "macos", "arm64"]);
        assert_eq!(labels(&new(&["a", ""], "linux", "x86_64")).unwrap_err().kind(), Kind::Usage);
        assert_eq!(labels(&new(&[], "windows", "x86_64")).unwrap_err().kind(), Kind::Unsupported);
        let many: Vec<String> = (0..98).map(|n| n.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(labels(&new(&many, "linux", "x86_64")).unwrap_err().kind(), Kind::Usage);
    }
}
