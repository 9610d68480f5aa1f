//! `vl2png` and its like: on PATH at once, installed when one is first called. Python and pip are played.

use super::{VERSION, refused};
use crate::support::Ran;
use crate::support::node::Runner;
use std::os::unix::fs::PermissionsExt;

/// Notes what pip is asked for, which fails while there is a file `broken`; shows how a script is started.
const PYTHON: &str = r#"#!/bin/sh
case "$1" in
-m) echo "$*" >> pip; test ! -e broken || { echo 'no way to the index' >&2; exit 1; } ;;
*) echo "$PYTHONPATH|$*" ;;
esac
"#;

/// A job whose Python is that one.
fn job() -> Option<Runner> {
    let mut runner = Runner::named("it's an \"action\"", "$TEMP of `id`")?;
    program(&runner, "python3", PYTHON);
    let path = format!("{}:{}", runner.path("bin").display(), runner.env["PATH"]);
    runner.set("PATH", &path);
    Some(runner)
}

fn program(runner: &Runner, name: &str, text: &str) {
    let path = runner.path("bin").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// How often something was installed.
fn installed(runner: &Runner) -> usize {
    let asked = runner.read("work/pip");
    assert!(asked.lines().all(|line| line.contains(" --require-hashes ") && line.contains("vega.txt")), "{asked}");
    asked.lines().count()
}

#[track_caller]
fn works(runner: &Runner, ran: Ran) {
    let place = runner.temp.join("setup-cml-rs").join(VERSION).join("vega");
    let script = runner.action.join("dist/vega.py");
    assert_eq!(ran.ok(), format!("{}|{} vl2png -s 2 a  b.json\n", place.display(), script.display()));
}

const CALL: &str = "vl2png -s 2 'a  b.json'";

#[test]
fn the_tools_are_installed_when_one_is_first_called() {
    let Some(runner) = job() else { return };
    runner.uses(&[]).ok();
    assert_eq!(installed(&runner), 0, "setting up needs no network");
    for _ in 0..2 {
        works(&runner, runner.run(CALL));
    }
    assert!(runner.run("vl2svg").ok().ends_with(" vl2svg\n") && runner.run("vg2png").ok().ends_with(" vg2png\n"));
    assert_eq!(installed(&runner), 1);
}

#[test]
fn the_tools_are_installed_at_once_or_never_when_asked_to() {
    let Some(runner) = job() else { return };
    runner.uses(&[("vega", "true")]).ok();
    assert_eq!(installed(&runner), 1);
    works(&runner, runner.run(CALL));
    assert_eq!(installed(&runner), 1);
    let Some(runner) = job() else { return };
    runner.uses(&[("vega", "false")]).ok();
    assert_eq!((runner.run(CALL).code, installed(&runner)), (Some(127), 0));
}

#[test]
fn tools_of_the_machine_are_left_as_they_are() {
    let Some(runner) = job() else { return };
    program(&runner, "vl2png", "#!/bin/sh\necho own\n");
    runner.uses(&[]).ok();
    assert_eq!((runner.run(CALL).ok().as_str(), installed(&runner)), ("own\n", 0));
}

#[test]
fn tools_that_cannot_be_installed_are_an_error_each_time() {
    let Some(runner) = job() else { return };
    std::fs::write(runner.path("work/broken"), "").unwrap();
    let hint = "give the machine a Python from 3.8 with pip and a way to its package index, or set vega: false";
    let text = "pip cannot install the Vega tools:%0Ano way to the index";
    refused(&runner.uses(&[("vega", "true")]), 9, &format!("{text}%0Ahint: {hint}"));
    assert_eq!(runner.read("GITHUB_PATH"), "");
    runner.uses(&[]).ok();
    for _ in 0..2 {
        runner.run(CALL).fails(9, "pip cannot install the Vega tools:\nno way to the index", hint);
    }
    std::fs::remove_file(runner.path("work/broken")).unwrap();
    works(&runner, runner.run(CALL));
}
