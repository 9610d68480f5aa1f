//! Runners as each forge knows them in its own way, and those of organisations, groups and workspaces. At the level of the
//! library, against a scripted server: what every forge does alike is in `crate::contract`, and the commands and the
//! supervisor have tests of their own.

use crate::support::fake::{Doing, Forge as Fake, Kind as Fault, Vendor};
use crate::support::library::Library;
use crate::support::net::send;
use cml::app::App;
use cml::connect::{Connected, Global, connect, connect_runners};
use cml::env::Secret;
use cml::error::{Error, Kind};
use cml::forge::runners::{NewRunner, Registration, Runner, register_once};
use cml::host::Platform;
use cml::log::Level;

mod own;

/// One machine that manages the runners of a place.
struct ApiFixture {
    fake: Fake,
    vendor: Vendor,
    /// The slug of the repository, or of what owns it.
    place: &'static str,
    library: Library,
}

impl ApiFixture {
    fn new(vendor: Vendor) -> ApiFixture {
        ApiFixture::at(vendor, vendor.slug())
    }

    fn at(vendor: Vendor, place: &'static str) -> ApiFixture {
        let fake = Fake::start();
        let downloads = fake.downloads_url();
        let (github, gitlab) = (fake.api(Vendor::GitHub), fake.api(Vendor::GitLab));
        let library = Library::new(&[
            ("GITHUB_API_URL", &github),
            ("CI_API_V4_URL", &gitlab),
            ("BITBUCKET_API_URL", &fake.api(Vendor::Bitbucket)),
            ("CML_GITLAB_RUNNER_DOWNLOADS", &downloads),
            ("CML_BITBUCKET_RUNNER_IMAGE", "mirror/runner:3"),
        ]);
        ApiFixture { fake, vendor, place, library }
    }

    fn app(&self) -> &App {
        &self.library.app
    }

    fn driver(&self) -> &'static str {
        match self.vendor {
            Vendor::GitHub => "github",
            Vendor::GitLab => "gitlab",
            Vendor::Bitbucket => "bitbucket",
        }
    }

    fn global(&self, token: &str) -> Global {
        Global {
            driver: Some(self.driver().to_owned()),
            repo: Some(format!("{}/{}", self.base(), self.place)),
            token: Some(Secret::new(token)),
            timeout: 30,
            ca_cert: None,
            log: Level::Error.into(),
            verbose: 0,
            quiet: 0,
        }
    }

    /// GitLab lives below a path of its server.
    fn base(&self) -> String {
        match self.vendor {
            Vendor::GitLab => format!("{}/gitlab", self.fake.url()),
            _ => self.fake.url().to_owned(),
        }
    }

    fn connected(&self, token: &str) -> Connected {
        self.run(connect_runners(self.app(), &self.global(token))).unwrap()
    }

    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.library.run(future)
    }

    fn register(&self, new: &NewRunner) -> Result<Registration, Error> {
        let forge = self.connected("good").forge;
        self.run(register_once(forge.runners().unwrap(), &self.app().http, &self.app().log, new, &[]))
    }

    fn list(&self, labels: &[&str]) -> Vec<Runner> {
        let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        self.run(self.connected("good").forge.runners().unwrap().list(&labels)).unwrap()
    }

    fn get(&self, id: &str) -> Option<Runner> {
        self.run(self.connected("good").forge.runners().unwrap().get(id)).unwrap()
    }

    fn delete(&self, id: &str) -> Result<(), Error> {
        self.run(self.connected("good").forge.runners().unwrap().delete(id))
    }

    /// What the forge holds.
    fn held(&self) -> Vec<String> {
        self.fake.runners(self.vendor, self.place).into_iter().map(|runner| runner.name).collect()
    }
}

fn linux() -> Platform {
    Platform { os: "linux".into(), arch: "x86_64".into() }
}

fn new(name: &str) -> NewRunner {
    let (labels, platform) = (vec!["cml".to_owned(), "gpu".to_owned()], linux());
    NewRunner { name: name.into(), labels, group: None, single: true, platform }
}

