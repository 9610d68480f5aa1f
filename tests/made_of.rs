//! What a report is made of: several files, patterns, a text; and how it is written over what is there. The program is real, the
//! forges are the fakes.

use crate::support::fake::{Forge, Target, Vendor};
use crate::support::reader::posted;
use crate::support::{Cml, VENDORS, png};

fn start(vendor: Vendor) -> (Forge, Cml) {
    let forge = Forge::start();
    let cml = Cml::on(&forge, vendor);
    (forge, cml)
}

fn bodies(forge: &Forge, vendor: Vendor) -> Vec<String> {
    forge.live_comments(vendor, &Target::Pull(7)).into_iter().map(|comment| comment.body).collect()
}

#[test]
fn files_and_patterns_become_one_report_with_the_images_of_each_folder() {
    for vendor in VENDORS {
        let (forge, cml) = start(vendor);
        cml.file("head.md", "# Head\n\n```\nleft open");
        for (number, name) in (1..).zip(["a", "b"]) {
            cml.file(&format!("runs/{name}/report.md"), format!("run {name} ![](plot.png) [x]\n\n[x]: /{name}\n"));
            cml.file(&format!("runs/{name}/plot.png"), png(number));
        }
        cml.file("runs/.hidden/report.md", "hidden");
        cml.run(&["comment", "create", "head.md", "runs/*/report.md"]).ok();
        let text = posted(&forge, vendor).replace("\r\n", "\n");
        assert!(text.starts_with("# Head\n\n```\nleft open\n```\n\nrun a ![]("), "{text}");
        let images: Vec<&str> = text.split("![](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
        assert!(matches!(images[..], [a, b] if a != b && !a.contains("plot.png)")), "{text}");
        assert!(text.find("run a") < text.find("run b") && !text.contains("hidden"), "{text}");
        // Each label is its own file's.
        assert!(text.contains("]: /a") && text.contains("]: /b") && !text.contains("[x]: "), "{text}");
    }
}

#[test]
fn a_pattern_looks_in_every_folder_below_and_one_that_matches_nothing_is_an_error() {
    let (forge, cml) = start(Vendor::GitHub);
    cml.file("out/1/deep/loss.md", "one");
    cml.file("out/2.md", "two");
    cml.file("out/notes.txt", "none");
    cml.run(&["comment", "create", "out/**/*.md"]).ok();
    assert_eq!(posted(&forge, Vendor::GitHub), "one\n\ntwo");
    // A file of that very name is no pattern.
    cml.file("[draft].md", "draft");
    cml.run(&["comment", "create", "[draft].md"]).ok();
    assert_eq!(posted(&forge, Vendor::GitHub), "draft");
    forge.clear_requests();
    cml.run(&["comment", "create", "none/*.md"]).fails(
        3,
        "no file matches none/*.md",
        "check the pattern: it is relative to the current directory",
    );
    assert!(forge.requests().is_empty());
}

#[test]
fn a_text_is_a_report_and_stands_above_the_files() {
    for vendor in VENDORS {
        let (forge, cml) = start(vendor);
        cml.run(&["comment", "update", "--message", "accuracy **0.97**"]).ok();
        assert_eq!(posted(&forge, vendor), "accuracy **0.97**");
        cml.file("report.md", "below");
        cml.run(&["comment", "update", "report.md", "--message", "above"]).ok();
        assert_eq!(posted(&forge, vendor).replace("\r\n", "\n"), "above\n\nbelow");
        assert_eq!(bodies(&forge, vendor).len(), 1);
    }
    let ran = Cml::alone().run(&["comment", "create"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("<REPORT"), "{ran:#?}");
}

#[test]
fn a_report_is_added_below_what_the_comment_says() {
    for vendor in VENDORS {
        let (forge, cml) = start(vendor);
        for text in ["first", "```\nsecond", "third"] {
            cml.run(&["comment", "update", "--append", "--message", text]).ok();
        }
        assert_eq!(posted(&forge, vendor).replace("\r\n", "\n"), "first\n\n```\nsecond\n```\n\nthird", "{vendor:?}");
        assert_eq!(bodies(&forge, vendor).len(), 1);
        // Without it, the report takes the place of all.
        cml.run(&["comment", "update", "--message", "new"]).ok();
        assert_eq!(posted(&forge, vendor), "new");
        for text in ["one", "two"] {
            cml.run(&["comment", "update", "--append", "--section", "s", "--message", text]).ok();
        }
        let text = posted(&forge, vendor).replace("\r\n", "\n");
        assert!(text.contains("one\n\ntwo"), "{text}");
    }
    Cml::alone().run(&["comment", "create", "--append", "--message", "x"]).fails(
        2,
        "--append needs a comment to add to",
        "use `cml comment update --append`",
    );
}

#[test]
fn a_report_that_says_the_same_leaves_its_comment_alone() {
    for vendor in VENDORS {
        let (forge, mut cml) = start(vendor);
        cml.file("plot.png", png(1));
        cml.file("report.md", "same ![](plot.png)");
        cml.run(&["comment", "update", "report.md"]).ok();
        let before = bodies(&forge, vendor);
        cml.set("CML_SHA", "f".repeat(40).as_str());
        for verb in ["update", "create"] {
            forge.clear_requests();
            let ran = cml.run(&["comment", verb, "--skip-unchanged", "--delete-previous", "report.md"]);
            assert!(ran.stdout.starts_with("http") && ran.stderr.contains("has not changed"), "{ran:#?}");
            assert_eq!(bodies(&forge, vendor), before, "{vendor:?}");
            let writes = forge.requests().into_iter().filter(|request| request.method != "GET").count();
            assert_eq!(writes, 0, "{}", forge.transcript());
        }
        cml.file("report.md", "other");
        cml.run(&["comment", "create", "--skip-unchanged", "--delete-previous", "report.md"]).ok();
        assert_eq!((posted(&forge, vendor), bodies(&forge, vendor).len()), ("other".to_owned(), 1));
    }
}

#[test]
fn a_check_takes_them_too() {
    let (forge, cml) = start(Vendor::GitHub);
    cml.file("a.md", "from a file");
    cml.run(&["check", "create", "a.md", "--message", "from the line"]).ok();
    let requests = forge.requests();
    let check =
        requests.iter().find(|request| request.path.ends_with("/check-runs") && request.method == "POST").unwrap();
    let text = check.json()["output"].to_string();
    assert!(text.contains("from the line") && text.contains("from a file"), "{text}");
}

#[test]
fn a_watch_follows_a_text_of_files_only() {
    Cml::alone().run(&["comment", "update", "--watch", "--message", "x"]).fails(
        2,
        "--watch needs a file to follow",
        "pass the report as a file",
    );
}
