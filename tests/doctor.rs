//! `cml doctor` on the three forges, with tokens of many kinds: what it says and asks, in `snapshots/`.

use crate::support::fake::{Forge, HEAD, Kind, Proxy, Vendor};
use crate::support::{Cml, Ran, VENDORS};

fn start(vendor: Vendor) -> (Forge, Cml) {
    let forge = Forge::start();
    let mut cml = Cml::on(&forge, vendor);
    cml.set("CML_BITBUCKET_PROXY", "http://127.0.0.1:1");
    (forge, cml)
}

/// What it prints, without what is another one on each machine. No request has an effect, and no token is shown.
fn told(forge: &Forge, cml: &Cml) -> (Ran, String) {
    let state = || VENDORS.map(|vendor| forge.repo(vendor, vendor.slug(), |repo| format!("{repo:?}")));
    let before = state();
    let ran = cml.run(&["doctor"]);
    assert_eq!(before, state());
    let neutral = |line: &str| match line.split_whitespace().next() {
        Some("cml") => "cml VERSION".to_owned(),
        Some("git") => "  git           VERSION".to_owned(),
        _ => line.replace(forge.url(), "http://forge"),
    };
    let text = ran.stdout.lines().map(neutral).collect::<Vec<_>>().join("\n");
    (ran, text)
}

/// The state of each piece of work, by the beginning of its line.
fn states(text: &str) -> Vec<&str> {
    let works = [
        "comment on pull requests",
        "comment on commits",
        "create checks",
        "push and open",
        "publish",
        "rerun work",
        "register",
    ];
    let line = |work: &&str| text.lines().find(|line| line.trim_start().starts_with(*work)).unwrap_or_default();
    works.iter().map(|work| line(work).rsplit("  ").next().unwrap_or_default()).collect()
}

#[test]
fn each_forge_is_diagnosed() {
    for (vendor, token) in
        [(Vendor::GitHub, "ghs_nocontents"), (Vendor::GitLab, "glpat-good"), (Vendor::Bitbucket, "me@example.org:good")]
    {
        let (forge, mut cml) = start(vendor);
        cml.set("REPO_TOKEN", token);
        let (ran, text) = told(&forge, &cml);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:#?}");
        insta::assert_snapshot!(format!("doctor_{vendor:?}"), format!("{text}\n\n{}", forge.transcript()));
    }
}

#[test]
fn tokens_of_github_are_told_apart() {
    let (w, m, u) = ("works", "missing", "unknown");
    for (token, kind, expected) in [
        ("ghp_good", "classic personal access token", [w, w, m, w, w, w, m]),
        ("ghp_readonly", "classic personal access token", [m; 7]),
        ("gho_good", "OAuth app's token", [w, w, m, w, w, w, m]),
        ("github_pat_good", "fine-grained personal access token", [w, w, m, w, w, w, w]),
        ("github_pat_nocontents", "fine-grained personal access token", [w, m, m, m, m, w, m]),
        ("github_pat_readonly", "fine-grained personal access token", [m; 7]),
        ("ghu_good", "GitHub App's token for a user", [w; 7]),
        ("ghs_good", "GitHub Actions' own token (GITHUB_TOKEN), or that of a GitHub App", [w, w, w, u, w, w, w]),
        ("ghs_readonly", "GitHub Actions' own token (GITHUB_TOKEN), or that of a GitHub App", [m; 7]),
        ("good", "of an unknown kind", [w; 7]),
    ] {
        let (forge, mut cml) = start(Vendor::GitHub);
        cml.set("REPO_TOKEN", token);
        let (ran, text) = told(&forge, &cml);
        assert_eq!(states(&text), expected, "{token}: {text}");
        assert!(text.contains(&format!("{kind}  (from REPO_TOKEN)")), "{text}");
        assert_eq!(ran.code, Some(if expected[0] == m { 4 } else { 0 }), "{ran:#?}");
    }
    let (forge, mut cml) = start(Vendor::GitHub);
    cml.unset("REPO_TOKEN").set("GITHUB_TOKEN", "ghs_readonly");
    let (ran, text) = told(&forge, &cml);
    assert!(text.contains("GitHub Actions' own token (GITHUB_TOKEN)  (from GITHUB_TOKEN)"), "{text}");
    for line in [
        "  create checks: add to the job: permissions: { checks: write }",
        "  push and open pull requests: add to the job: permissions: { contents: write, pull-requests: write }",
        "  register runners: a job's own token cannot; *",
    ] {
        assert!(text.contains(line.trim_end_matches('*')), "{line} is not in\n{text}");
    }
    let error = "error: the token is not allowed to comment on pull requests\nhint: add to the job: permissions: { pull-requests: write }\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(4), error));
}

