//! What a user is told when it does not work: the message, the hint and the exit code. And what must not happen then: a
//! comment, a request too many, a secret in the log.

use crate::support::fake::{Forge, HEAD, Kind, Proxy, Target, Vendor};
use crate::support::{Cml, Ran, VENDORS, png};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

const CREATE: &[&str] = &["comment", "create", "report.md"];
const SECRET: &str = "hunter2-0123456789abcdef";
const NOT_FOUND: &str =
    "check --repo, and that the token can read the repository (a private one looks as if it did not exist)";

/// An address at which nobody listens; a port that the system gave could be another test's by then.
const NOBODY: &str = "127.0.0.1:1";

/// A run that is refused: exit code, message, hint (see [`Ran::fails`]), and how many requests it may have cost.
type Refused<'a> = (i32, &'a str, &'a str, usize);

fn start(vendor: Vendor) -> (Forge, Cml) {
    let forge = Forge::start();
    let cml = Cml::on(&forge, vendor);
    (forge, cml)
}

fn refused(forge: &Forge, cml: &Cml, args: &[&str], (code, error, hint, requests): Refused) {
    without_effect(forge, cml, args, requests).fails(code, error, hint);
}

/// Runs with everything told, and checks that nothing but the telling has happened.
fn without_effect(forge: &Forge, cml: &Cml, args: &[&str], requests: usize) -> Ran {
    forge.clear_requests();
    let ran = told(cml, args);
    assert_eq!(forge.requests().len(), requests, "{}", forge.transcript());
    for vendor in VENDORS {
        assert_eq!(forge.comments(vendor, &Target::Pull(7)).len(), 0, "{vendor:?}: {ran:#?}");
    }
    ran
}

/// Runs with everything told, and checks that no secret is. [`Cml::run`] sees to the variables that are named after one.
fn told(cml: &Cml, args: &[&str]) -> Ran {
    let ran = cml.run(&[args, &["--log", "debug"]].concat());
    assert!(!ran.stdout.contains(SECRET) && !ran.stderr.contains(SECRET), "{ran:#?}");
    ran
}

fn created(forge: &Forge, vendor: Vendor, ran: Ran) {
    ran.ok();
    assert_eq!(forge.live_comments(vendor, &Target::Pull(7)).len(), 1, "{}", forge.transcript());
}

/// Checks cases at the same time: they mostly wait.
fn side_by_side<T: Send>(cases: impl IntoIterator<Item = T>, check: impl Fn(T) + Sync) {
    std::thread::scope(|scope| {
        for case in cases {
            scope.spawn(|| check(case));
        }
    });
}

#[test]
fn without_a_token_a_pipeline_fails_before_any_request() {
    let hints = [
        "pass it in the step: env: { REPO_TOKEN: \"${{ secrets.GITHUB_TOKEN }}\" }, and give the job permissions: { pull-requests: write, contents: write }",
        "create a project access token with the role Reporter and the scope api, and save it as the masked variable REPO_TOKEN",
        "create a repository access token with the scopes pullrequest:write and repository:write, and save it as the secured variable REPO_TOKEN",
    ];
    for (vendor, hint) in VENDORS.into_iter().zip(hints) {
        let (forge, mut cml) = start(vendor);
        let message = format!("no token found for {vendor:?}");
        // A pipeline of a fork has the variable, without the secret in it.
        refused(&forge, cml.set("REPO_TOKEN", ""), CREATE, (4, &message, hint, 0));
        refused(&forge, cml.unset("REPO_TOKEN"), CREATE, (4, &message, hint, 0));
    }
}

