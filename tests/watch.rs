//! `--watch` with real files and signals.

use crate::support::fake::{Forge, Kind, Target, Vendor};
use crate::support::ignored::is_native_only;
use crate::support::{Cml, VENDORS, executable, png};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Watching {
    child: Child,
    cml: Cml,
}

impl Watching {
    fn start(cml: Cml, args: &[&str]) -> Self {
        let args: Vec<&str> = ["comment", "update", "--watch", "report.md"].iter().chain(args).copied().collect();
        let child = cml.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Watching { child, cml }
    }

    /// Sends a signal and waits for the end: exit code, standard output, standard error.
    fn end(&mut self, signal: &str) -> (Option<i32>, String, String) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        let (mut out, mut err) = (String::new(), String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap().code(), out, err)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something holds; far longer than it takes.
fn eventually(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(30), "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn body(forge: &Forge, vendor: Vendor) -> String {
    let comments = forge.live_comments(vendor, &Target::Pull(7));
    assert!(comments.len() <= 1, "one comment: {comments:#?}");
    comments.first().map(|c| c.body.clone()).unwrap_or_default()
}

#[test]
fn one_comment_follows_the_report_and_its_images_until_the_job_ends() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let mut cml = Cml::on(&forge, vendor);
        let summary = cml.path().join("summary.md").display().to_string();
        cml.set("GITHUB_STEP_SUMMARY", &summary);
        cml.file("report.md", "epoch 1\n\n![loss](loss.png)\n");
        cml.file("loss.png", png(1));
        let mut watching = Watching::start(cml, &[]);
        eventually("the first state", || body(&forge, vendor).contains("epoch 1"));
        let first = body(&forge, vendor);
        watching.cml.file("report.md", "epoch 2\n\n![loss](loss.png)\n");
        eventually("the second state", || body(&forge, vendor).contains("epoch 2"));
        // Only the image changes.
        let second = body(&forge, vendor);
        watching.cml.file("loss.png", png(2));
        eventually("the new image", || body(&forge, vendor) != second);
        assert!(first.contains("loss") && !first.contains("(loss.png)"), "{first}");
        // The last change comes together with the end of the job.
        watching.cml.file("report.md", "done ![loss](loss.png)");
        let (code, out, err) = watching.end("-TERM");
        assert_eq!(code, Some(0), "{err}");
        assert!(body(&forge, vendor).starts_with("done"), "{err}");
        assert_eq!(out.lines().count(), 1, "the address, once: {out}");
        if vendor == Vendor::GitHub {
            let summary = watching.cml.read("summary.md");
            assert!(summary.matches("done").count() == 1 && summary.contains("![loss](http"), "{summary}");
        }
    }
}

#[test]
fn a_burst_of_writes_is_one_update_and_half_a_file_is_none() {
    let forge = Forge::start();
    let cml = Cml::on(&forge, Vendor::GitHub);
    cml.file("report.md", "start");
    let mut watching = Watching::start(cml, &[]);
    eventually("the first state", || body(&forge, Vendor::GitHub).starts_with("start"));
    let posted = |forge: &Forge| forge.requests().iter().filter(|r| r.method != "GET").count();
    let before = posted(&forge);
    for n in 0..40 {
        // A character cut in the middle, an empty file, and the text: what a program writing in steps leaves.
        watching.cml.file("report.md", b"gr\xc3".as_slice());
        watching.cml.file("report.md", "");
        watching.cml.file("report.md", format!("größer {n}"));
        std::thread::sleep(Duration::from_millis(50));
    }
    eventually("the end of the burst", || body(&forge, Vendor::GitHub).starts_with("größer 39"));
    assert!(posted(&forge) - before <= 2, "{} updates", posted(&forge) - before);
    let states = forge.requests().into_iter().filter(|r| r.method != "GET");
    assert!(
        states
            .into_iter()
            .all(|r| r.json()["body"].as_str().is_some_and(|b| b.starts_with("start") || b.starts_with("größer")))
    );
    let (code, _, err) = watching.end("-INT");
    assert_eq!(code, Some(0), "{err}");
}

#[test]
fn a_forge_that_fails_does_not_end_the_watch() {
    let forge = Forge::start();
    let cml = Cml::on(&forge, Vendor::GitHub);
    cml.file("report.md", "one");
    let mut watching = Watching::start(cml, &[]);
    eventually("the first state", || body(&forge, Vendor::GitHub).starts_with("one"));
    forge.fault("PATCH", 1, Kind::answer(422, &[], r#"{"message":"no"}"#));
    watching.cml.file("report.md", "two");
    eventually("the refusal", || forge.unused_faults().is_empty());
    watching.cml.file("report.md", "three");
    eventually("the next state", || body(&forge, Vendor::GitHub).starts_with("three"));
    let (code, _, err) = watching.end("-TERM");
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("warning: "), "{err}");
}

#[test]
fn the_comment_of_an_earlier_run_is_updated() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let on = Target::Pull(7);
        let mark = "![](https://cml.dev/watermark.png#ab \"CML watermark\")";
        let id = forge.seed_comment(vendor, &on, "cml-bot", &format!("earlier\n\n{mark}"));
        let cml = Cml::on(&forge, vendor);
        cml.file("report.md", "one");
        let mut watching = Watching::start(cml, &[]);
        eventually("the first state", || body(&forge, vendor).starts_with("one"));
        let (code, _, err) = watching.end("-TERM");
        assert_eq!(code, Some(0), "{err}");
        let all = forge.comments(vendor, &on);
        assert!(all.len() == 1 && all[0].id == id, "{vendor:?}: {all:#?}");
    }
}

