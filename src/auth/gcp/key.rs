//! The key of a service account, which signs its own tokens. Google's APIs take them as they are, without a request
//! (<https://google.aip.dev/auth/4111>); for a cluster they are exchanged (<https://google.aip.dev/auth/4112>).

use super::document::Document;
use super::{Purpose, exchange, token_service};
use crate::app::App;
use crate::auth::{Expiring, Source};
use crate::env::Secret;
use crate::error::{Error, Result};
use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::json;
use std::time::Duration;

/// How long a token is good for: the longest that Google accepts.
const LIFETIME: u64 = 3600;
/// How far the clock of a service may be behind ours.
const CLOCK_MARGIN: u64 = 10;
/// The audience of a token that is to be exchanged.
const AUDIENCE: &str = "https://oauth2.googleapis.com/token";

/// The key.
pub struct ServiceAccountKey {
    email: String,
    id: String,
    key: Secret,
    origin: String,
    purpose: Purpose,
}

impl ServiceAccountKey {
    /// Reads a key.
    ///
    /// # Errors
    /// It is incomplete.
    pub fn new(app: &App, document: &Document, purpose: Purpose) -> Result<Self> {
        // In variables a line break may have become two characters.
        let key = Secret::new(document.text("private_key")?.replace("\\n", "\n"));
        app.log.hide("the key of the service account", &key);
        Ok(ServiceAccountKey {
            email: document.text("client_email")?.to_owned(),
            id: document.text("private_key_id")?.to_owned(),
            key,
            origin: document.origin.clone(),
            purpose,
        })
    }

    /// Signs a token, as of a moment since 1970 in seconds.
    fn sign(&self, app: &App, now: u64) -> Result<Secret> {
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": self.id });
        let issued = now.saturating_sub(CLOCK_MARGIN);
        let scope = self.purpose.scopes().join(" ");
        let mut claims =
            json!({ "iss": self.email, "sub": self.email, "scope": scope, "iat": issued, "exp": issued + LIFETIME });
        if self.purpose == Purpose::Clusters {
            claims["aud"] = AUDIENCE.into();
        }
        let [header, claims] = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let signature = app.host.sign_rs256(&self.key, signed.as_bytes()).ok_or_else(|| {
            Error::config(format!("the private_key of {} is not an RSA key in PEM", self.origin))
                .hint("give the JSON file of the key unchanged")
        })?;
        app.log.debug(&format!("signed a token of {} with the key of {}", self.email, self.origin));
        Ok(Secret::new(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))))
    }
}

#[async_trait(?Send)]
impl Source<Secret> for ServiceAccountKey {
    async fn fetch(&self, app: &App) -> Result<Option<Expiring<Secret>>> {
        let token = self.sign(app, u64::try_from(app.http.server_now()).unwrap_or_default())?;
        if self.purpose == Purpose::Clusters {
            let fields = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", token.expose())];
            return exchange(app, &token_service(app)?, &fields).await.map(Some);
        }
        Ok(Some(Expiring {
            value: token,
            expires: Some(app.host.now() + Duration::from_secs(LIFETIME - CLOCK_MARGIN)),
        }))
    }
}
