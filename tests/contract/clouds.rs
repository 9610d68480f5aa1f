//! The contract of the trait `Cloud`: the same assertions over every row of `CLOUDS`, inside the process. The program's code is real.
//!
//! Standing in for AWS: EC2 is moto behind a proxy (`support/ec2.rs`), which loses answers; what moto lacks is scripted, namely the
//! console's content, and that an instance which powers off ends as its template says. Google's Compute Engine is scripted, and strict
//! (`support/gce.rs`). Kubernetes is a scripted API server with
//! controllers (`support/kubernetes.rs`), and where there is one a real API server with its own (`support/api_server.rs`), on which only pods are
//! scripted. Azure is scripted (`support/azure.rs`), and what a machine does at its end is real: its script, with curl. The `dummy` cloud is real in all: its instances are processes of this machine.

use crate::support::host::TestHost;
use cml::app::App;
use cml::cloud::{
    Bootstrap, BootstrapBinary, CLOUDS, Cloud, CloudOptions, Driver, Instance, InstanceRequest, InstanceState, Labels,
    Lifetime, LocationOptions, MAX_CONSOLE,
};
use cml::digest::Sha256Digest;
use cml::env::Secret;
use cml::error::{Kind, Result};
use cml::host::Host;
use cml::host::native::Native;
use cml::http::Http;
use cml::log::{Level, Log};
use std::rc::Rc;
use std::time::Duration;

mod backend;

use backend::{Backend, EXPECTED, Expected};

/// A row of the table, connected.
struct Row {
    driver: &'static Driver,
    cloud: Rc<dyn Cloud>,
    backend: Backend,
    folder: tempfile::TempDir,
    has_limit: bool,
}

impl Row {
    fn new(expected: &Expected, region: &'static str) -> Option<Row> {
        let driver = CLOUDS.iter().find(|driver| driver.name == expected.name).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let backend = (expected.start)(region, folder.path())?;
        let (region, env) = backend.place();
        let host: Rc<dyn Host> = Rc::new(TestHost { native: Native::default(), env, folder: folder.path().to_owned() });
        #[cfg(feature = "azure")]
        if let Backend::Azure(azure) = &backend {
            host.trust(&std::fs::read(azure.ca()).unwrap()).unwrap();
        }
        let log = Log::new(host.clone(), Level::Error);
        let http = Http::new(host.clone(), log.clone(), Duration::from_secs(20));
        let cloud = (driver.connect)(&App { host, log, http }, &region, &LocationOptions::default()).unwrap();
        Some(Row { driver, cloud, backend, folder, has_limit: expected.has_limit })
    }

    fn bootstrap(&self, lifetime: Duration) -> Bootstrap {
        let program = b"#!/bin/sh\nexec sleep 60\n";
        let url = if let Backend::Dummy(_) = self.backend {
            let path = self.folder.path().join("cml");
            // Once: an instance may be reading it.
            if !path.exists() {
                std::fs::write(&path, program).unwrap();
            }
            format!("file://{}", path.display())
        } else {
            "https://mirror.example/cml".to_owned()
        };
        Bootstrap {
            config: Secret::new("{\"v\":2}"),
            binary: self
                .driver
                .downloads_binary
                .then(|| BootstrapBinary { url, sha256: Sha256Digest::compute(program) }),
            lifetime: Lifetime { max: lifetime, boot: Duration::from_secs(600) },
        }
    }

    /// Plans and launches an instance.
    async fn launch_with(&self, labels: &Labels, bootstrap: &Bootstrap) -> Result<Instance> {
        let request = request(Labels { runner: None, ..labels.clone() });
        self.cloud.plan(&request).await?.launch(labels, bootstrap).await
    }

    async fn launch(&self, labels: &Labels) -> Result<Instance> {
        self.launch_with(labels, &self.bootstrap(Duration::from_secs(3600))).await
    }

