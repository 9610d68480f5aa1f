//! The program as it is given to users.

use crate::shell::{Result, cargo, output, run};
use std::path::{Path, PathBuf};

// 14.5 with everything, of which PNGs are some 2.
const LARGEST_MIB: f64 = 15.0;

/// Builds it and looks at what came out. On Linux it is linked statically, so that it runs on any.
pub fn build() -> Result<PathBuf> {
    let mut command = cargo(&["build", "--release", "--bin", "cml", "--target-dir", "target"]);
    // clippy's driver, with which .ci/run compiles the tests, optimises less.
    command.env_remove("RUSTC_WORKSPACE_WRAPPER");
    if cfg!(target_os = "linux") {
        let target = target();
        let mut flags = "-C target-feature=+crt-static".to_owned();
        if target.ends_with("musl") {
            // 1.3 MiB less. Of glibc's, only newer ones know such relocations.
            flags += " -C link-arg=-Wl,-z,pack-relative-relocs";
        }
        command.args(["--target", &target]).env("RUSTFLAGS", flags);
    }
    run(&mut command)?;
    let path = path()?;
    inspect(&path)?;
    Ok(path)
}

/// Where it is when it has been built.
pub fn path() -> Result<PathBuf> {
    let target = if cfg!(target_os = "linux") { target() } else { String::new() };
    let program = format!("cml{}", std::env::consts::EXE_SUFFIX);
    std::path::absolute(Path::new("target").join(target).join("release").join(program)).map_err(|e| e.to_string())
}

/// musl's where rustup has it, which takes nothing of the machine into the program; else glibc's.
fn target() -> String {
    let target = |library: &str| format!("{}-unknown-linux-{library}", std::env::consts::ARCH);
    let musl = target("musl");
    let folder = output("rustc", &["--print", "target-libdir", "--target", &musl]);
    if folder.is_some_and(|folder| Path::new(&folder).exists()) { musl } else { target("gnu") }
}

fn inspect(path: &Path) -> Result {
    let file = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mib = file.len() as f64 / f64::from(1 << 20);
    let is_static = is_static_elf(&file);
    println!("{}\n{} bytes = {mib:.2} MiB, static: {is_static}", path.display(), file.len());
    if cfg!(target_os = "linux") && !is_static {
        return Err("the program asks for a loader: it should be static".to_owned());
    }
    let small = mib <= LARGEST_MIB;
    small.then_some(()).ok_or(format!("the program should not be larger than {LARGEST_MIB} MiB"))
}

/// Whether a 64-bit little-endian ELF file runs without a loader and its libraries: no program header names
/// one. A dynamic section proves nothing, as a static program that can lie anywhere in memory has one too.
fn is_static_elf(file: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    program_header_types(file).is_some_and(|types| !types.contains(&PT_INTERP))
}

fn program_header_types(file: &[u8]) -> Option<Vec<u32>> {
    file.strip_prefix(b"\x7fELF\x02\x01")?;
    let start = u64::from_le_bytes(bytes(file, 0x20)?) as usize;
    let size = u16::from_le_bytes(bytes(file, 0x36)?) as usize;
    let count = u16::from_le_bytes(bytes(file, 0x38)?) as usize;
    (0..count).map(|n| Some(u32::from_le_bytes(bytes(file, start + n * size)?))).collect()
}

fn bytes<const N: usize>(file: &[u8], at: usize) -> Option<[u8; N]> {
    file.get(at..)?.get(..N)?.try_into().ok()
}
