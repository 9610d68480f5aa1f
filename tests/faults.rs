//! What goes wrong on the way: nothing is posted twice, nothing is lost, and the token goes nowhere else.

use crate::support::fake::{Clock, Forge, HEAD, Kind, Proxy, Target, Vendor};
use crate::support::{Cml, Ran, VENDORS};
use std::time::{Duration, Instant, SystemTime};

const CREATE: &[&str] = &["comment", "create", "report.md"];
const UPDATE: &[&str] = &["comment", "update", "report.md"];
const ON: Target = Target::Pull(7);

/// Runs every case on every forge, six at a time: they mostly wait.
fn everywhere<T: Sync>(cases: &[T], check: impl Fn(Vendor, &T) + Sync) {
    for cases in cases.chunks(2) {
        std::thread::scope(|scope| {
            for (vendor, case) in VENDORS.into_iter().flat_map(|vendor| cases.iter().map(move |case| (vendor, case))) {
                let check = &check;
                scope.spawn(move || check(vendor, case));
            }
        });
    }
}

/// Where the comments of the pull request are in a repository's API.
fn thread(vendor: Vendor, slug: &str) -> String {
    let api = vendor.api();
    match vendor {
        Vendor::GitHub => format!("{api}/repos/{slug}/issues/7/comments"),
        Vendor::GitLab => format!("{api}/projects/{}/merge_requests/7/notes", slug.replace('/', "%2F")),
        Vendor::Bitbucket => format!("{api}/repositories/{slug}/pullrequests/7/comments"),
    }
}

/// What lists them, after the page's number.
fn listing(vendor: Vendor, slug: &str, page: u32) -> String {
    let query = match vendor {
        Vendor::GitHub => format!("per_page=100&page={page}"),
        Vendor::GitLab => format!("per_page=100&page={page}&order_by=created_at&sort=desc"),
        Vendor::Bitbucket => format!("pagelen=50&page={page}&sort=-created_on"),
    };
    format!("{}?{query}", thread(vendor, slug))
}

/// A comment's own place.
fn comment(vendor: Vendor, slug: &str, id: u64) -> String {
    let place = thread(vendor, slug);
    match vendor {
        Vendor::GitHub => format!("{}/{id}", place.replace("/7/", "/")),
        _ => format!("{place}/{id}"),
    }
}

/// How a comment is changed.
fn change(vendor: Vendor) -> &'static str {
    if vendor == Vendor::GitHub { "PATCH" } else { "PUT" }
}

/// An earlier comment of the program.
fn earlier(forge: &Forge, vendor: Vendor, text: &str) -> u64 {
    let mark = format!("![](https://cml.dev/watermark.png#{HEAD} \"CML watermark\")");
    forge.seed_comment(vendor, &ON, "cml-bot", &format!("{text}\n\n{mark}"))
}

/// The methods in the order of their requests.
fn order(forge: &Forge) -> String {
    let methods: Vec<String> = forge.requests().into_iter().map(|request| request.method).collect();
    methods.join(" ")
}

/// The run succeeded, and there is one comment with the report: the printed one.
fn posted_once(forge: &Forge, vendor: Vendor, ran: Ran) {
    let shown = format!("{vendor:?} {ran:#?}\n{}", forge.transcript());
    assert_eq!(ran.code, Some(0), "{shown}");
    let mut comments = forge.live_comments(vendor, &ON);
    comments.retain(|comment| comment.body.contains("Accuracy"));
    assert_eq!(comments.len(), 1, "{shown}");
    assert!(ran.stdout.trim().ends_with(&comments[0].id.to_string()), "{shown}");
    assert_eq!(forge.unused_faults(), [""; 0], "{shown}");
}

/// The time between the first two requests of a method.
fn gap(forge: &Forge, method: &str) -> Duration {
    let times: Vec<Instant> = forge.requests().iter().filter(|r| r.method == method).map(|r| r.started).collect();
    times[1] - times[0]
}

