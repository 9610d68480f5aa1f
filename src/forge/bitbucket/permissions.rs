//! What a token may do on Bitbucket, and what it needs: scopes, and where it is a person's, that person's access.
//!
//! Each answer names the token's scopes and kind in its headers:
//! <https://support.atlassian.com/bitbucket-cloud/kb/how-to-fetch-the-scope-of-a-token-via-command-line/>. API tokens
//! have scopes of newer names, which do not contain each other:
//! <https://support.atlassian.com/bitbucket-cloud/docs/api-token-permissions/>.

use super::{Bitbucket, List, authorization};
use crate::env::Secret;
use crate::error::{Kind, Result};
use crate::forge::permissions::{Diagnosis, Permission, PermissionState, Permissions, Work};
use crate::forge::rest::escape;
use crate::http::RetryPolicy;
use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::Method;
use serde::de::IgnoredAny;

/// Returns the kinds of tokens, by their form. App passwords are gone since 2026-07-28:
/// <https://community.atlassian.com/forums/Bitbucket-articles/Deprecation-notice-Bitbucket-Cloud-app-password-brownout/ba-p/3237429>.
pub fn kind(token: &Secret) -> &'static str {
    let value = authorization(token);
    let Some(encoded) = value.strip_prefix("Basic ") else {
        return match token.expose() {
            text if text.starts_with("ATATT") => "API token without its e-mail address: pass it as email:api-token",
            text if text.starts_with("ATBB") => APP_PASSWORD,
            _ => "access token of a repository, project or workspace",
        };
    };
    let pair = BASE64_STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    match pair.split_once(':') {
        Some((_, password)) if password.starts_with("ATBB") => APP_PASSWORD,
        Some((user, _)) if !user.contains('@') => "user name and password: an API token needs an e-mail address",
        _ => "API token of a user (email:api-token)",
    }
}

const APP_PASSWORD: &str = "app password, which Bitbucket no longer accepts: create an API token or an access token";

/// Returns the scopes of access tokens, and those of API tokens:
/// <https://developer.atlassian.com/cloud/bitbucket/bitbucket-cloud-rest-api-scopes/>.
fn needs(work: Work) -> (&'static [&'static str], &'static [&'static str]) {
    match work {
        Work::Comment => (&["pullrequest:write"], &["read:pullrequest:bitbucket", "write:pullrequest:bitbucket"]),
        Work::CommitComment | Work::Check => {
            (&["repository"], &["read:repository:bitbucket", "write:repository:bitbucket"])
        }
        Work::PullRequest => (
            &["pullrequest:write", "repository:write"],
            &["read:pullrequest:bitbucket", "write:pullrequest:bitbucket", "write:repository:bitbucket"],
        ),
        Work::Assets => (&["repository:write"], &["write:repository:bitbucket"]),
        Work::Rerun => (&["pipeline:write"], &["read:pipeline:bitbucket", "write:pipeline:bitbucket"]),
        Work::Runners => (&["runner:write"], &["read:runner:bitbucket", "write:runner:bitbucket"]),
    }
}

/// Returns what a request asks for, by its path.
pub fn work_of(path: &str) -> Work {
    match path {
        _ if path.contains("/reports/") || path.contains("/statuses/") => Work::Check,
        _ if path.contains("/commit/") => Work::CommitComment,
        _ if path.contains("/downloads") => Work::Assets,
        _ if path.contains("/pipelines-config/runners") => Work::Runners,
        _ if path.contains("/pipelines") => Work::Rerun,
        _ if path.ends_with("/pullrequests") || path.ends_with("/merge") => Work::PullRequest,
        _ => Work::Comment,
    }
}

/// Returns what to do where scopes are missing.
pub fn scopes_for(work: Work) -> String {
    let (access, api) = needs(work);
    format!("the token needs {} (an API token: {})", access.join(" and "), api.join(" and "))
}

