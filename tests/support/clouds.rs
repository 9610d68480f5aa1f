//! The fakes of the clouds, as the tests see all of them.

use super::fake::http::{Request, Response};

/// The fake of a cloud.
pub trait FakeCloud {
    /// The name that `--cloud` takes.
    fn name(&self) -> &'static str;

    /// The region of its launches; empty where it has none.
    fn region(&self) -> &'static str {
        "us-west"
    }

    /// The variables of a launcher that may do everything.
    fn environment(&self) -> Vec<(&'static str, String)>;

    /// What nothing may show.
    fn secrets(&self) -> Vec<&'static str>;

    /// Carries a request out without a connection; `None` when its answer is lost.
    fn exchange(&self, request: &Request) -> Option<Response>;

    /// What it was asked.
    fn actions(&self) -> Vec<String>;

    /// Whether an instance runs, or will in a moment.
    fn runs(&self) -> bool;

    /// Everything of ours that costs something or is in the way.
    fn left(&self) -> Vec<String>;
}