#[test]
fn a_wrong_token_is_named_by_where_it_came_from() {
    let says = ["Bad credentials", "401 Unauthorized", "Token is invalid or not supported for this endpoint."];
    let own = ["GITHUB_TOKEN", "GITLAB_TOKEN", "BITBUCKET_TOKEN"];
    for ((vendor, says), own) in VENDORS.into_iter().zip(says).zip(own) {
        let (forge, mut cml) = start(vendor);
        cml.unset("REPO_TOKEN");
        let advice = match vendor {
            Vendor::Bitbucket => "an access token as it is, or email:api-token",
            _ => "it may have expired, been revoked or been cut off",
        };
        let message = format!("{vendor:?} does not accept the token ({says})");
        let from = |name: &str| format!("check the token in {name}: {advice}");
        for name in [own, "repo_token", "REPO_TOKEN", "CML_TOKEN"] {
            let shown = if name == "CML_TOKEN" { "--token (or CML_TOKEN)" } else { name };
            refused(&forge, cml.set(name, SECRET), CREATE, (4, &message, &from(shown), 1));
        }
        cml.set("CML_TOKEN", "good");
        let (given, from) = ([CREATE, &["--token", SECRET]].concat(), from("--token (or CML_TOKEN)"));
        refused(&forge, &cml, &given, (4, &message, &from, 1));
        forge.fault("POST ", 1, Kind::answer(401, &[], ""));
        refused(&forge, &cml, CREATE, (4, &format!("{vendor:?} does not accept the token"), &from, 1));
        cml.set("CML_TOKEN", &format!("good\n{SECRET}"));
        let message = "the value of --token (or CML_TOKEN) contains an invalid character, such as a line break";
        let hint = "check how the secret is stored: it must be one line of letters, digits and punctuation";
        refused(&forge, &cml, CREATE, (3, message, hint, 0));
    }
}

#[test]
fn a_token_that_may_not_write_is_told_what_it_needs() {
    let needs = [
        (
            "the token is not allowed to do this (GitHub says: Resource not accessible by integration)",
            "add to the job: permissions: { pull-requests: write }",
        ),
        (
            "the token is not allowed to do this (GitLab says: The request requires higher privileges than provided by the access token.)",
            "to comment on pull requests the token needs the scope api",
        ),
        (
            "the token is not allowed to do this (Bitbucket says: Your credentials lack one or more required privilege scopes.)",
            "the token lacks a scope: it has pullrequest, but needs pullrequest:write",
        ),
    ];
    for (vendor, (message, hint)) in VENDORS.into_iter().zip(needs) {
        let (forge, mut cml) = start(vendor);
        cml.set("REPO_TOKEN", "readonly");
        refused(&forge, &cml, CREATE, (4, message, hint, 1));
        refused(&forge, &cml, &["comment", "update", "report.md"], (4, message, hint, 2));
    }
}

#[test]
fn a_token_that_may_not_store_images_still_comments_unless_it_must() {
    for vendor in VENDORS {
        let (forge, mut cml) = start(vendor);
        cml.set("REPO_TOKEN", "nocontents").file("plot.png", png(1));
        cml.file("report.md", "![](plot.png)");
        let ran = cml.run(&[CREATE, &["--strict"]].concat());
        assert_eq!((ran.code, forge.comments(vendor, &Target::Pull(7)).len()), (Some(4), 0), "{ran:#?}");
        let ran = cml.run(CREATE);
        assert!(
            ran.stderr.contains("warning: cannot publish the images: the token is not allowed to do this"),
            "{ran:#?}"
        );
        assert_eq!(ran.stderr.lines().count(), 2, "the warning and its hint: {ran:#?}");
        created(&forge, vendor, ran);
    }
}

