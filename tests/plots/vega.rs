//! Where the marks of a plot are, held against Vega-Lite's own: real DVC makes the specifications, real vl_convert lays them out.

use super::drawings;
use crate::support::fake::{Forge, Vendor};
use crate::support::ignored::skipped;
use crate::support::{Cml, Ran, native};
use serde_json::Value;
use std::process::{Command, Stdio};

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
pub fn compare_all(title: &str, drawn: &Value, svg: &str) -> usize {
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

/// The pixels of a PNG with its width and height.
struct Picture {
    rgba: Vec<u8>,
    width: usize,
    height: usize,
}

impl Picture {
    fn new(bytes: &[u8]) -> Self {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut rgba = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut rgba).unwrap();
        assert_eq!(info.color_type, png::ColorType::Rgba);
        Picture { rgba, width: info.width as usize, height: info.height as usize }
    }

    fn at(&self, x: usize, y: usize) -> &[u8] {
        let at = (y * self.width + x) * 4;
        &self.rgba[at..at + 4]
    }

    /// Whether there is a colour of a revision, and not white, black or grey, so near to a place.
    fn has_colour(&self, (x, y): (f64, f64), near: f64) -> bool {
        let range = |at: f64, most: usize| {
            (at - near).floor().max(0.0) as usize..((at + near).ceil() as usize).min(most - 1) + 1
        };
        let is_coloured = |x, y| {
            let rgb = &self.at(x, y)[..3];
            rgb.iter().max().unwrap() - rgb.iter().min().unwrap() > 40
        };
        range(y, self.height).any(|y| range(x, self.width).any(|x| is_coloured(x, y)))
    }
}

/// Draws SVGs as PNG with vl_convert: a list of SVG, scale, resolution and the file to write.
const TO_PNG: &str = "
import json, sys, vl_convert
for svg, scale, ppi, path in json.load(sys.stdin):
    with open(path, 'wb') as file:
        file.write(vl_convert.svg_to_png(svg, scale, ppi))
";

/// The program is real, and so are DVC and vl_convert.
#[test]
fn pictures_of_vl2png_are_those_of_vl_convert() {
    let Some(python) = std::env::var_os("CML_TEST_DVC") else { return skipped("DVC", "set CML_TEST_DVC") };
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("made");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/dvc_plots.py");
    Ran::of(Command::new(&python).arg(script).arg(&made).arg("7")).ok();
    let plots: Value = serde_json::from_slice(&std::fs::read(made.join("plots.json")).unwrap()).unwrap();
    let (mut asked, mut ours, mut marks) = (Vec::new(), Vec::new(), 0);
    for (title, drawn) in plots.as_object().unwrap().iter().filter(|(title, _)| !title.contains("normalized files")) {
        let spec = drawn["spec"].as_str().unwrap();
        let svg = cml::charts::plot::spec::draw(spec, 1.0).unwrap();
        let number = ours.len();
        let (scale, ppi) = [(1.0, 72.0), (2.0, 72.0), (1.5, 72.0), (1.0, 144.0)][number % 4];
        std::fs::write(folder.path().join("spec.json"), spec).unwrap();
        let (scale_text, ppi_text) = (scale.to_string(), format!("--ppi={ppi}"));
        let args = ["vega", "nowhere", "vl2png", "-s", &scale_text, &ppi_text, "spec.json", "ours.png"];
        Ran::of(Command::new(native()).args(args).current_dir(folder.path())).ok();
        let png = std::fs::read(folder.path().join("ours.png")).unwrap();
        let picture = Picture::new(&png);
        // Marks are where Vega-Lite puts them.
        let frame =
            svg.lines().find_map(|line| line.strip_prefix("<path class=\"a\" d=\"M")?.split_once("v300h300")).unwrap();
        let [left, top] = numbers(frame.0)[..] else { panic!("{svg}") };
        let factor = scale * ppi / 72.0;
        let mut check = |x: f64, y: f64, near: f64| {
            let at = ((left + x) * factor, (top + y) * factor);
            assert!(picture.has_colour(at, near * factor), "{title}: nothing is at {x}, {y}");
            marks += 1;
        };
        let template = drawn["template"].as_str().unwrap();
        let theirs = Marks::theirs(drawn);
        // There may be a gap of a dashed line.
        if !svg.contains("stroke-dasharray") {
            theirs.lines.iter().flat_map(|line| line.chunks(2)).for_each(|at| check(at[0], at[1], NEAR));
        }
        if template != "scatter_jitter" {
            // A point is a ring.
            theirs.points.iter().for_each(|at| check(at[0] + 3.0, at[1], NEAR + 1.0));
        }
        if template.starts_with("bar") {
            let wide = theirs.rects.iter().filter(|at| at[2] > 2.0);
            wide.for_each(|at| check(at[0] + at[2] / 2.0, at[1] + at[3] / 2.0, NEAR));
        }
        let path = folder.path().join(format!("{number}.png"));
        asked.push((svg, scale, ppi, path.display().to_string()));
        ours.push((title.clone(), png, path));
    }
    assert!(marks > 500, "{marks}");
    // The whole picture is what vl_convert makes of it, but for the edges of letters.
    let mut python = Command::new(python);
    let mut child = python.args(["-c", TO_PNG]).stdin(Stdio::piped()).spawn().unwrap();
    serde_json::to_writer(child.stdin.take().unwrap(), &asked).unwrap();
    assert!(child.wait().unwrap().success());
    for (title, png, path) in ours {
        let theirs = std::fs::read(path).unwrap();
        // Width, height and kind of the pixels, and the resolution.
        assert_eq!(png[..54], theirs[..54], "{title}");
        let (ours, theirs) = (Picture::new(&png), Picture::new(&theirs));
        let differs = |(one, other): &(&[u8], &[u8])| one.iter().zip(*other).any(|(a, b)| a.abs_diff(*b) > 64);
        let count = ours.rgba.chunks(4).zip(theirs.rgba.chunks(4)).filter(differs).count();
        assert!(count * 100 < ours.width * ours.height, "{title}: {count} of {} x {} pixels", ours.width, ours.height);
    }
}
