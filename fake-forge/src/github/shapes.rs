//! What GitHub's answers look like, whole: each field that its own description of the API asks for, see
//! `tests/openapi.rs`.

use serde_json::{Value, json};

use super::super::http::Response;
use super::super::pull_requests::title;
use super::super::route::Call;
use super::super::state::{Comment, PullRequest, PullState, Repo, Target};

const CREATED: &str = "2026-01-01T00:00:00Z";
const ENDED: &str = "2026-01-02T00:00:00Z";

pub fn state_name(pull: &PullRequest) -> &'static str {
    if pull.state == PullState::Open { "open" } else { "closed" }
}

pub fn label(repo: &Repo, pull: &PullRequest) -> String {
    let slug = pull.fork.as_deref().unwrap_or(&repo.slug);
    format!("{}:{}", slug.split('/').next().unwrap_or_default(), pull.branch)
}

/// An error as GitHub words it.
pub fn error(status: u16, message: &str) -> Response {
    let text = json!({"message": message, "documentation_url": "https://docs.github.com/rest",
        "status": status.to_string()});
    Response::json(status, &text)
}

/// GitHub's answer to everything unknown or hidden.
pub fn not_found() -> Response {
    error(404, "Not Found")
}

/// The id by which GraphQL knows a comment.
pub fn node_id(comment: &Comment) -> String {
    let kind = if matches!(comment.target, Target::Commit(_)) { "CC" } else { "IC" };
    format!("{kind}_kwDOFAKE{:08x}", comment.id)
}

pub fn comment_json(call: &Call<'_>, comment: &Comment) -> Value {
    let (id, slug, url) = (comment.id, &call.repo.slug, call.url);
    let api = format!("{url}/github/repos/{slug}");
    let mut json = json!({
        "id": id, "node_id": node_id(comment), "body": comment.body,
        "user": user(url, &comment.author), "author_association": "CONTRIBUTOR",
        "created_at": comment.created_at.seconds(), "updated_at": comment.updated_at.seconds(),
        "reactions": {"url": format!("{api}/issues/comments/{id}/reactions"), "total_count": 0, "+1": 0, "-1": 0,
            "laugh": 0, "hooray": 0, "confused": 0, "heart": 0, "rocket": 0, "eyes": 0},
    });
    let (path, page) = match &comment.target {
        Target::Pull(n) => (format!("issues/comments/{id}"), format!("pull/{n}#issuecomment-{id}")),
        Target::Issue(n) => (format!("issues/comments/{id}"), format!("issues/{n}#issuecomment-{id}")),
        Target::Commit(sha) => (format!("comments/{id}"), format!("commit/{sha}#commitcomment-{id}")),
    };
    json["url"] = json!(format!("{api}/{path}"));
    json["html_url"] = json!(format!("{url}/{slug}/{page}"));
    match &comment.target {
        Target::Pull(n) | Target::Issue(n) => {
            json["issue_url"] = json!(format!("{api}/issues/{n}"));
            json["performed_via_github_app"] = Value::Null;
        }
        Target::Commit(sha) => {
            json["commit_id"] = json!(sha);
            for field in ["path", "position", "line"] {
                json[field] = Value::Null;
            }
        }
    }
    json
}

pub fn pull_request(call: &Call<'_>, pull: &PullRequest) -> Value {
    let (number, slug, url) = (pull.number, &call.repo.slug, call.url);
    let api = format!("{url}/github/repos/{slug}");
    let (this, page) = (format!("{api}/pulls/{number}"), format!("{url}/{slug}/pull/{number}"));
    let merged = (pull.state == PullState::Merged).then_some(ENDED);
    let closed = (pull.state != PullState::Open).then_some(ENDED);
    let owner = |slug: &str| user(url, slug.split('/').next().unwrap_or_default());
    let head_slug = pull.fork.as_deref().unwrap_or(slug);
    let mut head_repo = repository(call);
    head_repo["full_name"] = json!(head_slug);
    head_repo["fork"] = json!(pull.fork.is_some());
    let main = call.repo.branch(&pull.base);
    let mut json = json!({
        "id": 5_000_000 + number, "node_id": format!("PR_kwDOFAKE{number:08x}"), "number": number,
        "url": this, "html_url": page, "diff_url": format!("{page}.diff"), "patch_url": format!("{page}.patch"),
        "issue_url": format!("{api}/issues/{number}"), "comments_url": format!("{api}/issues/{number}/comments"),
        "commits_url": format!("{this}/commits"), "review_comments_url": format!("{this}/comments"),
        "review_comment_url": format!("{api}/pulls/comments{{/number}}"),
        "statuses_url": format!("{api}/statuses/{}", pull.head_sha), "state": state_name(pull), "locked": false,
        "title": title(pull, "Pull request"), "body": pull.body, "draft": false, "user": user(url, "octocat"),
        "created_at": CREATED, "updated_at": CREATED, "closed_at": closed, "merged_at": merged,
        "merge_commit_sha": pull.merge_sha, "milestone": null, "assignee": null, "assignees": [],
        "requested_reviewers": [], "requested_teams": [], "labels": [], "author_association": "OWNER",
        "auto_merge": null, "active_lock_reason": null,
        "head": {"label": label(call.repo, pull), "ref": pull.branch, "sha": pull.head_sha,
            "user": owner(head_slug), "repo": head_repo},
        "base": {"label": format!("{}:{}", slug.split('/').next().unwrap_or_default(), pull.base), "ref": pull.base,
            "sha": main, "user": owner(slug), "repo": repository(call)},
    });
    let links = [
        ("self", "url"),
        ("html", "html_url"),
        ("issue", "issue_url"),
        ("comments", "comments_url"),
        ("review_comments", "review_comments_url"),
        ("review_comment", "review_comment_url"),
        ("commits", "commits_url"),
        ("statuses", "statuses_url"),
    ];
    for (name, field) in links {
        json["_links"][name] = json!({ "href": json[field] });
    }
    json
}