#[test]
fn the_report_of_a_fork_is_in_the_job_summary_at_least() {
    let (forge, mut cml) = start(Vendor::GitHub);
    let event = serde_json::json!({ "pull_request": { "number": 7, "head": { "sha": HEAD, "repo": { "full_name": "visitor/model" } } } });
    cml.file("event.json", event.to_string());
    cml.file("plot.png", png(1));
    let summary = cml.path().join("summary.md").display().to_string();
    cml.set("REPO_TOKEN", "readonly").set("GITHUB_STEP_SUMMARY", &summary);
    // The branch is looked up while the image is sent, unless that has failed by then: only what is written has a number.
    for (report, writes) in [("# Of a fork\n", 1), ("# Of a fork\n\n![](plot.png)\n", 2)] {
        forge.clear_requests();
        cml.file("report.md", report);
        cml.file("summary.md", "");
        let message = "the token is read-only because this run is for a pull request from a fork";
        let hint = "publish the report from a second workflow on workflow_run (see docs/forks.md); until then it is in the job summary";
        told(&cml, CREATE).fails(4, message, hint);
        let sent = forge.requests().iter().filter(|request| request.method == "POST").count();
        assert_eq!(
            (sent, forge.comments(Vendor::GitHub, &Target::Pull(7)).len()),
            (writes, 0),
            "{}",
            forge.transcript()
        );
        assert_eq!(cml.read("summary.md"), format!("{report}\n\n"));
    }
}

#[test]
fn a_job_token_of_gitlab_is_not_enough() {
    let (forge, mut cml) = start(Vendor::GitLab);
    let message = "the job's own token (CI_JOB_TOKEN) is not allowed to do this (GitLab says: 401 Unauthorized)";
    let hint = "create a project access token with the role Reporter and the scope api, and save it as the masked variable REPO_TOKEN";
    refused(&forge, cml.unset("REPO_TOKEN").set("CI_JOB_TOKEN", SECRET), CREATE, (4, message, hint, 1));
    let used = forge.requests().remove(0);
    assert_eq!((used.header("job-token"), used.header("private-token")), (Some(SECRET), None));
}

#[test]
fn what_is_missing_is_named() {
    let unknown = "4444444444444444444444444444444444444444";
    for vendor in VENDORS {
        let (forge, mut cml) = start(vendor);
        let of = |target: &str, repository: &str, refusal: Refused| {
            for verb in ["create", "update"] {
                let args = ["comment", verb, "report.md", "--target", target, "--repo", repository];
                refused(&forge, &cml, &args, refusal);
            }
        };
        let (slug, here) = (vendor.slug(), forge.repo_url(vendor));
        let elsewhere = format!("{here}-nothing");
        of("pr/7", &elsewhere, (5, &format!("repository {elsewhere} was not found with this token"), NOT_FOUND, 2));
        let number = "check the number in --target, or omit --target to use the event's";
        of("pr/99", &here, (5, &format!("pull request 99 not found in {slug}"), number, 2));
        let issue = match vendor {
            Vendor::Bitbucket => "Bitbucket has removed its issue tracker; use --target pr or --target commit",
            _ => number,
        };
        of("issue/99", &here, (5, &format!("issue 99 not found in {slug}"), issue, 2));
        let push = "push the commit first";
        of(&format!("commit/{unknown}"), &here, (5, &format!("commit {unknown} not found in {slug}"), push, 2));
        // Also when the pull request has to be found first.
        for name in ["GITHUB_EVENT_PATH", "CI_MERGE_REQUEST_IID", "BITBUCKET_PR_ID"] {
            cml.unset(name);
        }
        for target in ["auto", "pr"] {
            let ran = told(&cml, &[CREATE, &["--target", target, "--repo", &elsewhere]].concat());
            ran.fails(5, &format!("repository {elsewhere} was not found with this token"), NOT_FOUND);
        }
    }
}

#[test]
fn a_report_that_is_too_long_fails_when_asked_to() {
    for (vendor, length) in VENDORS.into_iter().zip([65_536, 1_000_000, 32_768]) {
        let (forge, cml) = start(vendor);
        cml.file("report.md", "x".repeat(length));
        let message = format!("the report has {length} characters, but a comment on {vendor:?} can have at most *");
        let hint = "use --overflow split or --overflow truncate";
        refused(&forge, &cml, &[CREATE, &["--overflow", "fail"]].concat(), (10, &message, hint, 0));
    }
}

