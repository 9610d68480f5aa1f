//! `cml tensorboard connect`: event files of the real writers, held value by value against TensorBoard's own reader.

use crate::support::fake::{Forge, Vendor};
use crate::support::ignored::skipped;
use crate::support::net::get;
use crate::support::{Cml, VENDORS, eventually, is_wasm};
use cml::charts::series::KEPT;
use cml::files::Files;
use cml::host::Host;
use cml::host::native::Native;
use cml::tensorboard::folder::{Folder, Seen};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

/// Runs the script that writes logs and reads them, where there is a Python with TensorBoard.
fn python(verb: &str, folder: &Path) -> Option<Vec<u8>> {
    let Some(python) = std::env::var_os("CML_TEST_TENSORBOARD") else {
        skipped("Python with TensorBoard", "set CML_TEST_TENSORBOARD");
        return None;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/event_files.py");
    let output = Command::new(python).arg(script).arg(verb).arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

/// Reads what is new in a folder, which is outside of the working copy.
fn read(folder: &mut Folder) -> std::io::Result<Seen> {
    let host: Rc<dyn Host> = Rc::new(Native::default());
    let files = Files::new(host.clone(), Path::new(env!("CARGO_MANIFEST_DIR")).to_owned());
    folder.read(&*host, &files)
}

/// Logs of the real writers in the folder `logs`.
pub fn with_logs(cml: &Cml) -> Option<PathBuf> {
    let logs = cml.path().join("logs");
    python("write", &logs).map(|_| logs)
}

fn same(ours: f64, bits: &Value) -> bool {
    let theirs = f64::from_bits(u64::from_str_radix(bits.as_str().unwrap(), 16).unwrap());
    ours.to_bits() == theirs.to_bits() || (ours.is_nan() && theirs.is_nan())
}

#[test]
fn every_value_is_what_tensorboard_reads() {
    let cml = Cml::alone();
    let Some(logs) = with_logs(&cml) else { return };
    let theirs: Value = serde_json::from_slice(&python("read", &logs).unwrap()).unwrap();
    let mut folder = Folder::new(&logs);
    let seen = read(&mut folder).unwrap();
    assert!(seen.changed && seen.warnings.is_empty(), "{seen:?}");
    let mut compared = 0;
    for (name, run) in folder.runs() {
        let theirs = &theirs[name];
        let tags: Vec<&String> = theirs["scalars"].as_object().unwrap().keys().collect();
        assert_eq!(run.scalars.keys().collect::<Vec<_>>(), tags, "{name}");
        for (tag, series) in &run.scalars {
            let expected = theirs["scalars"][tag].as_array().unwrap();
            assert_eq!(series.count(), expected.len() as u64, "{name} {tag}");
            let is = |point: &cml::tensorboard::Point, value: &Value| {
                point.step == value[0].as_i64().unwrap()
                    && same(point.wall_time, &value[1])
                    && same(point.value, &value[2])
            };
            let line = series.line();
            let mut rest = expected.iter();
            for point in &line {
                assert!(rest.any(|value| is(point, value)), "{name} {tag}: {point:?}");
                compared += 1;
            }
            assert_eq!(line.len() == expected.len(), expected.len() <= KEPT, "{name} {tag}");
            assert!(is(&series.last().unwrap(), expected.last().unwrap()), "{name} {tag}");
            let value = |value: &Value| f64::from_bits(u64::from_str_radix(value[2].as_str().unwrap(), 16).unwrap());
            let numbers = || expected.iter().map(value).filter(|value| !value.is_nan());
            assert_eq!(series.min().unwrap().value, numbers().fold(f64::INFINITY, f64::min), "{name} {tag}");
            assert_eq!(series.max().unwrap().value, numbers().fold(f64::NEG_INFINITY, f64::max), "{name} {tag}");
        }
        let images: serde_json::Map<String, Value> = run
            .images
            .iter()
            .map(|(tag, image)| (tag.clone(), serde_json::json!([image.step, cml::digest::hash(&image.bytes)])))
            .collect();
        assert_eq!(&Value::Object(images), &theirs["images"], "{name}");
    }
    assert_eq!(folder.runs().count(), theirs.as_object().unwrap().len());
    assert!(compared > 3000, "{compared}");
}

#[test]
fn logs_become_markdown_whose_charts_are_served() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let mut cml = Cml::on(&forge, vendor);
        let Some(_) = with_logs(&cml) else { return };
        let args = ["tensorboard", "connect", "--logdir", "logs", "--title", "Run 7", "--description", "Of *today*."];
        let text = cml.run(&args).ok();
        let head = "## Run 7\n\nOf *today*.\n\n| tag | run | last | min | max |\n| --- | --- | ---: | ---: | ---: |\n";
        assert!(text.starts_with(head), "{text}");
        for row in [
            "| loss/float32 | tf2/train | 0.125 (step 200) |",
            "| train/loss | torch | 0.00033333 (step 2999) | 0.00033333 (step 2999) | 1 (step 0) |",
            "| odd\\_values\\_\\_\\_\\_tags\\_\\_ | . | 3e38 (step 60) | -0.25 (step 40) | ∞ (step 30) |",
            "| both | both/a | 1 (step 1) | 1 (step 1) | 1 (step 1) |",
        ] {
            assert!(text.contains(row), "{row}: {text}");
        }
        let charts = text.matches("![").count();
        let mut served = 0;
        for address in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let answer = get(address);
            assert_eq!(answer.status, 200, "{address}");
            let mime = if answer.body.starts_with(b"<svg") { "image/svg+xml" } else { "image/png" };
            assert_eq!(answer.header("content-type"), mime, "{address}");
            served += 1;
        }
        assert_eq!((served, charts > 14), (charts, true), "{text}");
        // CML's way: appended to the report, with options that mean nothing any more.
        cml.set("TB_CREDENTIALS", "{\"refresh_token\": \"1//secret\"}");
        let ran =
            cml.run(&["tensorboard-dev", "--logdir=logs", "--md", "--name=x", "-f", "report.md", "--rm-watermark"]);
        assert_eq!(ran.stderr.matches("have no effect: tensorboard.dev was shut down").count(), 1, "{ran:?}");
        assert!(ran.stderr.contains("\"cml tensorboard-dev\" is deprecated") && !ran.stderr.contains("secret"));
        assert_eq!(ran.ok(), "");
        let report = cml.read("report.md");
        assert!(report.starts_with("# Report\n\nAccuracy: **0.99**\n## x\n\n| tag |"), "{report}");
    }
}

