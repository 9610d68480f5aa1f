//! Credentials for clouds, from where each cloud's own tools look for them.

#[cfg(feature = "aws")]
pub mod aws;
pub mod oidc;

use crate::error::Result;
use crate::http::unusable;

/// Returns a key, role or token without the white space that copying leaves around it.
///
/// # Errors
/// It has a character that cannot be in a header of a request. `name` is the variable's, or says where it comes from.
pub fn plain<'a>(name: &str, value: &'a str) -> Result<&'a str> {
    let value = value.trim();
    let is_sound = value.bytes().all(|byte| byte.is_ascii_graphic());
    is_sound.then_some(value).ok_or_else(|| unusable(name))
}
