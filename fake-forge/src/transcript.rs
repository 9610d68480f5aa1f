//! The requests as text for snapshots: the same for every run, and readable as a lesson in the protocol.

use serde_json::{Map, Value};

use super::http::Request;
use super::multipart;
use super::record::Recorded;

/// Headers that say something about the protocol, in the order in which they are shown.
const SHOWN: [&str; 8] = [
    "accept",
    "authorization",
    "content-disposition",
    "content-type",
    "job-token",
    "private-token",
    "proxy-authorization",
    "x-github-api-version",
];

/// Writes the requests one after the other. `url` becomes `http://forge`, secrets become `***`.
///
/// Two kinds of neighbours are sorted, because clients send them at the same time in no certain order: reads of one
/// path (the pages of a list), and uploads to one path with the read of GitHub's ref for them.
pub fn transcript(requests: &[Recorded], url: &str) -> String {
    let mut entries: Vec<Entry> = requests.iter().map(|recorded| Entry::new(recorded, url)).collect();
    for run in entries.chunk_by_mut(|a, b| a.group.is_some() && a.group == b.group) {
        let key =
            |entry: &Entry| (!entry.text.starts_with("GET "), entry.path.len(), entry.path.clone(), entry.text.clone());
        run.sort_by_key(key);
    }
    let texts: Vec<String> = entries.into_iter().map(|entry| format!("{}-> {}\n", entry.text, entry.end)).collect();
    texts.join("\n")
}

struct Entry {
    /// Method and path, for requests whose order among neighbours means nothing.
    group: Option<String>,
    path: String,
    text: String,
    end: String,
}

impl Entry {
    fn new(recorded: &Recorded, url: &str) -> Entry {
        let neutral = |text: &str| text.replace(url, "http://forge");
        let path = neutral(&recorded.path);
        let mut text = format!("{} {path}\n", recorded.method);
        for name in SHOWN {
            let values = recorded.headers.iter().filter(|(key, _)| key == name);
            for (_, value) in values {
                text.push_str(&format!("{name}: {}\n", neutral(&shown(name, value))));
            }
        }
        let body = body(recorded);
        if !body.is_empty() {
            text.push_str(&format!("\n{}\n", neutral(&body)));
        }
        let route = path.split('?').next().unwrap_or_default();
        let upload = ["/git/blobs", "/uploads", "/downloads", "/store"].iter().any(|end| route.ends_with(end));
        let git = route.ends_with("/git/ref/cml/assets") || route.ends_with("/git/blobs");
        let name = || if git { "git".to_owned() } else { format!("{} {route}", recorded.method) };
        let group = (recorded.method == "GET" || upload).then(name);
        let status = match recorded.status {
            0 => "no answer".to_owned(),
            status => status.to_string(),
        };
        let end = recorded.fault.map_or(status.clone(), |fault| format!("{status} ({fault})"));
        Entry { group, path, text, end }
    }
}

/// A header's value without secrets and random parts.
fn shown(name: &str, value: &str) -> String {
    match name {
        "private-token" | "job-token" => "***".to_owned(),
        "authorization" | "proxy-authorization" => match value.split_once(' ') {
            Some((scheme, _)) => format!("{scheme} ***"),
            None => "***".to_owned(),
        },
        "content-type" => match value.split_once("boundary=") {
            Some((before, _)) => format!("{before}boundary=BOUNDARY"),
            None => value.to_owned(),
        },
        _ => value.to_owned(),
    }
}

fn body(recorded: &Recorded) -> String {
    let request = Request { headers: recorded.headers.clone(), body: recorded.body.clone(), ..Request::default() };
    if let Some(parts) = multipart::parts(&request) {
        let texts = parts.into_iter().map(|part| {
            let file = part.filename.map(|name| format!("; filename=\"{name}\"")).unwrap_or_default();
            let kind = part.content_type.map(|kind| format!("\ncontent-type: {kind}")).unwrap_or_default();
            let body = plain(&part.body);
            format!("--BOUNDARY\nform-data; name=\"{}\"{file}{kind}\n\n{body}", part.name)
        });
        return texts.collect::<Vec<String>>().join("\n");
    }
    match serde_json::from_slice::<Value>(&recorded.body) {
        Ok(json) => serde_json::to_string_pretty(&tidy(json)).unwrap_or_default(),
        Err(_) => plain(&recorded.body),
    }
}

/// Short text as it is, anything else by its size.
fn plain(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.len() <= 2000 && !text.contains('\0') => text.to_owned(),
        _ => format!("<{} bytes>", bytes.len()),
    }
}

/// Sorts keys, and shortens Base64 and very long texts.
fn tidy(json: Value) -> Value {
    match json {
        Value::Object(map) => {
            let encoded = map.get("encoding").is_some_and(|encoding| encoding == "base64");
            let mut pairs: Vec<(String, Value)> = map.into_iter().collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            let tidied = pairs.into_iter().map(|(key, value)| match value {
                Value::String(text) if encoded && key == "content" => {
                    (key, Value::from(format!("<{} characters of Base64>", text.len())))
                }
                other => (key, tidy(other)),
            });
            Value::Object(tidied.collect::<Map<String, Value>>())
        }
        Value::Array(items) => items.into_iter().map(tidy).collect(),
        Value::String(text) if text.chars().count() > 4000 => {
            let start: String = text.chars().take(80).collect();
            Value::from(format!("{start}… <{} characters>", text.chars().count()))
        }
        other => other,
    }
}