/// Returns whether a token has a scope, by itself or in a larger one.
fn has(scopes: &[String], scope: &str) -> bool {
    let larger: &[&str] = match scope {
        "repository" => &["repository:write", "pullrequest", "pullrequest:write"],
        _ => &[],
    };
    scopes.iter().any(|has| has == scope || larger.contains(&has.as_str()))
}

/// What a person may do in the repository.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Reader,
    Writer,
    Admin,
}

#[async_trait(?Send)]
impl Permissions for Bitbucket {
    async fn diagnose(&self) -> Result<Diagnosis> {
        let (proxy, fact) = proxy(self).await.unzip();
        let mut facts: Vec<_> = fact.into_iter().collect();
        let Some(token) = &self.token else {
            return Ok(Diagnosis { facts, permissions: without_token(proxy) });
        };
        let (headers, _): (_, IgnoredAny) = self.rest.get(&self.root).await?;
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let of = match text("x-credential-type").as_deref() {
            Some("repo_access_token") => Some("repository access token"),
            Some("project_access_token") => Some("project access token"),
            Some("workspace_access_token") => Some("workspace access token"),
            Some("api_token") => Some("API token of a user"),
            _ => None,
        };
        facts.extend(of.map(|of| ("kind", of.to_owned())));
        let list =
            |text: &String| text.split(',').map(|scope| scope.trim().to_owned()).filter(|s| !s.is_empty()).collect();
        let scopes: Option<Vec<String>> = text("x-oauth-scopes").as_ref().map(list);
        if let Some(scopes) = &scopes {
            facts.push(("scopes", if scopes.is_empty() { "none".to_owned() } else { scopes.join(", ") }));
        }
        let role = if authorization(token).starts_with("Basic ") { role(self).await } else { None };
        if let Some(role) = role {
            let name = ["read", "write", "admin"][role as usize];
            facts.push(("access", name.to_owned()));
        }
        let permissions = Work::ALL.map(|work| line(work, scopes.as_deref(), role)).to_vec();
        Ok(Diagnosis { facts, permissions })
    }
}

/// Returns the role of the token's user. The listings of one's own permissions went with those across workspaces;
/// that of a workspace takes a role.
/// <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-repositories/#api-repositories-workspace-get>
async fn role(bucket: &Bitbucket) -> Option<Role> {
    let path = bucket.root.strip_prefix("/repositories/")?;
    let workspace = path.split('/').next()?;
    for (name, role) in [("admin", Role::Admin), ("contributor", Role::Writer)] {
        let query = escape(&format!("full_name=\"{path}\""));
        let listing = format!("/repositories/{workspace}?role={name}&q={query}&pagelen=1");
        let (_, found): (_, List<IgnoredAny>) = bucket.rest.get(&listing).await.ok()?;
        if !found.values.is_empty() {
            return Some(role);
        }
    }
    Some(Role::Reader)
}

fn line(work: Work, scopes: Option<&[String]>, role: Option<Role>) -> Permission {
    let least = match work {
        Work::Comment | Work::CommitComment | Work::Check => Role::Reader,
        Work::PullRequest | Work::Assets | Work::Rerun => Role::Writer,
        Work::Runners => Role::Admin,
    };
    let (access, api) = needs(work);
    let Some(scopes) = scopes else {
        return Permission::new(
            work,
            PermissionState::Unknown,
            format!("Bitbucket does not say; {}", scopes_for(work)),
        );
    };
    let all = |wanted: &[&str]| wanted.iter().all(|scope| has(scopes, scope));
    // Whether reading suffices with the newer names is not documented.
    let perhaps = matches!(work, Work::CommitComment | Work::Check) && has(scopes, "read:repository:bitbucket");
    match (all(access) || all(api), role) {
        (false, _) if perhaps => Permission::new(work, PermissionState::Unknown, scopes_for(work)),
        (false, _) => Permission::new(work, PermissionState::Missing, scopes_for(work)),
        (true, Some(role)) if role < least => {
            let access = if least == Role::Admin { "admin" } else { "write" };
            Permission::new(
                work,
                PermissionState::Missing,
                format!("the token's user needs {access} access to the repository"),
            )
        }
        (true, _) => Permission::new(work, PermissionState::Works, ""),
    }
}

