//! The program and the fake forges, held against the vendors' own descriptions of their APIs: each request and each answer
//! of these tests goes through a checker, see `support/prism.rs`.

mod bitbucket;
mod bitbucket_refusals;
mod fixture;
mod github;
mod github_refusals;
