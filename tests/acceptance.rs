//! What CML 0.20.6 was seen to do wrong, case by case, by the numbers of the list that was made of it. Other cases:
//!
//! | cases | where |
//! | --- | --- |
//! | 2 | `private.rs` |
//! | 4, 14 – 16 | `faults.rs` |
//! | 5 – 7 | `comment.rs` |
//! | 8, 9 | `images.rs` |
//! | 13, 19, 22, 23 | `errors.rs` |
//! | 17 | there is no telemetry |
//! | 18 | `limits.rs` |
//! | 20 | `proxy.rs`, `faults.rs`, `images.rs` |

use crate::support::clone::Clone;
use crate::support::fake::{Forge, PullState, Vendor};
use crate::support::{Cml, Ran, VENDORS, png};
use base64::prelude::{BASE64_STANDARD, Engine};
use std::time::{Duration, Instant};

const SECRET: &str = "s3cret-0123456789";

/// The secret is in no form in what is shown.
fn hides(ran: &Ran) {
    let pairs = ["x-access-token", "oauth2", "x-token-auth", "user"].map(|user| format!("{user}:{SECRET}"));
    let forms = pairs.iter().map(|pair| BASE64_STANDARD.encode(pair)).chain([SECRET.to_owned()]);
    let all = format!("{}{}", ran.stdout, ran.stderr);
    forms.for_each(|form| assert!(!all.contains(&form), "{ran:#?}"));
}

/// CML: when `git ls-remote` fails, the address with the token goes to standard error and to the telemetry's host.
#[test]
fn case_01_a_git_that_fails_shows_no_token() {
    for vendor in VENDORS {
        let mut clone = Clone::on(vendor);
        clone.cml.set("REPO_TOKEN", SECRET).file("model.json", "1\n");
        let server = clone.forge.url().replace("://", &format!("://user:{SECRET}@"));
        for remote in [
            // The token is refused; there is no such repository; nobody listens; there is no such host.
            format!("{server}/{}.git", vendor.slug()),
            format!("{server}/nobody/none.git"),
            format!("http://user:{SECRET}@127.0.0.1:1/{}.git", vendor.slug()),
            format!("https://user:{SECRET}@nowhere.invalid/{}.git", vendor.slug()),
        ] {
            clone.cml.git(&["remote", "set-url", "origin", &remote]);
            clone.calls();
            let ran = clone.cml.run(&["--log", "debug", "pr", "create", "."]);
            assert!(ran.code.is_some_and(|code| code > 2) && ran.stderr.contains("git fetch failed"), "{ran:#?}");
            hides(&ran);
            assert!(clone.calls().iter().all(|call| !call.contains(SECRET)));
        }
        assert!(clone.forge.api_requests().is_empty(), "{}", clone.forge.transcript());
    }
}

/// CML: the token stays in `.git/config`, and each run appends `safe.directory=*` to the user's configuration.
#[test]
fn case_03_gits_configuration_keeps_no_token_and_does_not_grow() {
    for vendor in VENDORS {
        let mut clone = Clone::on(vendor);
        // The checkout belongs to another user than the container's.
        clone.cml.set("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1");
        let checkout = clone.cml.path().display().to_string();
        clone.cml.set(vendor.checkout_variable(), &checkout);
        let home = clone.cml.env["HOME"].clone();
        let global = || std::fs::read_to_string(format!("{home}/.gitconfig")).unwrap();
        let (before, own) = (global(), clone.cml.read(".git/config"));
        for n in 0..2 {
            clone.cml.file("model.json", format!("{n}\n"));
            clone.cml.run(&["pr", "create", "."]).ok();
            assert_eq!((global(), clone.cml.read(".git/config")), (before.clone(), own.clone()), "{vendor:?}");
        }
        clone.cml.run(&["repo", "prepare", "--unshallow", "--user-name=Me", "--user-email=me@example.org"]).ok();
        let user = "[user]\n\tname = Me\n\temail = me@example.org\n";
        assert_eq!((global(), clone.cml.read(".git/config")), (before, format!("{own}{user}")), "{vendor:?}");
    }
}