    async fn delete_all(&self) {
        for instance in self.cloud.list().await.unwrap() {
            self.cloud.delete(&instance.id).await.unwrap();
        }
    }

    async fn is_clean(&self) {
        self.delete_all().await;
        assert_eq!(self.backend.billed(), [""; 0], "{}", self.driver.title);
    }
}

/// Holds every row to the contract, each in its own region.
fn each(region: &'static str, test: impl AsyncFn(&Row)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for row in EXPECTED.iter().filter_map(|expected| Row::new(expected, region)) {
        runtime.block_on(async { test(&row).await });
    }
}

fn labels(runner: &str) -> Labels {
    Labels {
        name: format!("cml-x-{runner}"),
        repository: "https://gitlab.example/Größe/sub-group/r".to_owned(),
        run: Some("17".to_owned()),
        deadline: 4_000_000_000,
        forge: "gitlab".to_owned(),
        // As Bitbucket's are.
        runner: Some(format!("{{{runner}}}")),
    }
}

fn request(labels: Labels) -> InstanceRequest {
    InstanceRequest {
        types: "m".to_owned(),
        gpu: None,
        arch: None,
        image: None,
        disk: 35,
        is_disk_given: false,
        spot: false,
        spot_price: None,
        on_demand_fallback: true,
        identity: None,
        lifetime: Lifetime { max: Duration::from_secs(3600), boot: Duration::from_secs(600) },
        options: CloudOptions::default(),
        user_labels: vec![("team".to_owned(), "ml".to_owned()), ("cml-managed".to_owned(), "no".to_owned())],
        labels,
    }
}

#[test]
fn every_cloud_has_a_row() {
    let mut names: Vec<_> = EXPECTED.iter().map(|row| row.name).collect();
    names.dedup();
    assert_eq!(names, CLOUDS.iter().map(|driver| driver.name).collect::<Vec<_>>());
}

#[test]
fn a_plan_says_what_would_be_and_has_no_effect() {
    each("us-east-1", async |row| {
        let plan = row.cloud.plan(&request(labels("1"))).await.unwrap();
        let lines = &plan.summary().lines;
        assert!(lines.iter().any(|(name, value)| name == "region" && value == row.cloud.region()), "{lines:?}");
        drop(plan);
        assert_eq!(row.backend.effects(), [""; 0], "{}", row.driver.title);
        assert_eq!(row.backend.billed(), [""; 0], "{}", row.driver.title);
    });
}

#[test]
fn a_location_is_the_same_every_time_and_fits_into_a_name() {
    each("us-east-2", async |row| {
        let location = row.cloud.location().await.unwrap();
        assert_eq!((location.cloud, &row.cloud.location().await.unwrap()), (row.driver.name, &location));
        let tag = location.tag();
        assert!(
            tag.len() < 24 && tag.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
            "{tag}"
        );
    });
}

#[test]
fn launching_twice_makes_one() {
    each("us-west-1", async |row| {
        let one = row.launch(&labels("1")).await.unwrap();
        assert_eq!(row.launch(&labels("1")).await.unwrap().id, one.id, "{}", row.driver.title);
        assert_eq!(row.backend.billed(), [one.id.as_str()], "{}", row.driver.title);
        let other = row.launch(&labels("2")).await.unwrap();
        assert_ne!(other.id, one.id, "{}: another runner", row.driver.title);
        assert_eq!(row.backend.billed().len(), 2);
        row.is_clean().await;
    });
}

#[test]
fn an_instance_whose_answer_is_lost_is_found_by_its_labels() {
    each("us-west-2", async |row| {
        if !row.backend.loses_answers() {
            return;
        }
        let error = row.launch(&labels("1")).await.unwrap_err();
        assert!(error.is_ambiguous(), "{}: {error}", row.driver.title);
        let found = row.cloud.list().await.unwrap();
        let found: Vec<_> = found.iter().map(|one| (one.id.as_str(), &one.labels)).collect();
        assert_eq!(found, [(row.backend.billed()[0].as_str(), &labels("1"))], "{}", row.driver.title);
        row.is_clean().await;
    });
}

