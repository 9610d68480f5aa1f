//! Comments on issues, pull requests and commits:
//! <https://docs.github.com/en/rest/issues/comments>, <https://docs.github.com/en/rest/commits/comments>.

use super::GitHub;
use super::client::parsed;
use super::permissions::Token;
use crate::error::{Error, Kind, Result};
use crate::forge::comments::{
    Author, Comment, Comments, HideComments, Keep, PageGuard, Viewer, all_pages, is_named_bot,
};
use crate::forge::{Target, seconds};
use crate::http::RetryPolicy;
use async_trait::async_trait;
use http::{HeaderMap, Method, header};
use serde::Deserialize;
use serde_json::{Value, json};

/// A comment may have 65,536 characters, of up to four bytes each (<https://github.com/orgs/community/discussions/27190>);
/// whether GitHub counts one outside of the basic plane once or twice is not documented: measured as two.
const COMMENT: usize = 65_536;

/// The part of GitHub's comment that we need; both kinds of comments have it.
#[derive(Deserialize)]
struct Wire {
    id: u64,
    node_id: Option<String>,
    html_url: String,
    #[serde(default)]
    body: Option<String>,
    created_at: String,
    user: Option<User>,
}

/// An account. <https://docs.github.com/en/rest/users/users>
#[derive(Deserialize)]
struct User {
    id: u64,
    #[serde(default)]
    login: String,
    /// `User`, `Bot` or `Organization`.
    #[serde(default, rename = "type")]
    kind: String,
}

impl From<User> for Author {
    fn from(user: User) -> Self {
        Author { id: user.id.to_string(), is_bot: user.kind == "Bot" }
    }
}

impl From<Wire> for Comment {
    fn from(wire: Wire) -> Self {
        Comment {
            id: wire.id.to_string(),
            body: wire.body.unwrap_or_default(),
            url: wire.html_url,
            created: seconds(&wire.created_at),
            order: wire.id,
            author: wire.user.map(Author::from),
        }
    }
}

/// The pages that an answer's `Link` header names.
#[derive(Default)]
struct Links {
    next: Option<u32>,
    last: Option<u32>,
}

impl Links {
    fn from_headers(headers: &HeaderMap) -> Links {
        let text = headers.get(header::LINK).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut links = Links::default();
        for link in text.split(',') {
            let Some((address, relation)) = link.trim().strip_prefix('<').and_then(|link| link.split_once('>')) else {
                continue;
            };
            let query = address.split_once('?').map_or("", |(_, query)| query);
            let mut pairs = url::form_urlencoded::parse(query.as_bytes());
            let page = pairs.find(|(name, _)| name == "page").and_then(|(_, page)| page.parse().ok());
            match relation.split("rel=").nth(1).map(|name| name.trim_matches('"')) {
                Some("next") => links.next = page,
                Some("last") => links.last = page,
                _ => {}
            }
        }
        links
    }
}

impl GitHub {
    async fn page(&self, target: &Target, number: u32) -> Result<(Links, Vec<Comment>)> {
        let path = format!("{}?per_page=100&page={number}", self.comments_of(target));
        let answer = self.client.page(&path).await?;
        let wires: Vec<Wire> = parsed(&answer)?;
        Ok((Links::from_headers(answer.headers()), wires.into_iter().map(|wire| self.to_comment(wire)).collect()))
    }

    /// Converts a comment. A token of unknown kind is of an old or another server, where accounts of programs look like
    /// people's.
    fn to_comment(&self, wire: Wire) -> Comment {
        let is_named = self.kind == Token::Other && wire.user.as_ref().is_some_and(|user| is_named_bot(&user.login));
        let mut comment = Comment::from(wire);
        if let Some(author) = &mut comment.author {
            author.is_bot |= is_named;
        }
        comment
    }

    fn comments_of(&self, target: &Target) -> String {
        match target {
            Target::PullRequest(n) | Target::Issue(n) => format!("{}/issues/{n}/comments", self.root),
            Target::Commit(sha) => format!("{}/commits/{sha}/comments", self.root),
        }
    }

