//! The images of a report: published with the forge's own means, at addresses that serve them.

use crate::support::fake::{Forge, Kind, Target, Vendor};
use crate::support::net::{Answer, get, send};
use crate::support::reader::{blanks, filled, posted, uploads};
use crate::support::{Cml, VENDORS, png};
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Duration;

const HIDDEN: &str = "refs/cml/assets";

/// Writes the image and a report that shows it.
fn one_image(cml: &Cml, name: &str, seed: u8) {
    cml.file(name, png(seed));
    cml.file("report.md", format!("![plot]({name})\n"));
}

/// The address in a posted [`one_image`].
fn address(forge: &Forge, vendor: Vendor) -> String {
    blanks("![plot](@)\n", &posted(forge, vendor)).remove(0)
}

#[track_caller]
fn serves(address: &str, mime: &str, bytes: &[u8]) {
    let answer = get(address);
    assert_eq!((answer.status, answer.header("content-type")), (200, mime), "{address}");
    assert!(answer.body == bytes, "{address} serves other bytes");
}

fn git_requests(forge: &Forge) -> Vec<String> {
    let requests = forge.requests().into_iter().filter(|request| request.path.contains("/git/"));
    requests.map(|request| format!("{} {}", request.method, request.path)).collect()
}

/// A call of GitHub's Git Data API, as somebody else makes it.
fn git_api(forge: &Forge, method: &str, path: &str, body: &Value) -> Value {
    let url = format!("{}/repos/octo/model/git/{path}", forge.api(Vendor::GitHub));
    let Answer { body, .. } =
        send(method, &url, &[("Authorization", "Bearer good")], body.to_string().as_bytes()).unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[test]
fn the_example_report_is_shown_with_its_images_and_nothing_else_of_it_changes() {
    let example = |name: &str| std::fs::read(format!("{}/examples/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let plots = ["plots/confusion_matrix.png", "plots/learning_curve.png"];
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        let report = String::from_utf8(example("report.md")).unwrap();
        cml.file("report.md", &report);
        for plot in plots {
            cml.file(plot, example(plot));
        }
        cml.run(&["comment", "create", "report.md"]).ok();
        insta::assert_snapshot!(format!("example_{vendor:?}"), forge.transcript());
        let template = plots.iter().fold(report, |text, plot| text.replace(plot, "@"));
        let addresses = blanks(&template, &posted(&forge, vendor));
        for (plot, address) in plots.iter().zip(&addresses) {
            serves(address, "image/png", &example(plot));
        }
        assert_eq!(uploads(&forge).len(), 2);
    }
}

#[test]
fn every_form_of_address_is_published_and_identical_images_once() {
    let template = "![a](@ \"a title\") ![b](<@>) **![c](@)**\n\n![dark](@) ![light](@) ![raw](@)\n\n\
        | cell |\n|------|\n| ![t](@) |\n\n- [ ] ![label][l] `![code](same.png)`\n\n\
        <img alt=x src=\"@\" width=\"300\"> <img src='@'/> <img src=@ alt=y>\n\n\
        <picture>\n  <source media=\"(prefers-color-scheme: dark)\" srcset=\"@ 1x, @ 2x\">\n  <img src=\"@\">\n</picture>\n\n\
        <video poster=\"@\" controls src=\"@\"></video>\n\n[![thumb](@)](@)\n\n![data](@)\n\n> ![absolute](@)\n\n[l]: @ 'title'\n";
    let video = b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2".to_vec();
    let encoded =
        format!("data:image/png;base64,{}", base64::Engine::encode(&base64::prelude::BASE64_STANDARD, png(99)));
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        // A linked file is published from a repository only.
        cml.git(&["init", "-q"]);
        let absolute = cml.path().join("absolute.png").display().to_string();
        // Address in the report, file, what of the address stays.
        let rows = [
            ("same.png", "same.png", ""),
            ("with space.png", "with space.png", ""),
            ("my%20plot.png", "my plot.png", ""),
            ("two.png#gh-dark-mode-only", "two.png", "#gh-dark-mode-only"),
            ("two.png#gh-light-mode-only", "two.png", "#gh-light-mode-only"),
            ("plot.png?raw=1", "plot.png", ""),
            ("./deep/er/t.png", "deep/er/t.png", ""),
            ("quoted.png", "quoted.png", ""),
            ("it's.png", "it's.png", ""),
            ("bare.png", "bare.png", ""),
            ("one.png", "one.png", ""),
            ("again.png", "again.png", ""),
            ("结果/plöt%20é.png", "结果/plöt é.png", ""),
            ("poster.png", "poster.png", ""),
            ("video.mp4", "video.mp4", ""),
            ("thumb.png", "thumb.png", ""),
            ("./thumb.png", "thumb.png", ""),
            (&encoded, "", ""),
            (&absolute, "absolute.png", ""),
            ("label.png", "label.png", ""),
        ];
        let content = |row: usize| match rows[row].1 {
            "" => png(99),
            "again.png" => png(0),
            "video.mp4" => video.clone(),
            name => png(rows.iter().position(|(_, file, _)| *file == name).unwrap() as u8),
        };
        for (n, (_, file, _)) in rows.iter().enumerate().filter(|(_, (_, file, _))| !file.is_empty()) {
            cml.file(file, content(n));
        }
        // In single quotes an apostrophe would end the attribute: HTML writes it as a reference.
        let sources: Vec<String> = rows.iter().map(|(source, ..)| source.replace('\'', "&#39;")).collect();
        cml.file("report.md", filled(template, &sources));
        let ran = cml.run(&["comment", "create", "report.md"]);
        assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
        ran.ok();
        let addresses = blanks(template, &posted(&forge, vendor));
        for (n, address) in addresses.iter().enumerate() {
            let mime = if rows[n].1 == "video.mp4" { "video/mp4" } else { "image/png" };
            serves(address, mime, &content(n));
            assert_eq!(&address[address.find('#').unwrap_or(address.len())..], rows[n].2, "{address}");
        }
        let mut different: Vec<Vec<u8>> = (0..rows.len()).map(content).collect();
        different.sort();
        different.dedup();
        assert_eq!(uploads(&forge).len(), different.len(), "{vendor:?}: each content once");
    }
}

#[test]
fn addresses_are_relative_to_the_folder_of_the_report() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        cml.file("reports/today/plots/a.png", png(1));
        cml.file("plots/a.png", png(2));
        let template = "![here](@)\n\n![above](@)\n";
        cml.file("reports/today/report.md", filled(template, &["plots/a.png", "../../plots/a.png"]));
        cml.run(&["comment", "create", "reports/today/report.md"]).ok();
        for (n, address) in blanks(template, &posted(&forge, vendor)).iter().enumerate() {
            serves(address, "image/png", &png(n as u8 + 1));
        }
    }
}

