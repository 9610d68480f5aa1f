//! What a token may do on GitHub, and what it needs.
//!
//! Nothing here has an effect. Classic tokens name their scopes in each answer, and the repository says what their
//! user may do. Of all others GitHub tells nothing; but it refuses what they may not do (403) before it looks at what
//! is asked for (422, 404), so they are asked for what cannot be: a pull request without branches, a ref and a check
//! without a name, a workflow that there is not.
//! <https://docs.github.com/en/rest/authentication/permissions-required-for-github-apps>

use super::GitHub;
use crate::env::{Env, vars};
use crate::error::Result;
use crate::forge::permissions::{Diagnosis, Permission, PermissionState, Permissions, Work};
use async_trait::async_trait;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

/// The kinds of tokens:
/// <https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/about-authentication-to-github#githubs-token-formats>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// The one that each job gets.
    Job,
    /// The same, or that of an App: they look alike.
    Installation,
    AppUser,
    FineGrained,
    Classic,
    OAuth,
    Other,
}

impl Token {
    /// Returns the kind of a token from a variable or option.
    pub fn detect(token: &str, source: &str, env: &Env) -> Token {
        let in_actions = env.get(vars::GITHUB_REPOSITORY).is_some();
        let jobs_own = source == vars::GITHUB_TOKEN.name || source == "with: token";
        match token.split_once('_').map(|(prefix, _)| prefix) {
            Some("ghs") if in_actions && (jobs_own || env.get(vars::GITHUB_TOKEN) == Some(token)) => Token::Job,
            Some("ghs") => Token::Installation,
            Some("ghu") => Token::AppUser,
            Some("github") if token.starts_with("github_pat_") => Token::FineGrained,
            Some("ghp") => Token::Classic,
            Some("gho") => Token::OAuth,
            _ => Token::Other,
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Token::Job => "GitHub Actions' own token (GITHUB_TOKEN)",
            Token::Installation => "GitHub Actions' own token (GITHUB_TOKEN), or that of a GitHub App",
            Token::AppUser => "GitHub App's token for a user",
            Token::FineGrained => "fine-grained personal access token",
            Token::Classic => "classic personal access token",
            Token::OAuth => "OAuth app's token",
            Token::Other => "of an unknown kind",
        }
    }
}

/// Returns what a piece of work asks for, as a workflow writes it.
pub fn needs(work: Work) -> &'static str {
    match work {
        Work::Comment => "pull-requests: write",
        // To make one, reading suffices; to change it does not.
        Work::CommitComment | Work::Assets => "contents: write",
        Work::Check => "checks: write",
        Work::PullRequest => "contents: write, pull-requests: write",
        Work::Rerun => "actions: write",
        Work::Runners => "administration: write",
    }
}

/// Returns what a request asks for, by its path: for refusals that do not say.
pub fn needs_of(method: &Method, path: &str) -> String {
    let work = match path {
        _ if path.contains("/check-runs") => Work::Check,
        _ if path.contains("/actions/runners") => Work::Runners,
        _ if path.contains("/actions/") => Work::Rerun,
        _ if path.contains("/git/") => Work::Assets,
        _ if path.ends_with("/merge") => Work::PullRequest,
        _ if path.contains("/commits/") || (path.contains("/comments") && !path.contains("/issues/")) => {
            Work::CommitComment
        }
        _ => Work::Comment,
    };
    let needs = needs(work);
    if method == Method::GET { needs.replace("write", "read") } else { needs.to_owned() }
}

const NO_CHECKS: &str = "personal access tokens cannot create checks; use the job's own token, env: { REPO_TOKEN: \"${{ secrets.GITHUB_TOKEN }}\" } with permissions: { checks: write }, or that of a GitHub App";
const NO_RUNNERS: &str = "a job's own token cannot; use a fine-grained personal access token with administration: write, or a classic one with the scope repo";
const MAY_OPEN: &str =
    "see Settings → Actions → General → \"Allow GitHub Actions to create and approve pull requests\"";

/// Returns what to do where a permission is missing.
fn advice(token: Token, needs: &str) -> String {
    match token {
        Token::Job => format!("add to the job: permissions: {{ {needs} }}"),
        Token::Installation => format!("add to the job: permissions: {{ {needs} }}, or grant it to the App"),
        Token::AppUser => format!("grant the App the permission {needs}"),
        Token::FineGrained => format!("grant the personal access token the permission {needs}"),
        _ => format!("grant the token the permission {needs}"),
    }
}

