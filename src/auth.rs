//! Credentials for clouds, from where each cloud's own tools look for them.

#[cfg(feature = "aws")]
pub mod aws;
pub mod oidc;