#[test]
fn a_missing_image_is_named_with_file_and_line_and_strict_makes_it_an_error() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        cml.file("there.png", png(1));
        let text = "# Report\n\n![a](there.png)\n\n<img src=\"gone.png\">\n[not a file](docs/)\n";
        cml.file("out/report.md", text.replace("there", "../there"));
        let strict = cml.run(&["comment", "create", "--strict", "out/report.md"]);
        let error = "out/report.md shows 1 file that cannot be published";
        strict.fails(5, error, "see the warnings above, or omit --strict");
        assert!(strict.stderr.contains("out/report.md:5: gone.png does not exist"), "{}", strict.stderr);
        assert!(forge.requests().is_empty(), "{}", forge.transcript());
        let ran = cml.run(&["comment", "create", "out/report.md"]);
        assert!(ran.stderr.contains("warning: out/report.md:5: gone.png does not exist"));
        assert!(!ran.stderr.contains("docs/"), "a link to something that is no file: {}", ran.stderr);
        ran.ok();
        assert!(posted(&forge, vendor).contains("<img src=\"gone.png\">\n[not a file](docs/)\n"));
    }
}

#[test]
fn an_update_sends_only_the_images_that_changed() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        one_image(&cml, "plot.png", 1);
        cml.run(&["comment", "update", "report.md"]).ok();
        let (first, sent) = (address(&forge, vendor), uploads(&forge).len());
        assert_eq!(sent, 1);
        forge.clear_requests();
        cml.file("report.md", "![plot](plot.png)\nnew text\n");
        cml.run(&["comment", "update", "report.md"]).ok();
        assert_eq!(posted(&forge, vendor), format!("![plot]({first})\nnew text\n"));
        assert!(uploads(&forge).is_empty() && git_requests(&forge).is_empty(), "{}", forge.transcript());
        one_image(&cml, "plot.png", 2);
        cml.run(&["comment", "update", "report.md"]).ok();
        assert_eq!(uploads(&forge).len(), 1);
        serves(&address(&forge, vendor), "image/png", &png(2));
    }
}

