//! No forge: a page on this machine that shows the report as a pull request would.
//!
//! The native program has it; the WebAssembly of the GitHub Action does not, to stay small: a workflow has a repository.

use super::{Connection, Driver, Forge, Repository};
use crate::app::App;
use crate::error::Result;
use std::rc::Rc;

#[cfg(not(target_arch = "wasm32"))]
mod copies;
#[cfg(not(target_arch = "wasm32"))]
pub mod page;
#[cfg(not(target_arch = "wasm32"))]
mod preview;

/// Whether this build has the preview.
pub const IS_BUILT_IN: bool = cfg!(not(target_arch = "wasm32"));

/// The local preview's row.
pub const DRIVER: Driver = Driver {
    name: "local",
    title: "the local preview",
    is_preview: true,
    hosts: &[],
    token_vars: &[],
    token_hint: "",
    own_token_hint: "",
    api_candidates: |_, _, _| Vec::new(),
    commit_path: "",
    has_details: true,
    connect,
    runner_process: None,
};

/// The owner of the repository that stands for a folder without one.
const NO_OWNER: &str = "local/";

/// What the preview is of: the working copy's folder.
pub fn repository(app: &App) -> Result<Repository> {
    let root = app.working_copy()?;
    let name: String = root.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = super::rest::escape(if name.is_empty() { "report" } else { &name });
    Repository::parse(&format!("{NO_OWNER}{name}"), Some("http://localhost"))
}

#[cfg(not(target_arch = "wasm32"))]
fn connect(connection: Connection) -> Result<Rc<dyn Forge>> {
    preview::connect(connection)
}

#[cfg(target_arch = "wasm32")]
fn connect(_: Connection) -> Result<Rc<dyn Forge>> {
    Err(crate::error::Error::unsupported("the GitHub Action's build has no local preview")
        .hint("set REPO_TOKEN to comment on the repository, or use the native program for a preview"))
}
