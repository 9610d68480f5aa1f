//! What a reader of the comment sees, and what left the machine for it.

use super::fake::{Forge, Target, Vendor};
use base64::Engine;

/// The newest comment of pull request 7, without the watermark and the white space before it.
pub fn posted(forge: &Forge, vendor: Vendor) -> String {
    let comments = forge.live_comments(vendor, &Target::Pull(7));
    let body = &comments.last().expect("a comment").body;
    let end = body.rfind("\n\n![](https://cml.dev/watermark.png#").expect("a watermark");
    body[..end].to_owned()
}

/// What stands in a text at the places where a template has an `@`; all else must be equal.
#[track_caller]
pub fn blanks(template: &str, text: &str) -> Vec<String> {
    let mut pieces = template.split('@');
    let mut rest = text.strip_prefix(pieces.next().unwrap()).unwrap_or_else(|| panic!("another beginning: {text}"));
    let mut found = Vec::new();
    for piece in pieces {
        let at = rest.find(piece).unwrap_or_else(|| panic!("{piece:?} was changed: {text}"));
        found.push(rest[..at].to_owned());
        rest = &rest[at + piece.len()..];
    }
    assert_eq!(rest, "", "something was added: {text}");
    found
}

/// A template with its blanks filled.
pub fn filled(template: &str, blanks: &[impl AsRef<str>]) -> String {
    let mut pieces = template.split('@');
    let first = pieces.next().unwrap().to_owned();
    assert_eq!(template.matches('@').count(), blanks.len());
    pieces.zip(blanks).fold(first, |text, (piece, blank)| text + blank.as_ref() + piece)
}

/// The bodies of the requests that carry a file, Base64 undone.
pub fn uploads(forge: &Forge) -> Vec<Vec<u8>> {
    let carries = ["/git/blobs", "/uploads", "/downloads", "/store"];
    let requests = forge.requests().into_iter();
    let found = requests.filter(|r| r.method == "POST" && carries.iter().any(|end| r.path.ends_with(end)));
    found
        .map(|request| {
            let content = request.json()["content"].as_str().map(str::to_owned);
            let decoded = content.and_then(|text| base64::prelude::BASE64_STANDARD.decode(text).ok());
            decoded.unwrap_or(request.body)
        })
        .collect()
}

/// Whether a secret left the machine, in whatever request.
pub fn leaked(forge: &Forge, secret: &[u8]) -> bool {
    let contains = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
    forge.requests().iter().any(|request| contains(&request.body)) || uploads(forge).iter().any(|body| contains(body))
}
