//! Runners of the three forges: one model, three views of it, and how a fake runner program says what it does.
//!
//! As of <https://docs.github.com/en/rest/actions/self-hosted-runners>, <https://docs.gitlab.com/api/runners/> and
//! <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pipelines/>.
//!
//! A fake runner program sends its credential as it got it to `POST /runners/tell/<what>`: GitHub's just-in-time
//! configuration, GitLab's token, Bitbucket's OAuth secret. `<what>` is one of [`Doing`]'s words.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::auth::{Access, access};
use super::bitbucket;
use super::clock::Time;
use super::github_shapes as github_shape;
use super::gitlab;
use super::http::{Request, Response};
use super::page::Page;
use super::state::{State, Vendor};

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
    fn uuid(&self) -> String {
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
    /// GitHub gives no labels but its own.
    pub loses_labels: bool,
    /// A GitLab before 16: no `POST /user/runners`; registration tokens instead.
    pub old_gitlab: bool,
    /// Registration tokens are not allowed any more.
    pub no_registration_tokens: bool,
    /// A GitLab before 18 does not say whether a runner is busy.
    pub no_execution_status: bool,
}

/// Organisations, groups and workspaces, with their number.
const OWNERS: [(Vendor, &str, u64); 4] = [
    (Vendor::GitHub, "octo", 69),
    (Vendor::GitLab, "group", 70),
    (Vendor::GitLab, "group/sub", 71),
    (Vendor::Bitbucket, "team", 72),
];
/// Of each project and group.
pub const REGISTRATION_TOKEN: &str = "GR1348941registration";

fn owner(vendor: Vendor, name: &str) -> Option<(&'static str, u64)> {
    let same = |slug: &str, id: u64| slug.eq_ignore_ascii_case(name) || id.to_string() == name;
    OWNERS.iter().find(|(of, slug, id)| *of == vendor && same(slug, *id)).map(|(_, slug, id)| (*slug, *id))
}

fn of<'a>(state: &'a State, vendor: Vendor, place: &str) -> Vec<&'a Runner> {
    state.runners.all.iter().filter(|runner| runner.vendor == vendor && runner.place == place).collect()
}

