//! Requests to services without an SDK here: one request is no reason for another one, so it is signed with the part of the
//! SDK that signs.

use super::Aws;
use super::client::sdk_credentials;
use crate::auth::aws::Keys;
use crate::error::{Error, Result};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::Request;
use std::time::SystemTime;

impl Aws {
    /// Signs a request to a service in this region.
    pub(super) async fn sign(&self, request: &mut Request<Bytes>, service: &str) -> Result<()> {
        let keys = self.connection().await?.credentials.keys().await?;
        let now = SystemTime::UNIX_EPOCH + self.app.host.now();
        sign_request(request, &keys, &self.region, service, now)
            .map_err(|()| Error::config("the request cannot be signed"))
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
    let identity = sdk_credentials(keys).into();
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
