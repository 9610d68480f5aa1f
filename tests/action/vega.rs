//! `vl2png` and its like: on PATH at once, installed when one is first called. Python and pip are played, except in
//! the tests at the end: those have real ones, and the real package in the folder that `CML_TEST_WHEELS` names.

use super::{VERSION, refused};
use crate::support::ignored::skipped;
use crate::support::node::Runner;
use crate::support::{Ran, executable};

/// Notes what pip is asked for, which fails while there is a file `broken`; shows how a script is started, and its input if that is asked for.
const PYTHON: &str = r#"#!/bin/sh
case "$1" in
-m) echo "$*" >> pip; test ! -e broken || { echo 'no way to the index' >&2; exit 1; } ;;
*) echo "$PYTHONPATH|$*"; case "$*" in *\ read) cat ;; esac ;;
esac
"#;

/// A job whose Python is that one.
fn job() -> Option<Runner> {
    let mut runner = Runner::named("it's an \"action\"", "$TEMP of `id`")?;
    play_python(&mut runner);
    Some(runner)
}

/// Puts that Python on PATH.
pub fn play_python(runner: &mut Runner) {
    program(runner, "python3", PYTHON);
    let path = format!("{}:{}", runner.path("bin").display(), runner.env["PATH"]);
    runner.set("PATH", &path);
}

fn program(runner: &Runner, name: &str, text: &str) {
    executable(&runner.path("bin").join(name), text);
}

/// How often something was installed.
pub fn installed(runner: &Runner) -> usize {
    let asked = runner.read("work/pip");
    assert!(asked.lines().all(|line| line.contains(" --require-hashes ") && line.contains("vega.txt")), "{asked}");
    asked.lines().count()
}

#[track_caller]
fn works(runner: &Runner, ran: Ran) {
    let folder = runner.temp.join("setup-cml-rs").join(VERSION).join("vega");
    let place = std::fs::read_to_string(folder.join("place")).unwrap();
    assert!(place.starts_with(&folder.display().to_string()), "{place}");
    let script = runner.action.join("dist/vega.py");
    assert_eq!(ran.ok(), format!("{}|{} vl2png -s 2 a  b.json\n", place.trim(), script.display()));
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
fn first_calls_at_the_same_time_do_not_get_in_each_others_way() {
    let Some(runner) = job() else { return };
    runner.uses(&[]).ok();
    let at_once = runner.run("for n in 1 2 3; do vl2png $n > out$n & done; wait; cat out1 out2 out3").ok();
    assert_eq!(at_once.lines().count(), 3, "{at_once}");
    let places: std::collections::HashSet<&str> = at_once.lines().map(|line| line.split('|').next().unwrap()).collect();
    assert!(places.iter().all(|place| !place.is_empty()), "{at_once}");
    works(&runner, runner.run(CALL));
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
    let hint = "the machine needs Python 3.8 or later with pip and access to a package index; or set vega: false";
    let text = "pip cannot install the Vega tools:%0Ano way to the index";
    refused(&runner.uses(&[("vega", "true")]), 9, &format!("{text}%0Ahint: {hint}"));
    assert_eq!(runner.read("GITHUB_PATH"), "");
    runner.uses(&[]).ok();
    for _ in 0..2 {
        runner.run(CALL).fails(9, "pip cannot install the Vega tools: no way to the index", hint);
    }
    std::fs::remove_file(runner.path("work/broken")).unwrap();
    works(&runner, runner.run(CALL));
}

/// A plot as `dvc plots diff --targets logs.csv --show-vega` prints it.
pub const PLOT: &str = r##"{"$schema": "https://vega.github.io/schema/vega-lite/v5.json", "data": {"values": [
    {"step": "0", "loss": "0.5", "rev": "workspace"}, {"step": "1", "loss": "0.25", "rev": "workspace"}, {"step": "0", "loss": "1", "rev": "HEAD"}]},
    "title": {"text": "logs.csv", "anchor": "middle"}, "params": [{"name": "grid", "select": "interval", "bind": "scales"}],
    "width": 300, "height": 300, "mark": {"type": "line", "tooltip": {"content": "data"}}, "encoding": {
    "x": {"field": "step", "type": "quantitative", "title": "step"},
    "y": {"field": "loss", "type": "quantitative", "title": "loss", "scale": {"zero": false}},
    "color": {"field": "rev", "scale": {"domain": ["workspace", "HEAD"], "range": ["#945dd6", "#13adc7"]}}, "strokeDash": {},
    "tooltip": [{"field": "rev"}, {"field": "step"}, {"field": "loss"}]}}"##;

