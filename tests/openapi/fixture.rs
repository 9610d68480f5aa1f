//! A repository on a fake forge with the checker before it.

use crate::support::Cml;
use crate::support::fake::{Comment, Forge, HEAD, Kind, Repo, Target, Vendor};
use crate::support::library::Library;
use crate::support::net::{Answer, send};
use crate::support::prism::Prism;
use cml::connect::Global;
use cml::env::Secret;
use cml::log::Level;
use serde_json::{Value, json};
use std::io::Write;
use std::sync::{Arc, OnceLock};

/// A fake forge, and the checker before it.
pub struct Checked {
    pub prism: Prism,
    pub forge: Forge,
}

/// The vendor's, one for all tests, as it takes seconds to start.
fn shared(vendor: Vendor) -> Option<Arc<Checked>> {
    static SHARED: [OnceLock<Option<Arc<Checked>>>; 3] = [const { OnceLock::new() }; 3];
    let start = || {
        let forge = Forge::start();
        Some(Arc::new(Checked { prism: Prism::guarding(vendor, &forge)?, forge }))
    };
    SHARED[vendor as usize].get_or_init(start).clone()
}

/// A test's own repository, in which nothing may be against the description.
pub struct ApiFixture {
    vendor: Vendor,
    pub checked: Arc<Checked>,
    pub slug: String,
    pub cml: Cml,
}

impl ApiFixture {
    /// In the pipeline of pull request 7.
    pub fn new(vendor: Vendor, name: &str) -> Option<ApiFixture> {
        Some(ApiFixture::at(shared(vendor)?, vendor, name))
    }

    pub fn at(checked: Arc<Checked>, vendor: Vendor, name: &str) -> ApiFixture {
        let owner = if vendor == Vendor::Bitbucket { "team" } else { "octo" };
        let slug = format!("{owner}/{name}");
        checked.forge.repo(vendor, &slug, |_| ());
        let mut cml = Cml::on(&checked.forge, vendor);
        match vendor {
            Vendor::Bitbucket => {
                let page = format!("{}/{slug}", checked.forge.url());
                cml.set("BITBUCKET_REPO_FULL_NAME", &slug).set("CML_REPO", &page);
                cml.set("BITBUCKET_API_URL", &checked.prism.api());
            }
            _ => {
                cml.set("GITHUB_REPOSITORY", &slug).set("GITHUB_API_URL", &checked.prism.api());
                let head = json!({ "sha": HEAD, "repo": { "full_name": slug } });
                cml.file("event.json", json!({ "pull_request": { "number": 7, "head": head } }).to_string());
            }
        }
        ApiFixture { vendor, checked, slug, cml }
    }

    /// In the pipeline of a push, which says nothing of a pull request.
    pub fn pushed(mut self, commit: &str, branch: &str) -> ApiFixture {
        let cml = &mut self.cml;
        match self.vendor {
            Vendor::Bitbucket => {
                cml.unset("BITBUCKET_PR_ID").set("BITBUCKET_COMMIT", commit).set("BITBUCKET_BRANCH", branch)
            }
            _ => cml
                .unset("GITHUB_EVENT_PATH")
                .set("GITHUB_EVENT_NAME", "push")
                .set("GITHUB_SHA", commit)
                .set("GITHUB_REF", &format!("refs/heads/{branch}")),
        };
        self
    }

    /// In a clone of it with one commit, on its main branch.
    pub fn cloned(mut self) -> ApiFixture {
        let bare = self.cml.path().join(".git/bare");
        self.cml.file("model.json", "1");
        self.cml.git(&["init", "-q"]);
        self.cml.git(&["add", "model.json"]);
        self.cml.git(&["commit", "-q", "-m", "first"]);
        self.cml.git(&["init", "-q", "--bare", bare.to_str().unwrap()]);
        self.cml.git(&["remote", "add", "origin", bare.to_str().unwrap()]);
        self.cml.git(&["push", "-q", "origin", "main"]);
        self.repo(|repo| repo.bare = Some(bare));
        let head = self.cml.git(&["rev-parse", "HEAD"]);
        self = self.pushed(&head, "main");
        self
    }

    /// The repository's place in the addresses of the API.
    fn path(&self) -> String {
        match self.vendor {
            Vendor::Bitbucket => format!("/repositories/{}", self.slug),
            _ => format!("/repos/{}", self.slug),
        }
    }

    pub fn repo<R>(&self, see: impl FnOnce(&mut Repo) -> R) -> R {
        self.checked.forge.repo(self.vendor, &self.slug, see)
    }

    /// The comments that a reader sees.
    pub fn comments(&self, target: &Target) -> Vec<Comment> {
        self.repo(|repo| repo.thread(target).into_iter().filter(|comment| !comment.deleted).cloned().collect())
    }

    pub fn bodies(&self, target: &Target) -> Vec<String> {
        self.comments(target).into_iter().map(|comment| comment.body).collect()
    }

    /// How many requests of a method had an address that ends so.
    pub fn count(&self, method: &str, end: &str) -> usize {
        let requests = self.checked.forge.requests().into_iter();
        let of_it = requests.filter(|request| request.path.contains(&format!("{}/", self.path())));
        of_it.filter(|request| request.method == method && request.path.ends_with(end)).count()
    }

    /// The next request of a kind gets this answer.
    pub fn fault(&self, method: &str, path: &str, status: u16, body: &Value) {
        let base = self.checked.forge.api(self.vendor);
        let base = base.strip_prefix(self.checked.forge.url()).unwrap_or_default();
        let pattern = format!("{method} {base}{}{path}", self.path());
        self.checked.forge.fault(&pattern, 1, Kind::answer(status, &[], &body.to_string()));
    }

    /// Somebody else's request.
    pub fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        let url = format!("{}{}{path}", self.checked.prism.api(), self.path());
        let headers = [("Authorization", "Bearer good"), ("Content-Type", "application/json")];
        match body {
            Value::Null => send(method, &url, &headers[..1], b"").unwrap(),
            body => send(method, &url, &headers, body.to_string().as_bytes()).unwrap(),
        }
    }
}

impl Drop for ApiFixture {
    fn drop(&mut self) {
        let violations = self.checked.prism.violations(&self.slug);
        if !std::thread::panicking() {
            assert!(violations.is_empty(), "{violations:#?}");
        } else if !violations.is_empty() {
            // They are why.
            std::io::stderr().write_all(format!("{}: {violations:#?}\n", self.slug).as_bytes()).unwrap();
        }
    }
}

/// What the checker had against a test's requests; it is forgiven.
pub fn caught(vendor: Vendor, name: &str, do_it: impl FnOnce(&ApiFixture)) -> Option<Vec<String>> {
    let fixture = ApiFixture::new(vendor, name)?;
    do_it(&fixture);
    let violations = fixture.checked.prism.forgive(&fixture.slug);
    Some(violations)
}

/// The library's way to the runners of a repository, or of its owner.
pub fn runners_of(checked: &Checked, vendor: Vendor, place: &str) -> (Library, Global) {
    let (variable, driver) = match vendor {
        Vendor::Bitbucket => ("BITBUCKET_API_URL", "bitbucket"),
        _ => ("GITHUB_API_URL", "github"),
    };
    let global = Global {
        driver: Some(driver.into()),
        repo: Some(format!("{}/{place}", checked.forge.url())),
        token: Some(Secret::new("good")),
        timeout: 30,
        ca_cert: None,
        log: Level::Error.into(),
        verbose: 0,
        quiet: 0,
    };
    (Library::new(&[(variable, &checked.prism.api())]), global)
}
