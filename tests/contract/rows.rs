//! The rows: every forge connected to its fake, and what each lacks.

use crate::support::fake::{self, HEAD, Phase, Run, Vendor};
use crate::support::host::TestHost;
use cml::env::Secret;
use cml::error::{Error, Kind};
use cml::forge::{Capability, Connection, Context, Driver, FORGES, Forge, Repository, Target, require};
use cml::host::Host;
use cml::host::native::Native;
use cml::http::Http;
use cml::log::{Level, Log};
use std::rc::Rc;
use std::time::Duration;

/// What the suites need to know about a forge.
struct Expected {
    /// Its [`Driver::name`].
    name: &'static str,
    /// The fake that plays it.
    vendor: Option<Vendor>,
    /// What it lacks.
    lacks: &'static [Capability],
}

/// One for each row of `FORGES`.
const EXPECTED: [Expected; 4] = [
    Expected { name: "github", vendor: Some(Vendor::GitHub), lacks: &[] },
    Expected { name: "gitlab", vendor: Some(Vendor::GitLab), lacks: &[Capability::HideComments] },
    Expected {
        name: "bitbucket",
        vendor: Some(Vendor::Bitbucket),
        lacks: &[Capability::HideComments, Capability::LostJobs, Capability::Labels, Capability::Artifacts],
    },
    Expected {
        name: "local",
        vendor: None,
        lacks: &[
            Capability::PullRequests,
            Capability::Runs,
            Capability::LostJobs,
            Capability::Runners,
            Capability::Labels,
            Capability::Artifacts,
        ],
    },
];

/// A row of the table, connected.
pub struct Row {
    pub driver: &'static Driver,
    pub forge: Rc<dyn Forge>,
    /// A repository that does not exist, where there can be such a one.
    pub other: Option<Rc<dyn Forge>>,
    pub http: Http,
    pub log: Log,
    /// The server that plays the forge; the preview has none.
    pub fake: Option<(fake::Forge, Vendor)>,
    pub folder: tempfile::TempDir,
    lacks: &'static [Capability],
}

impl Row {
    fn new(driver: &'static Driver) -> Row {
        let expected = EXPECTED.iter().find(|row| row.name == driver.name);
        let expected = expected.unwrap_or_else(|| panic!("{} has no row in tests/contract/rows.rs", driver.name));
        let folder = tempfile::tempdir().unwrap();
        let fake = expected.vendor.map(|vendor| (fake::Forge::start(), vendor));
        let (url, env) = match &fake {
            Some((fake, vendor)) => {
                let variables =
                    ["GITHUB_API_URL", "CI_API_V4_URL", "BITBUCKET_API_URL"].map(|name| (name, fake.api(*vendor)));
                let downloads = [("CML_GITLAB_RUNNER_DOWNLOADS", fake.downloads_url())];
                fake.repo(*vendor, vendor.slug(), |repo| {
                    for branch in ["main", "work"] {
                        repo.git.refs.insert(format!("refs/heads/{branch}"), HEAD.to_owned());
                    }
                    repo.runs.insert(5, Run::new(5, Phase::Failed));
                });
                (fake.repo_url(*vendor), variables.into_iter().chain(downloads).collect())
            }
            None => ("http://localhost/local/model".to_owned(), std::iter::empty::<(&str, &str)>().collect()),
        };
        let native = Native::default();
        let host: Rc<dyn Host> = Rc::new(TestHost { native, env, folder: folder.path().to_owned() });
        let log = Log::new(host.clone(), Level::Error);
        let http = Http::new(host.clone(), log.clone(), Duration::from_secs(60));
        let connect = |url: &str| {
            let connection = Connection {
                repository: Repository::parse(url, None).unwrap(),
                api: None,
                token: Some((Secret::new("good"), "REPO_TOKEN")),
                context: Context::default(),
                publish_branch: None,
                http: http.clone(),
                log: log.clone(),
                host: host.clone(),
            };
            (driver.connect)(connection).unwrap()
        };
        let other = fake.as_ref().map(|(fake, _)| connect(&format!("{}/nobody/none", fake.url())));
        Row { driver, forge: connect(&url), other, http, log, fake, folder, lacks: expected.lacks }
    }

    /// Whether the row has a capability, as its expectation says; a missing one is refused without a request.
    pub fn has<T: ?Sized>(&self, capability: Option<&T>, what: Capability) -> bool {
        let found = require(capability, what, self.driver);
        assert_eq!(found.is_err(), self.lacks.contains(&what), "{}: {what}", self.driver.title);
        if let Err(error) = &found {
            self.explains(error, Kind::Unsupported);
            assert!(error.to_string().starts_with(&format!("{} does not support ", self.driver.title)), "{error}");
            assert_eq!(self.http.requests(), 0);
        }
        found.is_ok()
    }

    /// An error says what is wrong, and one that the user can solve says how.
    pub fn explains(&self, error: &Error, kind: Kind) {
        let text = error.to_string();
        assert_eq!(error.kind(), kind, "{}: {text}", self.driver.title);
        // The words of a forge are its own.
        let ours = matches!(kind, Kind::Unsupported | Kind::Usage);
        assert!(!ours || (!text.ends_with('.') && error.hint_text().is_some()), "{text}");
    }

    pub fn page_is_ours(&self, url: &str) {
        match &self.fake {
            Some((fake, vendor)) => assert!(url.starts_with(&fake.repo_url(*vendor)), "{}: {url}", self.driver.title),
            None => assert!(url.contains(".cml/"), "{url}"),
        }
    }

    /// The scripted repository.
    pub fn repo<R>(&self, see: impl FnOnce(&mut fake::Repo) -> R) -> R {
        let (fake, vendor) = self.fake.as_ref().expect("a forge with a server");
        fake.repo(*vendor, vendor.slug(), see)
    }
}

/// Holds every row to the contract.
pub fn each(test: impl AsyncFn(&Row)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for driver in FORGES {
        runtime.block_on(async { test(&Row::new(driver)).await });
    }
}

#[test]
fn every_forge_has_a_row_that_says_what_it_lacks() {
    let names: Vec<_> = FORGES.iter().map(|driver| driver.name).collect();
    assert_eq!(names, EXPECTED.map(|row| row.name));
    each(async |row| {
        let forge = &row.forge;
        row.has(forge.comments().hiding(), Capability::HideComments);
        row.has(forge.checks(), Capability::Checks);
        row.has(forge.pull_requests(), Capability::PullRequests);
        row.has(forge.runs(), Capability::Runs);
        row.has(forge.runs().and_then(|runs| runs.lost_jobs()), Capability::LostJobs);
        row.has(forge.runners(), Capability::Runners);
        row.has(forge.labels(), Capability::Labels);
        row.has(forge.artifacts(), Capability::Artifacts);
    });
}

#[test]
fn repositories_are_seen_or_not() {
    each(async |row| {
        assert!(row.forge.can_see_repository().await.unwrap());
        if let Some(other) = &row.other {
            assert!(!other.can_see_repository().await.unwrap());
            let missing = other.comments().create(&Target::PullRequest(7), "x").await.unwrap_err();
            row.explains(&missing, Kind::NotFound);
        }
    });
}