fn failed<T>(outcome: Result<T, Error>) -> (Kind, String, String) {
    let error = outcome.err().expect("an error");
    (error.kind(), error.to_string(), error.hint_text().unwrap_or_default().to_owned())
}

/// Places besides repositories that have runners, and repositories below them.
const PLACES: [(Vendor, &str); 5] = [
    (Vendor::GitHub, "octo"),
    (Vendor::GitLab, "group/sub/model"),
    (Vendor::GitLab, "group"),
    (Vendor::GitLab, "group/sub"),
    (Vendor::Bitbucket, "team"),
];

#[test]
fn a_runner_of_an_owner_is_registered_seen_and_removed() {
    for (vendor, place) in PLACES {
        let fixture = ApiFixture::at(vendor, place);
        let made = fixture.register(&new("cml-1")).unwrap();
        assert_eq!((made.name.as_str(), made.driver.as_str()), ("cml-1", fixture.driver()), "{place}");
        let seen = fixture.get(&made.id).unwrap();
        assert!(!seen.online && seen.has(&["cml".into(), "GPU".into()]) && seen.name == "cml-1", "{place}: {seen:?}");
        fixture.fake.set_runner("cml-1", Doing::Idle);
        let online = fixture.list(&["cml", "gpu"]);
        assert!(online.len() == 1 && online[0].online && online[0].id == made.id, "{place}: {online:?}");
        assert!(online[0].busy == Some(false) && fixture.list(&["cml", "other"]).is_empty(), "{place}");
        fixture.fake.set_runner("cml-1", Doing::Busy);
        assert_eq!(fixture.get(&made.id).unwrap().busy, Some(true), "{place}");
        fixture.fake.set_runner("cml-1", Doing::Idle);
        fixture.delete(&made.id).unwrap();
        // Once more is fine.
        fixture.delete(&made.id).unwrap();
        assert!(fixture.get(&made.id).is_none() && fixture.held().is_empty(), "{place}");
    }
}

