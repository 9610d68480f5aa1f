//! Credentials for clouds, from the sources of each cloud's own tools.

#[cfg(feature = "aws")]
pub mod aws;
pub mod oidc;

use crate::error::Result;
use crate::http::unusable;

/// Trims a key, role or token.
///
/// # Errors
/// It contains a character that cannot be sent in a header. `name` is the variable, or says where the value comes from.
pub fn checked_value<'a>(name: &str, value: &'a str) -> Result<&'a str> {
    let value = value.trim();
    let is_sound = value.bytes().all(|byte| byte.is_ascii_graphic());
    is_sound.then_some(value).ok_or_else(|| unusable(name))
}
