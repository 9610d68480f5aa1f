//! `cml workflow rerun` on the three forges, with the HTTP transcript of each in `snapshots/`.

use crate::support::fake::{Forge, Kind, Phase, Run, Vendor};
use crate::support::ignored::is_native_only;
use crate::support::{Cml, Ran, VENDORS};
use std::time::{Duration, Instant};

/// A forge with a run, and the CI's own run, which has not ended.
fn with(vendor: Vendor, run: Run) -> (Forge, Cml) {
    let forge = Forge::start();
    let mut cml = Cml::on(&forge, vendor);
    cml.set("GITHUB_RUN_ID", "99").set("CI_PIPELINE_ID", "99").set("CI_JOB_ID", "990");
    cml.set("BITBUCKET_PIPELINE_UUID", &Run::new(99, Phase::Running).uuid());
    forge.repo(vendor, vendor.slug(), |repo| {
        repo.runs.insert(99, Run::new(99, Phase::Running));
        repo.runs.insert(run.id, run)
    });
    (forge, cml)
}

fn run_of(forge: &Forge, vendor: Vendor, id: u64) -> Run {
    forge.repo(vendor, vendor.slug(), |repo| repo.runs[&id].clone())
}

fn runs(forge: &Forge, vendor: Vendor) -> usize {
    forge.repo(vendor, vendor.slug(), |repo| repo.runs.len())
}

/// The runs that were started again, by one of the ways in which each forge does that.
fn starts(forge: &Forge, vendor: Vendor) -> usize {
    match vendor {
        Vendor::Bitbucket => runs(forge, vendor) - 2,
        _ => run_of(forge, vendor, 5).starts.len(),
    }
}

fn rerun(cml: &Cml, args: &[&str]) -> Ran {
    cml.run(&[&["workflow", "rerun"], args].concat())
}

fn page(forge: &Forge, vendor: Vendor, id: u64) -> String {
    let repository = forge.repo_url(vendor);
    match vendor {
        Vendor::GitHub => format!("{repository}/actions/runs/{id}\n"),
        Vendor::GitLab => format!("{repository}/-/pipelines/{id}\n"),
        Vendor::Bitbucket => format!("{repository}/pipelines/results/{id}\n"),
    }
}

fn times(forge: &Forge, method: &str, end: &str) -> usize {
    forge.requests().iter().filter(|r| r.method == method && r.path.ends_with(end)).count()
}

#[test]
fn a_failed_run_starts_again_and_its_page_is_handed_on() {
    for vendor in VENDORS {
        let (forge, mut cml) = with(vendor, Run::new(5, Phase::Failed));
        for name in ["GITHUB_OUTPUT", "CML_DOTENV"] {
            let file = cml.path().join(name).display().to_string();
            cml.set(name, &file);
        }
        let printed = rerun(&cml, &["--id", "5"]).ok();
        let id = if vendor == Vendor::Bitbucket { 1001 } else { 5 };
        assert_eq!(printed, page(&forge, vendor, id));
        assert_eq!(starts(&forge, vendor), 1);
        assert_eq!(cml.read("CML_DOTENV"), format!("RUN_URL={printed}"));
        let outputs = cml.read("GITHUB_OUTPUT");
        assert_eq!(outputs.contains("run-url<<"), vendor == Vendor::GitHub, "{outputs}");
        insta::assert_snapshot!(format!("failed_{vendor:?}"), forge.transcript());
    }
}

#[test]
fn a_run_that_has_not_ended_is_cancelled_first() {
    for vendor in [Vendor::GitHub, Vendor::GitLab] {
        let (forge, cml) = with(vendor, Run::new(5, Phase::Running));
        rerun(&cml, &["--id", "5"]).ok();
        let run = run_of(&forge, vendor, 5);
        assert_eq!((run.attempt, run.phase), (2, Phase::Running), "{}", forge.transcript());
        insta::assert_snapshot!(format!("running_{vendor:?}"), forge.transcript());
    }
}

#[test]
fn a_run_that_never_ends_is_an_error_within_the_time() {
    for (vendor, error, hint) in [
        (Vendor::GitHub, "run 5 was cancelled but is still in_progress; *", "GitHub takes up to 5 minutes *"),
        (Vendor::GitLab, "pipeline 5 was cancelled but is still canceling; *", "its jobs have not stopped yet; *"),
    ] {
        let (forge, cml) = with(vendor, Run { lingers: u32::MAX, ..Run::new(5, Phase::Running) });
        let started = Instant::now();
        rerun(&cml, &["--id", "5", "--timeout", "4"]).fails(9, error, hint);
        assert!(started.elapsed() < Duration::from_secs(30));
        assert_eq!(starts(&forge, vendor), 0);
        let looks = forge.requests().iter().filter(|request| request.method == "GET").count();
        assert!(looks < 9, "the pauses grow: {}", forge.transcript());
    }
}

