//! Metrics that somebody accepts although they are worse: a line `Metrics-Accepted: NAME` at the end of a commit's message.

use crate::app::App;
use crate::ci;
use crate::error::Result;
use crate::git::Git;
use crate::metrics::gate::Rule;

/// The key of the line. <https://git-scm.com/docs/git-interpret-trailers>
pub const TRAILER: &str = "Metrics-Accepted";
/// So many of the last commits are looked at.
const MAX_COMMITS: &str = "--max-count=1000";

/// What is accepted, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The metric, or a pattern.
    pub name: String,
    /// The commit's author.
    pub author: String,
}

impl Accepted {
    /// Returns whether it is about a metric.
    pub fn is_about(&self, file: &str, name: &str) -> bool {
        Rule::without_conditions(&self.name).is_about(file, name)
    }
}

/// Finds it in the commits since the base. Without a clone there is nothing to find.
pub async fn find(app: &App, git: &Git<'_>, base: &str) -> Result<Vec<Accepted>> {
    let context = ci::context(ci::detect(app.env()).as_deref(), &*app.host)?;
    let tip = context.commit.unwrap_or_else(|| "HEAD".to_owned());
    if !git.has_checkout() {
        return Ok(Vec::new());
    }
    let format = format!("--format=%an%x00%(trailers:key={TRAILER},valueonly,unfold)%x01");
    let range = format!("{base}..{tip}");
    // The clone may lack the commit.
    let listed =
        git.query(&["log", MAX_COMMITS, "--no-show-signature", &format, "--end-of-options", &range, "--"]).await;
    Ok(parse(&listed.unwrap_or_default()))
}

fn parse(listed: &str) -> Vec<Accepted> {
    let commits = listed.split('\u{1}').filter_map(|commit| commit.trim_start().split_once('\0'));
    let of_commit = |(author, names): (&str, &str)| -> Vec<Accepted> {
        let names = names.split([',', '\n']).map(str::trim).filter(|name| !name.is_empty());
        names.map(|name| Accepted { name: name.to_owned(), author: author.to_owned() }).collect()
    };
    commits.flat_map(of_commit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_commit_accepts_some() {
        let found = parse("Ada\0accuracy, loss\n\u{1}\nBob\0\u{1}\nEve\0gsm8k/*\n\u{1}");
        let found: Vec<(&str, &str)> = found.iter().map(|one| (one.name.as_str(), one.author.as_str())).collect();
        assert_eq!(found, [("accuracy", "Ada"), ("loss", "Ada"), ("gsm8k/*", "Eve")]);
    }
}
