//! `cml completions` in the real shells.

use crate::support::ignored::{is_native_only, skipped};
use crate::support::{Cml, Ran, is_wasm, native};
use std::process::Command;

const TYPE_TAB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/type_tab.py");

/// A folder with the script of a shell, and `cml` on the PATH; `None` where that shell is not.
fn with(shell: &str) -> Option<Cml> {
    if is_native_only() {
        return None;
    }
    let runs = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !runs(shell) || !runs("python3") {
        // Nothing of the project's needs these shells.
        if std::env::var_os("CI").is_none() || shell == "bash" {
            skipped(&format!("{shell}, or no Python"), &format!("apt-get install {shell} python3"));
        }
        return None;
    }
    let mut cml = Cml::alone();
    let program = native().parent().unwrap().display().to_string();
    let path = format!("{program}:{}", cml.env["PATH"]);
    cml.set("PATH", &path).set("TERM", "dumb");
    cml.file("script", cml.run(&["completions", shell]).ok());
    Some(cml)
}

/// Types into a shell until what is wanted is there.
fn types(cml: &Cml, (setup, keys, wanted): (&str, &str, &str), shell: &[&str]) {
    let mut command = Command::new("python3");
    command.args([TYPE_TAB, setup, keys, wanted]).args(shell);
    Ran::of(command.current_dir(cml.path()).env_clear().envs(&cml.env)).ok();
}

#[test]
fn bash_completes() {
    let Some(cml) = with("bash") else { return };
    let shell = ["bash", "--norc", "--noprofile", "-i"];
    for (keys, wanted) in [
        ("cml comment cr\\t", "cml comment create "),
        ("cml comment create --overflow t\\t", "--overflow truncate "),
        ("cml com\\t", "cml com"),
        ("cml tens\\tcon\\t--logd\\t", "cml tensorboard connect --logdir "),
        ("cml pr create --squ\\t", "cml pr create --squash "),
    ] {
        types(&cml, ("source ./script", keys, wanted), &shell);
    }
}

#[test]
fn zsh_completes() {
    let Some(cml) = with("zsh") else { return };
    let setup = "autoload -U compinit; compinit -u -D; source ./script";
    types(&cml, (setup, "cml comment cr\\t", "cml comment create "), &["zsh", "-f", "-i"]);
}

#[test]
fn fish_completes() {
    let Some(cml) = with("fish") else { return };
    let ask = |line: &str| {
        let script = format!("source ./script; complete -C '{line}'");
        let mut fish = Command::new("fish");
        Ran::of(fish.args(["--no-config", "-c", &script]).current_dir(cml.path()).env_clear().envs(&cml.env)).ok()
    };
    assert_eq!(ask("cml comment cr"), "create\tCreate a new comment from the report\n");
    assert_eq!(ask("cml pr create --squ"), "--squash\tSquash and merge when the checks have passed\n");
}

#[test]
fn every_shell_has_a_script_without_what_is_hidden() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = Cml::alone().run(&["completions", shell]);
        if is_wasm() {
            ran.fails(7, "this build of cml cannot generate completions", "use the native program*");
            continue;
        }
        let script = ran.ok();
        assert!(script.contains("watermark-title") && !script.contains("gitlab-uploads"), "{shell}: {script}");
    }
    let ran = Cml::alone().run(&["completions", "tcsh"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("invalid value 'tcsh' for '<SHELL>'"), "{ran:#?}");
}
