//! The identity of a CI job, exchanged for a role's keys:
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_oidc.html>.

use super::{Keys, service_url, tag};
use crate::app::App;
use crate::auth::{Expiring, Source, checked_value, oidc};
use crate::ci;
use crate::env::{Secret, vars};
use crate::error::{Error, Result};
use crate::http::{Discloses, RetryPolicy, in_brackets, request};
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Method, header};
use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// The audience of the job's identity token.
pub const AUDIENCE: &str = "sts.amazonaws.com";

/// The role of `AWS_ROLE_ARN`, which the job's identity token or that of `AWS_WEB_IDENTITY_TOKEN_FILE` may assume. A profile that is
/// named goes first.
pub struct JobIdentity {
    /// The region whose STS is asked.
    pub region: String,
}

#[async_trait(?Send)]
impl Source<Keys> for JobIdentity {
    async fn fetch(&self, app: &App) -> Result<Option<Expiring<Keys>>> {
        let env = app.env();
        let Some(role) = env.get(vars::AWS_ROLE_ARN).filter(|_| env.get(vars::AWS_PROFILE).is_none()) else {
            return Ok(None);
        };
        let token = match env.get(vars::AWS_WEB_IDENTITY_TOKEN_FILE) {
            Some(file) => {
                let text = app.host.read(&PathBuf::from(file)).map_err(|error| {
                    Error::config(format!("cannot read {file} of {} ({error})", vars::AWS_WEB_IDENTITY_TOKEN_FILE.name))
                })?;
                Some(Secret::new(String::from_utf8_lossy(&text)))
            }
            None => oidc::token(app, AUDIENCE).await?,
        };
        let Some(token) = token else {
            return Err(Error::auth(format!("{} is set, but the job has no identity token", vars::AWS_ROLE_ARN.name))
                .hint(ci::identity_hint(env, AUDIENCE)));
        };
        app.log.hide("the identity token of the job", &token);
        let role = checked_value(vars::AWS_ROLE_ARN.name, role)?;
        assume(app, &self.region, role, &token).await.map(Some)
    }
}

/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>: a request without a
/// signature.
async fn assume(app: &App, region: &str, role: &str, token: &Secret) -> Result<Expiring<Keys>> {
    let env = app.env();
    let url = service_url(env, "STS", region)?;
    let name = env.get(vars::AWS_ROLE_SESSION_NAME).unwrap_or("cml");
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("Action", "AssumeRoleWithWebIdentity")
        .append_pair("Version", "2011-06-15")
        .append_pair("RoleArn", role)
        .append_pair("RoleSessionName", name)
        .append_pair("WebIdentityToken", token.expose())
        .finish();
    let mut request = request(Method::POST, &url, Bytes::from(body))?;
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert(header::CONTENT_TYPE, form);
    request.extensions_mut().insert(Discloses);
    request.extensions_mut().insert(RetryPolicy::Idempotent);
    let (role_name, passes) = (role.to_owned(), Rc::new(Cell::new(false)));
    let may_pass = Rc::clone(&passes);
    let http = app.http.explained_by(move |refusal| {
        let body = String::from_utf8_lossy(refusal.body);
        may_pass.set(is_temporary(&body));
        refused(&role_name, &body)
    });
    let mut attempt = 0;
    let answer = loop {
        passes.set(false);
        match http.send(request.clone()).await {
            Err(error) if passes.get() && attempt < MAX_ATTEMPTS && http.pause(RETRY_PAUSE, attempt).await.is_ok() => {
                app.log.info(&format!("{error}; retrying"));
                attempt += 1;
            }
            answer => break answer?,
        }
    };
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    let field = |name: &str| {
        tag(&text, name).ok_or_else(|| Error::remote(format!("STS sent an unexpected answer without {name}")))
    };
    let keys = Keys {
        id: field("AccessKeyId")?.to_owned(),
        secret: Secret::new(field("SecretAccessKey")?),
        token: Some(Secret::new(field("SessionToken")?)),
        source: format!("the job's identity, as {role}"),
    };
    Ok(Expiring::at(keys, tag(&text, "Expiration")))
}

/// How often a temporary refusal of STS is retried, and the first of the growing pauses.
const MAX_ATTEMPTS: u32 = 5;
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Returns whether a refusal of STS is temporary: it could not reach the identity provider, or throttles requests.
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html#API_AssumeRoleWithWebIdentity_Errors>
fn is_temporary(body: &str) -> bool {
    match tag(body, "Code").unwrap_or_default() {
        "IDPCommunicationError" | "Throttling" | "ThrottlingException" | "RequestLimitExceeded" => true,
        "InvalidIdentityToken" => body.contains("verification key"),
        _ => false,
    }
}

fn refused(role: &str, body: &str) -> Error {
    let (code, says) = (tag(body, "Code").unwrap_or_default(), tag(body, "Message").unwrap_or_default());
    let error = Error::auth(format!("AWS refused to let the job assume the role {role}{}", in_brackets(says)));
    match code {
        "AccessDenied" => error.hint("the role's trust policy must name this repository: compare its conditions on aud and sub with the job (docs/runners.md)"),
        "ExpiredTokenException" => error.hint("the job's identity token has expired: launch earlier in the job"),
        "InvalidIdentityToken" => error.hint("add the CI as an identity provider of the AWS account, with the audience sts.amazonaws.com"),
        _ => error.hint("check AWS_ROLE_ARN and the role's trust policy"),
    }
}
