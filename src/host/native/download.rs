//! Downloads into files: they may be larger than what fits into memory, and take as long as they make progress.

use super::{classify, files, invalid};
use crate::host::{SendError, Stage};
use bytes::Bytes;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

/// Sends a request and writes the body of a successful answer to a file.
pub async fn download(
    client: &reqwest::Client,
    request: http::Request<Bytes>,
    to: &Path,
    patience: Duration,
) -> Result<http::Response<Bytes>, SendError> {
    let request = reqwest::Request::try_from(request).map_err(classify)?;
    let mut answer = patient(patience, client.execute(request)).await?;
    let mut response = http::Response::new(Bytes::new());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    if !answer.status().is_success() {
        *response.body_mut() = patient(patience, answer.bytes()).await?;
        return Ok(response);
    }
    let unwritten = |error: io::Error| invalid(format!("cannot write {}: {error}", to.display()));
    let mut file = files::create_private(to, 0o600).map_err(unwritten)?;
    while let Some(piece) = patient(patience, answer.chunk()).await? {
        file.write_all(&piece).map_err(unwritten)?;
    }
    Ok(response)
}

async fn patient<T>(patience: Duration, work: impl Future<Output = reqwest::Result<T>>) -> Result<T, SendError> {
    let text = format!("nothing arrived for {} seconds", patience.as_secs());
    let done = tokio::time::timeout(patience, work).await;
    done.map_err(|_| SendError { stage: Stage::Timeout, text })?.map_err(classify)
}
