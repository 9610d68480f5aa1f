//! The login of a person: `gcloud auth application-default login`. <https://google.aip.dev/auth/4113>

use super::document::Document;
use super::{exchange, token_service};
use crate::app::App;
use crate::auth::{Expiring, Source};
use crate::env::Secret;
use crate::error::{Error, Result};
use async_trait::async_trait;

/// The login, which is exchanged for a token.
pub struct AuthorizedUser {
    id: String,
    secret: Secret,
    refresh_token: Secret,
}

impl AuthorizedUser {
    /// Reads the login.
    ///
    /// # Errors
    /// It is incomplete.
    pub fn new(app: &App, document: &Document) -> Result<Self> {
        let secret = |name: &str| {
            let secret = Secret::new(document.text(name)?);
            app.log.hide(&format!("the {name} of {}", document.origin), &secret);
            Ok::<_, Error>(secret)
        };
        Ok(AuthorizedUser {
            id: document.text("client_id")?.to_owned(),
            secret: secret("client_secret")?,
            refresh_token: secret("refresh_token")?,
        })
    }
}

#[async_trait(?Send)]
impl Source<Secret> for AuthorizedUser {
    async fn fetch(&self, app: &App) -> Result<Option<Expiring<Secret>>> {
        let fields = [
            ("grant_type", "refresh_token"),
            ("client_id", self.id.as_str()),
            ("client_secret", self.secret.expose()),
            ("refresh_token", self.refresh_token.expose()),
        ];
        exchange(app, &token_service(app)?, &fields).await.map(Some)
    }
}
