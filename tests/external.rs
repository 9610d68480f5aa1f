//! `cml foo` runs `cml-foo` from PATH, as CML does.

use crate::support::{Cml, executable};
use std::io::Write;
use std::process::Stdio;

/// A folder on PATH with a program.
fn with(name: &str, text: &str) -> Cml {
    let mut cml = Cml::alone();
    executable(&cml.path().join("bin").join(name), format!("#!/bin/sh\n{text}\n"));
    let folders = format!("{}:{}", cml.path().join("bin").display(), cml.env["PATH"]);
    cml.set("PATH", &folders);
    cml
}

#[test]
fn a_program_of_somebody_elses_is_a_command() {
    let cml = with("cml-hello", "cat; echo \"$# $2\" >&2; exit 42");
    let mut child = cml.command(&["hello", "--name", "a  b"]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"in\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &*output.stdout, &*output.stderr), (Some(42), &b"in\n"[..], &b"2 a  b\n"[..]));
}

#[test]
fn our_own_commands_are_never_somebody_elses() {
    for name in ["comment", "send-comment", "runner", "publish", "ci"] {
        let cml = with(&format!("cml-{name}"), "echo other; exit 0");
        let ran = cml.run(&[name, "--nonsense"]);
        assert!(ran.code == Some(2) && !ran.stdout.contains("other"), "{name}: {ran:#?}");
    }
    let ran = with("cml-x", "exit 0").run(&["y"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("unrecognized subcommand 'y'"), "{ran:#?}");
    assert_eq!(with("cml-x", "exit 0").run(&["../cml-x"]).code, Some(2));
}
