//! Credentials for clouds, from where each cloud's own tools look for them.

#[cfg(feature = "aws")]
pub mod aws;
pub mod oidc;

use crate::error::{Error, Result};

/// Returns a key, role or token without the white space that copying leaves around it.
///
/// # Errors
/// It has a character that cannot be in a header of a request. `name` is the variable's, or says where it comes from.
pub fn plain<'a>(name: &str, value: &'a str) -> Result<&'a str> {
    let value = value.trim();
    if value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(value);
    }
    Err(Error::config(format!("{name} has a blank, a line break or another character that no key has"))
        .hint("copy it again, without what surrounds it; a secret of several lines is not one"))
}
