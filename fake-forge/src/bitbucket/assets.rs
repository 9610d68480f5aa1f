//! Downloads of a repository: <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-downloads/>.

use serde_json::json;

use super::super::http::{Response, encode};
use super::super::multipart;
use super::super::route::{Call, content_type};
use super::super::state::{BOT, File};
use super::{error, paged, user};

/// Lists the downloads, or takes the form's `files`; one of the same name is replaced.
pub fn downloads(call: &mut Call<'_>) -> Response {
    if call.request.is_read() {
        let api = format!("{}/bitbucket/2.0/repositories/{}/downloads", call.url, call.repo.slug);
        let newest_first: Vec<&File> = call.repo.files.iter().rev().collect();
        return paged(call, &newest_first, 100, |file| {
            json!({"type": "download", "name": file.name, "size": file.body.len(), "downloads": 0,
                "links": {"self": {"href": format!("{api}/{}", encode(&file.name))}}, "user": user(call.url, BOT)})
        });
    }
    let parts = multipart::parts(call.request).unwrap_or_default().into_iter();
    let files: Vec<multipart::Part> = parts.filter(|part| part.name == "files" && part.filename.is_some()).collect();
    if call.request.verb() != "POST" || files.is_empty() {
        return error(400, "You must provide at least one file");
    }
    for part in files {
        let name = part.filename.unwrap_or_default();
        call.repo.files.retain(|file| file.name != name);
        let content_type = part.content_type.unwrap_or_else(|| content_type(&name).to_owned());
        call.repo.keep(File { key: String::new(), name, content_type, disposition: None, body: part.body });
    }
    Response::empty(201)
}

/// Redirects to a download's bytes, or removes it.
pub fn download(call: &mut Call<'_>, name: &str) -> Response {
    if !call.repo.files.iter().any(|file| file.name == name) {
        return error(404, &format!("No download named {name}"));
    }
    if call.request.verb() == "DELETE" {
        call.repo.files.retain(|file| file.name != name);
        return Response::empty(204);
    }
    let location = format!("{}/{}/downloads/{}", call.url, call.repo.slug, encode(name));
    Response::empty(302).header("Location", location)
}