#[test]
fn a_report_that_cannot_be_read_costs_no_request() {
    let (forge, cml) = start(Vendor::GitHub);
    let hint = "check the path: it is relative to the current directory";
    for (path, why) in [
        ("missing.md", "No such file or directory (os error 2)"),
        (".", "it is a directory"),
        ("report.md/x", "Not a directory (os error 20)"),
    ] {
        let message = format!("cannot read the report {path} ({why})");
        refused(&forge, &cml, &["comment", "create", path], (3, &message, hint, 0));
    }
    cml.file("report.md", b"# Report\n\nna\xc3\xafve\nna\xefve\n");
    let hint = "write it as UTF-8, in Python: open(path, \"w\", encoding=\"utf-8\")";
    refused(&forge, &cml, CREATE, (3, "the report report.md is not UTF-8 (line 4)", hint, 0));
}

#[test]
fn a_network_that_is_down_and_a_name_that_is_wrong_are_told_apart() {
    let refuses = "check that the server is up and reachable; behind a proxy set https_proxy";
    let unknown = "check the network, the name, and whether a proxy is needed (https_proxy)";
    let known = (NOBODY, "cannot connect to 127.0.0.1 (Connection refused (os error 111))", refuses);
    let cases = [known, ("no-such.invalid", "cannot resolve no-such.invalid", unknown)];
    side_by_side(
        VENDORS.into_iter().flat_map(|vendor| cases.iter().map(move |case| (vendor, case))),
        |(vendor, case)| {
            let (forge, mut cml) = start(vendor);
            for value in cml.env.values_mut() {
                *value = value.replace(forge.url(), &format!("http://{}", case.0));
            }
            refused(&forge, &cml, &[CREATE, &["--timeout", "9"]].concat(), (9, case.1, case.2, 0));
        },
    );
}

#[test]
fn a_proxy_that_does_not_work_is_suspected() {
    let (plain, tls) = (Forge::start(), Forge::start_tls());
    let locked = Proxy::start_with_credentials("user", "right-password");
    let address = locked.url().replace("http://", "");
    let check = "check https_proxy and http_proxy (with user:password@ before the host if the proxy needs it), and list the hosts that need no proxy in no_proxy";
    let form = "give a proxy as http://host:port, with user:password@ before the host if the proxy needs it";
    let refuses = "cannot connect to 127.0.0.1 (Connection refused (os error 111))";
    let asks = "the proxy refused the request to 127.0.0.1 (*)";
    let asks_plain = "the proxy refused the request to 127.0.0.1 (407 Proxy Authentication Required)";
    let unknown = "cannot resolve 127.0.0.1";
    let wrong = "cannot send the request to 127.0.0.1 (https_proxy is not a valid proxy URL)";
    let socks = "cannot send the request to 127.0.0.1 (all_proxy has a socks5 proxy, which is not supported)";
    let named = |name: &str| format!("check the network and the proxy in {name}");
    let [http, https, all] = ["http_proxy", "https_proxy", "ALL_PROXY"].map(named);
    let cases: [(&Forge, &str, String, Refused); 8] = [
        (&plain, "http_proxy", NOBODY.into(), (9, refuses, &http, 0)),
        (&tls, "https_proxy", NOBODY.into(), (9, refuses, &https, 0)),
        (&tls, "ALL_PROXY", "no-such.invalid:1".into(), (9, unknown, &all, 0)),
        (&tls, "https_proxy", address.clone(), (9, asks, check, 0)),
        (&tls, "https_proxy", format!("user:{SECRET}@{address}"), (9, asks, check, 0)),
        (&plain, "http_proxy", format!("http://user:{SECRET}@{address}"), (9, asks_plain, check, 0)),
        (&tls, "https_proxy", format!("http://user:{SECRET}@:port"), (3, wrong, form, 0)),
        (&plain, "all_proxy", format!("socks5://user:{SECRET}@{address}"), (3, socks, form, 0)),
    ];
    side_by_side(cases, |(forge, name, proxy, refusal)| {
        let mut cml = Cml::on(forge, Vendor::GitHub);
        cml.set(name, &proxy).file("ca.pem", tls.ca_pem());
        refused(forge, &cml, &[CREATE, &["--timeout", "9", "--ca-cert", "ca.pem"]].concat(), refusal);
    });
    assert_eq!(locked.targets(), [""; 0]);
}

