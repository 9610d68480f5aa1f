//! A fake forge: one HTTP server that plays GitHub, GitLab and Bitbucket Cloud, keeps what it is told, records what it
//! is asked, and fails on request.
//!
//! ```ignore
//! let forge = Forge::start();
//! forge.seed_comments(Vendor::GitHub, &Target::Pull(7), 250);
//! forge.fault("POST /github/*/comments", 1, Kind::DropAfter);
//! // … run the program with GITHUB_API_URL = forge.api(Vendor::GitHub) and the token `good` …
//! assert_eq!(forge.comments(Vendor::GitHub, &Target::Pull(7)).len(), 251);
//! ```
//!
//! Everything is under one base, [`Forge::url`]:
//!
//! | path | what |
//! | --- | --- |
//! | `/github` (also `/api/v3`), `/github/graphql` | GitHub's API of `octo/model` |
//! | `/gitlab/api/v4` (also `/api/v4`) | GitLab's API of `group/model` (id 42) and `group/sub/model` (id 43) |
//! | `/bitbucket/2.0` | Bitbucket's API of `team/model` |
//! | `/runners/tell`, `/downloads` | what fake runner programs say, and where they come from: `runners.rs` |
//! | `/store` | a server as `https://asset.cml.dev` |
//! | `/octo/model/raw/<commit or branch>/<path>` | files of the Git Data API |
//! | `/-/archives/<repository>/<number>` | where GitHub has the archives of artifacts |
//! | `/<repository>.git` | git over HTTP, of a real repository: [`Forge::serve_git`] |
//! | `/group/model/uploads/…`, `/-/project/42/uploads/…`, `/team/model/downloads/…` | uploaded files |
//!
//! Each repository has the open pull request 7 ([`HEAD`] on `feature`), the merged one 5 ([`MERGE`]), and issue 3.
//! Commits that nothing named are unknown, as on a real forge: see [`Forge::add_commit`]. Tokens are in `auth.rs`.
//!
//! Each request is carried out as a whole under one lock; latency, faults and barriers lie outside of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // a test double may fail loudly
#![allow(clippy::new_without_default)] // what a new one costs is no default
#![allow(clippy::disallowed_methods)] // it is the outside world: real clocks

mod artifacts;
mod auth;
mod bitbucket;
mod clock;
mod fault;
mod gate;
mod git;
mod git_http;
mod github;
mod gitlab;
mod history;
pub mod http;
mod lfs;
pub mod multipart;
mod page;
mod proxy;
mod pull_requests;
mod record;
mod route;
mod runners;
mod runs;
mod serve;
pub mod server;
mod state;
mod store;
mod tls;
mod transcript;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use self::{
    artifacts::Kept,
    clock::{Clock, Time},
    fault::Kind,
    gitlab::jobs::Job,
    proxy::Proxy,
    record::Recorded,
    runners::{Doing, Runner, Runners},
    runs::{Phase, Run},
    state::{
        BOT, CheckRun, Comment, File, HEAD, MERGE, MERGED_HEAD, PullRequest, PullState, Repo, Switches, Target, Vendor,
    },
    tls::{Identity, accept},
};
use self::{serve::Core, server::Server};

/// A barrier waits so long for its requests.
const BARRIER_WAIT: Duration = Duration::from_millis(300);
/// A start line waits so long: long enough for a busy machine.
const START_WAIT: Duration = Duration::from_secs(60);
/// Seeded comments are this old.
const SEED_AGE: Duration = Duration::from_secs(3600);

/// A running fake forge; its threads end when it is dropped.
pub struct Forge {
    core: Arc<Core>,
    server: Server,
    ca_pem: Option<String>,
}

/// Starting, and where things are.
impl Forge {
    /// A plain HTTP server on a free port of 127.0.0.1.
    pub fn start() -> Forge {
        let (core, server) = Core::start(None);
        Forge { core, server, ca_pem: None }
    }

