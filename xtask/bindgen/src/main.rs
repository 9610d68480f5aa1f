//! `bindgen IN.wasm FOLDER`: the JavaScript between Node and the WebAssembly. A program of its own, because
//! what it needs takes minutes to build and only `cargo xtask dist` needs it.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)] // it is all about files and telling

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [module, folder] = &args[..] else {
        eprintln!("bindgen IN.wasm FOLDER");
        std::process::exit(2);
    };
    let mut bindgen = wasm_bindgen_cli_support::Bindgen::new();
    let made = bindgen.input_path(module).out_name("cml").typescript(false).nodejs(true);
    let made = made.and_then(|bindgen| bindgen.remove_producers_section(true).generate(folder));
    if let Err(error) = made {
        eprintln!("{error:?}");
        std::process::exit(1);
    }
}
