//! `multipart/form-data` bodies.

use super::http::{Request, decode};

/// A field of a form.
#[derive(Clone, Debug, Default)]
pub struct Part {
    pub name: String,
    /// Set for files only.
    pub filename: Option<String>,
    pub content_type: Option<String>,
    pub body: Vec<u8>,
}

/// The boundary of a multipart request.
pub fn boundary(request: &Request) -> Option<String> {
    let kind = request.header("content-type")?;
    let found = kind.strip_prefix("multipart/form-data")?.split(';').find_map(|part| {
        let (name, value) = part.trim().split_once('=')?;
        name.eq_ignore_ascii_case("boundary").then(|| value.trim_matches('"').to_owned())
    });
    found.filter(|boundary| !boundary.is_empty())
}

/// The parts of a multipart request; `None` if it is none, or broken.
pub fn parts(request: &Request) -> Option<Vec<Part>> {
    let boundary = boundary(request)?;
    let mark = format!("--{boundary}");
    let mut rest = request.body.strip_prefix(mark.as_bytes())?;
    let mut parts = Vec::new();
    let mark = format!("\r\n--{boundary}");
    while !rest.starts_with(b"--") {
        rest = rest.strip_prefix(b"\r\n")?;
        let end = find(rest, mark.as_bytes())?;
        parts.push(part(&rest[..end])?);
        rest = &rest[end + mark.len()..];
    }
    Some(parts)
}

fn part(bytes: &[u8]) -> Option<Part> {
    let split = find(bytes, b"\r\n\r\n")?;
    let mut part = Part { body: bytes[split + 4..].to_vec(), ..Part::default() };
    for line in String::from_utf8_lossy(&bytes[..split]).split("\r\n") {
        let (name, value) = line.split_once(':')?;
        match name.to_ascii_lowercase().as_str() {
            "content-type" => part.content_type = Some(value.trim().to_owned()),
            "content-disposition" => {
                part.name = parameter(value, "name")?;
                part.filename = extended(value).or_else(|| parameter(value, "filename"));
            }
            _ => {}
        }
    }
    Some(part)
}

/// A quoted parameter. Browsers, curl and reqwest write `%22` or `\"` for a quote.
fn parameter(value: &str, name: &str) -> Option<String> {
    let start = value.find(&format!("; {name}=\""))? + name.len() + 4;
    let mut out = String::new();
    let mut chars = value[start..].chars();
    loop {
        match chars.next()? {
            '"' => return Some(out.replace("%22", "\"")),
            '\\' => out.push(chars.next()?),
            other => out.push(other),
        }
    }
}

/// `filename*=UTF-8''…`, which has precedence.
fn extended(value: &str) -> Option<String> {
    let (_, rest) = value.split_once("filename*=")?;
    let (charset, rest) = rest.split_once("''")?;
    let encoded = rest.split(';').next()?;
    charset.eq_ignore_ascii_case("utf-8").then(|| decode(encoded.trim(), false))
}

/// Where a sequence of bytes begins in another.
pub fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
