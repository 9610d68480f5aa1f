//! Large files of a repository: git-lfs asks where to put them, and puts them there. They are kept in the folder `lfs` of the
//! bare repository. <https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md>

use serde_json::{Value, json};
use std::path::Path;

use super::http::{Request, Response};

/// Answers what is below `/info/lfs/`. `own` is the request's own address up to there.
pub fn answer(request: &Request, bare: &Path, own: &str, rest: &[&str]) -> Response {
    let folder = bare.join("lfs");
    match (request.method.as_str(), rest) {
        ("POST", ["objects", "batch"]) => {
            let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            let objects = asked["objects"].as_array().into_iter().flatten().map(|object| {
                let href = format!("{own}/{}", object["oid"].as_str().unwrap_or_default());
                json!({ "oid": object["oid"], "size": object["size"], "actions": { "upload": { "href": href } } })
            });
            let answer = json!({ "transfer": "basic", "objects": objects.collect::<Vec<_>>() });
            Response::bytes(200, "application/vnd.git-lfs+json", answer.to_string())
        }
        ("PUT", [oid]) => {
            let kept = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(folder.join(oid), &request.body));
            kept.map_or_else(|_| Response::empty(500), |()| Response::empty(200))
        }
        // No locks, as with many servers.
        _ => Response::bytes(404, "application/vnd.git-lfs+json", "{\"message\":\"Not found\"}"),
    }
}
