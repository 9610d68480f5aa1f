//! Pull requests of every vendor, over a real bare repository where a test has one.

use serde_json::Value;
use std::path::Path;
use std::process::Command;

use super::state::{PullRequest, PullState, Repo};

/// What git prints about a bare repository, if it succeeds.
fn ask(bare: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("--git-dir").arg(bare).args(args).output().expect("git");
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl Repo {
    /// The commit of a branch.
    pub fn branch(&self, name: &str) -> Option<String> {
        match &self.bare {
            Some(bare) => ask(bare, &["rev-parse", "--verify", "--quiet", &format!("refs/heads/{name}")]),
            None => self.git.refs.get(&format!("refs/heads/{name}")).cloned(),
        }
    }

    pub fn ahead(&self, source: &str, target: &str) -> bool {
        let range = format!("refs/heads/{target}..refs/heads/{source}");
        self.bare.as_deref().and_then(|bare| ask(bare, &["rev-list", "--count", &range])).is_none_or(|n| n != "0")
    }

    pub fn open_pull(&self, source: &str, target: &str) -> Option<&PullRequest> {
        let same = |pull: &&PullRequest| pull.branch == source && pull.base == target && pull.fork.is_none();
        self.pulls.values().find(|pull| pull.state == PullState::Open && same(pull))
    }

    pub fn open(&mut self, source: &str, target: &str, title: &str, body: &str) -> PullRequest {
        let number = self.pulls.keys().max().map_or(1, |last| last + 1);
        let head = self.branch(source).unwrap_or_default();
        let mut pull = PullRequest::open(number, &head, source);
        (pull.base, pull.title, pull.body) = (target.to_owned(), Some(title.to_owned()), Some(body.to_owned()));
        self.add_pull(pull.clone());
        pull
    }

    pub fn merge(&mut self, number: u64) -> PullRequest {
        let pull = self.pulls.get_mut(&number).expect("a known pull request");
        (pull.state, pull.merge_sha) = (PullState::Merged, Some(pull.head_sha.clone()));
        pull.clone()
    }
}

/// A text in a document, or an empty one.
pub fn text(json: &Value, pointer: &str) -> String {
    json.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A pull request's title, as given or made up.
pub fn title(pull: &PullRequest, noun: &str) -> String {
    pull.title.clone().unwrap_or_else(|| format!("{noun} {}", pull.number))
}
