//! Uploads of a project: <https://docs.gitlab.com/api/project_markdown_uploads/>.

use serde_json::json;

use super::super::http::Response;
use super::super::multipart;
use super::super::route::{Call, content_type};
use super::super::state::File;

/// `POST uploads`: the form's `file`.
pub fn upload(call: &mut Call<'_>) -> Response {
    let parts = multipart::parts(call.request).unwrap_or_default();
    let Some(part) = parts.into_iter().find(|part| part.name == "file" && part.filename.is_some()) else {
        return Response::json(400, &json!({"error": "file is missing"}));
    };
    let keep = |c: char| if c.is_alphanumeric() || "._-+".contains(c) { c } else { '_' };
    let name: String = part.filename.unwrap_or_default().chars().map(keep).collect();
    let guessed = content_type(&name);
    let shown = guessed.starts_with("image/") || guessed.starts_with("video/");
    let file = call.repo.keep(File {
        key: String::new(),
        name: name.clone(),
        content_type: part.content_type.unwrap_or_else(|| guessed.to_owned()),
        disposition: None,
        body: part.body,
    });
    let path = format!("/uploads/{}/{name}", file.key);
    let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
    let alt = if shown { stem } else { &name };
    let mark = if shown { "!" } else { "" };
    let json = json!({
        "id": call.desk.id(), "alt": alt, "url": path,
        "full_path": format!("/-/project/{}{path}", call.repo.id), "markdown": format!("{mark}[{alt}]({path})"),
    });
    Response::json(201, &json)
}
