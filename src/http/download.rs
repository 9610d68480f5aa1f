//! Downloads into files.

use super::{ExchangeOutcome, FIRST_PAUSE, Failure, Http, MAX_CONNECT_ATTEMPTS, MAX_REDIRECTS, Retryable};
use super::{authority, copy, follow, jitter, redirect_target, unsent};
use crate::error::{Error, Result};
use crate::host::MaxAnswer;
use bytes::Bytes;
use http::Request;
use std::path::Path;
use std::time::Duration;

/// How long no data may arrive before a download fails.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);
/// The largest download in bytes: ten times the runner programs.
const MAX_SIZE: u64 = 2 << 30;

impl Http {
    /// Downloads the answer to a `GET` request into a private file, replacing an old one. It may take longer than the
    /// budget while data arrives.
    pub async fn download(&self, request: &Request<Bytes>, to: &Path) -> Result<()> {
        for attempt in 0.. {
            let _ = self.host.remove(to);
            let Failure { error, retryable, pause } = match self.download_once(copy(request), to).await? {
                None => return Ok(()),
                Some(failure) => failure,
            };
            if retryable == Retryable::Never || attempt + 1 >= MAX_CONNECT_ATTEMPTS {
                let _ = self.host.remove(to);
                return Err(error);
            }
            let pause = pause.unwrap_or_else(|| jitter(self.host.random(), FIRST_PAUSE, attempt));
            self.log.info(&format!("{error}; retrying in {:.1} s", pause.as_secs_f64()));
            self.host.sleep(pause).await;
        }
        Ok(())
    }

    async fn download_once(&self, mut request: Request<Bytes>, to: &Path) -> Result<Option<Failure>> {
        request.extensions_mut().insert(MaxAnswer(MAX_SIZE));
        for _ in 0..=MAX_REDIRECTS {
            let started = self.host.elapsed();
            let sent = self.host.download(copy(&request), to, IDLE_TIMEOUT).await;
            self.log_exchange(&request, &sent, self.host.elapsed().saturating_sub(started));
            let answer = match sent {
                Ok(answer) if answer.status().is_success() => return Ok(None),
                Ok(answer) => answer,
                Err(error) => return Ok(Some(unsent(&request, &error, self.host.env()))),
            };
            match redirect_target(&request, &answer)? {
                Some(next) => follow(&mut request, next)?,
                None => {
                    return Ok(match self.judge(&request, answer) {
                        ExchangeOutcome::Failed(failure) => Some(failure),
                        ExchangeOutcome::Done(_) => None,
                    });
                }
            }
        }
        Err(Error::remote(format!("too many redirects from {}", authority(&request)))
            .hint("check the addresses of the repository and the API"))
    }
}
