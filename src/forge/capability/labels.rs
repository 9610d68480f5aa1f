//! Labels of pull requests, and who set them.

use crate::error::Result;
use async_trait::async_trait;

/// Labels of the repository's pull requests.
#[async_trait(?Send)]
pub trait Labels {
    /// Returns who set a label that a pull request has; `None` if it does not have it.
    ///
    /// # Errors
    /// The token may not read that.
    async fn label(&self, number: u64, name: &str) -> Result<Option<SetLabel>>;
}

/// A label that a pull request has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetLabel {
    /// The login of who set it last, if the forge tells.
    pub by: Option<String>,
    /// The day on which they did, as `2026-01-31`.
    pub day: Option<String>,
    /// Whether they may do more in the repository than open pull requests.
    pub is_trusted: bool,
}

/// Returns the day of a date in the form of RFC 3339.
pub fn day(date: &str) -> Option<String> {
    Some(chrono::DateTime::parse_from_rfc3339(date).ok()?.to_utc().date_naive().to_string())
}
