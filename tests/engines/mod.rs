//! The wrappers as the CI systems' own engines, or emulators of them, run them.

#[cfg(unix)]
mod act;
#[cfg(unix)]
mod bitbucket;
#[cfg(unix)]
mod gitlab;
#[cfg(unix)]
mod image;
#[cfg(unix)]
mod pipe;
