//! `Runs`: restarted, and the jobs that were lost with their runner. The server is scripted.

use super::rows::each;
use crate::support::fake::{Phase, Run};
use cml::error::Kind;
use cml::forge::{Capability, Context};

#[test]
fn a_run_is_restarted_by_its_number_or_as_ones_own() {
    each(async |row| {
        let nobody = Context::default();
        if !row.has(row.forge.runs(), Capability::Runs) {
            return;
        }
        let runs = row.forge.runs().unwrap();
        row.explains(&runs.rerun(None, &nobody, &row.http).await.unwrap_err(), Kind::Usage);
        row.explains(&runs.rerun(Some("x/y"), &nobody, &row.http).await.unwrap_err(), Kind::Usage);
        assert_eq!(row.http.requests(), 0);
        let missing = runs.rerun(Some("404"), &nobody, &row.http).await.unwrap_err();
        row.explains(&missing, Kind::NotFound);
        assert!(missing.hint_text().is_some());
        let started = runs.rerun(Some("5"), &nobody, &row.http).await.unwrap();
        row.page_is_ours(&started.url);
        row.repo(|repo| repo.runs.insert(6, Run::new(6, Phase::Failed)));
        let own = Context { workflow: Some("6".to_owned()), run: Some("6".to_owned()), ..Context::default() };
        row.page_is_ours(&runs.rerun(None, &own, &row.http).await.unwrap().url);
    });
}

#[test]
fn jobs_that_were_lost_with_their_runner_are_found() {
    each(async |row| {
        let lost_jobs = row.forge.runs().and_then(|runs| runs.lost_jobs());
        if !row.has(lost_jobs, Capability::LostJobs) {
            return;
        }
        let lost_jobs = lost_jobs.unwrap();
        let reason = match row.driver.name {
            "github" => "The self-hosted runner: cml-1 lost communication with the server.",
            "gitlab" => "runner_system_failure",
            name => panic!("{name}: say what it reports of a lost job"),
        };
        let run = Run { runner: "cml-1".to_owned(), reason: Some(reason.to_owned()), ..Run::new(7, Phase::Failed) };
        row.repo(|repo| repo.runs.insert(7, run));
        let failed = lost_jobs.fetch_failed("7", &|name| name == "cml-1").await.unwrap();
        assert_eq!((failed.attempt, failed.jobs.len(), failed.others), (1, 1, 0), "{failed:?}");
        assert!(failed.jobs[0].runner == "cml-1" && failed.jobs[0].lost.is_some(), "{failed:?}");
        // Runners of others are none of the caller's.
        let failed = lost_jobs.fetch_failed("7", &|_| false).await.unwrap();
        assert_eq!((failed.jobs.len(), failed.others), (0, 1), "{failed:?}");
        row.explains(&lost_jobs.fetch_failed("x", &|_| true).await.unwrap_err(), Kind::Usage);
        row.explains(&lost_jobs.fetch_failed("404", &|_| true).await.unwrap_err(), Kind::NotFound);
    });
}