#[test]
fn a_company_that_signs_its_own_certificates_is_trusted_when_told_so() {
    let forge = Forge::start_tls();
    let hint = "if your company signs its own certificates, pass its CA with --ca-cert FILE or SSL_CERT_FILE=FILE";
    let unknown = "the connection to 127.0.0.1 is not trusted (*)";
    for vendor in VENDORS {
        let mut cml = Cml::on(&forge, vendor);
        let file = cml.file("ca.pem", forge.ca_pem()).display().to_string();
        cml.file("none.pem", "no certificate");
        refused(&forge, &cml, CREATE, (9, unknown, hint, 0));
        let form = "the file must be in PEM format; certificates begin with -----BEGIN CERTIFICATE-----";
        for (name, why) in [
            ("missing.pem", "No such file or directory (os error 2)"),
            ("none.pem", "no PEM certificate found"),
            (".", "it is a directory"),
        ] {
            let message = format!("cannot use --ca-cert {name} ({why})");
            refused(&forge, &cml, &[CREATE, &["--ca-cert", name]].concat(), (3, &message, form, 0));
        }
        let message =
            "the connection to 127.0.0.1 is not trusted (SSL_CERT_FILE names none.pem, which contains no certificate)";
        refused(&forge, cml.set("SSL_CERT_FILE", "none.pem"), CREATE, (9, message, hint, 0));
        cml.unset("SSL_CERT_FILE");
        created(&forge, vendor, cml.run(&[CREATE, &["--ca-cert", "ca.pem"]].concat()));
        cml.set("SSL_CERT_FILE", &file).run(&["comment", "update", "report.md"]).ok();
        cml.unset("SSL_CERT_FILE").set("CML_CA_CERT", &file);
        created(&forge, vendor, cml.run(&["comment", "update", "report.md"]));
        cml.unset("CML_CA_CERT").set("NODE_EXTRA_CA_CERTS", &file);
        created(&forge, vendor, cml.run(&["comment", "update", "report.md"]));
        let other = cml.file("other.pem", Forge::start_tls().ca_pem()).display().to_string();
        created(&forge, vendor, cml.set("SSL_CERT_FILE", &other).run(&["comment", "update", "report.md"]));
        forge.repo(vendor, vendor.slug(), |repo| repo.comments.clear());
    }
}

