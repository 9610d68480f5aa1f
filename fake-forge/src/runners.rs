//! Runners of the three forges: one model, three views of it, and how a fake runner program says what it does.
//!
//! As of <https://docs.github.com/en/rest/actions/self-hosted-runners>, <https://docs.gitlab.com/api/runners/> and
//! <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pipelines/>.
//!
//! A fake runner program of GitHub or Bitbucket sends its credential as it got it to `POST /runners/tell/<what>`: GitHub's
//! just-in-time configuration, Bitbucket's OAuth secret. `<what>` is one of [`Doing`]'s words. GitLab's asks for jobs as the
//! real one does (`gitlab::jobs`), and tells only that it is gone, which GitLab would see hours later.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::clock::Time;
use super::gitlab::jobs::Queue;
use super::http::{Request, Response};
use super::state::{State, Vendor, sha256};

/// What a runner program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// It has never connected, or is gone again: `offline`.
    Offline,
    /// It waits for jobs: `idle`, or `online`.
    Idle,
    /// It runs a job: `busy`.
    Busy,
}

/// A registered runner.
#[derive(Clone, Debug)]
pub struct Runner {
    pub id: u64,
    pub vendor: Vendor,
    /// The slug of the repository, organisation, group or workspace.
    pub place: String,
    pub name: String,
    pub labels: Vec<String>,
    pub doing: Doing,
    /// What its program connects with.
    pub credential: String,
    pub created_at: Time,
    /// The request that registered it.
    pub request: Value,
}

impl Runner {
    pub fn uuid(&self) -> String {
        format!("{{00000000-0000-4000-b000-{:012}}}", self.id)
    }
}

/// What the forges know of runners.
#[derive(Debug, Default)]
pub struct Runners {
    pub all: Vec<Runner>,
    /// Files to download, by path below `/downloads`.
    pub files: BTreeMap<String, Vec<u8>>,
    /// GitHub tells no checksums, as old servers do.
    pub no_checksums: bool,
    /// What GitHub's downloads need, as a bearer's token.
    pub download_token: Option<String>,
    /// GitHub gives no labels but its own.
    pub loses_labels: bool,
    /// A GitLab before 16: no `POST /user/runners`; registration tokens instead.
    pub old_gitlab: bool,
    /// Registration tokens are not allowed any more.
    pub no_registration_tokens: bool,
    /// A GitLab before 18 does not say whether a runner is busy.
    pub no_execution_status: bool,
    /// GitLab's jobs for its runners.
    pub queue: Queue,
}

/// Organisations, groups and workspaces, with their number.
pub const OWNERS: [(Vendor, &str, u64); 4] = [
    (Vendor::GitHub, "octo", 69),
    (Vendor::GitLab, "group", 70),
    (Vendor::GitLab, "group/sub", 71),
    (Vendor::Bitbucket, "team", 72),
];
/// Of each project and group.
pub const REGISTRATION_TOKEN: &str = "GR1348941registration";

pub fn owner(vendor: Vendor, name: &str) -> Option<(&'static str, u64)> {
    let same = |slug: &str, id: u64| slug.eq_ignore_ascii_case(name) || id.to_string() == name;
    OWNERS.iter().find(|(of, slug, id)| *of == vendor && same(slug, *id)).map(|(_, slug, id)| (*slug, *id))
}

pub fn of<'a>(state: &'a State, vendor: Vendor, place: &str) -> Vec<&'a Runner> {
    state.runners.all.iter().filter(|runner| runner.vendor == vendor && runner.place == place).collect()
}

pub fn add(state: &mut State, vendor: Vendor, place: &str, name: &str, labels: Vec<String>, request: Value) -> Runner {
    let (id, created_at) = (state.desk.id(), state.desk.tick());
    let prefix = if vendor == Vendor::GitLab { "glrt-" } else { "" };
    let runner = Runner {
        id,
        vendor,
        place: place.to_owned(),
        name: name.to_owned(),
        labels,
        doing: Doing::Offline,
        credential: format!("{prefix}runner-credential-{id}"),
        created_at,
        request,
    };
    state.runners.all.push(runner.clone());
    runner
}

/// `/runners/tell/<what>`, for fake runner programs; `done` is a job's end, with which GitHub's registration ends.
pub fn tell(state: &mut State, request: &Request, what: &str) -> Response {
    let text = String::from_utf8_lossy(&request.body).trim().to_owned();
    let credential = jit_credential(&text).unwrap_or(text);
    let Some(at) = state.runners.all.iter().position(|runner| runner.credential == credential) else {
        return Response::bytes(403, "text/plain", "unknown credential");
    };
    let runner = &mut state.runners.all[at];
    match what {
        "online" | "idle" => runner.doing = Doing::Idle,
        "busy" => runner.doing = Doing::Busy,
        "offline" => runner.doing = Doing::Offline,
        "done" if runner.vendor == Vendor::GitHub => drop(state.runners.all.remove(at)),
        "done" => runner.doing = Doing::Idle,
        _ => return Response::bytes(404, "text/plain", "no such word"),
    }
    Response::empty(204)
}

pub fn jit(credential: &str) -> String {
    let inner = |value: Value| STANDARD.encode(value.to_string());
    let settings = json!({ "AgentId": 1, "AgentName": "x", "PoolId": 1, "WorkFolder": "_work", "Ephemeral": true });
    let credentials = json!({ "scheme": "OAuth", "data": { "clientId": credential } });
    inner(
        json!({ ".runner": inner(settings), ".credentials": inner(credentials), ".credentials_rsaparams": inner(json!({})) }),
    )
}

fn jit_credential(jit: &str) -> Option<String> {
    let value = |text: &str| serde_json::from_slice::<Value>(&STANDARD.decode(text).ok()?).ok();
    let credentials = value(value(jit)?[".credentials"].as_str()?)?;
    credentials["data"]["clientId"].as_str().map(str::to_owned)
}

/// `/downloads/…`: runner programs, and GitLab's list of their checksums.
pub fn download(state: &State, request: &Request, path: &[&str]) -> Response {
    let wanted = state.runners.download_token.as_ref().map(|token| format!("Bearer {token}"));
    if wanted.is_some() && request.header("authorization") != wanted.as_deref() {
        return Response::bytes(404, "text/plain", "Not Found");
    }
    let path = path.join("/");
    if let Some(version) = path.strip_suffix("/release.sha256") {
        let files = state
            .runners
            .files
            .iter()
            .filter_map(|(name, body)| Some((name.strip_prefix(version)?.strip_prefix('/')?, body)));
        let list: String = files.map(|(name, body)| format!("{} *{name}\n", sha256(body))).collect();
        if !list.is_empty() {
            return Response::bytes(200, "binary/octet-stream", list);
        }
    }
    match state.runners.files.get(&path) {
        Some(body) => Response::bytes(200, "application/octet-stream", body.clone()),
        // As S3 answers for what it does not let everybody list.
        None => Response::bytes(403, "application/xml", "<Error><Code>AccessDenied</Code></Error>"),
    }
}
