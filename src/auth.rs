//! Credentials for clouds, from the sources of each cloud's own tools.
//!
//! A source is one file and one [`Source`]: it tells "not configured here" (the next one is asked) from "configured, and it does not
//! work" (an error, as another source's credentials may belong to another account). [`Credentials`] asks them in order and keeps what
//! it got until shortly before it expires (`docs/adr/0015-credentials.md`).

pub mod aws;
#[cfg(feature = "azure")]
pub mod azure;
#[cfg(feature = "gcp")]
pub mod gcp;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod oidc;

use crate::app::App;
use crate::error::Result;
use crate::http::unusable;
use async_trait::async_trait;
use futures_util::lock::Mutex;
use std::time::Duration;

/// How long before they expire credentials are fetched anew, so that no request outlives them.
const EARLY: Duration = Duration::from_secs(300);

/// Credentials, and until when they are accepted.
#[derive(Debug, Clone)]
pub struct Expiring<C> {
    /// The credentials.
    pub value: C,
    /// When they expire, since 1970; `None` where they do not, or nobody says.
    pub expires: Option<Duration>,
}

impl<C> Expiring<C> {
    /// Returns credentials that do not expire.
    pub fn never(value: C) -> Self {
        Expiring { value, expires: None }
    }

    /// Returns credentials that expire at a date of RFC 3339.
    pub fn at(value: C, date: Option<&str>) -> Self {
        let date = date.and_then(|date| chrono::DateTime::parse_from_rfc3339(date.trim()).ok());
        let expires = date.and_then(|date| u64::try_from(date.timestamp()).ok()).map(Duration::from_secs);
        Expiring { value, expires }
    }

    fn is_valid(&self, at: Duration) -> bool {
        self.expires.is_none_or(|expires| at < expires)
    }
}

/// A place that credentials may come from.
#[async_trait(?Send)]
pub trait Source<C> {
    /// Fetches the credentials; `None` when the place is not configured.
    ///
    /// # Errors
    /// It is configured, and does not work.
    async fn fetch(&self, app: &App) -> Result<Option<Expiring<C>>>;
}

/// The credentials of the first of several sources that has any. It is the only one that is asked again when they expire.
pub struct Credentials<C> {
    app: App,
    sources: Vec<Box<dyn Source<C>>>,
    accept: fn(&App, C) -> Result<C>,
    /// What was fetched, and from which source.
    found: Mutex<Option<(usize, Expiring<C>)>>,
}

impl<C: Clone> Credentials<C> {
    /// Returns the credentials of these sources, none of which is asked yet. `accept` checks what a source gave, and keeps it out of
    /// the log.
    pub fn new(app: &App, sources: Vec<Box<dyn Source<C>>>, accept: fn(&App, C) -> Result<C>) -> Self {
        Credentials { app: app.clone(), sources, accept, found: Mutex::new(None) }
    }

    /// Returns credentials that are valid now, and are fetched if need be; `None` when no source is configured. Several callers at the
    /// same time cause one request.
    ///
    /// # Errors
    /// Those of the source. As long as the earlier credentials are valid, a failure to renew them is none.
    pub async fn get(&self) -> Result<Option<C>> {
        let mut found = self.found.lock().await;
        let now = self.app.host.now();
        let sources = match &*found {
            Some((_, earlier)) if earlier.is_valid(now + EARLY) => return Ok(Some(earlier.value.clone())),
            Some((source, _)) => *source..source + 1,
            None => 0..self.sources.len(),
        };
        for (n, source) in self.sources.iter().enumerate().take(sources.end).skip(sources.start) {
            let fetched = match (source.fetch(&self.app).await, &*found) {
                (Err(error), Some((_, earlier))) if earlier.is_valid(now) => {
                    self.app.log.debug(&format!("cannot renew credentials that are still valid ({error})"));
                    return Ok(Some(earlier.value.clone()));
                }
                (fetched, _) => fetched?,
            };
            if let Some(Expiring { value, expires }) = fetched {
                let value = (self.accept)(&self.app, value)?;
                *found = Some((n, Expiring { value: value.clone(), expires }));
                return Ok(Some(value));
            }
        }
        Ok(None)
    }
}

impl<C> Credentials<C> {
    /// Forgets what was fetched: the service has refused it.
    pub async fn forget(&self) {
        *self.found.lock().await = None;
    }
}

