//! Runners that are there already, and launches at the same moment.

use super::fixture::{Launch, RunnerFixture};
use crate::support::VENDORS;
use crate::support::fake::{Doing, Vendor};
use crate::support::ignored::is_native_only;

/// A fixture in which somebody runs a runner.
fn with_runner(vendor: Vendor, name: &str, labels: &str) -> (RunnerFixture, Launch) {
    let fixture = RunnerFixture::new(vendor);
    let launch = fixture.launch("other", &["--name", name, "--labels", labels, "--single=false"]);
    launch.until("\"status\":\"ready\"");
    fixture.until("an online runner", || fixture.runners().iter().any(|runner| runner.doing == Doing::Idle));
    fixture.forge.clear_requests();
    (fixture, launch)
}

fn registrations(fixture: &RunnerFixture) -> usize {
    fixture
        .forge
        .requests()
        .iter()
        .filter(|request| {
            request.method == "POST" && !["/tell/", "/jobs/"].iter().any(|part| request.path.contains(part))
        })
        .count()
}

#[test]
fn a_runner_that_is_online_is_reused() {
    if is_native_only() {
        return;
    }
    for vendor in VENDORS {
        let (fixture, _other) = with_runner(vendor, "mine", "gpu,big");
        for (args, says) in [
            (&["--reuse", "--labels=gpu"][..], "Reusing existing online runners with the gpu labels..."),
            (&["--reuse", "--labels=big,gpu"], "Reusing existing online runners with the big,gpu labels..."),
            (&["--reuse", "--name=mine", "--labels=other"], "Reusing existing runner named mine..."),
        ] {
            let ran = fixture.run(&[&["launch"], args].concat());
            assert!(ran.code == Some(0) && ran.stderr.contains(says), "{vendor:?} {ran:#?}");
        }
        let ran = fixture.run(&["launch", "--reuse-idle", "--labels=gpu"]);
        let says = "Checking for existing idle runner matching labels: gpu.\nFound matching idle runner.\n";
        assert!(ran.code == Some(0) && ran.stderr.contains(says), "{vendor:?} {ran:#?}");
        fixture.run(&["launch", "--name=mine"]).fails(
            6,
            "runner name mine is already in use",
            "change the name, add --reuse, or remove the existing runner with: cml runner stop mine",
        );
        assert_eq!(
            (registrations(&fixture), fixture.runners().len()),
            (0, 1),
            "{vendor:?} {}",
            fixture.forge.transcript()
        );
    }
}

#[test]
fn where_all_are_busy_another_is_launched() {
    if is_native_only() {
        return;
    }
    for vendor in VENDORS {
        let (fixture, other) = with_runner(vendor, "mine", "gpu");
        fixture.begin_job();
        other.until("job_started");
        let _ = std::fs::remove_file(fixture.cml.path().join("go"));
        for number in 2..4 {
            let launch = fixture.launch("log", &["--reuse-idle", "--labels=gpu"]);
            launch.until("\"status\":\"ready\"");
            assert_eq!(fixture.runners().len(), 2, "{number}");
            launch.kill("TERM");
            assert_eq!(launch.end().code, Some(0));
        }
        drop(other);
    }
}

#[test]
fn of_two_launches_at_the_same_moment_one_registers() {
    if is_native_only() {
        return;
    }
    for (vendor, registration) in [(Vendor::GitHub, "POST *generate-jitconfig"), (Vendor::GitLab, "POST *user/runners")]
    {
        for mode in ["--reuse", "--reuse-idle"] {
            let fixture = RunnerFixture::new(vendor);
            fixture.forge.barrier(registration, 2);
            let launches = [fixture.launch("one", &[mode]), fixture.launch("two", &[mode])];
            fixture.until("the end of one", || {
                let log = |launch: &Launch| launch.log();
                launches.iter().any(|launch| {
                    log(launch).contains("Reusing existing") || log(launch).contains("Found matching idle runner.")
                })
            });
            let lost = usize::from(
                !launches[0].log().contains("eusing existing") && !launches[0].log().contains("Found matching"),
            );
            let winner = 1 - lost;
            launches[winner].until("\"status\":\"ready\"");
            let [one, two] = launches;
            let (winner, loser) = if winner == 0 { (one, two) } else { (two, one) };
            assert_eq!(loser.end().code, Some(0));
            assert_eq!(fixture.runners().len(), 1, "{vendor:?} {}", fixture.forge.transcript());
            winner.kill("TERM");
            assert_eq!(winner.end().code, Some(0));
            fixture.is_clean();
        }
    }
}

