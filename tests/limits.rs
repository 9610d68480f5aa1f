//! Reports that are longer than a comment, and what a command leaves besides the comment.

use crate::support::fake::{Comment, Forge, Target, Vendor};
use crate::support::net::get;
use crate::support::reader::{posted, uploads};
use crate::support::{Cml, VENDORS, png};

/// The longest comment that a forge takes, in characters.
fn limit(vendor: Vendor) -> usize {
    match vendor {
        Vendor::GitHub => 65_536,
        Vendor::GitLab => 1_000_000,
        Vendor::Bitbucket => 32_768,
    }
}

const HEADER: &str = "| Run | Score of this run |\n|----:|------------------:|\n";

/// A report of about so many comments, mostly one table. `word` tells reports apart.
fn report(vendor: Vendor, comments: f64, word: &str) -> String {
    let rows = (limit(vendor) as f64 * comments / 100.0) as usize;
    let rows: String = (0..rows).map(|n| format!("| {n:>9} | {word} — {:>84} |\n", n * 7)).collect();
    format!("# Long report\n\nAn introduction by {word}[^1].\n\n{HEADER}{rows}\nThe end.\n\n[^1]: A note.\n")
}

fn on_pull(forge: &Forge, vendor: Vendor) -> Vec<Comment> {
    forge.live_comments(vendor, &Target::Pull(7))
}

/// The comments are parts of one report, whole and in order, each within the limit.
#[track_caller]
fn are_parts_of(comments: &[Comment], report: &str, vendor: Vendor) {
    let of = comments.len();
    let mut rows = 0;
    for (n, comment) in comments.iter().enumerate() {
        let body = &comment.body;
        assert!(body.encode_utf16().count() <= limit(vendor), "part {} is too long", n + 1);
        assert!(body.contains(&format!("\n\n({}/{of})\n\n![](https://cml.dev/watermark.png", n + 1)), "part {}", n + 1);
        let table = body.lines().filter(|line| line.starts_with("| ") && line.contains('—')).count();
        assert_eq!(body.matches(HEADER).count(), usize::from(table > 0), "each table has its header");
        rows += table;
    }
    let all: String = comments.iter().map(|comment| comment.body.as_str()).collect();
    assert_eq!(rows, report.lines().filter(|line| line.contains('—')).count());
    let lines: std::collections::HashSet<&str> = all.lines().collect();
    assert!(report.lines().all(|line| lines.contains(line)), "nothing is lost");
    assert!(comments[0].body.starts_with("# Long report\n") && all.contains("\nThe end.\n"));
}

#[test]
fn a_long_report_becomes_numbered_comments_that_later_runs_update_together() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        let mut ids: Vec<Vec<u64>> = Vec::new();
        for (round, (size, parts)) in [(1.5, 2), (1.6, 2), (1.4, 2), (0.5, 1), (2.5, 3)].into_iter().enumerate() {
            let text = report(vendor, size, &format!("round-{round}"));
            cml.file("report.md", &text);
            let printed = cml.run(&["comment", "update", "report.md"]).ok();
            let comments = on_pull(&forge, vendor);
            assert_eq!(comments.len(), parts, "{vendor:?} round {round}");
            match parts {
                1 => assert_eq!(posted(&forge, vendor), text),
                _ => are_parts_of(&comments, &text, vendor),
            }
            assert!(printed.trim().ends_with(&comments[0].id.to_string()), "the first part's address: {printed}");
            ids.push(comments.iter().map(|comment| comment.id).collect());
        }
        assert!(ids[0] == ids[1] && ids[1] == ids[2], "{vendor:?}: the same comments stay: {ids:?}");
        assert!(ids.iter().all(|round| round[0] == ids[0][0]), "{vendor:?}: the first stays first: {ids:?}");
        // Two, one of them deleted for the short report, and two more for the longest.
        assert_eq!(forge.comments(vendor, &Target::Pull(7)).len(), 4, "{vendor:?}");
    }
}