#[test]
fn a_wrong_command_line_is_refused_before_anything_is_done() {
    let (forge, cml) = start(Vendor::GitHub);
    let repository = "pass --repo as https://host/owner/name or owner/name";
    let destinations = "use https://…, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix";
    let targets = "one of auto, pr, pr/42, commit, commit/<sha>, issue, issue/1337";
    for (args, message, hint) in [
        ("--target foo/3", "'foo/3' is not a target", targets),
        ("--target pr/0", "'pr/0' is not a target", targets),
        ("--repo model", "'model' is not a repository", repository),
        ("--repo ftp://host/octo/model", "'ftp://host/octo/model' is not a repository", repository),
        (&format!("--repo https://user:{SECRET}@host/model"), "'host/model' is not a repository", repository),
        (&format!("--publish-url ftp://user:{SECRET}@host/"), "--publish-url does not support ftp://", destinations),
        (
            "--publish-signed 2",
            "--publish-signed requires a bucket",
            "pass --publish-url s3://bucket/prefix, gs://… or az://…",
        ),
        ("--section=", "--section needs a name", "for a matrix: --section \"${{ matrix.python }}\""),
    ] {
        let args: Vec<&str> = CREATE.iter().copied().chain(args.split(' ')).collect();
        refused(&forge, &cml, &args, (2, message, hint, 0));
    }
    let address = format!("--publish-url http://user:{SECRET}@:x/");
    for (args, message) in [
        (address.as_str(), "error: invalid value 'http://***@:x/' for '--publish-url <URL>'"),
        ("--watermark-tilte x", "tip: a similar argument exists: '--watermark-title'"),
        ("--tokn hunter2-0123456789abcdef", "error: unexpected argument '--tokn' found"),
        ("--pr --target pr/7", "error: the argument '--pr' cannot be used with '--target <TARGET>'"),
        ("--driver gitea", "[possible values: github, gitlab, bitbucket, local]"),
        ("--timeout 0", "0 is not in 1..=86400"),
        ("--overflow drop", "[possible values: split, truncate, fail]"),
    ] {
        let args: Vec<&str> = CREATE.iter().copied().chain(args.split(' ')).collect();
        let ran = without_effect(&forge, &cml, &args, 0);
        assert!(ran.code == Some(2) && ran.stderr.contains(message), "{ran:#?}");
        assert!(ran.stderr.ends_with("For more information, try '--help'.\n"), "{ran:#?}");
    }
    let args = [CREATE, &["--repo", "https://git.example.org:8443/octo/model"]].concat();
    let ran = told(Cml::alone().set("REPO_TOKEN", SECRET), &args);
    ran.fails(3, "cannot determine the forge of git.example.org:8443", "pass --driver github, gitlab or bitbucket");
}

#[test]
fn a_variable_that_is_no_option_is_noticed() {
    for vendor in VENDORS {
        let (forge, mut cml) = start(vendor);
        let ran = cml.set("CML_COMMENT_TARGTE", "commit").run(CREATE);
        let warning = "warning: CML_COMMENT_TARGTE is not a variable of `cml comment` and has no effect; did you mean CML_COMMENT_TARGET?\n";
        assert_eq!(ran.stderr, warning);
        created(&forge, vendor, ran);
    }
}

#[test]
fn secrets_are_shown_nowhere() {
    for vendor in VENDORS {
        let (forge, mut cml) = start(vendor);
        // The one token of the fake that is long enough to be missed.
        let token = "nocontents";
        let ran = told(cml.unset("REPO_TOKEN"), &[CREATE, &["--token", token]].concat());
        assert!(!ran.stderr.contains(token) && ran.stderr.contains("debug: POST "), "{ran:#?}");
        created(&forge, vendor, ran);
        forge.repo(vendor, vendor.slug(), |repo| repo.comments.clear());
        let repository = forge.repo_url(vendor).replace("://", &format!("://user:{SECRET}@"));
        created(&forge, vendor, told(cml.set("CML_TOKEN", token), &[CREATE, &["--repo", &repository]].concat()));
        // A server that repeats what it was sent; Bitbucket's passwords are sent in Base64.
        let pair = format!("me@example.org:{token}");
        let sent = BASE64_STANDARD.encode(&pair);
        let echo = format!("bad header: Basic {sent} or Bearer {token}");
        let echo = serde_json::json!({ "message": &echo, "error": { "message": &echo } }).to_string();
        for value in [token, &pair] {
            forge.fault("POST ", 1, Kind::answer(400, &[], &echo));
            let ran = told(cml.set("CML_TOKEN", value), CREATE);
            assert!(ran.stderr.contains("bad header: Basic ") && ran.stderr.contains("***"), "{ran:#?}");
            assert!(!ran.stderr.contains(&sent[20..]), "{ran:#?}");
        }
    }
}

