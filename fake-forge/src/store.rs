//! A server as `https://asset.cml.dev` is: POST the bytes of a file, read its URL from the answer's body.

use super::http::{Request, Response};
use super::state::{File, State, keep};

/// `POST /store` keeps a file; `GET /store/<key>` gives it back with the same headers.
pub fn route(state: &mut State, request: &Request, url: &str, path: &[&str]) -> Response {
    match (request.verb(), path) {
        ("POST" | "PUT", [] | [""]) => {
            let file = keep(&mut state.store, received(request));
            let link = format!("{url}/store/{}", file.key);
            let status = if state.desk.switches.store_fails { 500 } else { 200 };
            Response::bytes(status, "text/plain; charset=utf-8", link)
        }
        ("GET", [key]) => match state.store.iter().find(|file| file.key == *key) {
            Some(file) => {
                let answer = Response::bytes(200, &file.content_type, file.body.clone());
                let disposition = file.disposition.as_deref().unwrap_or("inline");
                answer.header("Content-Disposition", disposition)
            }
            None => Response::bytes(404, "text/plain", "Not Found"),
        },
        _ => Response::bytes(405, "text/plain", "Method Not Allowed"),
    }
}

fn received(request: &Request) -> File {
    let disposition = request.header("content-disposition").map(str::to_owned);
    let name = disposition.as_deref().and_then(|text| text.split_once("filename=")).map_or("", |(_, name)| name);
    File {
        key: String::new(),
        name: name.trim_matches('"').to_owned(),
        content_type: request.header("content-type").unwrap_or("application/octet-stream").to_owned(),
        disposition,
        body: request.body.clone(),
    }
}
