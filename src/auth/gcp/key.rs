//! The key of a service account, which signs its own tokens: no request is needed. <https://google.aip.dev/auth/4111>

use super::SCOPE;
use super::document::Document;
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

/// The key.
pub struct ServiceAccountKey {
    email: String,
    id: String,
    key: Secret,
    origin: String,
}

impl ServiceAccountKey {
    /// Reads a key.
    ///
    /// # Errors
    /// It is incomplete.
    pub fn new(app: &App, document: &Document) -> Result<Self> {
        // In variables a line break may have become two characters.
        let key = Secret::new(document.text("private_key")?.replace("\\n", "\n"));
        app.log.hide("the key of the service account", &key);
        Ok(ServiceAccountKey {
            email: document.text("client_email")?.to_owned(),
            id: document.text("private_key_id")?.to_owned(),
            key,
            origin: document.origin.clone(),
        })
    }
}

#[async_trait(?Send)]
impl Source<Secret> for ServiceAccountKey {
    async fn fetch(&self, app: &App) -> Result<Option<Expiring<Secret>>> {
        let now = u64::try_from(app.http.server_now()).unwrap_or_default();
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": self.id });
        let issued = now.saturating_sub(CLOCK_MARGIN);
        let claims =
            json!({ "iss": self.email, "sub": self.email, "scope": SCOPE, "iat": issued, "exp": issued + LIFETIME });
        let [header, claims] = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let signature = app.host.sign_rs256(&self.key, signed.as_bytes()).ok_or_else(|| {
            Error::config(format!("the private_key of {} is not an RSA key in PEM", self.origin))
                .hint("give the JSON file of the key unchanged")
        })?;
        app.log.debug(&format!("signed a token of {} with the key of {}", self.email, self.origin));
        let token = Secret::new(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)));
        Ok(Some(Expiring {
            value: token,
            expires: Some(app.host.now() + Duration::from_secs(LIFETIME - CLOCK_MARGIN)),
        }))
    }
}