/// Without a token: what the proxy signs.
fn without_token(proxy: Option<Proxy>) -> Vec<Permission> {
    let line = |work| match (work, proxy) {
        (Work::Check, Some(Proxy::Signs)) => Permission::new(work, PermissionState::Works, ""),
        (Work::Check, Some(Proxy::Answers)) => Permission::new(
            work,
            PermissionState::Unknown,
            "the pipeline's proxy cannot read reports; it may be able to create them",
        ),
        _ => Permission::new(work, PermissionState::Missing, scopes_for(work)),
    };
    Work::ALL.map(line).to_vec()
}

/// What the proxy beside a pipeline's step does.
#[derive(Clone, Copy)]
enum Proxy {
    /// It reads reports of checks without a token, so it makes them too.
    Signs,
    /// Something is there.
    Answers,
    /// Nothing is.
    Silent,
}

/// In a pipeline: what the proxy does, as a line too.
async fn proxy(bucket: &Bitbucket) -> Option<(Proxy, (&'static str, String))> {
    let (address, rest) = bucket.proxy.as_ref()?;
    let commit = escape(bucket.commit.as_deref().unwrap_or("HEAD"));
    let path = format!("{}/commit/{commit}/reports?pagelen=1", bucket.root);
    let answer: Result<(_, IgnoredAny)> = rest.call(Method::GET, &path, None, RetryPolicy::Never).await;
    let (proxy, says) = match answer {
        Ok(_) => (Proxy::Signs, "answers: checks need no token"),
        Err(error) if error.kind() == Kind::Remote => (Proxy::Silent, "does not answer: checks need a token"),
        Err(_) => (Proxy::Answers, "answers, but cannot read reports"),
    };
    Some((proxy, ("proxy", format!("{says} ({address})"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_tokens_are_told_by_their_form() {
        for (token, expected) in [
            ("ATCTT3xFfGN0x", "access token"),
            ("ATATT3xFf", "API token without"),
            ("me@example.org:ATATT3x", "API token of a user"),
            ("bWVAZXhhbXBsZS5vcmc6QVRBVFQ=", "API token of a user"),
            ("me:ATBBx", "app password"),
            ("me:secret", "user name and password"),
        ] {
            assert!(kind(&Secret::new(token)).starts_with(expected), "{token}");
        }
    }

    #[test]
    fn scopes_of_both_names_and_the_role_count() {
        for (work, scopes, role, state) in [
            (Work::Comment, "pullrequest:write", None, PermissionState::Works),
            (Work::Comment, "pullrequest", None, PermissionState::Missing),
            (Work::CommitComment, "pullrequest", None, PermissionState::Works),
            (Work::CommitComment, "read:repository:bitbucket", None, PermissionState::Unknown),
            (Work::PullRequest, "pullrequest:write", None, PermissionState::Missing),
            (Work::PullRequest, "pullrequest:write repository:write", None, PermissionState::Works),
            (
                Work::Rerun,
                "read:pipeline:bitbucket write:pipeline:bitbucket",
                Some(Role::Writer),
                PermissionState::Works,
            ),
            (
                Work::Rerun,
                "read:pipeline:bitbucket write:pipeline:bitbucket",
                Some(Role::Reader),
                PermissionState::Missing,
            ),
            (Work::Rerun, "write:pipeline:bitbucket", Some(Role::Admin), PermissionState::Missing),
            (Work::Runners, "runner:write", None, PermissionState::Works),
        ] {
            let scopes: Vec<String> = scopes.split(' ').map(str::to_owned).collect();
            assert_eq!(line(work, Some(&scopes), role).state, state, "{work} {scopes:?}");
        }
        assert_eq!(line(Work::Comment, None, None).state, PermissionState::Unknown);
    }
}