/// Trims a key, role or token.
///
/// # Errors
/// It contains a character that cannot be sent in a header. `name` is the variable, or says where the value comes from.
pub fn checked_value<'a>(name: &str, value: &'a str) -> Result<&'a str> {
    let value = value.trim();
    let is_sound = value.bytes().all(|byte| byte.is_ascii_graphic());
    is_sound.then_some(value).ok_or_else(|| unusable(name))
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::host::Host;
    use crate::host::native::Native;
    use crate::http::Http;
    use crate::log::{Log, Verbosity};
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::rc::Rc;

    type Fetched = Result<Option<Expiring<u32>>>;

    /// A source with answers that are given in order, each of which counts.
    #[derive(Clone, Default)]
    struct Scripted(Rc<RefCell<VecDeque<Fetched>>>);

    #[async_trait(?Send)]
    impl Source<u32> for Scripted {
        async fn fetch(&self, app: &App) -> Fetched {
            app.host.sleep(Duration::from_millis(1)).await;
            self.0.borrow_mut().pop_front().unwrap_or(Ok(None))
        }
    }

    fn app() -> App {
        let host: Rc<dyn Host> = Rc::new(Native::default());
        let log = Log::new(host.clone(), Verbosity::from(crate::log::Level::Error));
        App { http: Http::new(host.clone(), log.clone(), Duration::from_secs(60)), host, log }
    }

    /// Credentials of sources with these answers, and the sources.
    fn credentials(app: &App, answers: Vec<Vec<Fetched>>) -> (Credentials<u32>, Vec<Scripted>) {
        let sources: Vec<_> =
            answers.into_iter().map(|answers| Scripted(Rc::new(RefCell::new(answers.into())))).collect();
        let boxed = sources.iter().map(|source| Box::new(source.clone()) as Box<dyn Source<u32>>).collect();
        (Credentials::new(app, boxed, |_, value| Ok(value)), sources)
    }

    fn valid_for(app: &App, value: u32, seconds: u64) -> Fetched {
        Ok(Some(Expiring { value, expires: Some(app.host.now() + Duration::from_secs(seconds)) }))
    }

    /// Runs work with the clock that the native host sleeps by.
    #[allow(clippy::unwrap_used)]
    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    #[test]
    fn the_first_source_that_is_configured_is_asked_once_for_all_callers() {
        run(async {
            let app = app();
            let answers = vec![vec![Ok(None)], vec![valid_for(&app, 1, 3600)], vec![valid_for(&app, 2, 3600)]];
            let (credentials, sources) = credentials(&app, answers);
            let (one, other) = futures_util::future::join(credentials.get(), credentials.get()).await;
            assert_eq!((one.unwrap(), other.unwrap(), credentials.get().await.unwrap()), (Some(1), Some(1), Some(1)));
            assert_eq!(sources.iter().map(|source| source.0.borrow().len()).collect::<Vec<_>>(), [0, 0, 1]);
        });
    }

    #[test]
    fn credentials_that_expire_soon_are_renewed_by_their_own_source_only() {
        run(async {
            let app = app();
            let first = vec![Ok(None), valid_for(&app, 9, 3600)];
            let (credentials, _) =
                credentials(&app, vec![first, vec![valid_for(&app, 1, 60), valid_for(&app, 2, 3600)]]);
            assert_eq!(credentials.get().await.unwrap(), Some(1));
            assert_eq!(credentials.get().await.unwrap(), Some(2));
        });
    }

    #[test]
    fn what_cannot_be_renewed_serves_as_long_as_it_is_valid() {
        run(async {
            let app = app();
            let failed = || Err(Error::remote("STS is down"));
            let (credentials, _) =
                credentials(&app, vec![vec![valid_for(&app, 1, 60), failed(), valid_for(&app, 2, 0), failed()]]);
            assert_eq!(credentials.get().await.unwrap(), Some(1));
            assert_eq!(credentials.get().await.unwrap(), Some(1));
            assert_eq!(credentials.get().await.unwrap(), Some(2));
            assert_eq!(credentials.get().await.unwrap_err().to_string(), "STS is down");
        });
    }

    #[test]
    fn a_source_that_does_not_work_is_no_reason_for_another_ones_credentials() {
        run(async {
            let app = app();
            let (credentials, sources) =
                credentials(&app, vec![vec![Err(Error::auth("wrong role"))], vec![valid_for(&app, 2, 3600)]]);
            assert_eq!(credentials.get().await.unwrap_err().to_string(), "wrong role");
            assert_eq!(sources[1].0.borrow().len(), 1);
        });
    }

    #[test]
    fn dates_are_those_of_rfc_3339() {
        let at = |date| Expiring::at((), date).expires;
        assert_eq!(at(Some("2026-11-28T12:00:00Z")), Some(Duration::from_secs(1_795_867_200)));
        assert_eq!(at(Some("2026-11-28T14:00:00+02:00")), at(Some("2026-11-28T12:00:00Z")));
        assert_eq!((at(None), at(Some("soon"))), (None, None));
    }
}