#[test]
fn on_github_images_live_in_a_hidden_ref_and_are_not_sent_again() {
    let forge = Forge::start();
    let cml = Cml::on(&forge, Vendor::GitHub);
    let main = forge.refs()["refs/heads/main"].clone();
    one_image(&cml, "plot.png", 1);
    cml.run(&["comment", "create", "report.md"]).ok();
    assert_eq!(forge.refs().keys().collect::<Vec<_>>(), [HIDDEN, "refs/heads/main"], "no branch");
    assert_eq!(forge.git_files(HIDDEN).into_values().collect::<Vec<_>>(), [png(1)]);
    forge.clear_requests();
    cml.run(&["comment", "create", "report.md"]).ok();
    let commits =
        git_requests(&forge).iter().filter(|line| line.contains("/git/commits") && line.starts_with("POST ")).count();
    assert_eq!(commits, 0, "what is there makes no commit: {}", forge.transcript());
    serves(&address(&forge, Vendor::GitHub), "image/png", &png(1));
    one_image(&cml, "plot.png", 2);
    cml.run(&["comment", "create", "report.md"]).ok();
    assert_eq!(forge.git_files(HIDDEN).len(), 1);
    let comments = forge.live_comments(Vendor::GitHub, &Target::Pull(7));
    let first = comments[0].body.split(['(', ')']).nth(1).unwrap();
    serves(first, "image/png", &png(1));
    assert_eq!(forge.refs()["refs/heads/main"], main);
}

#[test]
fn a_few_images_cost_four_round_trips_on_github() {
    let forge = Forge::start();
    let mut cml = Cml::on(&forge, Vendor::GitHub);
    cml.set("CML_LOG", "warn");
    for seed in 1..3 {
        one_image(&cml, "plot.png", seed);
        forge.clear_requests();
        // Long enough for what goes together to be seen so on a busy machine.
        forge.latency(Duration::from_millis(400));
        cml.run(&["asset", "publish", "plot.png"]).ok();
        assert!(forge.round_trips() <= 4, "{}: {}", forge.round_trips(), forge.transcript());
        forge.clear_requests();
        one_image(&cml, "plot.png", seed + 10);
        cml.run(&["comment", "create", "report.md"]).ok();
        assert!(forge.round_trips() <= 5, "{}: {}", forge.round_trips(), forge.transcript());
    }
}

#[test]
fn a_publish_branch_serves_what_the_hidden_ref_does_not_even_for_images_that_are_not_new() {
    let forge = Forge::start();
    forge.configure(|switches| switches.raw_needs_branch = true);
    let cml = Cml::on(&forge, Vendor::GitHub);
    one_image(&cml, "plot.png", 1);
    cml.run(&["comment", "update", "report.md"]).ok();
    assert_eq!(get(&address(&forge, Vendor::GitHub)).status, 404);
    for _ in 0..2 {
        cml.run(&["comment", "update", "--publish-branch", "cml-assets", "report.md"]).ok();
        serves(&address(&forge, Vendor::GitHub), "image/png", &png(1));
    }
    assert_eq!(forge.git_files("refs/heads/cml-assets").into_values().collect::<Vec<_>>(), [png(1)]);
}

#[test]
fn a_publish_branch_keeps_its_other_files_however_many() {
    let forge = Forge::start();
    let files: Vec<Value> = (0..1200)
        .map(|n| json!({ "path": format!("page-{n}.html"), "mode": "100644", "type": "blob", "content": "<p>" }))
        .collect();
    let tree = git_api(&forge, "POST", "trees", &json!({ "tree": files }));
    let commit = git_api(&forge, "POST", "commits", &json!({ "message": "pages", "tree": tree["sha"], "parents": [] }));
    git_api(&forge, "POST", "refs", &json!({ "ref": "refs/heads/gh-pages", "sha": commit["sha"] }));
    let cml = Cml::on(&forge, Vendor::GitHub);
    one_image(&cml, "plot.png", 1);
    cml.run(&["comment", "create", "--publish-branch", "gh-pages", "report.md"]).ok();
    assert_eq!(forge.git_files("refs/heads/gh-pages").len(), 1201);
    serves(&address(&forge, Vendor::GitHub), "image/png", &png(1));
}

