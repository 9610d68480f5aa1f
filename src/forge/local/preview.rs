//! The page and its state: the folder `.cml` in the working copy holds `comments.json`, `checks.json`, the published
//! files, and the page made from them. It ignores itself in git. Nothing goes over the network.

use super::page::{self, Dialect};
use super::{NO_OWNER, copies};
use crate::app::App;
use crate::error::{Error, Result};
use crate::forge::check::{Check, CheckState, CreatedCheck};
use crate::forge::{Asset, Comment, Connection, Forge, Keep, Limits, Progress, PullRequest, Target};
use crate::host::Host;
use crate::http::RetryPolicy;
use crate::report::annotations::Annotation;
use crate::report::split::{ReportLimits, Unit};
use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

const COMMENTS: &str = "comments.json";
const CHECKS: &str = "checks.json";
const IGNORE: &str = ".gitignore";
/// GitHub's, so that the preview shows how the report will be cut.
const CHECK_LIMITS: ReportLimits = ReportLimits { parts: 2, part: 65_535, unit: Unit::Bytes };

struct Local {
    host: Rc<dyn Host>,
    folder: PathBuf,
    title: String,
    dialect: Dialect,
    /// Comments as HTML, by identity, number of earlier versions and whether they are hidden: each is rendered once.
    rendered: RefCell<HashMap<(u64, usize, bool), String>>,
    /// Whether the page reloads itself.
    is_watched: Cell<bool>,
}

#[derive(Serialize, Deserialize, Clone)]
struct Stored {
    id: u64,
    about: String,
    body: String,
    created: i64,
    #[serde(default)]
    edited: Option<i64>,
    #[serde(default)]
    earlier: Vec<Earlier>,
    #[serde(default)]
    hidden: bool,
}

#[derive(Serialize, Deserialize, Clone)]
struct Earlier {
    at: i64,
    body: String,
}

#[derive(Serialize, Deserialize, Clone)]
struct StoredCheck {
    id: u64,
    commit: String,
    title: String,
    changed: i64,
    state: CheckState,
    report: String,
    annotations: Vec<Annotation>,
}

/// Connects to the preview of the working copy.
pub fn connect(connection: Connection) -> Result<Rc<dyn Forge>> {
    let Connection { host, http, log, repository, .. } = connection;
    let app = App { host: host.clone(), http, log };
    let root = app.working_copy()?;
    let folder = root.join(".cml");
    // Whoever committed a link of that name is not to say where files are written.
    if host.canonicalize(&folder).is_ok_and(|real| real != folder) {
        return Err(Error::config(format!("{} is outside the working copy", folder.display()))
            .hint("the local preview is written to that folder; remove the symbolic link"));
    }
    let alone = repository.path.strip_prefix(NO_OWNER);
    let title = percent_encoding::percent_decode_str(alone.unwrap_or(&repository.path));
    let title = title.decode_utf8_lossy().into_owned();
    let dialect = Dialect::new(Some(&repository).filter(|_| alone.is_none()));
    Ok(Rc::new(Local { host, folder, title, dialect, rendered: RefCell::default(), is_watched: Cell::default() }))
}

impl Local {
    fn failed(&self, what: &str, error: &io::Error) -> Error {
        Error::config(format!("cannot {what} the local preview in {} ({error})", self.folder.display()))
            .hint("the preview needs a writable working copy; in CI pass --driver github, gitlab or bitbucket")
    }

    fn load(&self) -> Result<Vec<Stored>> {
        self.load_list(COMMENTS)
    }

