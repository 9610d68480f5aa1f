//! The local preview: no forge, no network. The program, its files and git are real; the browser is a script.

use crate::support::fake::{Forge, Vendor};
use crate::support::ignored::{ignored, is_native_only};
use crate::support::{Cml, executable, is_wasm, png};

/// A folder outside of any CI, for the build that has the preview.
fn preview() -> Option<Cml> {
    (!is_native_only()).then(Cml::alone)
}

/// The state in a file of the preview.
fn state(cml: &Cml, name: &str) -> Vec<serde_json::Value> {
    serde_json::from_str(&cml.read(&format!(".cml/{name}"))).unwrap()
}

#[test]
fn a_report_becomes_a_page_and_keeps_its_history() {
    let Some(mut cml) = preview() else { return };
    // Any request would fail the run.
    cml.set("https_proxy", "http://127.0.0.1:9").set("http_proxy", "http://127.0.0.1:9");
    cml.file("report.md", "# First\n\n![loss](loss.png)\n\n| a | b |\n|---|--:|\n| 1 | $x_1$ |\n");
    cml.file("loss.png", png(1));
    let printed = cml.run(&["comment", "create", "report.md"]).ok();
    assert_eq!(printed, ".cml/index.html\n");
    let page = cml.read(".cml/index.html");
    for part in ["<h1", "<table", "$x_1$", "prefers-color-scheme: dark", "Content-Security-Policy"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("cml.dev"), "the mark is not a picture");
    let image = page.split("src=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(std::fs::read(cml.path().join(".cml").join(image)).unwrap(), png(1));
    cml.file("report.md", "# Second");
    assert_eq!(cml.run(&["comment", "update", "report.md"]).ok(), printed);
    let page = cml.read(".cml/index.html");
    assert!(page.contains("Second") && page.contains("First") && page.contains("earlier"), "{page}");
    let state: serde_json::Value = serde_json::from_str(&cml.read(".cml/comments.json")).unwrap();
    assert_eq!((state.as_array().unwrap().len(), state[0]["earlier"].as_array().unwrap().len()), (1, 1));
    cml.run(&["comment", "create", "report.md"]).ok();
    let state: serde_json::Value = serde_json::from_str(&cml.read(".cml/comments.json")).unwrap();
    assert_eq!(state.as_array().unwrap().len(), 2);
}

#[test]
fn the_preview_does_not_enter_git() {
    let Some(cml) = preview() else { return };
    cml.git(&["init", "-q"]);
    cml.git(&["add", "-A"]);
    cml.git(&["commit", "-q", "-m", "all"]);
    cml.run(&["comment", "create", "report.md"]).ok();
    assert_eq!(cml.git(&["status", "--porcelain"]), "");
    // From a sub folder the page is still the working copy's.
    std::fs::create_dir(cml.path().join("sub")).unwrap();
    let output =
        cml.command(&["comment", "update", "../report.md"]).current_dir(cml.path().join("sub")).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.trim().ends_with("/.cml/index.html") && printed.starts_with('/'), "{printed}");
}

