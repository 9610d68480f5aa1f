//! What the step leaves on Windows: Node is told that it is there, the rest is this machine. The files are looked at,
//! as nothing here can run them.

use super::VERSION;
use crate::support::node::{Runner, node};

#[test]
fn programs_for_cmd_and_for_bash_are_left() {
    let Some(mut runner) = Runner::new() else { return };
    let hook = runner.path("windows.js");
    std::fs::write(&hook, "Object.defineProperty(process, 'platform', { value: 'win32' });").unwrap();
    runner.set("NODE_OPTIONS", &format!("--require {}", hook.display()));
    runner.uses(&[]).ok();
    let bin = runner.temp.join("setup-cml-rs").join(VERSION).join("bin");
    let backwards = |text: String| text.replace('/', "\\");
    assert_eq!(runner.read("GITHUB_PATH"), format!("{}\n", backwards(bin.display().to_string())));
    let script = runner.action.join("dist/index.js").display().to_string();
    let program = node().unwrap().display().to_string();
    let read = |name: &str| std::fs::read_to_string(bin.join(name)).unwrap();
    let started = format!("@\"{}\" \"{}\" \"cml\" %*\r\n", backwards(program.clone()), backwards(script.clone()));
    assert_eq!(read("cml.cmd"), started);
    assert_eq!(read("cml-send-comment.cmd"), started.replace("\"cml\"", "\"cml\" \"send-comment\""));
    assert_eq!(read("cml"), format!("#!/bin/sh\nexec '{program}' '{script}' 'cml' \"$@\"\n"));
    let tool = read("vl2png.cmd");
    let place = backwards(bin.with_file_name("vega").join("place").display().to_string());
    assert!(tool.starts_with("@echo off\r\nsetlocal\r\n") && tool.ends_with(" \"vl2png\" %*\r\n"), "{tool}");
    assert!(tool.contains(&format!("set /p PYTHONPATH=<\"{place}\"\r\n")), "{tool}");
}
