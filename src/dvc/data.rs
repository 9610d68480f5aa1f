//! What changed in the data that DVC keeps, by what `dvc.lock` and `*.dvc` files say. Pure.

use super::lock::{Object, Objects};
use crate::metrics::python::significant;
use std::collections::BTreeSet;

/// A file or folder whose content is not the same in two versions.
#[derive(Debug, PartialEq, Eq)]
pub struct DataChange<'a> {
    /// Its path.
    pub path: &'a str,
    /// What it was; `None` where it is new.
    pub old: Option<&'a Object>,
    /// What it is; `None` where it is gone.
    pub new: Option<&'a Object>,
}

/// Returns what changed, sorted by path.
pub fn changes<'a>(old: &'a Objects, new: &'a Objects) -> Vec<DataChange<'a>> {
    let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let one = |path: &'a String| DataChange { path, old: old.get(path), new: new.get(path) };
    let digest = |object: Option<&'a Object>| object.map(|object| &object.md5);
    paths.into_iter().map(one).filter(|change| digest(change.old) != digest(change.new)).collect()
}

impl DataChange<'_> {
    /// Returns the cells of a table: the path, the old and the new version, and what changed.
    pub fn cells(&self) -> [String; 4] {
        let cell = |object: Option<&Object>| object.map_or_else(|| "-".to_owned(), describe);
        [self.path.to_owned(), cell(self.old), cell(self.new), self.difference()]
    }

    fn difference(&self) -> String {
        let (Some(old), Some(new)) = (self.old, self.new) else {
            return if self.new.is_some() { "new" } else { "removed" }.to_owned();
        };
        let parts = [(old.size, new.size, size as fn(u64) -> String), (old.files, new.files, files)];
        let parts = parts.into_iter().filter_map(|(old, new, shown)| {
            let (old, new) = (old?, new?);
            let sign = if new > old { '+' } else { '-' };
            (old != new).then(|| format!("{sign}{}", shown(old.abs_diff(new))))
        });
        let parts: Vec<String> = parts.collect();
        if parts.is_empty() { "content".to_owned() } else { parts.join(", ") }
    }
}

fn describe(object: &Object) -> String {
    let parts = object.size.map(size).into_iter().chain(object.files.map(files));
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() { object.md5.chars().take(7).collect() } else { parts.join(", ") }
}

fn files(count: u64) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

/// Returns a size as people read it, with three digits.
fn size(bytes: u64) -> String {
    let (mut number, mut unit) = (bytes as f64, "B");
    for larger in ["kB", "MB", "GB", "TB"] {
        // As it would be shown.
        if number < 999.5 {
            break;
        }
        (number, unit) = (number / 1000.0, larger);
    }
    let number = if number < 1000.0 { significant(number, 3) } else { format!("{number:.0}") };
    format!("{number} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        let sizes = [0, 1, 999, 1000, 1234, 999_499, 999_500, 1_234_567, 5_000_000_000, 7_654_321_000_000_000];
        let expected = ["0 B", "1 B", "999 B", "1 kB", "1.23 kB", "999 kB", "1 MB", "1.23 MB", "5 GB", "7654 TB"];
        assert_eq!(sizes.map(size), expected);
    }

    #[test]
    fn what_changed_has_both_sizes() {
        let object = |digit: &str, size, files| {
            let md5 = digit.repeat(32) + if files > 0 { ".dir" } else { "" };
            Object {
                size: Some(size),
                files: Some(files).filter(|files| *files > 0),
                ..Object::new(&md5, false).unwrap()
            }
        };
        let of = |objects: &[(&str, Object)]| -> Objects {
            objects.iter().map(|(path, object)| ((*path).to_owned(), object.clone())).collect()
        };
        let unknown = Object::new(&"d".repeat(32), false).unwrap();
        let old = of(&[
            ("gone", object("a", 10, 0)),
            ("images", object("b", 3_000_000, 10)),
            ("model", object("c", 500, 0)),
            ("same", object("a", 1, 0)),
            ("url", object("a", 1, 0)),
        ]);
        let new = of(&[
            ("images", object("c", 3_300_000, 9)),
            ("model", object("d", 500, 0)),
            ("new", object("e", 1, 1)),
            ("same", object("a", 1, 0)),
            ("url", unknown),
        ]);
        let found: Vec<String> = changes(&old, &new).iter().map(|change| change.cells().join(" | ")).collect();
        let expected = [
            "gone | 10 B | - | removed",
            "images | 3 MB, 10 files | 3.3 MB, 9 files | +300 kB, -1 file",
            "model | 500 B | 500 B | content",
            "new | - | 1 B, 1 file | new",
            "url | 1 B | ddddddd | content",
        ];
        assert_eq!(found, expected);
    }
}
