//! `dvc.lock` and `*.dvc`: the digests of files, at every commit.
//! <https://dvc.org/doc/user-guide/project-structure/dvcyaml-files#dvclock-file>

use super::{join, pipeline::Stage};
use crate::metrics::Value;
use std::collections::BTreeMap;

/// A file or folder in DVC's cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its digest; that of a folder ends in `.dir`.
    pub md5: String,
    /// Whether DVC 2 wrote it, which kept files elsewhere.
    pub is_old: bool,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// How many files a folder has.
    pub files: Option<u64>,
    /// The remote that it is in, where that is not the default one.
    pub remote: Option<String>,
}

impl Object {
    /// Returns the object with a digest, if it is one.
    pub fn new(md5: &str, is_old: bool) -> Option<Self> {
        let digest = md5.strip_suffix(".dir").unwrap_or(md5);
        let is_sound = digest.len() == 32 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_sound.then(|| Object { md5: md5.to_owned(), is_old, size: None, files: None, remote: None })
    }

    /// Returns whether it is a folder.
    pub fn is_folder(&self) -> bool {
        self.md5.ends_with(".dir")
    }
}

/// The objects of outputs, by path.
pub type Objects = BTreeMap<String, Object>;

/// Returns the outputs that `dvc.lock` has of some stages.
pub fn outputs(lock: &Value, stages: &[Stage]) -> Objects {
    let mut found = Objects::new();
    for stage in stages {
        let locked = lock.get("stages").and_then(|all| all.get(&stage.name));
        add(locked.and_then(|stage| stage.get("outs")), &stage.folder, &mut found);
    }
    found
}

/// Returns the outputs of a file `*.dvc` in a folder.
pub fn of_file(file: &Value, folder: &str) -> Objects {
    let mut found = Objects::new();
    let folder = file.get("wdir").and_then(Value::text).map_or(Some(folder.to_owned()), |wdir| join(folder, wdir));
    add(file.get("outs"), &folder.unwrap_or_default(), &mut found);
    found
}

fn add(outputs: Option<&Value>, folder: &str, found: &mut Objects) {
    for output in outputs.and_then(Value::items).unwrap_or_default() {
        let path = output.get("path").and_then(Value::text).and_then(|path| join(folder, path));
        let is_old = output.get("hash").is_none();
        let object = output.get("md5").and_then(Value::text).and_then(|md5| Object::new(md5, is_old));
        let number = |key| output.get(key).and_then(Value::to_f64).map(|number| number as u64);
        let remote = output.get("remote").and_then(Value::text).map(str::to_owned);
        let object = object.map(|object| Object { size: number("size"), files: number("nfiles"), remote, ..object });
        found.extend(path.zip(object));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::yaml;

    #[test]
    fn outputs_are_relative_to_their_stage() {
        let text = "schema: '2.0'\nstages:\n  train:\n    cmd: x\n    outs:\n    - path: ../m.json\n      hash: md5\n      md5: 764efa883dda1e11db47671c4a3bbd9e\n      size: 3\n    - path: old\n      md5: 00000000000000000000000000000000.dir\n  gone:\n    outs:\n    - path: x\n      md5: 764efa883dda1e11db47671c4a3bbd9e\n";
        let stages = [Stage { name: "train".to_owned(), folder: "sub/src".to_owned() }];
        let found = outputs(&yaml::parse(text).unwrap(), &stages);
        let object = |md5: &str, is_old| Object::new(md5, is_old).unwrap();
        let file = Object { size: Some(3), ..object("764efa883dda1e11db47671c4a3bbd9e", false) };
        assert_eq!(found["sub/m.json"], file);
        assert_eq!(found["sub/src/old"], object("00000000000000000000000000000000.dir", true));
        assert!(found.len() == 2 && found["sub/src/old"].is_folder());
        let one = yaml::parse("outs:\n- md5: 764efa883dda1e11db47671c4a3bbd9e\n  hash: md5\n  path: m.csv\n").unwrap();
        assert_eq!(of_file(&one, "data").keys().collect::<Vec<_>>(), ["data/m.csv"]);
    }
}
