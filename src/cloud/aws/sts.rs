//! Which account the credentials belong to:
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>, which needs no permission.

use super::Aws;
use super::explain::refused;
use crate::auth::aws as auth;
use crate::error::{Error, Result};
use crate::http::{RetryPolicy, request};
use bytes::Bytes;
use http::{HeaderValue, Method, header};

impl Aws {
    /// Fetches the number of the account.
    pub(super) async fn account(&self) -> Result<String> {
        let app = self.app();
        let url = auth::service_url(app.env(), "STS", &self.region)?;
        let body = Bytes::from_static(b"Action=GetCallerIdentity&Version=2011-06-15");
        let mut request = request(Method::POST, &url, body)?;
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(header::CONTENT_TYPE, form);
        request.extensions_mut().insert(RetryPolicy::Idempotent);
        self.sign(&mut request, "sts").await?;
        let answer = app.http.explained_by(|answer| refused("sts:GetCallerIdentity", answer)).send(request).await;
        let answer = answer.map_err(|error| {
            error
                .context("cannot determine the AWS account")
                .or_hint(format!("launches and cml runner reap need STS at {url}, which names of runners follow from"))
        })?;
        let text = String::from_utf8_lossy(answer.body());
        let account = auth::tag(&text, "Account").map(str::to_owned);
        account.ok_or_else(|| Error::remote("STS sent an unexpected answer without Account"))
    }
}
