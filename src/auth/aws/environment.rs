//! Keys in variables: <https://docs.aws.amazon.com/sdkref/latest/guide/feature-static-credentials.html>.

use super::{ENVIRONMENT, Keys};
use crate::app::App;
use crate::auth::{Expiring, Source};
use crate::env::{Secret, vars};
use crate::error::{Error, Result};
use async_trait::async_trait;

/// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.
pub struct Environment;

#[async_trait(?Send)]
impl Source<Keys> for Environment {
    async fn fetch(&self, app: &App) -> Result<Option<Expiring<Keys>>> {
        let env = app.env();
        let (id, secret) = (env.get(vars::AWS_ACCESS_KEY_ID), env.get(vars::AWS_SECRET_ACCESS_KEY));
        match (id, secret) {
            (Some(id), Some(secret)) => Ok(Some(Expiring::never(Keys {
                id: id.to_owned(),
                secret: Secret::new(secret),
                token: env.get(vars::AWS_SESSION_TOKEN).map(Secret::new),
                source: ENVIRONMENT.to_owned(),
            }))),
            (None, None) => Ok(None),
            (have, _) => {
                let (set, unset) = match have {
                    Some(_) => (vars::AWS_ACCESS_KEY_ID, vars::AWS_SECRET_ACCESS_KEY),
                    None => (vars::AWS_SECRET_ACCESS_KEY, vars::AWS_ACCESS_KEY_ID),
                };
                Err(Error::config(format!("{} is set, but {} is not", set.name, unset.name))
                    .hint("set both: a secret that does not exist, or that forks cannot read, is empty in CI"))
            }
        }
    }
}