    fn load_list<T: DeserializeOwned>(&self, name: &str) -> Result<Vec<T>> {
        let path = self.folder.join(name);
        match self.host.read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(self.failed("read", &error)),
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| {
                Error::config(format!("{} is damaged ({e})", path.display())).hint("delete the file to start anew")
            }),
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.host.write(&self.folder.join(name), bytes).map_err(|error| self.failed("write", &error))
    }

    fn write_list<T: Serialize>(&self, name: &str, list: &[T]) -> Result<()> {
        let json = serde_json::to_vec_pretty(list).map_err(|e| Error::internal(e.to_string()))?;
        self.write(IGNORE, b"*\n")?;
        self.write(name, &json)
    }

    fn save(&self, comments: &[Stored]) -> Result<()> {
        self.write_list(COMMENTS, comments)?;
        self.write_page(comments, &self.load_list(CHECKS)?)
    }

    fn write_page(&self, comments: &[Stored], checks: &[StoredCheck]) -> Result<()> {
        let mut rendered = self.rendered.borrow_mut();
        let article = |stored: &Stored| {
            let key = (stored.id, stored.earlier.len(), stored.hidden);
            rendered.entry(key).or_insert_with(|| article(stored, &self.dialect)).clone()
        };
        let comments: Vec<String> = comments.iter().map(article).collect();
        let checks: Vec<String> = checks.iter().map(|stored| check_article(stored, &self.dialect)).collect();
        let page =
            page::Page { title: &self.title, comments: &comments, checks: &checks, reloads: self.is_watched.get() };
        self.write("index.html", page::render(&page, &self.dialect).as_bytes())
    }

    /// The page's path.
    fn address(&self) -> String {
        self.path("index.html")
    }

    /// A path in the folder, from the current directory where it lies below.
    fn path(&self, name: &str) -> String {
        let page = self.folder.join(name);
        let here = self.host.current_dir().and_then(|here| self.host.canonicalize(&here)).ok();
        let short = here.and_then(|here| page.strip_prefix(here).ok().map(Path::to_path_buf));
        short.unwrap_or(page).display().to_string()
    }

    fn comment(&self, stored: &Stored) -> Comment {
        Comment {
            id: stored.id.to_string(),
            body: stored.body.clone(),
            url: self.address(),
            created: stored.created,
            order: stored.id,
            author: None,
        }
    }

    fn now(&self) -> i64 {
        self.host.now().as_secs() as i64
    }
}

/// A comment as HTML.
fn article(stored: &Stored, dialect: &Dialect) -> String {
    let edited = stored.edited.map(date);
    let dates: Vec<String> = stored.earlier.iter().map(|earlier| date(earlier.at)).collect();
    let shown = page::Shown {
        anchor: format!("comment-{}", stored.id),
        about: &stored.about,
        created: &date(stored.created),
        edited: edited.as_deref(),
        body: &stored.body,
        earlier: dates.iter().map(String::as_str).zip(stored.earlier.iter().map(|e| e.body.as_str())).collect(),
        hidden: stored.hidden,
    };
    page::comment(&shown, dialect)
}

/// A check as HTML.
fn check_article(stored: &StoredCheck, dialect: &Dialect) -> String {
    let shown = page::ShownCheck {
        anchor: format!("check-{}", stored.id),
        about: &about(&Target::Commit(stored.commit.clone())),
        changed: &date(stored.changed),
        title: &stored.title,
        state: stored.state,
        report: &stored.report,
        annotations: &stored.annotations,
    };
    page::check(&shown, dialect)
}

/// A time for people, in UTC.
fn date(seconds: i64) -> String {
    chrono::DateTime::from_timestamp(seconds, 0)
        .map_or_else(String::new, |at| at.format("%Y-%m-%d %H:%M UTC").to_string())
}

fn about(target: &Target) -> String {
    match target {
        Target::Commit(sha) if sha.contains(' ') => format!("this {sha}"),
        Target::Commit(sha) => format!("commit {}", &sha[..sha.len().min(7)]),
        other => other.to_string(),
    }
}

#[async_trait(?Send)]
impl Forge for Local {
    fn limits(&self) -> Limits {
        // The strictest of the common forges, so that the preview shows how the report will be split.
        Limits { comment: 65_536 }
    }

    async fn list_comments(&self, _: &Target, keep: Keep<'_>) -> Result<Vec<Comment>> {
        Ok(self.load()?.iter().map(|stored| self.comment(stored)).filter(|comment| keep(comment)).collect())
    }

    async fn get_comment(&self, _: &Target, id: &str) -> Result<Comment> {
        let found = self.load()?.into_iter().find(|stored| stored.id.to_string() == id);
        found.map(|stored| self.comment(&stored)).ok_or_else(|| Error::not_found(format!("comment {id} is gone")))
    }

    async fn create_comment(&self, target: &Target, body: &str) -> Result<Comment> {
        let mut comments = self.load()?;
        let id = comments.iter().map(|comment| comment.id).max().unwrap_or(0) + 1;
        let stored = Stored {
            id,
            about: about(target),
            body: body.to_owned(),
            created: self.now(),
            edited: None,
            earlier: Vec::new(),
            hidden: false,
        };
        let made = self.comment(&stored);
        comments.push(stored);
        self.save(&comments)?;
        Ok(made)
    }

