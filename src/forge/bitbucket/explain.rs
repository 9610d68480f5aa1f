//! Bitbucket's refusals in words that help:
//! <https://developer.atlassian.com/cloud/bitbucket/rest/intro/#standardized-error-responses>.

use super::permissions::{scopes_for, work_of};
use super::runners;
use crate::error::Error;
use crate::http::{Refusal, explain_status, in_brackets};
use serde_json::Value;

/// `source` is the variable or option that the token came from.
pub fn explain(refusal: &Refusal, source: Option<&'static str>) -> Error {
    let json = refusal.json();
    // Some answers are pages of HTML, which help nobody and may hold a token.
    let says = json.pointer("/error/message").and_then(Value::as_str).unwrap_or_default();
    if let Some(error) = runners::explain(refusal, says) {
        return error;
    }
    let error = explain_status(refusal, "Bitbucket", says);
    let list = |name: &str| {
        let scopes = json.pointer(&format!("/error/detail/{name}"))?.as_array()?;
        Some(scopes.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "))
    };
    match refusal.status.as_u16() {
        401 => Error::auth(format!("Bitbucket does not accept the token{}", in_brackets(says))).hint(match source {
            Some(source) => format!("check the token in {source}: an access token as it is, or email:api-token"),
            None => "save a repository access token as the secured variable REPO_TOKEN".to_owned(),
        }),
        403 => match (list("required"), list("granted")) {
            (Some(required), granted) => {
                Error::auth(format!("the token is not allowed to do this (Bitbucket says: {says})")).hint(format!(
                    "the token lacks a scope: it has {}, but needs {required}",
                    granted.unwrap_or("none".into())
                ))
            }
            _ => {
                let work = work_of(refusal.path);
                error.hint(format!("to {work} {}", scopes_for(work)))
            }
        },
        400 if says.to_lowercase().contains("too long") || says.contains("32768") => {
            Error::too_large(format!("the text is too long for Bitbucket ({says})"))
                .hint("use --overflow split or --overflow truncate")
        }
        _ => error,
    }
}
