//! DVC's cache: files under their digests. A remote has the same names.
//! <https://dvc.org/doc/user-guide/project-structure/internal-files#structure-of-the-cache-directory>

use super::lock::Object;
use crate::metrics::{Value, json};

/// The folder of the cache, in the folder `.dvc`.
pub const FOLDER: &str = "cache";

/// Returns where a file is in the cache. DVC 2 kept it elsewhere.
pub fn path(object: &Object) -> String {
    let (first, rest) = object.md5.split_at(2);
    if object.is_old { format!("{first}/{rest}") } else { format!("files/md5/{first}/{rest}") }
}

/// Returns the files in a folder, by the list that the cache has of it: paths below it, and where they are.
///
/// # Errors
/// It is not such a list.
pub fn entries(list: &[u8], folder: &Object) -> Result<Vec<(String, Object)>, String> {
    let text = std::str::from_utf8(list).map_err(|error| error.to_string())?;
    let value = json::parse(text)?;
    let entry = |entry: &Value| {
        let path = entry.get("relpath")?.text()?;
        let object = Object::new(entry.get("md5")?.text()?, folder.is_old)?;
        Some((path.to_owned(), Object { remote: folder.remote.clone(), ..object }))
    };
    let entries = value.items().and_then(|items| items.iter().map(entry).collect());
    entries.ok_or_else(|| "expected a list of relpath and md5".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_under_their_digests() {
        let object = |is_old| Object::new("764efa883dda1e11db47671c4a3bbd9e", is_old).unwrap();
        assert_eq!(path(&object(false)), "files/md5/76/4efa883dda1e11db47671c4a3bbd9e");
        assert_eq!(path(&object(true)), "76/4efa883dda1e11db47671c4a3bbd9e");
        assert_eq!(Object::new("../../../etc/passwd", false), None);
    }

    #[test]
    fn folders_are_lists() {
        let folder = Object::new("00000000000000000000000000000000.dir", false).unwrap();
        let list = br#"[{"md5": "764efa883dda1e11db47671c4a3bbd9e", "relpath": "a/m.json"}]"#;
        let found = entries(list, &folder).unwrap();
        assert_eq!(found[0].0, "a/m.json");
        assert_eq!(found[0].1.md5, "764efa883dda1e11db47671c4a3bbd9e");
        assert!(entries(b"{}", &folder).is_err() && entries(b"[{}]", &folder).is_err());
    }
}
