//! Where the marks of a plot are, held against Vega-Lite's own: real DVC makes the specifications, real vl_convert lays them out.

use super::drawings;
use crate::support::fake::{Forge, Vendor};
use crate::support::ignored::skipped;
use crate::support::{Cml, Ran};
use serde_json::Value;
use std::process::Command;

/// How far a mark may be from its place, in pixels.
const NEAR: f64 = 1.0;

/// The marks of a picture, from the first frame.
#[derive(Default)]
struct Marks {
    /// Those of lines, and of lines behind them.
    lines: Vec<Vec<f64>>,
    behind: Vec<Vec<f64>>,
    points: Vec<Vec<f64>>,
    rects: Vec<Vec<f64>>,
}

fn numbers(text: &str) -> Vec<f64> {
    let is_number = |c: char| c.is_ascii_digit() || c == '.' || c == '-';
    text.split(|c| !is_number(c)).filter_map(|word| word.parse().ok()).collect()
}

fn attribute(line: &str, name: &str) -> f64 {
    let value = line.split_once(&format!(" {name}=\"")).unwrap_or_else(|| panic!("{name}: {line}")).1;
    value.split('"').next().unwrap().parse().unwrap()
}

impl Marks {
    fn ours(svg: &str) -> Self {
        let frame = |line: &str| {
            let path = line.strip_prefix("<path class=\"a\" d=\"M")?;
            Some(numbers(path.split_once("v300h300")?.0))
        };
        let frames: Vec<Vec<f64>> = svg.lines().filter_map(frame).collect();
        let (x, y) = (frames[0][0], frames[0][1]);
        let bottom = frames.iter().map(|frame| frame[1]).fold(0.0, f64::max) + 301.0;
        let mut marks = Marks::default();
        for line in svg.lines() {
            let path = || line.split_once("d=\"M").unwrap().1.split('"').next().unwrap();
            if line.starts_with("<circle ") && attribute(line, "cy") < bottom {
                marks.points.push(vec![attribute(line, "cx") - x, attribute(line, "cy") - y]);
            } else if line.starts_with("<path d=\"M") && line.contains("h5.4v5.4") {
                let at = numbers(path());
                if at[1] < bottom {
                    marks.points.push(vec![at[0] + 2.7 - x, at[1] + 2.7 - y]);
                }
            } else if line.starts_with("<path d=\"M") && line.contains('L') {
                let ends = numbers(path()).chunks(2).flat_map(|at| [at[0] - x, at[1] - y]).collect();
                let is_behind = line.contains("opacity=\"0.3\"");
                if is_behind { &mut marks.behind } else { &mut marks.lines }.push(ends);
            } else if line.starts_with("<rect ")
                && !line.starts_with("<rect class=\"g\"")
                && attribute(line, "y") < bottom
            {
                let [left, top, width, height] = ["x", "y", "width", "height"].map(|name| attribute(line, name));
                marks.rects.push(vec![left - x, top - y, width, height]);
            }
        }
        marks
    }

    fn theirs(drawn: &Value) -> Self {
        let all = |kind: &str| -> Vec<Vec<f64>> {
            let flat = |mark: &Value| mark.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect();
            drawn[kind].as_array().unwrap().iter().map(flat).collect()
        };
        let line = |line: &Value| -> Vec<f64> {
            let at = line["at"].as_array().unwrap().iter().flat_map(|at| at.as_array().unwrap());
            at.map(|n| n.as_f64().unwrap()).collect()
        };
        let (behind, lines): (Vec<&Value>, Vec<&Value>) =
            drawn["lines"].as_array().unwrap().iter().partition(|line| line["name"] == "layer_1_marks");
        let flat = |all: Vec<&Value>| all.into_iter().map(line).collect();
        let mut rects = all("rects");
        // Layers for what only moves on a screen lie above each other.
        rects.sort_by(|one, other| one.partial_cmp(other).unwrap());
        if drawn["template"].as_str().unwrap().starts_with("confusion") {
            rects.dedup();
        }
        Marks { lines: flat(lines), behind: flat(behind), points: all("points"), rects }
    }
}

