//! The forges: one trait, its domain types, and the table of those that there are.
//!
//! A forge is one file: its wire format, its addresses, its errors and its variables. Adding one is a file, a
//! `mod` line and a row in [`FORGES`].

pub use crate::ci::Context;
pub use crate::digest::hash;
use crate::env::{Env, Secret, Var};
use crate::error::{Error, Kind, Result};
use crate::files::{Files, LARGEST_FILE};
use crate::host::Host;
use crate::http::{Http, RetryPolicy};
use crate::log::Log;
use crate::report::split::ReportLimits;
pub use crate::repository::Repository;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use permission::{About, Diagnosis};
use runners::Runners;
use runs::Runs;
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;

pub mod bitbucket;
mod capability;
pub mod check;
pub mod github;
pub mod gitlab;
pub mod local;
mod once;
pub mod permission;
pub mod pull;
mod rest;
pub mod target;

pub use capability::{Capability, require, runners, runs};
pub use once::create_comment_once;

/// A row of [`FORGES`]: everything the core knows about a forge before it talks to it.
pub struct Driver {
    /// The name that `--driver` takes.
    pub name: &'static str,
    /// The name people use.
    pub title: &'static str,
    /// Hosts that are this forge; one that begins with a dot stands for all below it.
    pub hosts: &'static [&'static str],
    /// Variables that hold a token for this forge only.
    pub token_vars: &'static [Var],
    /// Where a user gets one and how it is passed.
    pub token_hint: &'static str,
    /// The same for a person's own machine.
    pub own_token_hint: &'static str,
    /// The places where the API of a repository's server may be, when that has to be looked for. What is looked for has at
    /// least so many names below them.
    pub api_candidates: fn(&Repository, &Env, usize) -> Vec<String>,
    /// Connects to a repository.
    pub connect: fn(Connection) -> Result<Rc<dyn Forge>>,
    /// How the runner program of a registration is run; `None` where there is none.
    pub runner_process: Option<fn(&runners::Registration, &runners::RunnerConfig) -> Result<runners::RunnerProcess>>,
}

impl Driver {
    /// Returns whether a host is this forge's.
    pub fn has_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|known| if known.starts_with('.') { host.ends_with(known) } else { host == *known })
    }
}

/// The forges, in the order in which they are looked for.
pub const FORGES: &[Driver] = &[github::DRIVER, gitlab::DRIVER, bitbucket::DRIVER, local::DRIVER];

/// What a forge needs to connect.
pub struct Connection {
    /// The repository.
    pub repository: Repository,
    /// The base of the API, where it had to be looked for.
    pub api: Option<String>,
    /// The token, and the variable or option it came from.
    pub token: Option<(Secret, &'static str)>,
    /// What the CI says.
    pub context: Context,
    /// Where an upload to the repository goes.
    pub publish_branch: Option<String>,
    /// The client.
    pub http: Http,
    /// The log.
    pub log: Log,
    /// The outside.
    pub host: Rc<dyn Host>,
}

/// What a comment stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A pull request (GitLab: merge request).
    PullRequest(u64),
    /// A commit.
    Commit(String),
    /// An issue.
    Issue(u64),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::PullRequest(number) => write!(f, "pull request {number}"),
            Target::Commit(sha) => write!(f, "commit {sha}"),
            Target::Issue(number) => write!(f, "issue {number}"),
        }
    }
}

/// Who wrote a comment, as the forge tells with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The forge's identity of the user.
    pub id: String,
    /// Whether it is a program's account.
    pub is_bot: bool,
}

/// The user of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Viewer {
    /// By [`Author::id`].
    User(String),
    /// A program whose identity the forge does not tell; never a person.
    Bot,
    /// The forge does not tell.
    Unknown,
}

/// Returns whether a name has `bot` as a word: the account of a project's or group's access token on GitLab
/// (`project_42_bot_0123…`), and what people call such an account of their own.
pub fn is_named_bot(name: &str) -> bool {
    name.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word.eq_ignore_ascii_case("bot"))
}

/// A comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// The forge's identity of it, opaque outside the forge's file.
    pub id: String,
    /// Its Markdown.
    pub body: String,
    /// Its page, for people.
    pub url: String,
    /// When it was made, in seconds since 1970 by the forge's clock.
    pub created: i64,
    /// Its place in the order of creation.
    pub order: u64,
    /// Who wrote it; `None` where that is not told.
    pub author: Option<Author>,
}

/// A pull request, as far as it matters for finding the right one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number.
    pub number: u64,
    /// The head of its source branch; forges may shorten it.
    pub head: String,
    /// Whether it is open.
    pub open: bool,
    /// Its page, for people.
    pub url: String,
    /// The forge's other identity of it, opaque outside the forge's file.
    pub id: Option<String>,
}

