//! Parameters of Systems Manager, for images that are published there:
//! <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html>.

use super::Aws;
use super::explain::refusal;
use crate::auth::aws as auth;
use crate::error::{Error, Result};
use crate::http::{RetryPolicy, request};
use bytes::Bytes;
use http::{HeaderValue, Method};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    parameter: Parameter,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    value: String,
}

impl Aws {
    /// Fetches the value of a parameter.
    pub(super) async fn parameter(&self, name: &str) -> Result<String> {
        let app = self.app();
        let url = auth::service_url(app.env(), "SSM", &self.region).map_err(|_| {
            Error::config(format!("cannot fetch the SSM parameter {name} (its endpoint is not a valid address)"))
        })?;
        let body = serde_json::json!({ "Name": name }).to_string();
        let mut request = request(Method::POST, &url, Bytes::from(body))?;
        request.headers_mut().insert("content-type", HeaderValue::from_static("application/x-amz-json-1.1"));
        request.headers_mut().insert("x-amz-target", HeaderValue::from_static("AmazonSSM.GetParameter"));
        request.extensions_mut().insert(RetryPolicy::Idempotent);
        self.sign(&mut request, "ssm").await.map_err(|error| error.context(name))?;
        let explain = |refused: &crate::http::Refusal| {
            let says = refused.json();
            let code = says["__type"].as_str().unwrap_or_default().rsplit('#').next().unwrap_or_default().to_owned();
            refusal(
                "ssm:GetParameter",
                &code,
                says["message"].as_str().or(says["Message"].as_str()).unwrap_or_default(),
            )
        };
        let answer = app.http.explained_by(explain).send(request).await.map_err(|error| error.context(name))?;
        let answer: Answer = serde_json::from_slice(answer.body())
            .map_err(|_| Error::remote(format!("SSM sent an unexpected answer for {name}")))?;
        Ok(answer.parameter.value)
    }
}