/// Answers that say nothing about whether the request was carried out: it was not, or it was.
fn unclear() -> Vec<(Kind, bool)> {
    let html = "<html>Bad Gateway</html>";
    let mut kinds = vec![(Kind::DropBefore, false), (Kind::DropAfter, true)];
    for status in [500, 502, 503] {
        kinds.extend([(Kind::answer(status, &[], html), false), (Kind::answer_after(status, &[], html), true)]);
    }
    let cut = [Kind::Truncate(10), Kind::CutUnframed(10), Kind::CutUnframed(0), Kind::CutChunked(10)];
    kinds.extend(cut.map(|kind| (kind, true)));
    kinds
}

#[test]
fn a_comment_whose_answer_is_lost_is_looked_for_before_it_is_sent_again() {
    let mut kinds = unclear();
    // Of something between us and the forge.
    kinds.extend([(Kind::answer(200, &[], "<html>"), false), (Kind::answer_after(201, &[], "{}"), true)]);
    everywhere(&kinds, |vendor, (kind, done)| {
        let forge = Forge::start();
        // Not this one: an earlier run posted the same.
        earlier(&forge, vendor, "# Report\n\nPrecision: **0.99**\n");
        forge.fault("POST ", 1, kind.clone());
        let ran = Cml::on(&forge, vendor).run(CREATE);
        posted_once(&forge, vendor, ran);
        assert_eq!(order(&forge), if *done { "POST GET" } else { "POST GET POST" }, "{vendor:?} {kind:?}");
    });
}

#[test]
fn losing_one_answer_after_the_other_changes_nothing() {
    everywhere(&[3600, -3600], |vendor, skew| {
        let forge = Forge::start();
        forge.clock(Clock::Real(*skew));
        // An earlier run posted the very same: that is not the comment of this one.
        Cml::on(&forge, vendor).run(CREATE).ok();
        forge.repo(vendor, vendor.slug(), |repo| repo.comments[0].created_at.0 -= 60_000_000);
        forge.clear_requests();
        forge.fault("POST ", 2, Kind::DropBefore);
        forge.fault("POST ", 1, Kind::DropAfter);
        let printed = Cml::on(&forge, vendor).run(CREATE).ok();
        assert_eq!(order(&forge), "POST GET POST GET POST GET", "{vendor:?}");
        let comments = forge.live_comments(vendor, &ON);
        assert_eq!(comments.len(), 2, "{vendor:?}");
        assert!(printed.trim().ends_with(&comments[1].id.to_string()), "{printed}");
    });
}

#[test]
fn a_report_in_parts_loses_none_and_repeats_none() {
    everywhere(&[Kind::DropBefore, Kind::DropAfter], |vendor, kind| {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        let length = if vendor == Vendor::GitLab { 300_000 } else { 30_000 };
        let words = |word: &str| format!("{} {word}\n\n", "x".repeat(length));
        cml.file("report.md", ["one", "two", "three", "four"].map(words).concat());
        forge.fault_after(1, "POST ", 1, kind.clone());
        for args in [UPDATE, UPDATE] {
            cml.run(args).ok();
            let bodies: Vec<String> = forge.live_comments(vendor, &ON).into_iter().map(|c| c.body).collect();
            for word in ["one", "two", "three", "four"] {
                let having = bodies.iter().filter(|body| body.contains(&format!("x {word}\n")));
                assert_eq!(having.count(), 1, "{vendor:?} {kind:?} {word}");
            }
            assert!(bodies.iter().all(|body| body.contains(&format!("/{})", bodies.len()))), "{vendor:?}");
        }
    });
}

#[test]
fn an_update_whose_answer_is_lost_is_repeated() {
    everywhere(&unclear(), |vendor, (kind, _)| {
        let forge = Forge::start();
        let id = earlier(&forge, vendor, "old");
        let change = change(vendor);
        forge.fault(change, 1, kind.clone());
        let ran = Cml::on(&forge, vendor).run(UPDATE);
        posted_once(&forge, vendor, ran);
        assert_eq!(order(&forge), format!("GET {change} {change}"), "{vendor:?} {kind:?}");
        assert_eq!(forge.live_comments(vendor, &ON)[0].id, id);
    });
}