#[test]
fn a_long_report_is_split_by_itself_and_created_anew_each_time() {
    for vendor in [Vendor::GitHub, Vendor::Bitbucket] {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        let text = report(vendor, 2.2, "new");
        cml.file("report.md", &text);
        let ran = cml.run(&["comment", "create", "--overflow", "split", "report.md"]);
        assert!(ran.stderr.contains(&format!("the report has {} characters", text.encode_utf16().count())));
        ran.ok();
        cml.run(&["comment", "create", "report.md"]).ok();
        let comments = on_pull(&forge, vendor);
        assert_eq!(comments.len(), 6);
        are_parts_of(&comments[..3], &text, vendor);
        are_parts_of(&comments[3..], &text, vendor);
        // All parts of earlier runs go, not the first ones only.
        cml.run(&["comment", "create", "--delete-previous", "report.md"]).ok();
        are_parts_of(&on_pull(&forge, vendor), &text, vendor);
    }
}

#[test]
fn characters_are_counted_as_the_forges_count_them() {
    for vendor in [Vendor::GitHub, Vendor::Bitbucket] {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        // Each is one character of four bytes, and two UTF-16 units.
        let text: String = (0..limit(vendor) / 20).map(|_| "🎉🎉🎉🎉🎉🎉🎉🎉🎉\n\n").collect();
        cml.file("report.md", &text);
        cml.run(&["comment", "update", "report.md"]).ok();
        let comments = on_pull(&forge, vendor);
        assert!(comments.iter().all(|comment| comment.body.encode_utf16().count() <= limit(vendor)));
        let all: String = comments.iter().map(|comment| comment.body.as_str()).collect();
        assert_eq!(all.matches('🎉').count(), text.matches('🎉').count());
    }
}

#[test]
fn a_report_of_very_many_comments_ends_with_a_link_to_all_of_it() {
    for vendor in [Vendor::GitHub, Vendor::Bitbucket] {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        let text = report(vendor, 11.5, "many");
        cml.file("report.md", &text);
        for (options, most) in [(&[][..], 10), (&["--overflow-limit", "3"], 3)] {
            let ran = cml.run(&[&["comment", "update", "report.md"], options].concat());
            let warning = format!("warning: the report needs 13 comments; cut after {most}");
            assert!(ran.stderr.contains(&warning) && ran.stderr.contains("raise --overflow-limit"), "{ran:?}");
            ran.ok();
            let comments = on_pull(&forge, vendor);
            assert_eq!(comments.len(), most, "{vendor:?}");
            let last = &comments[most - 1].body;
            assert!(comments.iter().all(|comment| comment.body.encode_utf16().count() <= limit(vendor)));
            let link = last.split("*The report was cut here.* [Read the whole report](").nth(1).expect(last);
            assert_eq!(get(link.split(')').next().unwrap()).text(), text);
            assert!(last.contains(&format!("({most}/{most})")), "{last}");
        }
    }
    let cml = Cml::alone();
    for wrong in ["0", "101", "x"] {
        let ran = cml.run(&["comment", "create", "--overflow-limit", wrong, "report.md"]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
    }
}

/// A report that is too long, with an image.
fn too_long_with_image(cml: &Cml, vendor: Vendor) -> String {
    cml.file("plot.png", png(1));
    let text = format!("![plot](plot.png)\n\n{}", report(vendor, 1.2, "whole"));
    cml.file("report.md", &text);
    text
}

/// The last paragraph before the watermark.
fn last_words(forge: &Forge, vendor: Vendor) -> String {
    posted(forge, vendor).rsplit("\n\n").next().unwrap_or_default().to_owned()
}

#[test]
fn truncate_posts_the_beginning_with_a_link_to_the_whole_report() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        let text = too_long_with_image(&cml, vendor);
        for round in 0..2 {
            cml.run(&["comment", "update", "--overflow", "truncate", "report.md"]).ok();
            let comments = on_pull(&forge, vendor);
            assert_eq!(comments.len(), 1, "{vendor:?} round {round}");
            assert!(comments[0].body.encode_utf16().count() <= limit(vendor));
            let body = posted(&forge, vendor);
            let plot = body.strip_prefix("![plot](").and_then(|rest| rest.split(')').next()).unwrap();
            assert_eq!(get(plot).body, png(1));
            let words = last_words(&forge, vendor);
            let link = words.strip_prefix("*The report was cut here.* [Read the whole report](").expect(&words);
            let answer = get(link.trim_end_matches(')'));
            assert!(answer.header("content-type").starts_with("text/"), "{answer:?}");
            assert_eq!(answer.text(), text.replace("(plot.png)", &format!("({plot})")));
            assert_eq!(uploads(&forge).len(), 2, "{vendor:?}: image and report once, not again in round {round}");
        }
    }
}

