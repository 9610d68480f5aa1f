//! DVC's own files: what a project declares, and where DVC keeps the files that git does not. Pure.
//!
//! [`pipeline`] reads `dvc.yaml`, with [`template`]s resolved; [`lock`] reads `dvc.lock` and `*.dvc`, which have the digests of files in
//! the [`cache`]. Paths are relative to the top of the repository, with `/`.
//! <https://dvc.org/doc/user-guide/project-structure>

pub mod cache;
pub mod config;
pub mod data;
pub mod lock;
pub mod params;
pub mod pipeline;
pub mod plots;
mod template;

/// The file with a pipeline.
pub const PIPELINE: &str = "dvc.yaml";
/// The parameters of a project that names no other file.
pub const PARAMS: &str = "params.yaml";

/// Returns the folder of a file; empty for the top.
pub fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Returns a path that is relative to a folder from the top, without `.` and `..`; `None` where it leads out.
pub fn join(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    // An absolute path is not in the repository.
    if path.starts_with('/') {
        return None;
    }
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_and_stay_inside() {
        for (folder, path, expected) in [
            ("", "a.json", Some("a.json")),
            ("sub/x", "../a.json", Some("sub/a.json")),
            ("sub", "./b//c", Some("sub/b/c")),
            ("sub", "../../a", None),
            ("sub", "/etc/passwd", None),
            ("sub", "..", Some("")),
        ] {
            assert_eq!(join(folder, path).as_deref(), expected, "{folder} {path}");
        }
        assert_eq!((super::folder("a/b.yaml"), super::folder("b.yaml")), ("a", ""));
    }
}
