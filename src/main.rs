//! The native program: the real host, one thread, an exit code.
#![allow(clippy::disallowed_methods)]

#[cfg(not(target_arch = "wasm32"))]
fn main() -> std::process::ExitCode {
    use std::rc::Rc;
    let argv = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(_) => return std::process::ExitCode::from(cml::error::Kind::Internal.exit_code()),
    };
    let host = Rc::new(cml::host::native::Native::default());
    runtime.block_on(cml::run(host, argv)).into()
}

/// The WebAssembly build is a library: its entry is in `lib.rs`.
#[cfg(target_arch = "wasm32")]
fn main() {}
