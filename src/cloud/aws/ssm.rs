//! Parameters of Systems Manager, for images that are published there:
//! <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html>. One request is no reason
//! for another SDK: it is signed with the part of the SDK that signs.

use super::Aws;
use super::explain::refusal;
use crate::auth::aws as auth;
use crate::error::{Error, Result};
use crate::http::{Repeat, request};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::{HeaderValue, Method};
use serde::Deserialize;
use std::time::SystemTime;
use url::Url;

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
    /// The value of a parameter.
    pub(super) async fn parameter(&self, name: &str) -> Result<String> {
        let app = self.app();
        let usual = format!("https://ssm.{}.{}/", self.region, auth::domain(&self.region));
        let address = auth::endpoint(app.env(), "SSM").unwrap_or(&usual);
        let wrong = |what: &str| Error::config(format!("SSM cannot be asked for {name} ({what})"));
        let url = Url::parse(address).map_err(|_| wrong("its address is none"))?;
        let body = serde_json::json!({ "Name": name }).to_string();
        let mut request = request(Method::POST, &url, Bytes::from(body.clone()))?;
        request.headers_mut().insert("content-type", HeaderValue::from_static("application/x-amz-json-1.1"));
        request.headers_mut().insert("x-amz-target", HeaderValue::from_static("AmazonSSM.GetParameter"));
        request.extensions_mut().insert(Repeat::Safe);
        let keys = auth::credentials(app, &self.region).await?;
        let token = keys.token.map(|token| token.expose().to_owned());
        let identity = Credentials::new(keys.id, keys.secret.expose(), token, None, "cml").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("ssm")
            .time(SystemTime::UNIX_EPOCH + app.host.now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|_| wrong("it cannot be signed"))?;
        let headers = request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let signable = SignableRequest::new("POST", url.as_str(), headers, SignableBody::Bytes(body.as_bytes()));
        let signable = signable.map_err(|_| wrong("it cannot be signed"))?;
        let signed = sign(signable, &params.into()).map_err(|_| wrong("it cannot be signed"))?;
        signed.into_parts().0.apply_to_request_http1x(&mut request);
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
            .map_err(|_| Error::remote(format!("SSM answered something unexpected for {name}")))?;
        Ok(answer.parameter.value)
    }
}
