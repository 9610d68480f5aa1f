//! Comments in the preview's folder, with their earlier versions.

use super::{Earlier, Local, Stored, about};
use crate::error::{Error, Result};
use crate::forge::Target;
use crate::forge::comments::{Comment, Comments, HideComments, Keep};
use crate::http::RetryPolicy;
use async_trait::async_trait;

/// The strictest of the common forges, so that the preview shows how the report will be split.
const MAX_LENGTH: usize = 65_536;

#[async_trait(?Send)]
impl Comments for Local {
    fn max_length(&self) -> usize {
        MAX_LENGTH
    }

    async fn list(&self, _: &Target, keep: Keep<'_>) -> Result<Vec<Comment>> {
        Ok(self.load()?.iter().map(|stored| self.comment(stored)).filter(|comment| keep(comment)).collect())
    }

    async fn get(&self, _: &Target, id: &str) -> Result<Comment> {
        let found = self.load()?.into_iter().find(|stored| stored.id.to_string() == id);
        found.map(|stored| self.comment(&stored)).ok_or_else(|| Error::not_found(format!("comment {id} is gone")))
    }

    async fn create(&self, target: &Target, body: &str) -> Result<Comment> {
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

    async fn update(&self, target: &Target, id: &str, body: &str, _: RetryPolicy) -> Result<Comment> {
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

    async fn delete(&self, _: &Target, id: &str) -> Result<()> {
        let mut comments = self.load()?;
        comments.retain(|comment| comment.id.to_string() != id);
        self.save(&comments)
    }

    fn hiding(&self) -> Option<&dyn HideComments> {
        Some(self)
    }

    fn set_watched(&self, is_watched: bool) -> Result<()> {
        let was_watched = self.is_watched.replace(is_watched);
        if was_watched && !is_watched { self.save(&self.load()?) } else { Ok(()) }
    }
}

#[async_trait(?Send)]
impl HideComments for Local {
    async fn hide(&self, _: &Target, id: &str) -> Result<()> {
        let mut comments = self.load()?;
        comments.iter_mut().filter(|comment| comment.id.to_string() == id).for_each(|comment| comment.hidden = true);
        self.save(&comments)
    }
}
