//! Where a file is: from the root of the repository.

use std::path::Path;

/// The path below the repository's root of a path, or a `file:` address; `None` when it lies elsewhere.
pub fn in_repository(text: &str, root: &Path) -> Option<String> {
    let path = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") => {
            // file://host/path, mostly without a host
            let path = decoded(&rest[rest.find('/')?..]);
            // file:///C:/x is C:/x
            let drive = path.as_bytes().get(2) == Some(&b':');
            if drive { path[1..].to_owned() } else { path }
        }
        Some(_) => return None,
        None => text.to_owned(),
    };
    let path = path.replace('\\', "/");
    let relative = match path.starts_with('/') || path.as_bytes().get(1) == Some(&b':') {
        true => below(&path, root)?,
        false => &path,
    };
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

fn below<'a>(path: &'a str, root: &Path) -> Option<&'a str> {
    let root = root.to_string_lossy().replace('\\', "/");
    let root = root.strip_prefix("//?/").unwrap_or(&root).trim_end_matches('/');
    let rest = path.strip_prefix(root).filter(|rest| rest.starts_with('/'))?;
    Some(rest)
}

/// An address's path as a file's name.
pub fn decoded(path: &str) -> String {
    percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned()
}