#[test]
fn a_name_that_two_ask_for_is_the_first_ones() {
    if is_native_only() {
        return;
    }
    for vendor in VENDORS {
        let fixture = RunnerFixture::new(vendor);
        let mut launches = [fixture.launch("one", &["--name=mine"]), fixture.launch("two", &["--name=mine"])];
        let over = |launches: &mut [Launch; 2]| launches.iter_mut().position(|launch| launch.is_over());
        let end = std::time::Instant::now() + crate::support::TIMEOUT;
        let loser = loop {
            if let Some(loser) = over(&mut launches) {
                break loser;
            }
            assert!(std::time::Instant::now() < end, "{vendor:?} {}", fixture.forge.transcript());
            std::thread::sleep(std::time::Duration::from_millis(20));
        };
        launches[1 - loser].until("\"status\":\"ready\"");
        let [one, two] = launches;
        let (winner, loser) = if loser == 1 { (one, two) } else { (two, one) };
        loser.end().fails(6, "runner name mine is already in use", "change the name*");
        assert_eq!(fixture.runners().len(), 1, "{vendor:?}");
        winner.kill("TERM");
        winner.end();
        fixture.is_clean();
    }
}

#[test]
fn a_leftover_is_removed_and_replaced() {
    if is_native_only() {
        return;
    }
    for vendor in [Vendor::GitHub, Vendor::GitLab] {
        let fixture = RunnerFixture::new(vendor);
        // The name that this launch gives.
        let launch = fixture.launch("log", &["--reuse"]);
        launch.until("\"status\":\"ready\"");
        let name = fixture.runners()[0].name.clone();
        launch.kill("TERM");
        launch.end();
        // Killed before it could unregister, with its machine.
        fixture.forge.configure_runners(|runners| assert!(runners.all.is_empty()));
        let launch = fixture.launch("log", &["--name", &name]);
        launch.until("\"status\":\"ready\"");
        launch.kill("KILL");
        drop(launch);
        fixture.until("an offline runner", || fixture.runners().iter().all(|runner| runner.doing == Doing::Offline));
        assert_eq!(fixture.runners().len(), 1);
        fixture.run(&["launch", "--reuse", "--timeout=3", "--name", &name]).fails(
            6,
            &format!("runner name {name} is already in use by an offline runner"),
            &format!("start that runner, or remove it with: cml runner stop {name}"),
        );
        let launch = fixture.launch("log", &["--reuse", "--timeout=5"]);
        launch.until("\"status\":\"ready\"");
        let says = format!("warning: runner {name} did not come online within 5 seconds: removing it");
        assert!(launch.log().contains(&says), "{}", launch.log());
        launch.kill("TERM");
        launch.end();
        fixture.is_clean();
    }
}

#[test]
fn a_runner_is_stopped_unless_it_has_a_job() {
    if is_native_only() {
        return;
    }
    for vendor in [Vendor::GitHub, Vendor::GitLab] {
        let (fixture, _other) = with_runner(vendor, "mine", "gpu");
        fixture.run(&["stop", "other"]).fails(5, "no runner other in *", "list the runners with: cml runner list");
        fixture.forge.set_runner("mine", Doing::Busy);
        if vendor == Vendor::GitHub {
            let hint = "cancel the job or wait until it ends, then run this again";
            fixture.run(&["stop", "mine"]).fails(6, "runner mine is running a job", hint);
            assert_eq!(fixture.runners().len(), 1);
        }
        fixture.forge.set_runner("mine", Doing::Idle);
        let ran = fixture.run(&["stop", "mine"]);
        assert!(ran.code == Some(0) && ran.stderr.contains("removed runner mine"), "{ran:#?}");
        assert!(fixture.runners().is_empty());
    }
}
