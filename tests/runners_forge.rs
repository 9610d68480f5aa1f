//! Runners as the forges know them: the same contract for all three, and what each does in its own way. At the level of
//! the library: the commands and the supervisor have tests of their own.

use crate::support::VENDORS;
use crate::support::fake::{Doing, Forge as Fake, Kind as Fault, Vendor};
use crate::support::library::Library;
use cml::app::App;
use cml::connect::{Connected, Global, connect, connect_runners};
use cml::env::Secret;
use cml::error::{Error, Kind};
use cml::forge::register_runner_once;
use cml::forge::runner::{NewRunner, PackageContent, Registration, Runner};
use cml::host::Platform;
use cml::log::Level;
use std::time::Duration;

/// One machine that manages the runners of a place.
struct Desk {
    fake: Fake,
    vendor: Vendor,
    /// The slug of the repository, or of what owns it.
    place: &'static str,
    library: Library,
}

impl Desk {
    fn new(vendor: Vendor) -> Desk {
        Desk::at(vendor, vendor.slug())
    }

    fn at(vendor: Vendor, place: &'static str) -> Desk {
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
        Desk { fake, vendor, place, library }
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
            log: Level::Error,
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
        self.run(register_runner_once(&*forge, &self.app().http, &self.app().log, new, &[]))
    }

    fn list(&self, labels: &[&str]) -> Vec<Runner> {
        let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        self.run(self.connected("good").forge.list_runners(&labels)).unwrap()
    }

    fn get(&self, id: &str) -> Option<Runner> {
        self.run(self.connected("good").forge.get_runner(id)).unwrap()
    }