#[derive(Deserialize)]
struct Repository {
    private: bool,
    #[serde(default)]
    permissions: Role,
}

/// What the token's user may do.
#[derive(Deserialize, Default)]
struct Role {
    #[serde(default)]
    push: bool,
    #[serde(default)]
    admin: bool,
}

#[async_trait(?Send)]
impl Permissions for GitHub {
    async fn diagnose(&self) -> Result<Diagnosis> {
        let answer = self.client.get_with_headers(&self.root).await?;
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let mut facts = Vec::new();
        if let Some(date) = header("github-authentication-token-expiration") {
            facts.push(("expires", date.to_owned()));
        }
        // Tokens without scopes may have an empty header too.
        let scoped = matches!(self.kind, Token::Classic | Token::OAuth);
        let scopes =
            header("x-oauth-scopes").filter(|scopes| scoped || (self.kind == Token::Other && !scopes.is_empty()));
        let permissions = match scopes {
            Some(scopes) => {
                let scopes: Vec<&str> = scopes.split(',').map(str::trim).filter(|scope| !scope.is_empty()).collect();
                facts.push(("scopes", if scopes.is_empty() { "none".to_owned() } else { scopes.join(", ") }));
                let repository: Repository = super::client::parsed(&answer)?;
                Work::ALL.map(|work| by_scopes(work, &scopes, &repository)).to_vec()
            }
            None => by_asking(self).await?,
        };
        Ok(Diagnosis { facts, permissions })
    }
}

/// <https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps>
fn by_scopes(work: Work, scopes: &[&str], repository: &Repository) -> Permission {
    let missing = |needs: &str| Permission::new(work, PermissionState::Missing, needs);
    let all = scopes.contains(&"repo");
    let scope = all || (!repository.private && work != Work::Runners && scopes.contains(&"public_repo"));
    match work {
        Work::Check => missing(NO_CHECKS),
        _ if !scope => missing("add the scope repo to the token"),
        Work::Comment | Work::CommitComment => Permission::new(work, PermissionState::Works, ""),
        Work::Runners if !repository.permissions.admin => {
            missing("the token's user must be an admin of the repository")
        }
        _ if !repository.permissions.push && !repository.permissions.admin => {
            missing("the token's user needs write access to the repository")
        }
        _ => Permission::new(work, PermissionState::Works, ""),
    }
}

/// What GitHub said when asked for something impossible.
struct Asked {
    state: PermissionState,
    /// GitHub's words.
    says: String,
}

async fn ask(hub: &GitHub, method: Method, path: &str, body: Option<&Value>) -> Result<Asked> {
    let answer = hub.client.ask(method, &format!("{}{path}", hub.root), body).await?;
    let json: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let says = json.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
    let state = match answer.status() {
        StatusCode::OK | StatusCode::UNPROCESSABLE_ENTITY => PermissionState::Works,
        StatusCode::FORBIDDEN => PermissionState::Missing,
        _ => PermissionState::Unknown,
    };
    Ok(Asked { state, says })
}

impl Asked {
    fn line(&self, hub: &GitHub, work: Work) -> Permission {
        let lower = self.says.to_lowercase();
        let needs = match self.state {
            PermissionState::Missing if hub.fork && lower.contains("not accessible by integration") => {
                "the token of a pull request from a fork is read-only, see docs/forks.md".to_owned()
            }
            PermissionState::Missing if lower.contains("not accessible by") || lower.is_empty() => {
                advice(hub.kind, needs(work))
            }
            _ => format!("GitHub says: {}", self.says),
        };
        Permission::new(work, self.state, needs)
    }
}

async fn by_asking(hub: &GitHub) -> Result<Vec<Permission>> {
    let pull = json!({ "title": "", "head": "", "base": "" });
    let mut pull = ask(hub, Method::POST, "/pulls", Some(&pull)).await?;
    let setting =
        pull.state == PermissionState::Missing && pull.says.to_lowercase().contains("not permitted to create");
    if setting {
        pull.state = PermissionState::Works;
    }
    let write = ask(hub, Method::POST, "/git/refs", Some(&json!({ "ref": "", "sha": "" }))).await?;
    let none = "/actions/workflows/cml-doctor-asks-for-no-workflow.yml/dispatches";
    let mut rerun = ask(hub, Method::POST, none, Some(&json!({ "ref": "" }))).await?;
    if rerun.state == PermissionState::Unknown && rerun.says == "Not Found" {
        rerun.state = PermissionState::Works;
    }
    Ok(vec![
        pull.line(hub, Work::Comment),
        write.line(hub, Work::CommitComment),
        check(hub).await?,
        pull_request(hub, &pull, &write, setting),
        write.line(hub, Work::Assets),
        rerun.line(hub, Work::Rerun),
        runners(hub).await?,
    ])
}

