//! From the launch to the end, with nothing left.

use super::fixture::{RunnerFixture, events};
use crate::support::VENDORS;
use crate::support::fake::{Kind, Vendor};
use crate::support::ignored::is_native_only;
use std::time::Duration;

#[test]
fn a_machine_runs_one_job_and_leaves_nothing() {
    if is_native_only() {
        return;
    }
    for vendor in VENDORS {
        let fixture = RunnerFixture::new(vendor);
        let launch = fixture.launch("log", &["--labels=gpu", "--single"]);
        launch.until("\"status\":\"ready\"");
        let [runner] = &fixture.runners()[..] else { panic!("{:?}", fixture.runners()) };
        assert!(runner.name.starts_with("cml-") && runner.labels.contains(&"gpu".to_owned()), "{runner:?}");
        let listed = fixture.run(&["list"]).ok();
        assert!(listed.contains(&runner.name) && listed.contains("online"), "{listed}");
        let job = fixture.begin_job();
        launch.until("job_started");
        fixture.cml.file("end", "");
        let ran = launch.end();
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        let expected = ["ready", "job_started", "job_ended", "terminated: single job"];
        assert_eq!(events(&ran.stderr), expected, "{vendor:?} {ran:#?}");
        fixture.is_clean();
        if vendor == Vendor::Bitbucket {
            // Before each launch; a registry that cannot be reached keeps no image away that is there.
            let image = "docker-public.packages.atlassian.com/sox/atlassian/bitbucket-pipelines-runner\n";
            assert_eq!(fixture.cml.read("pulled"), image);
        }
        // What the job could see.
        let env = fixture.cml.read("env");
        assert!(env.contains("TELL=") && !env.contains("REPO_TOKEN") && !env.contains("CML_"), "{env}");
        let asked: Vec<_> = fixture.forge.requests().iter().map(|r| format!("{} {}", r.method, r.path)).collect();
        let at =
            |end: &str| asked.iter().position(|line| line.contains(end)).unwrap_or_else(|| panic!("{end}: {asked:#?}"));
        let register = [
            "generate-jitconfig",
            "user/runners",
            "POST /bitbucket/2.0/repositories/team/model/pipelines-config/runners",
        ][VENDORS.iter().position(|other| *other == vendor).unwrap()];
        let (online, busy) = match vendor {
            Vendor::GitLab => ("POST /gitlab/api/v4/jobs/request", "PUT /gitlab/api/v4/jobs/"),
            _ => ("tell/online", "tell/busy"),
        };
        assert!(at(register) < at(online) && at(online) < at(busy), "{asked:#?}");
        if let Some(job) = job.map(|id| fixture.forge.job(id)) {
            assert_eq!((&*job.status, &*job.log), ("success", &b"Running with gitlab-runner\n"[..]));
        }
        assert_eq!(asked.iter().filter(|line| line.contains(register)).count(), 1, "{asked:#?}");
        if vendor != Vendor::GitHub {
            // GitHub forgets the runner of a job that has ended by itself.
            assert!(at(busy) < at("DELETE "), "{asked:#?}");
        }
    }
}

#[test]
fn a_signal_at_any_step_undoes_what_was_made() {
    if is_native_only() {
        return;
    }
    let slow = Kind::Slow(Duration::from_secs(3));
    for (vendor, step) in [
        (Vendor::GitHub, "POST *generate-jitconfig"),
        (Vendor::GitHub, "GET */downloads/*"),
        (Vendor::GitLab, "POST *user/runners"),
        (Vendor::GitLab, "GET *release.sha256"),
        (Vendor::Bitbucket, "POST *pipelines-config/runners"),
    ] {
        let fixture = RunnerFixture::new(vendor);
        fixture.forge.fault(step, 1, slow.clone());
        let launch = fixture.launch("log", &[]);
        fixture.until(step, || fixture.forge.unused_faults().is_empty());
        launch.kill("TERM");
        let ran = launch.end();
        assert_eq!(ran.code, Some(0), "{step}: {ran:#?}");
        fixture.is_clean();
        assert!(events(&ran.stderr).is_empty(), "{ran:#?}");
    }
    for vendor in VENDORS {
        let fixture = RunnerFixture::new(vendor);
        let launch = fixture.launch("log", &[]);
        launch.until("\"status\":\"ready\"");
        launch.kill("INT");
        let ran = launch.end();
        assert_eq!(
            (ran.code, events(&ran.stderr).last().unwrap().as_str()),
            (Some(0), "terminated: SIGINT"),
            "{ran:#?}"
        );
        fixture.is_clean();
    }
}

