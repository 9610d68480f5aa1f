//! The wrappers as the CI systems' own engines, or emulators of them, run them.

mod act;
mod bitbucket;
mod gitlab;
mod image;
mod pipe;