    fn delete(&self, id: &str) -> Result<(), Error> {
        self.run(self.connected("good").forge.delete_runner(id))
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
    NewRunner { name: name.into(), labels, group: None, single: true, job_timeout: None, platform }
}

fn failed<T>(outcome: Result<T, Error>) -> (Kind, String, String) {
    let error = outcome.err().expect("an error");
    (error.kind(), error.to_string(), error.hint_text().unwrap_or_default().to_owned())
}

/// Every place that has runners.
const PLACES: [(Vendor, &str); 8] = [
    (Vendor::GitHub, "octo/model"),
    (Vendor::GitHub, "octo"),
    (Vendor::GitLab, "group/model"),
    (Vendor::GitLab, "group/sub/model"),
    (Vendor::GitLab, "group"),
    (Vendor::GitLab, "group/sub"),
    (Vendor::Bitbucket, "team/model"),
    (Vendor::Bitbucket, "team"),
];

#[test]
fn a_runner_is_registered_seen_and_removed() {
    for (vendor, place) in PLACES {
        let desk = Desk::at(vendor, place);
        let made = desk.register(&new("cml-1")).unwrap();
        assert_eq!((made.name.as_str(), made.driver.as_str()), ("cml-1", desk.driver()), "{place}");
        let seen = desk.get(&made.id).unwrap();
        assert!(!seen.online && seen.has(&["cml".into(), "GPU".into()]) && seen.name == "cml-1", "{place}: {seen:?}");
        desk.fake.set_runner("cml-1", Doing::Idle);
        let online = desk.list(&["cml", "gpu"]);
        assert!(online.len() == 1 && online[0].online && online[0].id == made.id, "{place}: {online:?}");
        assert!(online[0].busy != Some(true) && desk.list(&["cml", "other"]).is_empty(), "{place}");
        desk.fake.set_runner("cml-1", Doing::Busy);
        let busy = (vendor != Vendor::Bitbucket).then_some(true);
        assert_eq!(desk.get(&made.id).unwrap().busy, busy, "{place}");
        desk.fake.set_runner("cml-1", Doing::Idle);
        desk.delete(&made.id).unwrap();
        // Once more is fine.
        desk.delete(&made.id).unwrap();
        assert!(desk.get(&made.id).is_none() && desk.held().is_empty(), "{place}");
    }
}

#[test]
fn listings_are_read_to_their_end() {
    for vendor in VENDORS {
        let desk = Desk::new(vendor);
        let forge = desk.connected("good").forge;
        for n in 0..120 {
            desk.run(forge.register_runner(&new(&format!("cml-{n}")))).unwrap();
        }
        let all = desk.list(&[]);
        assert_eq!(all.len(), 120, "{vendor:?}");
        assert!(all.windows(2).all(|two| two[0].order < two[1].order), "{vendor:?}");
        desk.fake.clear_requests();
        assert_eq!(desk.list(&["gpu"]).len(), 120);
        // Pages, and for GitLab what the address is of: not one request a runner.
        assert!(desk.fake.requests().len() <= 3, "{vendor:?}: {}", desk.fake.transcript());
    }
}

/// The answer to the registration is lost: the runner whose credential nobody knows goes, and one that works stays.
#[test]
fn a_lost_answer_leaves_one_runner() {
    for (vendor, pattern) in [
        (Vendor::GitHub, "POST /github/*/generate-jitconfig"),
        (Vendor::GitLab, "POST /gitlab/*/user/runners"),
        (Vendor::Bitbucket, "POST /bitbucket/*/runners"),
    ] {
        for fault in [Fault::DropAfter, Fault::answer_after(502, &[], "bad gateway"), Fault::Truncate(20)] {
            let desk = Desk::new(vendor);
            desk.fake.fault(pattern, 1, fault.clone());
            let made = desk.register(&new("cml-1")).unwrap();
            assert_eq!(desk.held(), ["cml-1"], "{vendor:?} {fault:?}");
            assert!(desk.get(&made.id).is_some(), "{vendor:?}: the credential is of another runner");
            assert!(desk.fake.unused_faults().is_empty());
        }
    }
}

/// Runners that were there before, of the same name, are not ours to remove.
#[test]
fn older_runners_of_the_name_stay() {
    let desk = Desk::new(Vendor::GitLab);
    let old = desk.register(&new("cml-1")).unwrap();
    let before = desk.list(&[]);
    desk.fake.fault("POST /gitlab/*/user/runners", 1, Fault::DropAfter);
    let forge = desk.connected("good").forge;
    let made =
        desk.run(register_runner_once(&*forge, &desk.app().http, &desk.app().log, &new("cml-1"), &before)).unwrap();
    assert!(desk.get(&old.id).is_some() && desk.get(&made.id).is_some());
    assert_eq!(desk.held().len(), 2);
}

#[test]
fn a_runner_unregisters_by_what_it_has() {
    for vendor in VENDORS {
        let desk = Desk::new(vendor);
        let made = desk.register(&new("cml-1")).unwrap();
        // On GitLab the runner's own token does, whatever the user's may do.
        let token = if vendor == Vendor::GitLab { "readonly" } else { "good" };
        let forge = desk.connected(token).forge;
        desk.run(forge.unregister_runner(&made)).unwrap();
        assert!(desk.held().is_empty(), "{vendor:?}");
        desk.run(forge.unregister_runner(&made)).unwrap();
    }
}

#[test]
fn only_runners_belong_to_owners() {
    for vendor in [Vendor::GitHub, Vendor::Bitbucket] {
        let place = if vendor == Vendor::GitHub { "octo" } else { "team" };
        let desk = Desk::at(vendor, place);
        let (kind, message, hint) = failed(desk.run(connect(desk.app(), &desk.global("good"), None)));
        assert!(kind == Kind::Usage && message.ends_with("is not a repository"), "{message}");
        assert_eq!(hint, "give --repo as https://host/owner/name or owner/name");
    }
}

#[test]
fn tokens_that_may_not_manage_runners_are_told_what_is_missing() {
    for (vendor, place, token, message, hint) in [
        (
            Vendor::GitHub,
            "octo/model",
            "nocontents",
            "a workflow's own token (GITHUB_TOKEN) may not manage runners",
            "administration: write",
        ),
        (
            Vendor::GitHub,
            "octo/model",
            "readonly",
            "the token may not manage runners of the repository",
            "classic with the scope repo",
        ),
        (
            Vendor::GitHub,
            "octo",
            "readonly",
            "the token may not manage runners of the organisation",
            "self-hosted runners: write",
        ),
        (
            Vendor::GitLab,
            "group/model",
            "readonly",
            "the token may not manage runners",
            "create_runner, manage_runner and read_api",
        ),
        (Vendor::GitLab, "group", "nocontents", "the token may not manage runners", "of a group: Owner"),
        (Vendor::Bitbucket, "team/model", "readonly", "the token may not manage runners", "runner:write"),
    ] {
        let desk = Desk::at(vendor, place);
        let forge = desk.connected(token).forge;
        let outcomes = [desk.run(forge.list_runners(&[])).err(), desk.run(forge.register_runner(&new("cml-1"))).err()];
        for error in outcomes {
            let error = error.expect("a refusal");
            assert_eq!(error.kind(), Kind::Auth, "{vendor:?} {error}");
            assert!(error.to_string().contains(message) && error.hint_text().unwrap().contains(hint), "{error:?}");
        }
        assert!(desk.held().is_empty());
    }
    // An organisation, group or workspace that is not there.
    for (vendor, place, kind) in [
        (Vendor::GitHub, "nobody", Kind::Auth),
        (Vendor::GitLab, "nobody", Kind::NotFound),
        (Vendor::Bitbucket, "nobody", Kind::NotFound),
    ] {
        let desk = Desk::at(vendor, place);
        assert_eq!(failed(desk.run(desk.connected("good").forge.list_runners(&[]))).0, kind, "{vendor:?}");
    }
}

#[test]
fn github_refuses_a_name_that_is_taken_and_to_remove_a_busy_runner() {
    let desk = Desk::new(Vendor::GitHub);
    let made = desk.register(&new("cml-1")).unwrap();
    let (kind, message, hint) = failed(desk.register(&new("cml-1")));
    assert_eq!((kind, message.as_str()), (Kind::Conflict, "the runner name cml-1 is already in use"));
    assert_eq!(hint, "give another one with --name, or remove that runner with cml runner stop");
    desk.fake.set_runner("cml-1", Doing::Busy);
    let (kind, message, _) = failed(desk.delete(&made.id));
    assert!(kind == Kind::Conflict && message.contains("still running a job"), "{message}");
    assert_eq!(desk.held(), ["cml-1"]);
}

#[test]
fn github_is_asked_for_the_labels_of_the_machine() {
    let desk = Desk::new(Vendor::GitHub);
    desk.register(&new("cml-1")).unwrap();
    let held = desk.fake.runners(Vendor::GitHub, "octo/model");
    assert_eq!(held[0].labels, ["self-hosted", "linux", "x64", "cml", "gpu"]);
    assert_eq!((&held[0].request["runner_group_id"], &held[0].request["work_folder"]), (&1.into(), &"_work".into()));
    desk.fake.configure_runners(|runners| runners.loses_labels = true);
    assert_eq!(desk.register(&new("cml-2")).unwrap().name, "cml-2");
}

#[test]
fn groups_of_runners_are_those_of_a_github_organisation() {
    let in_group = |group: &str| NewRunner { group: Some(group.to_owned()), ..new("cml-1") };
    let desk = Desk::at(Vendor::GitHub, "octo");
    desk.register(&in_group("big gpus")).unwrap();
    assert_eq!(desk.fake.runners(Vendor::GitHub, "octo")[0].request["runner_group_id"], 5);
    let (kind, message, hint) = failed(desk.register(&in_group("small")));
    assert_eq!((kind, message.as_str()), (Kind::NotFound, "the organisation octo has no runner group 'small'"));
    assert_eq!(hint, "it has: Default, Big GPUs");
    let desk = Desk::new(Vendor::GitHub);
    let (kind, message, _) = failed(desk.register(&in_group("big gpus")));
    assert_eq!((kind, message.as_str()), (Kind::Usage, "runners of the repository octo/model are in no group"));
    desk.register(&in_group("Default")).unwrap();
    for vendor in [Vendor::GitLab, Vendor::Bitbucket] {
        let desk = Desk::new(vendor);
        assert_eq!(failed(desk.register(&in_group("x"))).0, Kind::Unsupported);
        assert!(desk.fake.requests().is_empty());
    }
}

#[test]
fn gitlab_gets_a_runner_that_takes_its_own_jobs_only() {
    let desk = Desk::new(Vendor::GitLab);
    let made = desk.register(&NewRunner { job_timeout: Some(Duration::from_secs(60)), ..new("cml-1") }).unwrap();
    let request = &desk.fake.runners(Vendor::GitLab, "group/model")[0].request;
    let expected = serde_json::json!({ "runner_type": "project_type", "project_id": 42, "description": "cml-1",
        "tag_list": "cml,gpu", "run_untagged": false, "locked": true, "access_level": "not_protected", "maximum_timeout": 600 });
    assert_eq!(*request, expected);
    assert_eq!(made.settings["url"], format!("{}/gitlab", desk.fake.url()));
    assert!(made.credential["token"].expose().starts_with("glrt-"));
    // One without tags takes every job.
    desk.register(&NewRunner { labels: vec![], ..new("cml-2") }).unwrap();
    assert_eq!(desk.fake.runners(Vendor::GitLab, "group/model")[1].request["run_untagged"], true);
    // Nothing else was registered on the way.
    assert_eq!(desk.held(), ["cml-1", "cml-2"]);
    desk.fake.configure_runners(|runners| runners.no_execution_status = true);
    desk.fake.set_runner("cml-1", Doing::Busy);
    assert_eq!(desk.list(&["gpu"])[0].busy, None);
    assert_eq!(desk.get(&made.id).unwrap().busy, Some(true));
}

#[test]
fn an_old_gitlab_registers_in_the_old_way() {
    let desk = Desk::new(Vendor::GitLab);
    desk.fake.configure_runners(|runners| runners.old_gitlab = true);
    let made = desk.register(&new("cml-1")).unwrap();
    assert_eq!(desk.held(), ["cml-1"]);
    desk.run(desk.connected("good").forge.unregister_runner(&made)).unwrap();
    assert!(desk.held().is_empty());
    desk.fake.configure_runners(|runners| runners.no_registration_tokens = true);
    let (kind, message, hint) = failed(desk.register(&new("cml-1")));
    assert!(
        kind == Kind::Unsupported && message.starts_with("GitLab does not register runners by a registration token"),
        "{message}"
    );
    assert!(hint.contains("16.0"));
}

#[test]
fn bitbucket_tells_what_the_image_needs() {
    let desk = Desk::new(Vendor::Bitbucket);
    let made = desk.register(&new("cml-1")).unwrap();
    let of = |name: &str| made.settings.get(name).map(String::as_str);
    assert_eq!(of("account_uuid"), Some("{00000000-0000-4000-c000-000000000072}"));
    assert_eq!(of("repository_uuid"), Some("{00000000-0000-4000-8000-000000000044}"));
    assert_eq!(of("image"), Some("mirror/runner:3"));
    assert!(of("oauth_client_id").is_some() && made.credential.contains_key("oauth_client_secret"));
    assert_eq!(desk.fake.runners(Vendor::Bitbucket, "team/model")[0].labels, ["self.hosted", "linux", "cml", "gpu"]);
    let desk = Desk::at(Vendor::Bitbucket, "team");
    let made = desk.register(&new("cml-1")).unwrap();
    assert!(!made.settings.contains_key("repository_uuid") && made.settings.contains_key("account_uuid"));
}

#[test]
fn labels_and_machines_that_a_forge_does_not_take_are_refused_before_anything_is_asked() {
    let on = |os: &str, arch: &str| NewRunner { platform: Platform { os: os.into(), arch: arch.into() }, ..new("n") };
    let labelled = |label: &str| NewRunner { labels: vec![label.to_owned()], ..new("n") };
    for (vendor, wrong, kind) in [
        (Vendor::GitHub, labelled("a,b"), Kind::Usage),
        (Vendor::GitHub, on("windows", "x86_64"), Kind::Unsupported),
        (Vendor::GitHub, on("linux", "riscv64"), Kind::Unsupported),
        (Vendor::GitLab, labelled(" "), Kind::Usage),
        (Vendor::Bitbucket, labelled("my-label"), Kind::Usage),
        (Vendor::Bitbucket, on("macos", "aarch64"), Kind::Unsupported),
    ] {
        let desk = Desk::new(vendor);
        let (is, message, hint) = failed(desk.register(&wrong));
        assert!(is == kind && !hint.is_empty(), "{vendor:?}: {message}");
        assert!(desk.fake.requests().is_empty(), "{vendor:?}: {}", desk.fake.transcript());
    }
}

#[test]
fn packages_come_with_their_checksums() {
    let desk = Desk::new(Vendor::GitHub);
    desk.fake.offer_download("actions-runner-linux-x64-2.336.0.tar.gz", b"a program");
    let github = desk.connected("good").forge;
    let package = desk.run(github.runner_package(&linux())).unwrap().unwrap();
    assert_eq!((package.content, package.sha256), (PackageContent::TarGz, cml::forge::hash(b"a program")));
    assert_eq!(package.url, format!("{}/actions-runner-linux-x64-2.336.0.tar.gz", desk.fake.downloads_url()));
    let mac = Platform { os: "macos".into(), arch: "aarch64".into() };
    assert!(desk.run(github.runner_package(&mac)).unwrap().unwrap().url.contains("osx-arm64"));
    desk.fake.configure_runners(|runners| runners.no_checksums = true);
    let (kind, message, hint) = failed(desk.run(github.runner_package(&linux())));
    assert_eq!(
        (kind, message.as_str()),
        (Kind::Unsupported, "GitHub tells no checksum of actions-runner-linux-x64-2.336.0.tar.gz")
    );
    assert!(hint.contains("--runner-path"));

    let desk = Desk::new(Vendor::GitLab);
    let gitlab = desk.connected("good").forge;
    let (kind, message, hint) = failed(desk.run(gitlab.runner_package(&linux())));
    assert!(kind == Kind::Config && message.starts_with("there is no GitLab Runner v19.3.0 at "), "{message}");
    assert!(hint.contains("CML_GITLAB_RUNNER_DOWNLOADS") && hint.contains("--runner-path"), "{hint}");
    desk.fake.offer_download("v19.3.0/binaries/gitlab-runner-linux-arm64", b"another");
    let (_, message, _) = failed(desk.run(gitlab.runner_package(&linux())));
    assert!(message.ends_with("release.sha256 tells no checksum of binaries/gitlab-runner-linux-amd64"), "{message}");
    desk.fake.offer_download("v19.3.0/binaries/gitlab-runner-linux-amd64", b"a program");
    let package = desk.run(gitlab.runner_package(&linux())).unwrap().unwrap();
    assert_eq!(package.content, PackageContent::Program("gitlab-runner".into()));
    assert_eq!(package.sha256, cml::forge::hash(b"a program"));
    assert_eq!(package.url, format!("{}/v19.3.0/binaries/gitlab-runner-linux-amd64", desk.fake.downloads_url()));
    // The token is for GitLab, not for where the program comes from.
    let downloads = desk.fake.requests().into_iter().filter(|request| request.path.starts_with("/downloads"));
    assert!(downloads.into_iter().all(|request| request.header("private-token").is_none()));

    let desk = Desk::new(Vendor::Bitbucket);
    assert_eq!(desk.run(desk.connected("good").forge.runner_package(&linux())).unwrap(), None);
}

/// A fake runner program needs no more than the credential that it got.
#[test]
fn a_runner_program_tells_by_its_credential_what_it_does() {
    for (vendor, name) in
        [(Vendor::GitHub, "jit"), (Vendor::GitLab, "token"), (Vendor::Bitbucket, "oauth_client_secret")]
    {
        let desk = Desk::new(vendor);
        let made = desk.register(&new("cml-1")).unwrap();
        let tell = |what: &str| {
            let request = http::Request::post(format!("{}/{what}", desk.fake.tell_url()));
            let request = request.body(made.credential[name].expose().to_owned().into()).unwrap();
            desk.run(desk.app().http.send(request)).unwrap();
        };
        tell("online");
        assert!(desk.get(&made.id).unwrap().online);
        tell("busy");
        assert_eq!(desk.fake.runners(vendor, vendor.slug())[0].doing, Doing::Busy);
        tell("done");
        // A job on GitHub ends its runner.
        assert_eq!(desk.get(&made.id).is_none(), vendor == Vendor::GitHub);
    }
}
