//! What each forge does in its own way.

use super::{ApiFixture, failed, linux, new};
use crate::support::fake::{Doing, Kind as Fault, Phase, Run, Vendor};
use cml::error::Kind;
use cml::forge::runners::{NewRunner, Package, PackageContent};
use cml::host::Platform;

#[test]
fn github_refuses_a_name_that_is_taken_and_to_remove_a_busy_runner() {
    let fixture = ApiFixture::new(Vendor::GitHub);
    let made = fixture.register(&new("cml-1")).unwrap();
    let (kind, message, hint) = failed(fixture.register(&new("cml-1")));
    assert_eq!((kind, message.as_str()), (Kind::Conflict, "runner name cml-1 is already in use"));
    assert_eq!(hint, "use another --name, or remove that runner with cml runner stop");
    fixture.fake.set_runner("cml-1", Doing::Busy);
    let (kind, message, _) = failed(fixture.delete(&made.id));
    assert!(kind == Kind::Conflict && message.contains("still running a job"), "{message}");
    assert_eq!(fixture.held(), ["cml-1"]);
}

#[test]
fn github_is_asked_for_the_labels_of_the_machine() {
    let fixture = ApiFixture::new(Vendor::GitHub);
    fixture.register(&new("cml-1")).unwrap();
    let held = fixture.fake.runners(Vendor::GitHub, "octo/model");
    assert_eq!(held[0].labels, ["self-hosted", "linux", "x64", "cml", "gpu"]);
    assert_eq!((&held[0].request["runner_group_id"], &held[0].request["work_folder"]), (&1.into(), &"_work".into()));
    fixture.fake.configure_runners(|runners| runners.loses_labels = true);
    assert_eq!(fixture.register(&new("cml-2")).unwrap().name, "cml-2");
}

#[test]
fn groups_of_runners_are_those_of_a_github_organisation() {
    let in_group = |group: &str| NewRunner { group: Some(group.to_owned()), ..new("cml-1") };
    let fixture = ApiFixture::at(Vendor::GitHub, "octo");
    fixture.register(&in_group("big gpus")).unwrap();
    assert_eq!(fixture.fake.runners(Vendor::GitHub, "octo")[0].request["runner_group_id"], 5);
    let (kind, message, hint) = failed(fixture.register(&in_group("small")));
    assert_eq!((kind, message.as_str()), (Kind::NotFound, "the organisation octo has no runner group 'small'"));
    assert_eq!(hint, "its runner groups: Default, Big GPUs");
    let fixture = ApiFixture::new(Vendor::GitHub);
    let (kind, message, _) = failed(fixture.register(&in_group("big gpus")));
    assert_eq!(
        (kind, message.as_str()),
        (Kind::Usage, "octo/model is a repository: its runners cannot be in a runner group")
    );
    fixture.register(&in_group("Default")).unwrap();
    for vendor in [Vendor::GitLab, Vendor::Bitbucket] {
        let fixture = ApiFixture::new(vendor);
        assert_eq!(failed(fixture.register(&in_group("x"))).0, Kind::Unsupported);
        assert!(fixture.fake.requests().is_empty());
    }
}

#[test]
fn gitlab_gets_a_runner_that_takes_its_own_jobs_only() {
    let fixture = ApiFixture::new(Vendor::GitLab);
    let made = fixture.register(&new("cml-1")).unwrap();
    let request = &fixture.fake.runners(Vendor::GitLab, "group/model")[0].request;
    let expected = serde_json::json!({ "runner_type": "project_type", "project_id": 42, "description": "cml-1",
        "tag_list": "cml,gpu", "run_untagged": false, "locked": true, "access_level": "not_protected" });
    assert_eq!(*request, expected);
    assert_eq!(made.settings["url"], format!("{}/gitlab", fixture.fake.url()));
    assert!(made.credential["token"].expose().starts_with("glrt-"));
    // One without tags takes every job.
    fixture.register(&NewRunner { labels: vec![], ..new("cml-2") }).unwrap();
    assert_eq!(fixture.fake.runners(Vendor::GitLab, "group/model")[1].request["run_untagged"], true);
    // Nothing else was registered on the way.
    assert_eq!(fixture.held(), ["cml-1", "cml-2"]);
    fixture.fake.configure_runners(|runners| runners.no_execution_status = true);
    fixture.fake.set_runner("cml-1", Doing::Busy);
    assert_eq!(fixture.list(&["gpu"])[0].busy, None);
    assert_eq!(fixture.get(&made.id).unwrap().busy, Some(true));
}

