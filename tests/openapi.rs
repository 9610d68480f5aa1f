//! The program and the fake GitHub, held against GitHub's own description of its API: each request and each answer of
//! these tests goes through a checker, see `support/prism.rs`.

use crate::support::fake::{Comment, Doing, Forge, HEAD, Kind, Phase, PullRequest, Repo, Run, Target, Vendor};
use crate::support::library::Library;
use crate::support::net::{Answer, send};
use crate::support::prism::Prism;
use crate::support::{Cml, png};
use cml::connect::{Global, connect_runners};
use cml::env::Secret;
use cml::forge::runner::NewRunner;
use cml::host::Platform;
use cml::log::Level;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A fake forge, and the checker before it: one for all tests while one of them runs, as it takes seconds to start.
struct Checked {
    prism: Prism,
    forge: Forge,
}

fn shared() -> Option<Arc<Checked>> {
    static SHARED: Mutex<Weak<Checked>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(checked) = shared.upgrade() {
        return Some(checked);
    }
    let forge = Forge::start();
    let checked = Arc::new(Checked { prism: Prism::guarding(Vendor::GitHub, &forge)?, forge });
    *shared = Arc::downgrade(&checked);
    Some(checked)
}

/// A test's own repository, in which nothing may be against the description.
struct Desk {
    checked: Arc<Checked>,
    slug: String,
    cml: Cml,
}

impl Desk {
    /// In the pipeline of pull request 7.
    fn new(name: &str) -> Option<Desk> {
        Some(Desk::at(shared()?, name))
    }

    fn at(checked: Arc<Checked>, name: &str) -> Desk {
        let slug = format!("octo/{name}");
        checked.forge.repo(Vendor::GitHub, &slug, |_| ());
        let mut cml = Cml::on(&checked.forge, Vendor::GitHub);
        cml.set("GITHUB_REPOSITORY", &slug).set("GITHUB_API_URL", &checked.prism.api());
        let head = json!({ "sha": HEAD, "repo": { "full_name": slug } });
        cml.file("event.json", json!({ "pull_request": { "number": 7, "head": head } }).to_string());
        Desk { checked, slug, cml }
    }

    /// In the pipeline of a push, which says nothing of a pull request.
    fn of_push(name: &str, commit: &str, branch: &str) -> Option<Desk> {
        Some(Desk::new(name)?.pushed(commit, branch))
    }

    fn pushed(mut self, commit: &str, branch: &str) -> Desk {
        self.cml.unset("GITHUB_EVENT_PATH").set("GITHUB_EVENT_NAME", "push");
        self.cml.set("GITHUB_SHA", commit).set("GITHUB_REF", &format!("refs/heads/{branch}"));
        self
    }

    fn repo<R>(&self, see: impl FnOnce(&mut Repo) -> R) -> R {
        self.checked.forge.repo(Vendor::GitHub, &self.slug, see)
    }

    /// The comments that a reader sees.
    fn comments(&self, target: &Target) -> Vec<Comment> {
        self.repo(|repo| repo.thread(target).into_iter().filter(|comment| !comment.deleted).cloned().collect())
    }

    fn bodies(&self, target: &Target) -> Vec<String> {
        self.comments(target).into_iter().map(|comment| comment.body).collect()
    }

    /// How many requests of a method had an address that ends so.
    fn count(&self, method: &str, end: &str) -> usize {
        let requests = self.checked.forge.requests().into_iter();
        let of_it = requests.filter(|request| request.path.contains(&format!("/repos/{}/", self.slug)));
        of_it.filter(|request| request.method == method && request.path.ends_with(end)).count()
    }

    /// The next request of a kind gets this answer.
    fn fault(&self, method: &str, path: &str, status: u16, body: &Value) {
        let pattern = format!("{method} /github/repos/{}{path}", self.slug);
        self.checked.forge.fault(&pattern, 1, Kind::answer(status, &[], &body.to_string()));
    }

    /// Somebody else's request.
    fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        let url = format!("{}/repos/{}{path}", self.checked.prism.api(), self.slug);
        let headers = [("Authorization", "Bearer good"), ("Content-Type", "application/json")];
        match body {
            Value::Null => send(method, &url, &headers[..1], b"").unwrap(),
            body => send(method, &url, &headers, body.to_string().as_bytes()).unwrap(),
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let violations = self.checked.prism.violations(&self.slug);
            assert!(violations.is_empty(), "{violations:#?}");
        }
    }
}