impl PullRequest {
    /// Returns whether a commit is the head.
    pub fn is_at(&self, commit: &str) -> bool {
        !self.head.is_empty() && (commit.starts_with(&self.head) || self.head.starts_with(commit))
    }
}

/// A file to publish with a report.
#[derive(Debug, Clone)]
pub struct Asset {
    /// SHA-256 of its bytes, in hexadecimal.
    pub hash: String,
    /// The name people see.
    pub name: String,
    /// MIME type, by content.
    pub mime: Cow<'static, str>,
    /// Usual ending of that type.
    pub extension: Cow<'static, str>,
    /// The bytes, or where they are.
    pub content: Content,
}

/// Where the bytes of a file are: those of a report's many images stay on disk until they are sent.
#[derive(Clone)]
pub enum Content {
    /// In memory.
    Here(Bytes),
    /// In a file of the working copy, which is opened and checked anew when it is sent.
    File(Rc<Files>, PathBuf),
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Here(bytes) => write!(f, "Here({} bytes)", bytes.len()),
            Content::File(_, path) => write!(f, "File({})", path.display()),
        }
    }
}

impl Asset {
    /// Returns the bytes. A file that is not any more what it was when the report was read is an error: its name,
    /// which is a hash, would stand for something else.
    pub fn read(&self) -> Result<Bytes> {
        match &self.content {
            Content::Here(bytes) => Ok(bytes.clone()),
            Content::File(files, path) => {
                let bytes = files.found(path).and_then(|file| file.read(LARGEST_FILE));
                let bytes = bytes.map_err(|refusal| refusal.error(format!("cannot read {}", path.display()), path))?;
                if hash(&bytes) == self.hash {
                    Ok(bytes.into())
                } else {
                    Err(Error::conflict(format!("{} changed while it was being published", path.display()))
                        .hint("publish the report after its images are complete, or use --watch"))
                }
            }
        }
    }

    /// Returns how many bytes it has.
    pub fn size(&self) -> u64 {
        match &self.content {
            Content::Here(bytes) => bytes.len() as u64,
            Content::File(files, path) => files.found(path).map_or(0, |file| file.len()),
        }
    }

    /// Returns a name that is the same for the same bytes and never for others.
    pub fn unique_name(&self) -> String {
        format!("{}.{}", &self.hash[..32.min(self.hash.len())], self.extension)
    }
}

/// How large things may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest comment, in UTF-16 units (never fewer than characters).
    pub comment: usize,
}

/// Called with the number of assets done so far.
pub type Progress<'a> = &'a dyn Fn(usize);

/// Keeps the comments that a caller is interested in, so that the others need no memory.
pub type Keep<'a> = &'a dyn Fn(&Comment) -> bool;

/// A forge, connected to one repository. What is common to all is written over this trait in
/// [`crate::sticky`].
#[async_trait(?Send)]
pub trait Forge {
    /// Returns how large things may be.
    fn limits(&self) -> Limits;

    /// Returns the token's user. Asked only where comments of several users are in question.
    async fn viewer(&self) -> Result<Viewer> {
        Ok(Viewer::Unknown)
    }