#[test]
fn a_first_update_and_a_section_whose_answer_is_lost_make_one_comment() {
    everywhere(&[Kind::DropBefore, Kind::DropAfter], |vendor, kind| {
        for options in [[].as_slice(), &["--section", "a"]] {
            let forge = Forge::start();
            let cml = Cml::on(&forge, vendor);
            for (method, report) in [("POST ", "Accuracy: 0.98"), (change(vendor), "Accuracy: 0.99")] {
                cml.file("report.md", report);
                forge.fault(method, 1, kind.clone());
                posted_once(&forge, vendor, cml.run(&[UPDATE, options].concat()));
                assert!(forge.live_comments(vendor, &ON)[0].body.contains(report));
            }
        }
    });
}

#[test]
fn a_deletion_whose_answer_is_lost_is_done() {
    everywhere(&[Kind::DropBefore, Kind::DropAfter, Kind::answer_after(502, &[], "")], |vendor, kind| {
        let forge = Forge::start();
        earlier(&forge, vendor, "old");
        forge.fault("DELETE ", 1, kind.clone());
        let ran = Cml::on(&forge, vendor).run(&[CREATE, &["--delete-previous"]].concat());
        posted_once(&forge, vendor, ran);
        assert_eq!(forge.live_comments(vendor, &ON).len(), 1, "{vendor:?} {kind:?}");
    });
}

#[test]
fn a_list_that_is_cut_is_read_again_and_never_taken_for_an_empty_one() {
    let cut = [Kind::Truncate(3000), Kind::CutUnframed(3000), Kind::CutChunked(3000), Kind::CutUnframed(0)];
    let cases: Vec<_> = cut.into_iter().flat_map(|kind| [1, 2].map(|page| (kind.clone(), page))).collect();
    everywhere(&cases, |vendor, (kind, page)| {
        let forge = Forge::start();
        let id = earlier(&forge, vendor, "old");
        forge.seed_comments(vendor, &ON, 130);
        forge.fault(&format!("GET {}", listing(vendor, vendor.slug(), *page)), 1, kind.clone());
        let ran = Cml::on(&forge, vendor).run(UPDATE);
        posted_once(&forge, vendor, ran);
        let comments = forge.live_comments(vendor, &ON);
        assert_eq!((comments.len(), comments[0].id), (131, id), "{vendor:?} {kind:?}");
        assert!(comments[0].body.contains("Accuracy") && !order(&forge).contains("POST"));
    });
}

#[test]
fn a_list_that_stays_broken_is_an_error_and_no_reason_to_comment() {
    everywhere(&[Kind::CutUnframed(3000), Kind::answer(500, &[], ""), Kind::DropAfter], |vendor, kind| {
        let forge = Forge::start();
        forge.seed_comments(vendor, &ON, 130);
        forge.fault(&format!("GET {}", listing(vendor, vendor.slug(), 2)), 99, kind.clone());
        let ran = Cml::on(&forge, vendor).run(&[UPDATE, &["--timeout", "6"]].concat());
        ran.fails(9, "*", "*--timeout SECONDS*");
        assert_eq!(forge.live_comments(vendor, &ON).len(), 130, "{vendor:?} {kind:?}");
        assert!(!order(&forge).contains("POST"));
    });
}

