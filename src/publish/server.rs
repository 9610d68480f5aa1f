//! A CML-compatible server: `POST` the bytes with their type and name, the answer's body is their address. It
//! gets no credentials but those in its own address.

use super::media;
use crate::app::App;
use crate::error::{Error, Result};
use crate::forge::assets::{Asset, Progress, send_each};
use crate::http::{RetryPolicy, request, secret_header};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderValue, Method, header};
use url::Url;

/// Uploads; returns the addresses in order.
pub async fn upload(app: &App, url: &Url, assets: &[Asset], progress: Progress<'_>) -> Result<Vec<String>> {
    send_each(assets, progress, async |asset: &Asset| send(app, url, asset).await).await
}

async fn send(app: &App, url: &Url, asset: &Asset) -> Result<String> {
    let mut request = request(Method::POST, url, asset.read()?)?;
    let header = |text: &str| {
        HeaderValue::from_str(text).map_err(|e| Error::internal(format!("a header for {} ({e})", asset.name)))
    };
    request.headers_mut().insert(header::CONTENT_TYPE, header(&asset.mime)?);
    request
        .headers_mut()
        .insert(header::CONTENT_DISPOSITION, header(&disposition(media::disposition(&asset.mime), &asset.name))?);
    if let Some(password) = url.password() {
        let decoded = |text| percent_encoding::percent_decode_str(text).decode_utf8_lossy();
        let pair = format!("{}:{}", decoded(url.username()), decoded(password));
        let basic = secret_header("--publish-url", &format!("Basic {}", BASE64_STANDARD.encode(pair)))?;
        request.headers_mut().insert(header::AUTHORIZATION, basic);
    }
    // A file that is stored twice is shown once.
    request.extensions_mut().insert(RetryPolicy::Idempotent);
    let place = without_secrets(url);
    let answer = app.http.send(request).await.map_err(|error| {
        error.context(&place).or_hint("check --publish-url, and that the server accepts uploads without credentials")
    })?;
    let text = String::from_utf8_lossy(answer.body()).trim().to_owned();
    match Url::parse(&text) {
        Ok(address) if matches!(address.scheme(), "http" | "https") => Ok(text),
        _ => Err(Error::remote(format!("{place} did not answer with the address of {}", asset.name))
            .hint("the server of --publish-url must answer a POST of the bytes with their address")),
    }
}

/// Returns the address as it may be told: without a password, and without a query, which may hold a key.
fn without_secrets(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

/// Returns the file's name for any language: <https://www.rfc-editor.org/rfc/rfc6266#section-5>.
fn disposition(how: &str, name: &str) -> String {
    let ascii: String =
        name.chars().map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\') { c } else { '_' }).collect();
    if ascii == name {
        format!("{how}; filename=\"{ascii}\"")
    } else {
        let encoded = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
        format!("{how}; filename=\"{ascii}\"; filename*=UTF-8''{encoded}")
    }
}
