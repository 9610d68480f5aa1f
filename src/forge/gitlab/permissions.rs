//! What a token may do on GitLab, and what it needs: a scope, and its user a role in the project.
//!
//! The token says its scopes (<https://docs.gitlab.com/api/personal_access_tokens/>), the project the role
//! (<https://docs.gitlab.com/api/projects/#retrieve-a-project>).

use super::GitLab;
use crate::env::vars;
use crate::error::Result;
use crate::forge::permissions::{Diagnosis, Permission, PermissionState, Permissions, Work};
use async_trait::async_trait;
use serde::Deserialize;

/// Returns the kinds of tokens, by their prefixes: <https://docs.gitlab.com/security/tokens/#token-prefixes>.
pub fn kind(token: &str, source: &str) -> &'static str {
    let kinds = [
        ("glpat-", "personal, project or group access token"),
        ("glcbt-", "job's own token (CI_JOB_TOKEN)"),
        ("gldt-", "deploy token, which the API does not accept"),
        ("glptt-", "trigger token, which the API does not accept"),
        ("glrt-", "runner's token, which the API does not accept"),
    ];
    if source == vars::CI_JOB_TOKEN.name {
        return "job's own token (CI_JOB_TOKEN)";
    }
    let known = kinds.iter().find(|(prefix, _)| token.starts_with(prefix));
    known.map_or("of an unknown kind", |(_, title)| title)
}

/// Returns the roles that matter: <https://docs.gitlab.com/api/access_requests/#valid-access-levels>.
fn role(level: u64) -> &'static str {
    match level {
        20 => "Reporter",
        30 => "Developer",
        _ => "Maintainer",
    }
}

/// Returns the scopes of which one suffices, and the access level:
/// <https://docs.gitlab.com/user/permissions/>, <https://docs.gitlab.com/user/profile/personal_access_tokens/#personal-access-token-scopes>.
fn needs(work: Work) -> (&'static [&'static str], u64) {
    match work {
        Work::Comment | Work::CommitComment | Work::Assets => (&["api"], 20),
        Work::Check | Work::PullRequest | Work::Rerun => (&["api"], 30),
        Work::Runners => (&["create_runner", "api"], 40),
    }
}

/// Returns what a request asks for, by its path.
pub fn work_of(path: &str) -> Work {
    match path {
        _ if path.contains("/statuses/") => Work::Check,
        _ if path.contains("/repository/commits/") && path.contains("/discussions") => Work::CommitComment,
        _ if path.contains("/repository/commits/") => Work::Comment,
        _ if path.contains("/uploads") => Work::Assets,
        _ if path.contains("/runners") => Work::Runners,
        _ if path.contains("/pipelines/") || path.contains("/jobs/") => Work::Rerun,
        _ if path.ends_with("/merge_requests") || path.ends_with("/merge") => Work::PullRequest,
        _ => Work::Comment,
    }
}

/// Returns the token that does it.
pub fn token_for(work: Work) -> String {
    let (scopes, level) = needs(work);
    let (role, scope) = (role(level), scopes[0]);
    format!(
        "create a project access token with the role {role} and the scope {scope}, and save it as the masked variable REPO_TOKEN"
    )
}

/// Returns the scope that is missing.
pub fn scope_for(work: Work) -> String {
    format!("the token needs the scope {}", needs(work).0.join(" or "))
}

/// Returns the role that is missing.
pub fn role_for(work: Work) -> String {
    let (scopes, level) = needs(work);
    let branch = match work {
        Work::Check => ", Maintainer on a protected branch",
        Work::Rerun => ", for a protected branch the right to push to it",
        _ => "",
    };
    let (role, scopes) = (role(level), scopes.join(" or "));
    format!("the token's user needs at least the role {role} in the project{branch}, and the token the scope {scopes}")
}

#[derive(Deserialize)]
struct Project {
    visibility: String,
    #[serde(default)]
    permissions: Accesses,
}

#[derive(Deserialize, Default)]
struct Accesses {
    project_access: Option<Access>,
    group_access: Option<Access>,
}

#[derive(Deserialize)]
struct Access {
    access_level: u64,
}

