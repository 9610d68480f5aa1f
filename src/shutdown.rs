//! What a signal means for the work under way: "a signal came" is an error of the kind [`Kind::Interrupted`], which travels with `?`.

use crate::app::App;
use crate::error::{Error, Kind, Result};
use crate::host::Signal;
use futures_util::future::{Either, LocalBoxFuture, select};
use std::pin::pin;

/// The first signal that asks this program to end, awaited once for all the work that it may interrupt.
pub struct Shutdown<'a> {
    app: &'a App,
    /// What it ends, for the message.
    what: &'static str,
    signal: LocalBoxFuture<'a, Signal>,
    received: Option<Signal>,
}

impl<'a> Shutdown<'a> {
    /// Starts to listen, for `what` such as `the launch`.
    pub fn new(app: &'a App, what: &'static str) -> Self {
        Shutdown { app, what, signal: Box::pin(async { app.host.interrupted().await }), received: None }
    }

    /// Returns the signal, once it has come.
    pub fn received(&self) -> Option<Signal> {
        self.received
    }

    /// Runs work until a signal comes, which cancels it.
    ///
    /// # Errors
    /// [`Kind::Interrupted`], with the exit code that a shell gives the signal.
    pub async fn run_until<T>(&mut self, work: impl Future<Output = T>) -> Result<T> {
        self.check()?;
        match select(pin!(work), &mut self.signal).await {
            Either::Left((outcome, _)) => Ok(outcome),
            Either::Right((signal, _)) => {
                self.received = Some(signal);
                Err(self.interrupted(signal))
            }
        }
    }

    /// Runs work that must not be cancelled to its end. A signal shortens its deadline; [`Shutdown::check`] tells of it afterwards.
    pub async fn run_to_completion<T>(&mut self, work: impl Future<Output = T>) -> T {
        if self.received.is_some() {
            return work.await;
        }
        match select(pin!(work), &mut self.signal).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right((signal, work)) => {
                self.received = Some(signal);
                self.app.http.shorten_deadline();
                work.await
            }
        }
    }

    /// Returns the error of a signal that has come.
    ///
    /// # Errors
    /// [`Kind::Interrupted`].
    pub fn check(&self) -> Result<()> {
        self.received.map_or(Ok(()), |signal| Err(self.interrupted(signal)))
    }

    fn interrupted(&self, signal: Signal) -> Error {
        let message = format!("{} was interrupted by {}", self.what, signal.name());
        Error::new(Kind::Interrupted, message).exits_with(signal.exit_code())
    }
}