#[test]
fn a_plot_of_dvcs_is_drawn_at_once() {
    let Some(runner) = job() else { return };
    runner.uses(&[]).ok();
    std::fs::write(runner.path("work/plot.json"), PLOT).unwrap();
    let svg = runner.run("vl2svg plot.json").ok();
    assert!(svg.starts_with("<svg ") && svg.contains(">logs.csv<") && svg.contains(">HEAD<"), "{svg}");
    // From standard input, into a file, larger.
    assert_eq!(runner.run("vl2svg < plot.json").ok(), svg);
    assert_eq!(runner.run("vl2svg -s 2 - plot.svg < plot.json").ok(), "");
    let width = |svg: &str| svg.split(" width=\"").nth(1).unwrap().split('"').next().unwrap().parse::<f64>().unwrap();
    assert_eq!(width(&runner.read("work/plot.svg")), width(&svg) * 2.0);
    runner.run("vl2svg plot.json plot.json/x.svg").fails(
        3,
        "cannot write plot.json/x.svg (*)",
        "name a file in a folder that can be written to",
    );
    assert_eq!(installed(&runner), 0);
    // What is not as DVC makes it is for vl-convert, with its arguments and its input.
    std::fs::write(runner.path("work/own.json"), PLOT.replace("\"width\": 300", "\"width\": 600")).unwrap();
    for call in ["vl2svg -s 2 own.json a.svg", "vl2svg -h plot.json", "vl2svg --help"] {
        assert!(runner.run(call).ok().ends_with(&format!(" {call}\n")), "{call}");
    }
    let ran = runner.run("vl2svg - read < own.json");
    assert!(ran.ok().ends_with(&runner.read("work/own.json")));
    assert_eq!(installed(&runner), 1);
}

const BARS: &str = r#"{"$schema": "https://vega.github.io/schema/vega-lite/v5.json", "data": {"url": "data.csv"}, "mark": "bar",
    "width": 90, "height": 60, "encoding": {"x": {"field": "a", "type": "nominal", "axis": null},
    "y": {"field": "b", "type": "quantitative", "axis": null}}}"#;
const RECTANGLE: &str = r#"{"$schema": "https://vega.github.io/schema/vega/v5.json", "width": 40, "height": 30,
    "marks": [{"type": "rect", "encode": {"enter": {"width": {"value": 40}, "height": {"value": 30}}}}]}"#;

/// A job with the machine's Python, whose pip sees nothing but the package.
fn real_job() -> Option<Runner> {
    let Some(wheels) = std::env::var_os("CML_TEST_WHEELS") else {
        skipped("the package vl-convert-python", "set CML_TEST_WHEELS");
        return None;
    };
    let mut runner = Runner::new()?;
    runner.set("PIP_NO_INDEX", "1").set("PIP_FIND_LINKS", &wheels.to_string_lossy());
    for (name, text) in [("bars.json", BARS), ("rectangle.json", RECTANGLE), ("data.csv", "a,b\nx,1\ny,3\n")] {
        std::fs::write(runner.path("work").join(name), text).unwrap();
    }
    Some(runner)
}

/// Width and height of a PNG.
pub fn size(runner: &Runner, name: &str) -> (u32, u32) {
    let bytes = std::fs::read(runner.path("work").join(name)).unwrap();
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    assert!(bytes.starts_with(b"\x89PNG"), "{name}");
    (number(16), number(20))
}

#[test]
fn real_tools_draw_as_the_ones_of_npm() {
    let Some(runner) = real_job() else { return };
    runner.uses(&[("vega", "true")]).ok();
    runner.run("vl2png bars.json > one.png; vl2png -s 2 bars.json two.png; vg2png -s 1.5 rectangle.json > r.png").ok();
    let one = size(&runner, "one.png");
    assert_eq!((size(&runner, "two.png"), size(&runner, "r.png")), ((one.0 * 2, one.1 * 2), (60, 45)));
    assert!((100..=110).contains(&one.0) && (70..=80).contains(&one.1), "90 by 60 and the padding: {one:?}");
    let svg = runner.run("cat bars.json | vl2svg").ok();
    assert!(svg.starts_with("<svg") && svg.matches("aria-roledescription=\"bar\"").count() == 2, "{svg}");
    runner.run("vl2png nothing.json").fails(
        3,
        "can't read spec `nothing.json`: No such file or directory",
        "give the spec as a JSON file that can be read",
    );
}

#[test]
fn a_package_with_another_digest_is_not_installed() {
    let Some(runner) = real_job() else { return };
    let list = runner.action.join("dist/vega.txt");
    let text = std::fs::read_to_string(&list).unwrap();
    let other: String = text.chars().map(|c| if c == 'a' { 'b' } else { c }).collect();
    let other = other.replace("shb256", "sha256").replace("pbckbge", "package").replace("vegb", "vega");
    std::fs::write(&list, other.replace("--hbsh", "--hash")).unwrap();
    runner.uses(&[]).ok();
    let ran = runner.run("vl2png bars.json");
    assert!(ran.code == Some(9) && ran.stderr.contains("DO NOT MATCH THE HASHES"), "{ran:#?}");
}