#[test]
fn what_github_says_itself_is_repeated() {
    for (says, state, line) in [
        (
            "GitHub Actions is not permitted to create or approve pull requests.",
            "missing",
            "Settings → Actions → General",
        ),
        (
            "Repository was archived so is read-only.",
            "missing",
            "GitHub says: Repository was archived so is read-only.",
        ),
    ] {
        let (forge, mut cml) = start(Vendor::GitHub);
        cml.set("REPO_TOKEN", "ghs_good");
        let body = serde_json::json!({ "message": says }).to_string();
        forge.fault("POST /github/repos/octo/model/pulls", 1, Kind::answer(403, &[], &body));
        let (_, text) = told(&forge, &cml);
        assert_eq!(states(&text)[3], state, "{text}");
        assert!(text.contains(&format!("push and open pull requests: {line}")) || text.contains(line), "{text}");
    }
}

#[test]
fn a_fork_is_seen() {
    let (forge, mut cml) = start(Vendor::GitHub);
    let event = serde_json::json!({ "pull_request": { "number": 7, "head": { "sha": HEAD, "repo": { "full_name": "visitor/model" } } } });
    cml.file("event.json", event.to_string());
    cml.unset("REPO_TOKEN").set("GITHUB_TOKEN", "ghs_readonly");
    let (ran, text) = told(&forge, &cml);
    assert!(text.contains("  from a fork   yes, of visitor  (from the event in GITHUB_EVENT_PATH)"), "{text}");
    assert!(
        ran.stderr.ends_with("hint: the token of a pull request from a fork is read-only, see docs/forks.md\n"),
        "{ran:#?}"
    );
}

#[test]
fn tokens_of_gitlab_are_told_apart() {
    let (w, m) = ("works", "missing");
    for (token, kind, expected) in [
        ("glpat-good", "project access token \"cml\"", [w; 7]),
        ("glpat-readonly", "project access token \"cml\"", [m; 7]),
        ("glpat-nocontents", "personal access token \"cml\"", [w, w, m, m, w, m, m]),
    ] {
        let (forge, mut cml) = start(Vendor::GitLab);
        cml.set("REPO_TOKEN", token);
        let (ran, text) = told(&forge, &cml);
        assert_eq!(states(&text), expected, "{token}: {text}");
        assert!(text.contains(kind), "{text}");
        assert_eq!(ran.code, Some(if expected[0] == m { 4 } else { 0 }), "{ran:#?}");
    }
    let (forge, mut cml) = start(Vendor::GitLab);
    cml.unset("REPO_TOKEN").set("CI_JOB_TOKEN", "good");
    let (ran, text) = told(&forge, &cml);
    assert_eq!((states(&text), ran.code), (vec![m; 7], Some(4)));
    assert!(text.contains("job's own token (CI_JOB_TOKEN)  (from CI_JOB_TOKEN)"), "{text}");
    // Where the token may not read itself, nothing is certain.
    let (forge, cml) = start(Vendor::GitLab);
    forge.fault("GET /gitlab/api/v4/personal_access_tokens/self", 1, Kind::answer(404, &[], "{}"));
    assert_eq!(states(&told(&forge, &cml).1), ["unknown"; 7]);
}

#[test]
fn tokens_of_bitbucket_are_told_apart() {
    let (w, m) = ("works", "missing");
    for (token, kind, expected) in [
        ("ATCTT3xFfGN0good", "repository access token", [w; 7]),
        ("ATCTT3xFfGN0nocontents", "repository access token", [w, w, w, m, m, m, m]),
        ("ATCTT3xFfGN0readonly", "repository access token", [m, w, w, m, m, m, m]),
        ("me@example.org:ATATT3xFfGF0good", "API token of a user", [w, w, w, w, w, m, m]),
    ] {
        let (forge, mut cml) = start(Vendor::Bitbucket);
        cml.set("REPO_TOKEN", token);
        let (ran, text) = told(&forge, &cml);
        assert_eq!(states(&text), expected, "{token}: {text}");
        assert!(text.contains(kind), "{text}");
        assert_eq!(ran.code, Some(if expected[0] == m { 4 } else { 0 }), "{ran:#?}");
    }
    let (forge, mut cml) = start(Vendor::Bitbucket);
    cml.set("REPO_TOKEN", "me:ATBB0123456789");
    let (ran, text) = told(&forge, &cml);
    assert!(text.contains("app password, which Bitbucket no longer accepts"), "{text}");
    assert_eq!(ran.code, Some(4), "{ran:#?}");
}