/// The token about itself; those of projects and groups do so too.
#[derive(Deserialize)]
struct Token {
    name: String,
    scopes: Vec<String>,
    user_id: u64,
    expires_at: Option<String>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[async_trait(?Send)]
impl Permissions for GitLab {
    async fn diagnose(&self) -> Result<Diagnosis> {
        if self.has_job_token() {
            let line = |work| Permission::new(work, PermissionState::Missing, token_for(work));
            return Ok(Diagnosis { facts: Vec::new(), permissions: Work::ALL.map(line).to_vec() });
        }
        let (_, project): (_, Project) = self.rest.get(&self.root).await?;
        // Not every kind of token may read these.
        let token = self.rest.get::<Token>("/personal_access_tokens/self").await.ok().map(|(_, token)| token);
        let user = self.rest.get::<User>("/user").await.ok().map(|(_, user)| user);
        let level = level(self, &project, token.as_ref()).await;
        let mut facts = Vec::new();
        if let Some(token) = &token {
            let of = match user.as_ref().map(|user| user.username.as_str()) {
                Some(name) if name.starts_with("project_") && name.contains("_bot") => "project access token",
                Some(name) if name.starts_with("group_") && name.contains("_bot") => "group access token",
                Some(_) => "personal access token",
                None => "access token",
            };
            facts.push(("kind", format!("{of} \"{}\"", token.name)));
            facts.push(("expires", token.expires_at.clone().unwrap_or_else(|| "never".to_owned())));
            facts.push(("scopes", token.scopes.join(", ")));
        }
        if let Some(level) = level {
            facts.push(("role", named(level).to_owned()));
        }
        let scopes = token.map(|token| token.scopes);
        let permissions = Work::ALL.map(|work| line(work, scopes.as_deref(), level, &project.visibility)).to_vec();
        Ok(Diagnosis { facts, permissions })
    }
}

fn named(level: u64) -> &'static str {
    match level {
        0..10 => "none",
        10..20 => "Guest",
        20..30 => "Reporter",
        30..40 => "Developer",
        40..50 => "Maintainer",
        _ => "Owner",
    }
}

/// Returns the user's role, in levels: as member of the project or its group, else by whatever other way.
async fn level(lab: &GitLab, project: &Project, token: Option<&Token>) -> Option<u64> {
    let direct = [&project.permissions.project_access, &project.permissions.group_access];
    let direct = direct.into_iter().flatten().map(|access| access.access_level).max();
    if direct.is_some() {
        return direct;
    }
    // <https://docs.gitlab.com/api/project_members/>
    let path = format!("{}/members/all/{}", lab.root, token?.user_id);
    match lab.rest.get::<Access>(&path).await {
        Ok((_, access)) => Some(access.access_level),
        Err(error) if error.kind() == crate::error::Kind::NotFound => Some(0),
        Err(_) => None,
    }
}

fn line(work: Work, scopes: Option<&[String]>, level: Option<u64>, visibility: &str) -> Permission {
    let (wanted, least) = needs(work);
    let scope = scopes.map(|scopes| wanted.iter().any(|scope| scopes.iter().any(|has| has == scope)));
    let everybodys = matches!(work, Work::Comment | Work::CommitComment) && visibility != "private";
    match (scope, level.map(|level| level >= least)) {
        (Some(false), _) => Permission::new(work, PermissionState::Missing, scope_for(work)),
        (_, Some(false)) if everybodys => Permission::new(
            work,
            PermissionState::Unknown,
            format!("all users can, unless the project's settings forbid it; {}", role_for(work)),
        ),
        (_, Some(false)) => Permission::new(work, PermissionState::Missing, role_for(work)),
        (Some(true), Some(true)) => Permission::new(work, PermissionState::Works, ""),
        _ => Permission::new(work, PermissionState::Unknown, format!("GitLab does not say; {}", role_for(work))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_and_roles_both_count() {
        let scopes = |list: &[&str]| list.iter().map(|&scope| scope.to_owned()).collect::<Vec<_>>();
        let (api, read) = (scopes(&["api"]), scopes(&["read_api", "create_runner"]));
        for (work, scopes, level, visibility, state) in [
            (Work::Comment, Some(&api), Some(20), "private", PermissionState::Works),
            (Work::Comment, Some(&api), Some(10), "private", PermissionState::Missing),
            (Work::Comment, Some(&api), Some(0), "public", PermissionState::Unknown),
            (Work::Comment, Some(&read), Some(50), "private", PermissionState::Missing),
            (Work::Comment, None, Some(50), "private", PermissionState::Unknown),
            (Work::Check, Some(&api), Some(20), "public", PermissionState::Missing),
            (Work::Check, Some(&api), None, "public", PermissionState::Unknown),
            (Work::Runners, Some(&api), Some(40), "private", PermissionState::Works),
            (Work::Runners, Some(&read), Some(40), "private", PermissionState::Works),
            (Work::Runners, Some(&read), Some(30), "private", PermissionState::Missing),
        ] {
            assert_eq!(line(work, scopes.map(Vec::as_slice), level, visibility).state, state, "{work} {level:?}");
        }
    }
}