#[test]
fn a_run_that_ended_while_it_was_to_be_cancelled_starts_again() {
    let (forge, cml) = with(Vendor::GitHub, Run::new(5, Phase::Running));
    let says = r#"{"message":"Cannot cancel a workflow run that is completed.","documentation_url":"x"}"#;
    forge.fault("POST /github/*/cancel", 1, Kind::answer(409, &[], says));
    forge.repo(Vendor::GitHub, "octo/model", |repo| repo.runs.get_mut(&5).unwrap().phase = Phase::Cancelling(1));
    rerun(&cml, &["--id", "5"]).ok();
    assert_eq!(run_of(&forge, Vendor::GitHub, 5).starts, ["rerun-failed-jobs"]);
}

#[test]
fn where_nothing_failed_github_runs_all_jobs_and_gitlab_none() {
    let (forge, cml) = with(Vendor::GitHub, Run::new(5, Phase::Passed));
    rerun(&cml, &["--id", "5"]).ok();
    assert_eq!(run_of(&forge, Vendor::GitHub, 5).starts, ["rerun"]);

    let (forge, cml) = with(Vendor::GitLab, Run::new(5, Phase::Passed));
    rerun(&cml, &["--id", "5"]).fails(6, "no job of pipeline 5 failed or was cancelled, *", "start a new pipeline *");
    assert_eq!(times(&forge, "POST", ""), 0);
}

#[test]
fn without_an_id_it_is_the_cis_own_run() {
    // GitHub would end this step with the run.
    let (forge, cml) = with(Vendor::GitHub, Run::new(5, Phase::Failed));
    rerun(&cml, &[]).fails(7, "this step is part of run 99: *", "run this in another workflow on workflow_run, *");
    assert_eq!(times(&forge, "POST", ""), 0);
    forge.repo(Vendor::GitHub, "octo/model", |repo| repo.runs.get_mut(&99).unwrap().phase = Phase::Failed);
    assert_eq!(rerun(&cml, &[]).ok(), page(&forge, Vendor::GitHub, 99));

    // GitLab runs what has failed so far, and nothing is cancelled.
    let (forge, cml) = with(Vendor::GitLab, Run::new(5, Phase::Failed));
    rerun(&cml, &[]).fails(6, "no job of pipeline 99 failed*", "*");
    assert_eq!(times(&forge, "POST", ""), 0);

    let (forge, cml) = with(Vendor::Bitbucket, Run::new(5, Phase::Failed));
    assert_eq!(rerun(&cml, &[]).ok(), page(&forge, Vendor::Bitbucket, 1001));

    for vendor in VENDORS {
        let (forge, mut cml) = with(vendor, Run::new(5, Phase::Failed));
        for name in ["GITHUB_RUN_ID", "CI_PIPELINE_ID", "BITBUCKET_PIPELINE_UUID"] {
            cml.unset(name);
        }
        rerun(&cml, &[]).fails(2, "cannot determine which * to rerun", "pass its number with --id");
        assert!(forge.requests().is_empty());
    }
}

#[test]
fn a_job_of_gitlab_stands_for_its_pipeline_and_a_uuid_of_bitbucket_for_its_number() {
    let (forge, cml) = with(Vendor::GitLab, Run::new(5, Phase::Failed));
    assert_eq!(rerun(&cml, &["--id", "51"]).ok(), page(&forge, Vendor::GitLab, 5));
    let uuid = Run::new(5, Phase::Failed).uuid();
    for id in [uuid.as_str(), uuid.trim_matches(['{', '}'])] {
        let (forge, cml) = with(Vendor::Bitbucket, Run::new(5, Phase::Failed));
        assert_eq!(rerun(&cml, &["--id", id]).ok(), page(&forge, Vendor::Bitbucket, 1001));
    }
}

#[test]
fn variables_of_bitbucket_are_passed_on_except_secured_ones() {
    let variables = vec![("EPOCHS".to_owned(), Some("3".to_owned())), ("KEY".to_owned(), None)];
    let (forge, cml) = with(Vendor::Bitbucket, Run { variables: variables.clone(), ..Run::new(5, Phase::Failed) });
    let ran = rerun(&cml, &["--id", "5"]);
    assert!(ran.stderr.contains("the new pipeline runs without KEY: Bitbucket does not disclose"), "{ran:#?}");
    ran.ok();
    assert_eq!(run_of(&forge, Vendor::Bitbucket, 1001).variables, variables[..1]);
}

#[test]
fn a_lost_answer_starts_nothing_twice() {
    for vendor in VENDORS {
        let post = match vendor {
            Vendor::GitHub => "POST /github/*/rerun-failed-jobs",
            Vendor::GitLab => "POST /gitlab/*/retry",
            Vendor::Bitbucket => "POST /bitbucket/*/pipelines",
        };
        for (kind, sent) in [
            (Kind::DropAfter, 1),
            (Kind::answer_after(502, &[], "<h1>Bad gateway</h1>"), 1),
            (Kind::DropBefore, 2),
            (Kind::answer(503, &[], ""), 2),
        ] {
            let (forge, cml) = with(vendor, Run::new(5, Phase::Failed));
            forge.fault(post, 1, kind);
            rerun(&cml, &["--id", "5"]).ok();
            assert_eq!(starts(&forge, vendor), 1, "{}", forge.transcript());
            assert_eq!(times(&forge, "POST", ""), sent, "{}", forge.transcript());
        }
        // Looking fails as well: nothing is sent again, and the user is told.
        let (forge, cml) = with(vendor, Run::new(5, Phase::Failed));
        forge.fault(post, 1, Kind::DropAfter);
        let before = if vendor == Vendor::GitLab { 2 } else { 1 };
        forge.fault_after(before, "GET *", 1, Kind::answer(401, &[], "{}"));
        let error = "cannot determine whether * 5 was restarted: checking failed (*): *";
        rerun(&cml, &["--id", "5"]).fails(9, error, "check * 5 before you run this again");
        assert_eq!((starts(&forge, vendor), times(&forge, "POST", "")), (1, 1), "{}", forge.transcript());
    }
}