/// A pull request by itself.
pub fn full_pull_request(call: &Call<'_>, pull: &PullRequest) -> Value {
    let mut json = pull_request(call, pull);
    for field in ["additions", "deletions", "changed_files", "commits", "comments", "review_comments"] {
        json[field] = json!(1);
    }
    json["maintainer_can_modify"] = json!(false);
    json["mergeable"] = Value::Null;
    json["mergeable_state"] = json!("unknown");
    json["merged"] = json!(pull.state == PullState::Merged);
    json["merged_by"] = Value::Null;
    json
}

/// What stands in each repository's `…_url` after its own address.
const REPOSITORY_URLS: [(&str, &str); 37] = [
    ("archive_url", "/{archive_format}{/ref}"),
    ("assignees_url", "/assignees{/user}"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("branches_url", "/branches{/branch}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("comments_url", "/comments{/number}"),
    ("commits_url", "/commits{/sha}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("contents_url", "/contents/{+path}"),
    ("contributors_url", "/contributors"),
    ("deployments_url", "/deployments"),
    ("downloads_url", "/downloads"),
    ("events_url", "/events"),
    ("forks_url", "/forks"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("hooks_url", "/hooks"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("issue_events_url", "/issues/events{/number}"),
    ("issues_url", "/issues{/number}"),
    ("keys_url", "/keys{/key_id}"),
    ("labels_url", "/labels{/name}"),
    ("languages_url", "/languages"),
    ("merges_url", "/merges"),
    ("milestones_url", "/milestones{/number}"),
    ("notifications_url", "/notifications{?since,all,participating}"),
    ("pulls_url", "/pulls{/number}"),
    ("releases_url", "/releases{/id}"),
    ("stargazers_url", "/stargazers"),
    ("statuses_url", "/statuses/{sha}"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("tags_url", "/tags"),
    ("teams_url", "/teams"),
    ("trees_url", "/git/trees{/sha}"),
    ("url", ""),
];

/// A repository as other objects have it.
pub fn repository(call: &Call<'_>) -> Value {
    let (slug, url) = (&call.repo.slug, call.url);
    let (owner, name) = slug.split_once('/').unwrap_or(("", slug));
    let (page, host) = (format!("{url}/{slug}"), url.split("//").last().unwrap_or_default());
    let mut json = json!({
        "id": call.repo.id, "node_id": format!("R_kgDOFAKE{:08x}", call.repo.id), "name": name, "full_name": slug,
        "owner": user(url, owner), "private": true, "visibility": "private", "fork": false, "default_branch": "main",
        "html_url": page, "description": null, "homepage": null, "language": null, "license": null, "topics": [],
        "clone_url": format!("{page}.git"), "git_url": format!("git://{host}/{slug}.git"), "svn_url": page,
        "ssh_url": format!("git@{host}:{slug}.git"), "mirror_url": null, "size": 108, "archived": false,
        "disabled": false, "is_template": false, "allow_forking": true, "web_commit_signoff_required": false,
        "created_at": CREATED, "updated_at": CREATED, "pushed_at": CREATED, "forks": 0, "forks_count": 0,
        "stargazers_count": 0, "watchers": 0, "watchers_count": 0,
        "permissions": {"admin": false, "maintain": false, "push": true, "triage": true, "pull": true},
    });
    let open = call.repo.issues.len() + call.repo.pulls.values().filter(|pull| pull.state == PullState::Open).count();
    for field in ["open_issues", "open_issues_count"] {
        json[field] = json!(open);
    }
    for (what, is_on) in [("issues", true), ("projects", true), ("wiki", true), ("downloads", true), ("pages", false)] {
        json[format!("has_{what}")] = json!(is_on);
    }
    json["has_discussions"] = json!(false);
    for (field, path) in REPOSITORY_URLS {
        json[field] = json!(format!("{url}/github/repos/{slug}{path}"));
    }
    json
}

/// A repository by itself.
pub fn full_repository(call: &Call<'_>) -> Value {
    let mut json = repository(call);
    for field in ["network_count", "subscribers_count"] {
        json[field] = json!(0);
    }
    json
}

/// An account, whole enough for strict clients. Names with `[bot]` are bots.
pub fn user(url: &str, login: &str) -> Value {
    let api = format!("{url}/github/users/{login}");
    let id = login.bytes().fold(7_u64, |sum, byte| (sum * 31 + u64::from(byte)) % 100_000_000);
    let mut json = json!({
        "login": login, "id": id, "node_id": format!("U_kgDO{id:08x}"), "gravatar_id": "", "site_admin": false,
        "avatar_url": format!("{url}/avatars/u/{id}"), "html_url": format!("{url}/{login}"), "url": api,
        "type": if login.ends_with("[bot]") { "Bot" } else { "User" }, "user_view_type": "public",
    });
    for (field, path) in [
        ("followers_url", "followers"),
        ("following_url", "following{/other_user}"),
        ("gists_url", "gists{/gist_id}"),
        ("starred_url", "starred{/owner}{/repo}"),
        ("subscriptions_url", "subscriptions"),
        ("organizations_url", "orgs"),
        ("repos_url", "repos"),
        ("events_url", "events{/privacy}"),
        ("received_events_url", "received_events"),
    ] {
        json[field] = json!(format!("{api}/{path}"));
    }
    json
}