#[test]
fn when_it_cannot_be_seen_whether_the_comment_was_made_the_user_is_told() {
    let hint = "check pull request 7 before you run this again; cml comment update does not create a second one";
    let broken = Kind::answer(500, &[], "");
    let forbidden = Kind::answer(403, &[], r#"{"message": "no", "error": {"message": "no"}}"#);
    let cases = [(broken, "answered 500 Internal Server Error"), (forbidden, "answered 403: no")];
    everywhere(&cases, |vendor, (kind, why)| {
        let forge = Forge::start();
        forge.fault("POST ", 1, Kind::DropAfter);
        forge.fault("GET ", 99, kind.clone());
        let ran = Cml::on(&forge, vendor).run(&[CREATE, &["--timeout", "8"]].concat());
        let failed = format!("checking failed ({vendor:?} {why})");
        let lost = "lost the connection to 127.0.0.1 (*)";
        ran.fails(9, &format!("cannot determine whether the comment was created: {failed}: {lost}"), hint);
        assert_eq!(forge.live_comments(vendor, &ON).len(), 1);
        assert_eq!(order(&forge).matches("POST").count(), 1);
    });
}

#[test]
fn a_comment_that_cannot_be_made_is_never_sent_again_unseen() {
    everywhere(&[Kind::DropBefore, Kind::answer(503, &[("Retry-After", "0")], "")], |vendor, kind| {
        let forge = Forge::start();
        forge.fault("POST ", 99, kind.clone());
        let ran = Cml::on(&forge, vendor).run(&[CREATE, &["--timeout", "8"]].concat());
        // Which of them depends on where the time is over.
        ran.fails(9, "*", "*");
        assert!(ran.stderr.contains("the comment was"), "{ran:#?}");
        assert!(order(&forge).contains("POST GET POST GET") && !order(&forge).contains("POST POST"), "{ran:#?}");
        assert_eq!(forge.live_comments(vendor, &ON).len(), 0);
    });
}

#[test]
fn a_forge_that_does_not_answer_ends_with_the_time_allowed() {
    everywhere(&[(CREATE, "POST "), (UPDATE, "GET ")], |vendor, (args, pattern)| {
        let forge = Forge::start();
        forge.fault(pattern, 99, Kind::Stall(Duration::from_secs(30)));
        let started = Instant::now();
        let ran = Cml::on(&forge, vendor).run(&[*args, &["--timeout", "3"]].concat());
        let (message, hint) = match *pattern {
            "POST " => (
                "cannot determine whether the comment was created: timed out waiting for 127.0.0.1",
                "check pull request 7 before you run this again; cml comment update does not create a second one",
            ),
            _ => (
                "timed out waiting for 127.0.0.1",
                "allow more time than 3 seconds with --timeout SECONDS, or try again later",
            ),
        };
        ran.fails(9, message, hint);
        assert!(started.elapsed() < Duration::from_secs(15));
        assert_eq!((forge.requests().len(), forge.live_comments(vendor, &ON).len()), (1, 0));
    });
}

/// The deadline cuts the second attempt short: what the first one was answered says more than that.
#[test]
fn the_last_answer_is_told_where_a_retry_runs_out_of_time() {
    everywhere(&[UPDATE], |vendor, args| {
        let forge = Forge::start();
        forge.fault("GET ", 1, Kind::answer(500, &[], ""));
        forge.fault("GET ", 99, Kind::Stall(Duration::from_secs(30)));
        let ran = Cml::on(&forge, vendor).run(&[*args, &["--timeout", "4"]].concat());
        let hint = "allow more time than 4 seconds with --timeout SECONDS, or try again later";
        ran.fails(9, "*answered 500*", hint);
        assert_eq!((forge.requests().len(), forge.live_comments(vendor, &ON).len()), (2, 0));
    });
}

#[test]
fn a_slow_forge_is_waited_for() {
    everywhere(&[CREATE, UPDATE], |vendor, args| {
        let forge = Forge::start();
        forge.fault("", 2, Kind::Slow(Duration::from_millis(300)));
        let ran = Cml::on(&forge, vendor).run(args);
        assert_eq!(ran.stderr, "", "nothing was wrong");
        ran.ok();
        assert_eq!(forge.live_comments(vendor, &ON).len(), 1);
    });
}

#[test]
fn a_limit_of_the_rate_is_waited_for_as_long_as_the_forge_says() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let reset = (now + 5).to_string();
    let cases = [
        Kind::answer(429, &[("Retry-After", "1")], ""),
        Kind::answer(403, &[("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", &reset)], "{}"),
        Kind::answer(403, &[("Retry-After", "1")], r#"{"message": "You have exceeded a secondary rate limit."}"#),
        Kind::answer(503, &[("Retry-After", "1")], ""),
    ];
    everywhere(&cases, |vendor, kind| {
        let forge = Forge::start();
        forge.fault("POST ", 1, kind.clone());
        let ran = Cml::on(&forge, vendor).run(CREATE);
        posted_once(&forge, vendor, ran);
        assert!(gap(&forge, "POST") >= Duration::from_secs(1), "{vendor:?} {kind:?}\n{}", forge.transcript());
        // A limit certainly kept the comment from being made; an error may not have.
        let looks = matches!(kind, Kind::Answer { status: 503, .. });
        assert_eq!(order(&forge), if looks { "POST GET POST" } else { "POST POST" }, "{vendor:?} {kind:?}");
    });
}

#[test]
fn a_limit_longer_than_the_time_allowed_ends_at_once() {
    everywhere(&[(CREATE, "POST "), (UPDATE, "GET ")], |vendor, (args, pattern)| {
        let forge = Forge::start();
        forge.fault(pattern, 1, Kind::answer(429, &[("Retry-After", "3600")], ""));
        let ran = Cml::on(&forge, vendor).run(args);
        ran.fails(
            8,
            "127.0.0.1 is rate limiting requests for another 3600 seconds",
            "run fewer jobs at once, use a token with a higher limit, or wait longer with --timeout SECONDS",
        );
        assert_eq!((forge.requests().len(), forge.live_comments(vendor, &ON).len()), (1, 0), "{vendor:?}");
    });
}

#[test]
fn a_refusal_is_final() {
    everywhere(&[(400, 9), (401, 4), (409, 6), (422, 9)], |vendor, (status, code)| {
        for (args, pattern) in [(CREATE, "POST "), (UPDATE, "GET ")] {
            let forge = Forge::start();
            forge.fault(pattern, 1, Kind::answer(*status, &[], "{}"));
            let ran = Cml::on(&forge, vendor).run(args);
            assert_eq!((ran.code, forge.requests().len()), (Some(*code), 1), "{vendor:?} {ran:#?}");
        }
    });
}

#[test]
fn a_repository_that_was_renamed_gets_the_same_request_at_its_new_place() {
    everywhere(&[301, 302, 307, 308], |vendor, status| {
        let forge = Forge::start();
        let id = earlier(&forge, vendor, "old");
        let slug = vendor.slug();
        let old = slug.replace("model", "renamed");
        let to = |path: &str| Kind::answer(*status, &[("Location", &format!("{}{path}", forge.url()))], "{}");
        let (list, change) = (|slug: &str| listing(vendor, slug, 1), change(vendor));
        forge.fault(&format!("GET {}", list(&old)), 1, to(&list(slug)));
        forge.fault(&format!("{change} {}", comment(vendor, &old, id)), 1, to(&comment(vendor, slug, id)));
        let cml = Cml::on(&forge, vendor);
        let repository = format!("{}/{old}", forge.url());
        posted_once(&forge, vendor, cml.run(&[UPDATE, &["--repo", &repository]].concat()));
        assert_eq!(order(&forge), format!("GET GET {change} {change}"), "{vendor:?} {status}");
        forge.fault(&format!("POST {}", thread(vendor, &old)), 1, to(&thread(vendor, slug)));
        forge.repo(vendor, slug, |repo| repo.comments.clear());
        forge.clear_requests();
        posted_once(&forge, vendor, cml.run(&[CREATE, &["--repo", &repository]].concat()));
        let requests = forge.requests();
        assert_eq!((order(&forge).as_str(), &requests[0].body), ("POST POST", &requests[1].body));
    });
}

#[test]
fn a_redirect_elsewhere_does_not_take_the_token_along() {
    let hint = "if the service has moved, use its new address (--repo, or the API's variable)";
    // Another name, and another port of the same.
    everywhere(&["localhost", "127.0.0.1"], |vendor, name| {
        let (forge, other) = (Forge::start(), Forge::start());
        let elsewhere = other.url().replace("127.0.0.1", name);
        let to = |path: String| Kind::answer(307, &[("Location", &format!("{elsewhere}{path}"))], "");
        forge.fault("POST ", 1, to(thread(vendor, vendor.slug())));
        forge.fault("GET ", 1, to(listing(vendor, vendor.slug(), 1)));
        let cml = Cml::on(&forge, vendor);
        cml.run(CREATE).fails(3, &format!("127.0.0.1 redirects to {elsewhere}"), hint);
        assert_eq!((forge.requests().len(), other.requests().len()), (1, 0), "{vendor:?}");
        assert_eq!(cml.run(UPDATE).code, Some(4), "{vendor:?}: nobody may read there without a token");
        let requests = other.requests();
        assert_eq!(requests.len(), 1);
        assert!(requests[0].headers.iter().all(|(_, value)| !value.contains("good")), "{requests:#?}");
    });
}

#[test]
fn redirects_in_a_circle_and_to_the_sign_in_page_end() {
    let hint = "check the addresses of the repository and the API";
    let signed_out = "check the token and the repository's address";
    everywhere(&[(CREATE, "POST "), (UPDATE, "GET ")], |vendor, (args, pattern)| {
        let forge = Forge::start();
        let to = |path: &str| Kind::answer(302, &[("Location", path)], "");
        forge.fault(pattern, 99, to(&thread(vendor, vendor.slug())));
        let cml = Cml::on(&forge, vendor);
        cml.run(args).fails(9, "too many redirects from 127.0.0.1", hint);
        assert_eq!(forge.requests().len(), 6, "{vendor:?}");
        let forge = Forge::start();
        forge.fault(pattern, 99, to("/users/sign_in"));
        let cml = Cml::on(&forge, vendor);
        cml.run(args).fails(4, "127.0.0.1 redirects to its sign-in page", signed_out);
        assert_eq!(forge.requests().len(), 1, "{vendor:?}");
    });
}

#[test]
fn proxies_are_used_as_the_environment_says() {
    let dead = "http://127.0.0.1:9";
    everywhere(&["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"], |vendor, name| {
        let (forge, proxy) = (Forge::start(), Proxy::start());
        let mut cml = Cml::on(&forge, vendor);
        // That of the other scheme is not used.
        cml.set(name, &proxy.url()).set("https_proxy", dead);
        posted_once(&forge, vendor, cml.run(CREATE));
        assert_eq!(proxy.targets(), [format!("POST {}{}", forge.url(), thread(vendor, vendor.slug()))]);
        cml.set(name, dead);
        for (exceptions, list) in [("no_proxy", "localhost,127.0.0.1"), ("NO_PROXY", "10.0.0.0/8, 127.0.0.0/8")] {
            posted_once(&forge, vendor, cml.set(exceptions, list).run(UPDATE));
            cml.unset(exceptions);
        }
        if *name == "HTTP_PROXY" {
            // In a CGI program that would be a header of the request.
            posted_once(&forge, vendor, cml.set("REQUEST_METHOD", "GET").run(UPDATE));
        }
    });
}

#[test]
fn a_forge_with_tls_is_reached_through_a_tunnel() {
    everywhere(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"], |vendor, name| {
        let (forge, proxy) = (Forge::start_tls(), Proxy::start_with_credentials("user", "right-password"));
        proxy.route("localhost:443", &forge.address());
        let mut cml = Cml::on(&forge, vendor);
        for value in cml.env.values_mut() {
            *value = value.replace(forge.url(), "https://localhost");
        }
        cml.set(name, &proxy.url().replace("://", "://user:right-password@")).set("http_proxy", "http://127.0.0.1:9");
        let file = cml.file("ca.pem", forge.ca_pem());
        let ran = cml.run(&[CREATE, &["--log", "debug", "--ca-cert", &file.display().to_string()]].concat());
        assert!(!ran.stderr.contains("right-password"), "{ran:#?}");
        posted_once(&forge, vendor, ran);
        assert_eq!(proxy.targets(), ["CONNECT localhost:443"]);
        assert_eq!(forge.requests()[0].header("proxy-authorization"), None);
    });
}
