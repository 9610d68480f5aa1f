//! `action/native.json`: the native programs of a release, so that the action runs no other.

use crate::shell::{Result, output};
use std::fs;
use std::path::Path;

const RECORD: &str = "action/native.json";

/// Records the files `cml-<os>-<arch>` of a folder, with the names that `Host::platform` gives: `cml-linux-x86_64`,
/// `cml-macos-aarch64`, `cml-windows-x86_64.exe`.
pub fn record(folder: &str) -> Result {
    let entries = fs::read_dir(folder).map_err(|e| format!("{folder}: {e}"))?;
    let mut rows = Vec::new();
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(platform) = name.strip_prefix("cml-").filter(|rest| rest.split('-').count() == 2) else {
            return Err(format!("{} is not called cml-<os>-<arch>", path.display()));
        };
        let (platform, digest) = (platform.trim_end_matches(".exe"), sha256(&path)?);
        rows.push(format!("    \"{platform}\": {{ \"name\": \"{name}\", \"sha256\": \"{digest}\" }}"));
    }
    rows.sort();
    if rows.is_empty() {
        return Err(format!("{folder} has no programs"));
    }
    let text = format!("{{\n  \"files\": {{\n{}\n  }}\n}}\n", rows.join(",\n"));
    fs::write(RECORD, text).map_err(|e| format!("{RECORD}: {e}"))?;
    println!(
        "{RECORD} has {} programs: now make dist/ with `cargo xtask dist`, and the components with `cargo xtask docs`",
        rows.len()
    );
    Ok(())
}

fn sha256(path: &Path) -> Result<String> {
    let path = path.display().to_string();
    let told = output("sha256sum", &[&path]).or_else(|| output("shasum", &["-a", "256", &path]));
    let digest =
        told.and_then(|line| line.split_whitespace().next().map(|word| word.trim_start_matches('\\').to_owned()));
    digest.filter(|digest| digest.len() == 64).ok_or(format!("{path}: neither sha256sum nor shasum works"))
}
