//! The contract of the trait `Forge`: the same assertions over every row of `FORGES`, inside the process, against the
//! fake of each. What a forge cannot do it refuses, with a hint, before it does anything.

use crate::support::fake::{self, HEAD, Phase, Run, Vendor};
use crate::support::host::TestHost;
use crate::support::net::get;
use crate::support::png;
use bytes::Bytes;
use cml::digest::hash;
use cml::env::Secret;
use cml::error::{Error, Kind};
use cml::forge::assets::{Asset, Content};
use cml::forge::checks::{Check, CheckState, Conclusion};
use cml::forge::pull_requests::{Merge, Merged, NewPullRequest};
use cml::forge::{Capability, Connection, Context, Driver, FORGES, Forge, Repository, Target, require};
use cml::host::Host;
use cml::host::native::Native;
use cml::http::{Http, RetryPolicy};
use cml::log::{Level, Log};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// A row of the table, connected.
struct Row {
    driver: &'static Driver,
    forge: Rc<dyn Forge>,
    /// A repository that there is not, where there can be such a one.
    other: Option<Rc<dyn Forge>>,
    http: Http,
    fake: Option<(fake::Forge, Vendor)>,
    folder: tempfile::TempDir,
}

/// The fake of a row; a new forge needs one.
fn vendor(driver: &Driver) -> Option<Vendor> {
    match driver.name {
        "github" => Some(Vendor::GitHub),
        "gitlab" => Some(Vendor::GitLab),
        "bitbucket" => Some(Vendor::Bitbucket),
        "local" => None,
        name => panic!("{name} has no fake: the contract needs one"),
    }
}

