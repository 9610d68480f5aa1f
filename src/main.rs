//! The native program: the real host, one thread, an exit code.
#![allow(clippy::disallowed_methods)]

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

#[cfg(not(target_arch = "wasm32"))]
fn main() -> std::process::ExitCode {
    use std::rc::Rc;
    let argv: Vec<String> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    #[cfg(unix)]
    if argv.get(1).is_some_and(|word| word == cml::host::native::guard::SUBCOMMAND) {
        return std::process::ExitCode::from(u8::from(!cml::host::native::guard::main()));
    }
    let host = Rc::new(cml::host::native::Native::default());
    let spare = cml::host::native::check_descriptors();
    let runtime = spare.and_then(|()| tokio::runtime::Builder::new_current_thread().enable_all().build());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return cml::cannot_start(host, &error).into(),
    };
    match &argv[..] {
        [_, word] if word == cml::pipe::SUBCOMMAND => runtime.block_on(cml::pipe::run(host)),
        [_, word, _, ..] if word == cml::action::VEGA => runtime.block_on(cml::action::run_vega(host, &argv[2..])),
        _ => runtime.block_on(cml::run(host, argv)),
    }
    .into()
}

/// The WebAssembly build is a library: its entry is in `lib.rs`.
#[cfg(target_arch = "wasm32")]
fn main() {}
