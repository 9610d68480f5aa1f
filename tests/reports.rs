//! What is posted of a report's bytes, and what a user is told about what is not. The forge is scripted.

use crate::support::fake::{Forge, Target, Vendor};
use crate::support::ignored::is_native_only;
use crate::support::reader::{posted, uploads};
use crate::support::{Cml, Ran, VENDORS, is_wasm, png};

const UTF8: &str = "in PowerShell > and >> write UTF-16; use: … | Out-File -Encoding utf8 (-Append) report.md";

fn start(vendor: Vendor) -> (Forge, Cml) {
    let forge = Forge::start();
    let cml = Cml::on(&forge, vendor);
    (forge, cml)
}

/// The verbs that post a report.
const VERBS: [&[&str]; 3] =
    [&["comment", "create", "report.md"], &["comment", "update", "report.md"], &["check", "create", "report.md"]];

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn warnings(ran: &Ran) -> Vec<&str> {
    ran.stderr.lines().filter(|line| line.starts_with("warning: ") || line.starts_with("hint: ")).collect()
}

#[test]
fn utf_16_and_nul_never_reach_a_forge() {
    for vendor in VENDORS {
        let (forge, cml) = start(vendor);
        let metrics = utf16("# Metrics\r\nacc 0.9\r\n");
        for (content, error, hint) in [
            ([b"\xff\xfe", &metrics[..]].concat(), "is UTF-16, not UTF-8", UTF8),
            (metrics.clone(), "is UTF-16, not UTF-8", UTF8),
            // PowerShell's `>>` after another program's line.
            ([b"# Report\r\n", &metrics[..]].concat(), "is UTF-16, not UTF-8, from line 2 on", UTF8),
            (
                b"# Report\n\n\0".to_vec(),
                "has a NUL byte (line 3)",
                "a report must be text; show binary data as an image or link to it",
            ),
        ] {
            cml.file("report.md", &content);
            cml.file("lint.sarif", &content);
            cml.file("ok.md", "ok");
            for verb in VERBS {
                cml.run(verb).fails(3, &format!("the report report.md {error}"), hint);
            }
            let ran = cml.run(&["check", "create", "ok.md", "--annotations", "lint.sarif"]);
            ran.fails(3, &format!("the annotations file lint.sarif {error}"), hint);
        }
        assert!(forge.requests().is_empty());
    }
}

#[test]
fn colours_and_other_control_characters_are_taken_out() {
    for vendor in VENDORS {
        let (forge, mut cml) = start(vendor);
        cml.set("CI_JOB_URL", "https://gitlab.example/job/99").set("CI_PIPELINE_ID", "500");
        cml.file("report.md", "\u{feff}# \x1b[1;32mloss\x1b[0m\r\n10%\r20%\x08\x1b]0;t\x07\n\ta\u{9b}0m\x7f\n");
        cml.run(&["comment", "create", "report.md"]).ok();
        assert_eq!(posted(&forge, vendor).replace("\r\n", "\n"), "# loss\n10%\n20%\n\ta\n");
        cml.file(
            "a.jsonl",
            r#"{"path": "a.py", "line": 1, "message": "\u001b[31mred\u0000\u001b[0m", "title": "\u001b[1mT"}"#,
        );
        let args = ["check", "create", "report.md", "--annotations", "a.jsonl", "--title", "\x1b[1mtitle", "--data"];
        cml.run(&[&args[..], &["\x1b[1mloss\x1b[0m=\x1b[2m0.1"]].concat()).ok();
        for request in forge.requests() {
            let body = String::from_utf8_lossy(&request.body).to_lowercase();
            let is_found =
                ["\\u001b", "\\u0000", "\x1b", "%1b", "%00", "\\u009b"].iter().any(|escape| body.contains(escape));
            assert!(!is_found, "{body}");
        }
    }
}