#[test]
fn the_proxy_of_a_pipeline_is_looked_for() {
    let (forge, mut cml) = start(Vendor::Bitbucket);
    let proxy = Proxy::start_signing();
    cml.unset("REPO_TOKEN").set("CML_BITBUCKET_PROXY", &proxy.url());
    let (ran, text) = told(&forge, &cml);
    assert!(text.contains("answers: checks need no token (http://127.0.0.1:"), "{text}");
    assert_eq!(states(&text), ["missing", "missing", "works", "missing", "missing", "missing", "missing"]);
    assert!(ran.code == Some(4) && ran.stderr.starts_with("error: no token found for Bitbucket\n"), "{ran:#?}");
    let (ran, text) = told(&forge, cml.set("CML_BITBUCKET_PROXY", "http://127.0.0.1:1"));
    assert!(text.contains("does not answer: checks need a token"), "{text}");
    assert_eq!((states(&text), ran.code), (vec!["missing"; 7], Some(4)));
}

#[test]
fn what_was_found_is_told_before_what_is_wrong() {
    for vendor in VENDORS {
        let (forge, mut cml) = start(vendor);
        let (ran, text) = told(&forge, cml.set("REPO_TOKEN", "hunter2-0123456789abcdef"));
        assert!(ran.code == Some(4) && ran.stderr.contains("does not accept the token"), "{ran:#?}");
        assert!(text.contains(&format!("http://forge/{}", vendor.slug())) && text.contains(HEAD), "{text}");
        let elsewhere = format!("{}-nothing", forge.repo_url(vendor));
        let (ran, text) = told(&forge, cml.set("REPO_TOKEN", "good").set("CML_REPO", &elsewhere));
        assert!(
            ran.code == Some(5) && ran.stderr.contains(&format!("repository {elsewhere} was not found")),
            "{ran:#?}"
        );
        assert!(text.contains("-nothing  (from --repo (or CML_REPO))"), "{text}");
        if vendor != Vendor::Bitbucket {
            forge.clear_requests();
            let (ran, text) = told(&forge, cml.unset("REPO_TOKEN"));
            assert!(ran.code == Some(4) && ran.stderr.contains("no token found for "), "{ran:#?}");
            assert!(text.contains("  token         none"), "{text}");
            assert!(forge.requests().is_empty());
        }
    }
}

#[test]
fn outside_of_ci_git_says_where() {
    let forge = Forge::start();
    let mut cml = Cml::alone();
    let (ran, text) = told(&forge, &cml);
    assert!(text.contains("  CI            none\n  repository    not found\n"), "{text}");
    assert_eq!(ran.code, Some(3), "{ran:#?}");
    let (_, text) = told(&forge, cml.set("REPO_TOKEN", "ghp_good"));
    assert!(text.contains("  token         given  (from REPO_TOKEN)"), "{text}");
    cml.unset("REPO_TOKEN").git(&["init", "-q"]);
    cml.git(&["commit", "-q", "--allow-empty", "-m", "first"]);
    cml.git(&["checkout", "-q", "-b", "tune/1"]);
    let remote = forge.repo_url(Vendor::GitHub).replace("://", "://user:hunter2-0123456789abcdef@");
    cml.git(&["remote", "add", "origin", &format!("{remote}.git")]);
    cml.set("CML_DRIVER", "github");
    let (ran, text) = told(&forge, &cml);
    assert!(text.contains("  repository    http://forge/octo/model  (from git's remote origin)\n"), "{text}");
    assert!(text.contains("  forge         GitHub  (from --driver (or CML_DRIVER))\n"), "{text}");
    assert!(text.contains("  branch        tune/1  (from git)\n"), "{text}");
    assert!(text.contains(&format!("  commit        {}  (from git)\n", cml.git(&["rev-parse", "HEAD"]))), "{text}");
    ran_without_token(&ran);
    let (ran, text) = told(&forge, cml.set("REPO_TOKEN", "ghp_good"));
    assert!(
        ran.code == Some(0) && text.contains("  API           http://forge/api/v3  (from the server's address)\n"),
        "{ran:#?}"
    );
    let (ran, text) = told(&forge, cml.set("CML_DRIVER", "local"));
    assert!(ran.code == Some(0) && text.contains("  forge         the local preview  (from --driver"), "{ran:#?}");
}

fn ran_without_token(ran: &Ran) {
    assert!(ran.code == Some(4) && ran.stderr.starts_with("error: no token found for GitHub\n"), "{ran:#?}");
    assert!(!ran.stdout.contains("hunter2"), "{ran:#?}");
}