#[test]
fn truncate_links_to_the_job_where_the_report_cannot_be_published() {
    for (vendor, page) in [
        (Vendor::GitHub, "/octo/model/actions/runs/99"),
        (Vendor::GitLab, "/group/model/-/jobs/99"),
        (Vendor::Bitbucket, "/team/model/pipelines/results/99"),
    ] {
        let forge = Forge::start();
        let mut cml = Cml::on(&forge, vendor);
        cml.set("CI_JOB_URL", &format!("{}/group/model/-/jobs/99", forge.url()));
        too_long_with_image(&cml, vendor);
        let run = ["comment", "create", "--overflow", "truncate", "report.md"];
        for (options, token, warned) in [(&["--no-publish"][..], "good", false), (&[], "nocontents", true)] {
            cml.set("REPO_TOKEN", token);
            let ran = cml.run(&[&run[..], options].concat());
            assert_eq!(ran.stderr.contains("warning: cannot publish the whole report"), warned, "{}", ran.stderr);
            ran.ok();
            let page = match vendor {
                // The name of the server is Bitbucket's own: no variable tells another.
                Vendor::Bitbucket => format!("https://bitbucket.org{page}"),
                _ => format!("{}{page}", forge.url()),
            };
            let expected = format!("*The report was cut here.* [See the job]({page})");
            assert_eq!(last_words(&forge, vendor), expected, "{vendor:?} {token}");
        }
    }
}

#[test]
fn fail_posts_nothing_and_says_how_long_is_too_long() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        let text = report(vendor, 1.2, "long");
        cml.file("report.md", &text);
        let ran = cml.run(&["comment", "create", "--overflow", "fail", "report.md"]);
        let error = format!(
            "the report has {} characters, but a comment on {vendor:?} can have at most *",
            text.encode_utf16().count()
        );
        ran.fails(10, &error, "use --overflow split or --overflow truncate");
        assert!(forge.requests().is_empty());
        cml.file("report.md", report(vendor, 0.5, "short"));
        cml.run(&["comment", "create", "--overflow", "fail", "report.md"]).ok();
    }
}

#[test]
fn the_job_summary_is_added_to_and_cut_to_what_it_takes() {
    const MOST: usize = 1024 * 1024;
    let forge = Forge::start();
    let mut cml = Cml::on(&forge, Vendor::GitHub);
    let path = cml.file("summary.md", "of another step\n");
    cml.set("GITHUB_STEP_SUMMARY", &path.display().to_string());
    let run = ["comment", "create", "--overflow", "truncate", "report.md"];
    cml.run(&run).ok();
    let first = format!("of another step\n{}\n\n", cml.read("report.md"));
    assert_eq!(cml.read("summary.md"), first);
    cml.set("CML_COMMENT_NO_SUMMARY", "true").run(&run).ok();
    cml.unset("CML_COMMENT_NO_SUMMARY").run(&[&run[..], &["--no-summary"]].concat()).ok();
    assert_eq!(cml.read("summary.md"), first, "unchanged");
    // One, two and three bytes a character.
    for letter in ["x", "é", "结"] {
        cml.file("summary.md", "of another step\n");
        cml.file("report.md", format!("{}\n\n", letter.repeat(20)).repeat(MOST / 20));
        cml.run(&run).ok();
        let summary = cml.read("summary.md");
        assert!(summary.len() <= MOST && summary.len() > MOST * 9 / 10, "{letter}: {} bytes", summary.len());
        assert!(summary.starts_with(&format!("of another step\n{letter}")));
        assert!(summary.ends_with("\n\n*The report was cut here: it is too long for a job summary.*\n\n"));
    }
    for free in [0, 10, 100] {
        cml.file("report.md", "word ".repeat(100));
        cml.file("summary.md", "x".repeat(MOST - free));
        let ran = cml.run(&run);
        assert!(ran.stderr.contains("warning: the job summary is full; the report was not added"));
        assert_eq!(cml.read("summary.md").len(), MOST - free);
        ran.ok();
    }
}

