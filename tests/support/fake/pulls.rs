//! Opening and merging pull requests on each vendor, over a real bare repository, which is also served to git.
//!
//! <https://docs.github.com/rest/pulls/pulls>, <https://docs.gitlab.com/api/merge_requests/>,
//! <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pullrequests/>.

use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::auth::{Access, grant, password};
use super::github_shapes::{error as github_error, full_pull_request};
use super::http::{Request, Response};
use super::route::Call;
use super::state::{PullRequest, PullState, Repo, State, Target, Vendor};
use super::{bitbucket, gitlab, gitlab_actions, lfs};

/// What git prints about a bare repository, if it succeeds.
fn ask(bare: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("--git-dir").arg(bare).args(args).output().expect("git");
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl Repo {
    /// The commit of a branch.
    pub fn branch(&self, name: &str) -> Option<String> {
        match &self.bare {
            Some(bare) => ask(bare, &["rev-parse", "--verify", "--quiet", &format!("refs/heads/{name}")]),
            None => self.git.refs.get(&format!("refs/heads/{name}")).cloned(),
        }
    }

    fn ahead(&self, source: &str, target: &str) -> bool {
        let range = format!("refs/heads/{target}..refs/heads/{source}");
        self.bare.as_deref().and_then(|bare| ask(bare, &["rev-list", "--count", &range])).is_none_or(|n| n != "0")
    }

    fn open_pull(&self, source: &str, target: &str) -> Option<&PullRequest> {
        let same = |pull: &&PullRequest| pull.branch == source && pull.base == target && pull.fork.is_none();
        self.pulls.values().find(|pull| pull.state == PullState::Open && same(pull))
    }

    fn open(&mut self, source: &str, target: &str, title: &str, body: &str) -> PullRequest {
        let number = self.pulls.keys().max().map_or(1, |last| last + 1);
        let head = self.branch(source).unwrap_or_default();
        let mut pull = PullRequest::open(number, &head, source);
        (pull.base, pull.title, pull.body) = (target.to_owned(), Some(title.to_owned()), Some(body.to_owned()));
        self.add_pull(pull.clone());
        pull
    }

    fn merge(&mut self, number: u64) -> PullRequest {
        let pull = self.pulls.get_mut(&number).expect("a known pull request");
        (pull.state, pull.merge_sha) = (PullState::Merged, Some(pull.head_sha.clone()));
        pull.clone()
    }
}

fn text(json: &Value, pointer: &str) -> String {
    json.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

pub fn github_create(call: &mut Call<'_>) -> Response {
    let json = call.request.json();
    let (source, target) = (text(&json, "/head"), text(&json, "/base"));
    let invalid = |problem: Value| {
        let errors = json!([problem]);
        Response::json(
            422,
            &json!({"message": "Validation Failed", "errors": errors, "status": "422",
            "documentation_url": "https://docs.github.com/rest/pulls/pulls#create-a-pull-request"}),
        )
    };
    let custom = |message: String| invalid(json!({"resource": "PullRequest", "code": "custom", "message": message}));
    for (field, branch) in [("head", &source), ("base", &target)] {
        if call.repo.branch(branch).is_none() {
            return invalid(json!({"resource": "PullRequest", "field": field, "code": "invalid"}));
        }
    }
    if call.repo.open_pull(&source, &target).is_some() {
        let owner = call.repo.slug.split('/').next().unwrap_or_default();
        return custom(format!("A pull request already exists for {owner}:{source}."));
    }
    if !call.repo.ahead(&source, &target) {
        return custom(format!("No commits between {target} and {source}"));
    }
    let pull = call.repo.open(&source, &target, &text(&json, "/title"), &text(&json, "/body"));
    Response::json(201, &full_pull_request(call, &pull))
}

pub fn github_merge(call: &mut Call<'_>, number: u64) -> Response {
    match call.repo.pulls.get(&number) {
        None => github_error(404, "Not Found"),
        Some(pull) if pull.state != PullState::Open => github_error(405, "Pull Request is not mergeable"),
        Some(_) => {
            let pull = call.repo.merge(number);
            let answer = json!({"sha": pull.merge_sha, "merged": true, "message": "Pull Request successfully merged"});
            Response::json(200, &answer)
        }
    }
}

pub fn github_auto_merge(state: &mut State, variables: &Value, access: Access) -> Response {
    let refuse = |kind: &str, message: &str| {
        let errors = json!([{"type": kind, "path": ["enablePullRequestAutoMerge"], "message": message}]);
        Response::json(200, &json!({"data": {"enablePullRequestAutoMerge": null}, "errors": errors}))
    };
    if access != Access::Full {
        return refuse("FORBIDDEN", "Resource not accessible by integration");
    }
    let has_it = state.desk.switches.auto_merge;
    let id = text(variables, "/id");
    let repos = state.repos.values_mut().filter(|repo| repo.vendor == Vendor::GitHub);
    let mut pulls = repos.flat_map(|repo| repo.pulls.values_mut());
    let Some(pull) = pulls.find(|pull| format!("PR_kwDOFAKE{:08x}", pull.number) == id) else {
        return refuse("NOT_FOUND", &format!("Could not resolve to a node with the global id of '{id}'"));
    };
    if !has_it {
        return refuse("UNPROCESSABLE", "Auto merge is not allowed for this repository");
    }
    pull.auto_merge = Some(text(variables, "/method"));
    let answer = json!({"pullRequest": {"number": pull.number}});
    Response::json(200, &json!({"data": {"enablePullRequestAutoMerge": answer}}))
}

pub fn gitlab_create(call: &mut Call<'_>) -> Response {
    let field = |name| call.request.field(name).unwrap_or_default();
    let (source, target, title) = (field("source_branch"), field("target_branch"), field("title"));
    if let Some(other) = call.repo.open_pull(&source, &target) {
        let text = format!("Another open merge request already exists for this source branch: !{}", other.number);
        return Response::json(409, &json!({"message": [text]}));
    }
    if call.repo.branch(&source).is_none() {
        return Response::json(400, &json!({"message": {"source_branch": ["does not exist"]}}));
    }
    let number = call.repo.open(&source, &target, &title, &field("description")).number;
    let stored = gitlab_actions::perform(call.repo, &Target::Pull(number), &field("description"));
    let pull = call.repo.pulls.get_mut(&number).expect("just opened");
    pull.body = Some(stored);
    let pull = pull.clone();
    Response::json(201, &gitlab::merge_request(call, &pull))
}

/// Without a pipeline to wait for `auto_merge` is refused: <https://gitlab.com/gitlab-org/gitlab/-/issues/355455>.
pub fn gitlab_merge(call: &mut Call<'_>, iid: &str) -> Response {
    let number: u64 = iid.parse().unwrap_or_default();
    let Some(pull) = call.repo.pulls.get_mut(&number) else { return gitlab::error(404, "404 Not found") };
    let has = |name| call.request.field(name).is_some_and(|value| value == "true");
    let waits = has("auto_merge") || has("merge_when_pipeline_succeeds");
    if pull.state != PullState::Open || (waits && !call.desk.switches.auto_merge) {
        return gitlab::error(405, "405 Method Not Allowed");
    }
    let pull = match waits {
        true => {
            pull.auto_merge = Some(if has("squash") { "SQUASH" } else { "MERGE" }.to_owned());
            pull.clone()
        }
        false => call.repo.merge(number),
    };
    Response::json(200, &gitlab::merge_request(call, &pull))
}

pub fn bitbucket_create(call: &mut Call<'_>) -> Response {
    let json = call.request.json();
    let (source, target) = (text(&json, "/source/branch/name"), text(&json, "/destination/branch/name"));
    for (side, branch) in [("source", &source), ("destination", &target)] {
        if call.repo.branch(branch).is_none() {
            // In these words: <https://github.com/jenkins-x/jx/issues/3374>.
            let (field, says) = (format!("branch not found: {branch}"), format!("{side}: branch not found: {branch}"));
            return Response::json(
                400,
                &json!({"type": "error", "error": {"fields": {side: [field]}, "message": says}}),
            );
        }
    }
    if !call.repo.ahead(&source, &target) {
        return bitbucket::error(400, "There are no changes to be pulled");
    }
    // An open one of the same branches is changed.
    let there = call.repo.open_pull(&source, &target).cloned();
    let pull =
        there.unwrap_or_else(|| call.repo.open(&source, &target, &text(&json, "/title"), &text(&json, "/description")));
    Response::json(201, &bitbucket::pull_request(call, &pull))
}

pub fn bitbucket_merge(call: &mut Call<'_>, number: u64) -> Response {
    match call.repo.pulls.get(&number) {
        None => bitbucket::error(404, "Resource not found"),
        Some(pull) if pull.state != PullState::Open => bitbucket::error(400, "This pull request is already closed."),
        Some(_) => {
            let mut pull = call.repo.merge(number);
            pull.auto_merge = Some(text(&call.request.json(), "/merge_strategy"));
            call.repo.add_pull(pull.clone());
            Response::json(200, &bitbucket::pull_request(call, &pull))
        }
    }
}

/// Whether a path is one of git's smart HTTP protocol.
pub fn is_git(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    ["/info/refs", "/git-upload-pack", "/git-receive-pack"].iter().any(|end| path.ends_with(end))
        || path.contains("/info/lfs/")
}

/// git's own server, behind the vendors' ways of asking for credentials.
pub fn git(state: &mut State, request: &Request, url: &str, path: &[&str]) -> Response {
    let (repository, rest) = path.split_at(path.iter().position(|word| *word == "info").unwrap_or(path.len() - 1));
    let repository = repository.join("/");
    let slug = repository.trim_end_matches(".git");
    let found = Vendor::ALL.into_iter().find_map(|vendor| {
        let (repo, _) = state.repo(vendor, slug)?;
        Some((vendor, repo.bare.clone()?))
    });
    let Some((vendor, bare)) = found else { return Response::bytes(404, "text/plain", "Repository not found.") };
    let credentials: Vec<&str> =
        request.headers.iter().filter(|(name, _)| name == "authorization").map(|(_, value)| value.as_str()).collect();
    let secret = match credentials[..] {
        [] => None,
        [one] => one.strip_prefix("Basic "),
        _ => return Response::bytes(400, "text/plain", "Duplicate header: \"Authorization\""),
    };
    let Some(access) = secret.and_then(|secret| access(vendor, secret)) else {
        return Response::bytes(401, "text/plain", "HTTP Basic: Access denied")
            .header("WWW-Authenticate", "Basic realm=\"Git\"");
    };
    let writes = request.target.contains("git-receive-pack") || rest.starts_with(&["info", "lfs"]);
    if writes && access != Access::Full {
        return Response::bytes(403, "text/plain", "Write access to repository not granted.");
    }
    match rest {
        ["info", "lfs", rest @ ..] => lfs::answer(request, &bare, &format!("{url}/{repository}/info/lfs"), rest),
        _ => backend(request, &bare, &rest.join("/")),
    }
}

fn access(vendor: Vendor, secret: &str) -> Option<Access> {
    use base64::Engine as _;
    let pair = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(secret).ok()?).ok()?;
    let users = ["x-token-auth", "x-bitbucket-api-token-auth"];
    let known = vendor != Vendor::Bitbucket || users.contains(&pair.split(':').next()?);
    grant(&password(secret)?).filter(|_| known)
}

/// Hands a request to `git http-backend`: <https://git-scm.com/docs/git-http-backend>.
fn backend(request: &Request, bare: &Path, service: &str) -> Response {
    let header = |name: &str| request.header(name).unwrap_or_default().to_owned();
    let (_, query) = request.target.split_once('?').unwrap_or_default();
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", bare)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", format!("/{service}"))
        .env("REMOTE_USER", "cml-bot")
        .env("REQUEST_METHOD", &request.method)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("git http-backend");
    let mut stdin = child.stdin.take().expect("a pipe");
    let body = request.body.clone();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&body)));
    let output = child.wait_with_output().expect("git http-backend");
    let _ = writer.join();
    let end = output.stdout.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_default();
    let mut answer = Response::empty(200);
    for line in String::from_utf8_lossy(&output.stdout[..end]).lines() {
        match line.split_once(": ") {
            Some(("Status", status)) => answer.status = status[..3].parse().unwrap_or(500),
            Some((name, value)) => answer = answer.header(name, value),
            None => {}
        }
    }
    answer.body = output.stdout.get(end + 4..).unwrap_or_default().to_vec();
    answer
}
