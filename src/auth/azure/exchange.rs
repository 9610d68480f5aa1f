//! The request for a token of Microsoft Entra:
//! <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>.

use super::{Application, Token};
use crate::app::App;
use crate::auth::Expiring;
use crate::env::Secret;
use crate::error::{Error, Result};
use crate::http::{Discloses, Refusal, RetryPolicy, explain_status, request};
use bytes::Bytes;
use http::{HeaderValue, Method, header};
use serde::Deserialize;
use std::time::Duration;

/// How an assertion is called: <https://www.rfc-editor.org/rfc/rfc7523#section-2.2>.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What shows that the caller is the application.
pub enum Proof {
    /// Its client secret.
    Secret(Secret),
    /// The token of an identity that it trusts.
    Assertion(Secret),
}

#[derive(Deserialize)]
struct Answer {
    access_token: Secret,
    expires_in: Option<u64>,
}

/// Requests a token for the Resource Manager. `source` says where the proof comes from.
pub async fn token(app: &App, application: &Application<'_>, proof: &Proof, source: &str) -> Result<Expiring<Token>> {
    let Application { tenant, client, login, management } = application;
    let url = login.join(&format!("{tenant}/oauth2/v2.0/token")).map_err(|error| Error::internal(error.to_string()))?;
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials")
        .append_pair("client_id", client)
        .append_pair("scope", &format!("{management}/.default"));
    match proof {
        Proof::Secret(secret) => form.append_pair("client_secret", secret.expose()),
        Proof::Assertion(token) => {
            form.append_pair("client_assertion_type", JWT_BEARER).append_pair("client_assertion", token.expose())
        }
    };
    let mut request = request(Method::POST, &url, Bytes::from(form.finish()))?;
    let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert(header::CONTENT_TYPE, kind);
    request.extensions_mut().insert(Discloses);
    request.extensions_mut().insert(RetryPolicy::Idempotent);
    let (tenant, client) = ((*tenant).to_owned(), (*client).to_owned());
    let http = app.http.explained_by(move |refusal| refused(refusal, &tenant, &client));
    let now = app.host.now();
    let answer = http.send(request).await?;
    let Answer { access_token, expires_in } = serde_json::from_slice(answer.body())
        .map_err(|_| Error::remote("the login of Azure sent an unexpected answer without a token"))?;
    let expires = expires_in.map(|seconds| now + Duration::from_secs(seconds));
    Ok(Expiring { value: Token { value: access_token, source: source.to_owned() }, expires })
}

/// Translates a refusal by its code:
/// <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>.
fn refused(refusal: &Refusal, tenant: &str, client: &str) -> Error {
    let body = refusal.json();
    let says = body["error_description"].as_str().unwrap_or_default();
    // The rest are numbers for Microsoft's support.
    let says = says.split(" Trace ID:").next().unwrap_or_default().lines().next().unwrap_or_default().trim();
    if says.is_empty() {
        return explain_status(refusal, "the login of Azure", body["error"].as_str().unwrap_or_default());
    }
    let code = says.split(':').next().unwrap_or_default();
    let says = says.trim_end_matches('.');
    match code {
        "AADSTS700016" => Error::auth(format!("Azure knows no application {client} in the tenant {tenant} ({says})"))
            .hint("check AZURE_CLIENT_ID, the application's id and not that of its object, and AZURE_TENANT_ID"),
        "AADSTS90002" | "AADSTS900021" | "AADSTS900023" => {
            Error::auth(format!("Azure knows no tenant {tenant} ({says})"))
                .hint("check AZURE_TENANT_ID: az account show --query tenantId")
        }
        "AADSTS7000215" | "AADSTS7000222" => {
            Error::auth(format!("Azure rejected the client secret of the application {client} ({says})")).hint(
                format!("check AZURE_CLIENT_SECRET: the secret's value and not its id; a new one: az ad app credential reset --id {client}"),
            )
        }
        "AADSTS70021" | "AADSTS700211" | "AADSTS700212" | "AADSTS700213" => {
            Error::auth(format!("no federated credential of the application {client} fits this job ({says})"))
                .hint("add one with the issuer, subject and audience that are named: az ad app federated-credential create (docs/azure.md)")
        }
        "AADSTS700024" => Error::auth(format!("the job's identity token has expired ({says})"))
            .hint("launch earlier in the job"),
        _ => Error::auth(format!("Azure refused to log in the application {client} ({says})"))
            .hint("check AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or the application's federated credentials"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, StatusCode};

    #[test]
    fn refusals_say_which_value_is_wrong() {
        for (says, message, hint) in [
            (
                "AADSTS7000215: Invalid client secret provided. Trace ID: 1 Timestamp: 2",
                "Azure rejected the client secret of the application c (AADSTS7000215: Invalid client secret provided)",
                "check AZURE_CLIENT_SECRET",
            ),
            (
                "AADSTS700016: Application with identifier 'c' was not found",
                "Azure knows no application c in the tenant t",
                "AZURE_CLIENT_ID",
            ),
            (
                "AADSTS90002: Tenant 't' not found.\r\nTrace ID: x",
                "Azure knows no tenant t (AADSTS90002: Tenant 't' not found)",
                "AZURE_TENANT_ID",
            ),
            (
                "AADSTS700213: No matching federated identity record found for presented assertion subject 'repo:o/r'",
                "no federated credential of the application c fits this job",
                "federated-credential create",
            ),
            ("AADSTS50034: something else", "Azure refused to log in the application c", "AZURE_TENANT_ID"),
        ] {
            let body = serde_json::json!({"error": "invalid_client", "error_description": says}).to_string();
            let (method, headers) = (Method::POST, HeaderMap::new());
            let status = StatusCode::UNAUTHORIZED;
            let refusal = Refusal { method: &method, path: "/", status, headers: &headers, body: body.as_bytes() };
            let error = refused(&refusal, "t", "c");
            assert!(error.to_string().contains(message), "{error}");
            assert!(error.hint_text().is_some_and(|text| text.contains(hint)), "{error:?}");
            assert_eq!(error.exit_code(), 4);
        }
    }
}