fn row(driver: &'static Driver) -> Row {
    let folder = tempfile::tempdir().unwrap();
    let fake = vendor(driver).map(|vendor| (fake::Forge::start(), vendor));
    let (url, env) = match &fake {
        Some((fake, vendor)) => {
            let variables =
                ["GITHUB_API_URL", "CI_API_V4_URL", "BITBUCKET_API_URL"].map(|name| (name, fake.api(*vendor)));
            fake.repo(*vendor, vendor.slug(), |repo| {
                for branch in ["main", "work"] {
                    repo.git.refs.insert(format!("refs/heads/{branch}"), HEAD.to_owned());
                }
                repo.runs.insert(5, Run::new(5, Phase::Failed));
            });
            (fake.repo_url(*vendor), variables.into_iter().collect())
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
    Row { driver, forge: connect(&url), other, http, fake, folder }
}

/// Holds every row to the contract.
fn each(test: impl AsyncFn(&Row)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for driver in FORGES {
        runtime.block_on(async { test(&row(driver)).await });
    }
}

/// An error says what is wrong, and one that is the user's to solve says how.
fn explains(row: &Row, error: &Error, kind: Kind) {
    let text = error.to_string();
    assert_eq!(error.kind(), kind, "{}: {text}", row.driver.title);
    // The words of a forge are its own.
    let ours = matches!(kind, Kind::Unsupported | Kind::Usage);
    assert!(!ours || (!text.ends_with('.') && error.hint_text().is_some()), "{text}");
}

impl Row {
    /// Whether the row can do something; what it cannot do it refuses without a request.
    fn can<T>(&self, answer: &Result<T, Error>) -> bool {
        let Err(error) = answer else { return true };
        explains(self, error, Kind::Unsupported);
        assert_eq!(self.http.requests(), 0);
        false
    }

    fn page_is_ours(&self, url: &str) {
        match &self.fake {
            Some((fake, vendor)) => assert!(url.starts_with(&fake.repo_url(*vendor)), "{}: {url}", self.driver.title),
            None => assert!(url.contains(".cml/"), "{url}"),
        }
    }
}

fn asset(seed: u8) -> Asset {
    let bytes = png(seed);
    Asset {
        hash: hash(&bytes),
        name: format!("plot {seed}.png"),
        mime: "image/png".into(),
        extension: "png".into(),
        content: Content::Here(Bytes::from(bytes)),
    }
}

#[test]
fn comments_are_made_read_changed_and_deleted() {
    each(async |row| {
        let comments = row.forge.comments();
        assert!(comments.max_length() >= 32_768);
        for target in [Target::PullRequest(7), Target::Commit(HEAD.to_owned()), Target::Issue(3)] {
            let one = comments.create(&target, "one\n\n*ä* |`x`|").await.unwrap();
            let two = comments.create(&target, "two").await.unwrap();
            assert!(one.order < two.order && one.id != two.id && one.created > 1_700_000_000);
            assert_eq!(comments.get(&target, &one.id).await.unwrap().body, "one\n\n*ä* |`x`|");
            let all = comments.list(&target, &|_| true).await.unwrap();
            let at = |id: &str| all.iter().position(|comment| comment.id == id).unwrap();
            assert!(at(&one.id) < at(&two.id), "the oldest first");
            let kept = comments.list(&target, &|comment| comment.body == "two").await.unwrap();
            assert_eq!(kept, std::slice::from_ref(&two));
            let changed = comments.update(&target, &one.id, "three", RetryPolicy::Idempotent).await.unwrap();
            assert_eq!((&changed.id, changed.order, changed.url == one.url), (&one.id, one.order, true));
            assert_eq!(comments.get(&target, &one.id).await.unwrap().body, "three");
            for id in [&one.id, &one.id, &two.id] {
                comments.delete(&target, id).await.unwrap();
            }
            explains(row, &comments.get(&target, &one.id).await.unwrap_err(), Kind::NotFound);
            assert!(comments.list(&target, &|comment| comment.id == one.id).await.unwrap().is_empty());
        }
    });
}

#[test]
fn comments_are_hidden_where_the_forge_hides_them() {
    each(async |row| {
        let (comments, on) = (row.forge.comments(), Target::PullRequest(7));
        let hiding = require(comments.hiding(), Capability::HideComments, row.driver);
        if !row.can(&hiding) {
            return;
        }
        let comment = comments.create(&on, "one").await.unwrap();
        hiding.unwrap().hide(&on, &comment.id).await.unwrap();
    });
}

#[test]
fn repositories_are_seen_or_not() {
    each(async |row| {
        assert!(row.forge.can_see_repository().await.unwrap());
        if let Some(other) = &row.other {
            assert!(!other.can_see_repository().await.unwrap());
            let missing = other.comments().create(&Target::PullRequest(7), "x").await.unwrap_err();
            explains(row, &missing, Kind::NotFound);
        }
    });
}

/// Addresses that end as that of a file does, or contain it, and lead elsewhere.
fn forgeries(address: &str, name: &str) -> Vec<String> {
    let folder = address.rfind(name).map(|at| &address[..at]).unwrap();
    let mut all = vec![
        format!("https://evil.example/x/{name}"),
        format!("https://evil.example/{address}"),
        format!("https://evil.example/?{address}"),
        format!("{address}/{name}"),
        format!("{address}?{name}"),
        format!("{folder}x/../{name}"),
        format!("{folder}x{name}"),
        format!(" {address}"),
        name.to_owned(),
    ];
    if let Some(rest) = address.strip_prefix("http://127.0.0.1:") {
        let (port, path) = rest.split_once('/').unwrap();
        all.extend([
            format!("https://127.0.0.1:{port}/{path}"),
            format!("http://127.0.0.1.evil.example:{port}/{path}"),
            format!("http://127.0.0.1:{port}@evil.example/{path}"),
            format!("http://127.0.0.1:{port}0/{path}"),
            format!("http://127.0.0.1:{port}/mallory/{path}"),
            address.replace("model", "other").replace("/42/", "/99/"),
            address.replacen("/raw/", "/raw/main", 1).replacen("/uploads/", "/uploads/z", 1).replacen("cml-", "x-", 1),
        ]);
    }
    all
}

#[test]
fn files_have_addresses_in_their_order_that_serve_them() {
    each(async |row| {
        let (forge, assets) = (row.forge.assets(), [asset(1), asset(2)]);
        for _ in 0..2 {
            let progress = RefCell::new(Vec::new());
            let addresses = forge.upload(&assets, &|done| progress.borrow_mut().push(done)).await.unwrap();
            assert_eq!((addresses.len(), progress.borrow().last()), (2, Some(&2)));
            for (asset, address) in assets.iter().zip(&addresses) {
                assert!(forge.is_asset(address, &asset.unique_name()), "{address}");
                assert!(!forge.is_asset(address, "0123.png") && !forge.is_asset(&format!("{address}?x=1"), "x"));
                for other in forgeries(address, &asset.unique_name()) {
                    assert!(!forge.is_asset(&other, &asset.unique_name()), "{other}");
                }
                let bytes = match row.fake {
                    Some(_) => get(address).body,
                    None => std::fs::read(row.folder.path().join(".cml").join(address)).unwrap(),
                };
                assert_eq!(bytes, asset.read().unwrap(), "{address}");
                assert!(forge.address_outside(address).ends_with(address.as_str()));
            }
        }
        assert_eq!(forge.upload(&[], &|_| {}).await.unwrap(), Vec::<String>::new());
    });
}

#[test]
fn a_check_is_made_once_and_completed() {
    each(async |row| {
        let checks = require(row.forge.checks(), Capability::Checks, row.driver);
        if !row.can(&checks) {
            return;
        }
        let checks = checks.unwrap();
        let mut check = Check {
            commit: HEAD.to_owned(),
            title: "tests".to_owned(),
            state: CheckState::InProgress,
            report: vec!["# Report".to_owned()],
            annotations: Vec::new(),
            data: Vec::new(),
            id: None,
        };
        assert!(checks.report_limits().is_none_or(|limits| limits.parts > 0 && limits.part > 1000));
        let made = checks.create(&check).await.unwrap();
        check.state = CheckState::Completed(Conclusion::Failure);
        let completed = checks.create(&check).await.unwrap();
        assert_eq!((&completed.id, &completed.url), (&made.id, &made.url));
        row.page_is_ours(&made.url);
        if row.fake.is_none() {
            // The preview shows checks of any commit.
            return;
        }
        check.commit = "f".repeat(40);
        let unknown = checks.create(&check).await.unwrap_err();
        assert!(!unknown.is_ambiguous() && unknown.kind() != Kind::Internal, "{unknown}");
    });
}

#[test]
fn a_pull_request_is_opened_found_and_merged() {
    each(async |row| {
        let pulls = require(row.forge.pull_requests(), Capability::PullRequests, row.driver);
        if !row.can(&pulls) {
            return;
        }
        let pulls = pulls.unwrap();
        let new = NewPullRequest {
            title: "T".to_owned(),
            body: "B".to_owned(),
            source: "work".to_owned(),
            target: "main".to_owned(),
        };
        let push_config = pulls.push_config();
        assert!(push_config.credential.is_some_and(|(user, token)| !user.is_empty() && token.expose() == "good"));
        assert!(push_config.author.is_none_or(|(name, address)| !name.is_empty() && address.contains('@')));
        assert!(!push_config.merges.is_empty() && push_config.noun.ends_with("Request"));

        assert_eq!(pulls.find("work", "main").await.unwrap(), None);
        let pull = pulls.create(&new).await.unwrap();
        assert!(pull.open && pull.is_at(HEAD), "{pull:?}");
        row.page_is_ours(&pull.url);
        assert_eq!(pulls.find("work", "main").await.unwrap().as_ref(), Some(&pull));
        assert_eq!(pulls.find("work", "other").await.unwrap(), None);
        let listed = pulls.list(HEAD, Some("work")).await.unwrap();
        assert!(listed.iter().any(|pull| pull.open), "{listed:?}");
        let missing = NewPullRequest { source: "nowhere".to_owned(), ..new };
        let missing = pulls.create(&missing).await.unwrap_err();
        assert!(!missing.is_ambiguous() && missing.kind() != Kind::Internal, "{missing}");

        let (fake, vendor) = row.fake.as_ref().unwrap();
        fake.configure(|switches| switches.auto_merge = true);
        let merged = pulls.merge(&pull, Merge::Squash).await.unwrap();
        let found = pulls.find("work", "main").await.unwrap().unwrap();
        assert_eq!((found.number, found.open), (pull.number, merged == Merged::Later), "{vendor:?}");
        if !found.open {
            assert!(found.is_at(HEAD), "{found:?}");
        }
    });
}

#[test]
fn a_run_is_restarted_by_its_number_or_as_ones_own() {
    each(async |row| {
        let nobody = Context::default();
        let runs = require(row.forge.runs(), Capability::Runs, row.driver);
        if !row.can(&runs) {
            return;
        }
        let (runs, (fake, vendor)) = (runs.unwrap(), row.fake.as_ref().unwrap());
        explains(row, &runs.rerun(None, &nobody, &row.http).await.unwrap_err(), Kind::Usage);
        explains(row, &runs.rerun(Some("x/y"), &nobody, &row.http).await.unwrap_err(), Kind::Usage);
        assert_eq!(row.http.requests(), 0);
        let missing = runs.rerun(Some("404"), &nobody, &row.http).await.unwrap_err();
        explains(row, &missing, Kind::NotFound);
        assert!(missing.hint_text().is_some());
        let started = runs.rerun(Some("5"), &nobody, &row.http).await.unwrap();
        row.page_is_ours(&started.url);
        fake.repo(*vendor, vendor.slug(), |repo| repo.runs.insert(6, Run::new(6, Phase::Failed)));
        let own = Context { workflow: Some("6".to_owned()), run: Some("6".to_owned()), ..Context::default() };
        row.page_is_ours(&runs.rerun(None, &own, &row.http).await.unwrap().url);
    });
}
