//! GitHub's refusals in words that help:
//! <https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api>.

use super::permissions::needs_of;
use super::runners;
use crate::error::{Error, Kind};
use crate::forge::PUSH_FIRST;
use crate::http::{Refusal, explain_status, in_brackets};
use serde_json::Value;

/// `source` is the variable or option that the token came from, `fork` whether the run is for a fork's pull
/// request, whose token may only read.
pub fn explain(refusal: &Refusal, source: Option<&'static str>, fork: bool) -> Error {
    let says = message(refusal);
    let error = explain_status(refusal, "GitHub", &says);
    if let Some(error) = runners::explain(refusal, &says) {
        return error;
    }
    let lower = says.to_lowercase();
    let needed = refusal.header("x-accepted-github-permissions").unwrap_or_default();
    match refusal.status.as_u16() {
        401 => Error::auth(format!("GitHub does not accept the token{}", in_brackets(&says))).hint(match source {
            Some(source) => format!("check the token in {source}: it may have expired, been revoked or been cut off"),
            None => "pass a token: env: { REPO_TOKEN: \"${{ secrets.GITHUB_TOKEN }}\" }".to_owned(),
        }),
        403 if fork && lower.contains("not accessible by integration") => {
            Error::auth("the token is read-only because this run is for a pull request from a fork")
                .hint("publish the report from a second workflow on workflow_run (see docs/forks.md); until then it is in the job summary")
        }
        403 if refusal.header("x-github-sso").is_some() => Error::auth("the organisation requires single sign-on (SAML) for this token")
            .hint(match refusal.header("x-github-sso").and_then(|v| v.split("url=").nth(1)) {
                Some(url) => format!("authorise the token at {url}"),
                None => "authorise the token for the organisation on https://github.com/settings/tokens".to_owned(),
            }),
        // No personal access token may make checks, whatever its permissions.
        // <https://docs.github.com/en/rest/guides/using-the-rest-api-to-interact-with-checks>
        403 if lower.contains("authenticate via a github app")
            || (lower.contains("personal access token") && needed.contains("checks=write")) =>
        {
            Error::auth(format!("personal access tokens cannot create checks (GitHub says: {says})")).hint(
                "use the job's own token, env: { REPO_TOKEN: \"${{ secrets.GITHUB_TOKEN }}\" } with permissions: { checks: write }, or that of a GitHub App",
            )
        }
        403 if lower.contains("not accessible by") => {
            let lines = permissions(needed).unwrap_or_else(|| needs_of(refusal.method, refusal.path));
            Error::auth(format!("the token is not allowed to do this (GitHub says: {says})")).hint(
                if lower.contains("integration") {
                    format!("add to the job: permissions: {{ {lines} }}")
                } else {
                    format!("grant the personal access token the permission {lines}")
                },
            )
        }
        403 | 404 => match missing_scope(refusal) {
            Some(hint) => error.hint(hint),
            None => error,
        },
        // GitHub answers 422 for everything that it does not find sensible.
        422 if lower.contains("too long") => Error::too_large(format!("the text is too long for GitHub ({says})"))
            .hint("use --overflow split or --overflow truncate"),
        422 if lower.contains("already exists") || lower.contains("fast forward") || lower.contains("reference") => {
            Error::conflict(format!("GitHub says: {says}"))
        }
        422 if lower.contains("no commit found") => Error::new(Kind::NotFound, format!("GitHub says: {says}"))
            .hint(PUSH_FIRST),
        409 if lower.contains("empty") => error.hint("the repository is empty: push a commit"),
        _ => error,
    }
}

fn message(refusal: &Refusal) -> String {
    let json = refusal.json();
    let mut says = json.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
    let details = json.get("errors").and_then(Value::as_array).into_iter().flatten();
    for detail in details {
        let field = || Some(format!("{} {}", detail.get("field")?.as_str()?, detail.get("code")?.as_str()?));
        let text = detail.as_str().or_else(|| detail.get("message")?.as_str()).map(str::to_owned);
        says.extend(text.or_else(field).map(|text| format!(": {text}")));
    }
    says
}

/// `issues=write; pull_requests=write` as a workflow writes the first alternative that concerns us.
fn permissions(accepted: &str) -> Option<String> {
    let choice = accepted.split(';').map(str::trim).max_by_key(|choice| choice.contains("pull_requests"))?;
    let line = |p: &str| p.split_once('=').map(|(name, level)| format!("{}: {level}", name.trim().replace('_', "-")));
    let lines: Vec<_> = choice.split(',').filter_map(line).collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

/// Classic tokens: the answer lists the scopes that the token has and those that would do.
/// <https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps>
fn missing_scope(refusal: &Refusal) -> Option<String> {
    let list =
        |name| refusal.header(name).map(|v| v.split(',').map(str::trim).filter(|s| !s.is_empty()).collect::<Vec<_>>());
    let (has, accepted) = (list("x-oauth-scopes")?, list("x-accepted-oauth-scopes")?);
    let lacks = !accepted.is_empty() && !accepted.iter().any(|scope| has.contains(scope));
    let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
    lacks.then(|| format!("the token lacks a scope: it has {has}, but needs one of {}", accepted.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue, Method, StatusCode};

    fn explained(
        status: u16,
        headers: &[(&'static str, &'static str)],
        body: &str,
        fork: bool,
    ) -> (Kind, String, String) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        let status = StatusCode::from_u16(status).unwrap();
        let refusal = Refusal {
            method: &Method::POST,
            path: "/repos/o/r/actions/runs/1/rerun",
            status,
            headers: &map,
            body: body.as_bytes(),
        };
        let error = explain(&refusal, Some("REPO_TOKEN"), fork);
        (error.kind(), error.to_string(), error.hint_text().unwrap_or_default().to_owned())
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        let no_access = r#"{"message":"Resource not accessible by integration"}"#;
        let accepted = [("x-accepted-github-permissions", "issues=write; pull_requests=write")];
        assert!(explained(401, &[], r#"{"message":"Bad credentials"}"#, false).2.contains("REPO_TOKEN"));
        assert!(explained(403, &[], no_access, true).1.contains("fork"));
        assert_eq!(
            explained(403, &accepted, no_access, false).2,
            "add to the job: permissions: { pull-requests: write }"
        );
        let pat = r#"{"message":"Resource not accessible by personal access token"}"#;
        assert_eq!(
            explained(403, &accepted, pat, false).2,
            "grant the personal access token the permission pull-requests: write"
        );
        // Where GitHub does not say, the request does.
        assert_eq!(explained(403, &[], no_access, false).2, "add to the job: permissions: { actions: write }");
        let scopes = [("x-oauth-scopes", "gist"), ("x-accepted-oauth-scopes", "public_repo, repo")];
        assert!(explained(404, &scopes, "{}", false).2.contains("it has gist, but needs one of public_repo, repo"));
        let sso = [("x-github-sso", "required; url=https://github.com/orgs/o/sso")];
        assert_eq!(explained(403, &sso, "{}", false).2, "authorise the token at https://github.com/orgs/o/sso");
        let long = r#"{"message":"Validation Failed","errors":[{"message":"Body is too long (maximum is 65536 characters)"}]}"#;
        assert_eq!(explained(422, &[], long, false).0, Kind::TooLarge);
        assert_eq!(explained(422, &[], r#"{"message":"Update is not a fast forward"}"#, false).0, Kind::Conflict);
    }
}
