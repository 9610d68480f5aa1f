//! Parameters of Systems Manager, for images that are published there:
//! <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html>. One request is no reason
//! for another SDK: it is signed with the part of the SDK that signs.

use super::Aws;
use super::explain::refusal;
use crate::auth::aws::{self as auth, Keys};
use crate::error::{Error, Result};
use crate::http::{RetryPolicy, request};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::{HeaderValue, Method, Request};
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
    /// Fetches the value of a parameter.
    pub(super) async fn parameter(&self, name: &str) -> Result<String> {
        let app = self.app();
        let usual = format!("https://ssm.{}.{}/", self.region, auth::domain(&self.region));
        let address = auth::endpoint(app.env(), "SSM").unwrap_or(&usual);
        let wrong = |what: &str| Error::config(format!("cannot fetch the SSM parameter {name} ({what})"));
        let url = Url::parse(address).map_err(|_| wrong("its endpoint is not a valid address"))?;
        let body = serde_json::json!({ "Name": name }).to_string();
        let mut request = request(Method::POST, &url, Bytes::from(body))?;
        request.headers_mut().insert("content-type", HeaderValue::from_static("application/x-amz-json-1.1"));
        request.headers_mut().insert("x-amz-target", HeaderValue::from_static("AmazonSSM.GetParameter"));
        request.extensions_mut().insert(RetryPolicy::Idempotent);
        let keys = auth::credentials(app, &self.region).await?;
        sign_request(&mut request, &keys, &self.region, "ssm", SystemTime::UNIX_EPOCH + app.host.now())
            .map_err(|()| wrong("the request cannot be signed"))?;
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

/// Signs a request, with all the headers that it has:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>. It fails where a header is no text.
fn sign_request(
    request: &mut Request<Bytes>,
    keys: &Keys,
    region: &str,
    service: &str,
    time: SystemTime,
) -> Result<(), ()> {
    let token = keys.token.as_ref().map(|token| token.expose().to_owned());
    let identity = Credentials::new(&keys.id, keys.secret.expose(), token, None, "cml").into();
    let settings = SigningSettings::default();
    let params = v4::SigningParams::builder().identity(&identity).region(region).name(service);
    let params = params.time(time).settings(settings).build().map_err(drop)?.into();
    let headers = request.headers().iter().map(|(name, value)| Ok((name.as_str(), value.to_str().map_err(drop)?)));
    let headers = headers.collect::<Result<Vec<_>, ()>>()?;
    let (address, body) = (request.uri().to_string(), SignableBody::Bytes(request.body()));
    let signable = SignableRequest::new(request.method().as_str(), address, headers.into_iter(), body);
    let instructions = sign(signable.map_err(drop)?, &params).map_err(drop)?.into_parts().0;
    instructions.apply_to_request_http1x(request);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Secret;
    use std::time::Duration;

    /// Amazon's test suite for signatures, of which the SDKs have copies:
    /// <https://github.com/awslabs/aws-c-auth/tree/main/tests/aws-signing-test-suite/v4>.
    #[test]
    fn signatures_are_those_that_amazon_published() {
        let keys = Keys {
            id: "AKIDEXAMPLE".to_owned(),
            secret: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            token: None,
            source: String::new(),
        };
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160);
        for (name, request, headers, signature) in [
            (
                "get-vanilla",
                Request::get("https://example.amazonaws.com/").body(Bytes::new()),
                "host;x-amz-date",
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "post-vanilla",
                Request::post("https://example.amazonaws.com/").body(Bytes::new()),
                "host;x-amz-date",
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "post-x-www-form-urlencoded",
                Request::post("https://example.amazonaws.com/")
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(Bytes::from_static(b"Param1=value1")),
                "content-type;host;x-amz-date",
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
        ] {
            let mut request = request.unwrap();
            sign_request(&mut request, &keys, "us-east-1", "service", time).unwrap();
            assert_eq!(request.headers()["x-amz-date"], "20150830T123600Z", "{name}");
            let expected = format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={headers}, Signature={signature}"
            );
            assert_eq!(request.headers()["authorization"], expected, "{name}");
        }
    }
}
