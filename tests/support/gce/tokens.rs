//! The services that give tokens, and which tokens are known.

use super::{ACCOUNT, ACCOUNT_TOKEN, CLUSTER_TOKEN, KEY, PROVIDER, STS_TOKEN, State, WORKER_TOKEN, date};
use crate::support::fake::http::{Request, Response};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";

/// The scopes of a token for clusters.
const CLUSTERS: [&str; 2] = [PLATFORM, "https://www.googleapis.com/auth/userinfo.email"];

/// Whether a token is one of those that were given, or signed with the account's key.
pub fn is_known(token: &str, now: Duration) -> bool {
    [ACCOUNT_TOKEN, STS_TOKEN, WORKER_TOKEN].contains(&token) || is_signed(token, PLATFORM, None, now)
}

/// Whether a token is signed with the account's key, for these scopes and an audience. The clock of who signed may be the real one or this
/// server's.
fn is_signed(token: &str, scope: &str, audience: Option<&str>, now: Duration) -> bool {
    let Some((signed, signature)) = token.rsplit_once('.') else { return false };
    let decoded = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    let parts: Vec<Value> =
        signed.split('.').map(|part| serde_json::from_slice(&decoded(part)).unwrap_or_default()).collect();
    let [header, claims] = &parts[..] else { return false };
    let pem: String = KEY.lines().filter(|line| !line.starts_with('-')).collect();
    let der = BASE64_STANDARD.decode(pem).unwrap();
    let key = RsaKeyPair::from_pkcs8(&der).unwrap();
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
    let (issued, expires) = (claims["iat"].as_u64().unwrap_or(0), claims["exp"].as_u64().unwrap_or(0));
    let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    header["alg"] == "RS256"
        && header["kid"] == "0123456789abcdef"
        && claims["iss"] == ACCOUNT
        && claims["sub"] == ACCOUNT
        && claims["scope"] == scope
        && claims.get("aud").and_then(Value::as_str) == audience
        && issued <= now.as_secs()
        && expires > real.as_secs()
        && expires - issued <= 3600
        && key.verify(signed.as_bytes(), &decoded(signature)).is_ok()
}

impl State {
    /// Answers a request for a token; `None` for another one.
    pub fn give_token(&self, request: &Request, path: &[&str], token: &str) -> Option<Response> {
        let field = |name: &str| request.field(name).unwrap_or_default();
        let (status, answer) = match (request.verb(), path) {
            ("GET", ["identity"]) => (200, json!({ "count": 1, "value": "eyJ.identity-of-the-job.c2ln" })),
            ("POST", ["v1", "token"]) => {
                let is_exchange = field("grant_type") == "urn:ietf:params:oauth:grant-type:token-exchange"
                    && field("requested_token_type") == "urn:ietf:params:oauth:token-type:access_token"
                    && field("subject_token_type") == "urn:ietf:params:oauth:token-type:jwt"
                    && [PLATFORM, &CLUSTERS.join(" ")].contains(&&*field("scope"));
                if is_exchange && field("audience") == format!("//iam.googleapis.com/{PROVIDER}") {
                    let token = if field("scope") == PLATFORM { STS_TOKEN } else { CLUSTER_TOKEN };
                    (200, json!({ "access_token": token, "expires_in": 3600, "token_type": "Bearer" }))
                } else {
                    let says = "The target service indicated by the \"audience\" parameters is invalid.";
                    (400, json!({ "error": "invalid_target", "error_description": says }))
                }
            }
            ("POST", ["token"]) if field("grant_type") == "urn:ietf:params:oauth:grant-type:jwt-bearer" => {
                let audience = Some("https://oauth2.googleapis.com/token");
                if is_signed(&field("assertion"), &CLUSTERS.join(" "), audience, self.now()) {
                    (200, json!({ "access_token": CLUSTER_TOKEN, "expires_in": 3599 }))
                } else {
                    (400, json!({ "error": "invalid_grant", "error_description": "Invalid JWT Signature." }))
                }
            }
            ("POST", ["token"]) if field("refresh_token") == "1//refresh-token-0123456789" => {
                (200, json!({ "access_token": ACCOUNT_TOKEN, "expires_in": 3599 }))
            }
            ("POST", ["token"]) => {
                let says = "Token has been expired or revoked.";
                (400, json!({ "error": "invalid_grant", "error_description": says }))
            }
            ("POST", ["v1", "projects", "-", "serviceAccounts", account]) => {
                if *account == format!("{ACCOUNT}:generateAccessToken") && token == STS_TOKEN {
                    let is_for_clusters = request.json()["scope"] == json!(CLUSTERS);
                    let token = if is_for_clusters { CLUSTER_TOKEN } else { ACCOUNT_TOKEN };
                    let expires = date(self.now() + Duration::from_secs(3600));
                    (200, json!({ "accessToken": token, "expireTime": expires }))
                } else {
                    let says = "Permission 'iam.serviceAccounts.getAccessToken' denied";
                    (403, json!({ "error": { "status": "PERMISSION_DENIED", "message": says } }))
                }
            }
            _ => return None,
        };
        Some(Response::json(status, &answer))
    }
}
