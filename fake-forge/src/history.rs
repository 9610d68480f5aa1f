//! Commits and files of the real bare repository of a test, as the vendors' APIs show them:
//! <https://docs.github.com/en/rest/git/trees>, <https://docs.gitlab.com/api/repositories/>,
//! <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-source/>.

use super::http::Response;
use super::route::Call;
use super::state::Vendor;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

fn ask(bare: &Path, args: &[&str]) -> Option<Vec<u8>> {
    let output = Command::new("git").arg("--git-dir").arg(bare).args(args).output().expect("git");
    output.status.success().then_some(output.stdout)
}

fn text(bare: &Path, args: &[&str]) -> Option<String> {
    ask(bare, args).map(|bytes| String::from_utf8(bytes).unwrap().trim().to_owned())
}

/// The answer to a question about commits and files, where there is a bare repository that has one; the paths are a vendor's.
pub fn answer(call: &Call<'_>, path: &[&str]) -> Option<Response> {
    let bare = call.repo.bare.as_deref().filter(|_| call.request.verb() == "GET")?;
    let vendor = call.repo.vendor;
    let found = match (vendor, path) {
        (Vendor::GitHub, ["compare", range @ ..]) => {
            let range = range.join("/");
            let (one, other) = range.split_once("...")?;
            json!({ "merge_base_commit": base(bare, vendor, one, other)? })
        }
        (Vendor::GitHub, ["git", "trees", sha]) => {
            json!({ "sha": sha, "truncated": false, "tree": tree(bare, vendor, sha)? })
        }
        (Vendor::GitHub, ["git", "blobs", id]) | (Vendor::GitLab, ["repository", "blobs", id]) => {
            // Broken into lines, as GitHub does.
            let content = BASE64_STANDARD.encode(ask(bare, &["cat-file", "blob", id])?);
            let lines: Vec<&str> =
                content.as_bytes().chunks(60).map(|line| std::str::from_utf8(line).unwrap()).collect();
            json!({ "sha": id, "encoding": "base64", "content": lines.join("\n") })
        }
        (Vendor::GitHub, ["commits", revision @ ..]) => commit(bare, vendor, &revision.join("/"))?,
        (Vendor::GitLab, ["repository", "merge_base"]) => {
            let refs = call.request.params("refs[]");
            base(bare, vendor, refs.first()?, refs.get(1)?)?
        }
        (Vendor::GitLab, ["repository", "tree"]) => {
            let page: usize = call.request.param("page")?.parse().ok()?;
            let all = tree(bare, vendor, &call.request.param("ref")?)?;
            all.chunks(100).nth(page - 1).map_or(json!([]), |page| json!(page))
        }
        (Vendor::GitLab, ["repository", "commits", revision]) => commit(bare, vendor, revision)?,
        (Vendor::Bitbucket, ["commit", revision]) => commit(bare, vendor, revision)?,
        (Vendor::Bitbucket, ["merge-base", range]) => {
            let (one, other) = range.split_once("..")?;
            base(bare, vendor, one, other)?
        }
        (Vendor::Bitbucket, ["src", sha] | ["src", sha, ""]) => {
            // Pages of two.
            let page: usize = call.request.param("page").map_or(1, |page| page.parse().unwrap());
            let all = tree(bare, vendor, sha)?;
            let values = all.chunks(2).nth(page - 1).unwrap_or_default();
            let next = format!("{}/2.0/src/{sha}/?page={}", call.url, page + 1);
            let mut list = json!({ "pagelen": 2, "page": page, "values": values });
            if page * 2 < all.len() {
                list["next"] = next.into();
            }
            list
        }
        (Vendor::Bitbucket, ["src", sha, file @ ..]) => {
            let file = ask(bare, &["cat-file", "blob", &format!("{sha}:{}", file.join("/"))])?;
            return Some(Response::bytes(200, "application/octet-stream", file));
        }
        _ => return None,
    };
    Some(Response::json(200, &found))
}

fn base(bare: &Path, vendor: Vendor, one: &str, other: &str) -> Option<Value> {
    commit(bare, vendor, &text(bare, &["merge-base", one, other])?)
}

fn commit(bare: &Path, vendor: Vendor, revision: &str) -> Option<Value> {
    let line = text(bare, &["log", "-1", "--format=%H %cI %P", "--end-of-options", revision])?;
    let mut words = line.split(' ');
    let (sha, date) = (words.next()?, words.next()?);
    let parents: Vec<&str> = words.collect();
    let listed = |key: &str| parents.iter().map(|sha| json!({ key: sha })).collect::<Vec<_>>();
    Some(match vendor {
        Vendor::GitHub => json!({ "sha": sha, "commit": { "committer": { "date": date } }, "parents": listed("sha") }),
        Vendor::GitLab => json!({ "id": sha, "committed_date": date, "parent_ids": parents }),
        Vendor::Bitbucket => json!({ "type": "commit", "hash": sha, "date": date, "parents": listed("hash") }),
    })
}

fn tree(bare: &Path, vendor: Vendor, commit: &str) -> Option<Vec<Value>> {
    let listed = text(bare, &["ls-tree", "-r", "-t", "--full-tree", commit])?;
    let entry = |line: &str| {
        let (about, path) = line.split_once('\t').unwrap();
        let about: Vec<&str> = about.split(' ').collect();
        match vendor {
            Vendor::Bitbucket => {
                let kind = if about[1] == "blob" { "commit_file" } else { "commit_directory" };
                json!({ "type": kind, "path": path, "attributes": [] })
            }
            Vendor::GitHub => json!({ "mode": about[0], "type": about[1], "sha": about[2], "path": path }),
            Vendor::GitLab => json!({ "mode": about[0], "type": about[1], "id": about[2], "path": path }),
        }
    };
    Some(listed.lines().map(entry).collect())
}