    fn comment(&self, target: &Target, id: &str) -> String {
        match target {
            Target::PullRequest(_) | Target::Issue(_) => format!("{}/issues/comments/{id}", self.root),
            Target::Commit(_) => format!("{}/comments/{id}", self.root),
        }
    }
}

#[async_trait(?Send)]
impl Comments for GitHub {
    fn max_length(&self) -> usize {
        COMMENT
    }

    /// Returns the token's user. The token of a job or an App cannot request it, and its comments are a bot's.
    async fn viewer(&self) -> Result<Viewer> {
        if matches!(self.kind, Token::Job | Token::Installation) {
            return Ok(Viewer::Bot);
        }
        match self.client.get::<User>("/user").await {
            Ok(user) => Ok(Viewer::User(user.id.to_string())),
            Err(error) if error.kind() == Kind::Auth => Ok(Viewer::Bot),
            Err(_) => Ok(Viewer::Unknown),
        }
    }

    async fn list(&self, target: &Target, keep: Keep<'_>) -> Result<Vec<Comment>> {
        let mut watch = PageGuard::new("GitHub");
        // GitHub lists the oldest first and says with the first page how many there are, unless that is too much work for it:
        // <https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api>.
        let (links, mut first) = self.page(target, 1).await?;
        watch.take(&first)?;
        let (last, mut next, mut number) = (links.last, links.next.filter(|_| links.last.is_none()), 1);
        while let Some(page) = next {
            if page <= number {
                return Err(watch.endless("the next page is an earlier one"));
            }
            first.retain(|comment| keep(comment));
            let (links, comments) = self.page(target, page).await?;
            watch.take(&comments)?;
            first.extend(comments);
            (next, number) = (links.next, page);
        }
        watch.check(last.unwrap_or(1))?;
        let rest = (2..=last.unwrap_or(1)).map(async |number| Ok(self.page(target, number).await?.1));
        all_pages(first, rest, keep).await
    }

    async fn get(&self, target: &Target, id: &str) -> Result<Comment> {
        self.client.get::<Wire>(&self.comment(target, id)).await.map(|wire| self.to_comment(wire))
    }

    async fn create(&self, target: &Target, body: &str) -> Result<Comment> {
        let path = self.comments_of(target);
        let made: Wire =
            self.client.call(Method::POST, &path, Some(&json!({ "body": body })), RetryPolicy::LookFirst).await?;
        Ok(self.to_comment(made))
    }

    async fn update(&self, target: &Target, id: &str, body: &str, repeat: RetryPolicy) -> Result<Comment> {
        let path = self.comment(target, id);
        let made: Wire = self.client.call(Method::PATCH, &path, Some(&json!({ "body": body })), repeat).await?;
        Ok(self.to_comment(made))
    }

    async fn delete(&self, target: &Target, id: &str) -> Result<()> {
        match self.client.delete(&self.comment(target, id)).await {
            Err(error) if error.kind() == Kind::NotFound => Ok(()),
            outcome => outcome,
        }
    }

    fn hiding(&self) -> Option<&dyn HideComments> {
        Some(self)
    }
}

#[async_trait(?Send)]
impl HideComments for GitHub {
    /// <https://docs.github.com/en/graphql/reference/mutations#minimizecomment>
    async fn hide(&self, target: &Target, id: &str) -> Result<()> {
        let wire: Wire = self.client.get(&self.comment(target, id)).await?;
        let query = "mutation($id: ID!) { minimizeComment(input: {subjectId: $id, classifier: OUTDATED}) \
                     { minimizedComment { isMinimized } } }";
        let body = json!({ "query": query, "variables": { "id": wire.node_id } });
        let answer: Value = self.client.call(Method::POST, &self.graphql, Some(&body), RetryPolicy::Idempotent).await?;
        match answer.pointer("/errors/0/message").and_then(Value::as_str) {
            None => Ok(()),
            Some(message) => {
                let kind = answer.pointer("/errors/0/type").and_then(Value::as_str);
                let kind = if kind == Some("FORBIDDEN") { Kind::Auth } else { Kind::Remote };
                Err(Error::new(kind, format!("GitHub does not hide comment {id}: {message}")))
            }
        }
    }
}