#[test]
fn the_address_of_the_comment_is_handed_on_in_each_cis_own_way() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let mut cml = Cml::on(&forge, vendor);
        let path = |name: &str| cml.path().join(name).display().to_string();
        let (outputs, dotenv, shared) = (path("outputs"), path("cml.dotenv"), path("shared"));
        cml.set("GITHUB_OUTPUT", &outputs).set("CML_DOTENV", &dotenv);
        cml.set("BITBUCKET_PIPE_SHARED_STORAGE_DIR", &shared);
        cml.file("outputs", "before=1\n");
        cml.file("shared/cml.env", "BEFORE=1\n");
        let address = cml.run(&["comment", "create", "report.md"]).ok();
        let address = address.trim();
        // Each file is one CI's own, but for the one that users name.
        let outputs = cml.read("outputs");
        let rest = outputs.strip_prefix("before=1\n").expect(&outputs);
        if vendor == Vendor::GitHub {
            let (delimiter, rest) = rest.strip_prefix("comment-url<<").and_then(|rest| rest.split_once('\n')).unwrap();
            assert!(delimiter.len() > 12, "nobody guesses {delimiter}");
            assert_eq!(rest, format!("{address}\n{delimiter}\n"));
        } else {
            assert_eq!(rest, "");
        }
        assert_eq!(cml.read("cml.dotenv"), format!("COMMENT_URL={address}\n"));
        let line = if vendor == Vendor::Bitbucket { format!("COMMENT_URL={address}\n") } else { String::new() };
        assert_eq!(cml.read("shared/cml.env"), format!("BEFORE=1\n{line}"));
        // A name has one line, whatever others the job wrote.
        cml.file("cml.dotenv", "A=1\nCOMMENT_URL=old\nMY_COMMENT_URL=2");
        cml.run(&["comment", "update", "report.md"]).ok();
        assert_eq!(cml.read("cml.dotenv"), format!("A=1\nMY_COMMENT_URL=2\nCOMMENT_URL={address}\n"));
        // As in a container of the user's own, in which the files of the CI are not mounted.
        let mut lost = vec!["the step's results to /nonexistent/dotenv"];
        cml.set("CML_DOTENV", "/nonexistent/dotenv").set("GITHUB_OUTPUT", "/nonexistent/outputs");
        cml.set("GITHUB_STEP_SUMMARY", "/nonexistent/summary");
        if vendor == Vendor::GitHub {
            lost.extend(["the step's results to /nonexistent/outputs", "the job summary to /nonexistent/summary"]);
        }
        for args in [&["comment", "update", "report.md"][..], &["comment", "create", "--target=commit", "report.md"]] {
            let ran = cml.run(args);
            assert_eq!(ran.code, Some(0), "{args:?}: {ran:#?}");
            assert!(ran.stdout.starts_with("http") && (args.len() > 3 || ran.stdout.trim() == address), "{ran:#?}");
            for what in &lost {
                assert!(ran.stderr.contains(&format!("warning: cannot write {what} (")), "{what}: {ran:#?}");
            }
        }
    }
}