#[test]
fn the_hidden_ref_starts_anew_when_it_is_large_and_old_images_stay_reachable() {
    let forge = Forge::start();
    let files: Vec<Value> = (0..1000)
        .map(|n| json!({ "path": format!("{n:032x}.png"), "mode": "100644", "type": "blob", "content": "x" }))
        .collect();
    let tree = git_api(&forge, "POST", "trees", &json!({ "tree": files }));
    let old = git_api(&forge, "POST", "commits", &json!({ "message": "old", "tree": tree["sha"], "parents": [] }));
    git_api(&forge, "POST", "refs", &json!({ "ref": HIDDEN, "sha": old["sha"] }));
    let cml = Cml::on(&forge, Vendor::GitHub);
    one_image(&cml, "plot.png", 1);
    cml.run(&["comment", "create", "report.md"]).ok();
    serves(&address(&forge, Vendor::GitHub), "image/png", &png(1));
    assert_eq!(forge.git_files(HIDDEN).len(), 1);
    let commit = git_api(&forge, "GET", &format!("commits/{}", forge.refs()[HIDDEN]), &Value::Null);
    assert_eq!(commit["parents"][0]["sha"], old["sha"], "the old ones stay reachable");
}

#[test]
fn eight_jobs_publish_to_github_at_once_and_no_image_is_lost() {
    let forge = Forge::start();
    forge.barrier("POST /github/repos/octo/model/git/refs", 8);
    forge.barrier_within("PATCH /github/repos/octo/model/git/refs", 8, Duration::from_millis(100));
    let jobs: Vec<_> = (0..8)
        .map(|n| {
            let cml = Cml::on(&forge, Vendor::GitHub);
            one_image(&cml, "plot.png", n);
            let mut command = cml.command(&["comment", "create", "report.md"]);
            (command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap(), cml)
        })
        .collect();
    for (job, _folder) in jobs {
        let output = job.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let requests = forge.requests();
    assert!(requests.iter().all(|request| request.json()["force"] != json!(true)), "{}", forge.transcript());
    let lost = requests.iter().filter(|request| request.path.contains("/git/refs") && request.status == 422).count();
    assert!(lost >= 7, "the jobs were to race: {lost}");
    assert_eq!(uploads(&forge).len(), 8, "who loses sends no image again");
    let (mut seen, mut commit) = (0, json!(forge.refs()[HIDDEN]));
    while let Some(sha) = commit.as_str() {
        commit = git_api(&forge, "GET", &format!("commits/{sha}"), &Value::Null)["parents"][0]["sha"].clone();
        seen += 1;
    }
    assert_eq!(seen, 8, "every commit is an ancestor of the last");
    for comment in forge.live_comments(Vendor::GitHub, &Target::Pull(7)) {
        let address = comment.body.split(['(', ')']).nth(1).unwrap();
        assert_eq!(get(address).status, 200, "{address}");
    }
}

#[test]
fn a_token_that_may_not_publish_costs_the_images_only() {
    for (vendor, hint) in [
        (Vendor::GitHub, "permissions: { contents: write }"),
        (Vendor::GitLab, "scope"),
        (Vendor::Bitbucket, "but needs repository:write"),
    ] {
        let forge = Forge::start();
        let mut cml = Cml::on(&forge, vendor);
        cml.set("REPO_TOKEN", "nocontents");
        one_image(&cml, "plot.png", 1);
        let strict = cml.run(&["comment", "create", "--strict", "report.md"]);
        strict.fails(4, "cannot publish the images: the token is not allowed to do this*", &format!("*{hint}*"));
        assert!(forge.live_comments(vendor, &Target::Pull(7)).is_empty());
        let ran = cml.run(&["comment", "create", "report.md"]);
        let said = |prefix: &str, text: &str| ran.stderr.lines().any(|l| l.starts_with(prefix) && l.contains(text));
        assert!(said("warning: cannot publish the images", "is not allowed to do this"), "{}", ran.stderr);
        assert!(said("hint: ", hint), "{}", ran.stderr);
        assert_eq!(posted(&forge, vendor), "![plot](plot.png)\n", "unchanged");
        ran.ok();
    }
}

#[test]
fn a_repository_that_is_not_there_is_named_also_when_images_come_first() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        one_image(&cml, "plot.png", 1);
        let elsewhere = format!("{}-nothing", forge.repo_url(vendor));
        let error = format!("cannot publish the images: repository {elsewhere} was not found with this token");
        cml.run(&["comment", "create", "--repo", &elsewhere, "report.md"]).fails(5, &error, "check --repo*");
    }
}

