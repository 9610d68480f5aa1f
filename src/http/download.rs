//! Downloads into files.

use super::{ATTEMPTS_TO_CONNECT, Again, FIRST_PAUSE, Failure, Http, REDIRECTS, Verdict};
use super::{copy, follow, jitter, place, redirect_target, unsent};
use crate::error::{Error, Result};
use crate::host::MaxAnswer;
use bytes::Bytes;
use http::Request;
use std::path::Path;
use std::time::Duration;

/// A line on which nothing arrives for so long is broken.
const PATIENCE: Duration = Duration::from_secs(45);
/// The programs of runners have a tenth of it.
const LARGEST: u64 = 2 << 30;

impl Http {
    /// Downloads what a GET request answers into a private file; what is there in its place is removed. It takes as
    /// long as it makes progress, whatever the budget is.
    pub async fn download(&self, request: &Request<Bytes>, to: &Path) -> Result<()> {
        for attempt in 0.. {
            let _ = self.host.remove(to);
            let Failure { error, again, pause } = match self.download_once(copy(request), to).await? {
                None => return Ok(()),
                Some(failure) => failure,
            };
            if again == Again::Never || attempt + 1 >= ATTEMPTS_TO_CONNECT {
                let _ = self.host.remove(to);
                return Err(error);
            }
            let pause = pause.unwrap_or_else(|| jitter(self.host.random(), FIRST_PAUSE, attempt));
            self.log.info(&format!("{error}; trying again in {:.1} s", pause.as_secs_f64()));
            self.host.sleep(pause).await;
        }
        Ok(())
    }

    async fn download_once(&self, mut request: Request<Bytes>, to: &Path) -> Result<Option<Failure>> {
        request.extensions_mut().insert(MaxAnswer(LARGEST));
        for _ in 0..=REDIRECTS {
            let started = self.host.elapsed();
            let sent = self.host.download(copy(&request), to, PATIENCE).await;
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
                        Verdict::Failed(failure) => Some(failure),
                        Verdict::Done(_) => None,
                    });
                }
            }
        }
        Err(Error::remote(format!("{} redirects in a circle", place(&request)))
            .hint("check the address of the repository and of the API"))
    }
}