fn add(state: &mut State, vendor: Vendor, place: &str, name: &str, labels: Vec<String>, request: Value) -> Runner {
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

fn jit(credential: &str) -> String {
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
pub fn download(state: &State, path: &[&str]) -> Response {
    let path = path.join("/");
    if let Some(version) = path.strip_suffix("/release.sha256") {
        let files = state
            .runners
            .files
            .iter()
            .filter_map(|(name, body)| Some((name.strip_prefix(version)?.strip_prefix('/')?, body)));
        let list: String = files.map(|(name, body)| format!("{} *{name}\n", cml::forge::hash(body))).collect();
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

/// `/repos/<place>/actions/runners…` and `/orgs/<place>/actions/runner…`.
pub fn github(state: &mut State, request: &Request, url: &str, place: &str, rest: &[&str]) -> Response {
    use github_shape::{error, not_found};
    let organisation = !place.contains('/');
    let known =
        if organisation { owner(Vendor::GitHub, place).is_some() } else { state.repo(Vendor::GitHub, place).is_some() };
    let needed = if organisation { "organization_self_hosted_runners=write" } else { "administration=write" };
    let refused = |text: &str| error(403, text).header("X-Accepted-GitHub-Permissions", needed);
    match access(Vendor::GitHub, request) {
        Some(Access::Full) if known => {}
        Some(Access::NoContents) if known => return refused("Resource not accessible by integration"),
        Some(_) if known => return refused("Resource not accessible by personal access token"),
        _ => return not_found(),
    }
    match (request.verb(), rest) {
        ("GET", ["runners"]) => github_list(state, request, url, place),
        ("GET", ["runners", "downloads"]) => github_downloads(state, url),
        ("POST", ["runners", "generate-jitconfig"]) => github_jit(state, request, place),
        ("GET", ["runner-groups"]) if organisation => {
            let group = |id: u64, name: &str| {
                json!({ "id": id, "name": name, "visibility": "all", "default": id == 1, "inherited": false,
                    "runners_url": format!("{url}/github/orgs/{place}/actions/runner-groups/{id}/runners"),
                    "allows_public_repositories": false, "restricted_to_workflows": false, "selected_workflows": [] })
            };
            Response::json(
                200,
                &json!({ "total_count": 2, "runner_groups": [group(1, "Default"), group(5, "Big GPUs")] }),
            )
        }
        (verb, ["runners", id]) => {
            let found =
                of(state, Vendor::GitHub, place).into_iter().find(|runner| runner.id.to_string() == *id).cloned();
            match (verb, found) {
                ("GET", Some(runner)) => Response::json(200, &github_json(&runner)),
                ("DELETE", Some(runner)) if runner.doing == Doing::Busy => {
                    error(422, &format!("Bad request - Runner \"{}\" is still running a job\"", runner.name))
                }
                ("DELETE", Some(runner)) => {
                    state.runners.all.retain(|other| other.id != runner.id);
                    Response::empty(204)
                }
                _ => not_found(),
            }
        }
        _ => not_found(),
    }
}

fn github_list(state: &State, request: &Request, url: &str, place: &str) -> Response {
    let mut all = of(state, Vendor::GitHub, place);
    if let Some(name) = request.param("name") {
        all.retain(|runner| runner.name == name);
    }
    let page = Page::of(request, ("per_page", 30, 100), all.len());
    let runners: Vec<Value> = page.items(&all).iter().map(|runner| github_json(runner)).collect();
    let answer = Response::json(200, &json!({ "total_count": all.len(), "runners": runners }));
    match page.links(url, request, &[("next", page.next())]) {
        Some(links) => answer.header("Link", links),
        None => answer,
    }
}

fn github_json(runner: &Runner) -> Value {
    let label = |(at, name): (usize, &String)| json!({ "id": at + 1, "name": name, "type": "custom" });
    let labels: Vec<Value> = runner.labels.iter().enumerate().map(label).collect();
    json!({ "id": runner.id, "name": runner.name, "os": "unknown", "runner_group_id": runner.request["runner_group_id"],
        "status": if runner.doing == Doing::Offline { "offline" } else { "online" }, "busy": runner.doing == Doing::Busy,
        "ephemeral": true, "labels": labels })
}

fn github_jit(state: &mut State, request: &Request, place: &str) -> Response {
    use github_shape::error;
    let body = request.json();
    for key in ["name", "runner_group_id", "labels"] {
        if body[key].is_null() {
            return error(422, &format!("Invalid input: object is missing required key: {key}"));
        }
    }
    let (name, group) = (body["name"].as_str().unwrap_or_default().to_owned(), body["runner_group_id"].as_u64());
    if name.chars().count() > 64 {
        return error(422, "Invalid Argument - Runner name is too long");
    }
    match group {
        Some(1) => {}
        Some(5) if !place.contains('/') => {}
        _ => return github_shape::not_found(),
    }
    if of(state, Vendor::GitHub, place).iter().any(|runner| runner.name.eq_ignore_ascii_case(&name)) {
        return error(409, &format!("Already exists - A runner with the name {name} already exists."));
    }
    let asked = body["labels"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_lowercase);
    let labels: Vec<String> = if state.runners.loses_labels { vec!["self-hosted".into()] } else { asked.collect() };
    let runner = add(state, Vendor::GitHub, place, &name, labels, body);
    Response::json(201, &json!({ "runner": github_json(&runner), "encoded_jit_config": jit(&runner.credential) }))
}

fn github_downloads(state: &State, url: &str) -> Response {
    let one = |(os, arch): (&str, &str)| {
        let name = format!("actions-runner-{os}-{arch}-2.336.0.tar.gz");
        let mut json = json!({ "os": os, "architecture": arch, "download_url": format!("{url}/downloads/{name}"), "filename": name });
        if !state.runners.no_checksums {
            let body = state.runners.files.get(&name).map_or(&b""[..], Vec::as_slice);
            json["sha256_checksum"] = json!(cml::forge::hash(body));
        }
        json
    };
    let all =
        [("osx", "x64"), ("linux", "x64"), ("linux", "arm"), ("win", "x64"), ("osx", "arm64"), ("linux", "arm64")];
    Response::json(200, &all.map(one).into_iter().collect())
}

/// What concerns runners in GitLab's API; `None` for everything else.
pub fn gitlab(state: &mut State, request: &Request, path: &[&str]) -> Option<Response> {
    use gitlab::error;
    let access = access(Vendor::GitLab, request);
    let (verb, full) = (request.verb(), access == Some(Access::Full));
    let place = |state: &mut State, kind: &str, name: &str| match kind {
        "projects" => state.repo(Vendor::GitLab, name).map(|(repo, _)| repo.slug.clone()),
        _ => owner(Vendor::GitLab, name).map(|(slug, _)| slug.to_owned()),
    };
    Some(match (verb, path) {
        // These two take other tokens than the user's.
        ("POST", ["runners"]) => gitlab_in_the_old_way(state, request),
        ("DELETE", ["runners"]) => {
            let token = request.field("token").unwrap_or_default();
            let before = state.runners.all.len();
            state.runners.all.retain(|runner| runner.credential != token);
            if state.runners.all.len() < before { Response::empty(204) } else { error(403, "403 Forbidden") }
        }
        (_, ["groups" | "runners" | "user", ..]) if access.is_none() => error(401, "401 Unauthorized"),
        (_, ["groups" | "runners", ..] | ["user", "runners"] | ["projects", _, "runners"])
            if access == Some(Access::Job) =>
        {
            error(401, "401 Unauthorized")
        }
        ("GET", ["groups", name]) => match owner(Vendor::GitLab, name) {
            Some((slug, id)) => {
                let mut group = json!({ "id": id, "name": slug, "path": slug.rsplit('/').next(), "full_path": slug, "visibility": "private" });
                if full {
                    group["runners_token"] = registration_token(state);
                }
                Response::json(200, &group)
            }
            None => error(404, "404 Group Not Found"),
        },
        ("POST", ["user", "runners"]) if state.runners.old_gitlab => {
            Response::json(404, &json!({ "error": "404 Not Found" }))
        }
        ("POST", ["user", "runners"]) if access == Some(Access::ReadOnly) => {
            let text = "The request requires higher privileges than provided by the access token.";
            Response::json(
                403,
                &json!({ "error": "insufficient_scope", "error_description": text, "scope": "create_runner api" }),
            )
        }
        ("POST", ["user", "runners"]) if !full => error(403, "403 Forbidden"),
        ("POST", ["user", "runners"]) => gitlab_create(state, request),
        ("GET", [kind @ ("projects" | "groups"), name, "runners"]) => {
            let place = place(state, kind, name)?;
            if full { gitlab_list(state, request, &place, kind) } else { error(403, "403 Forbidden") }
        }
        (_, ["runners", ..]) if !full => error(403, "403 Forbidden  - No access granted"),
        (verb, ["runners", id, rest @ ..]) => {
            let Some(runner) =
                state.runners.all.iter().find(|r| r.vendor == Vendor::GitLab && r.id.to_string() == *id).cloned()
            else {
                return Some(error(404, "404 Not found"));
            };
            match (verb, rest) {
                ("GET", []) => {
                    let mut json = gitlab_json(state, &runner);
                    json["tag_list"] = json!(runner.labels);
                    json["run_untagged"] = runner.request["run_untagged"].clone();
                    json["locked"] = runner.request["locked"].clone();
                    Response::json(200, &json)
                }
                ("GET", ["jobs"]) => {
                    let busy = runner.doing == Doing::Busy;
                    Response::json(200, &if busy { json!([{ "id": 1, "status": "running" }]) } else { json!([]) })
                }
                // GitLab removes busy ones too.
                ("DELETE", []) => {
                    state.runners.all.retain(|other| other.id != runner.id);
                    Response::empty(204)
                }
                _ => error(404, "404 Not found"),
            }
        }
        _ => return None,
    })
}

/// What a maintainer reads of a project or group.
pub fn registration_token(state: &State) -> Value {
    if state.runners.old_gitlab { json!(REGISTRATION_TOKEN) } else { Value::Null }
}

fn gitlab_create(state: &mut State, request: &Request) -> Response {
    let kind = request.field("runner_type").unwrap_or_default();
    let (kind, name) = match kind.as_str() {
        "project_type" => ("project_id", request.field("project_id")),
        "group_type" => ("group_id", request.field("group_id")),
        _ => return Response::json(400, &json!({ "error": "runner_type does not have a valid value" })),
    };
    let Some(name) = name.filter(|name| name.parse::<u64>().is_ok()) else {
        return Response::json(400, &json!({ "error": format!("{kind} is missing") }));
    };
    let place = match kind {
        "project_id" => state.repo(Vendor::GitLab, &name).map(|(repo, _)| repo.slug.clone()),
        _ => owner(Vendor::GitLab, &name).map(|(slug, _)| slug.to_owned()),
    };
    match place {
        Some(place) => gitlab_add(state, request, &place),
        None => gitlab::error(403, "403 Forbidden"),
    }
}

fn gitlab_in_the_old_way(state: &mut State, request: &Request) -> Response {
    if state.runners.no_registration_tokens || !state.runners.old_gitlab {
        return gitlab::error(410, "410 Gone - runner registration disallowed");
    }
    match request.field("token").as_deref() {
        Some(REGISTRATION_TOKEN) => gitlab_add(state, request, "group/model"),
        _ => gitlab::error(403, "403 Forbidden - invalid token supplied"),
    }
}

fn gitlab_add(state: &mut State, request: &Request, place: &str) -> Response {
    let tags = request.field("tag_list").unwrap_or_default();
    let tags: Vec<String> = tags.split(',').filter(|tag| !tag.is_empty()).map(str::to_owned).collect();
    if tags.is_empty() && request.field("run_untagged").as_deref() == Some("false") {
        let why = "can not be empty when runner is not allowed to pick untagged jobs";
        return Response::json(400, &json!({ "message": { "tags_list": [why] } }));
    }
    if request.field("maximum_timeout").is_some_and(|time| time.parse::<u64>().is_ok_and(|time| time < 600)) {
        return Response::json(400, &json!({ "message": { "maximum_timeout": ["needs to be at least 10 minutes"] } }));
    }
    let name = request.field("description").unwrap_or_default();
    let runner = add(state, Vendor::GitLab, place, &name, tags, request.json());
    Response::json(201, &json!({ "id": runner.id, "token": runner.credential, "token_expires_at": null }))
}

fn gitlab_list(state: &State, request: &Request, place: &str, kind: &str) -> Response {
    let tags = request.param("tag_list").unwrap_or_default();
    let has = |runner: &&&Runner| {
        tags.split(',').filter(|tag| !tag.is_empty()).all(|tag| runner.labels.iter().any(|label| label == tag))
    };
    let all: Vec<Runner> =
        of(state, Vendor::GitLab, place).iter().filter(has).map(|runner| (*runner).clone()).collect();
    let mut shared = Vec::new();
    if request.param("type").is_none() && kind == "projects" {
        shared.push(json!({ "id": 1, "description": "shared", "is_shared": true, "runner_type": "instance_type", "online": true, "status": "online" }));
    }
    let page = Page::of(request, ("per_page", 20, 100), all.len());
    let items = page.items(&all).iter().map(|runner| gitlab_json(state, runner));
    let next = page.next().map_or_else(String::new, |page| page.to_string());
    Response::json(200, &shared.into_iter().chain(items).collect())
        .header("X-Next-Page", next)
        .header("X-Total", all.len().to_string())
}

fn gitlab_json(state: &State, runner: &Runner) -> Value {
    let kind = if OWNERS.iter().any(|(_, slug, _)| *slug == runner.place) { "group_type" } else { "project_type" };
    let online = runner.doing != Doing::Offline;
    let mut json = json!({ "id": runner.id, "description": runner.name, "ip_address": "", "active": true, "paused": false,
        "is_shared": false, "runner_type": kind, "name": null, "online": if online { json!(true) } else { Value::Null },
        "status": if online { "online" } else { "never_contacted" } });
    if !state.runners.no_execution_status {
        json["job_execution_status"] = json!(if runner.doing == Doing::Busy { "active" } else { "idle" });
    }
    json
}

/// `/repositories/<place>/pipelines-config/runners…`, `/workspaces/<place>…`.
pub fn bitbucket(state: &mut State, request: &Request, url: &str, place: &str, rest: &[&str]) -> Response {
    use bitbucket::error;
    let workspace = !place.contains('/');
    let known = if workspace {
        owner(Vendor::Bitbucket, place).is_some()
    } else {
        state.repo(Vendor::Bitbucket, place).is_some()
    };
    if !known {
        return error(404, &format!("No workspace with identifier '{place}'."));
    }
    let access = access(Vendor::Bitbucket, request);
    let needed = if request.is_read() { "runner" } else { "runner:write" };
    if !rest.is_empty() && access != Some(Access::Full) {
        let (granted, text) = ("pullrequest", "Your credentials lack one or more required privilege scopes.");
        let detail = json!({ "granted": [granted], "required": [needed] });
        return Response::json(403, &json!({ "type": "error", "error": { "message": text, "detail": detail } }));
    }
    match (request.verb(), rest) {
        ("GET", []) => Response::json(
            200,
            &json!({ "type": "workspace", "slug": place, "name": place, "uuid": workspace_uuid(place) }),
        ),
        ("POST", ["pipelines-config", "runners"]) => bitbucket_create(state, request, place),
        ("GET", ["pipelines-config", "runners"]) => {
            let all = of(state, Vendor::Bitbucket, place);
            let page = Page::of(request, ("pagelen", 10, 100), all.len());
            let values: Vec<Value> = page.items(&all).iter().map(|runner| bitbucket_json(runner, false)).collect();
            let mut answer = json!({ "values": values, "pagelen": page.size, "size": page.total, "page": page.number });
            if let Some(next) = page.next() {
                answer["next"] = json!(page.url(url, request, next));
            }
            Response::json(200, &answer)
        }
        (verb, ["pipelines-config", "runners", uuid]) => {
            let found = of(state, Vendor::Bitbucket, place).into_iter().find(|runner| runner.uuid() == *uuid).cloned();
            match (verb, found) {
                ("GET", Some(runner)) => Response::json(200, &bitbucket_json(&runner, false)),
                ("DELETE", Some(runner)) => {
                    state.runners.all.retain(|other| other.id != runner.id);
                    Response::empty(204)
                }
                _ => error(404, "Runner not found"),
            }
        }
        _ => error(404, "Resource not found"),
    }
}

/// The identity of a workspace.
pub fn workspace_uuid(name: &str) -> String {
    let id = owner(Vendor::Bitbucket, name).map_or(0, |(_, id)| id);
    format!("{{00000000-0000-4000-c000-{id:012}}}")
}

fn bitbucket_create(state: &mut State, request: &Request, place: &str) -> Response {
    let body = request.json();
    let name = body["name"].as_str().unwrap_or_default().to_owned();
    let labels: Vec<String> =
        body["labels"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    let plain =
        |label: &String| label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.');
    if name.is_empty()
        || name.chars().count() > 50
        || !labels.iter().all(plain)
        || labels.first().is_none_or(|label| label != "self.hosted")
    {
        return bitbucket::error(400, "Bad request: the runner's name or labels are not valid");
    }
    let runner = add(state, Vendor::Bitbucket, place, &name, labels, body);
    Response::json(201, &bitbucket_json(&runner, true))
}

fn bitbucket_json(runner: &Runner, secret: bool) -> Value {
    let status = if runner.doing == Doing::Offline { "UNREGISTERED" } else { "ONLINE" };
    let mut client = json!({ "id": format!("client-{}", runner.id), "audience": "api.atlassian.com", "token_endpoint": "https://auth.atlassian.com/oauth/token" });
    if secret {
        client["secret"] = json!(runner.credential);
    }
    let created = runner.created_at.micros();
    json!({ "uuid": runner.uuid(), "name": runner.name, "labels": runner.labels, "created_on": created, "updated_on": created,
        "state": { "status": status, "updated_on": created, "cordoned": false }, "oauth_client": client })
}
