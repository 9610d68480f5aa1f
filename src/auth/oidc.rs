//! The identity token of a CI job, which a cloud accepts instead of keys (OpenID Connect).

use crate::app::App;
use crate::env::{Secret, vars};
use crate::error::{Error, Result};
use crate::http::{RetryPolicy, request, secret_header};
use bytes::Bytes;
use http::{Method, header};
use serde::Deserialize;

#[derive(Deserialize)]
struct Answer {
    value: String,
}

/// Returns the job's identity token for an audience; `None` when the CI offers none.
///
/// GitHub makes one when asked:
/// <https://docs.github.com/en/actions/reference/security/oidc#methods-for-requesting-the-oidc-token>. GitLab puts those of
/// `id_tokens:` into variables that the user names, so we name ours `CML_ID_TOKEN`:
/// <https://docs.gitlab.com/ci/secrets/id_token_authentication/>. Bitbucket has a variable of its own in steps with
/// `oidc: true`: <https://support.atlassian.com/bitbucket-cloud/docs/integrate-pipelines-with-resource-servers-using-oidc/>.
///
/// # Errors
/// GitHub refuses.
pub async fn token(app: &App, audience: &str) -> Result<Option<Secret>> {
    let env = app.env();
    if let Some(token) = env.get(vars::CML_ID_TOKEN).or_else(|| env.get(vars::BITBUCKET_STEP_OIDC_TOKEN)) {
        return Ok(Some(hidden(app, token)));
    }
    let (Some(url), Some(bearer)) =
        (env.get(vars::ACTIONS_ID_TOKEN_REQUEST_URL), env.get(vars::ACTIONS_ID_TOKEN_REQUEST_TOKEN))
    else {
        return Ok(None);
    };
    let wrong = || Error::config(format!("{} is not a valid address", vars::ACTIONS_ID_TOKEN_REQUEST_URL.name));
    let mut url = url::Url::parse(url).map_err(|_| wrong())?;
    url.query_pairs_mut().append_pair("audience", audience);
    let bearer = hidden(app, bearer);
    let mut request = request(Method::GET, &url, Bytes::new())?;
    request.headers_mut().insert(
        header::AUTHORIZATION,
        secret_header(vars::ACTIONS_ID_TOKEN_REQUEST_TOKEN.name, &format!("Bearer {}", bearer.expose()))?,
    );
    request.extensions_mut().insert(RetryPolicy::Idempotent);
    let answer = app
        .http
        .send(request)
        .await
        .map_err(|error| error.context("cannot fetch the job's identity token from GitHub"))?;
    let answer: Answer = serde_json::from_slice(answer.body())
        .map_err(|_| Error::remote("GitHub sent an unexpected answer to the request for the job's identity token"))?;
    Ok(Some(hidden(app, &answer.value)))
}

fn hidden(app: &App, value: &str) -> Secret {
    let secret = Secret::new(value);
    app.log.hide("the identity token of the job", &secret);
    secret
}