/// A listing that is late does not show the runner whose answer was lost, but its name is taken.
#[test]
fn a_late_listing_leaves_one_runner() {
    let fixture = ApiFixture::new(Vendor::GitHub);
    fixture.fake.fault("POST /github/*/generate-jitconfig", 1, Fault::DropAfter);
    let empty = Fault::answer(200, &[], r#"{"total_count":0,"runners":[]}"#);
    fixture.fake.fault("GET /github/repos/octo/model/actions/runners?", 1, empty);
    let made = fixture.register(&new("cml-1")).unwrap();
    assert_eq!(fixture.held(), ["cml-1"]);
    assert!(fixture.get(&made.id).is_some() && fixture.fake.unused_faults().is_empty());
    // Nobody can tell: what to look at.
    fixture.fake.fault("POST /github/*/generate-jitconfig", 1, Fault::DropAfter);
    fixture.fake.fault(
        "GET /github/repos/octo/model/actions/runners?",
        9,
        Fault::answer(403, &[], r#"{"message":"no"}"#),
    );
    let (kind, message, hint) = failed(fixture.register(&new("cml-2")));
    assert!(
        kind == Kind::Remote && message.starts_with("cannot determine whether runner cml-2 was registered"),
        "{message}"
    );
    assert!(hint.starts_with("check the list of runners, remove cml-2"), "{hint}");
}

/// Runners that were there before, of the same name, are not ours to remove.
#[test]
fn older_runners_of_the_name_stay() {
    let fixture = ApiFixture::new(Vendor::GitLab);
    let old = fixture.register(&new("cml-1")).unwrap();
    let before = fixture.list(&[]);
    fixture.fake.fault("POST /gitlab/*/user/runners", 1, Fault::DropAfter);
    let forge = fixture.connected("good").forge;
    let made = fixture
        .run(register_once(forge.runners().unwrap(), &fixture.app().http, &fixture.app().log, &new("cml-1"), &before))
        .unwrap();
    assert!(fixture.get(&old.id).is_some() && fixture.get(&made.id).is_some());
    assert_eq!(fixture.held().len(), 2);
}

#[test]
fn only_runners_belong_to_owners() {
    for vendor in [Vendor::GitHub, Vendor::Bitbucket] {
        let place = if vendor == Vendor::GitHub { "octo" } else { "team" };
        let fixture = ApiFixture::at(vendor, place);
        let (kind, message, hint) = failed(fixture.run(connect(fixture.app(), &fixture.global("good"), None)));
        assert!(kind == Kind::Usage && message.ends_with("is not a repository"), "{message}");
        assert_eq!(hint, "pass --repo as https://host/owner/name or owner/name");
    }
}

#[test]
fn tokens_that_may_not_manage_runners_are_told_what_is_missing() {
    for (vendor, place, token, message, hint) in [
        (
            Vendor::GitHub,
            "octo/model",
            "nocontents",
            "a workflow's own token (GITHUB_TOKEN) is not allowed to manage runners",
            "administration: write",
        ),
        (
            Vendor::GitHub,
            "octo/model",
            "readonly",
            "the token is not allowed to manage runners of the repository",
            "classic with the scope repo",
        ),
        (
            Vendor::GitHub,
            "octo",
            "readonly",
            "the token is not allowed to manage runners of the organisation",
            "self-hosted runners: write",
        ),
        (
            Vendor::GitLab,
            "group/model",
            "readonly",
            "the token is not allowed to manage runners",
            "create_runner, manage_runner and read_api",
        ),
        (Vendor::GitLab, "group", "nocontents", "the token is not allowed to manage runners", "Owner for a group"),
        (Vendor::Bitbucket, "team/model", "readonly", "the token is not allowed to manage runners", "runner:write"),
    ] {
        let fixture = ApiFixture::at(vendor, place);
        let forge = fixture.connected(token).forge;
        let outcomes = [
            fixture.run(forge.runners().unwrap().list(&[])).err(),
            fixture.run(forge.runners().unwrap().register(&new("cml-1"))).err(),
        ];
        for error in outcomes {
            let error = error.expect("a refusal");
            assert_eq!(error.kind(), Kind::Auth, "{vendor:?} {error}");
            assert!(error.to_string().contains(message) && error.hint_text().unwrap().contains(hint), "{error:?}");
        }
        assert!(fixture.held().is_empty());
    }
    // An organisation, group or workspace that is not there.
    for (vendor, place, kind) in [
        (Vendor::GitHub, "nobody", Kind::Auth),
        (Vendor::GitLab, "nobody", Kind::NotFound),
        (Vendor::Bitbucket, "nobody", Kind::NotFound),
    ] {
        let fixture = ApiFixture::at(vendor, place);
        assert_eq!(
            failed(fixture.run(fixture.connected("good").forge.runners().unwrap().list(&[]))).0,
            kind,
            "{vendor:?}"
        );
    }
}

/// A fake runner program needs no more than the credential that it got.
#[test]
fn a_runner_program_tells_by_its_credential_what_it_does() {
    for (vendor, name) in [(Vendor::GitHub, "jit"), (Vendor::Bitbucket, "oauth_client_secret")] {
        let fixture = ApiFixture::new(vendor);
        let made = fixture.register(&new("cml-1")).unwrap();
        let tell = |what: &str| {
            let request =
                http::Request::post(format!("{}/{what}", fixture.fake.tell_url())).extension(cml::http::Discloses);
            let request = request.body(made.credential[name].expose().to_owned().into()).unwrap();
            fixture.run(fixture.app().http.send(request)).unwrap();
        };
        tell("online");
        assert!(fixture.get(&made.id).unwrap().online);
        tell("busy");
        assert_eq!(fixture.fake.runners(vendor, vendor.slug())[0].doing, Doing::Busy);
        tell("done");
        // A job on GitHub ends its runner.
        assert_eq!(fixture.get(&made.id).is_none(), vendor == Vendor::GitHub);
    }
}

/// The fake's side of GitLab's protocol, as `network/gitlab.go` reads it: a runner of GitLab's own could be pointed at it.
#[test]
fn a_runner_program_of_gitlab_asks_for_jobs_as_the_real_one_does() {
    let fixture = ApiFixture::new(Vendor::GitLab);
    let made = fixture.register(&new("cml-1")).unwrap();
    let hold = std::time::Duration::from_millis(400);
    fixture.fake.configure_runners(|runners| runners.queue.hold = hold);
    let api = fixture.fake.api(Vendor::GitLab);
    let ask = |method: &str, path: &str, token: &str, range: Option<&str>, body: &str| {
        let kind = if range.is_some() { "text/plain" } else { "application/json" };
        let mut headers = vec![("Content-Type", kind), ("JOB-TOKEN", token)];
        headers.extend(range.map(|range| ("Content-Range", range)));
        send(method, &format!("{api}/{path}"), &headers, body.as_bytes()).unwrap()
    };
    let request = |token: &str, last_update: &str| {
        let body = serde_json::json!({ "token": token, "last_update": last_update, "info": { "features": {} } });
        ask("POST", "jobs/request", "", None, &body.to_string())
    };
    let token = made.credential["token"].expose();
    assert_eq!(request("glrt-unknown", "").status, 403);
    // The first request is answered at once, the next ones when there is something new.
    let none = request(token, "");
    assert_eq!((none.status, none.body.len()), (204, 0));
    let begun = std::time::Instant::now();
    let update = none.header("x-gitlab-last-update");
    assert_eq!(request(token, update).status, 204);
    assert!(begun.elapsed() >= hold && fixture.get(&made.id).unwrap().online);
    let id = std::thread::scope(|scope| {
        let held = scope.spawn(|| request(token, update));
        let id = fixture.fake.queue_job("true");
        let job: serde_json::Value = serde_json::from_slice(&held.join().unwrap().body).unwrap();
        assert_eq!((&job["id"], &job["steps"][0]["script"][0]), (&id.into(), &"true".into()));
        (id, job["token"].as_str().unwrap().to_owned())
    });
    let (path, trace) = (format!("jobs/{}", id.0), format!("jobs/{}/trace?debug_trace=false", id.0));
    assert_eq!(fixture.fake.runners(Vendor::GitLab, Vendor::GitLab.slug())[0].doing, Doing::Busy);
    let append = |range: Option<&str>, text: &str| {
        let answer = ask("PATCH", &trace, &id.1, range.or(Some("")), text);
        (answer.status, answer.header("range").to_owned(), answer.header("job-status").to_owned())
    };
    let running = |status, range: &str| (status, range.to_owned(), "running".to_owned());
    assert_eq!(append(None, "x").0, 400);
    assert_eq!(append(Some("0-4"), "hello"), running(202, "0-5"));
    assert_eq!(append(Some("7-8"), "xx"), running(416, "0-5"));
    assert_eq!(append(Some("5-6"), "!!"), running(202, "0-7"));
    let set = |token: &str, state: &str| {
        let body = serde_json::json!({ "token": token, "state": state, "failure_reason": "script_failure" });
        let answer = ask("PUT", &path, token, None, &body.to_string());
        (answer.status, answer.header("job-status").to_owned())
    };
    assert_eq!(set("glcbt-another", "success").0, 403);
    assert_eq!(set(&id.1, "running"), (200, "running".into()));
    // A job that is being cancelled is cancelled with its runner's word, and not running any more.
    fixture.fake.configure_runners(|runners| runners.queue.jobs[0].status = "canceling".to_owned());
    assert_eq!(set(&id.1, "running"), (200, "canceling".into()));
    assert_eq!(set(&id.1, "failed"), (200, "canceled".into()));
    assert_eq!(set(&id.1, "success"), (403, "canceled".into()));
    assert_eq!(fixture.fake.job(id.0).log, b"hello!!");
    assert_eq!(fixture.fake.runners(Vendor::GitLab, Vendor::GitLab.slug())[0].doing, Doing::Idle);
}