#[test]
fn an_empty_report_is_a_warning_and_strictly_an_error() {
    for vendor in VENDORS {
        for content in ["", " \n\n", "\u{feff}", "\x1b[0m"] {
            let (forge, cml) = start(vendor);
            cml.file("report.md", content);
            for verb in VERBS {
                let ran = cml.run(&[verb, &["--strict"]].concat());
                ran.fails(3, "the report report.md is empty", "check the step that writes it");
            }
            assert!(forge.requests().is_empty());
            let ran = cml.run(VERBS[0]);
            assert_eq!(
                warnings(&ran),
                ["warning: the report report.md is empty", "hint: check the step that writes it"]
            );
            ran.ok();
        }
    }
}

#[test]
fn a_file_that_is_no_report_is_called_what_it_is() {
    for vendor in VENDORS {
        let (forge, cml) = start(vendor);
        cml.file("plot.png", png(1));
        cml.file("my plot.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>");
        cml.file("metrics.csv", "a,b\n1,2\n");
        cml.file("paper.pdf", "%PDF-1.7\n");
        for (file, noun, hint) in [
            ("plot.png", "a PNG image", "add it to a report with ![](plot.png)"),
            ("my plot.svg", "an SVG image", "add it to a report with ![](<my plot.svg>)"),
            ("metrics.csv", "a CSV table", "link to it from a report with [metrics.csv](metrics.csv)"),
            ("paper.pdf", "a PDF file", "link to it from a report with [paper.pdf](paper.pdf)"),
        ] {
            for verb in [["comment", "create"], ["comment", "update"], ["check", "create"]] {
                let ran = cml.run(&[&verb[..], &[file]].concat());
                ran.fails(3, &format!("{file} is {noun}, not a Markdown report"), hint);
            }
        }
        assert!(forge.requests().is_empty());
    }
}

#[test]
fn a_link_that_leads_nowhere_for_readers_is_named_once() {
    for vendor in VENDORS {
        let (forge, cml) = start(vendor);
        cml.git(&["init", "-q"]);
        cml.file(".gitignore", "*.log\n");
        for name in ["model.pkl", "weights.bin", "train.log"] {
            cml.file(name, "x");
        }
        cml.file(
            "report.md",
            "[model](model.pkl) [again](model.pkl)\n\n[w](weights.bin) [l](train.log) [d](docs/) [x](none.bin)\n",
        );
        let ran = cml.run(&["comment", "create", "report.md"]);
        let hint = "hint: --publish-links publishes linked files of any type";
        assert_eq!(
            warnings(&ran),
            [
                "warning: report.md:1: the linked file model.pkl was not published",
                hint,
                "warning: report.md:3: the linked file weights.bin was not published",
                "warning: report.md:3: the linked file train.log was not published",
            ]
        );
        ran.ok();
        let ran = cml.run(&["comment", "create", "--publish-links", "report.md"]);
        let ignored = "warning: report.md:3: the linked file train.log was not published: git ignores it";
        assert_eq!(warnings(&ran), [ignored]);
        assert_eq!(ran.stderr.lines().last(), Some("published 1 file"), "both have the same content");
        assert_eq!(uploads(&forge).len(), 1);
        // Links are no trouble to --strict, which is about what is shown.
        cml.run(&["comment", "create", "--strict", "report.md"]).ok();
    }
}

#[test]
fn an_address_that_is_written_wrong_is_corrected() {
    for vendor in VENDORS {
        let (forge, cml) = start(vendor);
        cml.file("my plots/a.png", png(1));
        cml.file("plots/loss.png", png(2));
        cml.file("table.csv", "a,b\n");
        let text = "![x](my plots/a.png) `![x](my plots/a.png)`\n![y](plots/Loss.PNG)\n![z](file:///work/plots/loss.png)\n\
                    [t](Table.csv) [f](file://table.csv) [other words](not a file)\n![n](none.png)\n";
        cml.file("report.md", text);
        let ran = cml.run(&["comment", "create", "report.md"]);
        assert_eq!(
            warnings(&ran),
            [
                "warning: report.md:2: plots/Loss.PNG does not exist; did you mean plots/loss.png?",
                "warning: report.md:3: file:///work/plots/loss.png is a local file and was not published; write its path instead",
                "warning: report.md:4: Table.csv does not exist; did you mean table.csv?",
                "warning: report.md:4: file://table.csv is a local file and was not published",
                "hint: write the path of a file in the working copy instead",
                "warning: report.md:5: none.png does not exist",
                "warning: report.md:1: my plots/a.png contains a space, which ends an address in Markdown",
                "hint: write <my plots/a.png>",
            ]
        );
        ran.ok();
        assert_eq!(posted(&forge, vendor), text);
        let ran = cml.run(&["comment", "create", "--strict", "report.md"]);
        ran.fails(5, "report.md shows 4 files that cannot be published", "see the warnings above, or omit --strict");
        cml.file("report.md", "![x](my plots/a.png)\n");
        let ran = cml.run(&["comment", "create", "--strict", "report.md"]);
        ran.fails(5, "report.md shows 1 file that cannot be published", "see the warnings above, or omit --strict");
    }
}

