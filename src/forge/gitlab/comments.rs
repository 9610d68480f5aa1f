//! Comments as notes of merge requests and issues, and as discussions of commits:
//! <https://docs.gitlab.com/api/notes/>, <https://docs.gitlab.com/api/discussions/>.

use super::{GitLab, number, quick_actions};
use crate::error::{Error, Result};
use crate::forge::comments::{Author, Comment, Comments, Keep, PageGuard, Viewer, all_pages, is_named_bot};
use crate::forge::{Target, seconds};
use crate::http::RetryPolicy;
use async_trait::async_trait;
use http::{HeaderMap, Method};
use serde::Deserialize;
use serde_json::json;

/// A note may have so many characters, not bytes: <https://docs.gitlab.com/api/notes/>, and the validation of lengths of Ruby on Rails.
const NOTE: usize = 1_000_000;

#[derive(Deserialize)]
struct Note {
    id: u64,
    body: String,
    created_at: String,
    #[serde(default)]
    system: bool,
    project_id: Option<u64>,
    author: Option<User>,
}

/// <https://docs.gitlab.com/api/users/>
#[derive(Deserialize)]
struct User {
    id: u64,
    #[serde(default)]
    username: String,
}

impl From<User> for Author {
    fn from(user: User) -> Self {
        Author { id: user.id.to_string(), is_bot: is_named_bot(&user.username) }
    }
}

#[derive(Deserialize)]
struct Discussion {
    id: String,
    notes: Vec<Note>,
}

impl GitLab {
    /// Returns where a target's notes are listed and made. Those of a commit only have identities as discussions:
    /// <https://docs.gitlab.com/api/discussions/#commits>.
    fn notes(&self, target: &Target) -> String {
        match target {
            Target::PullRequest(iid) => format!("{}/merge_requests/{iid}/notes", self.root),
            Target::Issue(iid) => format!("{}/issues/{iid}/notes", self.root),
            Target::Commit(sha) => format!("{}/repository/commits/{sha}/discussions", self.root),
        }
    }

    fn note(&self, target: &Target, id: &str) -> String {
        match (target, id.split_once('/')) {
            (Target::Commit(_), Some((discussion, note))) => {
                format!("{}/{discussion}/notes/{note}", self.notes(target))
            }
            _ => format!("{}/{id}", self.notes(target)),
        }
    }

    fn comment(&self, target: &Target, discussion: Option<&str>, note: Note) -> Comment {
        let place = match target {
            Target::PullRequest(iid) => format!("merge_requests/{iid}"),
            Target::Issue(iid) => format!("issues/{iid}"),
            Target::Commit(sha) => format!("commit/{sha}"),
        };
        self.project.set(note.project_id.or(self.project.get()));
        Comment {
            id: discussion.map_or_else(|| note.id.to_string(), |discussion| format!("{discussion}/{}", note.id)),
            url: format!("{}/-/{place}#note_{}", self.page, note.id),
            created: seconds(&note.created_at),
            order: note.id,
            body: note.body,
            author: note.author.map(Author::from),
        }
    }

    async fn page(&self, target: &Target, number: u32) -> Result<(HeaderMap, Vec<Comment>)> {
        let path = format!("{}?per_page=100&page={number}", self.notes(target));
        if let Target::Commit(_) = target {
            let (headers, discussions): (_, Vec<Discussion>) = self.rest.get(&path).await?;
            let comments = discussions.into_iter().flat_map(|d| {
                let id = d.id;
                d.notes.into_iter().filter(|n| !n.system).map(move |n| (id.clone(), n)).collect::<Vec<_>>()
            });
            return Ok((headers, comments.map(|(id, note)| self.comment(target, Some(&id), note)).collect()));
        }
        let (headers, notes): (_, Vec<Note>) = self.rest.get(&format!("{path}&order_by=created_at&sort=desc")).await?;
        let comments = notes.into_iter().filter(|n| !n.system).map(|note| self.comment(target, None, note));
        Ok((headers, comments.collect()))
    }
}

#[async_trait(?Send)]
impl Comments for GitLab {
    fn max_length(&self) -> usize {
        NOTE
    }

    async fn viewer(&self) -> Result<Viewer> {
        let user = self.rest.get::<User>("/user").await;
        Ok(user.map_or(Viewer::Unknown, |(_, user)| Viewer::User(user.id.to_string())))
    }

    async fn list(&self, target: &Target, keep: Keep<'_>) -> Result<Vec<Comment>> {
        let mut watch = PageGuard::new("GitLab");
        let (headers, mut first) = self.page(target, 1).await?;
        watch.take(&first)?;
        let mut pages = number(&headers, "x-total-pages");
        // Above 10,000 notes GitLab does not count them: <https://docs.gitlab.com/api/rest/#pagination-response-headers>.
        let mut next = number(&headers, "x-next-page").filter(|_| pages.is_none());
        while let Some(page) = next {
            first.retain(|comment| keep(comment));
            let (headers, comments) = self.page(target, page).await?;
            watch.take(&comments)?;
            first.extend(comments);
            next = number(&headers, "x-next-page");
            pages = None;
        }
        watch.check(pages.unwrap_or(1))?;
        let rest = (2..=pages.unwrap_or(1)).map(async |number| Ok(self.page(target, number).await?.1));
        all_pages(first, rest, keep).await
    }

    async fn get(&self, target: &Target, id: &str) -> Result<Comment> {
        if let (Target::Commit(_), Some((discussion, note))) = (target, id.split_once('/')) {
            let (_, found): (_, Discussion) = self.rest.get(&format!("{}/{discussion}", self.notes(target))).await?;
            let found = found.notes.into_iter().find(|n| n.id.to_string() == note);
            let found = found.ok_or_else(|| Error::not_found(format!("comment {note} no longer exists")))?;
            return Ok(self.comment(target, Some(discussion), found));
        }
        let (_, note) = self.rest.get(&self.note(target, id)).await?;
        Ok(self.comment(target, None, note))
    }

    async fn create(&self, target: &Target, body: &str) -> Result<Comment> {
        let path = self.notes(target);
        let body = json!({ "body": self.sent(body) });
        if let Target::Commit(_) = target {
            let (_, made): (_, Discussion) =
                self.rest.call(Method::POST, &path, Some(&body), RetryPolicy::LookFirst).await?;
            let note = made.notes.into_iter().next();
            let note = note.ok_or_else(|| Error::remote("GitLab answered with an empty discussion").ambiguous())?;
            return Ok(self.comment(target, Some(&made.id), note));
        }
        let (_, note) = self.rest.call(Method::POST, &path, Some(&body), RetryPolicy::LookFirst).await?;
        Ok(self.comment(target, None, note))
    }

    async fn update(&self, target: &Target, id: &str, body: &str, repeat: RetryPolicy) -> Result<Comment> {
        let body = json!({ "body": self.sent(body) });
        let (_, note) = self.rest.call(Method::PUT, &self.note(target, id), Some(&body), repeat).await?;
        Ok(self.comment(target, id.split_once('/').map(|(discussion, _)| discussion), note))
    }

    async fn delete(&self, target: &Target, id: &str) -> Result<()> {
        self.rest.delete(&self.note(target, id)).await
    }

    fn stored(&self, body: &str) -> String {
        quick_actions::stored(body)
    }

    fn sent(&self, body: &str) -> String {
        quick_actions::escape(body).into()
    }
}
