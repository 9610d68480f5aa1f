//! The first container of a pod: it has the program and nothing else.

use crate::support::ignored::is_native_only;
use crate::support::{Cml, Ran};
use std::os::unix::fs::PermissionsExt;

fn unpack(cml: &Cml, wait: &str) -> Ran {
    let from = ["runner", "unpack", "--config", "secret/launch.json", "--wait", wait];
    cml.run(&[&from[..], &["--launch-file", "run/launch.json", "--program", "opt/cml"]].concat())
}

/// Real: the program, which copies itself.
#[test]
fn it_leaves_the_program_and_the_configuration_for_the_second() {
    if is_native_only() {
        return;
    }
    let cml = Cml::alone();
    cml.file("secret/launch.json", "{\"v\":2}");
    let ran = unpack(&cml, "60");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:#?}");
    assert_eq!(cml.read("run/launch.json"), "{\"v\":2}");
    let mode = |name: &str| std::fs::metadata(cml.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("run/launch.json"), mode("opt/cml") & 0o111), (0o600, 0o111));
    let version = std::process::Command::new(cml.path().join("opt/cml")).arg("--version").output().unwrap();
    assert!(version.status.success());
}

#[test]
fn it_gives_up_where_the_launcher_was_killed() {
    if is_native_only() {
        return;
    }
    let cml = Cml::alone();
    unpack(&cml, "1").fails(
        12,
        "there is no bootstrap configuration secret/launch.json after waiting 1 s",
        "the launcher was killed*",
    );
}