#[test]
fn what_was_published_is_counted_and_what_was_copied_is_not_called_so() {
    for vendor in VENDORS {
        let (_forge, cml) = start(vendor);
        cml.git(&["init", "-q"]);
        cml.file("a.png", png(1));
        cml.file("b.png", png(2));
        cml.file("t.csv", "a,b\n");
        for (report, counted) in
            [("![](a.png)", "1 image"), ("![](a.png) ![](b.png)", "2 images"), ("![](a.png) [t](t.csv)", "2 files")]
        {
            cml.file("report.md", report);
            assert_eq!(cml.run(&["comment", "create", "report.md"]).stderr, format!("published {counted}\n"));
            if is_wasm() {
                continue;
            }
            let ran = cml.run(&["comment", "create", "--driver", "local", "report.md"]);
            assert_eq!(ran.stderr, format!("copied {counted} to .cml/files\n"));
        }
    }
}

#[test]
fn a_token_without_a_repository_is_not_ignored_silently() {
    if is_native_only() {
        return;
    }
    let mut cml = Cml::alone();
    cml.set("REPO_TOKEN", "good-token");
    let ran = cml.run(&["comment", "create", "report.md"]);
    assert_eq!(
        warnings(&ran),
        [
            "warning: REPO_TOKEN is set but no repository was found; writing a local preview",
            "hint: run this in a clone of the repository, or pass --repo https://host/owner/name",
        ]
    );
    assert_eq!(ran.ok(), ".cml/index.html\n");
    cml.run(&["comment", "create", "--driver", "local", "report.md"]).ok();
    assert_eq!(warnings(&cml.run(&["comment", "create", "--driver", "local", "report.md"])), [""; 0]);
}

#[test]
fn the_hint_for_a_missing_token_can_be_pasted() {
    for (vendor, own) in VENDORS.into_iter().zip([
        "export REPO_TOKEN=$(gh auth token)",
        "create a personal access token with the scope api, then: export REPO_TOKEN=<token>",
        "create an API token with write access to pull requests and repositories, then: export REPO_TOKEN=<email>:<token>",
    ]) {
        let (forge, mut cml) = start(vendor);
        let repository = forge.repo_url(vendor);
        cml.env.retain(|name, _| ["PATH", "HOME", "GIT_CEILING_DIRECTORIES"].contains(&name.as_str()));
        let driver = format!("{vendor:?}").to_lowercase();
        let args = ["comment", "create", "report.md", "--driver", &driver, "--repo", &repository];
        cml.run(&args).fails(4, &format!("no token found for {vendor:?}"), own);
        let ran = cml.set("CI", "true").run(&args);
        let hint = ran.stderr.lines().last().unwrap();
        assert!(hint.contains("REPO_TOKEN") && !hint.contains("export"), "{hint}");
        // A value in a flow mapping that begins with `$` and has braces is quoted.
        assert_eq!(hint.contains("env: { REPO_TOKEN: \"${{ secrets.GITHUB_TOKEN }}\" }"), vendor == Vendor::GitHub);
        assert_eq!(forge.comments(vendor, &Target::Pull(7)).len(), 0);
    }
}