/// The runner's own token does, whatever the user's may do.
#[test]
fn a_runner_of_gitlab_unregisters_by_its_own_token() {
    let fixture = ApiFixture::new(Vendor::GitLab);
    let made = fixture.register(&new("cml-1")).unwrap();
    let gitlab = fixture.connected("readonly").forge;
    for _ in 0..2 {
        fixture.run(gitlab.runners().unwrap().unregister(&made)).unwrap();
    }
    assert!(fixture.held().is_empty());
}

/// What stands in between may refuse as well, and a body may get lost on the way: the runner is still there.
#[test]
fn a_refusal_that_is_not_gitlabs_word_for_gone_does_not_count_as_gone() {
    let fixture = ApiFixture::new(Vendor::GitLab);
    let made = fixture.register(&new("cml-1")).unwrap();
    let gitlab = fixture.connected("good").forge;
    for (status, body, says) in [
        (403, "<html>blocked</html>", "the token is not allowed to manage runners"),
        (403, r#"{"message":"403 Forbidden - IP not allowed"}"#, "IP not allowed"),
        (401, r#"{"message":"401 Unauthorized"}"#, "401 Unauthorized"),
        (400, r#"{"error":"token is missing"}"#, "token is missing"),
    ] {
        fixture.fake.fault("DELETE /gitlab/api/v4/runners", 1, Fault::answer(status, &[], body));
        let (_, message, _) = failed(fixture.run(gitlab.runners().unwrap().unregister(&made)));
        assert!(message.contains(says), "{message}");
        assert_eq!(fixture.held(), ["cml-1"], "{status}");
    }
    fixture.run(gitlab.runners().unwrap().unregister(&made)).unwrap();
    assert!(fixture.held().is_empty());
}

/// Only GitLab's own word says that it does not know a runner, which then ends.
#[test]
fn a_refusal_to_verify_a_runner_that_is_not_gitlabs_does_not_count_as_gone() {
    let fixture = ApiFixture::new(Vendor::GitLab);
    let made = fixture.register(&new("cml-1")).unwrap();
    let gitlab = fixture.connected("good").forge;
    for (status, body, is_known) in [
        (403, r#"{"message":"403 Forbidden"}"#, false),
        (403, r#"{"message":"403 Forbidden - IP not allowed"}"#, true),
        (403, "<html>blocked</html>", true),
        (401, r#"{"message":"401 Unauthorized"}"#, true),
        (404, "<html>not found</html>", true),
    ] {
        fixture.fake.fault("POST /gitlab/api/v4/runners/verify", 1, Fault::answer(status, &[], body));
        let checked = fixture.run(gitlab.runners().unwrap().check(&made)).unwrap();
        assert_eq!(checked.is_some(), is_known, "{status} {body}");
    }
}

#[test]
fn an_old_gitlab_registers_in_the_old_way() {
    let fixture = ApiFixture::new(Vendor::GitLab);
    fixture.fake.configure_runners(|runners| runners.old_gitlab = true);
    let made = fixture.register(&new("cml-1")).unwrap();
    assert_eq!(fixture.held(), ["cml-1"]);
    fixture.run(fixture.connected("good").forge.runners().unwrap().unregister(&made)).unwrap();
    assert!(fixture.held().is_empty());
    fixture.fake.configure_runners(|runners| runners.no_registration_tokens = true);
    let (kind, message, hint) = failed(fixture.register(&new("cml-1")));
    assert!(
        kind == Kind::Unsupported && message.starts_with("GitLab no longer supports registration tokens"),
        "{message}"
    );
    assert!(hint.contains("16.0"));
}

#[test]
fn bitbucket_tells_what_the_image_needs() {
    let fixture = ApiFixture::new(Vendor::Bitbucket);
    let made = fixture.register(&new("cml-1")).unwrap();
    let of = |name: &str| made.settings.get(name).map(String::as_str);
    assert_eq!(of("account_uuid"), Some("{00000000-0000-4000-c000-000000000072}"));
    assert_eq!(of("repository_uuid"), Some("{00000000-0000-4000-8000-000000000044}"));
    assert_eq!(of("image"), Some("mirror/runner:3"));
    assert!(of("oauth_client_id").is_some() && made.credential.contains_key("oauth_client_secret"));
    assert_eq!(fixture.fake.runners(Vendor::Bitbucket, "team/model")[0].labels, ["self.hosted", "linux", "cml", "gpu"]);
    let fixture = ApiFixture::at(Vendor::Bitbucket, "team");
    let made = fixture.register(&new("cml-1")).unwrap();
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
        let fixture = ApiFixture::new(vendor);
        let (is, message, hint) = failed(fixture.register(&wrong));
        assert!(is == kind && !hint.is_empty(), "{vendor:?}: {message}");
        assert!(fixture.fake.requests().is_empty(), "{vendor:?}: {}", fixture.fake.transcript());
    }
}

#[test]
fn packages_come_with_their_checksums() {
    let fixture = ApiFixture::new(Vendor::GitHub);
    fixture.fake.offer_download("actions-runner-linux-x64-2.336.0.tar.gz", b"a program");
    let github = fixture.connected("good").forge;
    let package = fixture.run(github.runners().unwrap().package(&linux())).unwrap().unwrap();
    assert_eq!((package.content, package.sha256), (PackageContent::TarGz, cml::digest::hash(b"a program")));
    assert_eq!(package.url, format!("{}/actions-runner-linux-x64-2.336.0.tar.gz", fixture.fake.downloads_url()));
    let mac = Platform { os: "macos".into(), arch: "aarch64".into() };
    assert!(fixture.run(github.runners().unwrap().package(&mac)).unwrap().unwrap().url.contains("osx-arm64"));
    fixture.fake.configure_runners(|runners| runners.no_checksums = true);
    let (kind, message, hint) = failed(fixture.run(github.runners().unwrap().package(&linux())));
    assert_eq!(
        (kind, message.as_str()),
        (Kind::Unsupported, "GitHub has no checksum of actions-runner-linux-x64-2.336.0.tar.gz")
    );
    assert!(hint.contains("--runner-path"));

    let fixture = ApiFixture::new(Vendor::GitLab);
    let gitlab = fixture.connected("good").forge;
    let (kind, message, hint) = failed(fixture.run(gitlab.runners().unwrap().package(&linux())));
    assert!(kind == Kind::Config && message.starts_with("no GitLab Runner v19.3.0 at "), "{message}");
    assert!(hint.contains("CML_GITLAB_RUNNER_DOWNLOADS") && hint.contains("--runner-path"), "{hint}");
    fixture.fake.offer_download("v19.3.0/binaries/gitlab-runner-linux-arm64", b"another");
    let (_, message, _) = failed(fixture.run(gitlab.runners().unwrap().package(&linux())));
    assert!(message.ends_with("release.sha256 has no checksum of binaries/gitlab-runner-linux-amd64"), "{message}");
    fixture.fake.offer_download("v19.3.0/binaries/gitlab-runner-linux-amd64", b"a program");
    let package = fixture.run(gitlab.runners().unwrap().package(&linux())).unwrap().unwrap();
    assert_eq!(package.content, PackageContent::Program("gitlab-runner".into()));
    assert_eq!(package.sha256, cml::digest::hash(b"a program"));
    assert_eq!(package.url, format!("{}/v19.3.0/binaries/gitlab-runner-linux-amd64", fixture.fake.downloads_url()));
    // The token is for GitLab, not for where the program comes from.
    let downloads = fixture.fake.requests().into_iter().filter(|request| request.path.starts_with("/downloads"));
    assert!(downloads.into_iter().all(|request| request.header("private-token").is_none()));

    let fixture = ApiFixture::new(Vendor::Bitbucket);
    assert_eq!(fixture.run(fixture.connected("good").forge.runners().unwrap().package(&linux())).unwrap(), None);
}

/// What a server with private downloads offers: <https://docs.github.com/en/rest/actions/self-hosted-runners>.
#[test]
fn a_download_that_needs_a_token_gets_it() {
    let fixture = ApiFixture::new(Vendor::GitHub);
    fixture.fake.offer_download("actions-runner-linux-x64-2.336.0.tar.gz", b"no archive");
    fixture.fake.configure_runners(|runners| runners.download_token = Some("short-lived".into()));
    let package = fixture.run(fixture.connected("good").forge.runners().unwrap().package(&linux())).unwrap().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (_, message, _) = failed(fixture.run(cml::runner::package::install(fixture.app(), &package, folder.path())));
    assert!(message.starts_with("cannot unpack the runner program"), "it was downloaded: {message}");
    let without = Package { token: None, ..package };
    let folder = tempfile::tempdir().unwrap();
    let (kind, message, _) = failed(fixture.run(cml::runner::package::install(fixture.app(), &without, folder.path())));
    assert_eq!(kind, Kind::NotFound, "{message}");
}

/// A job whose runner has ended, and the forge in every state that it may have of it. The pipeline's other jobs go on.
#[test]
fn a_lost_job_of_gitlab_starts_again_and_nothing_else_does() {
    let cancels = ["POST jobs/51/cancel", "POST jobs/51/cancel"];
    let retry = ["POST jobs/51/retry"];
    for (phase, attempt, expected, asked) in [
        // It waits for the word of its runner, which will not come.
        (Phase::Running, 1, Ok(Some("52")), [&cancels[..], &retry].concat()),
        (Phase::Failed, 1, Ok(Some("52")), retry.to_vec()),
        (Phase::Cancelled, 1, Ok(Some("52")), retry.to_vec()),
        (Phase::Passed, 1, Ok(None), Vec::new()),
        // GitLab itself, by the job's own `retry:`.
        (Phase::Running, 2, Ok(Some("52")), Vec::new()),
        (Phase::Failed, 3, Err("it has been started 3 times already"), Vec::new()),
    ] {
        let fixture = ApiFixture::new(Vendor::GitLab);
        let run = Run { attempt, lingers: u32::MAX, ..Run::new(5, phase) };
        fixture.fake.repo(Vendor::GitLab, "group/model", |repo| repo.runs.insert(5, run));
        let forge = fixture.connected("good").forge;
        let job = if attempt == 3 { "53" } else { "51" };
        let outcome = fixture.run(forge.runs().unwrap().rerun_lost(job, 3, &fixture.app().http));
        let outcome = outcome.map(|rerun| rerun.map(|rerun| rerun.url)).map_err(|error| error.to_string());
        let page = |id: &str| format!("{}/group/model/-/jobs/{id}", fixture.fake.url());
        assert_eq!(outcome, expected.map(|id| id.map(page)).map_err(str::to_owned), "{phase:?}");
        let writes = fixture.fake.requests().into_iter().filter(|request| request.method != "GET");
        let writes: Vec<_> = writes
            .map(|r| format!("{} {}", r.method, r.path.split("/projects/").nth(1).unwrap().split_once('/').unwrap().1))
            .collect();
        assert_eq!(writes, asked, "{phase:?} {attempt}");
    }
    // The answer is lost: it is not started twice.
    let fixture = ApiFixture::new(Vendor::GitLab);
    fixture.fake.repo(Vendor::GitLab, "group/model", |repo| repo.runs.insert(5, Run::new(5, Phase::Failed)));
    fixture.fake.fault("POST *jobs/51/retry", 1, Fault::DropAfter);
    let forge = fixture.connected("good").forge;
    fixture.run(forge.runs().unwrap().rerun_lost("51", 3, &fixture.app().http)).unwrap().unwrap();
    assert_eq!(fixture.fake.repo(Vendor::GitLab, "group/model", |repo| repo.runs[&5].starts.clone()), ["job"]);
}
