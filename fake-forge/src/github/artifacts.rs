//! Artifacts of runs: <https://docs.github.com/en/rest/actions/artifacts>.

use serde_json::json;

use super::super::artifacts::Kept;
use super::super::http::Response;
use super::super::page::Page;
use super::super::route::Call;
use super::shapes::{error, not_found};

/// `/repos/{owner}/{repo}/actions/artifacts/…`
pub fn route(call: &Call<'_>, path: &[&str]) -> Response {
    match (call.request.verb(), path) {
        ("GET", []) => list(call),
        ("GET", [id, "zip"]) => match call.repo.kept_one(id) {
            Some(kept) if kept.is_expired => error(410, "Artifact has expired"),
            Some(_) => {
                let location = format!("{}/-/archives/{}/{id}", call.url, call.repo.slug);
                Response::empty(302).header("Location", location)
            }
            None => not_found(),
        },
        _ => not_found(),
    }
}

fn list(call: &Call<'_>) -> Response {
    let name = call.request.param("name");
    let all: Vec<(u64, &Kept)> =
        call.repo.kept().filter(|(_, kept)| name.as_ref().is_none_or(|name| *name == kept.name)).collect();
    let page = Page::of(call.request, ("per_page", 30, 100), all.len());
    let shape = |(id, kept): &(u64, &Kept)| {
        let api = format!("{}/github/repos/{}/actions/artifacts/{id}", call.url, call.repo.slug);
        let head = if kept.of_fork { call.repo.id + 1000 } else { call.repo.id };
        json!({
            "id": id, "node_id": format!("MDg6QXJ0aWZhY3Q{id}"), "name": kept.name, "size_in_bytes": kept.archive.len(),
            "url": api, "archive_download_url": format!("{api}/zip"), "expired": kept.is_expired,
            "created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-04-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
            "workflow_run": { "id": id, "repository_id": call.repo.id, "head_repository_id": head,
                "head_branch": kept.branch, "head_sha": kept.commit },
        })
    };
    let artifacts = page.items(&all).iter().map(shape).collect::<Vec<_>>();
    Response::json(200, &json!({ "total_count": all.len(), "artifacts": artifacts }))
}
