//! The role of a container: <https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>.

use super::{Keys, Temporary};
use crate::app::App;
use crate::auth::{Expiring, Source};
use crate::env::vars;
use crate::error::{Error, Result};
use crate::http::{request, secret_header};
use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, header};
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// How long the service, which is on the same host, may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The service of `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` or `AWS_CONTAINER_CREDENTIALS_FULL_URI`.
pub struct Container;

#[async_trait(?Send)]
impl Source<Keys> for Container {
    async fn fetch(&self, app: &App) -> Result<Option<Expiring<Keys>>> {
        let env = app.env();
        let address = match (
            env.get(vars::AWS_CONTAINER_CREDENTIALS_RELATIVE_URI),
            env.get(vars::AWS_CONTAINER_CREDENTIALS_FULL_URI),
        ) {
            (Some(path), _) => format!("http://169.254.170.2{path}"),
            (None, Some(address)) => address.to_owned(),
            (None, None) => return Ok(None),
        };
        let failed = |why: &str| Error::auth(format!("cannot fetch the container's AWS credentials ({why})"));
        let url = Url::parse(&address).map_err(|_| failed("invalid address"))?;
        let mut request = request(Method::GET, &url, Bytes::new())?;
        let token = match env.get(vars::AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE) {
            Some(file) => {
                let text = app.host.read(&PathBuf::from(file)).map_err(|error| failed(&format!("{file}: {error}")))?;
                Some(String::from_utf8_lossy(&text).trim().to_owned())
            }
            None => env.get(vars::AWS_CONTAINER_AUTHORIZATION_TOKEN).map(str::to_owned),
        };
        if let Some(token) = token {
            request
                .headers_mut()
                .insert(header::AUTHORIZATION, secret_header(vars::AWS_CONTAINER_AUTHORIZATION_TOKEN.name, &token)?);
        }
        let answer = app.host.send(request, TIMEOUT).await.map_err(|error| failed(&error.to_string()))?;
        let found: Temporary = serde_json::from_slice(answer.body())
            .map_err(|_| failed(&format!("unexpected answer {}", answer.status())))?;
        Ok(Some(found.keys("the container")))
    }
}
