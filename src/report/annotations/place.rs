//! Where a file is: from the root of the repository.

use std::path::Path;

/// Returns the path below the repository's root of a path, or a `file:` address; `None` when it lies elsewhere.
pub fn in_repository(text: &str, root: &Path) -> Option<String> {
    let path = match scheme(text) {
        Some(scheme) if scheme.eq_ignore_ascii_case("file") => of_file(&text["file:".len()..])?,
        Some(scheme) if text[scheme.len()..].starts_with("://") => return None,
        _ => text.to_owned(),
    };
    let path = path.replace('\\', "/");
    let relative =
        if path.starts_with('/') || path.as_bytes().get(1) == Some(&b':') { below(&path, root)? } else { &path };
    let mut parts: Vec<&str> = Vec::new();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// Returns what stands before the colon of an address; one letter is a drive of Windows.
pub fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let is_scheme = scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+.-".contains(&b));
    is_scheme.then_some(scheme)
}

/// Returns the path of a `file:` address: `///x`, `//host/x`, `/x`, which are absolute, or `x`.
fn of_file(rest: &str) -> Option<String> {
    let path = match rest.strip_prefix("//") {
        Some(named) => &named[named.find('/')?..],
        None => rest,
    };
    let path = decoded(path);
    // /C:/x is C:/x
    let is_drive = path.starts_with('/') && path.as_bytes().get(2) == Some(&b':');
    Some(if is_drive { path[1..].to_owned() } else { path })
}

fn below<'a>(path: &'a str, root: &Path) -> Option<&'a str> {
    let root = root.to_string_lossy().replace('\\', "/");
    let root = root.strip_prefix("//?/").unwrap_or(&root).trim_end_matches('/');
    let rest = path.strip_prefix(root).filter(|rest| rest.starts_with('/'))?;
    Some(rest)
}

/// Returns an address's path as a file's name.
pub fn decoded(path: &str) -> String {
    percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned()
}