#[test]
fn a_run_that_is_not_there_is_named_and_so_is_a_repository() {
    for (vendor, error) in [
        (Vendor::GitHub, "workflow run 404 not found in octo/model"),
        (Vendor::GitLab, "no pipeline or job 404 found in *group/model"),
        (Vendor::Bitbucket, "pipeline 404 not found in *team/model"),
    ] {
        let (forge, mut cml) = with(vendor, Run::new(5, Phase::Failed));
        rerun(&cml, &["--id", "404"]).fails(5, error, "pass the number in *, and --repo *");
        let other = format!("{}/nobody/none", forge.url());
        cml.set("CML_REPO", &other);
        rerun(&cml, &["--id", "404"]).fails(5, "repository *nobody/none was not found with this token", "*");
        rerun(&cml, &[]).fails(2, "cannot determine which * to rerun", "pass its number with --id");
        forge.clear_requests();
        rerun(&cml, &["--id", "x/../y"]).fails(2, "'x/../y' is not a *", "pass *");
        assert!(forge.requests().is_empty());
    }
}

#[test]
fn what_a_token_lacks_is_said() {
    for (vendor, token, error, hint) in [
        (
            Vendor::GitHub,
            "readonly",
            "the token is not allowed to do this *",
            "add to the job: permissions: { actions: write }",
        ),
        (Vendor::GitHub, "bad", "GitHub does not accept the token*", "check the token in REPO_TOKEN*"),
        (
            Vendor::GitLab,
            "readonly",
            "the token is not allowed to do this *",
            "to rerun workflows the token needs the scope api",
        ),
        (Vendor::Bitbucket, "readonly", "the token is not allowed to do this *", "*but needs pipeline:write"),
    ] {
        let (forge, mut cml) = with(vendor, Run::new(5, Phase::Failed));
        cml.set("REPO_TOKEN", token);
        rerun(&cml, &["--id", "5"]).fails(4, error, hint);
        assert_eq!(starts(&forge, vendor), 0);
    }
    let (_forge, mut cml) = with(Vendor::GitLab, Run::new(5, Phase::Failed));
    cml.unset("REPO_TOKEN").set("CI_JOB_TOKEN", "good");
    rerun(&cml, &["--id", "5"]).fails(4, "the job's own token (CI_JOB_TOKEN) is not allowed*", "*role Developer*");

    let pat = r#"{"message":"Resource not accessible by personal access token","documentation_url":"x"}"#;
    for (vendor, post, body, hint) in [
        (
            Vendor::GitHub,
            "POST /github/*/rerun-failed-jobs",
            pat,
            "grant the personal access token the permission actions: write",
        ),
        (
            Vendor::GitLab,
            "POST /gitlab/*/retry",
            r#"{"message":"403 Forbidden"}"#,
            "to rerun workflows the token's user needs at least the role Developer in the project*",
        ),
        (
            Vendor::Bitbucket,
            "POST /bitbucket/*/pipelines",
            "{}",
            "to rerun workflows the token needs pipeline:write (*",
        ),
    ] {
        let (forge, cml) = with(vendor, Run::new(5, Phase::Failed));
        forge.fault(post, 1, Kind::answer(403, &[], body));
        rerun(&cml, &["--id", "5"]).fails(4, "*", hint);
    }
}

#[test]
fn limits_of_github_are_explained() {
    for (why, code, hint) in [
        ("Unable to retry this workflow run because it was created over a month ago", 7, "GitHub * 30 days*"),
        ("This workflow run cannot be retried", 7, "its workflow file may be gone, *"),
        ("This workflow is already running", 6, "it was already restarted; *"),
    ] {
        let refused = Some(why.to_owned());
        let (forge, cml) = with(Vendor::GitHub, Run { refused, ..Run::new(5, Phase::Failed) });
        let error = format!("run 5 was not restarted (GitHub answered 403: {why})");
        rerun(&cml, &["--id", "5"]).fails(code, &error, hint);
        assert_eq!(starts(&forge, Vendor::GitHub), 0);
    }
}

#[test]
fn a_local_preview_has_no_runs() {
    if is_native_only() {
        return;
    }
    let cml = Cml::alone();
    rerun(&cml, &["--driver", "local"]).fails(
        7,
        "the local preview does not support rerunning workflows",
        "pass a token in REPO_TOKEN*",
    );
}