#[test]
fn earlier_comments_are_deleted_once() {
    let forge = Forge::start();
    let on = Target::Pull(7);
    let old = forge.seed_comment(
        Vendor::GitHub,
        &on,
        "cml-bot",
        "x\n\n![](https://cml.dev/watermark.png#ab \"CML watermark\")",
    );
    let cml = Cml::on(&forge, Vendor::GitHub);
    cml.file("report.md", "one");
    let mut watching = Watching::start(cml, &["--delete-previous"]);
    let shown = |text: &str| forge.live_comments(Vendor::GitHub, &on).iter().any(|c| c.body.starts_with(text));
    eventually("the first state", || shown("one"));
    watching.cml.file("report.md", "two");
    eventually("the second state", || shown("two"));
    let (code, _, err) = watching.end("-TERM");
    assert_eq!(code, Some(0), "{err}");
    let all = forge.comments(Vendor::GitHub, &on);
    assert!(all.len() <= 2 && all.iter().filter(|c| c.id != old).count() == 1, "{all:#?}");
}

#[test]
fn a_trigger_file_decides_when_to_post_and_is_deleted() {
    let forge = Forge::start();
    let cml = Cml::on(&forge, Vendor::GitHub);
    let mut watching = Watching::start(cml, &["--trigger-file", "go"]);
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(body(&forge, Vendor::GitHub), "", "nothing before the trigger");
    // The last time nothing has changed.
    for text in ["one", "two", "two"] {
        watching.cml.file("report.md", text);
        watching.cml.file("go", "");
        eventually("the post", || body(&forge, Vendor::GitHub).starts_with(text));
        eventually("the trigger's end", || !watching.cml.path().join("go").exists());
    }
    let (code, _, err) = watching.end("-TERM");
    assert_eq!(code, Some(0), "{err}");
}

#[test]
fn a_trigger_that_is_there_already_counts() {
    let forge = Forge::start();
    let cml = Cml::on(&forge, Vendor::GitHub);
    cml.file("go", "");
    let mut watching = Watching::start(cml, &["--trigger-file", "go"]);
    eventually("the trigger's end", || !watching.cml.path().join("go").exists());
    assert_ne!(body(&forge, Vendor::GitHub), "");
    let (code, _, err) = watching.end("-TERM");
    assert_eq!(code, Some(0), "{err}");
}

#[test]
fn a_report_that_does_not_exist_yet_is_waited_for() {
    let forge = Forge::start();
    let cml = Cml::on(&forge, Vendor::GitHub);
    std::fs::remove_file(cml.path().join("report.md")).unwrap();
    let mut watching = Watching::start(cml, &[]);
    std::thread::sleep(Duration::from_millis(1200));
    watching.cml.file("report.md", "at last");
    eventually("the first state", || body(&forge, Vendor::GitHub).starts_with("at last"));
    let (code, out, err) = watching.end("-TERM");
    assert_eq!((code, out.lines().count()), (Some(0), 1), "{err}");
}

/// The files and signals are real; the browser is a script.
#[cfg(target_os = "linux")]
#[test]
fn the_local_preview_is_opened_once_and_reloads_while_it_is_watched() {
    if is_native_only() {
        return;
    }
    let mut cml = Cml::alone();
    executable(&cml.path().join("bin/xdg-open"), "#!/bin/sh\necho \"$1\" >> opened\n");
    let path = format!("{}:{}", cml.path().join("bin").display(), cml.env["PATH"]);
    cml.set("PATH", &path).file("report.md", "epoch 1");
    let mut watching = Watching::start(cml, &["--open"]);
    let page = watching.cml.path().join(".cml/index.html");
    let shows = |text: &str| std::fs::read_to_string(&page).is_ok_and(|html| html.contains(text));
    eventually("the first state", || shows("epoch 1"));
    assert!(shows("<meta http-equiv=\"refresh\" content=\"2\">"));
    watching.cml.file("report.md", "epoch 2");
    eventually("the second state", || shows("epoch 2"));
    let (code, _, err) = watching.end("-TERM");
    assert_eq!(code, Some(0), "{err}");
    assert!(shows("epoch 2") && !shows("http-equiv=\"refresh\""), "{err}");
    assert_eq!(watching.cml.read("opened"), ".cml/index.html\n");
}