    /// Returns all comments of a target that `keep` accepts, oldest first.
    async fn list_comments(&self, target: &Target, keep: Keep<'_>) -> Result<Vec<Comment>>;

    /// One comment as it is now.
    async fn get_comment(&self, target: &Target, id: &str) -> Result<Comment>;

    /// Returns a body as the forge gives it back, which may store it in another form than it was sent in.
    fn stored(&self, body: &str) -> String {
        body.to_owned()
    }

    /// Returns a body as it is sent, where the forge would read parts of it as commands.
    fn sent(&self, body: &str) -> String {
        body.to_owned()
    }

    /// Makes a comment. When it is not known whether that worked, the error [`Error::is_ambiguous`].
    async fn create_comment(&self, target: &Target, body: &str) -> Result<Comment>;

    /// Replaces a comment's body.
    async fn update_comment(&self, target: &Target, id: &str, body: &str, repeat: RetryPolicy) -> Result<Comment>;

    /// Deletes a comment; one that is gone already is fine.
    async fn delete_comment(&self, target: &Target, id: &str) -> Result<()>;

    /// Whether [`Forge::hide_comment`] works; asked before anything is done.
    fn can_hide(&self) -> Result<()> {
        Err(Error::unsupported("hiding comments is not supported by this forge").hint("use --delete-previous instead"))
    }

    /// Collapses a comment as out of date.
    async fn hide_comment(&self, _target: &Target, _id: &str) -> Result<()> {
        self.can_hide()
    }

    /// Is told when `--watch` begins and ends, for a page that has to look for news meanwhile.
    fn set_watched(&self, _is_watched: bool) -> Result<()> {
        Ok(())
    }

    /// Pull requests that may be about a commit or come from a branch; callers compare the head.
    async fn list_pull_requests(&self, commit: &str, branch: Option<&str>) -> Result<Vec<PullRequest>>;

    /// Returns the head of a pull request, for runs whose CI names the pull request but not its commit; `None` where the CI
    /// always names both.
    async fn pull_request_head(&self, _number: u64) -> Result<Option<pull::Head>> {
        Ok(None)
    }

    /// Whether [`Forge::create_check`] works; asked before anything is done.
    fn can_check(&self) -> Result<()> {
        Err(Error::unsupported("checks are not supported by this forge").hint("use cml comment create instead"))
    }

    /// Returns how much of a report a check shows as Markdown; `None` where it is plain text, which the forge cuts.
    fn report_limits(&self) -> Option<ReportLimits> {
        None
    }

    /// Makes a check, or brings an unfinished one up to date.
    async fn create_check(&self, _check: &check::Check) -> Result<check::CreatedCheck> {
        Err(self.can_check().err().unwrap_or_else(|| Error::internal("a forge that checks nothing")))
    }

    /// Returns what pushing to this forge and opening pull requests asks for; an error where there is no such thing.
    fn push_config(&self) -> Result<pull::PushConfig> {
        pull::unsupported()
    }

    /// Returns the pull request from one branch of the repository to another: the open one, else the last that was
    /// merged.
    async fn find_pull_request(&self, _source: &str, _target: &str) -> Result<Option<PullRequest>> {
        pull::unsupported()
    }

    /// Opens a pull request. When it is not known whether that worked, the error [`Error::is_ambiguous`].
    async fn create_pull_request(&self, _new: &pull::NewPullRequest) -> Result<PullRequest> {
        pull::unsupported()
    }

    /// Merges a pull request, when its checks have passed where the forge can wait for that. An error that has
    /// [`Error::retry_after`] may be over then.
    async fn merge_pull_request(&self, _pull: &PullRequest, _how: pull::Merge) -> Result<pull::Merged> {
        pull::unsupported()
    }

    /// Puts files where the repository's readers, and nobody else, can see them. Returns their URLs, in order.
    async fn upload_assets(&self, assets: &[Asset], progress: Progress<'_>) -> Result<Vec<String>>;

    /// Returns whether an address has, from its first character to its last, the form in which
    /// [`Forge::upload_assets`] gives one to a file of that [`Asset::unique_name`], and lasts. The name proves
    /// nothing: anybody can compute the hash of a file.
    fn is_asset(&self, _address: &str, _name: &str) -> bool {
        false
    }

    /// Returns an address that [`Forge::upload_assets`] gave, as it is written outside of the forge's comments.
    fn asset_address(&self, address: &str) -> String {
        address.to_owned()
    }

    /// Returns the runs of its CI.
    fn runs(&self) -> Option<&dyn Runs> {
        None
    }

    /// Returns its runners.
    fn runners(&self) -> Option<&dyn Runners> {
        None
    }

    /// Returns what is known of the connection before anything is sent.
    fn about(&self) -> About {
        About::default()
    }

    /// Returns what the token may do, found out without any effect. A repository that cannot be seen is an error.
    async fn permissions(&self) -> Result<Diagnosis> {
        Ok(Diagnosis::default())
    }

    /// Returns whether the repository can be seen with this token: tells a missing pull request from a missing
    /// repository.
    async fn can_see_repository(&self) -> Result<bool>;
}

/// How many requests of one listing are under way at once: enough for 1,000 comments in one go.
pub const AT_ONCE: usize = 20;
/// How many files are sent at once.
pub const UPLOADS_AT_ONCE: usize = 8;

/// Sends files, several at once, each by `send`, which returns its address. Returns the addresses in order.
pub async fn send_each(
    assets: &[Asset],
    progress: Progress<'_>,
    send: impl AsyncFn(&Asset) -> Result<String>,
) -> Result<Vec<String>> {
    let done = Cell::new(0);
    let send = async |asset| {
        let address = send(asset).await?;
        done.set(done.get() + 1);
        progress(done.get());
        Ok(address)
    };
    futures_util::stream::iter(assets).map(send).buffered(UPLOADS_AT_ONCE).try_collect().await
}

/// So many pages of a list are read, of 50 to 100 comments. GitHub takes 2,500 on one issue, GitLab 5,000:
/// <https://docs.gitlab.com/administration/instance_limits/#number-of-comments-per-issue-merge-request-or-commit>.
const MAX_PAGES: u32 = 200;

/// Watches over a list that is read page by page, so that it ends.
struct PageGuard {
    forge: &'static str,
    read: u32,
    seen: HashSet<u64>,
}

impl PageGuard {
    fn new(forge: &'static str) -> Self {
        PageGuard { forge, read: 0, seen: HashSet::new() }
    }

    /// Counts a page. Fails when it brings nothing but what was there before, or one too many.
    fn take(&mut self, page: &[Comment]) -> Result<()> {
        self.read += 1;
        let new = page.iter().filter(|comment| self.seen.insert(comment.order)).count();
        if !page.is_empty() && new == 0 {
            return Err(self.endless("the same page was sent again"));
        }
        self.check(self.read)
    }

    /// Refuses a number of pages that is too large to be read.
    fn check(&self, pages: u32) -> Result<()> {
        if pages > MAX_PAGES { Err(self.endless(&format!("more than {MAX_PAGES} pages"))) } else { Ok(()) }
    }

    fn endless(&self, why: &str) -> Error {
        Error::remote(format!("the list of comments on {} does not end ({why})", self.forge))
            .hint("this is a fault of the server or of a proxy; try again later")
    }
}

/// Fetches the pages after the first, several at once, and keeps what `keep` accepts, oldest first.
pub async fn all_pages<F, P>(first: Vec<Comment>, rest: F, keep: Keep<'_>) -> Result<Vec<Comment>>
where
    F: IntoIterator<Item = P>,
    P: Future<Output = Result<Vec<Comment>>>,
{
    let mut kept: Vec<Comment> = first.into_iter().filter(|comment| keep(comment)).collect();
    let mut pages = futures_util::stream::iter(rest).buffer_unordered(AT_ONCE);
    while let Some(page) = pages.next().await {
        kept.extend(page?.into_iter().filter(|comment| keep(comment)));
    }
    kept.sort_by_key(|comment| comment.order);
    kept.dedup_by_key(|comment| comment.order);
    Ok(kept)
}

/// Seconds since 1970 of a date as the forges write it (RFC 3339).
pub fn seconds(date: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(date).map_or(0, |date| date.timestamp())
}

/// Returns whether a text is one of the hashes that git and the forges write: so many lower-case hexadecimal digits.
fn is_hash(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// What to do about a commit that a forge does not know.
pub const PUSH_FIRST: &str = "push the commit first";

/// Says whether the repository or the target is what does not exist.
pub async fn explain_not_found(forge: &dyn Forge, repository: &Repository, target: &Target, error: Error) -> Error {
    if error.kind() != Kind::NotFound {
        return error;
    }
    match forge.can_see_repository().await {
        Ok(true) => {
            let missing = Error::not_found(format!("{target} not found in {repository}"));
            match (error.hint_text(), target) {
                // The forge knows more about it.
                (Some(hint), _) => missing.hint(hint),
                (None, Target::Commit(_)) => missing.hint(PUSH_FIRST),
                (None, _) => missing.hint("check the number in --target, or omit --target to use the event's"),
            }
        }
        Ok(false) => repository_not_visible(repository),
        Err(_) => error,
    }
}

/// Returns the error for a repository that the token cannot see.
pub fn repository_not_visible(repository: &Repository) -> Error {
    Error::not_found(format!("repository {} was not found with this token", repository.url()))
        .hint("check --repo, and that the token can read the repository (a private one looks as if it did not exist)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_file_that_changed_since_it_was_named_is_not_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plot.png");
        let host: Rc<dyn Host> = Rc::new(crate::host::native::Native::default());
        host.write(&path, b"one").unwrap();
        let root = host.canonicalize(folder.path()).unwrap();
        let content = Content::File(Rc::new(Files::new(host.clone(), root.clone())), path.clone());
        let asset = Asset {
            hash: hash(b"one"),
            name: "plot.png".into(),
            mime: "image/png".into(),
            extension: "png".into(),
            content,
        };
        assert_eq!(asset.read().unwrap(), "one");
        host.write(&path, b"two").unwrap();
        assert_eq!(asset.read().unwrap_err().kind(), Kind::Conflict);
        // Nor is one that leads elsewhere since.
        let outside = tempfile::tempdir().unwrap();
        host.write(&outside.path().join("one"), b"one").unwrap();
        host.remove(&path).unwrap();
        std::os::unix::fs::symlink(outside.path().join("one"), &path).unwrap();
        assert!(asset.read().unwrap_err().to_string().contains("is outside the working copy"));
    }
}