#[test]
fn a_file_that_is_cut_or_damaged_gives_what_came_before() {
    let cml = Cml::alone();
    let Some(logs) = with_logs(&cml) else { return };
    let torch = std::fs::read_dir(logs.join("torch")).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(torch).unwrap();
    let read = |bytes: &[u8]| {
        let path = cml.file("one/events.out.tfevents.1", bytes);
        let mut folder = Folder::new(path.parent().unwrap());
        let seen = read(&mut folder).unwrap();
        let count = folder.runs().next().unwrap().1.scalars.get("train/loss").map_or(0, |series| series.count());
        (count, seen.warnings)
    };
    assert_eq!(read(&bytes), (3000, vec![]));
    let mut before = 0;
    for end in 0..1500 {
        let (count, warnings) = read(&bytes[..end]);
        assert!(warnings.is_empty() && (before..=before + 1).contains(&count), "{end}: {count} {warnings:?}");
        before = count;
    }
    assert!(before > 10);
    let mut damaged = bytes.clone();
    let middle = bytes.len() / 2;
    damaged[middle] ^= 4;
    let (count, warnings) = read(&damaged);
    assert!((1000..2000).contains(&count), "{count}");
    assert!(warnings.len() == 1 && warnings[0].contains("events.out.tfevents.1 is damaged at byte "), "{warnings:?}");
    // The program says so and goes on: in the local preview, which is native only.
    if is_wasm() {
        return;
    }
    let ran = cml.run(&["tensorboard", "connect", "--logdir", "one"]);
    assert!(ran.stderr.contains("warning: one/events.out.tfevents.1 is damaged at byte "), "{ran:?}");
    assert!(ran.ok().contains("| train/loss | . |"));
}

