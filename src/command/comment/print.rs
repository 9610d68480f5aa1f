//! `--print`: the comments that would be sent, on standard output.
//!
//! [`Rehearsal`] stands between the command and the forge's comments: it reads them, and keeps what would be written to
//! itself. So sections, parts and marks are those that the forge would get.

use crate::app::App;
use crate::error::{Error, Result};
use crate::forge::comments::{Comment, Comments, HideComments, Keep, Viewer};
use crate::forge::{Forge, Target};
use crate::http::RetryPolicy;
use async_trait::async_trait;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

/// The comments of a forge, which are read but never written.
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
impl Comments for Rehearsal {
    fn max_length(&self) -> usize {
        self.forge.comments().max_length()
    }

    async fn viewer(&self) -> Result<Viewer> {
        self.forge.comments().viewer().await
    }

    async fn list(&self, target: &Target, keep: Keep<'_>) -> Result<Vec<Comment>> {
        let mut all = self.forge.comments().list(target, keep).await?;
        let is_rewritten = |comment: &Comment| self.find_written(&comment.id).is_some();
        all.retain(|comment| !is_rewritten(comment));
        all.extend(self.written.borrow().iter().map(|(_, comment)| comment).filter(|comment| keep(comment)).cloned());
        all.retain(|comment| !self.is_deleted(&comment.id));
        all.sort_by_key(|comment| comment.order);
        Ok(all)
    }

    async fn get(&self, target: &Target, id: &str) -> Result<Comment> {
        match self.find_written(id) {
            _ if self.is_deleted(id) => Err(Error::not_found(format!("comment {id} is gone"))),
            Some(comment) => Ok(comment),
            None => self.forge.comments().get(target, id).await,
        }
    }

    fn stored(&self, body: &str) -> String {
        self.forge.comments().stored(body)
    }

    fn sent(&self, body: &str) -> String {
        self.forge.comments().sent(body)
    }

    async fn create(&self, _: &Target, body: &str) -> Result<Comment> {
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

    async fn update(&self, target: &Target, id: &str, body: &str, _: RetryPolicy) -> Result<Comment> {
        let comment = Comment { body: self.stored(body), ..self.get(target, id).await? };
        let mut written = self.written.borrow_mut();
        written.retain(|(_, old)| old.id != id);
        written.push((self.sent(body), comment.clone()));
        Ok(comment)
    }

    async fn delete(&self, _: &Target, id: &str) -> Result<()> {
        self.written.borrow_mut().retain(|(_, comment)| comment.id != id);
        self.deleted.borrow_mut().insert(id.to_owned());
        Ok(())
    }

    fn hiding(&self) -> Option<&dyn HideComments> {
        self.forge.comments().hiding().map(|_| self as &dyn HideComments)
    }
}

#[async_trait(?Send)]
impl HideComments for Rehearsal {
    async fn hide(&self, _: &Target, _: &str) -> Result<()> {
        Ok(())
    }
}