#[test]
fn an_empty_repository_is_named_as_the_reason() {
    let forge = Forge::start();
    let empty = r#"{"message": "Git Repository is empty.", "documentation_url": "https://docs.github.com/rest"}"#;
    for method in ["GET", "POST"] {
        forge.fault(&format!("{method} /github/repos/octo/model/git/"), 100, Kind::answer(409, &[], empty));
    }
    let cml = Cml::on(&forge, Vendor::GitHub);
    one_image(&cml, "plot.png", 1);
    let error = "cannot publish the images: GitHub answered 409: Git Repository is empty.";
    cml.run(&["comment", "create", "report.md"]).fails(6, error, "the repository is empty: push a commit");
}

#[test]
fn thirty_images_travel_together_but_not_all_at_once_and_without_a_word() {
    for vendor in VENDORS {
        let forge = Forge::start();
        forge.latency(Duration::from_millis(15));
        let cml = Cml::on(&forge, vendor);
        let lines = (0..30).map(|n| {
            cml.file(&format!("{n}.png"), png(n));
            format!("![{n}]({n}.png)\n")
        });
        cml.file("report.md", lines.collect::<String>());
        let ran = cml.run(&["comment", "create", "report.md"]);
        assert_eq!(ran.stderr, "published 30 images\n", "no progress in a log");
        ran.ok();
        assert_eq!(uploads(&forge).len(), 30);
        let most = forge.max_concurrent();
        // On GitHub the ref is read beside them.
        assert!(most > 1 && most <= 9, "{vendor:?}: {most} at once");
        let template: String = (0..30).map(|n| format!("![{n}](@)\n")).collect();
        for (n, address) in blanks(&template, &posted(&forge, vendor)).iter().enumerate() {
            serves(address, "image/png", &png(n as u8));
        }
    }
}

#[test]
fn an_address_in_a_comment_is_taken_for_ours_only_when_all_of_it_is() {
    // Anybody can compute the hash of a file that a report shows, and put it into an address of their own.
    for vendor in VENDORS {
        for section in [&[] as &[&str], &["--section", "a"]] {
            let forge = Forge::start();
            let cml = Cml::on(&forge, vendor);
            one_image(&cml, "plot.png", 1);
            cml.run(&["comment", "create", "--watermark-title", "other", "report.md"]).ok();
            let real = address(&forge, vendor);
            let name = real.rsplit('/').next().unwrap();
            let evil = format!(
                "![](https://evil.example/x/{name})\n\n![](https://evil.example/{real})\n\n![](https://evil.example/?{real})\n\n\
                 ![](https://cml.dev/watermark.png#aa \"CML watermark\")"
            );
            forge.seed_comment(vendor, &Target::Pull(7), "cml-bot", &evil);
            cml.run(&[&["comment", "update"], section, &["report.md"]].concat()).ok();
            let live = forge.live_comments(vendor, &Target::Pull(7));
            let body = &live.last().unwrap().body;
            assert_eq!(live.len(), 2, "{live:#?}");
            let shown = body.split("![plot](").nth(1).unwrap().split(')').next().unwrap();
            assert!(shown.starts_with(forge.url()), "{vendor:?}: {body}");
            serves(shown, "image/png", &png(1));
        }
    }
}

#[test]
fn a_file_is_published_once_however_many_addresses_lead_to_it() {
    let forge = Forge::start();
    let cml = Cml::on(&forge, Vendor::GitHub);
    cml.file("plot.png", png(1));
    let mut report = "![same](plot.png)\n".repeat(200);
    for n in 0..100 {
        std::os::unix::fs::symlink("plot.png", cml.path().join(format!("link{n}.png"))).unwrap();
        report += &format!("![link](link{n}.png)\n![missing](missing{n}.png)\n![missing](missing{n}.png)\n");
    }
    cml.file("report.md", &report);
    let ran = cml.run(&["comment", "create", "report.md"]);
    assert_eq!(ran.stderr.matches("does not exist").count(), 20, "{}", ran.stderr);
    assert!(ran.stderr.contains("cannot publish 80 more files that report.md shows"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("report.md:202: missing0.png"),
        "the first missing one is named with its line: {}",
        ran.stderr
    );
    ran.ok();
    assert_eq!(uploads(&forge).len(), 1);
    let body = posted(&forge, Vendor::GitHub);
    assert!(!body.contains("(plot.png)") && !body.contains("(link") && body.contains("(missing99.png)"));
}
