//! Comments on pull requests and commits:
//! <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pullrequests/>,
//! <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-commits/>.

use super::{Bitbucket, Links, List, PAGE};
use crate::error::{Error, Kind, Result};
use crate::forge::comments::{Author, Comment, Comments, Keep, PageGuard, Viewer, all_pages, is_named_bot};
use crate::forge::{Target, seconds};
use crate::http::RetryPolicy;
use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use serde_json::json;

/// Documented, in characters, for Bitbucket Server; Cloud documents none, and refuses very large ones without a reason
/// (<https://github.com/runatlantis/atlantis/issues/1251>). Measured in UTF-16 units, which are never fewer.
const COMMENT: usize = 32_768;

#[derive(Deserialize)]
struct Wire {
    id: u64,
    #[serde(default)]
    content: Content,
    links: Option<Links>,
    created_on: String,
    #[serde(default)]
    deleted: bool,
    user: Option<User>,
}

/// <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-users/>. The account of an access token is an `app_user`.
#[derive(Deserialize)]
struct User {
    #[serde(default)]
    uuid: String,
    #[serde(default)]
    nickname: String,
    #[serde(default, rename = "type")]
    kind: String,
}

impl From<User> for Author {
    fn from(user: User) -> Self {
        Author { is_bot: user.kind == "app_user" || is_named_bot(&user.nickname), id: user.uuid }
    }
}

#[derive(Deserialize, Default)]
struct Content {
    #[serde(default)]
    raw: String,
}

impl Bitbucket {
    fn comments_of(&self, target: &Target) -> String {
        match target {
            Target::PullRequest(id) => format!("{}/pullrequests/{id}/comments", self.root),
            Target::Commit(sha) => format!("{}/commit/{sha}/comments", self.root),
            Target::Issue(id) => format!("{}/issues/{id}/comments", self.root),
        }
    }

    fn comment(&self, target: &Target, wire: Wire) -> Comment {
        let place = match target {
            Target::PullRequest(id) => format!("pull-requests/{id}"),
            Target::Commit(sha) => format!("commits/{sha}"),
            Target::Issue(id) => format!("issues/{id}"),
        };
        let link = wire.links.and_then(|links| links.html).map(|link| link.href);
        Comment {
            id: wire.id.to_string(),
            body: wire.content.raw,
            url: link.unwrap_or_else(|| format!("{}/{place}#comment-{}", self.page, wire.id)),
            created: seconds(&wire.created_on),
            order: wire.id,
            author: wire.user.map(Author::from),
        }
    }

    async fn page(&self, target: &Target, number: u32) -> Result<(Option<u32>, bool, Vec<Comment>)> {
        let path = format!("{}?pagelen={PAGE}&page={number}&sort=-created_on", self.comments_of(target));
        let (_, list): (_, List<Wire>) = self.rest.get(&path).await.map_err(|e| about_issues(e, target))?;
        let comments = list.values.into_iter().filter(|c| !c.deleted).map(|c| self.comment(target, c));
        Ok((list.size, list.next.is_some(), comments.collect()))
    }

    async fn send(
        &self,
        method: Method,
        target: &Target,
        path: &str,
        body: &str,
        repeat: RetryPolicy,
    ) -> Result<Comment> {
        let body = json!({ "content": { "raw": body } });
        let sent = self.rest.call(method, path, Some(&body), repeat).await;
        let (_, wire): (_, Wire) = sent.map_err(|e| about_issues(e, target))?;
        Ok(self.comment(target, wire))
    }
}

/// Bitbucket ended its issue tracker in August 2026.
fn about_issues(error: Error, target: &Target) -> Error {
    match target {
        Target::Issue(_) if error.kind() == Kind::NotFound => {
            error.hint("Bitbucket has removed its issue tracker; use --target pr or --target commit")
        }
        _ => error,
    }
}

#[async_trait(?Send)]
impl Comments for Bitbucket {
    fn max_length(&self) -> usize {
        COMMENT
    }

    /// Returns an access token of a repository is no user that may be asked for, and its comments are a bot's.
    async fn viewer(&self) -> Result<Viewer> {
        let is_access_token = self.token.as_ref().is_some_and(|token| token.expose().starts_with("ATCTT"));
        Ok(match self.rest.get::<User>("/user").await {
            Ok((_, user)) => Viewer::User(user.uuid),
            Err(error) if error.kind() == Kind::Auth && is_access_token => Viewer::Bot,
            Err(_) => Viewer::Unknown,
        })
    }

    async fn list(&self, target: &Target, keep: Keep<'_>) -> Result<Vec<Comment>> {
        let mut watch = PageGuard::new("Bitbucket");
        let (size, mut more, mut first) = self.page(target, 1).await?;
        watch.take(&first)?;
        let mut number = 1;
        while size.is_none() && more {
            number += 1;
            first.retain(|comment| keep(comment));
            let (_, next, comments) = self.page(target, number).await?;
            watch.take(&comments)?;
            first.extend(comments);
            more = next;
        }
        let pages = size.map_or(1, |size| size.div_ceil(PAGE));
        watch.check(pages)?;
        let rest = (2..=pages).map(async |number| Ok(self.page(target, number).await?.2));
        all_pages(first, rest, keep).await
    }

    async fn get(&self, target: &Target, id: &str) -> Result<Comment> {
        let (_, wire): (_, Wire) = self.rest.get(&format!("{}/{id}", self.comments_of(target))).await?;
        if wire.deleted {
            return Err(Error::not_found(format!("comment {id} no longer exists")));
        }
        Ok(self.comment(target, wire))
    }

    async fn create(&self, target: &Target, body: &str) -> Result<Comment> {
        self.send(Method::POST, target, &self.comments_of(target), body, RetryPolicy::LookFirst).await
    }

    async fn update(&self, target: &Target, id: &str, body: &str, repeat: RetryPolicy) -> Result<Comment> {
        self.send(Method::PUT, target, &format!("{}/{id}", self.comments_of(target)), body, repeat).await
    }

    async fn delete(&self, target: &Target, id: &str) -> Result<()> {
        self.rest.delete(&format!("{}/{id}", self.comments_of(target))).await
    }
}
