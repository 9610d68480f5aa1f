//! `cml runner retry`.

use crate::support::Cml;
use crate::support::fake::{Forge, Phase, Run, Vendor};

const LOST: &str = "The self-hosted runner: cml-1 lost communication with the server. Verify the machine is running.";
const ENDED: &str = "The runner has received a shutdown signal. This can happen when the runner service is stopped.";

fn with(vendor: Vendor, run: Run) -> (Forge, Cml) {
    let forge = Forge::start();
    let cml = Cml::on(&forge, vendor);
    forge.repo(vendor, vendor.slug(), |repo| repo.runs.insert(run.id, run));
    (forge, cml)
}

fn failed(runner: &str, reason: &str) -> Run {
    Run { runner: runner.into(), reason: Some(reason.into()), ..Run::new(5, Phase::Failed) }
}

fn starts(forge: &Forge, vendor: Vendor) -> Vec<String> {
    forge.repo(vendor, vendor.slug(), |repo| repo.runs[&5].starts.clone())
}

#[test]
fn what_was_lost_with_its_runner_runs_again() {
    for (vendor, reason, says, how) in [
        (Vendor::GitHub, LOST, LOST, "rerun-failed-jobs"),
        (Vendor::GitHub, ENDED, ENDED, "rerun-failed-jobs"),
        (Vendor::GitLab, "runner_system_failure", "the runner failed (runner_system_failure)", "retry"),
        (Vendor::GitLab, "stuck_or_timeout_failure", "the runner stopped responding *", "retry"),
        // GitLab 19, and what an older server makes of a newer runner's word.
        (Vendor::GitLab, "runner_interrupted", "the runner was stopped (runner_interrupted)", "retry"),
        (Vendor::GitLab, "no_updates_running", "the runner stopped responding *", "retry"),
        (Vendor::GitLab, "no_updates_canceling", "the runner stopped responding *", "retry"),
        (Vendor::GitLab, "unknown_failure", "the runner was stopped, or failed *", "retry"),
    ] {
        let (forge, cml) = with(vendor, failed("cml-1", reason));
        let ran = cml.run(&["runner", "retry", "--run", "5"]);
        let says = says.trim_end_matches('*');
        assert!(ran.stderr.contains(&format!("job train was lost with its runner cml-1: {says}")), "{ran:#?}");
        assert!(ran.stdout.contains("/5\n"), "{ran:#?}");
        assert_eq!(starts(&forge, vendor), [how]);
        insta::allow_duplicates! {
            let short = if vendor == Vendor::GitHub { "GitHub" } else { "GitLab" };
            insta::assert_snapshot!(format!("retry_{short}"), forge.transcript());
        }
    }
}

#[test]
fn what_failed_by_itself_or_elsewhere_does_not() {
    for (vendor, reason, lost) in [
        (Vendor::GitHub, "exit code 1", LOST),
        (Vendor::GitLab, "script_failure", "runner_system_failure"),
        (Vendor::GitLab, "server_timeout_running", "runner_interrupted"),
        (Vendor::GitLab, "job_execution_timeout", "unknown_failure"),
        (Vendor::GitLab, "stuck_pending_no_matching_runner", "no_updates_running"),
    ] {
        for run in [
            failed("cml-1", reason),
            failed("GitHub Actions 12", lost),
            Run { phase: Phase::Passed, ..failed("cml-1", lost) },
        ] {
            let (forge, cml) = with(vendor, run);
            let ran = cml.run(&["runner", "retry", "--run=5"]);
            assert!(ran.stderr.contains("no job of run 5 was lost with its runner: nothing to do"), "{ran:#?}");
            assert_eq!((ran.code, starts(&forge, vendor).len()), (Some(0), 0));
        }
        // Runners with names of their own.
        let (forge, cml) = with(vendor, failed("gpu-7", lost));
        cml.run(&["runner", "retry", "--run=5", "--runner-prefix=gpu-"]).ok();
        assert_eq!(starts(&forge, vendor).len(), 1);
    }
}

#[test]
fn a_run_is_not_started_for_ever() {
    for (vendor, reason) in [(Vendor::GitHub, LOST), (Vendor::GitLab, "runner_system_failure")] {
        let (forge, cml) = with(vendor, Run { attempt: 3, ..failed("cml-1", reason) });
        let ran = cml.run(&["runner", "retry", "--run=5"]);
        let says = "warning: run 5 has been started 3 times already: not running it again (--max-attempts=3)";
        assert!(ran.code == Some(0) && ran.stderr.contains(says), "{ran:#?}");
        assert_eq!(starts(&forge, vendor).len(), 0);
        cml.run(&["runner", "retry", "--run=5", "--max-attempts=4"]).ok();
        assert_eq!(starts(&forge, vendor).len(), 1);
    }
}

#[test]
fn runs_that_cannot_be_looked_at_are_named() {
    let (forge, cml) = with(Vendor::GitHub, Run::new(5, Phase::Running));
    let run = |cml: &Cml, id: &str| cml.run(&["runner", "retry", "--run", id]);
    run(&cml, "5").fails(6, "run 5 is still in_progress", "run this after it has completed, *");
    run(&cml, "6").fails(5, "no workflow run 6 in octo/model", "give the number in the run's URL *");
    run(&cml, "x").fails(2, "'x' is not the id of a workflow run", "give the number at the end of the run's URL*");
    assert_eq!(starts(&forge, Vendor::GitHub).len(), 0);
    let (_forge, cml) = with(Vendor::GitLab, Run::new(5, Phase::Failed));
    run(&cml, "6").fails(5, "no pipeline 6 in *", "give the number in its URL *");
    run(&cml, "x").fails(2, "'x' is not the id of a pipeline", "give the number at the end of its URL*");
    let (_forge, cml) = with(Vendor::Bitbucket, Run::new(5, Phase::Failed));
    run(&cml, "5").fails(
        7,
        "Bitbucket does not support finding the jobs that were lost with their runner",
        "use cml workflow rerun --id*",
    );
}