#[test]
fn deleting_twice_is_fine() {
    each("eu-west-1", async |row| {
        let made = row.launch(&labels("1")).await.unwrap();
        for _ in 0..2 {
            row.cloud.delete(&made.id).await.unwrap();
        }
        let there = row.cloud.get(&made.id).await.unwrap();
        assert!(there.is_none_or(|one| one.state == InstanceState::Terminated), "{}", row.driver.title);
        assert_eq!(row.cloud.list().await.unwrap().len(), 0);
        // Nobody ever made it.
        row.cloud.delete("i-0123456789abcdef0").await.unwrap();
        assert!(row.cloud.get("i-0123456789abcdef0").await.unwrap().is_none(), "{}", row.driver.title);
        row.is_clean().await;
    });
}

#[test]
fn only_what_has_our_labels_is_listed_and_labels_survive() {
    each("eu-west-2", async |row| {
        row.backend.make_foreign();
        assert_eq!(row.cloud.list().await.unwrap().len(), 0, "{}", row.driver.title);
        let without_a_run = Labels { run: None, ..labels("2") };
        row.launch(&labels("1")).await.unwrap();
        row.launch(&without_a_run).await.unwrap();
        let listed = row.cloud.list().await.unwrap();
        let mut found: Vec<_> = listed.iter().map(|one| one.labels.clone()).collect();
        found.sort_by(|one, other| one.name.cmp(&other.name));
        assert_eq!(found, [labels("1"), without_a_run], "{}", row.driver.title);
        for one in &listed {
            let same = row.cloud.get(&one.id).await.unwrap().unwrap();
            assert_eq!(same.labels, one.labels, "{}", row.driver.title);
            assert!(one.launched.is_some_and(|time| time > 1_700_000_000), "{}: {one:?}", row.driver.title);
        }
        row.delete_all().await;
    });
}

#[test]
fn an_instance_costs_nothing_after_its_deadline() {
    each("eu-west-3", async |row| {
        let lifetime = Duration::from_secs(if row.driver.is_machine { 60 } else { 1 });
        let made = row.launch_with(&labels("1"), &row.bootstrap(lifetime)).await.unwrap();
        row.backend.pass_deadline(&made.id);
        assert_eq!(row.backend.billed(), [""; 0], "{}", row.driver.title);
        let there = row.cloud.get(&made.id).await.unwrap();
        assert!(there.as_ref().is_none_or(|one| one.state == InstanceState::Terminated), "{there:?}");
        assert_eq!(row.cloud.list().await.unwrap().len(), 0, "{}", row.driver.title);
    });
}

#[test]
fn consoles_are_bounded() {
    each("eu-north-1", async |row| {
        let made = row.launch(&labels("1")).await.unwrap();
        row.backend.fill_console(&made.id, &format!("{}\nthe end", "ß".repeat(MAX_CONSOLE)));
        let log = row.cloud.console_log(&made.id).await.unwrap();
        assert!(log.ends_with("ß\nthe end") && log.len() <= MAX_CONSOLE, "{}: {}", row.driver.title, log.len());
        row.is_clean().await;
    });
}

#[test]
fn a_bootstrap_that_is_too_long_makes_nothing() {
    each("eu-south-1", async |row| {
        let bootstrap =
            Bootstrap { config: Secret::new("x".repeat(1 << 20)), ..row.bootstrap(Duration::from_secs(60)) };
        let made = row.launch_with(&labels("1"), &bootstrap).await;
        assert_eq!(made.is_err(), row.has_limit, "{}", row.driver.title);
        if let Err(error) = made {
            assert_eq!(
                (error.kind(), row.backend.effects()),
                (Kind::TooLarge, Vec::new()),
                "{}: {error}",
                row.driver.title
            );
        }
        row.is_clean().await;
    });
}
