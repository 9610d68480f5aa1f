//! `Runners` of a repository: registered once, listed to the end, removed. The server is scripted. What each forge does in
//! its own way, and runners of organisations, groups and workspaces, are in `crate::runners_forge`.

use super::rows::{Row, each};
use crate::support::fake::{Doing, Kind as Fault};
use cml::forge::Capability;
use cml::forge::runners::{NewRunner, Registration, Runners, register_once};
use cml::host::Platform;

fn new(name: &str) -> NewRunner {
    let platform = Platform { os: "linux".into(), arch: "x86_64".into() };
    let labels = vec!["cml".to_owned(), "gpu".to_owned()];
    NewRunner { name: name.into(), labels, group: None, single: true, platform }
}

/// Holds every row that has runners to the contract.
fn each_with_runners(test: impl AsyncFn(&Row, &dyn Runners)) {
    each(async |row| {
        if row.has(row.forge.runners(), Capability::Runners) {
            test(row, row.forge.runners().unwrap()).await;
        }
    });
}

impl Row {
    async fn register(&self, name: &str) -> Registration {
        register_once(self.forge.runners().unwrap(), &self.http, &self.log, &new(name), &[]).await.unwrap()
    }

    fn set_runner(&self, name: &str, doing: Doing) {
        self.fake.as_ref().unwrap().0.set_runner(name, doing);
    }

    /// The names of the runners that the forge holds.
    fn held(&self) -> Vec<String> {
        let (fake, vendor) = self.fake.as_ref().unwrap();
        fake.runners(*vendor, vendor.slug()).into_iter().map(|runner| runner.name).collect()
    }
}

#[test]
fn a_runner_is_registered_seen_and_removed() {
    each_with_runners(async |row, runners| {
        let title = row.driver.title;
        let made = row.register("cml-1").await;
        assert_eq!((made.name.as_str(), made.driver.as_str()), ("cml-1", row.driver.name));
        let seen = runners.get(&made.id).await.unwrap().unwrap();
        assert!(!seen.online && seen.has(&["cml".into(), "GPU".into()]) && seen.name == "cml-1", "{title}: {seen:?}");
        row.set_runner("cml-1", Doing::Idle);
        let online = runners.list(&["cml".into(), "gpu".into()]).await.unwrap();
        assert!(online.len() == 1 && online[0].online && online[0].id == made.id, "{title}: {online:?}");
        assert_eq!((online[0].busy, runners.list(&["other".into()]).await.unwrap().len()), (Some(false), 0), "{title}");
        row.set_runner("cml-1", Doing::Busy);
        assert_eq!(runners.get(&made.id).await.unwrap().unwrap().busy, Some(true), "{title}");
        assert!(runners.check(&made).await.unwrap().is_some_and(|status| status.online), "{title}");
        row.set_runner("cml-1", Doing::Idle);
        // Once more is fine.
        for _ in 0..2 {
            runners.delete(&made.id).await.unwrap();
        }
        assert!(runners.get(&made.id).await.unwrap().is_none() && row.held().is_empty(), "{title}");
        assert_eq!(runners.check(&made).await.unwrap(), None, "{title}");
    });
}

#[test]
fn a_runner_unregisters_by_what_it_has() {
    each_with_runners(async |row, runners| {
        let made = row.register("cml-1").await;
        for _ in 0..2 {
            runners.unregister(&made).await.unwrap();
        }
        assert!(row.held().is_empty(), "{}", row.driver.title);
    });
}

#[test]
fn listings_are_read_to_their_end() {
    each_with_runners(async |row, runners| {
        let (fake, _) = row.fake.as_ref().unwrap();
        for n in 0..120 {
            runners.register(&new(&format!("cml-{n}"))).await.unwrap();
        }
        let all = runners.list(&[]).await.unwrap();
        assert_eq!(all.len(), 120, "{}", row.driver.title);
        assert!(all.windows(2).all(|two| two[0].order < two[1].order), "{}", row.driver.title);
        fake.clear_requests();
        assert_eq!(runners.list(&["gpu".into()]).await.unwrap().len(), 120);
        // Pages: not one request a runner.
        assert!(fake.requests().len() <= 3, "{}: {}", row.driver.title, fake.transcript());
    });
}

/// The answer to the registration is lost: the runner whose credential nobody knows goes, and one that works stays.
#[test]
fn a_lost_answer_leaves_one_runner() {
    for fault in [Fault::DropAfter, Fault::answer_after(502, &[], "bad gateway"), Fault::Truncate(20)] {
        each_with_runners(async |row, runners| {
            let (fake, vendor) = row.fake.as_ref().unwrap();
            fake.fault(&format!("POST {}", vendor.api()), 1, fault.clone());
            let made = row.register("cml-1").await;
            assert_eq!(row.held(), ["cml-1"], "{}: {fault:?}", row.driver.title);
            assert!(runners.get(&made.id).await.unwrap().is_some(), "{}: another credential", row.driver.title);
            assert!(fake.unused_faults().is_empty());
        });
    }
}

#[test]
fn a_runner_program_comes_as_a_package_or_as_an_image() {
    each_with_runners(async |row, runners| {
        let (fake, _) = row.fake.as_ref().unwrap();
        for path in ["actions-runner-linux-x64-2.336.0.tar.gz", "v19.3.0/binaries/gitlab-runner-linux-amd64"] {
            fake.offer_download(path, b"a program");
        }
        let digest = cml::digest::hash(b"a program");
        match runners.package(&new("").platform).await.unwrap() {
            Some(package) => assert_eq!((package.sha256, runners.program_image()), (digest, None)),
            None => assert!(runners.program_image().is_some_and(|image| !image.is_empty()), "{}", row.driver.title),
        }
        assert!(row.driver.runner_process.is_some(), "{}", row.driver.title);
    });
}
