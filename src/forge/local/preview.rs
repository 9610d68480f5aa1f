//! The page and its state: the folder `.cml` in the working copy holds `comments.json`, `checks.json`, the published
//! files, and the page made from them. It ignores itself in git. Nothing goes over the network.

use super::NO_OWNER;
use super::page::{self, Dialect};
use crate::app::App;
use crate::error::{Error, Result};
use crate::forge::assets::Assets;
use crate::forge::checks::{CheckState, Checks};
use crate::forge::comments::{Comment, Comments};
use crate::forge::{Connection, Forge, Target};
use crate::host::Host;
use crate::report::annotations::Annotation;
use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

mod assets;
mod checks;
mod comments;

const COMMENTS: &str = "comments.json";
const CHECKS: &str = "checks.json";
const IGNORE: &str = ".gitignore";

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
        let hint =
            format!("the preview needs a writable working copy; in CI pass --driver {}", crate::forge::driver_names());
        Error::config(format!("cannot {what} the local preview in {} ({error})", self.folder.display())).hint(hint)
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
    fn comments(&self) -> &dyn Comments {
        self
    }

    fn assets(&self) -> &dyn Assets {
        self
    }

    fn checks(&self) -> Option<&dyn Checks> {
        Some(self)
    }

    async fn can_see_repository(&self) -> Result<bool> {
        Ok(true)
    }
}