#[test]
fn what_is_appended_is_read_on() {
    let cml = Cml::alone();
    let Some(logs) = with_logs(&cml) else { return };
    let torch = std::fs::read_dir(logs.join("torch")).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(torch).unwrap();
    let path = cml.file("one/events.out.tfevents.1", "");
    let mut folder = Folder::new(path.parent().unwrap());
    for end in (0..bytes.len()).step_by(997).chain([bytes.len()]) {
        std::fs::write(&path, &bytes[..end]).unwrap();
        assert!(read(&mut folder).unwrap().warnings.is_empty());
    }
    assert!(!read(&mut folder).unwrap().changed);
    let count = |folder: &Folder| folder.runs().next().unwrap().1.scalars["train/loss"].count();
    assert_eq!(count(&folder), 3000);
    // A second file of the run, and the first written anew.
    cml.file("one/events.out.tfevents.2", &bytes);
    assert!(read(&mut folder).unwrap().changed);
    assert_eq!(count(&folder), 6000);
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    read(&mut folder).unwrap();
    assert!((4000..5000).contains(&count(&folder)), "{}", count(&folder));
}

#[test]
fn watch_keeps_a_section_and_ends_with_a_last_update() {
    use std::time::Duration;
    let forge = Forge::start();
    let cml = Cml::on(&forge, Vendor::GitHub);
    let Some(logs) = with_logs(&cml) else { return };
    let torch = std::fs::read_dir(logs.join("torch")).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(torch).unwrap();
    let args = ["tensorboard", "connect", "--logdir", "live", "--watch", "--file", "report.md", "--name", "live"];
    // The folder is not there yet.
    let mut child = cml.command(&args).stderr(std::process::Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let path = cml.file("live/events.out.tfevents.1", &bytes[..bytes.len() / 3]);
    eventually("the charts", || cml.read("report.md").contains("train/loss"), || cml.read("report.md"));
    let first = cml.read("report.md");
    assert!(first.starts_with("# Report\n\nAccuracy: **0.99**\n\n[//]: # (tensorboard live: begin)\n"), "{first}");
    std::fs::write(&path, &bytes).unwrap();
    Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let last = cml.read("report.md");
    assert!(last.contains("(step 2999)") && last.matches(": begin)").count() == 1, "{last}");
    assert!(last.matches("![").count() == 1 && !first.contains("(step 2999)"), "{last}");
}

#[test]
fn mistakes_cost_no_request() {
    let forge = Forge::start();
    let cml = Cml::on(&forge, Vendor::GitHub);
    std::fs::create_dir(cml.path().join("empty")).unwrap();
    let connect = ["tensorboard", "connect", "--logdir"];
    let folder = "check --logdir: it must be a folder, relative to the current directory";
    for (logdir, code, error, hint) in [
        ("missing", 3, "cannot read the logs in missing (*)", folder),
        ("report.md", 3, "cannot read the logs in report.md (*)", folder),
        ("empty", 5, "no event files in empty", "check --logdir: names of TensorBoard's event files contain tfevents"),
    ] {
        cml.run(&[&connect[..], &[logdir]].concat()).fails(code, error, hint);
    }
    for args in [&["tensorboard", "connect"][..], &["tensorboard", "connect", "--logdir", "empty", "--watch"]] {
        assert_eq!(cml.run(args).code, Some(2));
    }
    assert_eq!(forge.requests().len(), 0);
}

#[test]
fn logs_without_anything_to_show_say_so() {
    if is_wasm() {
        return;
    }
    let cml = Cml::alone();
    cml.file("logs/events.out.tfevents.1", "");
    let text = cml.run(&["tensorboard", "connect", "--logdir", "logs"]).ok();
    assert_eq!(text, "*The logs have no scalars and no images yet.*\n");
}
