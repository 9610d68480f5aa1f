//! `dist/`: what GitHub's runner gets of this repository, made from source.
//!
//! Rust → WebAssembly (`[profile.wasm]`) → bindgen → wasm-opt → Brotli, beside the files of `action/` as they are. The
//! result depends on nothing but the sources and the compiler: `build.json` records both, and what came out.

use crate::shell::{self, Result, cargo, output, run};
use crate::{tools, wasm};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const DIST: &str = "dist";
/// Everything that decides what comes out.
const SOURCES: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "action",
    "build.rs",
    "patches",
    "src",
    "xtask/bindgen",
    "xtask/rustc",
    "xtask/src/dist.rs",
    "xtask/src/wasm.rs",
    "xtask/tools/binaryen",
];
/// Bytes; why: docs/adr/0007-aws-sdk-in-webassembly.md.
const LARGEST: u64 = 2_090_000;

/// Replaces a file by its compressed form.
const COMPRESS: &str = "const fs = require('fs'), { brotliCompressSync, constants } = require('zlib');
const file = process.argv[1], content = fs.readFileSync(file);
const params = { [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_SIZE_HINT]: content.length };
fs.writeFileSync(file + '.br', brotliCompressSync(content, { params }));
fs.unlinkSync(file);";
/// What bindgen writes to load the module, and what loads the compressed one.
const LOADING: [(&str, &str); 2] = [
    ("/cml_bg.wasm`", "/cml_bg.wasm.br`"),
    (
        "require('fs').readFileSync(wasmPath)",
        "require('zlib').brotliDecompressSync(require('fs').readFileSync(wasmPath))",
    ),
];

/// Makes it.
pub fn make() -> Result {
    make_in(Path::new(DIST))?;
    let size: u64 = files(Path::new(DIST))?.iter().filter_map(|path| Some(fs::metadata(path).ok()?.len())).sum();
    println!("{DIST}/: {size} bytes in all");
    (size <= LARGEST).then_some(()).ok_or(format!("{DIST}/ should not be larger than {LARGEST} bytes"))
}

/// Fails when the sources have moved on since `dist/` was made, or a file of it was changed by other means. Takes a second.
pub fn check() -> Result {
    let recorded = text(&Path::new(DIST).join("build.json"))?;
    if !recorded.contains(&record("sources", &sources()?)) {
        return Err(format!("{DIST}/ is older than its sources: run `cargo xtask dist` and commit what it makes"));
    }
    if !recorded.contains(&record("files", &made(Path::new(DIST))?)) {
        return Err(format!("a file of {DIST}/ is not what was made: run `cargo xtask dist` and commit what it makes"));
    }
    println!("{DIST}/ is made of these sources");
    Ok(())
}

/// The same, and fails when making it again gives anything else, where the compiler is the one that made it. Takes half an hour
/// from nothing.
pub fn compare() -> Result {
    check()?;
    if !text(&Path::new(DIST).join("build.json"))?.contains(&record("compiler", &wasm::compiler()?)) {
        println!("{DIST}/ was made by another compiler than this machine's: it is not made again and compared");
        return Ok(());
    }
    let again = Path::new("target/dist");
    make_in(again)?;
    for path in files(again)? {
        let made = Path::new(DIST).join(path.file_name().unwrap_or_default());
        if fs::read(&path).ok() != fs::read(&made).ok() {
            return Err(format!("{} is not what the sources make: run `cargo xtask dist`", made.display()));
        }
    }
    let count = (files(again)?.len(), files(Path::new(DIST))?.len());
    println!("{DIST}/ was made again: {} files, the same bytes", count.0);
    (count.0 == count.1).then_some(()).ok_or(format!("{DIST}/ has a file that nothing makes"))
}

/// Whether `dist/` is made of today's sources.
pub fn is_fresh() -> bool {
    let recorded = text(&Path::new(DIST).join("build.json"));
    matches!((recorded, sources()), (Ok(recorded), Ok(now)) if recorded.contains(&record("sources", &now)))
}

fn make_in(folder: &Path) -> Result {
    let (node, optimiser) = (tools::node()?, tools::npm("binaryen", "binaryen/bin/wasm-opt")?);
    // Here, as nothing else of .ci/run compiles for WebAssembly, or compiles bindgen.
    wasm::run("clippy")?;
    let module = wasm::module()?;
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut bindgen = cargo(&["run", "--quiet", "--locked", "--package", "bindgen", "--"]);
    run(bindgen.args([&module, folder]).envs(shell::clippy()))?;
    let wasm = folder.join("cml_bg.wasm");
    run(Command::new(&node).arg(optimiser).args(["-Oz", "--output"]).args([&wasm, &wasm]))?;
    run(Command::new(&node).args(["-e", COMPRESS]).arg(&wasm))?;
    let loader = folder.join("cml.js");
    let mut loads = text(&loader)?;
    for (from, to) in LOADING {
        let replaced = loads.replacen(from, to, 1);
        (replaced != loads).then_some(()).ok_or(format!("{}: bindgen no longer writes {from}", loader.display()))?;
        loads = replaced;
    }
    fs::write(&loader, loads).map_err(|e| format!("{}: {e}", loader.display()))?;
    for path in files(Path::new("action"))? {
        let to = folder.join(path.file_name().unwrap_or_default());
        fs::copy(&path, &to).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    let made_of =
        [record("sources", &sources()?), record("compiler", &wasm::compiler()?), record("files", &made(folder)?)];
    let text = format!("{{\n  {}\n}}\n", made_of.join(",\n  "));
    fs::write(folder.join("build.json"), text).map_err(|e| e.to_string())
}

fn record(name: &str, value: &str) -> String {
    format!("\"{name}\": \"{value}\"")
}

/// One hash of all sources.
fn sources() -> Result<String> {
    let mut paths = Vec::new();
    for source in SOURCES {
        paths.extend(files(Path::new(source))?);
    }
    hash(&paths, Path::new(""))
}

/// One hash of what was made in a folder, without the record of it.
fn made(folder: &Path) -> Result<String> {
    let mut paths = files(folder)?;
    paths.retain(|path| !path.ends_with("build.json"));
    hash(&paths, folder)
}

/// One hash of the names below a folder and the contents of files, as git makes them.
fn hash(paths: &[PathBuf], folder: &Path) -> Result<String> {
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string().replace('\\', "/")).collect();
    let list: Vec<&str> = ["hash-object", "--no-filters"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let hashes = output("git", &list).ok_or("git hash-object failed")?;
    let below = |path: &PathBuf| path.strip_prefix(folder).unwrap_or(path).display().to_string().replace('\\', "/");
    let lines: String =
        paths.iter().zip(hashes.lines()).map(|(path, hash)| format!("{hash} {}\n", below(path))).collect();
    let scratch = Path::new("target").join("sources");
    fs::create_dir_all("target").and_then(|()| fs::write(&scratch, lines)).map_err(|e| e.to_string())?;
    output("git", &["hash-object", "--no-filters", &scratch.display().to_string()]).ok_or("git failed".to_owned())
}

/// A file, or all files of a folder and those below, in one order everywhere.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    let entries = fs::read_dir(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut found = Vec::new();
    for entry in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if !entry.ends_with("__pycache__") {
            found.extend(files(&entry)?);
        }
    }
    found.sort();
    Ok(found)
}

fn text(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}