    /// The same with TLS, by a certificate of a new private authority.
    pub fn start_tls() -> Forge {
        let identity = Identity::new();
        let (core, server) = Core::start(Some(identity.config));
        Forge { core, server, ca_pem: Some(identity.ca_pem) }
    }

    /// The same by a certificate for other names, or that is valid from the beginning of one year to that of another.
    pub fn start_tls_for(names: &[&str], from: i32, to: i32) -> Forge {
        let identity = Identity::of(names, from, to);
        let (core, server) = Core::start(Some(identity.config));
        Forge { core, server, ca_pem: Some(identity.ca_pem) }
    }

    /// The authority's certificate, for the client to trust.
    pub fn ca_pem(&self) -> &str {
        self.ca_pem.as_deref().expect("a forge from Forge::start_tls")
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> &str {
        &self.core.url
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> String {
        self.server.address.to_string()
    }

    /// The base URL of a vendor's API.
    pub fn api(&self, vendor: Vendor) -> String {
        format!("{}{}", self.core.url, vendor.api())
    }

    /// The URL of a vendor's default repository.
    pub fn repo_url(&self, vendor: Vendor) -> String {
        format!("{}/{}", self.core.url, vendor.slug())
    }

    /// Where the asset store takes files.
    pub fn store_url(&self) -> String {
        format!("{}/store", self.core.url)
    }
}

/// What the forges hold. All of this is about each vendor's default repository; for others see [`Forge::repo`].
impl Forge {
    /// All comments of a target in the order of their creation, deleted ones too.
    pub fn comments(&self, vendor: Vendor, target: &Target) -> Vec<Comment> {
        self.repo(vendor, vendor.slug(), |repo| repo.thread(target).into_iter().cloned().collect())
    }

    /// Those that are neither deleted nor system notes: what a reader sees.
    pub fn live_comments(&self, vendor: Vendor, target: &Target) -> Vec<Comment> {
        let all = self.comments(vendor, target).into_iter();
        all.filter(|comment| !comment.deleted && !comment.system).collect()
    }

    /// Puts a comment there, an hour old. Gives its id.
    pub fn seed_comment(&self, vendor: Vendor, target: &Target, author: &str, body: &str) -> u64 {
        self.seed_comment_aged(vendor, target, author, body, SEED_AGE)
    }

    /// Puts a comment of a certain age there. Gives its id.
    pub fn seed_comment_aged(&self, vendor: Vendor, target: &Target, author: &str, body: &str, age: Duration) -> u64 {
        self.seed(vendor, target, age, |_| (author.to_owned(), body.to_owned()), 1)[0]
    }

    /// Puts `comment 1` … `comment n` of octocat there, an hour old. Gives their ids.
    pub fn seed_comments(&self, vendor: Vendor, target: &Target, n: usize) -> Vec<u64> {
        let comment = |i: usize| ("octocat".to_owned(), format!("comment {}", i + 1));
        self.seed(vendor, target, SEED_AGE, comment, n)
    }

    /// Puts a note of GitLab itself there. Gives its id.
    pub fn seed_system_note(&self, target: &Target, body: &str) -> u64 {
        let mut state = server::lock(&self.core.state);
        let (repo, desk) = state.repo(Vendor::GitLab, Vendor::GitLab.slug()).expect("the default project");
        let target = repo.target(target).expect("a known target");
        let at = Time(desk.tick().0.saturating_sub(SEED_AGE.as_micros() as u64));
        gitlab::system_note(repo, desk, target, body, at)
    }

    fn seed(
        &self,
        vendor: Vendor,
        target: &Target,
        age: Duration,
        comment: impl Fn(usize) -> (String, String),
        n: usize,
    ) -> Vec<u64> {
        let mut state = server::lock(&self.core.state);
        let (repo, desk) = state.repo(vendor, vendor.slug()).expect("the default repository");
        let target = repo.target(target).expect("a known target");
        let mut seed_one = |i: usize| {
            let (author, body) = comment(i);
            let at = Time(desk.tick().0.saturating_sub(age.as_micros() as u64));
            desk.write_at(repo, target.clone(), &author, body, at).id
        };
        (0..n).map(&mut seed_one).collect()
    }

    /// Adds or replaces a pull or merge request; its commits become known.
    pub fn add_pull_request(&self, vendor: Vendor, pull: PullRequest) {
        self.repo(vendor, vendor.slug(), |repo| repo.add_pull(pull));
    }

    /// Makes an issue known.
    pub fn add_issue(&self, vendor: Vendor, number: u64) {
        self.repo(vendor, vendor.slug(), |repo| repo.issues.insert(number));
    }

    /// Makes a commit known, such as the `HEAD` of a test's working copy.
    pub fn add_commit(&self, vendor: Vendor, sha: &str) {
        self.repo(vendor, vendor.slug(), |repo| repo.commits.insert(sha.to_owned()));
    }

    /// Looks at, or changes, any repository. It is made if there is none of that name.
    pub fn repo<R>(&self, vendor: Vendor, slug: &str, see: impl FnOnce(&mut Repo) -> R) -> R {
        let mut state = server::lock(&self.core.state);
        let id = 41 + state.repos.len() as u64;
        let key = (vendor, slug.to_owned());
        see(state.repos.entry(key).or_insert_with(|| Repo::new(vendor, id, slug)))
    }

    /// GitLab's uploads or Bitbucket's downloads.
    pub fn files(&self, vendor: Vendor) -> Vec<File> {
        self.repo(vendor, vendor.slug(), |repo| repo.files.clone())
    }

    /// The runners that are registered at a repository, organisation, group or workspace, oldest first.
    pub fn runners(&self, vendor: Vendor, place: &str) -> Vec<Runner> {
        let all = server::lock(&self.core.state).runners.all.clone();
        all.into_iter().filter(|runner| runner.vendor == vendor && runner.place == place).collect()
    }

    /// Looks at, or changes, what the forges know of runners: `forge.configure_runners(|r| r.old_gitlab = true)`.
    pub fn configure_runners<R>(&self, change: impl FnOnce(&mut Runners) -> R) -> R {
        change(&mut server::lock(&self.core.state).runners)
    }

    /// Makes a runner online, busy or offline, as its program would.
    pub fn set_runner(&self, name: &str, doing: Doing) {
        self.configure_runners(|runners| {
            let runner = runners.all.iter_mut().find(|runner| runner.name == name);
            runner.expect("a registered runner").doing = doing;
        });
    }

    /// Adds a job for GitLab's runners: a line of the shell without quotation marks and brackets. Returns its number.
    pub fn queue_job(&self, script: &str) -> u64 {
        self.configure_runners(|runners| runners.queue.add(script))
    }

    /// Such a job as GitLab sees it.
    pub fn job(&self, id: u64) -> Job {
        self.configure_runners(|runners| runners.queue.jobs.iter().find(|job| job.id == id).cloned()).expect("a job")
    }

    /// A runner program to download from [`Forge::downloads_url`].
    pub fn offer_download(&self, path: &str, body: &[u8]) {
        self.configure_runners(|runners| runners.files.insert(path.to_owned(), body.to_owned()));
    }

    /// Where runner programs are: `CML_GITLAB_RUNNER_DOWNLOADS`.
    pub fn downloads_url(&self) -> String {
        format!("{}/downloads", self.core.url)
    }

    /// Where a fake runner program tells what it does, with `/online`, `/busy`, `/done` or `/offline`.
    pub fn tell_url(&self) -> String {
        format!("{}/runners/tell", self.core.url)
    }

    /// What the asset store holds.
    pub fn stored(&self) -> Vec<File> {
        server::lock(&self.core.state).store.clone()
    }

    /// GitHub's refs, by full name.
    pub fn refs(&self) -> BTreeMap<String, String> {
        self.repo(Vendor::GitHub, Vendor::GitHub.slug(), |repo| repo.git.refs.clone())
    }

    /// The paths of all files that a ref (by full name) or commit of GitHub's repository shows.
    pub fn git_files(&self, revision: &str) -> BTreeMap<String, Vec<u8>> {
        self.repo(Vendor::GitHub, Vendor::GitHub.slug(), |repo| {
            let git = &repo.git;
            let commit = git.refs.get(revision).map_or(revision, String::as_str);
            let tree = git.tree_of(commit).unwrap_or_default();
            let files = git.list(&tree, false).into_iter();
            files.map(|(path, entry)| (path, git.blobs.get(&entry.sha).cloned().unwrap_or_default())).collect()
        })
    }

    /// Turns a [`Switches`] field: `forge.configure(|s| s.omit_totals = true)`.
    pub fn configure(&self, change: impl FnOnce(&mut Switches)) {
        change(&mut server::lock(&self.core.state).desk.switches);
    }

    /// Sets the server's clock; it is real at first.
    pub fn clock(&self, clock: Clock) {
        server::lock(&self.core.state).desk.set_clock(clock);
    }
}

/// How the server behaves. A pattern is the beginning of `METHOD path?query`; `*` stands for any characters, and a `$`
/// at its end for the end.
impl Forge {
    /// Each answer takes this long, half of it before the request is carried out.
    pub fn latency(&self, time: Duration) {
        *server::lock(&self.core.latency) = time;
    }

    /// The next `times` requests of a pattern go wrong. Several orders for the same requests follow each other.
    pub fn fault(&self, pattern: &str, times: usize, kind: Kind) {
        self.core.faults.add(pattern, 0, times, kind);
    }

    /// The same after `skip` requests of the pattern were served well.
    pub fn fault_after(&self, skip: usize, pattern: &str, times: usize, kind: Kind) {
        self.core.faults.add(pattern, skip, times, kind);
    }

    /// The patterns of faults that were played less often than ordered.
    pub fn unused_faults(&self) -> Vec<String> {
        self.core.faults.unused()
    }

    /// Carries a request out without a connection; `None` when its answer is lost.
    pub fn exchange(&self, request: &http::Request) -> Option<http::Response> {
        self.core.exchange(request)
    }

    /// Requests of a pattern wait until `n` are there (or 300 ms have passed), are carried out, and are answered when
    /// all of them have been carried out. Then the next `n`, and so on.
    pub fn barrier(&self, pattern: &str, n: usize) {
        self.barrier_within(pattern, n, BARRIER_WAIT);
    }

    /// The same with another patience.
    pub fn barrier_within(&self, pattern: &str, n: usize, wait: Duration) {
        server::lock(&self.core.gates).push(Arc::new(gate::Gate::new(pattern, n, wait)));
    }

    /// The first `n` requests of a pattern wait for each other, however long a busy machine takes to send them; later ones pass.
    pub fn start_line(&self, pattern: &str, n: usize) {
        server::lock(&self.core.gates).push(Arc::new(gate::Gate::new(pattern, n, START_WAIT).once()));
    }
}

/// What was asked.
impl Forge {
    /// The requests in the order of their arrival.
    pub fn requests(&self) -> Vec<Recorded> {
        self.core.log.all()
    }

    /// Those that are not git's.
    pub fn api_requests(&self) -> Vec<Recorded> {
        self.requests().into_iter().filter(|request| !git_http::is_git(&request.path)).collect()
    }

    /// Serves a real bare repository as the default one of a vendor, over HTTP; its pull requests need its branches.
    pub fn serve_git(&self, vendor: Vendor, bare: &std::path::Path) {
        self.repo(vendor, vendor.slug(), |repo| repo.bare = Some(bare.to_owned()));
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.core.log.clear();
    }

    /// The requests as text for snapshots; see `transcript.rs`.
    pub fn transcript(&self) -> String {
        transcript::transcript(&self.api_requests(), self.url())
    }

    /// The most requests at the same time.
    pub fn max_concurrent(&self) -> usize {
        record::max_concurrent(&self.requests())
    }

    /// The longest chain of requests one after the other. Meaningful with some latency only.
    pub fn round_trips(&self) -> usize {
        record::round_trips(&self.requests())
    }

    /// How many connections were opened.
    pub fn connections(&self) -> usize {
        self.server.life.accepted()
    }
}
