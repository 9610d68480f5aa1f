//! The local preview: no forge, no network.

use crate::support::fake::{Forge, Vendor};
use crate::support::{Cml, executable, png};

#[test]
fn a_report_becomes_a_page_and_keeps_its_history() {
    let mut cml = Cml::alone();
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
    let cml = Cml::alone();
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
    let forge = Forge::start();
    let mut cml = Cml::on(&forge, Vendor::GitHub);
    assert_eq!(cml.run(&["comment", "create", "--driver", "local", "report.md"]).ok(), ".cml/index.html\n");
    assert_eq!(forge.requests().len(), 0);
    cml.unset("REPO_TOKEN");
    let ran = cml.run(&["comment", "create", "report.md"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    let mut alone = Cml::alone();
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
    let cml = Cml::alone();
    cml.file(".cml/comments.json", "not json");
    let ran = cml.run(&["comment", "update", "report.md"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(
        ran.stderr.contains("comments.json is damaged") && ran.stderr.contains("hint: delete that file"),
        "{}",
        ran.stderr
    );
    let cml = Cml::alone();
    cml.file(".cml", "a file where the folder should be");
    let ran = cml.run(&["comment", "create", "report.md"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("the local preview in"), "{}", ran.stderr);
}

#[test]
fn a_link_in_place_of_the_previews_folder_is_not_written_through() {
    let (cml, outside) = (Cml::alone(), tempfile::tempdir().unwrap());
    std::os::unix::fs::symlink(outside.path(), cml.path().join(".cml")).unwrap();
    let error = "*/.cml leads out of the working copy";
    let hint = "the local preview is kept in that folder: remove the link";
    cml.run(&["comment", "create", "report.md"]).fails(3, error, hint);
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn open_starts_the_browser_with_the_page() {
    let mut cml = Cml::alone();
    executable(&cml.path().join("bin/xdg-open"), "#!/bin/sh\necho \"$1\" > opened\n");
    let path = format!("{}:{}", cml.path().join("bin").display(), cml.env["PATH"]);
    cml.set("PATH", &path);
    cml.run(&["comment", "create", "--open", "report.md"]).ok();
    assert_eq!(cml.read("opened"), ".cml/index.html\n");
}

#[test]
fn nothing_that_a_report_links_runs_when_it_is_opened() {
    let cml = Cml::alone();
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