/// GitLab's request for a job, which is open when the runner is removed, is answered with 403; the program then pauses for minutes.
#[test]
fn a_runner_that_gitlab_forgets_while_it_waits_ends() {
    if is_native_only() {
        return;
    }
    let fixture = RunnerFixture::new(Vendor::GitLab);
    let launch = fixture.launch("log", &["--idle-timeout=never"]);
    launch.until("\"status\":\"ready\"");
    fixture.forge.configure_runners(|runners| runners.all.clear());
    let ran = launch.end();
    assert_eq!(
        (ran.code, events(&ran.stderr)),
        (Some(0), vec!["ready".into(), "terminated: removed".into()]),
        "{ran:#?}"
    );
    let verified = fixture.forge.requests().iter().filter(|request| request.path.ends_with("/runners/verify")).count();
    assert_eq!(verified, 2, "when it was ready and when it was refused: {}", fixture.forge.transcript());
    fixture.is_clean();
}

/// The job is aborted, GitLab gets its runner's word, and it runs again: not as a job that the runner lost.
#[test]
fn an_interrupted_job_of_gitlab_is_reported_by_its_runner() {
    if is_native_only() {
        return;
    }
    let fixture = RunnerFixture::new(Vendor::GitLab);
    let launch = fixture.launch("log", &["--no-retry"]);
    launch.until("\"status\":\"ready\"");
    let job = fixture.begin_job().unwrap();
    launch.until("job_started");
    launch.kill("TERM");
    let ran = launch.end();
    assert_eq!(ran.code, Some(75), "{ran:#?}");
    let job = fixture.forge.job(job);
    assert_eq!(
        (&*job.status, job.reason.as_deref()),
        ("failed", Some("runner_interrupted")),
        "{ran:#?} {}",
        fixture.forge.transcript()
    );
    fixture.is_clean();
}

#[test]
fn what_keeps_the_program_away_unregisters_the_runner() {
    if is_native_only() {
        return;
    }
    let fixture = RunnerFixture::new(Vendor::GitHub);
    fixture.forge.configure_runners(|runners| runners.no_checksums = true);
    let ran = fixture.run(&["launch"]);
    assert!(ran.code != Some(0) && ran.stderr.contains("--runner-path"), "{ran:#?}");
    fixture.is_clean();

    // A folder with the program will do.
    let root = fixture.cml.path().display().to_string();
    let launch = fixture.launch("log", &["--runner-path", &root, "--idle-timeout=1"]);
    let ran = launch.end();
    assert_eq!(
        (ran.code, events(&ran.stderr)),
        (Some(0), vec!["ready".into(), "terminated: timeout:1".into()]),
        "{ran:#?}"
    );
    fixture.is_clean();
}

#[test]
fn github_gets_a_registration_for_each_of_several_jobs() {
    if is_native_only() {
        return;
    }
    let fixture = RunnerFixture::new(Vendor::GitHub);
    let launch = fixture.launch("log", &["--single=false"]);
    let jobs = |log: &str| events(log).iter().filter(|event| *event == "job_ended").count();
    fixture.cml.file("go", "");
    fixture.cml.file("end", "");
    fixture.until("three jobs", || jobs(&launch.log()) >= 3);
    std::fs::remove_file(fixture.cml.path().join("go")).unwrap();
    fixture.until("an idle runner", || events(&launch.log()).last().is_some_and(|event| event == "ready"));
    launch.kill("TERM");
    let ran = launch.end();
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    fixture.is_clean();
}
