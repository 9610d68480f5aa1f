//! `--print`: the comments that would be sent, on standard output.
//!
//! [`Rehearsal`] stands between the command and the forge: it reads the forge, and keeps what would be written there to
//! itself. So sections, parts and marks are those that the forge would get.

use crate::app::App;
use crate::error::{Error, Result};
use crate::forge::{Asset, Comment, Forge, Keep, Limits, Progress, PullRequest, Target, Viewer};
use crate::http::RetryPolicy;
use async_trait::async_trait;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

/// A forge that is read but never written to.
pub struct Rehearsal {
    forge: Rc<dyn Forge>,
    /// What would be sent, and the comments as they would be then, in that order.
    written: RefCell<Vec<(String, Comment)>>,
    deleted: RefCell<BTreeSet<String>>,
}

impl Rehearsal {
    /// Returns one that reads a forge.
    pub fn new(forge: Rc<dyn Forge>) -> Self {
        Rehearsal { forge, written: RefCell::default(), deleted: RefCell::default() }
    }

    /// Prints what would have been sent; `posted` is the comment that stays as it is when that is nothing.
    pub fn print(&self, app: &App, posted: &Comment) -> Result<()> {
        let written = self.written.borrow();
        let bodies: Vec<&str> = match written.as_slice() {
            [] => vec![&posted.body],
            written => written.iter().map(|(sent, _)| sent.as_str()).collect(),
        };
        let count = bodies.len();
        let part = |(number, body): (usize, &&str)| match count {
            1 => format!("{body}\n"),
            _ => format!("<!-- comment {number} of {count} -->\n{body}\n"),
        };
        app.print_result(&(1..).zip(&bodies).map(part).collect::<Vec<_>>().join("\n"))
    }

    fn find_written(&self, id: &str) -> Option<Comment> {
        self.written.borrow().iter().map(|(_, comment)| comment).find(|comment| comment.id == id).cloned()
    }

    fn is_deleted(&self, id: &str) -> bool {
        self.deleted.borrow().contains(id)
    }
}

#[async_trait(?Send)]
impl Forge for Rehearsal {
    fn limits(&self) -> Limits {
        self.forge.limits()
    }

    async fn viewer(&self) -> Result<Viewer> {
        self.forge.viewer().await
    }

    async fn list_comments(&self, target: &Target, keep: Keep<'_>) -> Result<Vec<Comment>> {
        let mut all = self.forge.list_comments(target, keep).await?;
        let is_rewritten = |comment: &Comment| self.find_written(&comment.id).is_some();
        all.retain(|comment| !is_rewritten(comment));
        all.extend(self.written.borrow().iter().map(|(_, comment)| comment).filter(|comment| keep(comment)).cloned());
        all.retain(|comment| !self.is_deleted(&comment.id));
        all.sort_by_key(|comment| comment.order);
        Ok(all)
    }

    async fn get_comment(&self, target: &Target, id: &str) -> Result<Comment> {
        match self.find_written(id) {
            _ if self.is_deleted(id) => Err(Error::not_found(format!("comment {id} is gone"))),
            Some(comment) => Ok(comment),
            None => self.forge.get_comment(target, id).await,
        }
    }

    fn stored(&self, body: &str) -> String {
        self.forge.stored(body)
    }

    fn sent(&self, body: &str) -> String {
        self.forge.sent(body)
    }

    async fn create_comment(&self, _: &Target, body: &str) -> Result<Comment> {
        let mut written = self.written.borrow_mut();
        let number = written.len() as u64;
        let comment = Comment {
            id: format!("new-{number}"),
            body: self.stored(body),
            url: String::new(),
            created: 0,
            // After all that the forge has.
            order: u64::MAX / 2 + number,
            author: None,
        };
        written.push((self.sent(body), comment.clone()));
        Ok(comment)
    }

    async fn update_comment(&self, target: &Target, id: &str, body: &str, _: RetryPolicy) -> Result<Comment> {
        let comment = Comment { body: self.stored(body), ..self.get_comment(target, id).await? };
        let mut written = self.written.borrow_mut();
        written.retain(|(_, old)| old.id != id);
        written.push((self.sent(body), comment.clone()));
        Ok(comment)
    }

    async fn delete_comment(&self, _: &Target, id: &str) -> Result<()> {
        self.written.borrow_mut().retain(|(_, comment)| comment.id != id);
        self.deleted.borrow_mut().insert(id.to_owned());
        Ok(())
    }

    fn can_hide(&self) -> Result<()> {
        self.forge.can_hide()
    }

    async fn hide_comment(&self, _: &Target, _: &str) -> Result<()> {
        Ok(())
    }

    async fn list_pull_requests(&self, commit: &str, branch: Option<&str>) -> Result<Vec<PullRequest>> {
        self.forge.list_pull_requests(commit, branch).await
    }

    async fn upload_assets(&self, _: &[Asset], _: Progress<'_>) -> Result<Vec<String>> {
        Err(Error::internal("nothing is published with --print"))
    }

    async fn can_see_repository(&self) -> Result<bool> {
        self.forge.can_see_repository().await
    }
}