#[test]
fn it_is_chosen_by_itself_only_outside_of_ci() {
    let Some(mut alone) = preview() else { return };
    let forge = Forge::start();
    let mut cml = Cml::on(&forge, Vendor::GitHub);
    assert_eq!(cml.run(&["comment", "create", "--driver", "local", "report.md"]).ok(), ".cml/index.html\n");
    assert_eq!(forge.requests().len(), 0);
    cml.unset("REPO_TOKEN");
    let ran = cml.run(&["comment", "create", "report.md"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    alone.set("CI", "true");
    let ran = alone.run(&["comment", "create", "report.md"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("cannot determine the forge"), "{}", ran.stderr);
    // A clone of a repository on a forge, and no token: a preview, and how to comment.
    let clone = Cml::alone();
    clone.git(&["init", "-q"]);
    clone.git(&["remote", "add", "origin", "git@github.com:octo/model.git"]);
    let ran = clone.run(&["comment", "create", "report.md"]);
    assert!(ran.stderr.contains("set REPO_TOKEN to comment on https://github.com/octo/model"), "{}", ran.stderr);
    assert_eq!(ran.ok(), ".cml/index.html\n");
}

#[test]
fn a_damaged_or_unwritable_preview_says_what_to_do() {
    let Some(cml) = preview() else { return };
    cml.file(".cml/comments.json", "not json");
    let ran = cml.run(&["comment", "update", "report.md"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(
        ran.stderr.contains("comments.json is damaged") && ran.stderr.contains("hint: delete the file"),
        "{}",
        ran.stderr
    );
    let Some(cml) = preview() else { return };
    cml.file(".cml", "a file where the folder should be");
    let ran = cml.run(&["comment", "create", "report.md"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("the local preview in"), "{}", ran.stderr);
}

#[test]
fn a_link_in_place_of_the_previews_folder_is_not_written_through() {
    let Some(cml) = preview() else { return };
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), cml.path().join(".cml")).unwrap();
    let error = "*/.cml is outside the working copy";
    let hint = "the local preview is written to that folder; remove the symbolic link";
    cml.run(&["comment", "create", "report.md"]).fails(3, error, hint);
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn open_starts_the_browser_with_the_page() {
    let Some(mut cml) = preview() else { return };
    executable(&cml.path().join("bin/xdg-open"), "#!/bin/sh\necho \"$1\" > opened\n");
    let path = format!("{}:{}", cml.path().join("bin").display(), cml.env["PATH"]);
    cml.set("PATH", &path);
    cml.run(&["comment", "create", "--open", "report.md"]).ok();
    assert_eq!(cml.read("opened"), ".cml/index.html\n");
}

#[test]
fn nothing_that_a_report_links_runs_when_it_is_opened() {
    let Some(cml) = preview() else { return };
    cml.git(&["init", "-q"]);
    let svg = "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
    cml.file("plot.svg", svg);
    cml.file("evil.html", "<script>alert(1)</script>");
    cml.file("table.csv", "a,b\n");
    cml.file(
        "report.md",
        "![p](plot.svg) [p](plot.svg) [e](evil.html) [t](table.csv) [j](javascript:alert(1)) [m](missing.html)\n\n\
         <img src=x onerror=alert(1)> <a href=data:text/html,a>b</a>\n",
    );
    cml.run(&["comment", "create", "report.md"]).ok();
    let page = cml.read(".cml/index.html");
    let links: Vec<&str> = page.split(" href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let [_, svg_copy, html_copy, table] = links[..] else { panic!("{links:?}") };
    assert!(svg_copy.ends_with(".svg.txt") && html_copy.ends_with(".html.txt") && table.ends_with(".csv"), "{links:?}");
    assert_eq!(cml.read(&format!(".cml/{svg_copy}")), svg);
    assert!(page.contains(&format!("<img src=\"{}\"", svg_copy.trim_end_matches(".txt"))), "{page}");
    assert!(!page.contains("onerror") && !page.contains("javascript:") && !page.contains("data:text"), "{page}");
    let files = std::fs::read_dir(cml.path().join(".cml/files")).unwrap();
    let mut endings: Vec<String> =
        files.map(|file| file.unwrap().file_name().to_string_lossy().split_once('.').unwrap().1.to_owned()).collect();
    endings.sort();
    assert_eq!(endings, ["csv", "html.txt", "svg", "svg.txt"], "no copy of a page under its own name");
}

#[test]
fn a_clone_is_shown_in_the_dialect_of_its_forge() {
    let Some(cml) = preview() else { return };
    cml.git(&["init", "-q"]);
    cml.file("report.md", "Fixes #12 and !3 by @octocat :tada:\n\n```mermaid\ngraph\n```\n");
    for (remote, parts) in [
        (
            "git@github.com:octo/model.git",
            [
                "<a href=\"https://github.com/octo/model/issues/12\">#12</a> and !3",
                "GitHub draws this as a diagram",
                "This page follows GitHub&#39;s rendering.",
            ],
        ),
        (
            "https://gitlab.com/group/model.git",
            [
                "<a href=\"https://gitlab.com/group/model/-/merge_requests/3\">!3</a>",
                "GitLab draws this as a diagram",
                "This page follows GitLab&#39;s rendering.",
            ],
        ),
    ] {
        cml.git(&["config", "remote.origin.url", remote]);
        cml.run(&["comment", "create", "report.md"]).ok();
        let page = cml.read(".cml/index.html").replace("GitHub's", "GitHub&#39;s").replace("GitLab's", "GitLab&#39;s");
        for part in parts {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(page.contains("\u{1f389}"));
        std::fs::remove_dir_all(cml.path().join(".cml")).unwrap();
    }
}

#[test]
fn earlier_comments_are_hidden_as_outdated() {
    let Some(cml) = preview() else { return };
    cml.run(&["comment", "create", "report.md"]).ok();
    cml.run(&["comment", "create", "--hide-previous", "report.md"]).ok();
    let hidden: Vec<bool> = state(&cml, "comments.json").iter().map(|c| c["hidden"].as_bool().unwrap()).collect();
    assert_eq!(hidden, [true, false]);
    assert_eq!(cml.read(".cml/index.html").matches("This comment was marked as outdated").count(), 1);
}

#[test]
fn a_check_is_shown_and_brought_up_to_date() {
    let Some(cml) = preview() else { return };
    let create = |args: &[&str]| cml.run(&[&["check", "create", "report.md", "--title", "Training"], args].concat());
    assert_eq!(create(&["--status", "in_progress"]).ok(), ".cml/index.html\n");
    assert!(cml.read(".cml/index.html").contains("<b>Training</b> in progress · this working copy"));
    cml.file("lint", "{\"path\": \"train.py\", \"line\": 3, \"message\": \"too <long>\", \"level\": \"warning\"}\n");
    create(&["--conclusion", "failure", "--annotations", "lint", "--data", "accuracy=0.97", "--comment"]).ok();
    let page = cml.read(".cml/index.html");
    for part in [
        "<b>Training</b> failure ·",
        "<td>accuracy</td>",
        "<summary>1 annotation</summary>",
        "warning · train.py line 3</header><p>too &lt;long&gt;</p>",
        "<b>cml</b> commented on this working copy",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert_eq!(state(&cml, "checks.json").len(), 1, "the unfinished one was brought up to date");
    create(&[]).ok();
    assert_eq!(state(&cml, "checks.json").len(), 2);
    create(&["--check-id", "1"]).ok();
    assert_eq!(state(&cml, "checks.json")[0]["state"]["Completed"], "Success");
    create(&["--check-id", "9"]).fails(5, "there is no check 9 in the local preview", "leave --check-id out *");
}

#[test]
fn what_needs_a_forge_does_what_git_can_do() {
    let Some(cml) = preview() else { return };
    cml.git(&["init", "-q", "-b", "tune"]);
    cml.git(&["add", "."]);
    cml.git(&["commit", "-q", "-m", "first"]);
    let ran = cml.run(&["repo", "prepare"]);
    assert!(ran.stderr.contains("nothing to prepare: no forge is known here"), "{ran:?}");
    ran.ok();
    cml.run(&["repo", "prepare", "--user-name", "Me", "--user-email", "me@example.org"]).ok();
    assert_eq!(cml.git(&["config", "--local", "user.name"]), "Me");
    cml.run(&["repo", "prepare", "--credentials"]).fails(3, "--credentials requires the token *", "*");
    cml.file("model.json", "{}");
    let head = cml.git(&["rev-parse", "HEAD"]);
    let shown = cml.run(&["pr", "create", "model.json", "--dry-run", "--squash"]).ok();
    let short = &head[..8];
    assert_eq!(
        shown,
        format!(
            "title: CML PR for tune {short}\nfrom:  tune-cml-pr-{short}\ninto:  tune\nfile:  model.json\nmerge: squash\n\n\
             Automated commits for {head}, created by CML.\n"
        )
    );
    assert_eq!(cml.git(&["branch", "--format=%(refname:short)"]), "tune");
    cml.run(&["pr", "create", "model.json"]).fails(
        7,
        "the local preview does not support pull requests",
        "*--dry-run*",
    );
}

#[test]
fn the_build_of_the_action_says_that_it_has_no_preview() {
    if !is_wasm() {
        return ignored("the WebAssembly only");
    }
    let create = ["comment", "create", "report.md"];
    let cml = Cml::alone();
    cml.run(&create).fails(3, "*forge*", "*--repo*");
    cml.run(&[&create[..], &["--driver", "local"]].concat()).fails(
        7,
        "the GitHub Action's build has no local preview",
        "set REPO_TOKEN to comment on the repository, or use the native program for a preview",
    );
    cml.git(&["init", "-q"]);
    cml.git(&["remote", "add", "origin", "git@github.com:octo/model.git"]);
    cml.run(&create).fails(4, "no token found for GitHub", "*");
}