const PULL: Target = Target::Pull(7);

#[test]
fn a_comment_is_created_updated_and_found_among_others() {
    let Some(desk) = Desk::new("comment") else { return };
    let comment = |verb: &str, text: &str| {
        desk.cml.file("report.md", text);
        desk.cml.run(&["comment", verb, "report.md"]).ok()
    };
    let made = comment("create", "first");
    for n in 0..150 {
        let answer = desk.send("POST", "/issues/7/comments", &json!({ "body": format!("comment {n}") }));
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    assert_eq!(comment("update", "second"), made);
    assert_eq!(desk.count("GET", "page=2"), 1);
    let bodies = desk.bodies(&PULL);
    assert_eq!(bodies.len(), 151);
    assert!(bodies[0].starts_with("second\n"), "{}", bodies[0]);
}

#[test]
fn update_makes_the_comment_where_there_is_none_whatever_it_is_on() {
    for (n, target) in ["pr/7", "issue/3", &format!("commit/{HEAD}")].into_iter().enumerate() {
        let Some(desk) = Desk::new(&format!("update-{n}")) else { return };
        let update = |text: &str| {
            desk.cml.file("report.md", text);
            desk.cml.run(&["comment", "update", "--target", target, "report.md"]).ok()
        };
        assert_eq!(update("first"), update("second"), "{target}");
        let on = [PULL, Target::Issue(3), Target::Commit(HEAD.into())];
        assert_eq!(desk.comments(&on[n]).len(), 1, "{target}");
    }
}

#[test]
fn images_are_published_once_to_the_hidden_ref() {
    publishes_once("hidden", &[], "refs/cml/assets");
}

#[test]
fn images_are_published_once_to_a_branch() {
    publishes_once("branch", &["--publish-branch", "cml/of/main"], "refs/heads/cml/of/main");
}

fn publishes_once(repository: &str, options: &[&str], name: &str) {
    let Some(desk) = Desk::new(repository) else { return };
    let run = |images: std::ops::Range<u8>| {
        let line = |n: u8| {
            desk.cml.file(&format!("{n}.png"), png(n));
            format!("![plot]({n}.png)\n\n")
        };
        desk.cml.file("report.md", images.map(line).collect::<String>());
        desk.cml.run(&[&["comment", "update", "report.md"], options].concat()).ok();
        let head = desk.repo(|repo| repo.git.refs.get(name).cloned()).unwrap();
        let files = desk.repo(|repo| repo.git.list(&repo.git.tree_of(&head).unwrap(), false)).len();
        (head, files, desk.count("POST", "/git/blobs"))
    };
    let first = run(0..3);
    assert_eq!((first.1, first.2), (3, 3));
    assert_eq!(run(0..3), first, "nothing is published again");
    let more = run(1..5);
    assert_eq!((more.1, more.2), (5, 5));
    assert!(desk.bodies(&PULL)[0].contains(&more.0));
}

#[test]
fn a_split_report_that_becomes_shorter_deletes_what_is_left_over() {
    let Some(desk) = Desk::new("split") else { return };
    for (words, comments) in [(30_000, 3), (2, 1)] {
        desk.cml.file("report.md", "words and\n\n".repeat(words / 2));
        desk.cml.run(&["comment", "update", "--overflow", "split", "report.md"]).ok();
        assert_eq!(desk.comments(&PULL).len(), comments);
    }
    assert_eq!(desk.repo(|repo| repo.thread(&PULL).len()), 3);
}

#[test]
fn earlier_comments_are_deleted_or_hidden() {
    for on in ["pr/7", &format!("commit/{HEAD}")] {
        let Some(desk) = Desk::new(&on.replace('/', "-")) else { return };
        let target = if on == "pr/7" { PULL } else { Target::Commit(HEAD.into()) };
        for option in ["--hide-previous", "--delete-previous"] {
            desk.cml.run(&["comment", "create", "--target", on, "report.md"]).ok();
            desk.cml.run(&["comment", "create", "--target", on, option, "report.md"]).ok();
        }
        let all = desk.repo(|repo| repo.thread(&target).into_iter().cloned().collect::<Vec<_>>());
        assert!(all[0].minimized.is_some());
        assert_eq!(all.iter().map(|comment| comment.deleted).collect::<Vec<_>>(), [true, true, true, false]);
    }
}

#[test]
fn the_pull_request_of_a_push_is_found_by_commit_and_by_branch() {
    let Some(desk) = Desk::of_push("by-commit", HEAD, "feature") else { return };
    desk.cml.run(&["comment", "create", "report.md"]).ok();
    assert_eq!((desk.comments(&PULL).len(), desk.count("GET", "/pulls?per_page=100")), (1, 1));

    let commit = "1".repeat(40);
    let Some(desk) = Desk::of_push("by-branch", &commit, "a/b c") else { return };
    desk.repo(|repo| repo.add_pull(PullRequest::open(11, &commit, "a/b c")));
    desk.fault("GET", "/commits/*/pulls", 200, &json!([])); // as GitHub does for a fork's commits
    desk.cml.run(&["comment", "create", "report.md"]).ok();
    assert_eq!((desk.comments(&Target::Pull(11)).len(), desk.count("GET", "head=octo%3Aa%2Fb+c")), (1, 1));

    let Some(desk) = Desk::of_push("by-nothing", &commit, "main") else { return };
    desk.repo(|repo| repo.commits.insert(commit.clone()));
    desk.cml.run(&["comment", "create", "--target", "pr", "report.md"]).fails(5, "no open pull request*", "*");
    desk.cml.run(&["comment", "create", "report.md"]).ok();
    assert_eq!(desk.comments(&Target::Commit(commit)).len(), 1);
}

#[test]
fn a_check_is_made_completed_and_annotated() {
    let Some(desk) = Desk::new("check") else { return };
    let remark = |n: u32| {
        format!("{{\"path\":\"a.py\",\"line\":{n},\"column\":2,\"end_column\":3,\"message\":\"m\",\"title\":\"t\"}}\n")
    };
    desk.cml.file("notes.jsonl", (1..=120).map(remark).collect::<String>());
    desk.cml.file("report.md", "ten chars\n\n".repeat(7000));
    let check = |args: &[&str]| desk.cml.run(&[&["check", "create", "report.md"], args].concat());
    let first = check(&["--status", "in_progress", "--annotations", "notes.jsonl"]).ok();
    assert_eq!(check(&["--conclusion", "timed_out"]).ok(), first);
    let id = first.trim().rsplit('/').next().unwrap();
    check(&["--check-id", id, "--conclusion", "skipped"]).ok();
    let made = desk.repo(|repo| repo.checks.clone());
    assert_eq!((made.len(), made[0].annotations.len(), made[0].conclusion.as_deref()), (1, 120, Some("skipped")));
    assert_eq!((desk.count("POST", "/check-runs"), desk.count("PATCH", &format!("/check-runs/{id}"))), (1, 4));
    check(&["--check-id", "4711"]).fails(5, "there is no check 4711 in *", "*");
    let Some(mut desk) = Desk::new("check-refused") else { return };
    desk.cml.set("REPO_TOKEN", "readonly");
    let hint = "add to the job: permissions: { checks: write }";
    desk.cml.run(&["check", "create", "report.md"]).fails(4, "the token may not do this *", hint);
}

#[test]
fn jobs_write_their_sections_of_one_comment() {
    let Some(desk) = Desk::new("sections") else { return };
    for job in ["one", "two", "one"] {
        desk.cml.file("report.md", format!("of job {job}"));
        desk.cml.run(&["comment", "update", "--section", job, "report.md"]).ok();
    }
    let bodies = desk.bodies(&PULL);
    assert_eq!(bodies.len(), 1);
    assert!(["one", "two"].iter().all(|job| bodies[0].contains(&format!("of job {job}"))), "{}", bodies[0]);
}

#[test]
fn a_pull_request_is_opened_found_and_merged() {
    for (n, option) in ["--merge", "--rebase", "--squash"].into_iter().enumerate() {
        let Some(mut desk) = Desk::new(&format!("pull-{n}")) else { return };
        let bare = desk.cml.path().join(".git/bare");
        desk.cml.file("model.json", "1");
        desk.cml.git(&["init", "-q"]);
        desk.cml.git(&["add", "model.json"]);
        desk.cml.git(&["commit", "-q", "-m", "first"]);
        desk.cml.git(&["init", "-q", "--bare", bare.to_str().unwrap()]);
        desk.cml.git(&["remote", "add", "origin", bare.to_str().unwrap()]);
        desk.cml.git(&["push", "-q", "origin", "main"]);
        desk.repo(|repo| repo.bare = Some(bare));
        let head = desk.cml.git(&["rev-parse", "HEAD"]);
        desk = desk.pushed(&head, "main");
        desk.cml.file("model.json", "2");
        let opened = desk.cml.run(&["pr", "create", "model.json"]).ok();
        desk.cml.file("model.json", "3");
        assert_eq!(desk.cml.run(&["pr", "create", "model.json", option]).ok(), opened);
        assert_eq!((desk.count("POST", "/pulls"), desk.count("PUT", "/merge")), (1, 1));
        desk.cml.run(&["pr", "create", "model.json", "--target-branch", "none"]).fails(
            5,
            "there is no branch none*",
            "*",
        );
    }
}

#[test]
fn runs_are_cancelled_and_start_again() {
    for (name, phase, starts) in [
        ("run-running", Phase::Running, "rerun-failed-jobs"),
        ("run-failed", Phase::Failed, "rerun-failed-jobs"),
        ("run-passed", Phase::Passed, "rerun"),
    ] {
        let Some(desk) = Desk::new(name) else { return };
        desk.repo(|repo| repo.runs.insert(5, Run::new(5, phase)));
        desk.cml.run(&["workflow", "rerun", "--id", "5"]).ok();
        assert_eq!(desk.repo(|repo| repo.runs[&5].starts.clone()), [starts]);
        assert_eq!(desk.send("POST", "/actions/runs/5/rerun", &Value::Null).status, 403);
        desk.repo(|repo| repo.runs.insert(6, Run::new(6, Phase::Passed)));
        assert_eq!(desk.send("POST", "/actions/runs/6/cancel", &Value::Null).status, 409);
        desk.cml.run(&["workflow", "rerun", "--id", "404"]).fails(5, "there is no workflow run 404*", "*");
    }
}

#[test]
fn a_doctor_asks_as_described_and_makes_nothing() {
    for (token, code) in [("good", 0), ("ghs_nocontents", 0), ("ghp_good", 0), ("ghs_readonly", 4)] {
        let Some(mut desk) = Desk::new(&format!("doctor-{}", token.replace('_', "-"))) else { return };
        let before = desk.repo(|repo| format!("{repo:?}"));
        let ran = desk.cml.set("REPO_TOKEN", token).run(&["doctor"]);
        assert_eq!(ran.code, Some(code), "{ran:#?}");
        assert_eq!(before, desk.repo(|repo| format!("{repo:?}")));
    }
}

#[test]
fn jobs_that_were_lost_run_again() {
    let Some(desk) = Desk::new("run-lost") else { return };
    let reason = Some("The self-hosted runner: cml-1 lost communication with the server.".to_owned());
    let run = Run { runner: "cml-1".into(), reason, ..Run::new(5, Phase::Failed) };
    desk.repo(|repo| repo.runs.insert(5, run));
    desk.cml.run(&["runner", "retry", "--run", "5"]).ok();
    assert_eq!(desk.repo(|repo| repo.runs[&5].starts.clone()), ["rerun-failed-jobs"]);
}

#[test]
fn refusals_are_as_described_and_understood() {
    for (token, target, code, says) in [
        ("bad", "pr/7", 4, "error: GitHub does not accept the token"),
        ("readonly", "pr/7", 4, "permissions: { pull-requests: write }"),
        ("good", "pr/404", 5, "pull request"),
        ("good", "issue/404", 5, "issue"),
        ("good", "commit/4040404", 5, "commit"),
    ] {
        let Some(mut desk) = Desk::new(&format!("refused-{code}-{}", target.replace('/', "-"))) else { return };
        desk.cml.set("REPO_TOKEN", token);
        for verb in ["create", "update"] {
            let ran = desk.cml.run(&["comment", verb, "--target", target, "report.md"]);
            assert_eq!(ran.code, Some(code), "{ran:#?}");
            assert!(ran.stderr.contains(says), "{ran:#?}");
        }
    }
    let Some(mut desk) = Desk::new("refused-contents") else { return };
    desk.cml.set("REPO_TOKEN", "nocontents").file("plot.png", png(1));
    desk.cml.file("report.md", "![plot](plot.png)");
    let ran = desk.cml.run(&["comment", "create", "report.md"]);
    assert!(ran.stderr.contains("contents: write"), "{ran:#?}");
    let Some(mut desk) = Desk::new("refused-repository") else { return };
    desk.cml.set("GITHUB_REPOSITORY", "octo/none").unset("GITHUB_EVENT_PATH");
    let ran = desk.cml.run(&["comment", "create", "report.md"]);
    assert_eq!(ran.code, Some(5), "{ran:#?}");
}

/// Registers a runner, looks at it, and removes it, busy or not.
fn runs_a_runner(checked: &Checked, place: &str, group: Option<&str>) {
    let library = Library::new(&[("GITHUB_API_URL", &checked.prism.api())]);
    let global = Global {
        driver: Some("github".into()),
        repo: Some(format!("{}/{place}", checked.forge.url())),
        token: Some(Secret::new("good")),
        timeout: 30,
        ca_cert: None,
        log: Level::Error.into(),
    };
    let platform = Platform { os: "linux".into(), arch: "aarch64".into() };
    let (name, labels, group) = (format!("cml-{place}"), vec!["gpu".to_owned()], group.map(str::to_owned));
    let new =
        NewRunner { name: name.clone(), labels, group, single: true, job_timeout: None, platform: platform.clone() };
    library.run(async {
        let forge = connect_runners(&library.app, &global).await.unwrap().forge;
        let made = forge.register_runner(&new).await.unwrap();
        assert_eq!(forge.register_runner(&new).await.unwrap_err().kind(), cml::error::Kind::Conflict);
        assert_eq!(forge.list_runners(&new.labels).await.unwrap().len(), 1);
        checked.forge.set_runner(&name, Doing::Busy);
        assert_eq!(forge.get_runner(&made.id).await.unwrap().unwrap().busy, Some(true));
        assert_eq!(forge.delete_runner(&made.id).await.unwrap_err().kind(), cml::error::Kind::Conflict);
        checked.forge.set_runner(&name, Doing::Idle);
        forge.delete_runner(&made.id).await.unwrap();
        assert!(forge.get_runner(&made.id).await.unwrap().is_none());
        assert!(forge.runner_package(&platform).await.unwrap().is_some());
    });
}

#[test]
fn runners_are_those_of_a_repository_or_an_organisation() {
    let Some(desk) = Desk::new("runners") else { return };
    runs_a_runner(&desk.checked, &desk.slug, None);
    runs_a_runner(&desk.checked, "octo", Some("Big GPUs"));
    // The checker takes the first two segments for a repository.
    let violations = desk.checked.prism.violations("octo/actions");
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn an_old_enterprise_server_takes_the_same() {
    let forge = Forge::start();
    let Some(prism) = Prism::with(Vendor::GitHub, "ghes-3.17.json", &forge) else { return };
    let checked = Arc::new(Checked { prism, forge });
    let (pull, commit) = (Desk::at(checked.clone(), "pull"), format!("commit/{HEAD}"));
    pull.cml.file("plot.png", png(1));
    for text in ["![plot](plot.png)", "other\n\n![plot](plot.png)", "![data](data.png)"] {
        pull.cml.file("data.png", png(2));
        pull.cml.file("report.md", text);
        pull.cml.run(&["comment", "update", "report.md"]).ok();
        pull.cml.run(&["comment", "update", "--target", &commit, "report.md"]).ok();
    }
    assert_eq!((pull.comments(&PULL).len(), pull.count("POST", "/git/blobs")), (1, 2));
    for option in ["--hide-previous", "--delete-previous"] {
        pull.cml.run(&["comment", "create", option, "report.md"]).ok();
        pull.cml.run(&["comment", "create", option, "--target", &commit, "report.md"]).ok();
    }
    let push = Desk::at(checked, "push").pushed(&"1".repeat(40), "main");
    push.cml.run(&["comment", "create", "--target", "pr", "report.md"]).fails(5, "no open pull request*", "*");
    runs_a_runner(&push.checked, &push.slug, None);
}

#[test]
fn the_fake_refuses_as_described() {
    let Some(desk) = Desk::new("fake") else { return };
    let main = desk.repo(|repo| repo.git.refs["refs/heads/main"].clone());
    let orphan = json!({ "message": "x", "tree": desk.repo(|repo| repo.git.tree_of(&main).unwrap()) });
    let orphan: Value = serde_json::from_slice(&desk.send("POST", "/git/commits", &orphan).body).unwrap();
    let (unknown, long) = ("0".repeat(40), json!({ "body": "x".repeat(65_537) }));
    for (method, path, body, status) in [
        ("POST", "/issues/7/comments", &long, 422),
        ("POST", &format!("/commits/{HEAD}/comments"), &json!({ "body": " " }), 422),
        ("PATCH", "/issues/comments/404", &json!({ "body": "x" }), 404),
        ("DELETE", "/comments/404", &Value::Null, 404),
        ("POST", "/git/refs", &json!({ "ref": "refs/heads/main", "sha": main }), 422),
        ("PATCH", "/git/refs/heads/main", &json!({ "sha": orphan["sha"] }), 422),
        ("PATCH", "/git/refs/heads/none", &json!({ "sha": main }), 422),
        ("POST", "/git/trees", &json!({ "base_tree": unknown, "tree": [] }), 422),
        ("POST", "/git/commits", &json!({ "message": "x", "tree": unknown }), 422),
        ("GET", &format!("/git/commits/{unknown}"), &Value::Null, 404),
        ("GET", &format!("/git/trees/{unknown}"), &Value::Null, 404),
        ("GET", &format!("/commits/{unknown}/pulls"), &Value::Null, 422),
    ] {
        let answer = desk.send(method, path, body);
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
    }
}

/// What the checker had against a test's requests; it is forgiven.
fn caught(name: &str, do_it: impl FnOnce(&Desk)) -> Option<Vec<String>> {
    let desk = Desk::new(name)?;
    do_it(&desk);
    let violations = desk.checked.prism.forgive(&desk.slug);
    Some(violations)
}

#[test]
fn forbidden_requests_are_caught() {
    for (n, (path, body, problem)) in [
        ("/issues/7/comments", json!({ "body": 1 }), "Request body property body must be string"),
        ("/issues/7/comments", json!({ "bdy": "x" }), "Request body must have required property 'body'"),
        ("/git/blobs", json!({ "content": "x", "encodnig": "utf-8" }), "must NOT have additional properties"),
        ("/issues/seven/comments", json!({ "body": "x" }), "must be integer"),
        ("/issues/7/comment", json!({ "body": "x" }), "Route not resolved"),
        ("/issues/7/comments?perpage=1", json!({ "body": "x" }), "no query has a parameter perpage"),
    ]
    .into_iter()
    .enumerate()
    {
        let sent = |desk: &Desk| {
            assert_eq!(desk.send("POST", path, &body).status, 400);
        };
        let Some(found) = caught(&format!("forbidden-{n}"), sent) else { return };
        assert!(found.len() == 1 && found[0].contains(problem), "{found:#?}");
    }
}

#[test]
fn forbidden_answers_are_caught() {
    for (n, (status, answer, problem)) in [
        (201, json!({ "id": 1, "html_url": "https://github.com" }), "Response body must have required property"),
        (200, json!({}), "Unable to match the returned status code"),
        (404, json!({ "error": "not found" }), "must have required property 'message'"),
    ]
    .into_iter()
    .enumerate()
    {
        let run = |desk: &Desk| {
            desk.fault("POST", "/issues/7/comments", status, &answer);
            assert_ne!(desk.cml.run(&["comment", "create", "report.md"]).code, Some(0));
        };
        let Some(found) = caught(&format!("answer-{n}"), run) else { return };
        assert!(found.len() == 1 && found[0].contains(problem), "{found:#?}");
    }
}
