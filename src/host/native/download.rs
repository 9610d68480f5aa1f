//! Downloads into files: they may be larger than memory, and have no timeout while data arrives.

use super::{classify, files, invalid};
use crate::host::{MaxAnswer, SendError, SendPhase};
use bytes::{Bytes, BytesMut};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

/// The most bytes of a refusal that are read.
const REFUSAL: u64 = 1 << 20;

/// Sends a request and writes the body of a successful answer to a file.
pub async fn download(
    client: &reqwest::Client,
    request: http::Request<Bytes>,
    to: &Path,
    patience: Duration,
) -> Result<http::Response<Bytes>, SendError> {
    let limit = MaxAnswer::of(&request);
    let request = reqwest::Request::try_from(request).map_err(classify)?;
    let mut answer = patient(patience, client.execute(request)).await?;
    let mut response = http::Response::new(Bytes::new());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    if !answer.status().is_success() {
        *response.body_mut() = body(&mut answer, limit.min(REFUSAL)).await?;
        return Ok(response);
    }
    let unwritten = |error: io::Error| invalid(format!("cannot write {}: {error}", to.display()));
    let mut file = files::create_private(to, 0o600).map_err(unwritten)?;
    let mut left = limit;
    while let Some(piece) = patient(patience, answer.chunk()).await? {
        left = left.checked_sub(piece.len() as u64).ok_or_else(|| SendError::too_large(limit))?;
        file.write_all(&piece).map_err(unwritten)?;
    }
    Ok(response)
}

/// Reads the body of an answer of at most `limit` bytes.
pub async fn body(answer: &mut reqwest::Response, limit: u64) -> Result<Bytes, SendError> {
    let announced = answer.content_length().unwrap_or_default();
    if announced > limit {
        return Err(SendError::too_large(limit));
    }
    let mut body = BytesMut::with_capacity(usize::try_from(announced).unwrap_or_default());
    while let Some(piece) = answer.chunk().await.map_err(classify)? {
        if (body.len() + piece.len()) as u64 > limit {
            return Err(SendError::too_large(limit));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

async fn patient<T>(patience: Duration, work: impl Future<Output = reqwest::Result<T>>) -> Result<T, SendError> {
    let text = format!("no data for {} seconds", patience.as_secs());
    let done = tokio::time::timeout(patience, work).await;
    done.map_err(|_| SendError::new(SendPhase::Timeout, text))?.map_err(classify)
}