/// CML: the text of an asset store's 500 becomes the image.
#[test]
fn case_10_an_address_in_a_servers_error_is_no_image() {
    for args in
        [&["asset", "publish", "plot.png"][..], &["comment", "create", "report.md"], &["check", "create", "report.md"]]
    {
        let forge = Forge::start();
        forge.configure(|switches| switches.store_fails = true);
        let cml = Cml::on(&forge, Vendor::GitHub);
        cml.file("plot.png", png(1));
        cml.file("report.md", "![p](plot.png)\n");
        let url = forge.store_url();
        let ran = cml.run(&[args, &["--timeout=8", "--publish-url", &url]].concat());
        ran.fails(9, &format!("cannot publish *: {url}: *answered 500*"), "*--timeout SECONDS*");
        assert!(forge.requests().iter().all(|request| request.path == "/store"), "{}", forge.transcript());
    }
}

/// CML: `asset publish --file` writes the file anew, where its help says append.
#[test]
fn case_11_file_is_appended_to() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        cml.file("plot.png", png(1));
        cml.file("report.md", "# Report\n");
        for _ in 0..2 {
            assert_eq!(cml.run(&["asset", "publish", "plot.png", "--md", "--file=report.md"]).ok(), "");
        }
        let report = cml.read("report.md");
        assert!(report.starts_with("# Report\n![](http") && report.matches("![](http").count() == 2, "{report}");
    }
}

/// CML: `pr create` without changes prints `undefined`; a branch that is there gets no new commits.
#[test]
fn case_12_no_changes_print_nothing_and_a_branch_gets_new_commits() {
    for vendor in VENDORS {
        let clone = Clone::on(vendor);
        for args in [&["pr", "create", "."][..], &["pr", "create", "--md", "."], &["pr", "."]] {
            let ran = clone.cml.run(args);
            assert!(ran.stderr.contains("nothing to commit"), "{ran:#?}");
            assert_eq!(ran.ok(), "");
        }
        assert!(clone.forge.requests().is_empty());
        let mut printed = Vec::new();
        for n in 1..=3 {
            clone.cml.file("model.json", format!("{n}\n"));
            printed.push(clone.cml.run(&["pr", "create", "."]).ok());
            let commits = clone.there(&["rev-list", "--count", &format!("main..{}", clone.branch())]);
            assert_eq!(commits, n.to_string(), "{vendor:?}");
            assert_eq!(clone.there(&["show", &format!("{}:model.json", clone.branch())]), n.to_string());
        }
        assert!(printed[0].starts_with("http") && printed.iter().all(|address| *address == printed[0]), "{printed:?}");
    }
}

/// CML: `pr create --merge` that GitLab answers with 405 tries for 57 seconds, and ends with an unhandled rejection.
#[test]
fn case_21_a_merge_that_gitlab_refuses_ends_soon_with_one_line_and_a_hint() {
    for again in [false, true] {
        let clone = Clone::on(Vendor::GitLab);
        clone.cml.file("model.json", "1\n");
        if again {
            clone.cml.run(&["pr", "create", "."]).ok();
            clone.forge.clear_requests();
        }
        let started = Instant::now();
        let ran = clone.cml.run(&["--log=error", "pr", "create", "--merge", "."]);
        assert!(started.elapsed() < Duration::from_secs(25), "{:?}", started.elapsed());
        assert!(ran.stdout.starts_with("http") && ran.code == Some(6), "{ran:#?}");
        let lines: Vec<&str> = ran.stderr.lines().collect();
        assert!(lines[0].starts_with("error: merge request 8 was not merged: GitLab answered 405"), "{ran:#?}");
        assert!(lines[1].starts_with("hint: it may need a pipeline") && lines.len() == 2, "{ran:#?}");
        let requests = clone.forge.api_requests();
        assert!(requests.len() <= 4, "{}", clone.forge.transcript());
        let state = clone.forge.repo(Vendor::GitLab, "group/model", |repo| repo.pulls[&8].state);
        assert_eq!(state, PullState::Open);
    }
}
