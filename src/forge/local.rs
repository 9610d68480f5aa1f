//! No forge: a page on this machine that shows the report as a pull request would.
//!
//! State is the folder `.cml` in the working copy: `comments.json`, the published files, and the page made
//! from them. It ignores itself in git. Nothing goes over the network.

use super::{
    Asset, Comment, Connection, Context, Driver, Forge, Keep, Limits, Progress, PullRequest, Repository, Target,
};
use crate::app::App;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::http::RetryPolicy;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

mod copies;
pub mod page;

/// The local preview's row.
pub const DRIVER: Driver = Driver {
    name: "local",
    title: "the local preview",
    ci: "",
    hosts: &[],
    token_vars: &[],
    token_hint: "",
    own_token_hint: "",
    detect: |_: &Env, _: &dyn Host| -> Option<Context> { None },
    api_candidates: |_, _, _| Vec::new(),
    connect,
    checks_without_token: |_| false,
    agent: None,
};

/// What the preview is of: the working copy's folder.
pub fn repository(app: &App) -> Result<Repository> {
    let root = app.working_copy()?;
    let name: String = root.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = super::rest::escape(if name.is_empty() { "report" } else { &name });
    Repository::parse(&format!("local/{name}"), Some("http://localhost"))
}

struct Local {
    host: Rc<dyn Host>,
    folder: PathBuf,
    title: String,
    /// Comments as HTML, by identity and number of earlier versions: each is rendered once.
    rendered: RefCell<HashMap<(u64, usize), String>>,
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
}

#[derive(Serialize, Deserialize, Clone)]
struct Earlier {
    at: i64,
    body: String,
}

fn connect(connection: Connection) -> Result<Rc<dyn Forge>> {
    let Connection { host, http, log, repository, .. } = connection;
    let app = App { host: host.clone(), http, log };
    let root = app.working_copy()?;
    let folder = root.join(".cml");
    // Whoever committed a link of that name is not to say where files are written.
    if host.canonicalize(&folder).is_ok_and(|real| real != folder) {
        return Err(Error::config(format!("{} leads out of the working copy", folder.display()))
            .hint("the local preview is kept in that folder: remove the link"));
    }
    let title = repository.path.strip_prefix("local/").unwrap_or(&repository.path);
    let title = percent_encoding::percent_decode_str(title).decode_utf8_lossy().into_owned();
    Ok(Rc::new(Local { host, folder, title, rendered: RefCell::default() }))
}

impl Local {
    fn failed(&self, what: &str, error: &io::Error) -> Error {
        Error::config(format!("cannot {what} the local preview in {} ({error})", self.folder.display()))
            .hint("the preview needs a writable working copy; in CI pass --driver github, gitlab or bitbucket")
    }

    fn load(&self) -> Result<Vec<Stored>> {
        let path = self.folder.join("comments.json");
        match self.host.read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(self.failed("read", &error)),
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| {
                Error::config(format!("{} is damaged ({e})", path.display())).hint("delete that file to start anew")
            }),
        }
    }

    fn save(&self, comments: &[Stored]) -> Result<()> {
        let json = serde_json::to_vec_pretty(comments).map_err(|e| Error::internal(e.to_string()))?;
        let write = |name: &str, bytes: &[u8]| {
            self.host.write(&self.folder.join(name), bytes).map_err(|error| self.failed("write", &error))
        };
        write(".gitignore", b"*\n")?;
        write("comments.json", &json)?;
        write("index.html", self.page(comments).as_bytes())
    }

    fn page(&self, comments: &[Stored]) -> String {
        let mut rendered = self.rendered.borrow_mut();
        let article = |stored: &Stored| {
            rendered.entry((stored.id, stored.earlier.len())).or_insert_with(|| article(stored)).clone()
        };
        let articles: Vec<String> = comments.iter().map(article).collect();
        page::render(&self.title, &articles)
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
fn article(stored: &Stored) -> String {
    let edited = stored.edited.map(date);
    let dates: Vec<String> = stored.earlier.iter().map(|earlier| date(earlier.at)).collect();
    page::comment(&page::Shown {
        anchor: format!("comment-{}", stored.id),
        about: &stored.about,
        created: &date(stored.created),
        edited: edited.as_deref(),
        body: &stored.body,
        earlier: dates.iter().map(String::as_str).zip(stored.earlier.iter().map(|e| e.body.as_str())).collect(),
    })
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
        self.host.write(&self.folder.join(".gitignore"), b"*\n").map_err(|error| self.failed("write", &error))?;
        Ok(addresses)
    }

    fn is_asset(&self, address: &str, name: &str) -> bool {
        address == copies::address(name)
    }

    fn asset_address(&self, address: &str) -> String {
        self.path(address)
    }

    fn can_check(&self) -> Result<()> {
        Err(Error::unsupported("the local preview has no checks")
            .hint("see the report with cml comment create, or set REPO_TOKEN to make the check on the forge"))
    }

    async fn can_see_repository(&self) -> Result<bool> {
        Ok(true)
    }
}