#[test]
fn credentials_of_a_git_remote_are_neither_shown_nor_sent() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let mut cml = Cml::alone();
        let driver = format!("{vendor:?}").to_lowercase();
        cml.set("REPO_TOKEN", "nocontents").set("CML_DRIVER", &driver);
        cml.set("GITHUB_API_URL", &forge.api(vendor)).set("BITBUCKET_API_URL", &forge.api(vendor));
        cml.git(&["init", "-q"]);
        let remote = forge.repo_url(vendor).replace("://", &format!("://user:{SECRET}@"));
        cml.git(&["remote", "add", "origin", &format!("{remote}.git")]);
        created(&forge, vendor, told(&cml, &[CREATE, &["--target", "pr/7"]].concat()));
        assert!(forge.requests()[0].headers.iter().all(|(_, value)| !value.contains(SECRET)));
        told(cml.unset("REPO_TOKEN"), CREATE).fails(4, &format!("no token found for {vendor:?}"), "*");
    }
}

#[test]
fn what_cml_got_wrong_at_the_edges_is_right() {
    for vendor in VENDORS {
        let (forge, cml) = start(vendor);
        forge.configure(|switches| switches.no_content_type = true);
        cml.file("plot.png", png(1));
        cml.file("report.md", "![](plot.png)");
        // 13, 23: the page of the comment, not the API's, whole; also when the answer does not say that it is JSON.
        for target in ["pr/7", &format!("commit/{HEAD}"), "issue/3"] {
            let page = cml.run(&[CREATE, &["--target", target]].concat()).ok();
            assert!(page.starts_with(&forge.repo_url(vendor)), "{vendor:?} {target}: {page}");
        }
        let body = forge.comments(vendor, &Target::Pull(7)).remove(0).body;
        assert!(body.starts_with(&format!("![]({}/", forge.url())), "{body}");
        // 22: owner/name is a repository.
        cml.run(&[CREATE, &["--repo", vendor.slug()]].concat()).ok();
        // 19: an error is a line and a hint, whatever the forge answers.
        forge.fault("POST *", 1, Kind::answer(400, &[], &"<p>no</p>".repeat(1000)));
        let ran = cml.run(&[CREATE, &["--no-publish"]].concat());
        ran.fails(9, &format!("{vendor:?} answered 400 Bad Request"), "");
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:#?}");
    }
}

#[test]
fn what_makes_no_address_is_an_error_that_says_what_to_check() {
    for (name, value) in [
        ("GITHUB_API_URL", "a b"),
        ("GITHUB_API_URL", "http://["),
        ("GITHUB_API_URL", "1844674407370955161600"),
        ("GITHUB_SHA", "a\nb"),
        ("CML_ASSET_PUBLISH_BRANCH", "a b"),
    ] {
        let forge = Forge::start();
        let mut cml = Cml::on(&forge, Vendor::GitHub);
        cml.unset("GITHUB_EVENT_PATH").set(name, value).file("a.csv", "1,2\n");
        let verb: &[&str] = match name {
            "CML_ASSET_PUBLISH_BRANCH" => &["asset", "publish", "a.csv", "--publish-branch", value],
            _ => &["check", "create", "report.md"],
        };
        let hint = "check GITHUB_API_URL, GITHUB_SHA, --repo and --publish-branch";
        cml.run(&[verb, &["--timeout", "5"]].concat()).fails(3, "*invalid address of GitHub's API (*)", hint);
    }
}

#[test]
fn a_pause_of_the_servers_that_no_clock_has_is_only_a_long_one() {
    for (name, value) in [("Retry-After", "18446744073709551615"), ("X-RateLimit-Reset", "-9223372036854775808")] {
        for status in [429, 503] {
            let forge = Forge::start();
            let cml = Cml::on(&forge, Vendor::GitHub);
            let section = ["comment", "update", "--section", "a", "--timeout", "5", "report.md"];
            cml.run(&section).ok();
            cml.file("report.md", "other\n");
            forge.fault("PATCH ", 1, Kind::answer(status, &[(name, value)], "{}"));
            let ran = cml.run(&section);
            assert!(!ran.stderr.contains("panicked") && matches!(ran.code, Some(0 | 8 | 9)), "{ran:#?}");
        }
    }
}