async fn check(hub: &GitHub) -> Result<Permission> {
    if hub.kind == Token::FineGrained {
        return Ok(Permission::new(Work::Check, PermissionState::Missing, NO_CHECKS));
    }
    let body = json!({ "name": "", "head_sha": "" });
    Ok(ask(hub, Method::POST, "/check-runs", Some(&body)).await?.line(hub, Work::Check))
}

/// Both permissions, and a setting that only admins can read.
fn pull_request(hub: &GitHub, pull: &Asked, write: &Asked, forbidden: bool) -> Permission {
    let worst = [pull, write].into_iter().find(|asked| asked.state != PermissionState::Works);
    match worst {
        Some(asked) => asked.line(hub, Work::PullRequest),
        None if forbidden => {
            Permission::new(Work::PullRequest, PermissionState::Missing, format!("{MAY_OPEN}, or use another token"))
        }
        None if hub.run_url.is_some() && matches!(hub.kind, Token::Job | Token::Installation) => {
            let why = format!("the permissions suffice, but a setting is needed as well: {MAY_OPEN}");
            Permission::new(Work::PullRequest, PermissionState::Unknown, why)
        }
        None => Permission::new(Work::PullRequest, PermissionState::Works, ""),
    }
}

/// By a listing for which that permission must be to write:
/// <https://docs.github.com/en/rest/repos/rule-suites#list-repository-rule-suites>.
async fn runners(hub: &GitHub) -> Result<Permission> {
    if hub.kind == Token::Job {
        return Ok(Permission::new(Work::Runners, PermissionState::Missing, NO_RUNNERS));
    }
    let asked = ask(hub, Method::GET, "/rulesets/rule-suites?per_page=1", None).await?;
    let mut line = asked.line(hub, Work::Runners);
    if hub.kind == Token::Installation && line.state == PermissionState::Missing {
        line.needs = NO_RUNNERS.to_owned();
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_tokens_are_told_by_their_form() {
        let env: Env = [("GITHUB_REPOSITORY", "o/r"), ("GITHUB_TOKEN", "ghs_own")].into_iter().collect();
        let none = Env::default();
        for (token, source, env, kind) in [
            ("ghs_own", "REPO_TOKEN", &env, Token::Job),
            ("ghs_x", "with: token", &env, Token::Job),
            ("ghs_x", "REPO_TOKEN", &env, Token::Installation),
            ("ghs_own", "GITHUB_TOKEN", &none, Token::Installation),
            ("ghu_x", "REPO_TOKEN", &none, Token::AppUser),
            ("github_pat_1_x", "REPO_TOKEN", &none, Token::FineGrained),
            ("ghp_x", "REPO_TOKEN", &none, Token::Classic),
            ("gho_x", "REPO_TOKEN", &none, Token::OAuth),
            ("0123456789abcdef", "REPO_TOKEN", &none, Token::Other),
        ] {
            assert_eq!(Token::detect(token, source, env), kind, "{token}");
        }
    }

    #[test]
    fn a_path_tells_what_a_request_needs() {
        for (method, path, expected) in [
            (Method::POST, "/repos/o/r/issues/7/comments", "pull-requests: write"),
            (Method::PATCH, "/repos/o/r/issues/comments/1", "pull-requests: write"),
            (Method::POST, "/repos/o/r/pulls", "pull-requests: write"),
            (Method::PUT, "/repos/o/r/pulls/7/merge", "contents: write, pull-requests: write"),
            (Method::PATCH, "/repos/o/r/comments/1", "contents: write"),
            (Method::POST, "/repos/o/r/commits/abc/comments", "contents: write"),
            (Method::POST, "/repos/o/r/git/blobs", "contents: write"),
            (Method::POST, "/repos/o/r/check-runs", "checks: write"),
            (Method::GET, "/repos/o/r/commits/abc/check-runs", "checks: read"),
            (Method::POST, "/repos/o/r/actions/runs/1/rerun", "actions: write"),
            (Method::POST, "/repos/o/r/actions/runners/generate-jitconfig", "administration: write"),
        ] {
            assert_eq!(needs_of(&method, path), expected, "{method} {path}");
        }
    }
}