/// Fails unless each mark of one is one of the other's.
fn compare(title: &str, kind: &str, ours: &[Vec<f64>], theirs: &[Vec<f64>]) {
    assert_eq!(ours.len(), theirs.len(), "{title}: {kind}\n{ours:?}\n{theirs:?}");
    let mut left: Vec<&Vec<f64>> = ours.iter().collect();
    for mark in theirs {
        let is_near =
            |our: &&Vec<f64>| our.len() == mark.len() && our.iter().zip(mark).all(|(a, b)| (a - b).abs() <= NEAR);
        let found = left.iter().position(is_near);
        let found = found.unwrap_or_else(|| panic!("{title}: no {kind} of ours is at {mark:?}: {left:?}"));
        left.remove(found);
    }
}

/// Fails unless a picture of ours has the marks of theirs. Returns how many those are.
fn compare_all(title: &str, drawn: &Value, svg: &str) -> usize {
    let (theirs, ours) = (Marks::theirs(drawn), Marks::ours(svg));
    if drawn["template"] == "scatter_jitter" {
        // The places within a band are random: there are four to six of them.
        assert_eq!(ours.points.len(), theirs.points.len());
        for (our, their) in ours.points.iter().zip(&theirs.points) {
            assert!(our.iter().zip(their).all(|(a, b)| (a - b).abs() < 58.0), "{title}: {our:?} {their:?}");
        }
    } else {
        compare(title, "line", &ours.lines, &theirs.lines);
        // A line behind one that is the same is not drawn.
        if !ours.behind.is_empty() {
            compare(title, "line behind", &ours.behind, &theirs.behind);
        }
        compare(title, "point", &ours.points, &theirs.points);
        compare(title, "rectangle", &ours.rects, &theirs.rects);
    }
    ours.lines.len() + ours.points.len() + ours.rects.len()
}

#[test]
fn marks_are_where_vega_lite_puts_them() {
    let Some(python) = std::env::var_os("CML_TEST_DVC") else { return skipped("DVC", "set CML_TEST_DVC") };
    let seed = std::env::var("CML_TEST_SEED").unwrap_or("7".to_owned());
    let forge = Forge::start();
    let cml = Cml::on(&forge, Vendor::GitHub);
    let folder = cml.path().join("made");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/dvc_plots.py");
    let output = Command::new(python).arg(script).arg(&folder).arg(&seed).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let drawn: Value = serde_json::from_slice(&std::fs::read(folder.join("plots.json")).unwrap()).unwrap();
    let mut command = cml.command(&["plots", "diff", "--base", "HEAD"]);
    let text = Ran::of(command.current_dir(folder.join("repository"))).ok();
    let (mut titles, mut compared) = (Vec::new(), 0);
    for (title, svg) in drawings(&text) {
        let title = title.replace('\\', "");
        compared += compare_all(&format!("{title} of seed {seed}"), &drawn[&title], &svg);
        // The same of the specification, as `vl2svg` gets it. Of several files a normalized matrix differs.
        let spec = cml::charts::plot::spec::draw(drawn[&title]["spec"].as_str().unwrap(), 1.0);
        assert_eq!(spec.is_some(), title != "confusion_normalized files", "{title}");
        if let Some(svg) = spec {
            compared += compare_all(&format!("vl2svg of {title} of seed {seed}"), &drawn[&title], &svg);
            let field =
                &serde_json::from_str::<Value>(drawn[&title]["spec"].as_str().unwrap()).unwrap()["title"]["text"];
            assert!(svg.contains(&format!(">{}</text>", field.as_str().unwrap())), "{title}: {svg}");
        }
        titles.push(title);
    }
    titles.sort();
    let expected: Vec<&String> = drawn.as_object().unwrap().keys().collect();
    let titles: Vec<&String> = titles.iter().collect();
    assert_eq!(titles, {
        let mut all = expected;
        all.sort();
        all
    });
    assert!(compared > 1000, "{compared}");
}