    async fn update_comment(&self, target: &Target, id: &str, body: &str, _: RetryPolicy) -> Result<Comment> {
        let (mut comments, now) = (self.load()?, self.now());
        let found = comments.iter_mut().find(|comment| comment.id.to_string() == id);
        let stored = found.ok_or_else(|| Error::not_found(format!("comment {id} is gone")))?;
        let at = stored.edited.unwrap_or(stored.created);
        let old = std::mem::replace(&mut stored.body, body.to_owned());
        stored.earlier.push(Earlier { at, body: old });
        stored.edited = Some(now);
        stored.about = about(target);
        let updated = self.comment(stored);
        self.save(&comments)?;
        Ok(updated)
    }

    async fn delete_comment(&self, _: &Target, id: &str) -> Result<()> {
        let mut comments = self.load()?;
        comments.retain(|comment| comment.id.to_string() != id);
        self.save(&comments)
    }

    fn can_hide(&self) -> Result<()> {
        Ok(())
    }

    async fn hide_comment(&self, _: &Target, id: &str) -> Result<()> {
        let mut comments = self.load()?;
        comments.iter_mut().filter(|comment| comment.id.to_string() == id).for_each(|comment| comment.hidden = true);
        self.save(&comments)
    }

    fn set_watched(&self, is_watched: bool) -> Result<()> {
        let was_watched = self.is_watched.replace(is_watched);
        if was_watched && !is_watched { self.save(&self.load()?) } else { Ok(()) }
    }

    async fn list_pull_requests(&self, _: &str, _: Option<&str>) -> Result<Vec<PullRequest>> {
        Ok(Vec::new())
    }

    async fn upload_assets(&self, assets: &[Asset], progress: Progress<'_>) -> Result<Vec<String>> {
        let mut addresses = Vec::new();
        for asset in assets {
            let name = asset.unique_name();
            for copy in copies::names(&name) {
                let path = self.folder.join("files").join(copy);
                if self.host.stat(&path).is_err() {
                    self.host.write(&path, &asset.read()?).map_err(|error| self.failed("write", &error))?;
                }
            }
            addresses.push(copies::address(&name));
            progress(addresses.len());
        }
        // What is published alone makes the folder too.
        self.write(IGNORE, b"*\n")?;
        Ok(addresses)
    }

    fn is_asset(&self, address: &str, name: &str) -> bool {
        address == copies::address(name)
    }

    fn asset_address(&self, address: &str) -> String {
        self.path(address)
    }

    fn can_check(&self) -> Result<()> {
        Ok(())
    }

    fn report_limits(&self) -> Option<ReportLimits> {
        Some(CHECK_LIMITS)
    }

    async fn create_check(&self, check: &Check) -> Result<CreatedCheck> {
        let mut checks: Vec<StoredCheck> = self.load_list(CHECKS)?;
        let is_same = |stored: &StoredCheck| match &check.id {
            Some(id) => stored.id.to_string() == *id,
            None => {
                let is_done = matches!(stored.state, CheckState::Completed(_));
                !is_done && stored.title == check.title && stored.commit == check.commit
            }
        };
        let at = checks.iter().rposition(is_same);
        if let (Some(id), None) = (&check.id, at) {
            return Err(Error::not_found(format!("there is no check {id} in the local preview"))
                .hint("leave --check-id out to find it by its title"));
        }
        let id = at.map_or_else(|| checks.iter().map(|old| old.id).max().unwrap_or(0) + 1, |at| checks[at].id);
        let stored = StoredCheck {
            id,
            commit: check.commit.clone(),
            title: check.title.clone(),
            changed: self.now(),
            state: check.state,
            report: check.report.join("\n\n"),
            annotations: check.annotations.clone(),
        };
        match at {
            Some(at) => checks[at] = stored,
            None => checks.push(stored),
        }
        self.write_list(CHECKS, &checks)?;
        self.write_page(&self.load()?, &checks)?;
        Ok(CreatedCheck { id: Some(id.to_string()), url: self.address(), left_out: Vec::new() })
    }

    async fn find_pull_request(&self, _: &str, _: &str) -> Result<Option<PullRequest>> {
        Ok(None)
    }

    async fn can_see_repository(&self) -> Result<bool> {
        Ok(true)
    }
}
